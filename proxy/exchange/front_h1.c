/* front_h1: HTTP/1.1 on a client connection. One exchange at a time; pipelined requests wait in the connection's buffer. */
#include "proxy/exchange/conn.h"
#include "proxy/exchange/h2_guard.h"
#include "proxy/exchange/websocket.h"
#include "proxy/http/h1.h"
#include "proxy/http/h1_write.h"
#include "proxy/http/target.h"

#include <stdio.h>
#include <stdlib.h>

enum { STOPPING_IDLE_MS = 500 };      /* a request may be on its way: closing at once would lose it */

struct h1_conn {
    struct exchange *x;               /* under way, or NULL */
    struct h1_body body;
    size_t scanned;
    bool has_body, close_after, chunked, stopping, headless;
    bool tunnel;                      /* 101 went out: the rest is a WebSocket's */
    struct task next;                 /* go on reading: the last exchange ended, or its body has room */
    struct conn *conn;
};

static const struct front front_h1;
static void h1_cut(struct exchange *x);

static struct h1_conn *h1_of(const struct exchange *x)
{
    return x->conn->driver;
}

static void on_next(struct task *t);

static bool h1_start(struct conn *c)
{
    struct h1_conn *h = calloc(1, sizeof *h);
    if (h == NULL)
        return false;
    h->conn = c;
    h->next.run = on_next;
    c->driver = h;
    return true;
}

static void h1_free(struct conn *c)
{
    struct h1_conn *h = c->driver;
    task_cancel(&h->next);
    if (h->x != NULL)
        exchange_free(h->x);
    free(h);
    c->driver = NULL;
}

static bool h1_idle(const struct conn *c)
{
    const struct h1_conn *h = c->driver;
    return h->x == NULL;
}

/* Nothing more can be understood on this connection: answer without an exchange's stages, then close. */
static void refuse(struct conn *c, const struct refusal *why)
{
    struct h1_conn *h = c->driver;
    struct exchange *x = h->x;
    h->close_after = true;
    struct problem p = { .status = why->status ? why->status : 400, .type = "malformed-request", .title = "This request can't be understood",
                         .detail = why->reason ? why->reason : "malformed request", .next = "Send well-formed HTTP/1.1 (RFC 9112)." };
    if (p.status == 414)
        p.type = "head-too-large", p.title = "This request's address is too long", p.next = "Send a shorter path and query; long forms belong into a POST.";
    if (p.status == 431)
        p.type = "head-too-large", p.title = "This request's head is too large", p.next = "Send fewer or shorter fields; clearing cookies often helps.";
    conn_read(c, false);
    if (x == NULL)
        x = h->x = exchange_new(c, &front_h1, NULL);
    if (x == NULL) {
        conn_close(c, false);
        return;
    }
    struct slice method = x->request.method;
    if (slice_starts(bbuf_slice(&c->in), SLICE("HEAD ")))
        x->request.method = SLICE("HEAD");   /* whatever else is wrong, its answer has no body (RFC 9110 s9.3.2) */
    reply_problem(x, &p);
    x->request.method = method;
}

static void begin(struct conn *c, size_t head_len)
{
    struct h1_conn *h = c->driver;
    struct refusal why = { 0 };
    struct h1_limits limits = { .fields = c->snap->config->limits.fields, .seen = &c->seen };
    struct exchange *x = h->x = exchange_new(c, &front_h1, NULL);
    if (x == NULL) {
        conn_close(c, false);
        return;
    }
    enum parse p = h1_parse_request(slice_of(bbuf_slice(&c->in).ptr, head_len), &limits, &x->arena, &x->request, &why);
    if (p != PARSE_OK)
        refuse(c, &why);
    bbuf_drop(&c->in, head_len);
    if (p != PARSE_OK)
        return;
    h->close_after = !x->request.keep_alive || h->stopping;
    h->has_body = x->request.framing != BODY_NONE;
    if (h->has_body)
        h1_body_init(&h->body, &x->request, &x->arena, 64);
    conn_deadline(c, c->snap->config->limits.body_idle_ms);
    exchange_start(x, h->has_body && !h->body.done);
}

/* Is it the target that makes the head too large (RFC 9112 s3: 414), or are it the fields (RFC 6585 s5)? */
static struct refusal too_large(struct slice in)
{
    struct slice line = slice_of(in.ptr, slice_find(in, '\n'));
    size_t method_len = slice_find(line, ' ');
    if (line.len - method_len > TARGET_MAX + sizeof " HTTP/1.1\r")
        return (struct refusal){ 414, "a request target that is too long" };
    return (struct refusal){ 431, "the request head is too large" };
}

