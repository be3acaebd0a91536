#include "tests/load/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *why_ssl(void)
{
    unsigned long e = ERR_get_error();
    ERR_clear_error();
    const char *text = e ? ERR_reason_error_string(e) : NULL;
    return text ? text : "connection closed";
}

bool tls_setup(struct options *o)
{
    static const unsigned char h1[] = "\x08http/1.1", h2[] = "\x02h2";
    signal(SIGPIPE, SIG_IGN);
    o->tls = SSL_CTX_new(TLS_client_method());
    if (o->tls == NULL)
        return false;
    SSL_CTX_set_mode(o->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | (o->idle ? SSL_MODE_RELEASE_BUFFERS : 0));
    SSL_CTX_set_verify(o->tls, SSL_VERIFY_PEER, NULL);
    const unsigned char *alpn = o->http == 2 ? h2 : h1;
    bool ok = SSL_CTX_load_verify_file(o->tls, o->ca) == 1
        && (o->cert == NULL || SSL_CTX_use_certificate_chain_file(o->tls, o->cert) == 1)
        && (o->key == NULL || SSL_CTX_use_PrivateKey_file(o->tls, o->key, SSL_FILETYPE_PEM) == 1)
        && (o->cipher == NULL || (SSL_CTX_set_ciphersuites(o->tls, o->cipher) == 1 && SSL_CTX_set_min_proto_version(o->tls, TLS1_3_VERSION) == 1))
        && (o->group == NULL || SSL_CTX_set1_groups_list(o->tls, o->group) == 1)
        && SSL_CTX_set_alpn_protos(o->tls, alpn, (unsigned)strlen((const char *)alpn)) == 0;
    if (!ok)
        fprintf(stderr, "cs_load: certificate, key, CA, cipher or group: %s\n", why_ssl());
    return ok;
}

static bool failed(struct worker *w, const char *what, const char *why)
{
    snprintf(w->error, sizeof w->error, "%s: %s", what, why);
    tls_close(w);
    return false;
}

static bool tcp_open(struct worker *w)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(w->o->port, NULL, 10)) };
    struct timeval patience = { .tv_sec = w->o->timeout_s };
    int one = 1;
    if (inet_pton(AF_INET, w->o->address, &to.sin_addr) != 1)
        return failed(w, "connect", "not a numeric IPv4 address");
    w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (w->fd < 0)
        return failed(w, "socket", strerror(errno));
    setsockopt(w->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(w->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(w->fd, (struct sockaddr *)&to, sizeof to) != 0)
        return failed(w, "connect", strerror(errno));
    return true;
}

bool tls_open(struct worker *w, bool nonblocking)
{
    const unsigned char *alpn = NULL;
    unsigned alpn_len = 0;
    if (!tcp_open(w))
        return false;
    ERR_clear_error();
    w->ssl = SSL_new(w->o->tls);
    if (w->ssl == NULL || SSL_set_fd(w->ssl, w->fd) != 1 || SSL_set1_host(w->ssl, w->o->host) != 1
        || SSL_set_tlsext_host_name(w->ssl, w->o->host) != 1)
        return failed(w, "tls", why_ssl());
    if (SSL_connect(w->ssl) != 1)
        return failed(w, "handshake", why_ssl());
    SSL_get0_alpn_selected(w->ssl, &alpn, &alpn_len);
    if (w->o->http == 2 && (alpn_len != 2 || memcmp(alpn, "h2", 2) != 0))
        return failed(w, "alpn", "the server did not choose h2");
    if (nonblocking)
        fcntl(w->fd, F_SETFL, fcntl(w->fd, F_GETFL) | O_NONBLOCK);
    return true;
}

void tls_close(struct worker *w)
{
    SSL_free(w->ssl);
    w->ssl = NULL;
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
}

bool tls_write_all(struct worker *w, const void *data, size_t len)
{
    const unsigned char *at = data;
    while (len > 0) {
        ERR_clear_error();
        int n = SSL_write(w->ssl, at, len > PIECE ? PIECE : (int)len);
        if (n <= 0) {
            snprintf(w->error, sizeof w->error, "write: %s", why_ssl());
            return false;
        }
        at += n;
        len -= (size_t)n;
    }
    return true;
}
