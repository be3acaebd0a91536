#include "proxy/net/stream.h"

#include <errno.h>
#include <openssl/err.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

enum { UNREST_MAX = 256, UNREST_PER_S = 4 };

/* Before a call whose failure is asked about: an entry of another connection would read as this one's. Mostly there is none, and looking costs less than clearing. */
static void forget_errors(void)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error();
}

static void on_poll(uv_poll_t *p, int status, int events)
{
    struct stream *s = p->data;
    s->loop->now_ms = (int64_t)uv_now(&s->loop->uv);
    if (status < 0)
        events = s->wanted ? s->wanted : UV_READABLE;
    int useful = events & s->wanted;
    if ((events & UV_WRITABLE) && s->read_blocked_on_write)
        useful |= UV_READABLE;
    if ((events & UV_READABLE) && s->write_blocked_on_read)
        useful |= UV_WRITABLE;
    if (useful)
        s->ready(s, useful);
}

static void arm(struct stream *s)
{
    int events = s->wanted;
    if (s->read_blocked_on_write && (s->wanted & UV_READABLE))
        events |= UV_WRITABLE;
    if (s->write_blocked_on_read && (s->wanted & UV_WRITABLE))
        events |= UV_READABLE;
    if (events == s->armed || s->closing)
        return;
    s->armed = events;
    if (events)
        uv_poll_start(&s->poll, events, on_poll);
    else
        uv_poll_stop(&s->poll);
}

static void read_again(struct task *t)
{
    struct stream *s = (struct stream *)((char *)t - offsetof(struct stream, again));
    if (!s->closing && (s->wanted & UV_READABLE))
        s->ready(s, UV_READABLE);
}

bool stream_open(struct stream *s, struct loop *l, int fd, SSL *ssl, void (*ready)(struct stream *, int),
                 void (*closed)(struct stream *))
{
    *s = (struct stream){ .fd = fd, .ssl = ssl, .loop = l, .ready = ready, .closed = closed };
    s->again.run = read_again;
    if (uv_poll_init(&l->uv, &s->poll, fd) != 0)
        return false;
    s->poll.data = s;
    if (ssl != NULL && (SSL_set_fd(ssl, fd) != 1 || SSL_set_app_data(ssl, s) != 1))
        ERR_clear_error();            /* every later call on it fails, and the owner closes */
    return true;
}

void stream_want(struct stream *s, int events)
{
    if (s->closing)
        return;
    bool reads_anew = (events & UV_READABLE) && !(s->wanted & UV_READABLE);
    s->wanted = events;
    if (reads_anew && s->ssl != NULL && SSL_has_pending(s->ssl))
        task_soon(s->loop, &s->again);
    arm(s);
}

void stream_on_tls(const SSL *ssl, int where, int ret)
{
    struct stream *s = SSL_get_app_data(ssl);
    (void)ret;
    if (s == NULL || !s->shaken || !(where & (SSL_CB_LOOP | SSL_CB_ALERT)))
        return;
    int64_t passed_ms = s->loop->now_ms - s->unrest_ms;
    uint64_t forgiven = (uint64_t)(passed_ms > 0 ? passed_ms : 0) * UNREST_PER_S / 1000;
    if (forgiven > 0) {
        s->unrest -= forgiven < s->unrest ? (unsigned)forgiven : s->unrest;
        s->unrest_ms = s->loop->now_ms;
    }
    if (s->unrest <= UNREST_MAX)
        s->unrest++;
}

static enum io ssl_result(struct stream *s, int r, bool reading)
{
    if (s->unrest > UNREST_MAX) {
        ERR_clear_error();
        return IO_DEAD;
    }
    int code = SSL_get_error(s->ssl, r);
    if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE) {
        if (reading)
            s->read_blocked_on_write = code == SSL_ERROR_WANT_WRITE;
        else
            s->write_blocked_on_read = code == SSL_ERROR_WANT_READ;
        arm(s);
        return IO_AGAIN;
    }
    if (code == SSL_ERROR_ZERO_RETURN)
        return IO_END;
    ERR_clear_error();
    return IO_DEAD;
}

