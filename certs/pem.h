/* pem: certificates, lists and private keys in files. Keys are PKCS#8, mode 0600, and refused when others can read them. */
#ifndef COUNTERSIGN_PEM_H
#define COUNTERSIGN_PEM_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <sys/types.h>

enum key_kind { KEY_P256, KEY_ED25519 };
/* "p256" or "ed25519"; false: neither. */
bool key_kind_parse(const char *text, enum key_kind *out);
MUST_CHECK enum status key_make(enum key_kind kind, EVP_PKEY **out, struct err *err);
/* Is it a P-256 (named curve) or Ed25519 key? The kinds this product signs with. */
bool key_kind_of(EVP_PKEY *key, enum key_kind *out);
MUST_CHECK enum status key_write(const char *path, EVP_PKEY *key, struct err *err);
MUST_CHECK enum status key_read(const char *path, EVP_PKEY **out, struct err *err);

/* Every certificate of a PEM file, at least one; the caller frees with sk_X509_pop_free(x, X509_free). */
MUST_CHECK enum status pem_read_certs(const char *path, STACK_OF(X509) **out, struct err *err);
/* Every CRL of a PEM file, at least one. NOT_FOUND: there is no such file. */
MUST_CHECK enum status pem_read_crls(const char *path, STACK_OF(X509_CRL) **out, struct err *err);
/* The first certificate of a file. */
MUST_CHECK enum status pem_read_cert(const char *path, X509 **out, struct err *err);
/* Certificates one after the other; NULLs are skipped. */
MUST_CHECK enum status pem_write_certs(const char *path, X509 *const *certs, size_t count, mode_t mode, struct err *err);
MUST_CHECK enum status pem_write_crl(const char *path, X509_CRL *crl, struct err *err);

#endif
