/* front_h2: HTTP/2 on a client connection (RFC 9113), through nghttp2. Flow control is tied to our buffers: a stream's window opens only as its bytes go on. */
#include "proxy/base/block.h"
#include "proxy/base/log.h"
#include "proxy/exchange/front_h2_internal.h"
#include "proxy/exchange/websocket.h"

#include <assert.h>
#include <stdlib.h>

enum { UNWANTED_MAX = 1024 * 1024, FRAMES_QUEUED_MAX = 2048, STREAM_BLOCK = 512, REST_AFTER_MS = 1000 };
static_assert(sizeof(struct h2_stream) <= STREAM_BLOCK, "a size that is kept (block.h)");

static struct h2_stream *stream_new(struct h2_conn *h, int32_t id)
{
    struct h2_stream *s = block_new(STREAM_BLOCK);
    if (s == NULL)
        return NULL;
    *s = (struct h2_stream){ .x = exchange_new(h->conn, &front_h2, s) };
    if (s->x == NULL) {
        block_free(s, STREAM_BLOCK);
        return NULL;
    }
    s->x->stream_id = id;
    h->served = true;
    s->moved_ms = h->conn->worker->loop.now_ms;
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
    if (h->reading == s)
        h->reading = NULL;
    if (s->x != NULL)
        exchange_free(s->x);
    bbuf_done(&s->out);
    block_free(s, STREAM_BLOCK);
}

/* ---- what the client sends ---- */

