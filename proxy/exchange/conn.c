#include "proxy/exchange/conn.h"

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/exchange/crowd.h"
#include "proxy/exchange/shares.h"
#include "proxy/exchange/sources.h"
#include "proxy/net/proxy_protocol.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

enum { READ_AT_ONCE = 16 * 1024, RECORD_MAX = 16 * 1024, LINGER_MS = 1000 };   /* RECORD_MAX: RFC 8446 s5.1 */

static struct conn *conn_of(struct stream *s)
{
    return (struct conn *)((char *)s - offsetof(struct conn, stream));
}

static void on_closed(struct stream *s)
{
    struct conn *c = conn_of(s);
    struct worker *w = c->worker;
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        w->conns = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    w->conn_count--;
    metric_add(&w->metrics.connections, (uint64_t)-1);
    shares_leave(w->shares, c->share);
    bbuf_done(&c->in);
    bbuf_done(&c->out);
    free(c->cert_field);
    h1_seen_done(&c->seen);
    free(c->sni);
    snapshot_unref(c->snap);
    free(c);
}

/* The driver goes, and its exchanges with it. */
static void end_protocol(struct conn *c)
{
    if (c->protocol != NULL)
        c->protocol->free(c);
    c->protocol = NULL;
}

void conn_close(struct conn *c, bool friendly)
{
    if (c->state == CONN_GONE)
        return;
    crowd_leave(c);
    c->state = CONN_GONE;
    task_cancel(&c->flush);
    end_protocol(c);
    stream_close(&c->stream, friendly);
}

void conn_deadline(struct conn *c, int64_t in_ms)
{
    c->deadline_ms = c->worker->loop.now_ms + in_ms;
}

static void want(struct conn *c)
{
    int events = 0;
    if (c->state == CONN_OPEN && c->want_read)
        events |= UV_READABLE;
    if (bbuf_len(&c->out) > 0)
        events |= UV_WRITABLE;
    stream_want(&c->stream, events);
}

void conn_read(struct conn *c, bool on)
{
    if (c->want_read == on || c->state == CONN_GONE)
        return;
    c->want_read = on;
    want(c);
}

/* Closing while the client still sends would reset the connection under the answer it has not read yet (RFC 9112 s9.6). */
static void linger(struct conn *c)
{
    end_protocol(c);
    c->state = CONN_LINGER;
    conn_deadline(c, LINGER_MS);
    SSL_shutdown(c->stream.ssl);
    ERR_clear_error();
    shutdown(c->stream.fd, SHUT_WR);
    stream_want(&c->stream, UV_READABLE);
}

static void read_and_drop(struct conn *c)
{
    char nothing[4096];
    for (int budget = 16; budget > 0; budget--) {
        ssize_t n = recv(c->stream.fd, nothing, sizeof nothing, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            conn_close(c, true);
            return;
        }
    }
}

/* One record's worth, as far as the socket takes it. false: it takes no more for now, or never again. */
static bool write_record(struct conn *c, struct slice data, size_t *n_out)
{
    if (c->ticket_due) {
        c->ticket_due = false;
        stream_ticket(&c->stream);
    }
    if (data.len > RECORD_MAX)
        data.len = RECORD_MAX;
    enum io io = stream_write(&c->stream, data, n_out);
    c->blocked = io == IO_AGAIN;
    c->broken |= io != IO_OK && io != IO_AGAIN;
    return io == IO_OK;
}

/* c->out begins with what OpenSSL refused to take, if it did: it wants to be given the same bytes again. So nothing may overtake them. */
enum status conn_put(struct conn *c, struct slice data)
{
    struct bbuf *out = &c->out;
    if (data.len > bbuf_room(out))
        return FULL;
    bool direct = !c->blocked && !c->broken && c->state == CONN_OPEN;
    if (direct && bbuf_len(out) > 0 && bbuf_len(out) < RECORD_MAX && bbuf_len(out) + data.len >= RECORD_MAX) {
        size_t n = 0, fill = RECORD_MAX - bbuf_len(out);   /* a response's head, most of the time */
        if (bbuf_put(out, slice_of(data.ptr, fill)) != OK)
            return NO_MEMORY;
        data = slice_from(data, fill);
        if (write_record(c, bbuf_slice(out), &n))
            bbuf_drop(out, n);
        c->passed = true;
    }
    while (direct && bbuf_len(out) == 0 && data.len >= RECORD_MAX) {
        size_t n = 0;
        if (!write_record(c, data, &n))
            break;
        data = slice_from(data, n);
        c->passed = true;
    }
    return bbuf_put(out, data);
}

