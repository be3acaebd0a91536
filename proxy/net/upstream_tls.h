/* upstream_tls: TLS towards tools: whom to believe (upstream_ca, upstream_pins, upstream_name), who we are (upstream_certificate), what is spoken (upstream_http, by ALPN). */
#ifndef COUNTERSIGN_UPSTREAM_TLS_H
#define COUNTERSIGN_UPSTREAM_TLS_H

#include "config/config.h"
#include "proxy/net/upstream.h"

#include <openssl/ssl.h>

/* For a tool whose upstreams are https; it is borrowed for the context's life. BAD_CONFIG: a file that can't be used. */
MUST_CHECK enum status upstream_tls_context(const struct tool *tool, SSL_CTX **out, struct err *err);
/* For one connection: name, SNI, ALPN (websocket: HTTP/1.1 only, unless upstream_http is "2"). NULL: no memory. */
SSL *upstream_tls_new(SSL_CTX *ctx, const struct tool *tool, const struct upstream_address *a, bool websocket);
/* Why a handshake failed, in words; *f_out UPSTREAM_UNTRUSTED if it was the certificate. Valid until the next call in this thread. Drains the error queue. */
const char *upstream_tls_reason(SSL *ssl, enum upstream_failure *f_out);
/* Can the files of every https tool be used? */
MUST_CHECK enum status upstream_tls_check(const struct config *c, struct err *err);

#endif
