/* front_h2: HTTP/2 on a client connection (RFC 9113), through nghttp2. Flow control is tied to our buffers: a stream's window opens only as its bytes go on. */
#include "proxy/base/log.h"
#include "proxy/exchange/conn.h"
#include "proxy/exchange/h2_request.h"

#include <assert.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>

enum { STREAM_OUT_MAX = 64 * 1024, RESET_BURST = 200, RESET_RATE = 20, FIELDS_SENT_MAX = 300 };

struct h2_stream {
    struct h2_stream *next, *prev;    /* of the connection */
    struct exchange *x;
    struct h2_request building;       /* fields as they come */
    struct bbuf out;                  /* body for the client */
    struct fields trailers;
    bool started, ended, deferred, was_full;
};

struct h2_conn {
    nghttp2_session *session;
    struct conn *conn;
    struct h2_stream *streams;
    unsigned count;
    bool in_session, stopping;        /* in_session: a callback of nghttp2 is on the stack */
    struct task work;
};

static const struct front front_h2;

static struct h2_conn *h2_of(const struct exchange *x)
{
    return x->conn->driver;
}

/* Something is to be sent or resumed; done outside nghttp2's callbacks. */
static void work_soon(struct h2_conn *h)
{
    task_soon(&h->conn->worker->loop, &h->work);
}

static struct h2_stream *stream_new(struct h2_conn *h, int32_t id)
{
    struct h2_stream *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->x = exchange_new(h->conn, &front_h2, s);
    if (s->x == NULL) {
        free(s);
        return NULL;
    }
    s->x->stream_id = id;
    h2_request_init(&s->building, &s->x->arena, h->conn->snap->config->limits.fields, h->conn->snap->config->limits.head_bytes);
    bbuf_init(&s->out, STREAM_OUT_MAX);
    s->next = h->streams;
    if (h->streams != NULL)
        h->streams->prev = s;
    h->streams = s;
    h->count++;
    return s;
}

static void stream_free(struct h2_conn *h, struct h2_stream *s)
{
    if (s->prev != NULL)
        s->prev->next = s->next;
    else
        h->streams = s->next;
    if (s->next != NULL)
        s->next->prev = s->prev;
    h->count--;
    if (s->x != NULL)
        exchange_free(s->x);
    bbuf_done(&s->out);
    free(s);
}

/* ---- what the client sends ---- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *f, void *user)
{
    struct h2_conn *h = user;
    if (f->hd.type != NGHTTP2_HEADERS || f->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct h2_stream *s = h->stopping ? NULL : stream_new(h, f->hd.stream_id);
    if (s == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    nghttp2_session_set_stream_user_data(session, f->hd.stream_id, s);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *f, const uint8_t *name, size_t name_len, const uint8_t *value,
                     size_t value_len, uint8_t flags, void *user)
{
    struct h2_stream *s = nghttp2_session_get_stream_user_data(session, f->hd.stream_id);
    (void)flags;
    (void)user;
    if (s == NULL || f->hd.type != NGHTTP2_HEADERS)
        return 0;
    bool ok = s->started ? h2_request_trailer(&s->building, slice_of(name, name_len), slice_of(value, value_len))
                         : h2_request_field(&s->building, slice_of(name, name_len), slice_of(value, value_len));
    return ok ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;   /* reset: out of memory */
}

static void refuse(struct exchange *x, const struct refusal *why)
{
    struct problem p = { .status = why->status, .type = why->status == 431 ? "head-too-large" : "malformed-request",
                         .title = "This request can't be understood", .detail = why->reason, .next = "Send a well-formed request (RFC 9113)." };
    reply_problem(x, &p);
}