static void flushed(struct conn *c, bool wrote)
{
    if (bbuf_len(&c->out) > 0) {
        if (wrote)
            conn_deadline(c, c->snap->config->limits.body_idle_ms);
    } else if (c->cut) {
        conn_close(c, false);
        return;
    } else if (c->state == CONN_FLUSH) {
        linger(c);
        return;
    } else {
        bbuf_idle(&c->out);
    }
    want(c);
}

static void do_flush(struct conn *c)
{
    bool wrote = c->passed;
    if (c->passed && bbuf_len(&c->out) == 0 && c->state == CONN_OPEN && !c->broken)
        c->protocol->output(c);
    c->passed = false;
    while (c->state != CONN_GONE && bbuf_len(&c->out) > 0 && !c->blocked && !c->broken) {
        size_t n = 0;
        if (!write_record(c, bbuf_slice(&c->out), &n))
            break;
        wrote = true;
        bbuf_drop(&c->out, n);
        if (bbuf_len(&c->out) == 0 && c->state == CONN_OPEN)
            c->protocol->output(c);   /* may queue more */
    }
    if (c->state == CONN_GONE)
        return;
    if (c->broken)
        conn_close(c, false);
    else
        flushed(c, wrote);
}

static void flush_task(struct task *t)
{
    do_flush((struct conn *)((char *)t - offsetof(struct conn, flush)));
}

void conn_flush_soon(struct conn *c)
{
    if (c->state != CONN_OPEN && c->state != CONN_FLUSH)
        return;
    if (bbuf_len(&c->out) > 0 && c->flush.next == NULL)
        conn_deadline(c, c->snap->config->limits.body_idle_ms);   /* from now on it is the client we wait for */
    task_soon(&c->worker->loop, &c->flush);
}

void conn_flush_now(struct conn *c)
{
    if (c->state != CONN_OPEN)
        return;
    c->protocol->output(c);
    do_flush(c);
}

void conn_finish(struct conn *c)
{
    if (c->state != CONN_OPEN)
        return;
    c->state = CONN_FLUSH;
    conn_deadline(c, c->snap->config->limits.body_idle_ms);
    conn_flush_soon(c);
}

static char *make_cert_field(X509 *leaf)
{
    unsigned char *der = NULL;
    int len = i2d_X509(leaf, &der);
    char *text = len > 0 ? malloc((size_t)(len + 2) / 3 * 4 + 3) : NULL;
    if (text != NULL) {
        text[0] = ':';
        int n = EVP_EncodeBlock((unsigned char *)text + 1, der, len);
        text[n + 1] = ':';
        text[n + 2] = 0;
    }
    OPENSSL_free(der);
    ERR_clear_error();
    return text;
}

const char *conn_cert_field(struct conn *c)
{
    if (c->cert_field == NULL) {
        X509 *leaf = SSL_get1_peer_certificate(c->stream.ssl);
        c->cert_field = leaf ? make_cert_field(leaf) : NULL;
        X509_free(leaf);
    }
    return c->cert_field ? c->cert_field : "";
}

void conn_rest(struct conn *c)
{
    free(c->cert_field);
    c->cert_field = NULL;
    h1_seen_done(&c->seen);
}

static void judge_certificate(struct conn *c, struct snapshot *s)
{
    X509 *leaf = SSL_get1_peer_certificate(c->stream.ssl);
    if (c->settled && leaf != NULL) { /* its key is gone (stream_settle) */
        X509 *whole = X509_dup(leaf);
        X509_free(leaf);
        leaf = whole;
    }
    c->cert = trust_check(s->trust, leaf, SSL_get_peer_cert_chain(c->stream.ssl), clock_wall_s(), &c->identity);
    c->person = c->cert == CERT_GOOD ? config_person(s->config, slice_str(c->identity.name)) : NULL;
    trust_drop_known(s->trust, SSL_get_peer_cert_chain(c->stream.ssl));
    X509_free(leaf);
}

/* Bytes that the kernel holds and the client has not acknowledged. */
static int kernel_holds(const struct conn *c)
{
    int queued = 0;
    return ioctl(c->stream.fd, SIOCOUTQ, &queued) == 0 ? queued : 0;
}

bool conn_owes(const struct conn *c)
{
    return bbuf_len(&c->out) > 0 || kernel_holds(c) > 0;
}

