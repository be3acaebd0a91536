/* upstream: one exchange's way to its tool: over HTTP/1.1 or a stream of an HTTP/2 connection, to one of the places where the tool listens.
 *
 * upstream_take chooses the place with the fewest requests under way and a kept connection if there is one, else opens one; names are resolved in the background. While nothing of the request was
 * sent, other places are tried. What was sent is never sent again from here: `failed` says what is known, and its user decides. The response is parsed strictly; bytes left over after
 * one close the connection, so that a second, smuggled response can't go to the next request.
 *
 * After a 101 that was asked for (want.websocket) there are two streams of bytes: body() gives what the tool sends, upstream_put what it gets, end() is its EOF. Over HTTP/2 the
 * 101 is made from what RFC 8441 has instead, so that the user need not know.
 *
 * Files: upstream_pool (places, choosing, waiting) · upstream_wire (a connection: socket, TLS) · upstream_h1, upstream_h2 (what is spoken on it) · upstream_tls · upstream_check (active health checks). */
#ifndef COUNTERSIGN_UPSTREAM_H
#define COUNTERSIGN_UPSTREAM_H

#include "config/config.h"
#include "proxy/http/forward.h"
#include "proxy/http/h1.h"
#include "proxy/net/loop.h"

struct upstream;
struct upstream_pool;

enum upstream_failure {
    UPSTREAM_NOT_SENT,                /* no byte of the request left: no place could be connected to, or writing never began */
    UPSTREAM_UNTRUSTED,               /* likewise: the tool's certificate is not good */
    UPSTREAM_FULL,                    /* likewise: too many connections or streams already */
    UPSTREAM_UNWELL,                  /* likewise: no place passes its health checks */
    UPSTREAM_CLOSED,                  /* likewise: a kept connection ended or spoke before a byte was written. May be sent again */
    UPSTREAM_REFUSED,                 /* it was surely not processed (HTTP/2: REFUSED_STREAM, GOAWAY): may be sent again */
    UPSTREAM_STALE,                   /* a kept connection ended before a byte of the answer came: may be sent again if idempotent (RFC 9110 s9.2.2) */
    UPSTREAM_CUT,                     /* broken off after something was sent, before the response ended */
    UPSTREAM_GARBAGE,                 /* not HTTP, or ambiguous */
    UPSTREAM_TIMEOUT,
};

struct upstream_ops {
    void (*connected)(void *user);                                   /* send the head now */
    void (*writable)(void *user);                                    /* upstream_room grew */
    void (*head)(void *user, const struct message *m);               /* also for 1xx; m lives in the arena */
    size_t (*room)(void *user);                                      /* how many bytes of body may come now; 0 pauses reading until upstream_resume */
    void (*body)(void *user, struct slice data);
    void (*end)(void *user, const struct fields *trailers);          /* the response is whole: forget the upstream */
    void (*failed)(void *user, enum upstream_failure f, const char *reason);   /* likewise */
};

/* One worker's connections to one tool; tool and limits are borrowed for its life. checks: this worker asks for the tool's health_path. */
struct upstream_pool *upstream_pool_new(struct loop *l, const struct tool *tool, const struct limits *limits, bool checks, struct err *err);
/* Is nothing of where it listens a name that has to be resolved? */
bool upstreams_are_numeric(const struct tool *tool);
/* Idle connections close; busy ones end with their exchange; the memory goes with the last. */
void upstream_pool_close(struct upstream_pool *p);
/* Every 100 ms: close what has been idle too long, time out what is slow, check what is due. */
void upstream_pool_tick(struct upstream_pool *p);
/* Numbers for the log: idle connections, and exchanges under way. */
void upstream_pool_count(const struct upstream_pool *p, unsigned *idle_out, unsigned *busy_out);

struct upstream_want {
    struct slice method;              /* of the request: decides how the response is framed */
    struct arena *arena;              /* the upstream itself lives in it, and what is parsed */
    bool fresh;                       /* a connection that nobody else uses */
    bool websocket;                   /* a 101 is asked for; implies fresh over HTTP/1.1 */
    int64_t quiet_ms;                 /* websocket: without a byte either way for so long it fails with UPSTREAM_TIMEOUT */
    uint64_t owner;                   /* the client connection this is for; no two have the same */
    bool binds;                       /* the tool may take the whole connection for this person from now on (NTLM, Negotiate): nobody else ever gets it. HTTP/1.1 only */
    unsigned place;                   /* 1, 2 …: only this one, well or not; 0: any */
};
/* ops->connected always comes later, as does failed. NULL: no memory; or *why_out says what. */
struct upstream *upstream_take(struct upstream_pool *p, const struct upstream_want *want, const struct upstream_ops *ops, void *user,
                               enum upstream_failure *why_out);
/* In or after connected: the request head, written anew; f->chunked when no length is known. BAD_INPUT, FULL, NO_MEMORY: nothing was sent; abort it. */
MUST_CHECK enum status upstream_send_head(struct upstream *u, const struct forward_request *f);
/* Bytes of body that may be put now. */
size_t upstream_room(const struct upstream *u);
/* At most upstream_room; then upstream_flush. */
MUST_CHECK enum status upstream_put(struct upstream *u, struct slice data);
void upstream_flush(struct upstream *u);
/* The request is whole. FULL: not yet, there is no room for its end. */
MUST_CHECK enum status upstream_sent(struct upstream *u);
/* ops->room is no longer 0. */
void upstream_resume(struct upstream *u);
/* Where it went: as written in the config; NULL while it is not known. */
const struct upstream_address *upstream_where(const struct upstream *u);
/* Give it up before the end; nothing is called any more. NULL is fine. */
void upstream_abort(struct upstream *u);
/* After a 101: close it so that the tool still gets what has been sent. Nothing is called any more. */
void upstream_hang_up(struct upstream *u);

#endif
