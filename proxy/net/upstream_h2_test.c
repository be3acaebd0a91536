/* Streams that end at awkward moments: raw frames of a tool, to a real pool on a Unix socket. */
#include "proxy/net/upstream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

enum { TURNS = 20, USERS = 60, DATA = 0, HEADERS = 1, SETTINGS = 4, GOAWAY = 7, END_STREAM = 1, END_HEADERS = 4 };

struct user {
    struct upstream *up;
    struct arena arena;
    unsigned connected, heads, ends, failures;
    enum upstream_failure failure;
    void (*on_body)(struct user *u);
};

static char path[108];
static struct upstream_address place;
static struct tool tool;
static struct limits limits;
static struct loop loop;
static struct upstream_pool *pool;
static int listener, tool_fd;
static struct user user[USERS];
static struct ws_ask ask = { .key = "dGhlIHNhbXBsZSBub25jZQ==" };

static void on_connected(void *arg) { ((struct user *)arg)->connected++; }
static void on_writable(void *arg) { (void)arg; }

static void on_head(void *arg, const struct message *m)
{
    (void)m;
    ((struct user *)arg)->heads++;
}

static size_t on_room(void *arg)
{
    (void)arg;
    return 1000;
}

static void on_body(void *arg, struct slice data)
{
    struct user *u = arg;
    (void)data;
    if (u->on_body != NULL)
        u->on_body(u);
}

static void on_end(void *arg, const struct fields *trailers)
{
    (void)trailers;
    ((struct user *)arg)->ends++;
}

static void on_failed(void *arg, enum upstream_failure f, const char *reason)
{
    struct user *u = arg;
    (void)reason;
    u->failures++;
    u->failure = f;
}

static const struct upstream_ops ops = { on_connected, on_writable, on_head, on_room, on_body, on_end, on_failed };

static void turns(void)
{
    for (unsigned i = 0; i < TURNS; i++)
        uv_run(&loop.uv, UV_RUN_NOWAIT);
}

static void take(struct user *u, bool websocket)
{
    enum upstream_failure why;
    arena_init(&u->arena, 64 * 1024);
    struct upstream_want want = { .method = SLICE("POST"), .arena = &u->arena, .websocket = websocket, .quiet_ms = 60000 };
    u->up = upstream_take(pool, &want, &ops, u, &why);
    assert_non_null(u->up);
}

static void send_head(struct user *u, bool websocket, bool has_body)
{
    struct message m = { .version = 11, .method = websocket ? SLICE("GET") : SLICE("POST"), .target = SLICE("/") };
    struct forward_request f = { .message = &m, .host = SLICE("t"), .client_address = SLICE("::1"), .public_host = SLICE("t"), .websocket = websocket ? &ask : NULL,
                                 .has_body = has_body, .chunked = has_body };
    assert_int_equal(upstream_send_head(u->up, &f), OK);
}

static size_t put_frame(unsigned char *out, unsigned type, unsigned flags, unsigned stream, const void *payload, size_t len)
{
    const unsigned char head[9] = { 0, (unsigned char)(len >> 8), (unsigned char)len, (unsigned char)type, (unsigned char)flags, 0, 0, 0, (unsigned char)stream };
    memcpy(out, head, sizeof head);
    if (len > 0)
        memcpy(out + sizeof head, payload, len);
    return sizeof head + len;
}

static void say(const unsigned char *bytes, size_t n)
{
    assert_int_equal(send(tool_fd, bytes, n, MSG_NOSIGNAL), n);
    turns();
}

/* Of what the tool got since the last time: how many frames of that type, on that stream (0: any), with those flags. */
static unsigned heard(unsigned type, unsigned stream, unsigned flags)
{
    static unsigned char in[1 << 16];
    unsigned found = 0;
    ssize_t n = recv(tool_fd, in, sizeof in, MSG_DONTWAIT);
    size_t have = n > 0 ? (size_t)n : 0, at = have >= 24 && memcmp(in, "PRI ", 4) == 0 ? 24 : 0;
    while (at + 9 <= have) {
        found += in[at + 3] == type && (stream == 0 || in[at + 8] == stream) && (in[at + 4] & flags) == flags;
        at += 9 + (size_t)(in[at] << 16 | in[at + 1] << 8 | in[at + 2]);
    }
    return found;
}