bool conn_lingers_on(struct conn *c)
{
    int before = c->unacked;
    c->unacked = kernel_holds(c);
    if (c->unacked == 0 || (before > 0 && c->unacked >= before))
        return false;
    conn_deadline(c, c->snap->config->limits.body_idle_ms);
    return true;
}

struct share *conn_share(struct conn *c)
{
    if (c->share == NULL && c->person != NULL)
        c->share = shares_enter(c->worker->shares, c->person->name, c->snap->config->limits.connections_per_person);
    crowd_look_again(c);
    return c->share;
}

static void take_snapshot(struct conn *c, struct snapshot *s)
{
    for (struct exchange *x = c->exchanges; x != NULL; x = x->next)
        exchange_keep_snapshot(x);
    snapshot_unref(c->snap);
    c->snap = snapshot_ref(s);
    c->tool = NULL;
}

bool conn_recheck(struct conn *c, struct snapshot *s)
{
    bool early = c->state == CONN_PREFACE || c->state == CONN_HANDSHAKE;
    if (early)
        take_snapshot(c, s);          /* to be judged by the new list, not by the one of when it was opened */
    if (early || c->state == CONN_GONE)
        return true;
    bool was_good = c->cert == CERT_GOOD && c->person != NULL;
    judge_certificate(c, s);
    if (was_good && (c->cert != CERT_GOOD || c->person == NULL)) {
        log_info("connection.ended", "identity", c->identity.name, "why", c->cert != CERT_GOOD ? cert_state_name(c->cert) : "unknown-person", "serial",
                 c->identity.serial);
        conn_close(c, false);
        return false;
    }
    take_snapshot(c, s);
    return true;
}

static void start_protocol(struct conn *c)
{
    const unsigned char *alpn = NULL;
    unsigned alpn_len = 0;
    const char *sni = SSL_get_servername(c->stream.ssl, TLSEXT_NAMETYPE_host_name);
    if (sni != NULL && (c->sni = strdup(sni)) == NULL) {
        conn_close(c, false);
        return;
    }
    if (c->snap != c->worker->snap) { /* a reload came during the handshake, perhaps with a revocation */
        take_snapshot(c, c->worker->snap);
    }
    judge_certificate(c, c->snap);
    stream_settle(&c->stream);
    c->settled = true;
    conn_share(c);
    metric_add(&c->worker->metrics.certificates_refused, c->cert != CERT_GOOD);
    if (c->cert != CERT_GOOD)
        log_info("certificate.refused", "source", c->address, "why", cert_state_name(c->cert), "identity",
                 c->identity.name[0] ? c->identity.name : NULL, "serial", c->identity.serial[0] ? c->identity.serial : NULL);
    SSL_get0_alpn_selected(c->stream.ssl, &alpn, &alpn_len);
    c->protocol = alpn_len == 2 && memcmp(alpn, "h2", 2) == 0 ? &protocol_h2 : &protocol_h1;
    c->state = CONN_OPEN;
    c->want_read = true;
    conn_deadline(c, c->snap->config->limits.head_ms);
    if (!c->protocol->start(c)) {
        c->protocol = NULL;
        conn_close(c, false);
        return;
    }
    want(c);
    conn_flush_soon(c);
    if (c->worker->draining)
        c->protocol->stop(c);
}

static void do_handshake(struct conn *c)
{
    enum io io = stream_handshake(&c->stream);
    if (io == IO_AGAIN)
        return;
    if (io != IO_OK) {
        metric_add(&c->worker->metrics.tls_failed, 1);
        log_info("tls.refused", "source", c->address, "why", ossl_reason());
        conn_close(c, false);
        return;
    }
    crowd_settle(c);
    start_protocol(c);
}

static void do_read(struct conn *c)
{
    for (int budget = 4; budget > 0 && c->state == CONN_OPEN && c->want_read; budget--) {
        size_t n = 0, room = bbuf_room(&c->in);
        if (room > READ_AT_ONCE)
            room = READ_AT_ONCE;
        unsigned char *at = room > 0 ? bbuf_reserve(&c->in, room) : NULL;
        if (at == NULL) {
            if (room > 0)
                conn_close(c, false);
            break;
        }
        enum io io = stream_read(&c->stream, at, room, &n);
        if (io == IO_AGAIN)
            break;
        if (io != IO_OK) {
            conn_close(c, io == IO_END);
            return;
        }
        bbuf_wrote(&c->in, n);
        c->protocol->input(c);
        if (n < room)
            break;
    }
    if (c->state == CONN_OPEN)
        bbuf_idle(&c->in);
}

