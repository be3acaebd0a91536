/* HTTP/2 towards a tool (RFC 9113): many exchanges on one connection, through nghttp2. What a tool sends is judged in upstream_h2_in.c.
 *
 * Each stream's window opens only as its client takes what came. A stream whose client has left is reset, but no faster than RESETS_A_SECOND: a tool that counts resets (Rapid Reset) would
 * otherwise end the connection for everybody. Those that wait for it still count as streams, so a client that opens and resets never makes more of them than H2_STREAMS_MAX a
 * connection and H2_WIRES_MAX connections. */
#include "proxy/net/upstream_h2.h"

#include <stdlib.h>

enum { RESET_BURST = 50, RESETS_A_SECOND = 10, QUIET_AFTER_CLOSE_MS = 1000 };

static void work_soon(struct h2_client *h)
{
    task_soon(h->wire->pool->loop, &h->work);
}

/* ---- the streams ---- */

static void link_in(struct h2_client *h, struct upstream *u)
{
    u->next = h->streams;
    if (u->next != NULL)
        u->next->link = &u->next;
    u->link = &h->streams;
    h->streams = u;
    h->load++;
}

static void reset_now(struct h2_client *h, int32_t id)
{
    h->tokens--;
    nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
}

static void abandon(struct h2_client *h, int32_t id, int64_t not_before_ms)
{
    if (h->tokens > 0 && not_before_ms == 0)
        reset_now(h, id);
    else if (h->left_count < sizeof h->left / sizeof *h->left)
        h->left[h->left_count++] = (struct h2_left){ id, not_before_ms };
    else
        h2_retire(h->wire);           /* can't be: there are no more streams than that */
    work_soon(h);
}

void h2_forget(struct upstream *u)
{
    struct h2_client *h = u->wire->h2;
    task_cancel(&u->go_on);
    *u->link = u->next;
    if (u->next != NULL)
        u->next->link = u->link;
    u->next = NULL;
    if (u->stream_id > 0)
        nghttp2_session_set_stream_user_data(h->session, u->stream_id, NULL);
    else
        h->load--;
    bbuf_done(&u->in);
    bbuf_done(&u->out);
    upstream_leave(u);
}

void h2_failed(struct upstream *u, enum upstream_failure f, const char *reason)
{
    const struct upstream_ops *ops = u->ops;
    void *user = u->user;
    h2_forget(u);
    ops->failed(user, f, reason);
}

void h2_finish(struct upstream *u)
{
    struct h2_client *h = u->wire->h2;
    const struct upstream_ops *ops = u->ops;
    void *user = u->user;
    struct fields trailers = u->trailers;
    int32_t id = u->stream_id;
    bool half = !u->request_done || bbuf_len(&u->out) > 0;
    h2_forget(u);
    if (half)
        abandon(h, id, 0);            /* the tool has answered without the rest of the request */
    work_soon(h);
    ops->end(user, &trailers);
}

void h2_deliver(struct upstream *u)
{
    while (bbuf_len(&u->in) > 0) {
        struct slice in = bbuf_slice(&u->in);
        size_t room = u->ops->room(u->user);
        u->paused = room == 0;
        if (u->paused)
            return;
        if (in.len > room)
            in.len = room;
        nghttp2_session_consume_stream(u->wire->h2->session, u->stream_id, in.len);
        work_soon(u->wire->h2);
        u->ops->body(u->user, in);
        if (u->ops == NULL)
            return;
        bbuf_drop(&u->in, in.len);
    }
    bbuf_idle(&u->in);
    if (u->ended)
        h2_finish(u);
}

static void go_on_delivering(struct task *t)
{
    struct upstream *u = (struct upstream *)((char *)t - offsetof(struct upstream, go_on));
    if (!u->paused)
        h2_deliver(u);
}

void h2_resume(struct upstream *u)
{
    if (!u->paused)
        return;
    u->paused = false;
    u->go_on.run = go_on_delivering;  /* later: the caller may be inside our own body callback */
    task_soon(u->pool->loop, &u->go_on);
}

/* ---- sending ---- */

/* Nobody has it any more: was it given up in good order? Else its end must not look like one, as the tool would take half a body for the whole. */
static bool ends_well(const struct h2_client *h, int32_t id)
{
    for (unsigned i = 0; i < h->left_count; i++)
        if (h->left[i].id == id)
            return h->left[i].not_before_ms > 0;
    return false;
}

