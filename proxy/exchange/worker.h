/* worker: one thread of the proxy, with everything it needs of its own: loop, listening sockets, connections, pools, grants, tape. Nothing on the path of a
 * request is shared with another thread but the immutable snapshot. */
#ifndef COUNTERSIGN_WORKER_H
#define COUNTERSIGN_WORKER_H

#include "certs/trust.h"
#include "config/config.h"
#include "proxy/exchange/access.h"
#include "proxy/exchange/access_log.h"
#include "proxy/exchange/door.h"
#include "proxy/exchange/live.h"
#include "proxy/exchange/metrics.h"
#include "proxy/exchange/refused.h"
#include "proxy/net/link.h"
#include "proxy/net/loop.h"
#include "proxy/net/upstream.h"
#include "proxy/record/tape.h"

#include <stdatomic.h>

/* What a reload replaces as a whole. Connections and exchanges keep theirs. */
struct snapshot {
    atomic_uint refs;
    struct config *config;
    struct trust *trust;              /* the CA and the revocation list as of now */
    SSL_CTX *tls;
    char (*policies)[65];             /* policy_hash of each tool, in the config's order */
    struct secret_names *secrets;     /* what is never recorded of each tool, likewise; in `memory` */
    struct dom_script *scripts;       /* the DOM recorder's, of each tool that has one, likewise; NULL: none has */
    struct arena memory;
    char *console_origin;             /* "https://console.example:8443" */
    char hsts[32];                    /* "max-age=31536000" */
};
/* now: the config that is in force, or NULL; one that only a restart can bring about is refused (BAD_CONFIG). */
MUST_CHECK enum status snapshot_load(const char *config_path, const struct config *now, struct snapshot **out, struct err *err);
/* The same config, with its certificates, authorities and revocation list read again. */
MUST_CHECK enum status snapshot_renew(const struct snapshot *old, struct snapshot **out, struct err *err);
struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot *s);

struct pool_entry {
    struct pool_entry *next;
    struct snapshot *snap;            /* keeps the tool alive */
    const struct tool *tool;
    struct upstream_pool *pool;
};

struct waiter {                       /* somebody who waits for room on the tape, for durability, or for a new line to authz */
    struct waiter *next, *prev;
    void (*wake)(struct waiter *w);
};

struct conn;
struct external_asks;
struct worker {
    struct loop loop;
    unsigned index;
    struct snapshot *snap;
    struct link *link;
    struct access *access;
    struct tape *tape;
    struct pool_entry *pools, **pool_of;   /* pool_of: those of `snap`, one for each tool; NULL: none yet */
    unsigned char cookie_key[32];     /* cookies.h */
    struct conn *conns;               /* all of them */
    unsigned conn_count;
    uint64_t conn_serial;             /* of the last one that came */
    uv_poll_t listeners[8], wake_poll;
    int listen_fds[8];
    size_t listener_count;
    uv_timer_t tick;
    uv_async_t command;               /* the main thread put something into `next` or `stopping` */
    _Atomic(struct snapshot *) next;  /* a new snapshot, its reference included */
    atomic_bool stopping, succeeded;  /* succeeded: another process accepts from the same sockets */
    int64_t expired_checked_s;
    bool crl_ran_out;                 /* the snapshot's revocation list is past its end, and all connections were asked again */
    bool accepting, draining;
    bool disagreed;                   /* authz says that another policy counts than that of `snap`, and it was logged */
    bool old_pools;                   /* some belong to an earlier snapshot, and go when they are idle */
    int64_t started_ms;
    int64_t drain_until_ms, stop_again_ms, lost_ms;  /* lost_ms: when authz was last heard, over all connections to it */
    struct hold_wait *holding;        /* who waits for a sign-off (hold_wait.h) */
    struct waiter waiters, mark;      /* mark: the end of one round of waking */
    struct metrics metrics;
    struct access_log access_log;
    struct refused refused;
    struct door door;
    struct external_asks *external;   /* tokens of other issuers (external.h); NULL: none came yet */
    struct sources *sources;          /* open connections by source address; shared by all workers, borrowed */
    struct live *live;                /* who is at which tool; likewise */
    struct shares *shares;            /* what each person holds; likewise */
    struct conn *young, *strangers;   /* whose handshake is under way, and behind whom nobody known stands, the oldest first (crowd.h) */
    unsigned stranger_count;
    int64_t crowd_said_ms;            /* from when on the log says again that somebody had to make room */
    uv_thread_t thread;
    void (*ended)(void *arg);
    void *ended_arg;
};

struct worker_options {
    unsigned index;
    struct snapshot *snap;            /* borrowed; the worker takes its own reference */
    const char *authz_socket;
    const int *listen_fds;
    size_t listen_count;
    void *ring;
    size_t ring_size;
    int wake_fd;
    unsigned char fingerprint_key[32];
    struct sources *sources;          /* borrowed until worker_join */
    struct live *live;                /* likewise */
    struct shares *shares;            /* likewise */
    void (*ended)(void *arg);         /* from the worker's thread, last of all: worker_join will not wait */
    void *arg;
};
MUST_CHECK enum status worker_start(const struct worker_options *o, struct worker **out, struct err *err);
/* From the main thread: use this snapshot from now on (takes the reference). */
void worker_reload(struct worker *w, struct snapshot *s);
/* From the main thread: stop accepting, let exchanges end until the drain deadline, then reset what is left. succeeded: another process has the listening
 * sockets too, and serves who waits there. */
void worker_drain(struct worker *w, bool succeeded);
/* For the main thread to read. */
struct metrics *worker_metrics(struct worker *w);
/* Wait for its end, free. */
void worker_join(struct worker *w);

/* For the exchanges of this worker. */
struct upstream_pool *worker_pool(struct worker *w, struct snapshot *s, const struct tool *tool);
/* Is authz fresh enough to begin something new? */
bool worker_fresh(const struct worker *w);
/* Is there no line to authz just now, as after its end and before its next start? (A silent one is another matter: then the answer is no.) */
bool worker_cut_off(const struct worker *w);
void worker_wait(struct worker *w, struct waiter *x);
void waiter_leave(struct waiter *x);
/* All who wait look again; from the loop, never from within an exchange. */
void worker_wake(struct worker *w);

#endif
