/* cose: a public key as authenticators write it (RFC 9052 s7, RFC 9053), to OpenSSL's. Exactly the members of each kind, each once:
 *   ES256  { 1: 2, 3: -7,   -1: 1, -2: x (32), -3: y (32) }, a point of P-256, uncompressed
 *   EdDSA  { 1: 1, 3: -8,   -1: 6, -2: x (32) }, Ed25519
 *   RS256  { 1: 3, 3: -257, -1: n (256 to 512), -2: e = 65537 } */
#ifndef COUNTERSIGN_COSE_H
#define COUNTERSIGN_COSE_H

#include "authz/webauthn.h"

/* Take one key off the front. *key_out is the caller's to EVP_PKEY_free. BAD_TOKEN. */
MUST_CHECK enum status cose_key_take(struct slice *in, enum webauthn_algorithm *alg_out, EVP_PKEY **key_out, struct err *err);

#endif