static ssize_t read_out(nghttp2_session *session, int32_t id, uint8_t *buf, size_t max, uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct upstream *u = nghttp2_session_get_stream_user_data(session, id);
    struct h2_client *h = user;
    (void)source;
    size_t n = u ? bbuf_len(&u->out) : 0;
    if (n > max)
        n = max;
    if (n > 0) {
        memcpy(buf, bbuf_slice(&u->out).ptr, n);
        bbuf_drop(&u->out, n);
        u->deadline_ms = h2_patience(u);
        u->wants_room = true;
        work_soon(h);
    }
    if (u != NULL ? u->request_done && bbuf_len(&u->out) == 0 : ends_well(h, id)) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        return (ssize_t)n;
    }
    if (n > 0)
        return (ssize_t)n;
    if (u != NULL)
        u->deferred = true;
    return NGHTTP2_ERR_DEFERRED;
}

static size_t make_nv(const struct fields *f, nghttp2_nv *nv)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct field *e = &f->v[i];
        bool secret = slice_eq(e->name, SLICE("cookie")) || slice_eq(e->name, SLICE("authorization")) || slice_eq(e->name, SLICE("countersign-assertion"));
        nv[i] = (nghttp2_nv){ (uint8_t *)(uintptr_t)e->name.ptr, (uint8_t *)(uintptr_t)e->value.ptr, e->name.len, e->value.len,
                              secret ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE };
    }
    return f->count;
}

enum status h2_send_head(struct upstream *u, const struct forward_request *f)
{
    struct h2_client *h = u->wire->h2;
    struct fields fields;
    nghttp2_data_provider source = { .read_callback = read_out };
    enum status st = forward_request_fields(f, u->place->address->tls ? SLICE("https") : SLICE("http"), u->want.arena, &fields);
    nghttp2_nv *nv = st == OK ? arena_alloc(u->want.arena, fields.count * sizeof *nv) : NULL;
    if (nv == NULL)
        return st == OK ? NO_MEMORY : st;
    u->ask = f->websocket;
    u->tunnel = f->websocket != NULL;
    bool body = u->tunnel || f->has_body;
    int32_t id = nghttp2_submit_request(h->session, NULL, nv, make_nv(&fields, nv), body ? &source : NULL, u);
    if (id < 0)
        return NO_MEMORY;             /* or no identifiers are left, after 2^30 requests */
    u->stream_id = id;
    if (id > INT32_MAX - 1000)
        h2_retire(u->wire);
    u->deadline_ms = h2_patience(u);
    work_soon(h);
    return OK;
}

size_t h2_room(const struct upstream *u)
{
    return bbuf_room(&u->out);
}

enum status h2_put(struct upstream *u, struct slice data)
{
    return bbuf_put(&u->out, data);
}

void h2_flush(struct upstream *u)
{
    if (u->stream_id > 0 && u->deferred) {
        u->deferred = false;
        nghttp2_session_resume_data(u->wire->h2->session, u->stream_id);
    }
    work_soon(u->wire->h2);
}

enum status h2_sent(struct upstream *u)
{
    if (u->tunnel)
        return OK;                    /* the handshake is; the stream stays open */
    u->request_done = true;
    u->deadline_ms = h2_patience(u);
    h2_flush(u);
    return OK;
}

/* ---- the connection ---- */

/* Nothing more comes or goes. */
static void broke(struct wire *w, const char *reason)
{
    struct h2_client *h = w->h2;
    struct place *at = w->place;
    bool never = !h->settings_in;
    wire_drop(w, false);
    if (never)
        backend_failed(at->backend, at->pool->tool, at->pool->loop->now_ms, reason);
    while (h->streams != NULL) {
        struct upstream *u = h->streams;
        h2_failed(u, u->stream_id == 0 ? UPSTREAM_CLOSED : u->response_begun ? UPSTREAM_CUT : UPSTREAM_STALE, reason);
    }
    if (at->pool->waiting != NULL)
        pool_serve(at->pool);
}

static bool fill(struct h2_client *h)
{
    struct wire *w = h->wire;
    while (bbuf_len(&w->out) < WIRE_OUT_MAX / 2) {
        const uint8_t *data = NULL;
        ssize_t n = nghttp2_session_mem_send(h->session, &data);
        if (n < 0 || (n > 0 && bbuf_put(&w->out, slice_of(data, (size_t)n)) != OK))
            return false;
        if (n == 0)
            break;
    }
    return true;
}

static void do_read(struct wire *w);

static void write_all(struct h2_client *h)
{
    struct wire *w = h->wire;
    for (;;) {
        size_t n = 0;
        if (!fill(h)) {
            broke(w, "HTTP/2 towards the tool failed");
            return;
        }
        if (bbuf_len(&w->out) == 0)
            break;
        enum io io = stream_write(&w->stream, bbuf_slice(&w->out), &n);
        if (io == IO_AGAIN)
            break;
        if (io != IO_OK) {
            do_read(w);               /* a GOAWAY, or answers, may have come */
            if (w->state == WIRE_H2)
                broke(w, "the tool closed the connection");
            return;
        }
        bbuf_drop(&w->out, n);
    }
    if (h->load == 0)
        bbuf_idle(&w->out);
    wire_want(w);
}

