/* memory: what the verified log said when authz last looked at all of it, kept beside the database and signed with the log's own key, so that a start need not
 * read a long past again. It stands for leaves up to one number; later ones are read as ever, and the past is read again in the background (patrol.c).
 *
 * Losing it costs time. An altered one is no memory. An older one only stands for less. */
#ifndef COUNTERSIGN_APPROVALS_MEMORY_H
#define COUNTERSIGN_APPROVALS_MEMORY_H

#include "authz/erased.h"
#include "authz/approvals/ledger.h"

#include "authz/tree.h"

#include <openssl/evp.h>

struct memory {
    struct tree tree;
    unsigned char (*marks)[32];       /* as in log.c: the root of each full LOG_MARK_EVERY leaves */
    size_t mark_count;
    struct ledger ledger;
    struct erased erased;
};

/* Write it anew; the old one stays when that fails. */
MUST_CHECK enum status memory_write(const char *path, EVP_PKEY *key, const char *instance, const struct memory *m, struct err *err);
/* NOT_FOUND: there is none; CORRUPT: it is not ours, or altered. The caller owns marks, ledger and erased. */
MUST_CHECK enum status memory_read(const char *path, EVP_PKEY *key, const char *instance, struct memory *out, struct err *err);

#endif
