/* What a tool sends over HTTP/2, judged. nghttp2 refuses malformed frames and messages (names in upper case, connection-specific fields, lengths that don't fit); sizes, and what a response
 * means to its exchange, are ours. */
#include "proxy/net/upstream_h2.h"

#include "proxy/http/syntax.h"
#include "proxy/http/ws_handshake.h"

enum { TRAILERS_MAX = 64, FIELD_OVERHEAD = 32 };

static struct upstream *of_stream(nghttp2_session *session, int32_t id)
{
    return id > 0 ? nghttp2_session_get_stream_user_data(session, id) : NULL;
}

static void garbage(nghttp2_session *session, struct upstream *u, const char *reason)
{
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, u->stream_id, NGHTTP2_PROTOCOL_ERROR);
    h2_failed(u, UPSTREAM_GARBAGE, reason);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *f, void *user)
{
    struct upstream *u = of_stream(session, f->hd.stream_id);
    (void)user;
    if (u != NULL && !u->response_begun)
        u->response = (struct message){ .version = 20 };
    return 0;
}

static enum status keep(struct upstream *u, struct fields *to, size_t max, struct slice name, struct slice value)
{
    struct slice n = arena_copy(u->want.arena, name), v = arena_copy(u->want.arena, slice_trim(value));
    if (n.ptr == NULL || v.ptr == NULL)
        return NO_MEMORY;
    return fields_add(to, u->want.arena, max, n, v);
}

static void take_status(struct message *m, struct slice value)
{
    for (size_t i = 0; i < value.len && i < 3; i++)   /* three digits: nghttp2 saw to it */
        m->status = m->status * 10 + (value.ptr[i] - (unsigned)'0');
}

static int on_header(nghttp2_session *session, const nghttp2_frame *f, const uint8_t *name, size_t name_len, const uint8_t *value, size_t value_len,
                     uint8_t flags, void *user)
{
    struct upstream *u = of_stream(session, f->hd.stream_id);
    struct slice n = slice_of(name, name_len), v = slice_of(value, value_len);
    (void)flags;
    (void)user;
    if (u == NULL)
        return 0;
    bool trailer = u->response_begun;
    u->field_bytes += name_len + value_len + FIELD_OVERHEAD;
    if (slice_eq(n, SLICE(":status"))) {
        take_status(&u->response, v);
        return 0;
    }
    if (u->field_bytes > H1_HEAD_MAX + RESPONSE_FIELDS_MAX * FIELD_OVERHEAD ||
        keep(u, trailer ? &u->trailers : &u->response.fields, trailer ? TRAILERS_MAX : RESPONSE_FIELDS_MAX, n, v) != OK)
        u->oversize = true;
    return 0;
}

/* RFC 8441 s5: a 200 opens it. Its user knows HTTP/1.1's way of saying so. */
static bool make_101(struct upstream *u)
{
    struct message *m = &u->response;
    char accept[WS_ACCEPT_LEN + 1];
    websocket_accept(u->ask->key, accept);
    m->status = 101;
    m->version = 11;
    m->framing = BODY_NONE;
    m->has_length = false;
    return keep(u, &m->fields, RESPONSE_FIELDS_MAX, SLICE("connection"), SLICE("upgrade")) == OK &&
           keep(u, &m->fields, RESPONSE_FIELDS_MAX, SLICE("upgrade"), SLICE("websocket")) == OK &&
           keep(u, &m->fields, RESPONSE_FIELDS_MAX, SLICE("sec-websocket-accept"), slice_of(accept, WS_ACCEPT_LEN)) == OK;
}

/* What the fields say of the body, beside END_STREAM. */
static void frame_message(struct upstream *u, bool end)
{
    struct message *m = &u->response;
    struct slice length = fields_get(&m->fields, SLICE("content-length"));
    bool bodiless = m->status < 200 || m->status == 204 || m->status == 304 || slice_eq(u->want.method, SLICE("HEAD"));
    m->framing = end || bodiless ? BODY_NONE : BODY_STREAM;
    m->has_length = length.ptr != NULL && m->status >= 200 && m->status != 204 && content_length_parse(length, &m->content_length) == PARSE_OK;
    if (end && !bodiless) {           /* empty, and so it is said in HTTP/1.1 */
        m->has_length = true;
        m->content_length = 0;
    }
}

static void head_in(nghttp2_session *session, struct upstream *u, bool end)
{
    struct message *m = &u->response;
    u->field_bytes = 0;
    u->deadline_ms = h2_patience(u);
    if (u->oversize) {
        garbage(session, u, "a response head that is too large");
        return;
    }
    if (m->status < 100 || m->status == 101 || m->status > 599 || (m->status < 200 && end)) {
        garbage(session, u, "a status that HTTP/2 has not, or an interim response that ends the stream");
        return;
    }
    backend_worked(u->place->backend);
    if (m->status < 200) {
        frame_message(u, false);
        u->ops->head(u->user, m);
        return;
    }
    u->response_begun = true;
    if (u->tunnel && m->status / 100 == 2 && (end || !make_101(u))) {
        garbage(session, u, "a WebSocket that was opened and ended at once");
        return;
    }
    bool opens = m->status == 101;
    if (!opens) {
        u->tunnel = false;
        u->request_done |= u->want.websocket;
        frame_message(u, end);
    }
    u->deadline_ms = h2_patience(u);
    u->ops->head(u->user, m);
    if (u->ops != NULL && (end || (m->framing == BODY_NONE && !opens))) {
        u->ended = true;
        h2_deliver(u);
    }
}

