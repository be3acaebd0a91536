/* HTTP/1.1 towards a tool: one exchange at a time on a connection, then back into the pool. */
#include "proxy/net/upstream_internal.h"

#include <stdio.h>

enum { CHUNK_OVERHEAD = 32, TRAILERS_MAX = 64 };

static void broke(struct wire *w, enum upstream_failure f, const char *reason)
{
    struct upstream *u = w->use;
    struct place *at = w->place;
    if (f == UPSTREAM_CUT && !w->wrote)
        f = UPSTREAM_NOT_SENT;
    if (w->kept && !w->answered && (f == UPSTREAM_CUT || f == UPSTREAM_NOT_SENT))
        f = w->wrote ? UPSTREAM_STALE : UPSTREAM_CLOSED;
    if (w->state == WIRE_IDLE) {
        wire_drop(w, false);
        return;
    }
    bool silent = !w->answered;
    wire_drop(w, false);
    if (silent && f != UPSTREAM_STALE && f != UPSTREAM_CLOSED)
        backend_failed(at->backend, at->pool->tool, at->pool->loop->now_ms, reason);
    if (u == NULL)
        return;
    const struct upstream_ops *ops = u->ops;
    void *user = u->user;
    upstream_leave(u);
    ops->failed(user, f, reason);
}

/* Content where the method defines none (RFC 9110 s9.3.1): some tools answer without reading it, and then take it for the next request. */
static bool odd_content(const struct wire *w, struct slice method)
{
    return w->content && (slice_eq(method, SLICE("GET")) || slice_eq(method, SLICE("HEAD")) || slice_eq(method, SLICE("DELETE")) || slice_eq(method, SLICE("OPTIONS")));
}

/* The response is whole: keep the connection if both sides may, else close it. */
static void finished(struct wire *w, const struct fields *trailers)
{
    struct upstream *u = w->use;
    const struct upstream_ops *ops = u->ops;
    void *user = u->user;
    bool keep = w->response.keep_alive && w->request_done && bbuf_len(&w->in) == 0 && bbuf_len(&w->out) == 0 &&
                w->body.framing != BODY_UNTIL_CLOSE && !w->pool->closing && !odd_content(w, u->want.method);
    struct fields none = { 0 };
    struct fields given = trailers ? *trailers : none;
    upstream_leave(u);
    if (keep)
        wire_idle(w);
    else
        wire_drop(w, false);
    ops->end(user, &given);
}

static void read_body(struct wire *w)
{
    struct refusal why = { 0 };
    while (w->state == WIRE_BODY && !w->body.done) {
        struct upstream *u = w->use;
        size_t used = 0, room = u->ops->room(u->user);
        struct slice in = bbuf_slice(&w->in), data = { 0 };
        w->paused = room == 0;
        if (w->paused || in.len == 0)
            break;
        if (in.len > room)
            in.len = room;            /* data never exceeds what it is read from */
        enum parse p = h1_body_read(&w->body, in, &used, &data, &why);
        if (p == PARSE_BAD) {
            broke(w, UPSTREAM_GARBAGE, why.reason);
            return;
        }
        if (data.len > 0)
            u->ops->body(u->user, data);
        if (w->state == WIRE_BODY)
            bbuf_drop(&w->in, used);
    }
    if (w->state == WIRE_BODY && w->body.done)
        finished(w, &w->body.trailers);
}

static void start_body(struct wire *w)
{
    struct upstream *u = w->use;
    w->state = WIRE_BODY;
    h1_body_init(&w->body, &w->response, u->want.arena, TRAILERS_MAX);
    u->ops->head(u->user, &w->response);
    if (w->state != WIRE_BODY)
        return;
    if (w->response.framing == BODY_NONE)
        finished(w, NULL);
    else
        read_body(w);
}