enum io stream_handshake(struct stream *s)
{
    ERR_clear_error();
    int r = SSL_do_handshake(s->ssl);
    if (r == 1) {
        s->read_blocked_on_write = s->write_blocked_on_read = false;
        s->shaken = true;
        s->unrest_ms = s->loop->now_ms;
        if (SSL_has_pending(s->ssl))  /* the first request came with the client's Finished */
            task_soon(s->loop, &s->again);
        return IO_OK;
    }
    int code = SSL_get_error(s->ssl, r);
    if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE) {
        stream_want(s, code == SSL_ERROR_WANT_READ ? UV_READABLE : UV_WRITABLE);
        return IO_AGAIN;
    }
    return IO_DEAD;                   /* the owner reads the error queue, then clears it */
}

/* OpenSSL has no call to drop a key of its own, but giving a key a type, even the one it has, empties it. */
static void empty_key(EVP_PKEY *key)
{
    (void)EVP_PKEY_set_type(key, EVP_PKEY_get_base_id(key));
}

void stream_settle(struct stream *s)
{
    EVP_PKEY *key = NULL;
    if (s->ssl == NULL)
        return;
    if (SSL_get_peer_tmp_key(s->ssl, &key) == 1) {
        empty_key(key);
        EVP_PKEY_free(key);
    }
    if (SSL_get_tmp_key(s->ssl, &key) == 1) {
        empty_key(key);
        EVP_PKEY_free(key);
    }
    X509 *leaf = SSL_get0_peer_certificate(s->ssl);
    if (leaf != NULL && (key = X509_get0_pubkey(leaf)) != NULL)
        empty_key(key);
    forget_errors();
}

void stream_ticket(struct stream *s)
{
    if (s->ssl == NULL || SSL_version(s->ssl) != TLS1_3_VERSION)
        return;
    if (SSL_new_session_ticket(s->ssl) != 1)
        ERR_clear_error();            /* no ticket then */
    task_soon(s->loop, &s->again);    /* sending one takes a buffer for reading, which goes with the next read that finds nothing */
}

static enum io plain_result(ssize_t r, size_t *n_out)
{
    if (r > 0) {
        *n_out = (size_t)r;
        return IO_OK;
    }
    if (r == 0)
        return IO_END;
    return errno == EAGAIN || errno == EINTR ? IO_AGAIN : IO_DEAD;
}

enum io stream_read(struct stream *s, unsigned char *buf, size_t max, size_t *n_out)
{
    if (s->closing || s->unrest > UNREST_MAX)
        return IO_DEAD;
    if (s->ssl == NULL)
        return plain_result(recv(s->fd, buf, max, 0), n_out);
    forget_errors();
    int r = SSL_read_ex(s->ssl, buf, max, n_out);
    if (r != 1)
        return ssl_result(s, r, true);
    s->read_blocked_on_write = false;
    if (SSL_has_pending(s->ssl))
        task_soon(s->loop, &s->again);
    return IO_OK;
}

bool stream_has_input(const struct stream *s)
{
    char one;
    return recv(s->fd, &one, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

enum io stream_write(struct stream *s, struct slice data, size_t *n_out)
{
    if (s->closing)
        return IO_DEAD;
    if (s->ssl == NULL)
        return plain_result(send(s->fd, data.ptr, data.len, MSG_NOSIGNAL), n_out);
    forget_errors();
    int r = SSL_write_ex(s->ssl, data.ptr, data.len, n_out);
    if (r != 1)
        return ssl_result(s, r, false);
    s->write_blocked_on_read = false;
    return IO_OK;
}

static void on_closed(uv_handle_t *h)
{
    struct stream *s = h->data;
    SSL_free(s->ssl);
    s->ssl = NULL;
    close(s->fd);
    s->fd = -1;
    s->closed(s);
}

void stream_close(struct stream *s, bool friendly)
{
    if (s->closing)
        return;
    s->closing = true;
    task_cancel(&s->again);
    if (!friendly) {
        struct linger now = { .l_onoff = 1, .l_linger = 0 };
        setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        if (s->ssl != NULL)
            SSL_set_quiet_shutdown(s->ssl, 1);
    } else if (s->ssl != NULL && SSL_is_init_finished(s->ssl)) {
        SSL_shutdown(s->ssl);
        ERR_clear_error();
    }
    uv_poll_stop(&s->poll);
    uv_close((uv_handle_t *)&s->poll, on_closed);
}