static void end_in(nghttp2_session *session, struct upstream *u)
{
    if (u->oversize) {
        garbage(session, u, "trailers that are too large");
        return;
    }
    u->ended = true;
    if (!u->paused)
        h2_deliver(u);
}

static void settings_in(struct h2_client *h)
{
    bool first = !h->settings_in;
    h->settings_in = true;
    wire_opened(h->wire);
    for (struct upstream *u = h->streams, *next; first && u != NULL; u = next) {
        next = u->next;
        if (u->want.websocket && u->stream_id == 0)
            h2_let_begin(u);
    }
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *f, void *user)
{
    struct h2_client *h = user;
    struct upstream *u = of_stream(session, f->hd.stream_id);
    bool end = f->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (f->hd.type == NGHTTP2_SETTINGS && !(f->hd.flags & NGHTTP2_FLAG_ACK))
        settings_in(h);
    if (f->hd.type == NGHTTP2_GOAWAY)
        h2_retire(h->wire);
    if (u == NULL)
        return 0;
    if (f->hd.type == NGHTTP2_HEADERS && !u->response_begun)
        head_in(session, u, end);
    else if ((f->hd.type == NGHTTP2_DATA || f->hd.type == NGHTTP2_HEADERS) && end)
        end_in(session, u);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *user)
{
    struct upstream *u = of_stream(session, id);
    (void)flags;
    (void)user;
    nghttp2_session_consume_connection(session, len);   /* one slow client must not stop the others */
    if (u == NULL || len == 0)
        return 0;
    u->deadline_ms = h2_patience(u);
    bool behind = bbuf_len(&u->in) > 0;   /* what came before goes first: its user has paused, or is about to take it */
    size_t room = behind ? 0 : u->ops->room(u->user), now = room < len ? room : len;
    if (now > 0) {
        nghttp2_session_consume_stream(session, id, now);
        u->ops->body(u->user, slice_of(data, now));
    }
    if (u->ops == NULL || now == len)
        return 0;
    if (!behind)
        u->paused = true;
    if (bbuf_put(&u->in, slice_of(data + now, len - now)) != OK)   /* it fits: the window is no larger */
        garbage(session, u, "more than its window allows");
    return 0;
}

/* nghttp2 answers a malformed message with a reset of its own. */
static int on_invalid(nghttp2_session *session, const nghttp2_frame *f, int code, void *user)
{
    struct upstream *u = of_stream(session, f->hd.stream_id);
    (void)code;
    (void)user;
    if (u != NULL)
        u->garbage = true;
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct h2_client *h = user;
    struct upstream *u = of_stream(session, id);
    h->load--;
    if (u == NULL)
        return 0;
    if (u->ended) {                   /* what came is still being delivered */
        u->request_done = true;
        bbuf_drop(&u->out, bbuf_len(&u->out));
        return 0;
    }
    if (u->garbage)
        h2_failed(u, UPSTREAM_GARBAGE, "a malformed HTTP/2 response");
    else if (code == NGHTTP2_REFUSED_STREAM && !u->response_begun)
        h2_failed(u, UPSTREAM_REFUSED, "the tool refused the stream");
    else
        h2_failed(u, UPSTREAM_CUT, code == NGHTTP2_NO_ERROR ? "the tool ended the stream before its answer was whole" : nghttp2_http2_strerror(code));
    return 0;
}

static nghttp2_session_callbacks *make_callbacks(void)
{
    nghttp2_session_callbacks *cb = NULL;
    if (nghttp2_session_callbacks_new(&cb) != 0)
        return NULL;
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    return cb;
}

static nghttp2_option *make_options(void)
{
    nghttp2_option *o = NULL;
    if (nghttp2_option_new(&o) != 0)
        return NULL;
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_peer_max_concurrent_streams(o, H2_STREAMS_MAX);
    nghttp2_option_set_max_continuations(o, 8);
    nghttp2_option_set_max_settings(o, 32);
    nghttp2_option_set_max_outbound_ack(o, 100);
    return o;
}

bool h2_session_new(struct h2_client *h)
{
    nghttp2_session_callbacks *cb = make_callbacks();
    nghttp2_option *o = make_options();
    nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WIRE_IN_MAX },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, H1_HEAD_MAX },
    };
    bool ok = cb != NULL && o != NULL && nghttp2_session_client_new2(&h->session, cb, h, o) == 0 &&
              nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof *settings) == 0 &&
              nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, 1 << 20) == 0;
    nghttp2_session_callbacks_del(cb);
    nghttp2_option_del(o);
    if (!ok && h->session != NULL)
        nghttp2_session_del(h->session);
    return ok;
}
