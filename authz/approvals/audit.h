/* audit: a copy of authz.db, looked at by somebody who trusts neither the gateway nor its operators and has nothing but the log's public key: every leaf, the tree, the signed
 * head, and every row against the leaf that made it. Nothing is written to the copy's folder. */
#ifndef COUNTERSIGN_APPROVALS_AUDIT_H
#define COUNTERSIGN_APPROVALS_AUDIT_H

#include "authz/chain.h"

#include <jansson.h>

struct audit;

/* folder holds authz.db (and authz.db-wal, if it was copied from a running gateway). CORRUPT: something was altered, and err says what. NOT_FOUND, IO_FAILED. */
MUST_CHECK enum status audit_open(const char *folder, const char *instance, const unsigned char log_key[32], struct audit **out, struct err *err);
void audit_close(struct audit *a);               /* NULL is fine */
uint64_t audit_leaves(const struct audit *a);
uint64_t audit_erased_leaves(const struct audit *a);   /* whose content was erased by retention */
/* Does the log, as it was when it had that many leaves, have this root? CORRUPT says why not: it was cut, or it is another log. */
MUST_CHECK enum status audit_meets(struct audit *a, const struct chain_head *checkpoint, struct err *err);
/* Each logged segment, by session and number: { session, number, digest, bytes }. */
typedef enum status audit_segment_call(void *to, const json_t *segment, struct err *err);
MUST_CHECK enum status audit_segments(struct audit *a, audit_segment_call *call, void *to, struct err *err);
/* The log as GET /api/v1/log gives it, in one piece: { leaves, head, session }, with the content of those about this session. */
MUST_CHECK enum status audit_log(struct audit *a, const char *session, json_t **out, struct err *err);
/* Does a leaf say that this session's recording was deleted by retention? */
bool audit_erased(struct audit *a, const char *session);

#endif
