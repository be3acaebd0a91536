/* A kept HTTP/1.1 connection to a tool: whose answer is it? */
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

enum { TURNS = 20 };

struct user {
    struct upstream *up;
    struct arena arena;
    unsigned connected, heads, ends, failures;
    enum upstream_failure failure;
};

static char path[108];
static struct upstream_address place;
static struct tool tool;
static struct limits limits;
static struct loop loop;
static struct upstream_pool *pool;
static int listener, tool_fd;
static struct user first, second;

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
    (void)arg;
    (void)data;
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

static const char *method = "POST";

static void take_as(struct user *u, uint64_t owner, bool binds)
{
    enum upstream_failure why;
    memset(u, 0, sizeof *u);
    arena_init(&u->arena, 64 * 1024);
    struct upstream_want want = { .method = slice_str(method), .arena = &u->arena, .owner = owner, .binds = binds };
    u->up = upstream_take(pool, &want, &ops, u, &why);
    assert_non_null(u->up);
}

static void take(struct user *u)
{
    take_as(u, 0, false);
}

static void ask(struct user *u)
{
    struct message m = { .version = 11, .method = SLICE("POST"), .target = SLICE("/") };
    struct forward_request f = { .message = &m, .host = SLICE("t"), .client_address = SLICE("::1"), .public_host = SLICE("t") };
    assert_int_equal(upstream_send_head(u->up, &f), OK);
    assert_int_equal(upstream_sent(u->up), OK);
}

static void say(const char *text)
{
    assert_int_equal(send(tool_fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* One request and its answer; the connection is kept. */
static int open_all(void **state)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    struct err err;
    (void)state;
    snprintf(path, sizeof path, "/tmp/countersign-h1-test-%ld", (long)getpid());
    memcpy(sa.sun_path, path, sizeof sa.sun_path);
    unlink(path);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(listener, 4), 0);
    place = (struct upstream_address){ .text = path, .path = path };
    tool = (struct tool){ .name = "t", .upstreams = &place, .upstream_count = 1, .upstream_fails = 3, .upstream_back_off_ms = 1 };
    limits = (struct limits){ .upstream_connections = 4, .upstream_connect_ms = 60000, .upstream_head_ms = 60000, .upstream_idle_ms = 60000 };
    loop_init(&loop);
    pool = upstream_pool_new(&loop, &tool, &limits, false, &err);
    assert_non_null(pool);
    take(&first);
    tool_fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(tool_fd >= 0);
    turns();
    ask(&first);
    say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    turns();
    assert_int_equal(first.ends, 1);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    close(tool_fd);
    close(listener);
    turns();
    upstream_pool_close(pool);
    loop_done(&loop);
    arena_done(&first.arena);
    arena_done(&second.arena);
    unlink(path);
    return 0;
}

static void test_the_next_one_gets_its_own_answer(void **state)
{
    (void)state;
    take(&second);
    turns();
    ask(&second);
    say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    turns();
    assert_int_equal(second.heads + second.ends, 2);
}

/* A second answer to the first request comes when the connection has just been given to the next one, which has said nothing yet. */
static void test_an_answer_before_the_request_is_nobodys(void **state)
{
    (void)state;
    say("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled");
    take(&second);
    turns();
    assert_int_equal(second.connected, 1);   /* so the connection was taken, not dropped before */
    assert_int_equal(second.heads, 0);
    assert_int_equal(second.failures, 1);
    assert_int_equal(second.failure, UPSTREAM_CLOSED);
}

static void whole(struct user *u)
{
    turns();
    ask(u);
    say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    turns();
    assert_int_equal(u->ends, 1);
    arena_done(&u->arena);
}

static unsigned idle_count(void);

static void ask_with_content(struct user *u)
{
    struct message m = { .version = 11, .method = slice_str(method), .target = SLICE("/") };
    struct forward_request f = { .message = &m, .host = SLICE("t"), .client_address = SLICE("::1"), .public_host = SLICE("t"), .has_body = true, .body_len = 5 };
    assert_int_equal(upstream_send_head(u->up, &f), OK);
    assert_int_equal(upstream_put(u->up, SLICE("GET /")), OK);
    assert_int_equal(upstream_sent(u->up), OK);
    say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    turns();
    assert_int_equal(u->ends, 1);
    arena_done(&u->arena);
}

/* A tool that overlooks content may answer it as a request of its own, at any later time. */
static void test_content_where_none_belongs_ends_the_connection(void **state)
{
    (void)state;
    method = "GET";
    take(&second);
    turns();
    ask_with_content(&second);
    assert_int_equal(idle_count(), 0);
    method = "POST";
    memset(&second, 0, sizeof second);
}

static void test_a_connection_that_has_spoken_goes_to_nobody(void **state)
{
    (void)state;
    take(&second);
    turns();
    ask_with_content(&second);
    assert_int_equal(idle_count(), 1);
    say("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled");
    take(&second);                    /* before the loop has looked */
    close(tool_fd);
    tool_fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(tool_fd >= 0);
    whole(&second);
    memset(&second, 0, sizeof second);
}

static unsigned idle_count(void)
{
    unsigned idle, busy;
    upstream_pool_count(pool, &idle, &busy);
    return idle;
}

/* NTLM: whoever logs in on a connection keeps it, and nobody else is sent there. */
static void test_a_connection_that_knows_somebody_is_theirs(void **state)
{
    int first_fd = tool_fd;
    (void)state;
    take_as(&second, 7, true);        /* takes the one that is nobody's, and makes it 7's */
    whole(&second);
    take_as(&second, 8, false);       /* another client: a new one */
    tool_fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(tool_fd >= 0);
    whole(&second);
    assert_int_equal(idle_count(), 2);
    int other_fd = tool_fd;
    tool_fd = first_fd;
    take_as(&second, 7, false);       /* 7 again, with nothing to say who it is: the first */
    whole(&second);
    tool_fd = other_fd;
    take_as(&second, 9, false);
    whole(&second);
    take(&second);
    whole(&second);
    assert_int_equal(idle_count(), 2);
    close(first_fd);
    memset(&second, 0, sizeof second);
}

/* Room is made by those that wait for a client which may be gone. */
static void test_owned_connections_make_room(void **state)
{
    int fds[4];
    (void)state;
    take_as(&second, 1, true);
    whole(&second);
    fds[0] = tool_fd;
    for (unsigned i = 1; i < 4; i++) {
        take_as(&second, i + 1, true);
        fds[i] = tool_fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        whole(&second);
    }
    assert_int_equal(idle_count(), 4);   /* limits.upstream_connections */
    take_as(&second, 5, false);
    tool_fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    whole(&second);
    assert_int_equal(idle_count(), 4);
    for (unsigned i = 0; i < 4; i++)
        close(fds[i]);
    memset(&second, 0, sizeof second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_connection_that_knows_somebody_is_theirs, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_owned_connections_make_room, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_the_next_one_gets_its_own_answer, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_content_where_none_belongs_ends_the_connection, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_a_connection_that_has_spoken_goes_to_nobody, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_an_answer_before_the_request_is_nobodys, open_all, close_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
