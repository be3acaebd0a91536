/* A connection to one place: its socket, TLS, and what protocol came of it. */
#include "proxy/net/upstream_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

static void on_closed(struct stream *s)
{
    struct wire *w = (struct wire *)((char *)s - offsetof(struct wire, stream));
    struct upstream_pool *p = w->pool;
    if (w->prev != NULL)
        w->prev->next = w->next;
    else
        p->all = w->next;
    if (w->next != NULL)
        w->next->prev = w->prev;
    if (w->h2 != NULL)
        h2_close(w);
    bbuf_done(&w->in);
    bbuf_done(&w->out);
    h1_seen_done(&w->seen);
    free(w);
    pool_free_if_done(p);
}

void wire_opened(struct wire *w)
{
    w->place->opening -= w->opening;
    w->opening = false;
}

void wire_drop(struct wire *w, bool friendly)
{
    if (w->state == WIRE_GONE)
        return;
    wire_opened(w);
    if (w->listed && w->h2 != NULL)
        w->place->h2_count--;
    else if (w->listed)
        w->pool->idle--;
    place_unlist(w);
    w->state = WIRE_GONE;
    w->use = NULL;
    w->pool->wires--;
    w->pool->owned -= w->owner != 0;
    task_cancel(&w->begin);
    stream_close(&w->stream, friendly);
}

void wire_want(struct wire *w)
{
    int events = 0;
    if (w->state == WIRE_IDLE || w->state == WIRE_H2 || ((w->state == WIRE_HEAD || w->state == WIRE_BODY || w->state == WIRE_SWITCHED) && !w->paused))
        events |= UV_READABLE;
    if (bbuf_len(&w->out) > 0 && w->state >= WIRE_IDLE)
        events |= UV_WRITABLE;
    stream_want(&w->stream, events);
}

void wire_idle(struct wire *w)
{
    w->state = WIRE_IDLE;
    w->use = NULL;
    w->kept = true;
    w->deadline_ms = w->pool->loop->now_ms + w->pool->limits.upstream_idle_ms;
    bbuf_idle(&w->in);
    bbuf_idle(&w->out);
    w->pool->idle++;
    place_list(&w->place->idle, w);
    wire_want(w);
}

/* ---- making it ---- */

/* It could not be made. Another address of the same name is tried at once; then another place. */
static void not_made(struct wire *w, enum upstream_failure f, const char *reason)
{
    struct upstream *u = w->use;
    struct place *at = w->place;
    struct upstream_pool *p = w->pool;
    wire_drop(w, false);
    if (u != NULL && f == UPSTREAM_NOT_SENT && ++u->addresses_tried < at->name.count) {
        at->name.next = (at->name.next + 1) % at->name.count;
        const char *again = NULL;
        u->wire = wire_open(at, u, &again);
        if (u->wire != NULL) {
            u->wire->shared = w->shared;
            u->wire->opening = w->shared;
            at->opening += w->shared;
            return;
        }
    }
    backend_failed(at->backend, p->tool, p->loop->now_ms, reason);
    if (u != NULL)
        upstream_elsewhere(u, f, reason);
    if (w->shared)
        place_failed(at, f, reason);
}

static bool chose_h2(const struct wire *w)
{
    const unsigned char *chosen = NULL;
    unsigned len = 0;
    if (w->stream.ssl == NULL)
        return w->place->address->h2 || w->pool->tool->upstream_http == UPSTREAM_HTTP2;
    SSL_get0_alpn_selected(w->stream.ssl, &chosen, &len);
    return len == 2 && memcmp(chosen, "h2", 2) == 0;
}

static void made_h2(struct wire *w)
{
    struct upstream *u = w->use;
    w->use = NULL;
    if (w->listed) {                  /* it waited without a user */
        place_unlist(w);
        w->pool->idle--;
    }
    if (!h2_ready(w)) {
        w->use = u;
        not_made(w, UPSTREAM_NOT_SENT, "out of memory");
        return;
    }
    if (w->shared) {
        place_list(&w->place->h2, w);
        w->place->h2_count++;
    }
    if (u != NULL)
        h2_attach(w, u);
}

