/* test_server: for the unit tests of this folder only: a small HTTPS server in a thread, with a throw-away CA, that demands a client certificate, keeps what it was asked, and answers
 * what the test's function says. One connection at a time, HTTP/1.1, Connection: close. */
#ifndef COUNTERSIGN_TEST_SERVER_H
#define COUNTERSIGN_TEST_SERVER_H

#include "certs/ca.h"
#include "proxy/base/clock.h"
#include "proxy/commands/profile.h"

#include <arpa/inet.h>
#include <ftw.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

/* One request as it came: head and body, NUL-terminated. The answer is the whole HTTP/1.1 message, malloc'd. */
struct test_request {
    char method[8], path[256], head[4096];
    char *body;
};
typedef char *test_answer_fn(void *user, const struct test_request *r, size_t *len_out);

struct test_server {
    char folder[64], gateway[64], cert[96], key[96], ca[96];   /* alice's, as a profile wants them */
    EVP_PKEY *person_key;
    int fd;
    SSL_CTX *ctx;
    pthread_t thread;
    test_answer_fn *answer;
    void *user;
    unsigned asked;                   /* requests that came through */
    char log[4096];                   /* "METHOD path\n" of each */
};

__attribute__((unused)) static char *test_http(unsigned status, const char *type, const char *body, size_t *len_out)
{
    char *out = NULL;
    int n = asprintf(&out, "HTTP/1.1 %u X\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", status, type, strlen(body), body);
    assert_true(n > 0);
    *len_out = (size_t)n;
    return out;
}

static void test_read_request(SSL *ssl, struct test_request *r)
{
    size_t n = 0, want = 0;
    char *end = NULL;
    while (end == NULL && n < sizeof r->head - 1) {
        int got = SSL_read(ssl, r->head + n, 1);
        if (got <= 0)
            return;
        r->head[++n] = 0;
        end = strstr(r->head, "\r\n\r\n");
    }
    sscanf(r->head, "%7s %255s", r->method, r->path);
    const char *length = strcasestr(r->head, "\r\ncontent-length:");
    want = length != NULL ? strtoul(length + 17, NULL, 10) : 0;
    r->body = calloc(1, want + 1);
    for (size_t have = 0; have < want;) {
        int got = SSL_read(ssl, r->body + have, (int)(want - have));
        if (got <= 0)
            return;
        have += (size_t)got;
    }
}

static void test_serve_one(struct test_server *s, int fd)
{
    SSL *ssl = SSL_new(s->ctx);
    SSL_set_fd(ssl, fd);
    struct test_request r = { .body = NULL };
    if (SSL_accept(ssl) == 1)
        test_read_request(ssl, &r);
    if (r.body != NULL) {
        size_t len = 0, n = strlen(s->log);
        s->asked++;
        snprintf(s->log + n, sizeof s->log - n, "%s %s\n", r.method, r.path);
        char *out = s->answer(s->user, &r, &len);
        for (size_t at = 0; at < len;) {
            int wrote = SSL_write(ssl, out + at, (int)(len - at));
            if (wrote <= 0)
                break;
            at += (size_t)wrote;
        }
        free(out);
        SSL_shutdown(ssl);
    }
    free(r.body);
    SSL_free(ssl);
    close(fd);
}

static void *test_serve(void *arg)
{
    struct test_server *s = arg;
    for (int fd; (fd = accept(s->fd, NULL, NULL)) >= 0;)
        test_serve_one(s, fd);
    return NULL;
}

static void test_write_pki(struct test_server *s)
{
    char path[128];
    char *name = strdup("console.acme.localhost");
    struct ca *ca = NULL;
    EVP_PKEY *server_key = NULL;
    X509 *cert = NULL, *server_cert = NULL;
    struct err err;
    snprintf(path, sizeof path, "%s/ca", s->folder);
    assert_int_equal(ca_create(path, "acme", "acme.localhost", clock_wall_s(), &err), OK);
    assert_int_equal(ca_open(path, &ca, &err), OK);
    assert_int_equal(key_make(KEY_P256, &s->person_key, &err), OK);
    assert_int_equal(key_make(KEY_P256, &server_key, &err), OK);
    assert_int_equal(ca_issue_person(ca, "carol", "carol@acme.localhost", s->person_key, 1, clock_wall_s(), &cert, &err), OK);
    assert_int_equal(ca_issue_server(ca, &name, 1, server_key, clock_wall_s(), &server_cert, &err), OK);
    assert_int_equal(key_write(s->key, s->person_key, &err), OK);
    assert_int_equal(pem_write_certs(s->cert, (X509 *[]){ cert }, 1, 0644, &err), OK);
    assert_int_equal(pem_write_certs(s->ca, (X509 *[]){ ca_server_root(ca) }, 1, 0644, &err), OK);
    s->ctx = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(s->ctx, server_cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(s->ctx, server_key), 1);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(s->ctx), ca_root(ca));
    SSL_CTX_set_verify(s->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_session_id_context(s->ctx, (const unsigned char *)"t", 1);
    X509_free(cert);
    X509_free(server_cert);
    EVP_PKEY_free(server_key);
    ca_close(ca);
    free(name);
}

static void test_server_start(struct test_server *s, test_answer_fn *answer, void *user)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    *s = (struct test_server){ .folder = "/tmp/countersign-unit-XXXXXX", .answer = answer, .user = user };
    assert_non_null(mkdtemp(s->folder));
    snprintf(s->cert, sizeof s->cert, "%s/carol.pem", s->folder);
    snprintf(s->key, sizeof s->key, "%s/carol.key", s->folder);
    snprintf(s->ca, sizeof s->ca, "%s/ca.pem", s->folder);
    test_write_pki(s);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(s->fd, 8), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
    snprintf(s->gateway, sizeof s->gateway, "https://console.acme.localhost:%u", ntohs(a.sin_port));
    signal(SIGPIPE, SIG_IGN);             /* a client that does not trust us hangs up */
    setenv("HOME", s->folder, 1);         /* no profile of the machine's owner */
    unsetenv("XDG_CONFIG_HOME");
    assert_int_equal(pthread_create(&s->thread, NULL, test_serve, s), 0);
}

static int test_remove_one(const char *path, const struct stat *sb, int kind, struct FTW *walk)
{
    (void)sb, (void)kind, (void)walk;
    return remove(path);
}

static void test_server_stop(struct test_server *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    SSL_CTX_free(s->ctx);
    EVP_PKEY_free(s->person_key);
    assert_int_equal(nftw(s->folder, test_remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

__attribute__((unused)) static struct profile test_profile(const struct test_server *s)
{
    return (struct profile){ .gateway = s->gateway, .cert = s->cert, .key = s->key, .ca = s->ca };
}

#endif
