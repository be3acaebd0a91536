/* seal: held requests at rest. A held body may be a customer list, so it is kept encrypted under a key that only authz reads, and is
 * erased when it is used, denied, cancelled or expired.
 *
 * A file FOLDER/ID.sealed: "CSHELD1\n", 12 bytes nonce, AES-256-GCM ciphertext, 16 bytes tag. The id is authenticated too, so that
 * swapping two files is noticed. */
#ifndef COUNTERSIGN_SEAL_H
#define COUNTERSIGN_SEAL_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <stdbool.h>

enum { SEAL_KEY_LEN = 32 };
struct seal_key {
    unsigned char bytes[SEAL_KEY_LEN];
};

/* Raw 32 bytes, mode 0600. */
MUST_CHECK enum status seal_key_load(const char *path, struct seal_key *out, struct err *err);
/* Names of customers in leaves that only say that a value was counted: base64url of HMAC-SHA256 under a key made of this one for nothing else. Equal values are equal; without the key none can be guessed. */
enum { SEAL_HASH_LEN = 43 };
void seal_hash(const struct seal_key *k, const char *name, const char *value, char out[SEAL_HASH_LEN + 1]);
void seal_key_wipe(struct seal_key *k);

/* Written and fsynced when it returns. */
MUST_CHECK enum status seal_write(const struct seal_key *k, const char *folder, const char *id, struct slice content, struct err *err);
/* *out is malloc'd. NOT_FOUND; CORRUPT: altered, or under another key. */
MUST_CHECK enum status seal_read(const struct seal_key *k, const char *folder, const char *id, size_t max_bytes, unsigned char **out,
                                 size_t *len_out, struct err *err);
/* Gone already is fine. */
void seal_erase(const char *folder, const char *id);
/* Erase every sealed file whose id `keep` does not want: what a crash left between file and transaction. */
void seal_sweep(const char *folder, bool (*keep)(void *arg, const char *id), void *arg);

#endif