/* Ends with its last stream, if nothing new is to come. */
static bool over(struct h2_client *h)
{
    struct wire *w = h->wire;
    bool ends = h->load == 0 && (h->retired || w->pool->closing || !w->listed);
    if (!ends && (nghttp2_session_want_read(h->session) || nghttp2_session_want_write(h->session)))
        return false;
    if (h->streams != NULL) {
        broke(w, "the tool broke HTTP/2's rules");
        return true;
    }
    nghttp2_session_terminate_session(h->session, NGHTTP2_NO_ERROR);
    write_all(h);
    wire_drop(w, true);
    return true;
}

static void tell_room(struct h2_client *h)
{
    for (struct upstream *u = h->streams, *next; u != NULL; u = next) {
        next = u->next;               /* a user calls only its own upstream's functions; that it may leave is why next is taken first */
        if (!u->wants_room)
            continue;
        u->wants_room = false;
        if (!u->request_done)
            u->ops->writable(u->user);
    }
}

static void do_work(struct task *t)
{
    struct h2_client *h = (struct h2_client *)((char *)t - offsetof(struct h2_client, work));
    struct wire *w = h->wire;
    if (w->state != WIRE_H2)
        return;
    tell_room(h);
    if (w->state == WIRE_H2)
        write_all(h);
    if (w->state != WIRE_H2 || over(h))
        return;
    if (w->pool->waiting != NULL && h->load < h2_streams_max(h))
        pool_serve(w->pool);
}

static void do_read(struct wire *w)
{
    static _Thread_local unsigned char at[READ_AT_ONCE];   /* nghttp2 keeps what it needs */
    struct h2_client *h = w->h2;
    for (int budget = 4; budget > 0 && w->state == WIRE_H2; budget--) {
        size_t n = 0;
        enum io io = stream_read(&w->stream, at, sizeof at, &n);
        if (io == IO_AGAIN)
            break;
        if (io != IO_OK) {
            broke(w, "the tool closed the connection before its answer was whole");
            return;
        }
        h->heard_ms = w->pool->loop->now_ms;
        ssize_t used = nghttp2_session_mem_recv(h->session, at, n);
        if (used < 0 || (size_t)used != n) {
            log_info("tool.h2_broken", "tool", w->pool->tool->name, "why", used < 0 ? nghttp2_strerror((int)used) : "short read");
            broke(w, "the tool broke HTTP/2's rules");
            return;
        }
        if (n < READ_AT_ONCE)
            break;
    }
    if (w->state == WIRE_H2 && nghttp2_session_get_outbound_queue_size(h->session) > 4096)
        broke(w, "the tool makes the gateway answer more than it reads");
    else if (w->state == WIRE_H2)
        work_soon(h);
}

void h2_events(struct wire *w, int events)
{
    if (events & UV_READABLE)
        do_read(w);
    if ((events & UV_WRITABLE) && w->state == WIRE_H2)
        write_all(w->h2);
    if (w->state == WIRE_H2)
        wire_want(w);
}

bool h2_in_use(const struct wire *w)
{
    return w->h2->streams != NULL;
}

void h2_retire(struct wire *w)
{
    struct h2_client *h = w->h2;
    if (w->state != WIRE_H2 || h->retired)
        return;
    h->retired = true;
    if (w->listed)
        w->place->h2_count--;
    place_unlist(w);
    work_soon(h);
}

/* ---- taking and leaving ---- */

