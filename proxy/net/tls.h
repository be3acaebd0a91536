/* tls: the server's TLS context (RFC 8446, RFC 5246 with modern suites only); that towards tools is upstream_tls.c.
 *
 * The handshake asks for a client certificate but does not fail without a good one: verification is trust_check's (certs/trust.h), after every handshake, resumed
 * ones too, so that a person without a valid certificate can be told what is wrong. The client still proves that it holds the certificate's key (CertificateVerify). */
#ifndef COUNTERSIGN_TLS_H
#define COUNTERSIGN_TLS_H

#include "config/config.h"

#include <openssl/ssl.h>

/* TLS 1.2 and 1.3, ALPN h2 then http/1.1, tickets (in TLS 1.3 only when stream_ticket asks for one; in TLS 1.2 none, since a resumed session there would not say
 * which host it asks for), no early data, no renegotiation, no compression. */
MUST_CHECK enum status tls_server_context(const struct config *c, SSL_CTX **out, struct err *err);
/* What both directions have in common: TLS 1.2 and 1.3, modern suites and groups. */
void tls_harden(SSL_CTX *ctx);

#endif
