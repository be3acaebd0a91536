/* connection: one process at the other end of the socket, with bounded queues both ways.
 *
 * In: at most CONN_IN_MAX messages wait; then its socket is not read. Out: what it does not read is kept up to CONN_OUT_MAX messages and
 * CONN_OUT_BYTES, and for CONN_STALL_MS without progress; then it is disconnected, since a worker that reads no events enforces no locks. */
#ifndef COUNTERSIGN_CONNECTION_H
#define COUNTERSIGN_CONNECTION_H

#include "authz/approvals/service.h"
#include "proxy/base/msg.h"

#include <uv.h>

enum {
    CONN_IN_MAX = 64,
    CONN_OUT_MAX = 65536,                 /* a worker that connects is told of every live grant and lock */
    CONN_OUT_PAUSE = 64,              /* answers unread: read no more questions */
    CONN_OUT_BYTES = 128 * 1024 * 1024,
    CONN_STALL_MS = 3000,
    CONN_HELLO_MS = 5000,
};

struct out_message {
    struct out_message *next;
    json_t *message;
    size_t size;
    int fd;
};

struct connection {
    struct connection *next;
    struct peer peer;
    int fd;
    uv_poll_t poll;
    int watched;                      /* uv events asked for */
    bool dead;                        /* closing; frees itself */
    unsigned in_count;                /* its messages in the loop's queues */
    struct out_message *out_first, **out_last;
    unsigned out_count;
    size_t out_bytes;
    int64_t opened_ms, progress_ms;   /* monotonic */
};

/* Takes fd; NULL when memory is short (fd is closed). The poll's data is the connection; on_ready gets its events. */
struct connection *connection_new(uv_loop_t *loop, int fd, uint64_t id, int64_t now_ms, uv_poll_cb on_ready);
/* Queue one message; takes the reference and fd (-1: none). FULL: it reads too slowly, end it. */
MUST_CHECK enum status connection_send(struct connection *c, json_t *message, int fd);
/* Write what the socket takes. AGAIN: more is left; CLOSED. */
MUST_CHECK enum status connection_flush(struct connection *c, int64_t now_ms, struct err *err);
/* Ask the loop for what it can use now. */
void connection_watch(struct connection *c, uv_poll_cb on_ready);
/* Has it not said hello in time, or not read for too long? NULL: fine. */
const char *connection_overdue(const struct connection *c, int64_t now_ms);
/* Close now; memory goes when the loop has let go of it and in_count is 0 (the caller calls connection_reap). */
void connection_close(struct connection *c);
/* Free if nothing refers to it any more; true if so. */
bool connection_reap(struct connection *c);

#endif
