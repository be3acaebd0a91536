/* exchange: one request and its response, on its way through the stages of design.md section 6:
 *
 *   identify → route → authorize → [collect body] → [hold] → [spend] → forward → respond, or tunnel: a WebSocket
 *
 * Each stage is a file; each either hands on, waits, or replies with a refusal. The protocol driver ("front") owns the exchange, feeds it and writes what comes
 * out; upstream.h is the other side. Only authorize() and a sign-off that was used up lead to X_FORWARD: the table in exchange.c shows it. */
#ifndef COUNTERSIGN_EXCHANGE_H
#define COUNTERSIGN_EXCHANGE_H

#include "authz/policy.h"
#include "proxy/base/arena.h"
#include "proxy/base/bbuf.h"
#include "proxy/exchange/worker.h"
#include "proxy/http/message.h"
#include "proxy/http/readings.h"
#include "proxy/net/upstream.h"
#include "proxy/record/listing.h"
#include "proxy/record/tape.h"

struct conn;
struct exchange;
struct visit;
struct websocket;
struct page;
struct live_session;
struct dom_page;

enum exchange_state {
    X_HEAD,                           /* the request head is being received and judged */
    X_TAPE,                           /* waits for room on the tape to begin */
    X_COLLECT,                        /* the body is read in full before it is judged */
    X_ASK,                            /* authz was asked something */
    X_FORWARD,                        /* the request goes to the tool */
    X_RESPOND,                        /* the tool's response goes to the client */
    X_TUNNEL,                         /* a WebSocket is open (websocket.h) */
    X_REPLY,                          /* our own answer goes to the client */
    X_DONE,
    X_STATE_COUNT
};

/* How an exchange speaks to its client. None of these calls back into the exchange at once. */
struct front {
    /* The response head; 101 opens a WebSocket. fields: without framing. length: of the body, or -1: unknown. no_body: HEAD, 204, 304. */
    void (*head)(struct exchange *x, unsigned status, const struct fields *fields, int64_t length, bool no_body);
    void (*interim)(struct exchange *x, unsigned status, const struct fields *fields);
    size_t (*room)(const struct exchange *x);
    void (*body)(struct exchange *x, struct slice data);              /* at most room */
    void (*end)(struct exchange *x);                                  /* the response is whole */
    void (*cut)(struct exchange *x);                                  /* it never will be: make the client see that */
    bool (*idle)(const struct exchange *x);                           /* nothing that it was given waits to go out */
    void (*took)(struct exchange *x, size_t n);                       /* n bytes of request body left x->body */
};

enum { EXCHANGE_ARENA_MAX = 512 * 1024, REQUEST_BUFFER = 64 * 1024 };

struct exchange {
    struct exchange *next, *prev;     /* of the connection */
    struct conn *conn;
    struct worker *worker;
    struct snapshot *snap;            /* as the connection's was when it began */
    bool holds_snap;                  /* it has a reference of its own: the connection went on to another one (exchange_keep_snapshot) */
    const struct front *front;
    void *stream;                     /* the front's own */
    int32_t stream_id;                /* HTTP/2 */
    enum exchange_state state;
    int64_t started_ms;               /* wall clock */
    int64_t begun_ms, answered_ms;    /* monotonic: made; the response head went out (0: not yet) */
    struct arena arena;
    struct message request;

    /* request body: received into `body`, then recorded, then passed on */
    struct bbuf body;
    size_t untaped;                   /* how many of its last bytes are not on the tape yet */
    size_t uncredited;                /* how many of its last bytes the client got no window for yet */
    bool request_done, sent_continue;
    bool collected;                   /* all of it is in `body` */
    bool too_large;                   /* it is larger than what may be read to judge it */
    bool drains;                      /* it is for the recording only: nothing of it is kept here */
    bool shared;                      /* counted among what its person has under way */
    size_t kept;                      /* bytes of `body` counted among what is kept for its person */
    size_t collect_max;
    struct fields request_trailers;
    uint64_t request_bytes;