/* A connection error; what came behind the frame at fault isn't read. */
static int condemn(struct h2_conn *h, uint32_t code, const char *why)
{
    h->why = why;
    nghttp2_session_terminate_session(h->session, code);
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int64_t widest_window(const struct h2_conn *h)
{
    int64_t widest = 0;
    for (const struct h2_stream *s = h->streams; s != NULL; s = s->next) {
        int32_t w = nghttp2_session_get_stream_remote_window_size(h->session, s->x->stream_id);
        if (w > widest)
            widest = w;
    }
    return widest;
}

/* SETTINGS that push a stream's window past 2^31-1 are a connection error (RFC 9113 s6.9.2); nghttp2 ends only the stream. */
static int check_settings(struct h2_conn *h, const nghttp2_settings *f)
{
    for (size_t i = 0; i < f->niv; i++)
        if (f->iv[i].settings_id == NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE && h->widest > 0 && h->widest + f->iv[i].value - h->window > INT32_MAX)
            return condemn(h, NGHTTP2_FLOW_CONTROL_ERROR, "SETTINGS overflow a stream's window");
    return 0;
}

/* What nghttp2 leaves to the server: frames on closed streams, identifiers that go backwards (RFC 9113 s5.1, s5.1.1), and floods (s10.5). */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user)
{
    struct h2_conn *h = user;
    bool live = hd->stream_id > 0 && nghttp2_session_get_stream_user_data(session, hd->stream_id) != NULL;
    enum h2_id_verdict v = hd->type == NGHTTP2_HEADERS ? h2_ids_headers(&h->ids, hd->stream_id, live)
                           : hd->type == NGHTTP2_DATA  ? h2_ids_data(&h->ids, hd->stream_id, live)
                                                       : H2_ID_FINE;
    if (v != H2_ID_FINE)
        return condemn(h, v == H2_ID_STREAM_CLOSED ? NGHTTP2_STREAM_CLOSED : NGHTTP2_PROTOCOL_ERROR, "a frame on a closed stream");
    if (hd->type == NGHTTP2_SETTINGS && !(hd->flags & NGHTTP2_FLAG_ACK)) {
        h->widest = widest_window(h);
        h->window = nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE);
    }
    int64_t now = h->conn->worker->loop.now_ms;
    bool useless = hd->type == NGHTTP2_DATA && hd->length == 0 && !(hd->flags & NGHTTP2_FLAG_END_STREAM);
    if (!h2_guard_frame(&h->guard, hd->type, now) || (useless && !h2_guard_empty(&h->guard, now)))
        return condemn(h, NGHTTP2_ENHANCE_YOUR_CALM, "a flood of frames that ask for nothing");
    return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *f, void *user)
{
    struct h2_conn *h = user;
    h->reading = nghttp2_session_get_stream_user_data(session, f->hd.stream_id);   /* trailers */
    if (f->hd.type != NGHTTP2_HEADERS || f->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    if (h->stopping) {                /* after the last stream that the GOAWAY names: the client may send it elsewhere */
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, f->hd.stream_id, NGHTTP2_REFUSED_STREAM);
        return 0;
    }
    struct h2_stream *s = stream_new(h, f->hd.stream_id);
    if (s == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    nghttp2_session_set_stream_user_data(session, f->hd.stream_id, s);
    h->reading = s;
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *f, const uint8_t *name, size_t name_len, const uint8_t *value,
                     size_t value_len, uint8_t flags, void *user)
{
    const struct h2_conn *h = user;
    struct h2_stream *s = h->reading;
    (void)session;
    (void)flags;
    if (s == NULL || f->hd.type != NGHTTP2_HEADERS || s->x->stream_id != f->hd.stream_id)
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
    s->moved_ms = h->conn->worker->loop.now_ms;
    conn_deadline(h->conn, h->conn->snap->config->limits.body_idle_ms);
    if (h2_request_finish(&s->building, !ended, &s->x->request, &why) != PARSE_OK) {
        s->x->request_done = ended;
        refuse(s->x, &why);
    } else {
        exchange_start(s->x, !ended);
    }
}

static void say_last_stream(struct h2_conn *h)
{
    if (h->stopping)
        return;
    h->stopping = true;
    nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(h->session), NGHTTP2_NO_ERROR, NULL, 0);
    work_soon(h);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *f, void *user)
{
    struct h2_conn *h = user;
    struct h2_stream *s = f->hd.stream_id ? nghttp2_session_get_stream_user_data(session, f->hd.stream_id) : NULL;
    bool end = f->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (f->hd.type == NGHTTP2_PING && (f->hd.flags & NGHTTP2_FLAG_ACK) && h->notified)
        say_last_stream(h);           /* whatever the client sent before it heard of our stopping has come in */
    if (f->hd.type == NGHTTP2_SETTINGS)
        return check_settings(h, &f->settings);
    if (f->hd.type == NGHTTP2_RST_STREAM && !h2_guard_reset(&h->guard, h->conn->worker->loop.now_ms))
        return condemn(h, NGHTTP2_ENHANCE_YOUR_CALM, "a flood of resets");
    if (s == NULL || (f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA))
        return 0;
    if (f->hd.type == NGHTTP2_DATA && !end && f->hd.length > 0 && f->hd.length <= f->data.padlen && !h2_guard_empty(&h->guard, h->conn->worker->loop.now_ms))
        return condemn(h, NGHTTP2_ENHANCE_YOUR_CALM, "a flood of padding");
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
    s->moved_ms = guard_progress(s->moved_ms, h->conn->worker->loop.now_ms, len, h->conn->snap->config->limits.slow_rate);
    exchange_body(s->x, slice_of(data, len));
    if (s->answered)
        nghttp2_session_consume_stream(session, id, len);
    if (s->answered && (s->unwanted += len) > UNWANTED_MAX)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct h2_conn *h = user;
    struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
    (void)code;
    h2_ids_closed(&h->ids, id);
    if (s != NULL) {
        nghttp2_session_set_stream_user_data(session, id, NULL);
        stream_free(h, s);
    }
    h->quiet_ms = h->conn->worker->loop.now_ms;
    return 0;
}

/* ---- what goes to the client: front_h2_send.c makes it ---- */

static void send_all(struct h2_conn *h)
{
    struct conn *c = h->conn;
    h->rests = false;
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
    if (bbuf_len(&c->out) > 0 || c->passed)
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
    h->in_session = true;
    h->rests = false;
    ssize_t n = nghttp2_session_mem_recv(h->session, in.ptr, in.len);
    h->in_session = false;
    if (c->state != CONN_OPEN)
        return;
    if (n < 0 || (size_t)n != in.len) {
        log_info("h2.broken", "source", c->address, "why", h->why ? h->why : n < 0 ? nghttp2_strerror((int)n) : "short read");
        send_all(h);
        conn_finish(c);
        return;
    }
    bbuf_drop(&c->in, in.len);
    if (nghttp2_session_get_outbound_queue_size(h->session) > FRAMES_QUEUED_MAX) {
        log_info("h2.broken", "source", c->address, "why", "it makes us answer more than it reads");
        conn_close(c, false);
        return;
    }
    work_soon(h);
}

