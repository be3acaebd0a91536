/* jwt_internal: what jwt.c and jwt_foreign.c share. */
#ifndef COUNTERSIGN_JWT_INTERNAL_H
#define COUNTERSIGN_JWT_INTERNAL_H

#include "authz/jwt.h"

enum {
    JWKS_MAX = 32,          /* keys in one JWKS */
    KID_MAX = 128,
};

struct jwt_key {
    char kid[KID_MAX + 1];
    char fingerprint[44];   /* key_fingerprint() */
    char *pem;              /* P-256, for libjwt */
    int pem_len;
    EVP_PKEY *rsa;          /* or an RSA key: RS256 */
};

struct jwt_keys {
    struct jwt_key v[JWKS_MAX];
    size_t count;
    bool foreign;           /* RS256 is known */
};

/* A text of [A-Za-z0-9_-] only, so that it needs no escape anywhere. */
bool jwt_is_kid(const char *s);
const struct jwt_key *jwt_find_key(const struct jwt_keys *k, const char *kid);
/* Append the point x, y of a JWK. */
MUST_CHECK enum status jwt_add_p256(struct jwt_keys *keys, const json_t *jwk, const char *kid, struct err *err);
/* RS256 over the signing input; signature: base64url. */
MUST_CHECK enum status jwt_check_rsa(const struct jwt_key *key, struct slice input, struct slice signature, struct err *err);
/* jwt_verify(), and which key it was. Borrowed. */
MUST_CHECK enum status jwt_verify_by(const struct jwt_keys *k, struct slice token, const struct jwt_expect *expect, json_t **claims_out,
                                     const struct jwt_key **key_out, struct err *err);

#endif