static void made(struct wire *w)
{
    struct upstream_pool *p = w->pool;
    bool h2 = chose_h2(w);
    if (!h2)
        wire_opened(w);               /* of an HTTP/2 connection others wait for the SETTINGS: how many streams it takes */
    w->place->connections++;
    if (!h2 && p->tool->upstream_http == UPSTREAM_HTTP2 && w->stream.ssl != NULL) {
        not_made(w, UPSTREAM_NOT_SENT, "the tool does not take HTTP/2 (ALPN); upstream_http = \"auto\" or \"1.1\" would do");
        return;
    }
    if (h2) {
        made_h2(w);
    } else if (w->use != NULL) {
        w->place->speaks_h1 |= w->shared;
        h1_ready(w);
    } else {
        place_unlist(w);
        p->idle--;
        wire_idle(w);
    }
    if (p->waiting != NULL)
        pool_serve(p);
}

static void connect_step(struct wire *w)
{
    int code = 0;
    socklen_t len = sizeof code;
    if (w->state == WIRE_CONNECT) {
        if (getsockopt(w->stream.fd, SOL_SOCKET, SO_ERROR, &code, &len) != 0 || code != 0) {
            not_made(w, UPSTREAM_NOT_SENT, code == ECONNREFUSED ? "the tool does not accept connections" : strerror(code));
            return;
        }
        if (w->stream.ssl == NULL) {
            made(w);
            return;
        }
        w->state = WIRE_HANDSHAKE;
    }
    enum io io = stream_handshake(&w->stream);
    if (io == IO_OK) {
        made(w);
    } else if (io != IO_AGAIN) {
        enum upstream_failure f = UPSTREAM_NOT_SENT;
        const char *reason = upstream_tls_reason(w->stream.ssl, &f);
        not_made(w, f, reason);
    }
}

static void on_ready(struct stream *s, int events)
{
    struct wire *w = (struct wire *)((char *)s - offsetof(struct wire, stream));
    if (w->state == WIRE_CONNECT || w->state == WIRE_HANDSHAKE)
        connect_step(w);
    else if (w->state == WIRE_H2)
        h2_events(w, events);
    else
        h1_events(w, events);
}

static int open_socket(const struct place *at, const char **reason)
{
    const struct socket_address *to = &at->name.found[at->name.next % at->name.count];
    int one = 1, fd = socket(to->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        *reason = strerror(errno);
        return -1;
    }
    if (to->sa.ss_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (const struct sockaddr *)&to->sa, to->len) == 0 || errno == EINPROGRESS)
        return fd;
    /* A Unix socket answers at once: EAGAIN says that its queue is full. */
    *reason = errno == ECONNREFUSED ? "the tool does not accept connections" : errno == ENOENT ? "there is no such Unix socket" : strerror(errno);
    close(fd);
    return -1;
}

struct wire *wire_open(struct place *at, struct upstream *use, const char **reason)
{
    struct upstream_pool *p = at->pool;
    struct wire *w = calloc(1, sizeof *w);
    *reason = "out of memory";
    int fd = w ? open_socket(at, reason) : -1;
    SSL *ssl = fd >= 0 && p->tls ? upstream_tls_new(p->tls, p->tool, at->address, use->want.websocket) : NULL;
    if (fd < 0 || (p->tls != NULL && ssl == NULL) || !stream_open(&w->stream, p->loop, fd, ssl, on_ready, on_closed)) {
        SSL_free(ssl);
        if (fd >= 0)
            close(fd);
        free(w);
        return NULL;
    }
    w->pool = p;
    w->place = at;
    w->use = use;
    bbuf_init(&w->in, WIRE_IN_MAX);
    bbuf_init(&w->out, WIRE_OUT_MAX);
    w->next = p->all;
    if (p->all != NULL)
        p->all->prev = w;
    p->all = w;
    p->wires++;
    w->deadline_ms = p->loop->now_ms + p->limits.upstream_connect_ms;
    stream_want(&w->stream, UV_WRITABLE);
    return w;
}