    /* the verdict */
    const struct tool *tool;          /* NULL: the console */
    struct verdict verdict;
    char grant_id[GRANT_ID_MAX + 1];
    struct access_kept grant;         /* exchange_grant */
    bool noticed;
    bool external;                    /* waits for authz's word about a token of another issuer (external.h) */
    unsigned external_tries;
    struct readings query, form;
    struct slice destination;         /* the second address of a COPY or MOVE (destination.h); len 0: none */
    struct slice reader;              /* another origin, named by the policy, whose page sent this and may read the answer (cross_origin.h) */
    bool reader_needs_action;

    /* the console */
    struct visit *visit;
    const struct page *page;

    /* authz */
    int64_t call;                     /* link_call under way, or 0 */
    json_t *wants;                    /* the lease asked for (spend.c) */
    unsigned leases;                  /* how often */
    bool metered, starved;            /* its bytes count towards a budget; none are left */
    struct hold_wait *wait;           /* it waits, or has waited, for its sign-off (hold_wait.h) */
    struct slice held_id;             /* a held request being released: its outcome is owed */
    bool outcome_owed;

    /* the tool's side */
    struct upstream *up;
    struct slice assertion;           /* what tells the tool who this is; the exchange's own, as the connection's may be replaced */
    bool fresh, head_written, request_sent;
    bool keeps_body;                  /* the whole body is in `body`, and stays there until the tool has begun its answer */
    size_t passed;                    /* so much of it the tool has got */
    unsigned resends;
    unsigned hints;                   /* 103s from the tool: over HTTP/2 those that are passed on wait in memory for a client that may not read */
    struct websocket *ws;             /* one was asked for, and may be */

    /* what goes to the client, from the tool or our own */
    struct message response;
    bool from_tool, head_pending, head_sent, end_pending, no_body;
    uint64_t response_bytes;
    struct fields response_fields, response_trailers;
    bool trailers_taped, trailers_counted;
    size_t trailers_len;
    struct slice reply;               /* what is left of our own answer, in reply_owned */
    void *reply_owned;
    int reply_fd;                     /* a file to send instead, or -1; in stretches, the first of which is under way */
    struct stretch_of_file *reply_parts;
    size_t reply_part_count;
    uint64_t reply_left;

    /* for those who look at what is live (live.h) */
    struct live_session *live;
    uint64_t live_received, live_sent;   /* counted there already */

    /* DOM recording (dom.h) */
    struct dom_page *dom;             /* the recorder's script goes into this answer */
    struct slice dom_note;            /* what the recording must say of that before more passes */
    bool dom_events;                  /* an upload of the recorder's, for the recording only */

    /* recording */
    struct tape_exchange tape;
    struct waiter waiter;             /* for room on the tape, for durability, for a line to authz, or for its word about a token (external.h) */
    void (*after_tape)(struct exchange *x);
    bool durable;
    enum record_mode record;          /* decided before the tape begins; RECORD_OFF: it never does, unless it is refused */
    struct slice names;               /* which customers and the like it touches (budget_names), for the recording */
    struct bbuf unsure;               /* durable: recorded, not yet fsynced, so not yet delivered */
    uint64_t durable_at;
    const char *refusal;              /* type of the problem that was the answer, or NULL */
    const char *why;                  /* a word for the log and the recording when it did not go well */
};

/* Made by a front. NULL: no memory. */
struct exchange *exchange_new(struct conn *c, const struct front *front, void *stream);
/* The request head is in x->request (raw_target set, not normalised). has_body: more will come. */
void exchange_start(struct exchange *x, bool has_body);
/* Body bytes; the front gives no more than exchange_body_room(). */
size_t exchange_body_room(const struct exchange *x);
void exchange_body(struct exchange *x, struct slice data);
void exchange_body_end(struct exchange *x, const struct fields *trailers);
/* front->room grew. */
void exchange_writable(struct exchange *x);
/* The connection is about to let go of its snapshot, which this exchange began with. Until then it stands on the connection's reference: counting one with every request would be
 * a word that all workers write. */
void exchange_keep_snapshot(struct exchange *x);
/* Ends everything that is under way for it (the client went, or the front is done) and frees it. */
void exchange_free(struct exchange *x);
/* A lock, an expiry or lost authz: may it go on? false: the connection must be reset. */
bool exchange_may_go_on(struct exchange *x, bool authz_stale);

