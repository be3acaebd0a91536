/* ca_cert: how each of our certificates looks (RFC 5280), one function a kind. */
#ifndef COUNTERSIGN_CA_CERT_H
#define COUNTERSIGN_CA_CERT_H

#include "certs/pem.h"

#include <stdint.h>

struct cert_times {
    int64_t not_before_s, not_after_s;
};

/* A self-signed root: basicConstraints CA, pathlen 0; keyCertSign and cRLSign. permit: NULL, or the only domain it may sign for (and no IP
 * address): critical nameConstraints. */
MUST_CHECK enum status cert_make_root(const char *instance, const char *common_name, const char *permit, EVP_PKEY *key, struct cert_times times,
                                      X509 **out, struct err *err);
/* clientAuth, digitalSignature, one rfc822Name. */
MUST_CHECK enum status cert_make_person(X509 *root, EVP_PKEY *root_key, const char *name, const char *identity, EVP_PKEY *key,
                                        struct cert_times times, X509 **out, struct err *err);
/* serverAuth, digitalSignature, dNSNames. */
MUST_CHECK enum status cert_make_server(X509 *root, EVP_PKEY *root_key, char *const *names, size_t count, EVP_PKEY *key, struct cert_times times,
                                        X509 **out, struct err *err);
/* The domain a root made with `permit` may sign for, malloc'd; NULL: it is not limited. */
char *cert_permitted_domain(X509 *root);

struct revoked_cert {
    const char *serial;                  /* hex */
    int64_t revoked_s;
    const char *reason;                  /* RFC 5280 name */
};
bool cert_reason_code(const char *reason, int *out);
MUST_CHECK enum status cert_make_crl(X509 *root, EVP_PKEY *root_key, const struct revoked_cert *revoked, size_t count, int64_t number,
                                     struct cert_times times, X509_CRL **out, struct err *err);
/* The number of a CRL, 0 if it has none. */
int64_t cert_crl_number(X509_CRL *crl);

#endif
