/* p12: a key and its certificate as one PKCS#12 file, for browsers and system key stores.
 *
 * PBES2 (PBKDF2-HMAC-SHA256, AES-256-CBC) and an HMAC-SHA256 with an 8-byte salt: what OpenSSL 3 writes by default, which NSS, Chromium,
 * curl, Windows and current macOS read. (macOS 13 and older read only SHA-1 and 3DES; `openssl pkcs12 -export -legacy` makes such a file.) */
#ifndef COUNTERSIGN_P12_H
#define COUNTERSIGN_P12_H

#include "certs/pem.h"

enum { P12_PASSWORD_MIN = 4, P12_PASSWORD_MAX = 128, P12_PASSWORD_MADE = 25 };

/* Printable ASCII of P12_PASSWORD_MIN to MAX bytes: programs disagree on how other characters are coded. */
bool p12_password_ok(const char *password);
/* "abcde-fghij-klmno-pqrst", 100 random bits, letters and digits that are not mistaken for each other. Aborts without randomness. */
void p12_password_make(char out[P12_PASSWORD_MADE]);
/* Write path, mode 0600. `label` is the name that key stores show. */
MUST_CHECK enum status p12_write(const char *path, const char *password, const char *label, EVP_PKEY *key, X509 *cert, X509 *root,
                                 struct err *err);

#endif