static void h2_output(struct conn *c)
{
    send_all(c->driver);
}

/* Does this stream wait for its client: to open the window, or to send what it began? */
static bool waits_for_client(const struct h2_stream *s)
{
    enum exchange_state at = s->x->state;
    if (bbuf_len(&s->out) > 0)
        return true;
    return s->started && !s->ended && exchange_body_room(s->x) > 0 &&
           (at == X_COLLECT || (at == X_FORWARD && s->x->ws == NULL) || at == X_REPLY || at == X_DONE);
}

/* What the next request takes anew. */
static void rest(struct h2_conn *h)
{
    if (h->rests || h->conn->worker->loop.now_ms - h->quiet_ms < REST_AFTER_MS || bbuf_len(&h->conn->out) > 0 || nghttp2_session_want_write(h->session))
        return;
    h2_memory_rest(&h->memory);
    h->rests = true;
}

/* Nobody asks for anything: pings and the like keep no connection. */
static void end_quiet(struct h2_conn *h)
{
    struct conn *c = h->conn;
    const struct limits *l = &c->snap->config->limits;
    int64_t may_last = h->served || l->idle_ms < l->head_ms ? l->idle_ms : l->head_ms;
    if (c->crowded)
        may_last = 0;
    if (bbuf_len(&c->out) > 0)
        return;                       /* the deadline of writing holds */
    if (c->worker->loop.now_ms - h->quiet_ms < may_last) {
        conn_deadline(c, may_last);
        return;
    }
    nghttp2_session_terminate_session(h->session, NGHTTP2_NO_ERROR);
    work_soon(h);
}

/* The connection's deadline moves with every stream and ping; a stream that stands still holds memory and a connection to its tool all the same. */
static void h2_tick(struct conn *c)
{
    struct h2_conn *h = c->driver;
    int64_t now = c->worker->loop.now_ms;
    if (h->count == 0) {
        rest(h);
        end_quiet(h);
    }
    for (struct h2_stream *s = h->streams; s != NULL; s = s->next) {
        if (!s->started && now - s->moved_ms > c->snap->config->limits.head_ms) {
            condemn(h, NGHTTP2_ENHANCE_YOUR_CALM, "a slow head");
            work_soon(h);
            return;
        }
        if (!s->started)
            continue;
        if (!waits_for_client(s)) {
            s->moved_ms = now;
        } else if (now - s->moved_ms > c->snap->config->limits.body_idle_ms) {
            bool over = s->x->state == X_DONE && bbuf_len(&s->out) == 0;
            s->moved_ms = now;
            if (!over)
                s->x->why = "client-too-slow";
            nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, s->x->stream_id, over ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
            work_soon(h);
        }
    }
}

static bool h2_idle(const struct conn *c)
{
    const struct h2_conn *h = c->driver;
    return h->count == 0;
}

/* Their last words go out before the GOAWAY: some clients hear nothing after it. */
static void end_websockets(struct h2_conn *h)
{
    bool any = false;
    for (struct h2_stream *s = h->streams; s != NULL; s = s->next) {
        any |= s->x->state == X_TUNNEL;
        websocket_end(s->x, 1001, "drained");
    }
    if (any)
        send_all(h);
}

static void h2_stop(struct conn *c)
{
    struct h2_conn *h = c->driver;
    end_websockets(h);
    if (h->notified) {                /* asked again: no answer came to the ping */
        say_last_stream(h);
        return;
    }
    h->notified = true;               /* RFC 9113 s6.8: first "no more", with the largest number; the last stream after a round trip */
    nghttp2_submit_shutdown_notice(h->session);
    nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
    work_soon(h);
}