unsigned h2_streams_max(const struct h2_client *h)
{
    uint32_t theirs = nghttp2_session_get_remote_settings(h->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    if (!h->settings_in)
        return 1;                     /* how many it takes is not known yet: more than that would be refused, or worse */
    return theirs < H2_STREAMS_MAX ? theirs : H2_STREAMS_MAX;
}

static bool opens_websockets(const struct h2_client *h)
{
    return h->settings_in && nghttp2_session_get_remote_settings(h->session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

bool h2_has_room(const struct wire *w, const struct upstream *u)
{
    return w->state == WIRE_H2 && !w->h2->retired && w->h2->load < h2_streams_max(w->h2) && (!u->want.websocket || opens_websockets(w->h2));
}

static void tell_connected(struct task *t)
{
    struct upstream *u = (struct upstream *)((char *)t - offsetof(struct upstream, go_on));
    u->ops->connected(u->user);
}

/* A WebSocket waits until the tool has said whether it takes one. */
void h2_let_begin(struct upstream *u)
{
    struct h2_client *h = u->wire->h2;
    if (u->want.websocket && !h->settings_in)
        return;
    if (u->want.websocket && !opens_websockets(h)) {
        h2_failed(u, UPSTREAM_NOT_SENT, "the tool does not offer WebSockets over HTTP/2 (RFC 8441)");
        return;
    }
    u->go_on.run = tell_connected;
    task_soon(u->pool->loop, &u->go_on);
}

void h2_attach(struct wire *w, struct upstream *u)
{
    u->wire = w;
    bbuf_init(&u->in, WIRE_IN_MAX);
    bbuf_init(&u->out, WIRE_OUT_MAX);
    u->deadline_ms = h2_patience(u);
    link_in(w->h2, u);
    if (!u->want.websocket || w->h2->settings_in) {
        u->go_on.run = tell_connected;
        task_soon(u->pool->loop, &u->go_on);
    }
}

void h2_leave(struct upstream *u, bool friendly)
{
    struct h2_client *h = u->wire->h2;
    int32_t id = u->stream_id;
    if (friendly && u->tunnel) {      /* what is queued goes out as far as the tool's window lets it, then END_STREAM; the reset comes later */
        u->ended = true;              /* a reset of it that waits goes out here too: nobody is told of that */
        h2_flush(u);
        (void)fill(h);
    }
    h2_forget(u);
    if (id > 0 && friendly)
        nghttp2_session_resume_data(h->session, id);
    if (id > 0)
        abandon(h, id, friendly ? h->wire->pool->loop->now_ms + QUIET_AFTER_CLOSE_MS : 0);
    work_soon(h);
}

/* ---- time ---- */

int64_t h2_patience(const struct upstream *u)
{
    return u->pool->loop->now_ms + (u->tunnel && u->response_begun ? u->want.quiet_ms : u->pool->limits.upstream_head_ms);
}

static void reset_those_left(struct h2_client *h, int64_t now_ms)
{
    unsigned kept = 0;
    while (h->tokens < RESET_BURST && now_ms - h->token_ms >= 1000 / RESETS_A_SECOND) {
        h->tokens++;
        h->token_ms += 1000 / RESETS_A_SECOND;
    }
    if (h->tokens == RESET_BURST)
        h->token_ms = now_ms;
    for (unsigned i = 0; i < h->left_count; i++) {
        if (nghttp2_session_get_stream_local_close(h->session, h->left[i].id) < 0)
            continue;                 /* it has ended by itself */
        if (h->tokens > 0 && now_ms >= h->left[i].not_before_ms)
            reset_now(h, h->left[i].id);
        else
            h->left[kept++] = h->left[i];
    }
    if (kept != h->left_count)
        work_soon(h);
    h->left_count = kept;
}

/* One whose tool should have said or taken something by now. */
static bool overdue(const struct upstream *u, int64_t now_ms)
{
    bool tools_turn = u->stream_id == 0 || u->tunnel || (!u->paused && (u->request_done || bbuf_len(&u->out) > 0));
    return tools_turn && now_ms >= u->deadline_ms;
}

static void time_out(struct upstream *u, int64_t now_ms)
{
    struct wire *w = u->wire;
    struct h2_client *h = w->h2;
    int32_t id = u->stream_id;
    bool quiet = u->tunnel && u->response_begun;
    if (!u->response_begun)
        backend_failed(w->place->backend, w->pool->tool, now_ms, "the tool fell silent");
    if (now_ms - h->heard_ms >= w->pool->limits.upstream_head_ms)
        h2_retire(w);                 /* the whole connection is silent: nobody else shall wait for it */
    const struct upstream_ops *ops = u->ops;
    void *user = u->user;
    h2_forget(u);
    if (id > 0)
        abandon(h, id, 0);
    ops->failed(user, UPSTREAM_TIMEOUT, quiet ? "nothing was said for too long" : "the tool fell silent");
}

void h2_tick(struct wire *w, int64_t now_ms)
{
    struct h2_client *h = w->h2;
    reset_those_left(h, now_ms);
    for (struct upstream *u = h->streams, *next; u != NULL; u = next) {
        next = u->next;
        if (overdue(u, now_ms))
            time_out(u, now_ms);
    }
    if (h->load > 0)
        w->deadline_ms = now_ms + w->pool->limits.upstream_idle_ms;
    else if (now_ms >= w->deadline_ms)
        h2_retire(w);
}

/* ---- life ---- */

bool h2_ready(struct wire *w)
{
    struct h2_client *h = calloc(1, sizeof *h);
    if (h == NULL || !h2_session_new(h)) {
        free(h);
        return false;
    }
    h->wire = w;
    h->work.run = do_work;
    h->tokens = RESET_BURST;
    h->token_ms = h->heard_ms = w->pool->loop->now_ms;
    w->h2 = h;
    w->state = WIRE_H2;
    w->deadline_ms = w->pool->loop->now_ms + w->pool->limits.upstream_idle_ms;
    wire_want(w);
    work_soon(h);
    return true;
}

void h2_close(struct wire *w)
{
    task_cancel(&w->h2->work);
    nghttp2_session_del(w->h2->session);
    free(w->h2);
}