/* Exactly the header's bytes are taken from the socket: what follows is OpenSSL's. */
static void do_preface(struct conn *c)
{
    struct sockaddr_storage source = { 0 };
    bool local = false;
    for (;;) {
        size_t have = bbuf_len(&c->in), total = have < PROXY_V2_FIXED ? PROXY_V2_FIXED : proxy_v2_length(bbuf_slice(&c->in));
        if (total == have)
            break;
        unsigned char *at = total > have ? bbuf_reserve(&c->in, total - have) : NULL;
        ssize_t n = at ? recv(c->stream.fd, at, total - have, 0) : 0;
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            log_info("proxy_protocol.refused", "why", total == 0 ? "no PROXY protocol v2 header" : "cut off");
            conn_close(c, false);
            return;
        }
        bbuf_wrote(&c->in, (size_t)n);
    }
    bool good = proxy_v2_parse(bbuf_slice(&c->in), &local, &source);
    if (good && local) {
        socklen_t len = sizeof source;
        good = getpeername(c->stream.fd, (struct sockaddr *)&source, &len) == 0;
    }
    if (!good)
        log_info("proxy_protocol.refused", "why", "a malformed header");
    if (!good || !crowd_count(c, &source)) {
        conn_close(c, false);
        return;
    }
    crowd_press(c);
    if (c->state == CONN_GONE)
        return;
    bbuf_drop(&c->in, bbuf_len(&c->in));
    bbuf_idle(&c->in);
    c->state = CONN_HANDSHAKE;
    do_handshake(c);
}

static void on_ready(struct stream *s, int events)
{
    struct conn *c = conn_of(s);
    if (c->state == CONN_PREFACE) {
        do_preface(c);
        return;
    }
    if (c->state == CONN_HANDSHAKE) {
        do_handshake(c);
        return;
    }
    if (c->state == CONN_LINGER) {
        read_and_drop(c);
        return;
    }
    if ((events & UV_WRITABLE) && c->state != CONN_GONE) {
        c->blocked = false;
        do_flush(c);
    }
    if ((events & UV_READABLE) && c->state == CONN_OPEN)
        do_read(c);
}

static void give_up(struct conn *c, SSL *ssl, int fd)
{
    if (c != NULL && c->source != NULL)
        sources_leave(c->worker->sources, c->source, true, true, clock_mono_ms());
    SSL_free(ssl);
    free(c);
    close(fd);
}

static bool from_balancer(const struct config *config, const struct sockaddr_storage *peer)
{
    for (size_t i = 0; i < config->balancer_count; i++)
        if (network_holds(&config->balancers[i], peer))
            return true;
    return false;
}

void conn_open(struct worker *w, int fd, const struct sockaddr_storage *peer, bool proxied)
{
    struct conn *c = calloc(1, sizeof *c);
    SSL *ssl = c ? SSL_new(w->snap->tls) : NULL;
    if (ssl == NULL) {
        give_up(c, ssl, fd);
        return;
    }
    c->worker = w;
    c->serial = ++w->conn_serial;
    if (proxied && !from_balancer(w->snap->config, peer)) {
        unsigned char key[16];
        source_key(peer, key, c->address, sizeof c->address);
        log_info("proxy_protocol.refused", "source", c->address, "why", "not one of proxy_protocol_from");
        metric_add(&w->metrics.refused, 1);
        give_up(c, ssl, fd);
        return;
    }
    c->state = proxied ? CONN_PREFACE : CONN_HANDSHAKE;
    SSL_set_accept_state(ssl);
    if ((!proxied && !crowd_count(c, peer)) || !stream_open(&c->stream, &w->loop, fd, ssl, on_ready, on_closed)) {
        give_up(c, ssl, fd);
        return;
    }
    c->snap = snapshot_ref(w->snap);
    c->flush.run = flush_task;
    bbuf_init(&c->in, CONN_IN_MAX);
    bbuf_init(&c->out, CONN_OUT_MAX);
    c->next = w->conns;
    if (w->conns != NULL)
        w->conns->prev = c;
    w->conns = c;
    w->conn_count++;
    metric_add(&w->metrics.connections, 1);
    conn_deadline(c, c->snap->config->limits.handshake_ms);
    stream_want(&c->stream, UV_READABLE);
    crowd_join(c);
    crowd_press(c);
}
