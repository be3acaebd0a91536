/* front_h2_send: what goes to the client of an HTTP/2 connection. Heads are handed to nghttp2 at once; a body waits in its stream's buffer until the windows are open. */
#include "proxy/base/clock.h"
#include "proxy/exchange/front_h2_internal.h"

enum { FIELDS_SENT_MAX = 300, TRAILERS_SENT_MAX = 64 };

static struct h2_conn *h2_of(const struct exchange *x)
{
    return x->conn->driver;
}

static size_t make_nv(const struct fields *f, nghttp2_nv *nv, size_t max);

/* A tool's trailers end the stream; none: the data does. */
static bool send_trailers(nghttp2_session *session, const struct h2_stream *s)
{
    nghttp2_nv nv[TRAILERS_SENT_MAX];
    size_t n = make_nv(&s->x->response_trailers, nv, TRAILERS_SENT_MAX);
    return n > 0 && nghttp2_submit_trailer(session, s->x->stream_id, nv, n) == 0;
}

/* How much of the stream's body goes into the next DATA frame; h2_send_data puts it behind the frame's head, so that nghttp2 doesn't copy it. */
static ssize_t read_out(nghttp2_session *session, int32_t id, uint8_t *buf, size_t max, uint32_t *flags, nghttp2_data_source *source,
                        void *user)
{
    struct h2_stream *s = source->ptr;
    size_t n = bbuf_len(&s->out);
    (void)id;
    (void)buf;
    (void)user;
    bool all = n <= max;
    if (all && s->x->state == X_DONE)
        *flags |= NGHTTP2_DATA_FLAG_EOF | (send_trailers(session, s) ? NGHTTP2_DATA_FLAG_NO_END_STREAM : 0u);
    if (n > 0) {
        *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
        return (ssize_t)(all ? n : max);
    }
    if (*flags & NGHTTP2_DATA_FLAG_EOF)
        return 0;
    s->deferred = true;
    return NGHTTP2_ERR_DEFERRED;
}

int h2_send_data(nghttp2_session *session, nghttp2_frame *f, const uint8_t *head, size_t len, nghttp2_data_source *source, void *user)
{
    enum { FRAME_HEAD = 9 };
    struct h2_stream *s = source->ptr;
    struct h2_conn *h = user;
    struct bbuf *out = &h->conn->out;
    (void)session;
    (void)f;
    if (bbuf_room(out) < FRAME_HEAD + len)
        return NGHTTP2_ERR_WOULDBLOCK;   /* asked again once some of it is written */
    if (bbuf_put(out, slice_of(head, FRAME_HEAD)) != OK || conn_put(h->conn, slice_of(bbuf_slice(&s->out).ptr, len)) != OK)
        return NGHTTP2_ERR_CALLBACK_FAILURE;   /* half a frame is out: the connection ends */
    bbuf_drop(&s->out, len);
    s->moved_ms = guard_progress(s->moved_ms, h->conn->worker->loop.now_ms, len, h->conn->snap->config->limits.slow_rate);
    if (s->x->state != X_DONE)
        work_soon(h);                 /* there is room again */
    return 0;
}

static struct h2_stream *stream_of(const struct exchange *x)
{
    return x->stream;
}

/* Names and values live as long as the exchange, which is longer than nghttp2 needs them: a frame whose stream has gone is not made any more. */
static size_t make_nv(const struct fields *f, nghttp2_nv *nv, size_t max)
{
    enum { BORROWED = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE };
    size_t n = 0;
    for (size_t i = 0; i < f->count && n < max; i++) {
        const struct field *e = &f->v[i];
        bool secret = slice_eq(e->name, SLICE("set-cookie"));
        nv[n++] = (nghttp2_nv){ (uint8_t *)(uintptr_t)e->name.ptr, (uint8_t *)(uintptr_t)e->value.ptr, e->name.len, e->value.len,
                                (uint8_t)(secret ? BORROWED | NGHTTP2_NV_FLAG_NO_INDEX : BORROWED) };
    }
    return n;
}

