/* HTTP/2: up to o->streams requests at a time on one connection, through nghttp2 over a non-blocking socket. */
#include "tests/load/load.h"

#include <nghttp2/nghttp2.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { OUT_MAX = 65536, WINDOW = 1 << 20 };

struct stream;

struct h2 {
    struct worker *w;
    nghttp2_session *session;
    unsigned long open;
    struct stream *streams;           /* those that are open */
    bool stop;                        /* no new requests: GOAWAY or an error */
    unsigned char out[OUT_MAX];
    size_t out_at, out_len;
};

struct stream {
    struct answer answer;
    uint64_t sent;
    struct stream *next, *prev;
};

static void add_stream(struct h2 *c, struct stream *st)
{
    st->next = c->streams;
    if (st->next != NULL)
        st->next->prev = st;
    c->streams = st;
    c->open++;
}

static void end_stream(struct h2 *c, struct stream *st, bool complete, const char *why)
{
    answer_end(&st->answer, c->w, complete, why);
    if (st->next != NULL)
        st->next->prev = st->prev;
    *(st->prev ? &st->prev->next : &c->streams) = st->next;
    free(st);
    c->open--;
}

static ssize_t on_upload(nghttp2_session *s, int32_t id, uint8_t *buf, size_t len, uint32_t *flags, nghttp2_data_source *src, void *user)
{
    struct h2 *c = user;
    struct stream *st = src->ptr;
    uint64_t left = c->w->o->upload_bytes - st->sent;
    size_t n = left < len ? (size_t)left : len;
    (void)s, (void)id;
    pattern_fill(buf, st->sent, n);
    st->sent += n;
    c->w->tally.bytes_up += n;
    if (st->sent == c->w->o->upload_bytes)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static nghttp2_nv pair(const char *name, size_t name_len, const char *value)
{
    return (nghttp2_nv){ (uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, name_len, strlen(value), NGHTTP2_NV_FLAG_NONE };
}

/* Submit the request whose turn it is. */
static bool submit(struct h2 *c)
{
    const struct options *o = c->w->o;
    nghttp2_nv nv[6 + HEADERS_MAX];
    size_t n = 0;
    char length[24];
    nv[n++] = pair(":method", 7, o->method);
    nv[n++] = pair(":scheme", 7, "https");
    nv[n++] = pair(":authority", 10, o->authority);
    nv[n++] = pair(":path", 5, o->path);
    for (unsigned i = 0; i < o->header_count; i++) {
        const char *colon = strchr(o->header[i], ':');
        nv[n++] = pair(o->header[i], (size_t)(colon - o->header[i]), colon + 1 + strspn(colon + 1, " "));
    }
    struct stream *st = calloc(1, sizeof *st);
    if (st == NULL)
        return false;
    answer_begin(&st->answer, c->w);
    nghttp2_data_provider body = { .source.ptr = st, .read_callback = on_upload };
    if (o->upload_bytes > 0) {
        snprintf(length, sizeof length, "%llu", (unsigned long long)o->upload_bytes);
        nv[n++] = pair("content-length", 14, length);
    }
    if (nghttp2_submit_request(c->session, NULL, nv, n, o->upload_bytes ? &body : NULL, st) < 0) {
        answer_end(&st->answer, c->w, false, "could not submit");
        free(st);
        return false;
    }
    add_stream(c, st);
    return true;
}

static int on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t name_len, const uint8_t *value, size_t value_len,
                     uint8_t flags, void *user)
{
    struct stream *st = nghttp2_session_get_stream_user_data(s, f->hd.stream_id);
    (void)flags, (void)user;
    if (st != NULL && name_len == 7 && memcmp(name, ":status", 7) == 0 && value_len == 3)
        st->answer.status = (unsigned)strtoul((const char *)value, NULL, 10);
    return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *user)
{
    struct stream *st = nghttp2_session_get_stream_user_data(s, id);
    (void)flags, (void)user;
    if (st != NULL)
        answer_data(&st->answer, data, len);
    return 0;
}

static int on_close(nghttp2_session *s, int32_t id, uint32_t code, void *user)
{
    struct h2 *c = user;
    struct stream *st = nghttp2_session_get_stream_user_data(s, id);
    if (st == NULL)
        return 0;
    nghttp2_session_set_stream_user_data(s, id, NULL);
    end_stream(c, st, code == NGHTTP2_NO_ERROR, nghttp2_http2_strerror(code));
    return 0;
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *f, void *user)
{
    struct h2 *c = user;
    (void)s;
    if (f->hd.type == NGHTTP2_GOAWAY)
        c->stop = true;
    return 0;
}

static bool start(struct h2 *c)
{
    nghttp2_session_callbacks *cb;
    nghttp2_settings_entry settings[] = { { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW }, { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 } };
    if (nghttp2_session_callbacks_new(&cb) != 0)
        return false;
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    int bad = nghttp2_session_client_new(&c->session, cb, c);
    nghttp2_session_callbacks_del(cb);
    return bad == 0 && nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, 2) == 0
        && nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, WINDOW * 8) == 0;
}

