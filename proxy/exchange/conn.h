/* conn: one client connection: TLS, who it is, and one of two protocol drivers (front_h1, front_h2). */
#ifndef COUNTERSIGN_CONN_H
#define COUNTERSIGN_CONN_H

#include "proxy/base/bbuf.h"
#include "proxy/exchange/exchange.h"
#include "proxy/exchange/worker.h"
#include "proxy/http/h1.h"
#include "proxy/net/stream.h"

enum { CONN_IN_MAX = 64 * 1024, CONN_OUT_MAX = 64 * 1024, ADDRESS_MAX = 46 };

enum conn_state {
    CONN_PREFACE,                     /* a load balancer says who it is (PROXY protocol) */
    CONN_HANDSHAKE,
    CONN_OPEN,
    CONN_FLUSH,                       /* write what is queued */
    CONN_LINGER,                      /* our side is shut: read and throw away for a moment, so that the client gets to read our last words */
    CONN_GONE,
};

/* What a protocol driver does for its connection. */
struct protocol {
    bool (*start)(struct conn *c);                  /* false: no memory */
    void (*input)(struct conn *c);                  /* bytes came into c->in */
    void (*output)(struct conn *c);                 /* c->out has room: put more */
    void (*stop)(struct conn *c);                   /* draining: take nothing new, end when idle; asked again every second */
    void (*free)(struct conn *c);                   /* and the exchanges under way */
    bool (*idle)(const struct conn *c);             /* nothing under way */
    void (*tick)(struct conn *c);                   /* every 100 ms; NULL: not needed */
};
extern const struct protocol protocol_h1, protocol_h2;

struct conn {
    struct conn *next, *prev;
    struct conn *young_next, *young_prev;   /* of worker->young */
    struct conn *stranger_next, *stranger_prev;   /* of worker->strangers */
    struct worker *worker;
    struct snapshot *snap;
    uint64_t serial;                  /* from 1; no two of a worker have the same */
    struct stream stream;
    const struct protocol *protocol;
    void *driver;                     /* the protocol's own */
    enum conn_state state;
    struct bbuf in, out;
    struct task flush;
    struct exchange *exchanges;       /* under way */
    int64_t deadline_ms;
    int64_t used_ms;                  /* when its last request came */
    char address[ADDRESS_MAX];
    struct source *source;            /* where it is counted; NULL: nowhere yet, or no more */
    int64_t came_ms;
    char *sni;                        /* NULL: none was sent */
    enum cert_state cert;
    struct identity identity;
    const struct person *person;      /* in snap; NULL: nobody is listed for the identity */
    const struct tool *tool;          /* in snap: where its last request went, or NULL */
    struct access_kept grant;         /* that its last request was under */
    struct share *share;              /* of the person; NULL: not known yet, or they have connections enough */
    struct h1_seen seen;              /* HTTP/1.1: the last request's head, while it is in use */
    char *cert_field;                 /* ":base64 of the DER:" (RFC 9440), while it is in use: conn_cert_field */
    char served_grant[GRANT_ID_MAX + 1];   /* under which a tool's bytes last went out; they may still lie in `out` or in the kernel */
    char served_tool[TOOL_NAME_MAX + 1];
    int unacked;                      /* CONN_LINGER: bytes the client had not taken when last looked */
    bool want_read;
    unsigned char served;             /* requests so far: none, one, or 2 for more */
    bool blocked;                     /* the socket takes no more for now */
    bool broken;                      /* writing failed: the next flush closes */
    bool passed;                      /* conn_put wrote: who waits for room is told with the next flush */
    bool ticket_due;                  /* the next write takes a session ticket along */
    bool settled;                     /* stream_settle was called */
    bool young, stranger;             /* its handshake is not done, nobody known stands behind it: on the worker's list of those, and counted so */
    bool crowded;                     /* its person has connections enough: it ends with this answer */
    bool cut;                         /* close by reset once `out` is written */
    bool told_at_door;                /* an audit event says that it was refused */
};

/* A new connection on an accepted socket (taken). proxied: a PROXY protocol header comes first, and says whose connection it is. */
void conn_open(struct worker *w, int fd, const struct sockaddr_storage *peer, bool proxied);
/* Put bytes that go to the client behind what is in c->out, at most its room. What makes whole TLS records is written at once, as far as the socket takes it, so that a large
 * body isn't copied once more. Like all that a front does it never calls back, and never closes: an error shows in the next flush. FULL, or NO_MEMORY. */
MUST_CHECK enum status conn_put(struct conn *c, struct slice data);
/* Write what is in c->out soon, at the end of this turn. */
void conn_flush_soon(struct conn *c);
/* Write what the driver has and the socket takes, now: for the last words before a reset. */
void conn_flush_now(struct conn *c);
/* Close once c->out is written. */
void conn_finish(struct conn *c);
/* Close now. friendly: with close_notify; else by reset. Ends its exchanges. The memory goes later. */
void conn_close(struct conn *c, bool friendly);
/* Its certificate as a Client-Cert field (RFC 9440), made at need; "" when there is no memory. Borrowed until the connection rests. */
const char *conn_cert_field(struct conn *c);
/* Nothing has happened for some time: give back what the next request makes anew. */
void conn_rest(struct conn *c);
/* Read more, or not (backpressure). */
void conn_read(struct conn *c, bool on);
void conn_deadline(struct conn *c, int64_t in_ms);
/* Is something that was sent not yet with the client? */
bool conn_owes(const struct conn *c);
/* CONN_LINGER, its time is up: does the client still take in what the kernel holds for it? Then it gets more time. */
bool conn_lingers_on(struct conn *c);
/* Its share of what its person may hold: entered with the first chance. NULL: they have connections enough. */
struct share *conn_share(struct conn *c);
/* Ask again whether its certificate is good (after a new revocation list), and who stands behind it. false: it was closed. */
bool conn_recheck(struct conn *c, struct snapshot *s);

#endif
