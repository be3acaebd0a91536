/* What the files of upstream share; nobody else includes it. */
#ifndef COUNTERSIGN_UPSTREAM_INTERNAL_H
#define COUNTERSIGN_UPSTREAM_INTERNAL_H

#include "proxy/base/bbuf.h"
#include "proxy/net/backend.h"
#include "proxy/net/resolve.h"
#include "proxy/net/stream.h"
#include "proxy/net/upstream.h"
#include "proxy/net/upstream_tls.h"

enum { WIRE_OUT_MAX = 64 * 1024, WIRE_IN_MAX = 64 * 1024, READ_AT_ONCE = 64 * 1024, RESPONSE_FIELDS_MAX = 256 };
enum { H2_STREAMS_MAX = 100, H2_WIRES_MAX = 8 };   /* on one connection; connections to one place for anything but `fresh` */

enum wire_state {
    WIRE_CONNECT,
    WIRE_HANDSHAKE,
    WIRE_IDLE,
    WIRE_HEAD,                        /* HTTP/1.1: waits for a response head */
    WIRE_BODY,
    WIRE_SWITCHED,                    /* after a 101 */
    WIRE_H2,
    WIRE_GONE,
};

/* One place where the tool listens, as one worker sees it. */
struct place {
    struct upstream_pool *pool;
    const struct upstream_address *address;
    struct backend *backend;
    struct resolver name;
    struct wire *idle;                /* kept connections, the last used first; and those whose user left while they were being made */
    struct wire *h2;                  /* HTTP/2 connections */
    unsigned h2_count;
    unsigned busy;                    /* exchanges under way */
    unsigned opening;                 /* connections being made that may speak HTTP/2, and be shared */
    bool speaks_h1;                   /* ALPN said so: nobody waits for another's connection */
    uint64_t requests, connections;   /* since backend_count was told */
    struct health_check *check;
};

/* One connection. */
struct wire {
    struct wire *next, *prev;         /* in the pool's list of all */
    struct wire *also_next, *also_prev;   /* in place->idle or place->h2 */
    struct upstream_pool *pool;
    struct place *place;
    struct stream stream;
    struct bbuf in, out;
    enum wire_state state;
    struct upstream *use;             /* whose it is, over HTTP/1.1; whoever had it opened, before that is known */
    struct h2_client *h2;
    bool listed;                      /* in place->idle or place->h2 */
    bool shared;                      /* it may become an HTTP/2 connection for many */
    bool opening;                     /* counted in place->opening */
    uint64_t owner;                   /* nobody else gets it; 0: anybody's */
    int64_t deadline_ms;
    struct task begin;                /* tells the user that a kept connection is ready; or goes on reading */

    /* HTTP/1.1 */
    struct message response;
    struct h1_body body;
    struct h1_seen seen;
    size_t scanned;
    bool request_done, paused, kept, chunked, wrote, answered;   /* kept: it has served before; answered: a byte came */
    bool content;                     /* the request on it, or the last one, had content */
};

struct upstream {
    struct upstream *next, **link;    /* among those that wait, in the pool; or among the streams of an HTTP/2 connection; link: what points here */
    struct upstream_pool *pool;
    struct place *place;              /* where it goes, or waits; NULL: not known */
    struct wire *wire;                /* NULL: it waits */
    const struct upstream_ops *ops;   /* NULL: it is over */
    void *user;
    struct upstream_want want;
    uint32_t tried;                   /* bits of places that failed */
    unsigned addresses_tried;         /* of the place's name */
    bool waiting;                     /* in the pool's list */
    int64_t deadline_ms;

    /* HTTP/2 */
    int32_t stream_id;
    bool request_done, response_begun, ended, deferred, paused, wants_room, garbage, tunnel, oversize;
    size_t field_bytes;
    const struct ws_ask *ask;         /* what the tunnel is for */
    struct bbuf in, out;
    struct message response;
    struct fields trailers;
    struct task go_on;
};

struct upstream_pool {
    struct loop *loop;
    const struct tool *tool;
    struct limits limits;
    SSL_CTX *tls;
    struct place *place;
    unsigned place_count, turn;
    struct wire *all;
    unsigned wires, busy, idle, owned;
    struct upstream *waiting, **waiting_end;   /* for a name, or for a connection that many may share */
    bool closing, checks;
};

/* ---- upstream_pool.c ---- */
/* u goes: no longer counted, nothing more is called. Its wire is the caller's to keep or drop. */
void upstream_leave(struct upstream *u);
/* Before a byte of it was sent it failed at its place: elsewhere, or its user hears. */
void upstream_elsewhere(struct upstream *u, enum upstream_failure f, const char *reason);
/* A connection to this place could not be made: so says everybody who waits for one. */
void place_failed(struct place *at, enum upstream_failure f, const char *reason);
/* Something has changed: let those who wait look again. */
void pool_serve(struct upstream_pool *p);
void pool_free_if_done(struct upstream_pool *p);
void place_list(struct wire **list, struct wire *w);
void place_unlist(struct wire *w);

/* ---- upstream_wire.c ---- */
/* NULL: no socket or memory; *reason says which. */
struct wire *wire_open(struct place *at, struct upstream *use, const char **reason);
/* Close it, by reset unless friendly. Nobody is told. */
void wire_drop(struct wire *w, bool friendly);
/* What it waits for, from its state and buffers. */
void wire_want(struct wire *w);
void wire_opened(struct wire *w);    /* no longer in place->opening */
void wire_idle(struct wire *w);      /* into the pool */

/* ---- upstream_h1.c ---- */
void h1_begin(struct wire *w, struct upstream *u);                  /* a kept connection: it is u's now */
void h1_ready(struct wire *w);                                      /* a new one */
void h1_events(struct wire *w, int events);
void h1_tick(struct wire *w, int64_t now_ms);
MUST_CHECK enum status h1_send_head(struct upstream *u, const struct forward_request *f);
size_t h1_room(const struct upstream *u);
MUST_CHECK enum status h1_put(struct upstream *u, struct slice data);
void h1_flush(struct upstream *u);
MUST_CHECK enum status h1_sent(struct upstream *u);
void h1_resume(struct upstream *u);
void h1_leave(struct upstream *u, bool friendly);

/* ---- upstream_h2.c ---- */
bool h2_ready(struct wire *w);                                      /* a new connection; false: no memory */
bool h2_has_room(const struct wire *w, const struct upstream *u);
void h2_attach(struct wire *w, struct upstream *u);
void h2_events(struct wire *w, int events);
void h2_tick(struct wire *w, int64_t now_ms);
void h2_close(struct wire *w);                                      /* goes with its wire */
bool h2_in_use(const struct wire *w);                               /* by an exchange; streams that wait for their reset don't count */
void h2_retire(struct wire *w);                                     /* nothing new on it; it ends with its last stream */
MUST_CHECK enum status h2_send_head(struct upstream *u, const struct forward_request *f);
size_t h2_room(const struct upstream *u);
MUST_CHECK enum status h2_put(struct upstream *u, struct slice data);
void h2_flush(struct upstream *u);
MUST_CHECK enum status h2_sent(struct upstream *u);
void h2_resume(struct upstream *u);
void h2_leave(struct upstream *u, bool friendly);

/* ---- upstream_check.c ---- */
void check_tick(struct place *at, int64_t now_ms);
void check_stop(struct place *at);

#endif
