/* upstream: connections to the tools, HTTP/1.1, kept alive in a pool a worker and tool.
 *
 * One upstream serves one exchange at a time; the exchange is its `user`. The response is parsed strictly; bytes left over after it close the connection, so that a second, smuggled
 * response can't go to the next request. Nothing is retried here.
 *
 * After upstream_may_switch a 101 turns the connection into two streams of bytes: body() gives what the tool sends, upstream_out what it gets, end() is its EOF. It never goes
 * back to the pool. */
#ifndef COUNTERSIGN_UPSTREAM_H
#define COUNTERSIGN_UPSTREAM_H

#include "config/config.h"
#include "proxy/http/h1.h"
#include "proxy/net/loop.h"

struct upstream;
struct upstream_pool;

enum upstream_failure {
    UPSTREAM_NOT_SENT,                /* no byte of the request left: connecting failed, or writing never began */
    UPSTREAM_CUT,                     /* broken off after something was sent, before the response ended */
    UPSTREAM_GARBAGE,                 /* not HTTP, or ambiguous */
    UPSTREAM_TIMEOUT,
};

struct upstream_ops {
    void (*connected)(void *user);                                   /* may write now */
    void (*writable)(void *user);                                    /* upstream_room grew */
    void (*head)(void *user, const struct message *m);               /* also for 1xx; m lives in the arena given to upstream_expect */
    size_t (*room)(void *user);                                      /* how many bytes of body may come now; 0 pauses reading until upstream_resume */
    void (*body)(void *user, struct slice data);
    void (*end)(void *user, const struct fields *trailers);          /* the response is whole; the upstream is back in the pool or closing: forget it */
    void (*failed)(void *user, enum upstream_failure f, const char *reason);   /* likewise */
};

/* One worker's connections to one tool; tool and limits are borrowed for its life. */
struct upstream_pool *upstream_pool_new(struct loop *l, const struct tool *tool, const struct limits *limits, struct err *err);
/* Idle connections close; busy ones end with their exchange; the memory goes with the last. */
void upstream_pool_close(struct upstream_pool *p);
/* Close what has been idle too long, and time out what is slow. */
void upstream_pool_tick(struct upstream_pool *p);
/* Numbers for the log: idle and busy connections. */
void upstream_pool_count(const struct upstream_pool *p, unsigned *idle_out, unsigned *busy_out);

/* A connection: an idle one, or (fresh, or none idle) a new one. ops->connected always comes later, as does failed. NULL: no memory or too many. */
struct upstream *upstream_take(struct upstream_pool *p, bool fresh, const struct upstream_ops *ops, void *user);
/* Where the response is to be parsed, and for which method. Before the first write. */
void upstream_expect(struct upstream *u, struct slice method, struct arena *arena);
/* A 101 is asked for: it comes as a head, and raw bytes after it. Without any for quiet_ms, either way, the upstream fails with UPSTREAM_TIMEOUT. */
void upstream_may_switch(struct upstream *u, int64_t quiet_ms);
/* Bytes that may be put now. */
size_t upstream_room(const struct upstream *u);
struct bbuf *upstream_out(struct upstream *u);                       /* put here, then upstream_flush */
void upstream_flush(struct upstream *u);
/* The request is whole (its last byte was put). */
void upstream_sent(struct upstream *u);
/* ops->room is no longer 0. */
void upstream_resume(struct upstream *u);
/* Give it up before the end; nothing is called any more. */
void upstream_abort(struct upstream *u);
/* After a 101: close it so that the tool still gets what the kernel has taken. Nothing is called any more. */
void upstream_hang_up(struct upstream *u);

#endif