/* Gather frames and write them. 1: wrote, 0: would block or nothing to write, -1: broken. */
static int push(struct h2 *c)
{
    if (c->out_at == c->out_len) {
        c->out_at = c->out_len = 0;
        while (c->out_len < OUT_MAX / 2) {
            const uint8_t *data;
            ssize_t n = nghttp2_session_mem_send(c->session, &data);
            if (n < 0)
                return -1;
            if (n == 0)
                break;
            memcpy(c->out + c->out_len, data, (size_t)n);   /* a frame is at most 16 KiB and a head: it fits in the other half */
            c->out_len += (size_t)n;
        }
        if (c->out_len == 0)
            return 0;
    }
    ERR_clear_error();
    int n = SSL_write(c->w->ssl, c->out + c->out_at, (int)(c->out_len - c->out_at));
    if (n > 0) {
        c->out_at += (size_t)n;
        return 1;
    }
    int e = SSL_get_error(c->w->ssl, n);
    return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static int pull(struct h2 *c)
{
    uint8_t buf[PIECE];
    ERR_clear_error();
    int n = SSL_read(c->w->ssl, buf, sizeof buf);
    if (n > 0)
        return nghttp2_session_mem_recv(c->session, buf, (size_t)n) == n ? 1 : -1;
    int e = SSL_get_error(c->w->ssl, n);
    return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static bool may_submit(struct h2 *c)
{
    return !c->stop && c->open < c->w->o->streams && take_turn(c->w);
}

/* Until nothing is open and nothing left, or the connection breaks. NULL, or why it broke. */
static const char *drive(struct h2 *c)
{
    struct worker *w = c->w;
    for (;;) {
        while (may_submit(c) && turn_wait_us(w) == 0 && submit(c))
            ;
        int out = push(c), in = pull(c);
        if (out < 0 || in < 0)
            return "connection closed";
        if (c->open == 0 && (c->stop || (!w->has_turn && atomic_load(w->left) <= 0)))
            return NULL;
        if (out > 0 || in > 0)
            continue;
        struct pollfd p = { .fd = c->w->fd, .events = POLLIN };
        if (c->out_at < c->out_len || nghttp2_session_want_write(c->session))
            p.events |= POLLOUT;
        uint64_t wait_us = may_submit(c) ? turn_wait_us(w) : 0;
        struct timespec patience = { .tv_sec = w->o->timeout_s };
        if (wait_us > 0)
            patience = (struct timespec){ (time_t)(wait_us / 1000000), (long)(wait_us % 1000000) * 1000 };
        if (ppoll(&p, 1, &patience, NULL) <= 0 && wait_us == 0)
            return "no progress within the time-out";
    }
}

/* One connection, from its opening to its end. False when not even that came about. */
static bool one_connection(struct h2 *c)
{
    c->session = NULL;
    c->stop = false;
    c->out_at = c->out_len = 0;
    if (!tls_open(c->w, true) || !start(c))
        return false;
    const char *broke = drive(c);
    /* Deleting a session tells nobody about its open streams: they were cut off. */
    while (c->streams != NULL)
        end_stream(c, c->streams, false, broke);
    nghttp2_session_del(c->session);
    tls_close(c->w);
    return true;
}

void h2_run(struct worker *w)
{
    struct h2 *c = calloc(1, sizeof *c);
    unsigned broken = 0;
    if (c == NULL)
        return;
    c->w = w;
    while ((w->has_turn || atomic_load(w->left) > 0) && broken < 10) {
        w->error[0] = 0;
        if (one_connection(c)) {
            broken = 0;
            continue;
        }
        broken++;
        if (w->error[0] != 0 && take_turn(w)) {
            w->has_turn = false;
            tally_fail(&w->tally, 1, w->error);
        }
    }
    tls_close(w);
    free(c);
}

bool h2_once(struct worker *w)
{
    struct h2 *c = calloc(1, sizeof *c);
    unsigned long before = w->tally.failed;
    atomic_long one = 1;
    if (c == NULL)
        return false;
    c->w = w;
    w->left = &one;
    const char *broke = tls_open(w, true) && start(c) ? drive(c) : w->error;
    while (c->streams != NULL)
        end_stream(c, c->streams, false, broke);
    if (broke == NULL)
        (void)push(c);                /* what answers the server's last frames */
    else if (w->tally.failed == before)
        tally_fail(&w->tally, 1, broke);
    nghttp2_session_del(c->session);
    free(c);
    w->left = NULL;
    return broke == NULL && w->tally.failed == before;
}
