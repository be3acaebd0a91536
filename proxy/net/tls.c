#include "proxy/net/tls.h"

#include "proxy/net/stream.h"
#include "proxy/net/tls_files.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static int accept_any(X509_STORE_CTX *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return 1;                         /* trust_check judges afterwards; see tls.h */
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned in_len,
                       void *arg)
{
    static const unsigned char ours[] = "\x02h2\x08http/1.1";
    (void)ssl;
    (void)arg;
    unsigned char *chosen = NULL;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof ours - 1, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static bool offers_tls13(SSL *ssl)
{
    const unsigned char *v = NULL;
    size_t len = 0;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_supported_versions, &v, &len) != 1)
        return false;
    for (size_t i = 1; i + 1 < len; i += 2)   /* a length, then versions of two bytes (RFC 8446 s4.2.1) */
        if (v[i] == 3 && v[i + 1] == 4)
            return true;
    return false;
}

/* A resumed TLS 1.2 session no longer says which host this handshake asked for (SSL_get_servername speaks of the first one), so that SNI and authority could not be
 * compared (RFC 6066 s3): no tickets there. In TLS 1.3 the name belongs to the handshake. */
static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
    (void)alert;
    (void)arg;
    if (!offers_tls13(ssl))
        SSL_set_options(ssl, SSL_OP_NO_TICKET);
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* What TLS 1.3 still has (RFC 8446 s4.2.3), for TLS 1.2 as well: neither SHA-1 nor DSA, which OpenSSL would take there. The PKCS#1 ones are TLS 1.2's. */
static const char signature_schemes[] = "ecdsa_secp256r1_sha256:ed25519:rsa_pss_rsae_sha256:ecdsa_secp384r1_sha384:rsa_pss_rsae_sha384:ecdsa_secp521r1_sha512:rsa_pss_rsae_sha512:"
                                        "ed448:rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:rsa_pkcs1_sha256:rsa_pkcs1_sha384:rsa_pkcs1_sha512";

void tls_harden(SSL_CTX *ctx)
{
    SSL_CTX_set1_sigalgs_list(ctx, signature_schemes);
    SSL_CTX_set_info_callback(ctx, stream_on_tls);
    SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);   /* whoever sends nothing but KeyUpdate doesn't keep a worker inside of one call: what one read(2) got is handled, and counted */
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20");
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ctx, 1);   /* one read(2) a record, not one for its header and one for the rest */
    SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384");
}

/* ---- further certificates, chosen by SNI ---- */

/* Each lives in a context of its own, which is never used for a connection. They go with the context that they belong to. */
struct pairs {
    size_t count;
    SSL_CTX *v[];
};

static void pairs_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
    struct pairs *p = ptr;
    (void)parent, (void)ad, (void)idx, (void)argl, (void)argp;
    for (size_t i = 0; p != NULL && i < p->count; i++)
        SSL_CTX_free(p->v[i]);
    free(p);
}

static int pairs_index;
static pthread_once_t pairs_once = PTHREAD_ONCE_INIT;

static void make_index(void)
{
    pairs_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, pairs_free);
}

static int choose_pair(SSL *ssl, void *arg)
{
    const struct pairs *p = arg;
    const char *host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    for (size_t i = 0; host != NULL && i < p->count; i++) {
        STACK_OF(X509) *chain = NULL;
        X509 *cert = SSL_CTX_get0_certificate(p->v[i]);
        if (X509_check_host(cert, host, strlen(host), X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) != 1)
            continue;
        SSL_CTX_get0_chain_certs(p->v[i], &chain);
        return SSL_use_cert_and_key(ssl, cert, SSL_CTX_get0_privatekey(p->v[i]), chain, 1);
    }
    ERR_clear_error();
    return 1;                         /* the main one */
}

static enum status use_more(SSL_CTX *ctx, const struct config *c, struct err *err)
{
    enum status st = OK;
    if (c->more_certificate_count == 0)
        return OK;
    pthread_once(&pairs_once, make_index);
    struct pairs *p = calloc(1, sizeof *p + c->more_certificate_count * sizeof *p->v);
    if (p == NULL || SSL_CTX_set_ex_data(ctx, pairs_index, p) != 1) {
        free(p);
        return fail(err, NO_MEMORY, "TLS context");
    }
    for (size_t i = 0; i < c->more_certificate_count && st == OK; i++) {
        SSL_CTX *one = SSL_CTX_new(TLS_server_method());
        if (one == NULL)
            return fail(err, NO_MEMORY, "TLS context");
        p->v[p->count++] = one;
        st = tls_use_pair(one, "server certificate", c->more_certificates[i].certificate, c->more_certificates[i].key, err);
    }
    SSL_CTX_set_cert_cb(ctx, choose_pair, p);
    return st;
}

enum status tls_server_context(const struct config *c, SSL_CTX **out, struct err *err)
{
    enum status st = OK;
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (ctx == NULL)
        return fail(err, NO_MEMORY, "TLS context");
    tls_harden(ctx);
    SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
    SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, accept_any, NULL);
    SSL_CTX_set_num_tickets(ctx, 0);  /* TLS 1.3: later, for those who stay; see stream_ticket */
    SSL_CTX_set_max_early_data(ctx, 0);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"countersign", 11);
    SSL_CTX_set_timeout(ctx, 3600);
    st = tls_use_pair(ctx, "server certificate", c->tls_certificate, c->tls_key, err);
    if (st == OK)
        st = use_more(ctx, c, err);
    if (st != OK)
        goto done;
    st = tls_name_authorities(ctx, c->client_ca, err);   /* they tell a browser which of the person's certificates to offer */
    if (st != OK) {
        err_prefix(err, "client CA file '%s': ", c->client_ca);
        goto done;
    }
    *out = ctx;
    ctx = NULL;
done:
    SSL_CTX_free(ctx);
    return st;
}
