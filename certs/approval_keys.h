/* approval_keys: the public keys whose signature counts as a yes. A name alone never approves: a key must stand here.
 *
 * The file (setting `approval_keys`) has one key a line, '#' comments and empty lines allowed:
 *     person SP fingerprint SP base64url(SubjectPublicKeyInfo DER) SP not-after (seconds since the Epoch)
 * fingerprint is SHA-256 of the DER, base64url, and must agree with it. `countersign certs issue --approver` adds a line; `certs
 * revoke` removes it. authz logs each key it sees for the first time as a leaf `key.registered`. */
#ifndef COUNTERSIGN_APPROVAL_KEYS_H
#define COUNTERSIGN_APPROVAL_KEYS_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <openssl/evp.h>
#include <stdint.h>

struct approval_key {
    char *person;
    char fingerprint[44];
    EVP_PKEY *key;
    int64_t not_after_s;
};

struct approval_keys {
    struct approval_key *v;
    size_t count;
};

MUST_CHECK enum status approval_keys_load(const char *path, struct approval_keys *out, struct err *err);
void approval_keys_done(struct approval_keys *k);
/* NULL: not registered. */
const struct approval_key *approval_keys_find(const struct approval_keys *k, struct slice fingerprint);
/* Append one; the file is made if need be. EXISTS when the fingerprint stands there. */
MUST_CHECK enum status approval_keys_add(const char *path, const char *person, EVP_PKEY *key, int64_t not_after_s, struct err *err);
/* Remove by fingerprint; NOT_FOUND. */
MUST_CHECK enum status approval_keys_remove(const char *path, struct slice fingerprint, struct err *err);

#endif
