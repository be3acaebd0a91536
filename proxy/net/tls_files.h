/* tls_files: what the config's PEM files give a TLS context. Everything is read with file_read(), since a confined process cannot open such files by itself (proxy/base/window.h), and OpenSSL's own
 * functions would try. */
#ifndef COUNTERSIGN_TLS_FILES_H
#define COUNTERSIGN_TLS_FILES_H

#include "proxy/base/status.h"

#include <openssl/ssl.h>

/* The first certificate of the file and its chain, and the key that belongs to it. BAD_CONFIG: the text says of which file, and why. what: "server certificate" ... in that text. */
MUST_CHECK enum status tls_use_pair(SSL_CTX *ctx, const char *what, const char *certificate, const char *key, struct err *err);
/* The authorities of the file, for verifying. */
MUST_CHECK enum status tls_use_authorities(SSL_CTX *ctx, const char *path, struct err *err);
/* Their names, told to clients that are asked for a certificate. */
MUST_CHECK enum status tls_name_authorities(SSL_CTX *ctx, const char *path, struct err *err);

#endif