static int open_all(void **state)
{
    static const unsigned char takes_websockets[] = { 0, 8, 0, 0, 0, 1 };
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    unsigned char out[64];
    struct err err;
    (void)state;
    snprintf(path, sizeof path, "/tmp/countersign-h2-test-%ld", (long)getpid());
    memcpy(sa.sun_path, path, sizeof sa.sun_path);
    unlink(path);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(listener, 4), 0);
    memset(user, 0, sizeof user);
    place = (struct upstream_address){ .text = path, .path = path, .h2 = true };
    tool = (struct tool){ .name = "t", .upstreams = &place, .upstream_count = 1, .upstream_fails = 3, .upstream_back_off_ms = 1 };
    limits = (struct limits){ .upstream_connections = 4, .upstream_connect_ms = 60000, .upstream_head_ms = 60000, .upstream_idle_ms = 60000 };
    loop_init(&loop);
    pool = upstream_pool_new(&loop, &tool, &limits, false, &err);
    assert_non_null(pool);
    take(&user[0], true);
    tool_fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(tool_fd >= 0);
    turns();
    say(out, put_frame(out, SETTINGS, 0, 0, takes_websockets, sizeof takes_websockets));
    assert_int_equal(user[0].connected, 1);
    send_head(&user[0], true, false);
    turns();
    assert_int_equal(heard(HEADERS, 1, 0), 1);
    say(out, put_frame(out, HEADERS, END_HEADERS, 1, "\x88", 1));
    assert_int_equal(user[0].heads, 1);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    close(tool_fd);                   /* whoever is left after a test that failed hears of it */
    close(listener);
    turns();
    upstream_pool_close(pool);
    loop_done(&loop);
    for (unsigned i = 0; i < USERS; i++)
        arena_done(&user[i].arena);
    unlink(path);
    return 0;
}

static unsigned busy(void)
{
    unsigned idle, n;
    upstream_pool_count(pool, &idle, &n);
    return n;
}

static void hang_up_first(struct user *u)
{
    (void)u;
    upstream_hang_up(user[0].up);
}

/* The tool has broken a WebSocket's stream, so that a reset of it waits to go out, when its user says good-bye: that is its end, once. */
static void test_hang_up_with_a_reset_under_way(void **state)
{
    unsigned char out[128];
    (void)state;
    take(&user[1], false);
    turns();
    send_head(&user[1], false, false);
    assert_int_equal(upstream_sent(user[1].up), OK);
    turns();
    user[1].on_body = hang_up_first;
    size_t n = put_frame(out, HEADERS, END_HEADERS, 1, "\0\1x\1y", 5);   /* trailers that end nothing */
    n += put_frame(out + n, HEADERS, END_HEADERS, 3, "\x88", 1);
    n += put_frame(out + n, DATA, 0, 3, "z", 1);
    assert_int_equal(busy(), 2);
    say(out, n);
    assert_int_equal(user[0].failures + user[0].ends, 0);   /* nothing is called any more */
    assert_int_equal(busy(), 1);
    n = put_frame(out, DATA, END_STREAM, 3, "z", 1);
    user[1].on_body = NULL;
    say(out, n);
    assert_int_equal(user[1].ends, 1);
    assert_int_equal(busy(), 0);
}

/* A client leaves in the middle of its body, and the gateway may send no reset at the moment: the tool must not take what it got for the whole. */
static void test_what_was_left_is_not_ended(void **state)
{
    (void)state;
    for (unsigned i = 1; i < 51; i++) {
        take(&user[i], false);
        turns();
        send_head(&user[i], false, true);
        upstream_abort(user[i].up);
    }
    take(&user[51], false);
    turns();
    send_head(&user[51], false, true);
    assert_int_equal(upstream_put(user[51].up, SLICE("half")), OK);
    upstream_flush(user[51].up);
    upstream_abort(user[51].up);
    turns();
    assert_int_equal(heard(DATA, 0, END_STREAM), 0);
    upstream_abort(user[0].up);
}

/* A WebSocket's user says good-bye: the tool sees the end of it, not a reset. */
static void test_hang_up_ends_the_stream(void **state)
{
    (void)state;
    assert_int_equal(upstream_put(user[0].up, SLICE("bye")), OK);
    upstream_hang_up(user[0].up);
    turns();
    assert_int_equal(heard(DATA, 1, END_STREAM), 1);
}

static void take_second(struct user *u)
{
    (void)u;
    take(&user[1], false);
}

/* The tool says good-bye to everybody just after a request was given this connection: it was surely not sent. */
static void test_a_goaway_before_the_request(void **state)
{
    unsigned char out[64];
    (void)state;
    user[0].on_body = take_second;
    size_t n = put_frame(out, DATA, 0, 1, "z", 1);
    n += put_frame(out + n, GOAWAY, 0, 0, "\0\0\0\1\0\0\0\0", 8);
    say(out, n);
    user[0].on_body = NULL;
    if (user[1].connected > 0 && user[1].failures == 0) {
        send_head(&user[1], false, false);
        turns();
    }
    assert_int_equal(user[1].failures, 1);
    assert_int_equal(user[1].failure, UPSTREAM_REFUSED);
    upstream_abort(user[0].up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_hang_up_with_a_reset_under_way, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_what_was_left_is_not_ended, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_hang_up_ends_the_stream, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_a_goaway_before_the_request, open_all, close_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
