/* rsa_key: an RSA public key from its two numbers, as JWK (RFC 7518 s6.3.1) and COSE (RFC 8230) carry them. Whether they are good ones is for the caller to check. */
#ifndef COUNTERSIGN_RSA_KEY_H
#define COUNTERSIGN_RSA_KEY_H

#include <openssl/bn.h>
#include <openssl/evp.h>

/* NULL: no memory, or n or e is NULL, or OpenSSL refuses them. The caller's to EVP_PKEY_free. */
EVP_PKEY *rsa_public_key(const BIGNUM *n, const BIGNUM *e);

#endif