static void headers_done(struct h2_conn *h, struct h2_stream *s, bool ended)
{
    struct refusal why = { 0 };
    s->started = true;
    s->ended = ended;
    conn_deadline(h->conn, h->conn->snap->config->limits.body_idle_ms);
    if (h2_request_finish(&s->building, !ended, &s->x->request, &why) != PARSE_OK) {
        s->x->request_done = ended;
        refuse(s->x, &why);
    } else {
        exchange_start(s->x, !ended);
    }
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *f, void *user)
{
    struct h2_conn *h = user;
    struct h2_stream *s = f->hd.stream_id ? nghttp2_session_get_stream_user_data(session, f->hd.stream_id) : NULL;
    bool end = f->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (s == NULL || (f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA))
        return 0;
    if (f->hd.type == NGHTTP2_HEADERS && !s->started) {
        headers_done(h, s, end);
    } else if (end && !s->ended) {
        s->ended = true;
        exchange_body_end(s->x, &s->building.trailers);
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *user)
{
    struct h2_conn *h = user;
    struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
    (void)flags;
    nghttp2_session_consume_connection(session, len);   /* one slow stream must not stop the others */
    if (s == NULL)
        return 0;
    conn_deadline(h->conn, h->conn->snap->config->limits.body_idle_ms);
    exchange_body(s->x, slice_of(data, len));
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct h2_conn *h = user;
    struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
    (void)code;
    if (s != NULL) {
        nghttp2_session_set_stream_user_data(session, id, NULL);
        stream_free(h, s);
    }
    if (h->count == 0)
        conn_deadline(h->conn, h->conn->snap->config->limits.idle_ms);
    return 0;
}

/* ---- what goes to the client ---- */

static ssize_t read_out(nghttp2_session *session, int32_t id, uint8_t *buf, size_t max, uint32_t *flags, nghttp2_data_source *source,
                        void *user)
{
    struct h2_stream *s = source->ptr;
    struct h2_conn *h = user;
    size_t n = bbuf_len(&s->out);
    if (n > max)
        n = max;
    if (n > 0) {
        memcpy(buf, bbuf_slice(&s->out).ptr, n);
        bbuf_drop(&s->out, n);
        if (s->x->state != X_DONE)
            work_soon(h);             /* there is room again */
    }
    if (bbuf_len(&s->out) > 0)
        return (ssize_t)n;
    if (s->x->state == X_DONE) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (s->trailers.count > 0) {
            nghttp2_nv nv[32];
            size_t count = h2_make_nv(&s->trailers, nv, 32);
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            nghttp2_submit_trailer(session, id, nv, count);
        }
        return (ssize_t)n;
    }
    if (n > 0)
        return (ssize_t)n;
    s->deferred = true;
    return NGHTTP2_ERR_DEFERRED;
}

static void send_all(struct h2_conn *h)
{
    struct conn *c = h->conn;
    while (bbuf_len(&c->out) < CONN_OUT_MAX / 2 && (c->state == CONN_OPEN || c->state == CONN_FLUSH)) {
        const uint8_t *data = NULL;
        ssize_t n = nghttp2_session_mem_send(h->session, &data);
        if (n < 0 || (n > 0 && bbuf_put(&c->out, slice_of(data, (size_t)n)) != OK)) {
            conn_close(c, false);
            return;
        }
        if (n == 0)
            break;
    }
    if (bbuf_len(&c->out) > 0)
        conn_flush_soon(c);
    if (c->state == CONN_OPEN && !nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session))
        conn_finish(c);
}

static void do_work(struct task *t)
{
    struct h2_conn *h = (struct h2_conn *)((char *)t - offsetof(struct h2_conn, work));
    struct conn *c = h->conn;
    for (struct h2_stream *s = h->streams, *next; s != NULL && c->state == CONN_OPEN; s = next) {
        next = s->next;
        if (s->started && s->x->state != X_DONE && bbuf_room(&s->out) > STREAM_OUT_MAX / 4)
            exchange_writable(s->x);
    }
    if (c->state == CONN_OPEN || c->state == CONN_FLUSH)
        send_all(h);
}

static void h2_input(struct conn *c)
{
    struct h2_conn *h = c->driver;
    struct slice in = bbuf_slice(&c->in);
    ssize_t n = nghttp2_session_mem_recv(h->session, in.ptr, in.len);
    if (c->state != CONN_OPEN)
        return;
    if (n < 0 || (size_t)n != in.len) {
        log_info("h2.broken", "source", c->address, "why", n < 0 ? nghttp2_strerror((int)n) : "short read");
        send_all(h);
        conn_finish(c);
        return;
    }
    bbuf_drop(&c->in, in.len);
    if (h->count == 0 && c->deadline_ms > c->worker->loop.now_ms + c->snap->config->limits.idle_ms)
        conn_deadline(c, c->snap->config->limits.idle_ms);
    work_soon(h);
}

static void h2_output(struct conn *c)
{
    send_all(c->driver);
}

static bool h2_idle(const struct conn *c)
{
    const struct h2_conn *h = c->driver;
    return h->count == 0;
}

static void h2_stop(struct conn *c)
{
    struct h2_conn *h = c->driver;
    h->stopping = true;
    nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(h->session), NGHTTP2_NO_ERROR, NULL, 0);
    work_soon(h);
}

static void h2_free(struct conn *c)
{
    struct h2_conn *h = c->driver;
    task_cancel(&h->work);
    while (h->streams != NULL)
        stream_free(h, h->streams);
    /* conn_close may have come from within one of its own callbacks: nghttp2 must live until that returns. */
    c->worker->dead_sessions = h2_bury(c->worker, h->session);
    free(h);
    c->driver = NULL;
}
