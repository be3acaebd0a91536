#include "proxy/net/upstream.h"

#include "proxy/base/bbuf.h"
#include "proxy/base/clock.h"
#include "proxy/net/stream.h"
#include "proxy/net/tls.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OUT_MAX = 64 * 1024, IN_MAX = 64 * 1024, READ_AT_ONCE = 64 * 1024, BUSY_MAX = 1024, FIELDS_MAX = 256 };

enum upstream_state { U_CONNECT, U_HANDSHAKE, U_IDLE, U_HEAD, U_BODY, U_SWITCHED, U_GONE };

struct upstream {
    struct upstream *next, *prev;     /* in the pool's list of all */
    struct upstream_pool *pool;
    struct stream stream;
    struct bbuf in, out;
    enum upstream_state state;
    const struct upstream_ops *ops;   /* NULL: nobody uses it */
    void *user;
    struct slice method;
    struct arena *arena;
    struct message response;
    struct h1_body body;
    size_t scanned;
    bool wrote, request_done, paused, reused, interim;
    int64_t quiet_ms;                 /* a 101 may come; then this much silence is allowed */
    int64_t deadline_ms;
    struct task begin;                /* tells the user that a reused connection is ready */
};

struct upstream_pool {
    struct loop *loop;
    const struct tool *tool;
    struct limits limits;
    SSL_CTX *tls;
    struct upstream *all;
    unsigned busy, idle;
    bool closing;
};

static void pool_free_if_done(struct upstream_pool *p)
{
    if (!p->closing || p->all != NULL)
        return;
    SSL_CTX_free(p->tls);
    free(p);
}

static void on_closed(struct stream *s)
{
    struct upstream *u = (struct upstream *)((char *)s - offsetof(struct upstream, stream));
    struct upstream_pool *p = u->pool;
    if (u->prev != NULL)
        u->prev->next = u->next;
    else
        p->all = u->next;
    if (u->next != NULL)
        u->next->prev = u->prev;
    bbuf_done(&u->in);
    bbuf_done(&u->out);
    free(u);
    pool_free_if_done(p);
}

static void let_go(struct upstream *u, bool friendly)
{
    if (u->state == U_GONE)
        return;
    if (u->state == U_IDLE)
        u->pool->idle--;
    else
        u->pool->busy--;
    u->state = U_GONE;
    u->ops = NULL;
    task_cancel(&u->begin);
    stream_close(&u->stream, friendly);
}

static void drop(struct upstream *u)
{
    let_go(u, false);
}

static void broke(struct upstream *u, enum upstream_failure f, const char *reason)
{
    const struct upstream_ops *ops = u->ops;
    void *user = u->user;
    if (f == UPSTREAM_CUT && !u->wrote)
        f = UPSTREAM_NOT_SENT;
    drop(u);
    if (ops != NULL)
        ops->failed(user, f, reason);
}

static void want(struct upstream *u)
{
    int events = 0;
    if (u->state == U_IDLE || ((u->state == U_HEAD || u->state == U_BODY || u->state == U_SWITCHED) && !u->paused))
        events |= UV_READABLE;
    if (bbuf_len(&u->out) > 0 && u->state >= U_IDLE)
        events |= UV_WRITABLE;
    stream_want(&u->stream, events);
}

/* The response is whole: keep the connection if both sides may, else close it. */
static void finished(struct upstream *u, const struct fields *trailers)
{
    const struct upstream_ops *ops = u->ops;
    void *user = u->user;
    bool keep = u->response.keep_alive && u->request_done && bbuf_len(&u->in) == 0 && bbuf_len(&u->out) == 0 &&
                u->body.framing != BODY_UNTIL_CLOSE && !u->pool->closing;
    struct fields none = { 0 };
    if (keep) {
        u->pool->busy--;
        u->pool->idle++;
        u->state = U_IDLE;
        u->ops = NULL;
        u->deadline_ms = u->stream.loop->now_ms + u->pool->limits.upstream_idle_ms;
        bbuf_idle(&u->in);
        bbuf_idle(&u->out);
        want(u);
    } else {
        drop(u);
    }
    ops->end(user, trailers ? trailers : &none);
}

static void read_body(struct upstream *u)
{
    struct refusal why = { 0 };
    while (u->state == U_BODY && !u->body.done) {
        size_t used = 0, room = u->ops->room(u->user);
        struct slice in = bbuf_slice(&u->in), data = { 0 };
        u->paused = room == 0;
        if (u->paused || in.len == 0)
            break;
        if (in.len > room)
            in.len = room;            /* data never exceeds what it is read from */
        enum parse p = h1_body_read(&u->body, in, &used, &data, &why);
        if (p == PARSE_BAD) {
            broke(u, UPSTREAM_GARBAGE, why.reason);
            return;
        }
        if (data.len > 0)
            u->ops->body(u->user, data);
        if (u->state == U_BODY)
            bbuf_drop(&u->in, used);
    }
    if (u->state == U_BODY && u->body.done)
        finished(u, &u->body.trailers);
}

