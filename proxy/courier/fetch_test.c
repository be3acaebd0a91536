/* fetch against a server of our own on loopback: what is bounded, what is refused, and that each is told once. */
#include "proxy/courier/fetch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static int listener = -1;
static char base[64];

static void put(int fd, const char *text)
{
    (void)!write(fd, text, strlen(text));
}

static void answer(int fd, const char *request)
{
    char block[4096];
    memset(block, 'x', sizeof block);
    if (strstr(request, " /ok ") != NULL)
        put(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=b\r\n\r\nhello");
    else if (strstr(request, " /post ") != NULL)
        put(fd, strstr(request, "\r\nX-One: 1\r\n") && strstr(request, "\r\n\r\nbody") ? "HTTP/1.1 204 No Content\r\n\r\n" : "HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n");
    else if (strstr(request, " /moved ") != NULL)
        put(fd, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
    else if (strstr(request, " /large ") != NULL) {
        put(fd, "HTTP/1.1 200 OK\r\n\r\n");
        for (int i = 0; i < 64; i++)
            if (write(fd, block, sizeof block) < 0)
                break;
    } else if (strstr(request, " /garbage ") != NULL)
        put(fd, "\x16\x03\x01 no\r\n\r\n");
    else if (strstr(request, " /cut ") != NULL)
        put(fd, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf");
    else if (strstr(request, " /slow ") != NULL)
        sleep(3);
}

static void *serve(void *arg)
{
    (void)arg;
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0; close(fd)) {
        char request[4096];
        ssize_t n = 0, got;
        do {
            got = read(fd, request + n, sizeof request - 1 - (size_t)n);
            n += got > 0 ? got : 0;
            request[n] = 0;
        } while (got > 0 && (strstr(request, "\r\n\r\n") == NULL || (strstr(request, "POST") == request && strstr(request, "\r\n\r\nbody") == NULL)));
        answer(fd, request);
    }
    return NULL;
}

static int set_up(void **state)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    static pthread_t thread;
    (void)state;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof a) | listen(listener, 16) | getsockname(listener, (struct sockaddr *)&a, &len), 0);
    snprintf(base, sizeof base, "http://127.0.0.1:%u", ntohs(a.sin_port));
    assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
    assert_int_equal(pthread_detach(thread), 0);
    return 0;
}

struct told {
    unsigned times, code;
    enum status status;
    char body[64], why[128];
};

static void on_done(void *arg, const struct fetch_result *r)
{
    struct told *t = arg;
    t->times++;
    t->code = r->code;
    t->status = r->status;
    snprintf(t->body, sizeof t->body, "%.*s", (int)r->body.len, r->body.len ? (const char *)r->body.ptr : "");
    snprintf(t->why, sizeof t->why, "%s", r->why);
}

static struct told fetch(const char *url, struct slice body)
{
    struct fetcher *f = NULL;
    struct err err;
    struct told told = { 0 };
    char all[200];
    static const char *const fields[] = { "X-One: 1", NULL };
    snprintf(all, sizeof all, "%s%s", url[0] == '/' ? base : "", url);
    struct fetch_order o = { .url = all, .body = body, .fields = fields, .max_bytes = 32, .connect_ms = 2000, .total_ms = 1000 };
    assert_int_equal(fetcher_new(&f, &err), OK);
    assert_int_equal(fetch_start(f, &o, on_done, &told, &err), OK);
    memset(all, 'x', sizeof all - 1);   /* what it is given is copied */
    for (int i = 0; i < 1000 && fetch_under_way(f) > 0; i++)
        fetch_step(f, NULL, 0, 50);
    assert_int_equal(told.times, 1);
    fetcher_free(f);
    return told;
}

static void test_answers(void **state)
{
    static const struct {
        const char *path;
        enum status status;
        unsigned code;
        const char *body;
    } rows[] = {
        { "/ok", OK, 200, "hello" }, { "/moved", OK, 302, "" }, { "/large", FULL, 200, NULL }, { "/garbage", IO_FAILED, 0, "" }, { "/cut", IO_FAILED, 200, "half" }, { "/none", IO_FAILED, 0, "" },
        { "/slow", CLOSED, 0, "" }, { "http://127.0.0.1:1/", IO_FAILED, 0, "" }, { "http://192.0.2.1/", IO_FAILED, 0, "" }, { "http://0.0.0.0:1/", IO_FAILED, 0, "" },
        { "https://127.0.0.1:1/", IO_FAILED, 0, "" },
    };
    (void)state;
    assert_int_equal(fetch("/post", SLICE("body")).code, 204);   /* first: /slow keeps the server */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct told t = fetch(rows[i].path, (struct slice){ 0 });
        if (t.status != rows[i].status || t.code != rows[i].code || (rows[i].body != NULL && strcmp(t.body, rows[i].body) != 0))
            fail_msg("%s: %s %u '%s' %s", rows[i].path, status_name(t.status), t.code, t.body, t.why);
        assert_true((t.status == OK) == (t.why[0] == 0));
    }
}

static void test_orders(void **state)
{
    static const char *const urls[] = { "ftp://127.0.0.1/", "file:///etc/passwd", "gopher://127.0.0.1/", "HTTPS://127.0.0.1/", "127.0.0.1", "", "https:/127.0.0.1/" };
    struct fetcher *f = NULL;
    struct err err;
    struct told told = { 0 };
    (void)state;
    assert_int_equal(fetcher_new(&f, &err), OK);
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct fetch_order o = { .url = urls[i], .max_bytes = 32, .connect_ms = 1000, .total_ms = 1000 };
        assert_int_equal(fetch_start(f, &o, on_done, &told, &err), BAD_INPUT);
    }
    struct fetch_order slow = { .url = "http://127.0.0.1:1/", .max_bytes = 32, .connect_ms = 1000, .total_ms = 1000 };
    for (int i = 0; i < FETCHES_MAX; i++)
        assert_int_equal(fetch_start(f, &slow, on_done, &told, &err), OK);
    assert_int_equal(fetch_start(f, &slow, on_done, &told, &err), FULL);
    struct fetch_order mail = { .url = "smtps://127.0.0.1:1", .max_bytes = 32, .connect_ms = 1000, .total_ms = 1000 };
    assert_int_not_equal(fetch_start(f, &mail, on_done, &told, &err), OK);
    fetcher_free(f);                  /* nobody is told any more */
    assert_int_equal(told.times, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_answers), cmocka_unit_test(test_orders) };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
