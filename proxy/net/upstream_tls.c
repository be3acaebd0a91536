/* TLS towards tools: whom to believe, whom to say we are, which protocol. */
#include "proxy/net/upstream_tls.h"

#include "proxy/net/tls_files.h"

#include "config/forms.h"
#include "proxy/net/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

/* Is the leaf's public key one of the pinned ones? */
static bool pinned(const struct tool *t, X509 *leaf)
{
    unsigned char digest[EVP_MAX_MD_SIZE], pin[SPKI_PIN_BYTES], *der = NULL;
    unsigned len = 0;
    int der_len = leaf ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &der) : -1;
    bool found = false;
    if (der_len > 0 && EVP_Digest(der, (size_t)der_len, digest, &len, EVP_sha256(), NULL) == 1)
        for (size_t i = 0; i < t->upstream_pin_count; i++)
            found |= spki_pin_parse(t->upstream_pins[i], pin) && len == sizeof pin && CRYPTO_memcmp(pin, digest, sizeof pin) == 0;
    OPENSSL_free(der);
    return found;
}

static int verify(X509_STORE_CTX *ctx, void *arg)
{
    const struct tool *t = arg;
    if (t->upstream_ca != NULL && X509_verify_cert(ctx) <= 0)
        return 0;
    if (pinned(t, X509_STORE_CTX_get0_cert(ctx))) {
        X509_STORE_CTX_set_error(ctx, X509_V_OK);
        return 1;
    }
    X509_STORE_CTX_set_error(ctx, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

static enum status use_certificate(SSL_CTX *ctx, const struct tool *t, struct err *err)
{
    if (t->upstream_certificate == NULL)
        return OK;
    char what[96];
    snprintf(what, sizeof what, "tool '%s': upstream_certificate", t->name);
    return tls_use_pair(ctx, what, t->upstream_certificate, t->upstream_key, err);
}

static enum status use_authorities(SSL_CTX *ctx, const struct tool *t, struct err *err)
{
    if (t->upstream_pin_count > 0)
        SSL_CTX_set_cert_verify_callback(ctx, verify, (void *)(uintptr_t)t);
    if (t->upstream_ca == NULL && t->upstream_pin_count > 0)
        return OK;
    if (t->upstream_ca == NULL)
        return SSL_CTX_set_default_verify_paths(ctx) == 1 ? OK : fail(err, BAD_CONFIG, "tool '%s': the system's authorities: %s", t->name, ossl_reason());
    enum status st = tls_use_authorities(ctx, t->upstream_ca, err);
    if (st != OK)
        err_prefix(err, "tool '%s': upstream_ca '%s': ", t->name, t->upstream_ca);
    return st;
}

enum status upstream_tls_context(const struct tool *tool, SSL_CTX **out, struct err *err)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (ctx == NULL)
        return fail(err, NO_MEMORY, "TLS context");
    tls_harden(ctx);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    enum status st = use_authorities(ctx, tool, err);
    if (st == OK)
        st = use_certificate(ctx, tool, err);
    if (st == OK)
        *out = ctx;
    else
        SSL_CTX_free(ctx);
    return st;
}

static bool is_address(const char *host)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static bool offer(SSL *ssl, enum upstream_http http, bool websocket)
{
    static const unsigned char h1[] = "\x08http/1.1", h2[] = "\x02h2", both[] = "\x02h2\x08http/1.1";
    if (http == UPSTREAM_HTTP1 || (http == UPSTREAM_HTTP_AUTO && websocket))
        return SSL_set_alpn_protos(ssl, h1, sizeof h1 - 1) == 0;
    if (http == UPSTREAM_HTTP2)
        return SSL_set_alpn_protos(ssl, h2, sizeof h2 - 1) == 0;
    return SSL_set_alpn_protos(ssl, both, sizeof both - 1) == 0;
}

SSL *upstream_tls_new(SSL_CTX *ctx, const struct tool *tool, const struct upstream_address *a, bool websocket)
{
    SSL *ssl = SSL_new(ctx);
    const char *name = tool->upstream_name ? tool->upstream_name : a->host;
    if (ssl == NULL)
        return NULL;
    bool good;
    if (is_address(name))
        good = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name);
    else
        good = SSL_set1_host(ssl, name) && SSL_set_tlsext_host_name(ssl, name);
    if (!good || !offer(ssl, tool->upstream_http, websocket)) {
        ERR_clear_error();
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_connect_state(ssl);
    return ssl;
}

const char *upstream_tls_reason(SSL *ssl, enum upstream_failure *f_out)
{
    static _Thread_local char text[256];
    long verified = SSL_get_verify_result(ssl);
    if (verified == X509_V_ERR_APPLICATION_VERIFICATION)
        snprintf(text, sizeof text, "its public key is not one of upstream_pins");
    else if (verified != X509_V_OK)
        snprintf(text, sizeof text, "its certificate is not trusted: %s", X509_verify_cert_error_string(verified));
    else
        snprintf(text, sizeof text, "the TLS handshake failed: %s", ossl_reason());
    *f_out = verified != X509_V_OK ? UPSTREAM_UNTRUSTED : UPSTREAM_NOT_SENT;
    ERR_clear_error();
    return text;
}

enum status upstream_tls_check(const struct config *c, struct err *err)
{
    enum status st = OK;
    for (size_t i = 0; i < c->tool_count && st == OK; i++) {
        SSL_CTX *ctx = NULL;
        if (c->tools[i].upstreams[0].tls)
            st = upstream_tls_context(&c->tools[i], &ctx, err);
        SSL_CTX_free(ctx);
    }
    return st;
}