static void start_body(struct upstream *u)
{
    u->state = U_BODY;
    u->interim = false;
    h1_body_init(&u->body, &u->response, u->arena, 64);
    u->ops->head(u->user, &u->response);
    if (u->state != U_BODY)
        return;
    if (u->response.framing == BODY_NONE)
        finished(u, NULL);
    else
        read_body(u);
}

/* After a 101: whatever comes, as far as there is room for it. */
static void read_switched(struct upstream *u)
{
    while (u->state == U_SWITCHED && bbuf_len(&u->in) > 0) {
        struct slice in = bbuf_slice(&u->in);
        size_t room = u->ops->room(u->user);
        u->paused = room == 0;
        if (u->paused)
            break;
        if (in.len > room)
            in.len = room;
        u->ops->body(u->user, in);
        if (u->state == U_SWITCHED)
            bbuf_drop(&u->in, in.len);
    }
}

static void switch_over(struct upstream *u)
{
    u->state = U_SWITCHED;
    u->request_done = false;          /* writable() is wanted again */
    u->deadline_ms = u->stream.loop->now_ms + u->quiet_ms;
    u->ops->head(u->user, &u->response);
    read_switched(u);
}

static void read_head(struct upstream *u)
{
    while (u->state == U_HEAD) {
        size_t len = 0;
        struct refusal why = { 0 };
        enum parse p = h1_head_length(bbuf_slice(&u->in), u->scanned, &len);
        if (p == PARSE_MORE && bbuf_len(&u->in) >= H1_HEAD_MAX)
            p = PARSE_BAD;
        if (p == PARSE_MORE) {
            u->scanned = bbuf_len(&u->in);
            return;
        }
        struct h1_limits limits = { .fields = FIELDS_MAX };
        if (p == PARSE_OK)
            p = h1_parse_response(slice_of(bbuf_slice(&u->in).ptr, len), &limits, u->method, u->arena, &u->response, &why);
        if (p != PARSE_OK) {
            broke(u, UPSTREAM_GARBAGE, why.reason ? why.reason : "response head");
            return;
        }
        bbuf_drop(&u->in, len);
        u->scanned = 0;
        if (u->response.status >= 200)
            start_body(u);
        else if (u->response.status == 101 && u->quiet_ms > 0)
            switch_over(u);
        else if (u->response.status == 101)
            broke(u, UPSTREAM_GARBAGE, "101 that nobody asked for");
        else
            u->ops->head(u->user, &u->response);
    }
}

static void consume(struct upstream *u)
{
    if (u->state == U_IDLE && bbuf_len(&u->in) > 0)
        drop(u);                      /* bytes nobody asked for */
    if (u->state == U_HEAD)
        read_head(u);
    if (u->state == U_BODY && !u->paused)
        read_body(u);
    if (u->state == U_SWITCHED && !u->paused)
        read_switched(u);
}

static void hung_up(struct upstream *u)
{
    const struct upstream_ops *ops = u->ops;
    const struct fields none = { 0 };
    void *user = u->user;
    drop(u);
    ops->end(user, &none);
}

static int64_t patience(const struct upstream *u)
{
    return u->stream.loop->now_ms + (u->state == U_SWITCHED ? u->quiet_ms : u->pool->limits.upstream_head_ms);
}

static void ended(struct upstream *u, enum io io)
{
    if (u->state == U_BODY && u->body.framing == BODY_UNTIL_CLOSE && io == IO_END && bbuf_len(&u->in) == 0)
        finished(u, NULL);
    else if (u->state == U_SWITCHED && io == IO_END)
        hung_up(u);
    else if (u->state == U_IDLE)
        drop(u);
    else
        broke(u, UPSTREAM_CUT, "the tool closed the connection before its answer was whole");
}

static void do_read(struct upstream *u)
{
    for (int budget = 4; budget > 0 && u->state >= U_IDLE && u->state != U_GONE && !u->paused; budget--) {
        size_t n = 0, room = bbuf_room(&u->in);
        unsigned char *at = bbuf_reserve(&u->in, room < READ_AT_ONCE ? room : READ_AT_ONCE);
        if (at == NULL || room == 0) {
            broke(u, UPSTREAM_CUT, at ? "response framing does not fit its buffer" : "out of memory");
            return;
        }
        enum io io = stream_read(&u->stream, at, room < READ_AT_ONCE ? room : READ_AT_ONCE, &n);
        if (io == IO_AGAIN)
            break;
        if (io != IO_OK) {
            ended(u, io);
            return;
        }
        bbuf_wrote(&u->in, n);
        if (u->state != U_IDLE)
            u->deadline_ms = patience(u);
        consume(u);
        if (n < READ_AT_ONCE)
            break;
    }
}

