/* verified: which leaf certificates were verified not long ago, so that whoever comes back is not verified bit by bit again: the signatures of a chain don't change. What does
 * change is asked each time: dates here, revocation by the caller. Each thread has a table of its own, of VERIFIED_MAX entries that overwrite each other.
 *
 * An entry is known by the SHA-256 of the whole leaf and by the number of the trust (trust.c) it was verified with: a reload makes a new trust, and knows nobody. */
#ifndef COUNTERSIGN_VERIFIED_H
#define COUNTERSIGN_VERIFIED_H

#include "certs/trust.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VERIFIED_MAX = 256, VERIFIED_ISSUERS_MAX = 6 };

struct verified {
    uint64_t trust;                   /* 0: an empty entry */
    unsigned char thumbprint[32];
    int64_t from_s, until_s;          /* all of the chain is valid: from_s <= now < until_s */
    uint16_t issuers[VERIFIED_ISSUERS_MAX];   /* the leaf's first, then that one's and so on up to the root: positions in the trust's list of CAs */
    size_t count;
    char twin[X5T_LEN + 1];           /* of the certificate; working it out costs 10 us, a hundredth of a handshake */
};

/* The entry, if its chain is valid at now_s. Borrowed until the next call in this thread. */
const struct verified *verified_find(uint64_t trust, const unsigned char thumbprint[32], int64_t now_s);
void verified_keep(const struct verified *v);

#endif
