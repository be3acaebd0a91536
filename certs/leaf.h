/* leaf: what a certificate says about itself, read with care. Whether it may be believed is trust.h's question.
 *
 *   address    = local "@" domain                          ; at most IDENTITY_MAX bytes, all ASCII
 *   local      = 1*atext *( "." 1*atext )                  ; RFC 5321 dot-string, at most 64 bytes; no quoted form
 *   domain     = label *( "." label )                      ; the last label is not all digits
 *   label      = ( ALPHA / DIGIT ) [ *( ALPHA / DIGIT / "-" ) ( ALPHA / DIGIT ) ]     ; at most 63 bytes */
#ifndef COUNTERSIGN_LEAF_H
#define COUNTERSIGN_LEAF_H

#include "certs/trust.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

/* Check an e-mail address and write it in lower case with a NUL. BAD_INPUT. */
MUST_CHECK enum status address_parse(struct slice text, char out[IDENTITY_MAX + 1]);
/* A host name: labels as above, at most 253 bytes, lower case in out (254 bytes); with `wildcard` the first label may be "*". */
MUST_CHECK enum status hostname_parse(struct slice text, bool wildcard, char out[254]);

/* Thumbprint, end and serial of any certificate, and its one address if it has exactly one that is well formed.
 * Returns CERT_GOOD or CERT_NO_IDENTITY; everything else in *out is filled either way. */
enum cert_state leaf_read(X509 *leaf, struct identity *out);
/* The purposes a person's certificate must have: not a CA nor with what only CAs have (keyCertSign, a path length, name constraints), clientAuth named in the EKU (an absent EKU or anyExtendedKeyUsage does not
 * count), digitalSignature when key usage is there. */
bool leaf_is_for_clients(X509 *leaf);

/* Seconds since the Epoch of an ASN.1 time; false: it is not one. */
bool asn1_time_s(const ASN1_TIME *t, int64_t *out);
/* Lower-case hex of a serial number; BAD_INPUT when it is negative or longer than 20 octets (RFC 5280 s4.1.2.2). */
MUST_CHECK enum status serial_hex(const ASN1_INTEGER *serial, char out[48]);
/* SHA-256 over the SubjectPublicKeyInfo DER, base64url: how an approval key is named. out holds 44 bytes. */
MUST_CHECK enum status spki_fingerprint(EVP_PKEY *key, char out[44]);

#endif