/* After a 101: whatever comes, as far as there is room for it. */
static void read_switched(struct wire *w)
{
    while (w->state == WIRE_SWITCHED && bbuf_len(&w->in) > 0) {
        struct upstream *u = w->use;
        struct slice in = bbuf_slice(&w->in);
        size_t room = u->ops->room(u->user);
        w->paused = room == 0;
        if (w->paused)
            break;
        if (in.len > room)
            in.len = room;
        u->ops->body(u->user, in);
        if (w->state == WIRE_SWITCHED)
            bbuf_drop(&w->in, in.len);
    }
}

static void switch_over(struct wire *w)
{
    struct upstream *u = w->use;
    w->state = WIRE_SWITCHED;
    w->request_done = w->chunked = false;   /* writable() is wanted again */
    w->deadline_ms = w->pool->loop->now_ms + u->want.quiet_ms;
    u->ops->head(u->user, &w->response);
    read_switched(w);
}

static void read_head(struct wire *w)
{
    while (w->state == WIRE_HEAD) {
        struct upstream *u = w->use;
        size_t len = 0;
        struct refusal why = { 0 };
        struct h1_limits limits = { .fields = RESPONSE_FIELDS_MAX, .seen = &w->seen };
        enum parse p = h1_head_length(bbuf_slice(&w->in), w->scanned, &len);
        if (p == PARSE_MORE && bbuf_len(&w->in) >= H1_HEAD_MAX)
            p = PARSE_BAD;
        if (p == PARSE_MORE) {
            w->scanned = bbuf_len(&w->in);
            return;
        }
        if (p == PARSE_OK)
            p = h1_parse_response(slice_of(bbuf_slice(&w->in).ptr, len), &limits, u->want.method, u->want.arena, &w->response, &why);
        if (p != PARSE_OK) {
            broke(w, UPSTREAM_GARBAGE, why.reason ? why.reason : "malformed response head");
            return;
        }
        bbuf_drop(&w->in, len);
        w->scanned = 0;
        w->deadline_ms = w->pool->loop->now_ms + w->pool->limits.upstream_head_ms;
        backend_worked(w->place->backend);
        if (w->response.status >= 200)
            start_body(w);
        else if (w->response.status == 101 && u->want.websocket)
            switch_over(w);
        else if (w->response.status == 101)
            broke(w, UPSTREAM_GARBAGE, "101 that nobody asked for");
        else
            u->ops->head(u->user, &w->response);
    }
}

static void consume(struct wire *w)
{
    if (w->state == WIRE_IDLE && bbuf_len(&w->in) > 0)
        wire_drop(w, false);          /* bytes nobody asked for */
    if (w->state == WIRE_HEAD && w->kept && !w->wrote && bbuf_len(&w->in) > 0) {
        w->answered = false;          /* likewise: it has been taken, but nothing was asked yet. The request goes elsewhere */
        broke(w, UPSTREAM_CUT, "the tool spoke before it was asked");
    }
    if (w->state == WIRE_HEAD)
        read_head(w);
    if (w->state == WIRE_BODY && !w->paused)
        read_body(w);
    if (w->state == WIRE_SWITCHED && !w->paused)
        read_switched(w);
}

static void hung_up(struct wire *w)
{
    struct upstream *u = w->use;
    const struct upstream_ops *ops = u->ops;
    const struct fields none = { 0 };
    void *user = u->user;
    upstream_leave(u);
    wire_drop(w, false);
    ops->end(user, &none);
}

static int64_t patience(const struct wire *w)
{
    return w->pool->loop->now_ms + (w->state == WIRE_SWITCHED ? w->use->want.quiet_ms : w->pool->limits.upstream_head_ms);
}

static void ended(struct wire *w, enum io io)
{
    if (w->state == WIRE_BODY && w->body.framing == BODY_UNTIL_CLOSE && io == IO_END && bbuf_len(&w->in) == 0)
        finished(w, NULL);
    else if (w->state == WIRE_SWITCHED && io == IO_END)
        hung_up(w);
    else
        broke(w, UPSTREAM_CUT, "the tool closed the connection before its answer was whole");
}

