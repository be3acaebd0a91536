/* twin: the other form of a certificate that its CA signed with ECDSA.
 *
 * Of a signature (r, s) everybody can make (r, n - s), which holds just as well: the same certificate with another thumbprint, and no CA is needed for it. A lock on
 * a thumbprint must therefore hold for both. Revocation goes by serial and grants are bound to one form only, so neither cares. */
#ifndef COUNTERSIGN_TWIN_H
#define COUNTERSIGN_TWIN_H

#include "certs/trust.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

/* The thumbprint (base64url) of cert's other form; issuer: the key that signed it. "": there is none. */
void certificate_twin(X509 *cert, EVP_PKEY *issuer, char x5t[X5T_LEN + 1]);

#endif
