/* jwt: compact JWS tokens, ours ES256 only, through libjwt, others' (jwt_keys_foreign) RS256 too, through OpenSSL; and detached signatures by people's keys through OpenSSL. The only
 * file that calls libjwt, so that its next major version is a change of one file.
 *
 * Order of checks (RFC 8725): length, three parts, header re-read strictly (no duplicates, no `crit`, alg "ES256", known kid),
 * signature with that one key, then the payload re-read strictly, then iss, aud, use, times, maximum lifetime. */
#ifndef COUNTERSIGN_JWT_H
#define COUNTERSIGN_JWT_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>

enum { TOKEN_MAX = 4096 };

struct jwt_keys;                         /* public keys by kid; immutable once made */
struct jwt_signer;                       /* one P-256 private key with its kid */

/* From a JWKS object { "keys": [ {kty EC, crv P-256, x, y, kid, alg ES256} ... ] }. */
MUST_CHECK enum status jwt_keys_from_jwks(const json_t *jwks, struct jwt_keys **out, struct err *err);
void jwt_keys_free(struct jwt_keys *k);

/* The keys of somebody else's JWKS, for ES256 (EC, P-256) and RS256 (RSA, 2048 to 4096 bits, exponent 65537), where these are wanted. Each key is for the one algorithm that
 * it says or that its type gives; jwt_verify() takes no other. Keys that are not for signatures (`use`), or for an algorithm that is not wanted, are passed over; one that is
 * broken, weak or private, without a kid or with one that stands there twice, makes the whole of it BAD_INPUT, as does a JWKS of which no key is left. */
MUST_CHECK enum status jwt_keys_foreign(const json_t *jwks, bool es256, bool rs256, struct jwt_keys **out, struct err *err);
/* Does this set hold a key with this fingerprint, of this kid? (NULL: of any.) */
bool jwt_keys_have(const struct jwt_keys *k, const char *kid, const char *fingerprint);
/* A key that both sets hold: its kid in the first; NULL: none. */
const char *jwt_keys_shared(const struct jwt_keys *a, const struct jwt_keys *b);

/* From a PEM private key file (0600). kid is the RFC 7638 thumbprint. */
MUST_CHECK enum status jwt_signer_load(const char *path, struct jwt_signer **out, struct err *err);
void jwt_signer_free(struct jwt_signer *s);
/* A JWKS object with the public half. */
json_t *jwt_signer_jwks(const struct jwt_signer *s);
/* Append the public half of a further key (a PEM file with a P-256 private or public key) to a JWKS object. NOT_FOUND: there is no such file. EXISTS: it
 * stands there already. */
MUST_CHECK enum status jwt_jwks_add(json_t *jwks, const char *path, struct err *err);
/* Sign claims; out is malloc'd, NUL-terminated. */
MUST_CHECK enum status jwt_sign(const struct jwt_signer *s, const json_t *claims, char **out, struct err *err);

struct jwt_expect {
    const char *iss, *aud, *use;         /* all must be equal; aud is one string */
    int64_t now_s;
    int64_t max_lifetime_s;              /* exp - iat at most */
};
/* Verify; *claims_out is the payload object, the caller's to json_decref. BAD_TOKEN or EXPIRED. */
MUST_CHECK enum status jwt_verify(const struct jwt_keys *k, struct slice token, const struct jwt_expect *expect,
                                  json_t **claims_out, struct err *err);

/* Detached JWS over payload bytes (RFC 7515 appendix F: header..signature, compact with an empty middle part), header
 * exactly {"alg":"ES256","kid":kid} or {"alg":"EdDSA","kid":kid} by the key's type (P-256 or Ed25519). */
MUST_CHECK enum status jws_sign_detached(EVP_PKEY *key, const char *kid, struct slice payload, char **out, struct err *err);
/* key and kid are what was registered; the header must name exactly them. BAD_TOKEN. */
MUST_CHECK enum status jws_verify_detached(EVP_PKEY *key, const char *kid, struct slice jws, struct slice payload, struct err *err);
/* SHA-256 over the SubjectPublicKeyInfo DER, base64url: how an approval key is named (kid). out holds 44 bytes. */
void key_fingerprint(EVP_PKEY *key, char out[44]);

#endif