/* ---- stages, in order ---- */
void stage_identify(struct exchange *x);
void stage_route(struct exchange *x);
void stage_authorize(struct exchange *x);
void stage_judge(struct exchange *x);           /* policy: once with the head, again with the body */
void stage_hold(struct exchange *x);
void stage_release(struct exchange *x, struct slice code);
void stage_spend(struct exchange *x);           /* the budget of the grant */
void stage_forward(struct exchange *x);
void stage_console(struct exchange *x);
void console_done(struct exchange *x);          /* when it is freed */

/* ---- shared by the stages (exchange.c) ---- */
void exchange_enter(struct exchange *x, enum exchange_state to);
/* Put the head on the tape, then go on with `next`; waits for room. */
void exchange_begin_tape(struct exchange *x, void (*next)(struct exchange *x));
/* What would not be recorded at all and is refused, is: heads and sizes. OK also when there is nothing to do; FULL: woken when there is room. */
MUST_CHECK enum status exchange_tape_refusal(struct exchange *x);
/* Read the whole body, at most max bytes; then `next`, with x->collected or x->too_large set. */
void exchange_collect(struct exchange *x, size_t max, void (*next)(struct exchange *x));
/* Read the whole body onto the tape, keeping none of it; then `next`. */
void exchange_drain(struct exchange *x, void (*next)(struct exchange *x));
/* Record what came in; what is on the tape may be passed on. Returns the bytes that may. */
size_t exchange_tape_body(struct exchange *x);
/* n bytes of x->body went on. */
void exchange_took(struct exchange *x, size_t n);
void exchange_wait(struct exchange *x);
/* Count what passed since the last time, for those who look. */
void exchange_count(struct exchange *x);
/* The grant of grant_id, or NULL when it has ended. Good until the loop's next event. */
const struct live_grant *exchange_grant(struct exchange *x);
/* {identity, x5t, not_after} for authz. */
json_t *exchange_who(const struct exchange *x);
/* Answer 502, 503 or 504, or cut the response off if it has begun. */
void exchange_broken(struct exchange *x, unsigned status, const char *type, const char *detail);

/* ---- forward.c ---- */
void forward_pump(struct exchange *x);          /* request body towards the tool */
/* Of a released held request, to authz; once. outcome NULL: not-sent while nothing was written to the tool, else unknown. */
void forward_outcome(struct exchange *x, const char *outcome);

/* ---- respond.c: what goes to the client is recorded first ---- */
/* x->response and x->response_fields are set: send them. */
void respond_head(struct exchange *x, bool from_tool);
size_t respond_room(struct exchange *x);
void respond_body(struct exchange *x, struct slice data);        /* at most respond_room */
/* A 103: recorded and counted, or left out. */
void respond_interim(struct exchange *x, const struct message *m, const struct fields *fields);
/* The second half of it: data is on the tape already. */
void respond_pass(struct exchange *x, struct slice data);
void respond_end(struct exchange *x);
void respond_cut(struct exchange *x, const char *why);
/* Go on after a wait: room at the client, on the tape, or durability. */
void respond_step(struct exchange *x);

/* ---- replies (reply.c) ---- */
struct problem {
    unsigned status;
    const char *type, *title, *detail, *next;   /* text; escaped when shown */
    const char *extra_name, *extra_value;       /* one more member, e.g. held_id */
    const char *link, *link_text;               /* for the page */
};
void reply_problem(struct exchange *x, const struct problem *p);
/* Who looks, and which links they have, for the head of a page. */
struct html;
void page_head(struct html *h, const struct exchange *x);
void reply_redirect(struct exchange *x, const char *location);
/* body is copied. content_type NULL: no body. more: further fields, or NULL. */
void reply_bytes(struct exchange *x, unsigned status, const char *content_type, struct slice body, const struct fields *more);
/* Send a file; takes fd. */
void reply_file(struct exchange *x, const char *content_type, int fd, uint64_t len);
/* Only these stretches of it, one behind the other; they live in the arena. */
void reply_file_parts(struct exchange *x, const char *content_type, int fd, struct stretch_of_file *parts, size_t count);
bool prefers_html(const struct exchange *x);
void reply_pump(struct exchange *x);

#endif
