#include "proxy/replay/httpd.h"

#include "proxy/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void handler(void *to, const struct httpd_request *q, struct httpd_answer *a)
{
    ++*(unsigned *)to;
    if (slice_eq(q->m->path, SLICE("/large"))) {
        a->owned = calloc(1, 3 << 20);
        a->body = slice_of(a->owned, 3 << 20);
        a->status = 200;
    } else if (slice_eq(q->m->path, SLICE("/late"))) {
        httpd_text(a, 200, "late\n");
        a->delay_ms = 50;
    } else if (slice_eq(q->m->path, SLICE("/dirty"))) {
        httpd_text(a, 200, "x");
        httpd_field(a, "x-a", SLICE("a\r\nset-cookie: b"));
    } else if (slice_eq(q->m->path, SLICE("/echo"))) {
        a->status = 200;
        a->body = arena_copy(a->arena, q->body);
    } else {
        httpd_text(a, 200, "hello\n");
    }
}

struct desk {
    struct httpd *h;
    uint16_t port;
    unsigned asked;
    sigset_t none;
};

static void setup(struct desk *d)
{
    struct err err = { "" };
    *d = (struct desk){ 0 };
    sigemptyset(&d->none);
    assert_int_equal(httpd_new(&d->h), OK);
    if (httpd_listen(d->h, &d->port, true, handler, &d->asked, &err) != OK)
        fail_msg("%s", err.text);
}

static int dial(const struct desk *d)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(d->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

/* Send in pieces of `piece` bytes, and read until so much has come or the server ends it. */
static size_t talk(struct desk *d, int fd, const char *request, size_t piece, char *out, size_t max, const char *until)
{
    struct err err;
    size_t len = strlen(request), sent = 0, got = 0;
    int64_t end_ms = clock_mono_ms() + 20000;
    out[0] = 0;
    while (clock_mono_ms() < end_ms) {
        if (sent < len) {
            ssize_t n = send(fd, request + sent, len - sent < piece ? len - sent : piece, MSG_NOSIGNAL);
            sent += n > 0 ? (size_t)n : len;
        }
        assert_int_equal(httpd_turn(d->h, 10, &d->none, &err), OK);
        ssize_t n = recv(fd, out + got, max - got - 1, MSG_DONTWAIT);
        if (n == 0)
            break;
        got += n > 0 ? (size_t)n : 0;
        out[got] = 0;
        if (until != NULL && strstr(out, until) != NULL && sent == len)
            break;
    }
    return got;
}

static void requests(void **state)
{
    (void)state;
    static const struct { const char *name, *request, *wanted; } cases[] = {
        { "plain", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "hello\n" }, { "HEAD has no body", "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", "6\r\n\r\n" },
        { "a body", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "abc" },
        { "a chunked body", "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "abc" }, { "two at once", "GET / HTTP/1.1\r\nHost: x\r\n\r\nPOST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nsecond", "second" },
        { "late", "GET /late HTTP/1.1\r\nHost: x\r\n\r\n", "late\n" }, { "a field that would be two", "GET /dirty HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 500 " },
        { "no Host", "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 " }, { "bare LF", "GET / HTTP/1.1\nHost: x\n\n", "HTTP/1.1 400 " }, { "two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 400 " },
        { "dot segments", "GET /a/../b HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 " }, { "too large a body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", NULL },
        { "HTTP/0.9", "GET /\r\n\r\n", "HTTP/1.1 400 " }, { "a tunnel", "CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", "HTTP/1.1 501 " },
    };
    char out[8192];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t piece = 1; piece <= 1000; piece += 999) {
            struct desk d;
            setup(&d);
            int fd = dial(&d);
            if (cases[i].wanted != NULL)
                talk(&d, fd, cases[i].request, piece, out, sizeof out, cases[i].wanted);
            if (cases[i].wanted != NULL && strstr(out, cases[i].wanted) == NULL)
                fail_msg("%s: %s", cases[i].name, out);
            assert_null(strstr(out, "\r\nset-cookie"));
            close(fd);
            httpd_free(d.h);
        }
}

/* A body that announces little and sends more than may be: it is refused before it is all here. */
static void a_body_without_end(void **state)
{
    (void)state;
    struct desk d;
    struct err err;
    char piece[8192], out[512] = "";
    setup(&d);
    int fd = dial(&d);
    const char *head = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n";
    assert_int_equal(send(fd, head, strlen(head), 0), (ssize_t)strlen(head));
    memset(piece, 'a', sizeof piece);
    for (int i = 0; i < 2000 && strstr(out, "413") == NULL; i++) {
        (void)!send(fd, piece, sizeof piece, MSG_DONTWAIT | MSG_NOSIGNAL);
        assert_int_equal(httpd_turn(d.h, 1, &d.none, &err), OK);
        ssize_t n = recv(fd, out, sizeof out - 1, MSG_DONTWAIT);
        if (n > 0)
            out[n] = 0;
        else if (n == 0)
            break;
    }
    assert_non_null(strstr(out, "HTTP/1.1 413 "));
    assert_int_equal(d.asked, 0);
    close(fd);
    httpd_free(d.h);
}

static void more_connections_than_it_keeps(void **state)
{
    (void)state;
    struct desk d;
    struct err err;
    char *out = malloc(4 << 20);
    int fds[120];
    setup(&d);
    for (size_t i = 0; i < 120; i++) {
        fds[i] = dial(&d);
        assert_int_equal(httpd_turn(d.h, 10, &d.none, &err), OK);
    }
    assert_true(talk(&d, fds[119], "GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 1000, out, 4 << 20, NULL) > 3 << 20);
    for (size_t i = 0; i < 120; i++)
        close(fds[i]);
    free(out);
    httpd_free(d.h);
}

static void a_port_that_is_taken(void **state)
{
    (void)state;
    struct desk d;
    struct err err;
    setup(&d);
    struct httpd *other;
    uint16_t port = d.port;
    assert_int_equal(httpd_new(&other), OK);
    assert_int_equal(httpd_listen(other, &port, false, handler, &d.asked, &err), EXISTS);
    httpd_free(other);
    httpd_free(d.h);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(requests), cmocka_unit_test(a_body_without_end), cmocka_unit_test(more_connections_than_it_keeps), cmocka_unit_test(a_port_that_is_taken) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
