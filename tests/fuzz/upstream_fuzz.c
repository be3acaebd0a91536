/* What a tool says, over HTTP/1.1 and HTTP/2, to one exchange of a real pool on a Unix socket: in pieces, then the end. The exchange hears of its end exactly once, gets no body before a
 * head and never more than it has room for, and the pool closes clean. The first byte: bit 0 HTTP/2, bit 1 a WebSocket is asked for, bit 2 HEAD, bit 3 a slow user; the rest the size of the pieces. */
#include "proxy/base/arena.h"
#include "proxy/base/log.h"
#include "proxy/net/upstream.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TURNS_MAX = 400, ROOM = 1000 };

struct user {
    struct upstream *up;
    struct arena arena;
    unsigned how;
    bool head, over, switched, paused;
};

static int listener = -1;
static char path[] = "/tmp/countersign-fuzz-XXXXXX/s";
static struct ws_ask ask = { .key = "dGhlIHNhbXBsZSBub25jZQ==" };

static void remove_listener(void)
{
    unlink(path);
    *strrchr(path, '/') = 0;
    rmdir(path);
}

static void open_listener(void)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    char *slash = strrchr(path, '/');
    log_set_level(LOG_LEVEL_ERROR);
    *slash = 0;
    if (mkdtemp(path) == NULL)
        abort();
    *slash = '/';
    memcpy(sa.sun_path, path, sizeof path);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&sa, sizeof sa) != 0 || listen(listener, 16) != 0 || atexit(remove_listener) != 0)
        abort();
}

static void on_connected(void *arg)
{
    struct user *u = arg;
    struct message m = { .version = 11, .method = u->how & 4 ? SLICE("HEAD") : SLICE("GET"), .target = SLICE("/") };
    struct forward_request f = { .message = &m, .host = SLICE("t"), .client_address = SLICE("::1"), .public_host = SLICE("t"), .websocket = u->how & 2 ? &ask : NULL };
    assert(!u->over);
    assert(upstream_send_head(u->up, &f) == OK && upstream_sent(u->up) == OK);
}

static void on_writable(void *arg)
{
    assert(!((struct user *)arg)->over);
}

static void on_head(void *arg, const struct message *m)
{
    struct user *u = arg;
    assert(!u->over && !u->head && m->status >= 100 && m->status <= 599);
    assert(m->status != 101 || (u->how & 2));
    u->head = m->status >= 200 || m->status == 101;
    u->switched = m->status == 101;
}

static size_t on_room(void *arg)
{
    struct user *u = arg;
    assert(!u->over);
    if (!(u->how & 8))
        return ROOM;
    u->paused = !u->paused;
    return u->paused ? 0 : 7;
}

static void on_body(void *arg, struct slice data)
{
    struct user *u = arg;
    assert(!u->over && u->head && data.len > 0 && data.len <= (u->how & 8 ? 7 : ROOM));
}

static void on_end(void *arg, const struct fields *trailers)
{
    struct user *u = arg;
    assert(!u->over && u->head && trailers != NULL);
    u->over = true;
}

static void on_failed(void *arg, enum upstream_failure f, const char *reason)
{
    struct user *u = arg;
    assert(!u->over && f <= UPSTREAM_TIMEOUT && reason != NULL);
    u->over = true;
}

static const struct upstream_ops ops = { on_connected, on_writable, on_head, on_room, on_body, on_end, on_failed };

static void turns(struct loop *l, struct user *u, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uv_run(&l->uv, UV_RUN_NOWAIT);
        if (u->paused && !u->over)
            upstream_resume(u->up);
    }
}

static void play(struct loop *l, struct user *u, int fd, const uint8_t *data, size_t size, size_t step)
{
    char sink[4096];
    for (size_t at = 0; at < size && !u->over; at += step) {
        size_t n = size - at < step ? size - at : step;
        if (send(fd, data + at, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break;
        turns(l, u, 3);
        while (recv(fd, sink, sizeof sink, MSG_DONTWAIT) > 0)
            ;
    }
    close(fd);
    for (unsigned i = 0; i < TURNS_MAX && !u->over; i++)
        turns(l, u, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct upstream_address place = { .text = path, .path = path };
    struct tool tool = { .name = "fuzz", .upstreams = &place, .upstream_count = 1, .upstream_fails = 3, .upstream_back_off_ms = 1 };
    struct limits limits = { .upstream_connections = 4, .upstream_connect_ms = 60000, .upstream_head_ms = 60000, .upstream_idle_ms = 60000 };
    struct loop loop;
    struct err err;
    enum upstream_failure why;
    if (size < 1 || size > 65536)
        return 0;
    if (listener < 0)
        open_listener();
    struct user u = { .how = data[0] & 15 };
    place.h2 = u.how & 1;
    loop_init(&loop);
    arena_init(&u.arena, 512 * 1024);
    struct upstream_pool *pool = upstream_pool_new(&loop, &tool, &limits, false, &err);
    struct upstream_want want = { .method = u.how & 4 ? SLICE("HEAD") : SLICE("GET"), .arena = &u.arena, .websocket = u.how & 2, .quiet_ms = 60000 };
    assert(pool != NULL);
    u.up = upstream_take(pool, &want, &ops, &u, &why);
    assert(u.up != NULL);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert(fd >= 0);
    turns(&loop, &u, 3);
    play(&loop, &u, fd, data + 1, size - 1, (size_t)(data[0] >> 4) * 16 + 1);
    if (!u.over)
        upstream_abort(u.up);         /* the end of its connection was no end: bytes wait for a user that takes none */
    upstream_pool_close(pool);
    loop_done(&loop);
    arena_done(&u.arena);
    return 0;
}