static void do_write(struct upstream *u)
{
    size_t before = bbuf_room(&u->out);
    while (bbuf_len(&u->out) > 0) {
        size_t n = 0;
        enum io io = stream_write(&u->stream, bbuf_slice(&u->out), &n);
        if (io == IO_AGAIN)
            break;
        if (io != IO_OK) {
            /* The tool may have answered already (413, say) and closed its reading side: read that first. */
            do_read(u);
            if (u->state == U_HEAD || u->state == U_BODY || u->state == U_SWITCHED)
                broke(u, UPSTREAM_CUT, "the tool closed the connection while the request was sent");
            return;
        }
        u->wrote = true;
        if (u->state == U_SWITCHED)
            u->deadline_ms = patience(u);
        bbuf_drop(&u->out, n);
    }
    want(u);
    if (u->ops != NULL && bbuf_room(&u->out) > before && !u->request_done)
        u->ops->writable(u->user);
}

static void is_ready(struct upstream *u)
{
    u->state = U_HEAD;
    u->deadline_ms = u->stream.loop->now_ms + u->pool->limits.upstream_head_ms;
    want(u);
    u->ops->connected(u->user);
}

static void connect_step(struct upstream *u)
{
    int code = 0;
    socklen_t len = sizeof code;
    if (u->state == U_CONNECT) {
        if (getsockopt(u->stream.fd, SOL_SOCKET, SO_ERROR, &code, &len) != 0 || code != 0) {
            broke(u, UPSTREAM_NOT_SENT, "the tool does not accept connections");
            return;
        }
        if (u->stream.ssl == NULL) {
            is_ready(u);
            return;
        }
        u->state = U_HANDSHAKE;
    }
    enum io io = stream_handshake(&u->stream);
    if (io == IO_OK)
        is_ready(u);
    else if (io != IO_AGAIN)
        broke(u, UPSTREAM_NOT_SENT, ossl_reason());
}

static void on_ready(struct stream *s, int events)
{
    struct upstream *u = (struct upstream *)((char *)s - offsetof(struct upstream, stream));
    if (u->state == U_CONNECT || u->state == U_HANDSHAKE) {
        connect_step(u);
        return;
    }
    if (events & UV_WRITABLE)
        do_write(u);
    if ((events & UV_READABLE) && u->state != U_GONE)
        do_read(u);
    if (u->state != U_GONE)
        want(u);                      /* it may have paused: a level-triggered poll would spin */
}

static void begin_reused(struct task *t)
{
    struct upstream *u = (struct upstream *)((char *)t - offsetof(struct upstream, begin));
    if (u->state == U_HEAD)
        is_ready(u);
}

struct upstream_pool *upstream_pool_new(struct loop *l, const struct tool *tool, const struct limits *limits, struct err *err)
{
    struct upstream_pool *p = calloc(1, sizeof *p);
    if (p == NULL) {
        (void)fail(err, NO_MEMORY, "pool for tool '%s'", tool->name);
        return NULL;
    }
    *p = (struct upstream_pool){ .loop = l, .tool = tool, .limits = *limits };
    if (tool->upstream_tls && tls_upstream_context(tool, &p->tls, err) != OK) {
        free(p);
        return NULL;
    }
    return p;
}

void upstream_pool_close(struct upstream_pool *p)
{
    if (p == NULL)
        return;
    p->closing = true;
    for (struct upstream *u = p->all, *next; u != NULL; u = next) {
        next = u->next;
        if (u->state == U_IDLE)
            drop(u);
    }
    pool_free_if_done(p);
}

void upstream_pool_tick(struct upstream_pool *p)
{
    int64_t now = p->loop->now_ms;
    for (struct upstream *u = p->all, *next; u != NULL; u = next) {
        next = u->next;
        if (u->state == U_GONE || now < u->deadline_ms)
            continue;
        if (u->state == U_IDLE)
            drop(u);
        else if (u->state == U_CONNECT || u->state == U_HANDSHAKE)
            broke(u, UPSTREAM_NOT_SENT, "the tool does not answer");
        else if (u->state == U_SWITCHED)
            broke(u, UPSTREAM_TIMEOUT, "nothing was said for too long");
        else if (u->paused || !u->request_done)
            u->deadline_ms = now + p->limits.upstream_head_ms;   /* the client is the slow one: its own deadline rules */
        else
            broke(u, UPSTREAM_TIMEOUT, "the tool fell silent");
    }
}