static void h2_free(struct conn *c)
{
    struct h2_conn *h = c->driver;
    assert(!h->in_session);           /* no callback of nghttp2 closes its connection */
    task_cancel(&h->work);
    while (h->streams != NULL)
        stream_free(h, h->streams);
    nghttp2_session_del(h->session);
    free(h);
    c->driver = NULL;
}

/* END_STREAM is out, and the client may still send what nobody wants. A reset now (RFC 9113 s8.1) would make common clients, curl among them, lose the
 * answer when their body was just on its way, so some of it is thrown away first: on_data resets when that becomes too much. */
static int on_sent(nghttp2_session *session, const nghttp2_frame *f, void *user)
{
    struct h2_conn *h = user;
    struct h2_stream *s = f->hd.stream_id ? nghttp2_session_get_stream_user_data(session, f->hd.stream_id) : NULL;
    if (f->hd.type == NGHTTP2_DATA)
        h2_guard_earn(&h->guard, H2_GUARD_DATA_SENT);
    if (f->hd.type == NGHTTP2_RST_STREAM) {
        h2_ids_reset(&h->ids, f->hd.stream_id);
        if (!h->stopping && h2_guard_blames_client(f->rst_stream.error_code) && !h2_guard_reset(&h->guard, h->conn->worker->loop.now_ms))
            condemn(h, NGHTTP2_ENHANCE_YOUR_CALM, "a flood of streams that had to be reset");
    }
    if (s != NULL && !s->ended && (f->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
        (f->hd.type == NGHTTP2_DATA || f->hd.type == NGHTTP2_HEADERS)) {
        int32_t kept = nghttp2_session_get_stream_effective_recv_data_length(session, f->hd.stream_id);
        s->answered = true;
        if (kept > 0)                 /* nobody reads it any more: with a shut window the client would wait for ever */
            nghttp2_session_consume_stream(session, f->hd.stream_id, (size_t)kept);
    }
    return 0;
}

static nghttp2_session_callbacks *make_callbacks(void)
{
    nghttp2_session_callbacks *cb = NULL;
    if (nghttp2_session_callbacks_new(&cb) != 0)
        return NULL;
    nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
    nghttp2_session_callbacks_set_send_data_callback(cb, h2_send_data);
    return cb;
}

static nghttp2_option *make_options(const struct limits *l)
{
    nghttp2_option *o = NULL;
    if (nghttp2_option_new(&o) != 0)
        return NULL;
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_stream_reset_rate_limit(o, 2 * l->resets, l->resets / 10 + 1);   /* h2_guard says it first, and better */
    nghttp2_option_set_max_continuations(o, 8);
    nghttp2_option_set_max_settings(o, 32);
    nghttp2_option_set_max_outbound_ack(o, 100);
    return o;
}

static bool h2_start(struct conn *c)
{
    struct h2_conn *h = calloc(1, sizeof *h);
    nghttp2_session_callbacks *cb = make_callbacks();
    nghttp2_option *o = make_options(&c->snap->config->limits);
    nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, c->snap->config->limits.streams },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, REQUEST_BUFFER },
        { NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1 },   /* RFC 8441 */
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)c->snap->config->limits.head_bytes },
    };
    nghttp2_mem mem = h2_memory_of(h ? &h->memory : NULL);
    bool ok = h != NULL && cb != NULL && o != NULL && nghttp2_session_server_new3(&h->session, cb, h, o, &mem) == 0 &&
              nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof *settings) == 0 &&
              nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, 1 << 20) == 0;
    nghttp2_session_callbacks_del(cb);
    nghttp2_option_del(o);
    if (!ok) {
        if (h != NULL)
            nghttp2_session_del(h->session);
        free(h);
        return false;
    }
    h->conn = c;
    h->quiet_ms = c->worker->loop.now_ms;
    h2_guard_init(&h->guard, c->snap->config->limits.control_frames, c->snap->config->limits.resets, h->quiet_ms);
    h->work.run = do_work;
    c->driver = h;
    work_soon(h);
    return true;
}

const struct protocol protocol_h2 = { h2_start, h2_input, h2_output, h2_stop, h2_free, h2_idle, h2_tick };
