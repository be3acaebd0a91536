/* stream: bytes over a connected socket, in clear or through TLS; non-blocking; one owner, one loop.
 *
 * The owner says what it waits for (stream_want); `ready` is called when that may be possible. It may fire for nothing. TLS may need to write in
 * order to read and the other way round, and may hold bytes while the socket is silent: both are settled in here. */
#ifndef COUNTERSIGN_STREAM_H
#define COUNTERSIGN_STREAM_H

#include "proxy/base/slice.h"
#include "proxy/net/loop.h"

#include <openssl/ssl.h>

enum io {
    IO_OK,
    IO_AGAIN,
    IO_END,                           /* the other side closed cleanly (close_notify, or FIN in clear) */
    IO_DEAD,                          /* an error, or a TLS stream cut without close_notify */
};

struct stream {
    int fd;                           /* -1 when closed */
    SSL *ssl;                         /* NULL: in clear */
    struct loop *loop;
    uv_poll_t poll;
    struct task again;                /* bytes wait inside OpenSSL */
    int wanted, armed;                /* UV_READABLE | UV_WRITABLE */
    bool read_blocked_on_write, write_blocked_on_read, closing;
    bool shaken;                      /* the handshake is over: what comes now of the kind is counted */
    unsigned unrest;                  /* steps of TLS's own since then, as far as they are not forgiven */
    int64_t unrest_ms;                /* when the last of them was forgiven */
    void (*ready)(struct stream *s, int events);
    void (*closed)(struct stream *s); /* after stream_close, when the memory may go */
};

/* Take a connected or connecting non-blocking socket. ssl (taken too) has no fd yet; NULL: in clear. false: no memory, nothing taken. */
bool stream_open(struct stream *s, struct loop *l, int fd, SSL *ssl, void (*ready)(struct stream *, int),
                 void (*closed)(struct stream *));
/* UV_READABLE, UV_WRITABLE, both or 0. */
void stream_want(struct stream *s, int events);
/* TLS only: go on with the handshake. */
enum io stream_handshake(struct stream *s);
/* For SSL_CTX_set_info_callback. After the handshake a peer may go on to change keys, to ask for a new handshake (which is refused) and to send alerts, each of
 * which costs more to answer than to send (CVE-2011-1473 and its kin). A stream has UNREST_MAX steps of that for nothing, a handful a message, and some more each second;
 * past them it is IO_DEAD. No honest peer comes near: keys are changed after gigabytes. */
void stream_on_tls(const SSL *ssl, int where, int ret);
/* The handshake is over: forget what only it needed. The two keys that were exchanged and the one of the peer's certificate, P-256 ones at least, take 6 KiB for as long as the
 * connection stays. A certificate without its key can be written, but not verified: for that X509_dup reads it anew. */
void stream_settle(struct stream *s);
/* Let the next write take a TLS 1.3 session ticket along. A ticket holds the client's certificate, and making one costs a third of a whole handshake: it is for
 * clients that come back, and with them for those whose key is in a token and asks for a touch each time. TLS 1.2 has sent its own in the handshake. */
void stream_ticket(struct stream *s);
/* At least one byte on IO_OK. */
enum io stream_read(struct stream *s, unsigned char *buf, size_t max, size_t *n_out);
/* The kernel holds bytes, or the end, that were not read yet. One system call. */
bool stream_has_input(const struct stream *s);
enum io stream_write(struct stream *s, struct slice data, size_t *n_out);
/* Close: with close_notify and FIN when `friendly`, else by reset, so that nothing still queued in the kernel is delivered (promise 7). */
void stream_close(struct stream *s, bool friendly);

#endif