static void do_read(struct wire *w)
{
    for (int budget = 4; budget > 0 && w->state >= WIRE_IDLE && w->state != WIRE_GONE && !w->paused; budget--) {
        size_t n = 0, room = bbuf_room(&w->in);
        unsigned char *at = bbuf_reserve(&w->in, room < READ_AT_ONCE ? room : READ_AT_ONCE);
        if (at == NULL || room == 0) {
            broke(w, UPSTREAM_CUT, at ? "response framing does not fit its buffer" : "out of memory");
            return;
        }
        enum io io = stream_read(&w->stream, at, room < READ_AT_ONCE ? room : READ_AT_ONCE, &n);
        if (io == IO_AGAIN)
            break;
        if (io != IO_OK) {
            ended(w, io);
            return;
        }
        bbuf_wrote(&w->in, n);
        w->answered = true;
        if (w->state != WIRE_IDLE && w->state != WIRE_HEAD)   /* a head that trickles has no more time than one that doesn't come */
            w->deadline_ms = patience(w);
        consume(w);
        if (n < READ_AT_ONCE)
            break;
    }
}

static void do_write(struct wire *w)
{
    size_t before = bbuf_room(&w->out);
    while (bbuf_len(&w->out) > 0) {
        size_t n = 0;
        enum io io = stream_write(&w->stream, bbuf_slice(&w->out), &n);
        if (io == IO_AGAIN)
            break;
        if (io != IO_OK) {
            /* The tool may have answered already (413, say) and closed its reading side: read that first. */
            do_read(w);
            if (w->state == WIRE_HEAD || w->state == WIRE_BODY || w->state == WIRE_SWITCHED)
                broke(w, UPSTREAM_CUT, "the tool closed the connection while the request was sent");
            return;
        }
        w->wrote = true;
        w->deadline_ms = patience(w);
        bbuf_drop(&w->out, n);
    }
    wire_want(w);
    if (w->use != NULL && bbuf_room(&w->out) > before && !w->request_done)
        w->use->ops->writable(w->use->user);
}

void h1_events(struct wire *w, int events)
{
    if (events & UV_WRITABLE)
        do_write(w);
    if ((events & UV_READABLE) && w->state != WIRE_GONE)
        do_read(w);
    if (w->state != WIRE_GONE)
        wire_want(w);                 /* it may have paused: a level-triggered poll would spin */
}

void h1_tick(struct wire *w, int64_t now_ms)
{
    if (w->state == WIRE_IDLE) {
        wire_drop(w, false);
    } else if (w->state == WIRE_CONNECT || w->state == WIRE_HANDSHAKE) {
        struct upstream *u = w->use;
        struct place *at = w->place;
        bool shared = w->shared;
        wire_drop(w, false);
        backend_failed(at->backend, at->pool->tool, now_ms, "the tool does not answer");
        if (u != NULL)
            upstream_elsewhere(u, UPSTREAM_NOT_SENT, "the tool does not answer");
        if (shared)
            place_failed(at, UPSTREAM_NOT_SENT, "the tool does not answer");
    } else if (w->state == WIRE_SWITCHED) {
        broke(w, UPSTREAM_TIMEOUT, "nothing was said for too long");
    } else if (w->paused || (!w->request_done && bbuf_len(&w->out) == 0)) {
        w->deadline_ms = now_ms + w->pool->limits.upstream_head_ms;   /* the client is the slow one: its own deadline rules */
    } else {
        broke(w, UPSTREAM_TIMEOUT, w->request_done ? "the tool fell silent" : "the tool takes no more of the request");
    }
}

/* ---- for its user ---- */

static void is_ready(struct wire *w)
{
    w->state = WIRE_HEAD;
    w->deadline_ms = w->pool->loop->now_ms + w->pool->limits.upstream_head_ms;
    wire_want(w);
    w->use->ops->connected(w->use->user);
}