static void read_head(struct conn *c)
{
    struct h1_conn *h = c->driver;
    struct slice in = bbuf_slice(&c->in);
    struct refusal why;
    size_t len = 0;
    if (h->scanned == 0 && in.len >= 2 && in.ptr[0] == '\r' && in.ptr[1] == '\n') {
        bbuf_drop(&c->in, 2);         /* one empty line before a request line (RFC 9112 s2.2) */
        in = bbuf_slice(&c->in);
    }
    enum parse p = h1_head_length(in, h->scanned, &len);
    size_t max = c->snap->config->limits.head_bytes;
    if (p == PARSE_OK && len <= max) {
        h->scanned = 0;
        begin(c, len);
    } else if (p == PARSE_BAD) {
        why = (struct refusal){ 400, "the request head is malformed" };
        refuse(c, &why);
    } else if (p == PARSE_OK || in.len >= max) {
        why = too_large(in);
        refuse(c, &why);
    } else {
        if (h->scanned == 0 && in.len > 0)
            conn_deadline(c, c->snap->config->limits.head_ms);   /* from the first byte, whatever trickles in */
        h->scanned = in.len;
        conn_read(c, true);
    }
}

/* It goes on, by as much as these bytes are worth. */
static void slow_deadline(struct conn *c, size_t n)
{
    const struct limits *l = &c->snap->config->limits;
    c->deadline_ms = guard_progress(c->deadline_ms - l->body_idle_ms, c->worker->loop.now_ms, n, l->slow_rate) + l->body_idle_ms;
}

static void read_body(struct conn *c)
{
    struct h1_conn *h = c->driver;
    struct exchange *x = h->x;
    while (h->x == x && !h->body.done && c->state == CONN_OPEN) {
        struct refusal why = { 0 };
        struct slice in = bbuf_slice(&c->in), data = { 0 };
        size_t used = 0, room = exchange_body_room(x);
        if (in.len > room)
            in.len = room;
        if (in.len == 0) {
            if (room > 0 && !c->want_read)
                conn_deadline(c, c->snap->config->limits.body_idle_ms);   /* until now it waited for us */
            conn_read(c, room > 0);
            return;
        }
        if (h1_body_read(&h->body, in, &used, &data, &why) == PARSE_BAD) {
            h->close_after = true;
            conn_read(c, false);
            exchange_broken(x, why.status ? why.status : 400, "malformed-request", why.reason ? why.reason : "malformed body");
            return;
        }
        slow_deadline(c, used);
        if (data.len > 0)
            exchange_body(x, data);
        bbuf_drop(&c->in, used);
    }
    if (h->x == x && h->body.done) {
        conn_read(c, false);          /* the next request waits in the kernel */
        if (!x->request_done)
            exchange_body_end(x, &h->body.trailers);
    }
}

static void read_tunnel(struct conn *c)
{
    struct h1_conn *h = c->driver;
    struct slice in = bbuf_slice(&c->in);
    size_t room = exchange_body_room(h->x);
    if (in.len > room)
        in.len = room;
    if (in.len > 0) {
        exchange_body(h->x, in);
        bbuf_drop(&c->in, in.len);
    }
    conn_read(c, bbuf_room(&c->in) > 0 && exchange_body_room(h->x) > 0);
}

static void h1_input(struct conn *c)
{
    struct h1_conn *h = c->driver;
    if (h->x != NULL && h->tunnel) {
        read_tunnel(c);
        return;
    }
    if (h->x == NULL && bbuf_len(&c->out) > 0 && bbuf_len(&c->in) > 0) {
        conn_read(c, false);          /* the last answer goes out first, so that the next one's head has room; h1_output goes on */
        return;
    }
    if (h->x == NULL && bbuf_len(&c->in) > 0)
        read_head(c);
    if (c->state == CONN_OPEN && h->x != NULL && h->has_body && !h->body.done)
        read_body(c);
    else if (c->state == CONN_OPEN && h->x != NULL)
        conn_read(c, bbuf_len(&c->in) == 0);   /* keep looking for the client's leaving, but buffer no pipeline */
}

static void on_next(struct task *t)
{
    struct h1_conn *h = (struct h1_conn *)((char *)t - offsetof(struct h1_conn, next));
    struct conn *c = h->conn;
    if (c->state != CONN_OPEN)
        return;
    if (h->x != NULL && h->x->state == X_DONE) {
        bool unread = h->has_body && !h->body.done;
        exchange_free(h->x);
        h->x = NULL;
        if (h->close_after || unread) {
            conn_finish(c);
            return;
        }
        conn_deadline(c, h->stopping ? STOPPING_IDLE_MS : c->snap->config->limits.idle_ms);
        conn_read(c, true);
    }
    h1_input(c);
    if (c->state == CONN_OPEN)
        bbuf_idle(&c->in);
}