void upstream_pool_count(const struct upstream_pool *p, unsigned *idle_out, unsigned *busy_out)
{
    *idle_out = p->idle;
    *busy_out = p->busy;
}

/* Numeric addresses and "localhost" are resolved in place; other names by the system's resolver, once a connection. */
static int open_socket(const struct tool *tool, struct err *err)
{
    char port[8];
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG }, *list = NULL;
    snprintf(port, sizeof port, "%u", tool->upstream_port);
    if (getaddrinfo(tool->upstream_host, port, &hints, &list) != 0 || list == NULL) {
        (void)fail(err, IO_FAILED, "the tool's host name can't be resolved");
        return -1;
    }
    int fd = socket(list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    if (fd >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (connect(fd, list->ai_addr, list->ai_addrlen) != 0 && errno != EINPROGRESS) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    return fd;
}

static struct upstream *open_new(struct upstream_pool *p)
{
    struct err err;
    struct upstream *u = calloc(1, sizeof *u);
    int fd = u ? open_socket(p->tool, &err) : -1;
    SSL *ssl = fd >= 0 && p->tls ? tls_upstream_new(p->tls, p->tool) : NULL;
    if (fd < 0 || (p->tls != NULL && ssl == NULL) || !stream_open(&u->stream, p->loop, fd, ssl, on_ready, on_closed)) {
        SSL_free(ssl);
        if (fd >= 0)
            close(fd);
        free(u);
        return NULL;
    }
    u->pool = p;
    u->state = U_CONNECT;
    bbuf_init(&u->in, IN_MAX);
    bbuf_init(&u->out, OUT_MAX);
    u->begin.run = begin_reused;
    u->next = p->all;
    if (p->all != NULL)
        p->all->prev = u;
    p->all = u;
    u->deadline_ms = p->loop->now_ms + p->limits.upstream_connect_ms;
    stream_want(&u->stream, UV_WRITABLE);
    return u;
}

struct upstream *upstream_take(struct upstream_pool *p, bool fresh, const struct upstream_ops *ops, void *user)
{
    struct upstream *u = NULL;
    if (p->busy >= BUSY_MAX)
        return NULL;
    for (u = fresh ? NULL : p->all; u != NULL && u->state != U_IDLE; u = u->next)
        ;
    bool reused = u != NULL;
    if (!reused)
        u = open_new(p);
    if (u == NULL)
        return NULL;
    p->busy++;
    u->ops = ops;
    u->user = user;
    u->wrote = u->request_done = u->paused = false;
    u->quiet_ms = 0;
    u->scanned = 0;
    u->reused = reused;
    if (reused) {
        p->idle--;
        u->state = U_HEAD;
        u->deadline_ms = p->loop->now_ms + p->limits.upstream_head_ms;
        task_cancel(&u->begin);
        u->begin.run = begin_reused;
        task_soon(p->loop, &u->begin);
    }
    return u;
}

void upstream_expect(struct upstream *u, struct slice method, struct arena *arena)
{
    u->method = method;
    u->arena = arena;
}

size_t upstream_room(const struct upstream *u)
{
    return bbuf_room(&u->out);
}

struct bbuf *upstream_out(struct upstream *u)
{
    return &u->out;
}

void upstream_may_switch(struct upstream *u, int64_t quiet_ms)
{
    u->quiet_ms = quiet_ms;
}

void upstream_flush(struct upstream *u)
{
    if (u->state == U_HEAD || u->state == U_BODY || u->state == U_SWITCHED)
        do_write(u);
}

void upstream_sent(struct upstream *u)
{
    u->request_done = true;
    u->deadline_ms = u->stream.loop->now_ms + u->pool->limits.upstream_head_ms;
    upstream_flush(u);
}

static void resume_task(struct task *t)
{
    struct upstream *u = (struct upstream *)((char *)t - offsetof(struct upstream, begin));
    if ((u->state != U_BODY && u->state != U_SWITCHED) || u->paused)
        return;
    consume(u);
    if (u->state == U_BODY || u->state == U_SWITCHED)
        want(u);
}

void upstream_resume(struct upstream *u)
{
    if (!u->paused)
        return;
    u->paused = false;
    u->begin.run = resume_task;       /* later: the caller may be inside our own body callback */
    task_soon(u->stream.loop, &u->begin);
}

void upstream_abort(struct upstream *u)
{
    if (u != NULL)
        drop(u);
}

void upstream_hang_up(struct upstream *u)
{
    if (u != NULL)
        let_go(u, u->state == U_SWITCHED);
}