static nghttp2_nv literal(const char *name, const char *value)
{
    return (nghttp2_nv){ (uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE };
}

/* Decimal digits into text, which has room for 20; no printf, as every answer has two such numbers. */
static nghttp2_nv number(const char *name, char text[20], uint64_t n)
{
    size_t at = 20;
    do {
        text[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    return (nghttp2_nv){ (uint8_t *)(uintptr_t)name, (uint8_t *)text + at, strlen(name), 20 - at, NGHTTP2_NV_FLAG_NONE };
}

/* The date of this second, made once. */
static const char *date_now(const struct loop *l)
{
    static _Thread_local char text[CLOCK_TEXT_MAX];
    static _Thread_local int64_t second;
    int64_t now = loop_wall_ms(l);
    if (now / 1000 != second) {
        second = now / 1000;
        clock_http_date(now, text);
    }
    return text;
}

static void h2_head(struct exchange *x, unsigned status, const struct fields *fields, int64_t length, bool no_body)
{
    struct h2_stream *s = stream_of(x);
    nghttp2_nv nv[FIELDS_SENT_MAX + 3];
    char status_text[20], length_text[20];
    size_t n = 0;
    nghttp2_data_provider source = { .source.ptr = s, .read_callback = read_out };
    bool opens = status == 101;       /* RFC 8441 s5: in HTTP/2 that is a 200 */
    if (x->request.connect && !opens && status / 100 == 2) {
        x->front->cut(x);             /* it would be taken for one */
        return;
    }
    if (opens)
        status = 200;
    nv[n++] = number(":status", status_text, status);
    n += make_nv(fields, nv + n, FIELDS_SENT_MAX);
    if (length >= 0 && status != 204 && status >= 200)
        nv[n++] = number("content-length", length_text, (uint64_t)length);
    if (fields_get(fields, SLICE("date")).ptr == NULL)
        nv[n++] = literal("date", date_now(&x->worker->loop));
    bool empty = no_body || length == 0;
    if (nghttp2_submit_response(h2_of(x)->session, x->stream_id, nv, n, empty ? NULL : &source) != 0)
        nghttp2_submit_rst_stream(h2_of(x)->session, NGHTTP2_FLAG_NONE, x->stream_id, NGHTTP2_INTERNAL_ERROR);
    work_soon(h2_of(x));
}

static void h2_interim(struct exchange *x, unsigned status, const struct fields *fields)
{
    nghttp2_nv nv[FIELDS_SENT_MAX + 1];
    char status_text[20];
    nv[0] = number(":status", status_text, status);
    size_t n = 1 + make_nv(fields, nv + 1, FIELDS_SENT_MAX);
    nghttp2_submit_headers(h2_of(x)->session, NGHTTP2_FLAG_NONE, x->stream_id, NULL, nv, n, NULL);
    work_soon(h2_of(x));
}

static size_t h2_room(const struct exchange *x)
{
    return bbuf_room(&stream_of(x)->out);
}

static void resume(struct h2_conn *h, struct h2_stream *s)
{
    if (s->deferred) {
        s->deferred = false;
        nghttp2_session_resume_data(h->session, s->x->stream_id);
    }
    work_soon(h);
}

static void h2_cut(struct exchange *x)
{
    nghttp2_submit_rst_stream(h2_of(x)->session, NGHTTP2_FLAG_NONE, x->stream_id, NGHTTP2_INTERNAL_ERROR);
    work_soon(h2_of(x));
}

static void h2_body(struct exchange *x, struct slice data)
{
    if (bbuf_put(&stream_of(x)->out, data) != OK)
        h2_cut(x);
    else
        resume(h2_of(x), stream_of(x));
}

static void h2_end(struct exchange *x)
{
    resume(h2_of(x), stream_of(x));
}

static bool h2_nothing_waits(const struct exchange *x)
{
    return bbuf_len(&stream_of(x)->out) == 0 && nghttp2_session_get_outbound_queue_size(h2_of(x)->session) == 0;
}

static void h2_took(struct exchange *x, size_t n)
{
    if (n > 0)
        nghttp2_session_consume_stream(h2_of(x)->session, x->stream_id, n);
    work_soon(h2_of(x));
}

const struct front front_h2 = { h2_head, h2_interim, h2_room, h2_body, h2_end, h2_cut, h2_nothing_waits, h2_took };