static void h1_output(struct conn *c)
{
    struct h1_conn *h = c->driver;
    if (h->x != NULL)
        exchange_writable(h->x);
    else if (bbuf_len(&c->in) > 0)
        task_soon(&c->worker->loop, &h->next);
}

static void h1_stop(struct conn *c)
{
    struct h1_conn *h = c->driver;
    if (h->x != NULL && h->tunnel)
        websocket_end(h->x, 1001, "drained");
    h->stopping = true;               /* the next response head says so; one that has gone out said "keep-alive", and is kept to */
    if (h->x == NULL && bbuf_len(&c->in) == 0 && c->deadline_ms > c->worker->loop.now_ms + STOPPING_IDLE_MS)
        conn_deadline(c, STOPPING_IDLE_MS);
}

/* ---- the front ---- */

static void h1_head(struct exchange *x, unsigned status, const struct fields *fields, int64_t length, bool no_body)
{
    struct h1_conn *h = h1_of(x);
    bool old = x->request.version == 10;
    if (status != 101 && ((h->has_body && !h->body.done) || h->stopping || x->conn->crowded))
        h->close_after = true;        /* what is left of the request is not worth reading */
    h->chunked = !no_body && length < 0 && !old && status != 101;
    if (!no_body && length < 0 && old)
        h->close_after = true;
    struct h1_response_head head = {
        .status = status, .fields = fields, .close = h->close_after && status != 101, .now_ms = loop_wall_ms(&x->worker->loop),
        .framing = no_body || status == 101 ? BODY_NONE : length >= 0 ? BODY_LENGTH : h->chunked ? BODY_CHUNKED : BODY_UNTIL_CLOSE,
        .has_length = length >= 0, .content_length = length >= 0 ? (uint64_t)length : 0,
    };
    if (h1_write_response_head(&head, &x->conn->out) != OK)
        h->headless = true;           /* a body without its head would be read as the next head: nothing more may go out */
    if (h->headless) {
        h1_cut(x);
    } else if (status == 101) {
        h->tunnel = h->close_after = true;
        task_soon(&x->conn->worker->loop, &h->next);   /* what the client sent in hope */
    }
    conn_flush_soon(x->conn);
}

static void h1_interim(struct exchange *x, unsigned status, const struct fields *fields)
{
    struct h1_response_head head = { .status = status, .fields = fields, .framing = BODY_NONE };
    if (x->request.version >= 11 && h1_write_response_head(&head, &x->conn->out) == OK)
        conn_flush_soon(x->conn);
}

static size_t h1_room(const struct exchange *x)
{
    size_t room = bbuf_room(&x->conn->out);
    if (!h1_of(x)->chunked)
        return room;
    return room > 2 * H1_CHUNK_FRAMING ? room - 2 * H1_CHUNK_FRAMING : 0;   /* the last chunk fits too */
}

static void h1_body(struct exchange *x, struct slice data)
{
    struct h1_conn *h = h1_of(x);
    struct bbuf *out = &x->conn->out;
    if (h->headless)
        return;
    enum status st = h->chunked && data.len > 0 ? h1_write_chunk_size(data.len, out) : OK;
    if (st == OK)
        st = conn_put(x->conn, data);
    if (st == OK && h->chunked && data.len > 0)
        st = h1_write_chunk_end(out);
    if (st != OK)
        x->front->cut(x);             /* out of memory in the middle of a message */
    else
        conn_flush_soon(x->conn);
}

static void h1_end(struct exchange *x)
{
    struct h1_conn *h = h1_of(x);
    if (h->headless)
        return;                       /* the cut is under way */
    if (h->chunked && h1_write_last_chunk(&x->response_trailers, &x->conn->out) != OK)
        h->close_after = true;
    conn_flush_soon(x->conn);
    task_soon(&x->conn->worker->loop, &h->next);
}

static void h1_cut(struct exchange *x)
{
    struct h1_conn *h = h1_of(x);
    h->close_after = true;
    x->conn->cut = true;              /* reset once what went before is written, never a clean end */
    conn_flush_soon(x->conn);
}

static bool h1_nothing_waits(const struct exchange *x)
{
    return bbuf_len(&x->conn->out) == 0;
}

static void h1_took(struct exchange *x, size_t n)
{
    (void)n;
    task_soon(&x->conn->worker->loop, &h1_of(x)->next);
}

static const struct front front_h1 = { h1_head, h1_interim, h1_room, h1_body, h1_end, h1_cut, h1_nothing_waits, h1_took };
const struct protocol protocol_h1 = { h1_start, h1_input, h1_output, h1_stop, h1_free, h1_idle, NULL };