void h1_ready(struct wire *w)
{
    w->wrote = w->request_done = w->paused = w->chunked = w->answered = false;
    w->scanned = 0;
    is_ready(w);
}

static void begin_kept(struct task *t)
{
    struct wire *w = (struct wire *)((char *)t - offsetof(struct wire, begin));
    if (w->state == WIRE_HEAD)
        is_ready(w);
}

void h1_begin(struct wire *w, struct upstream *u)
{
    w->use = u;
    w->wrote = w->request_done = w->paused = w->chunked = w->answered = false;
    w->scanned = 0;
    w->state = WIRE_HEAD;
    w->deadline_ms = w->pool->loop->now_ms + w->pool->limits.upstream_head_ms;
    task_cancel(&w->begin);
    w->begin.run = begin_kept;
    task_soon(w->pool->loop, &w->begin);
}

enum status h1_send_head(struct upstream *u, const struct forward_request *f)
{
    enum status st = forward_write_request(f, &u->wire->out);
    if (st == OK && u->want.binds && u->wire->owner == 0) {
        u->wire->owner = u->want.owner;
        u->pool->owned += u->wire->owner != 0;
    }
    if (st == OK) {
        u->wire->chunked = f->has_body && f->chunked;
        u->wire->content = f->has_body;
    }
    return st;
}

size_t h1_room(const struct upstream *u)
{
    size_t room = bbuf_room(&u->wire->out);
    if (!u->wire->chunked)
        return room;
    return room > CHUNK_OVERHEAD ? room - CHUNK_OVERHEAD : 0;
}

enum status h1_put(struct upstream *u, struct slice data)
{
    struct bbuf *out = &u->wire->out;
    char size[24];
    if (!u->wire->chunked)
        return bbuf_put(out, data);
    enum status st = bbuf_put(out, slice_of(size, (size_t)snprintf(size, sizeof size, "%zx\r\n", data.len)));
    if (st == OK)
        st = bbuf_put(out, data);
    return st == OK ? bbuf_put(out, SLICE("\r\n")) : st;
}

void h1_flush(struct upstream *u)
{
    struct wire *w = u->wire;
    if (w->state == WIRE_HEAD || w->state == WIRE_BODY || w->state == WIRE_SWITCHED)
        do_write(w);
}

enum status h1_sent(struct upstream *u)
{
    struct wire *w = u->wire;
    if (w->chunked) {
        enum status st = bbuf_put(&w->out, SLICE("0\r\n\r\n"));
        if (st != OK)
            return st;
    }
    w->request_done = true;
    w->deadline_ms = w->pool->loop->now_ms + w->pool->limits.upstream_head_ms;
    h1_flush(u);
    return OK;
}

static void resume_task(struct task *t)
{
    struct wire *w = (struct wire *)((char *)t - offsetof(struct wire, begin));
    if ((w->state != WIRE_BODY && w->state != WIRE_SWITCHED) || w->paused)
        return;
    consume(w);
    if (w->state == WIRE_BODY || w->state == WIRE_SWITCHED)
        wire_want(w);
}

void h1_resume(struct upstream *u)
{
    struct wire *w = u->wire;
    if (!w->paused)
        return;
    w->paused = false;
    w->begin.run = resume_task;       /* later: the caller may be inside our own body callback */
    task_soon(w->pool->loop, &w->begin);
}

void h1_leave(struct upstream *u, bool friendly)
{
    struct wire *w = u->wire;
    bool unused = w->state == WIRE_HEAD && !w->wrote && bbuf_len(&w->out) == 0;
    upstream_leave(u);
    if (unused && !w->pool->closing) {
        task_cancel(&w->begin);
        wire_idle(w);                 /* it was only taken */
    } else {
        wire_drop(w, friendly && w->state == WIRE_SWITCHED);
    }
}
