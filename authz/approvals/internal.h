/* internal: what the files of this folder share. */
#ifndef COUNTERSIGN_APPROVALS_INTERNAL_H
#define COUNTERSIGN_APPROVALS_INTERNAL_H

#include "authz/approvals/service.h"
#include "authz/approvals/teller.h"
#include "authz/approvals/tiles.h"
#include "authz/approvals/validate.h"

#include "authz/actions.h"
#include "authz/alone.h"
#include "authz/blob.h"
#include "authz/external.h"
#include "authz/policy.h"
#include "authz/yes.h"
#include "proxy/base/clock.h"
#include "proxy/base/codec.h"
#include "proxy/base/log.h"
#include "proxy/base/msg.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ID_LEN = 26,                      /* "req_" and 22 characters */
    APPROVERS_MAX = 32,
    CODES_MAX = 256,
    OWNERS_MAX = 16384,
    CODE_MS = 60 * 1000,
    PAGE_BYTES = 48 * 1024,           /* of one answer: a message holds 64 KiB, the rest is its frame */
    ASSERTION_S = 300,
    SIGNOFF_TOKEN_S = 300,
    DELEGATIONS_MAX = 20,             /* of one delegator */
    CERTIFICATE_MAX = 8192,           /* DER */
};

struct release_code {
    char code[44];                    /* "": free */
    char item[ID_LEN + 1], x5t[44];
    int64_t until_ms;
};

/* A confirmed key, of somebody's authenticator or (method "command-line") a certificate's that came later; from verified leaves. */
struct web_key {
    struct approval_key base;
    char item[ID_LEN + 1];
    char method[16], credential[B64URL_LEN(WEBAUTHN_ID_MAX) + 1];
    char *rp_id, *origin;             /* of the page it was registered on: it signs there and nowhere else */
    int64_t from_s;                   /* it counts from here on */
};

/* What the leaves of a session's segments come to, as far as they were added (reconcile_sessions.c). */
struct session_sums {
    char session[ID_LEN + 1];         /* "": none yet */
    bool open;                        /* for sessions_step: there is more of it */
    int64_t at, first_seq;            /* leaves of the last segment added, and of the first */
    int64_t started_ms, last_ms, exchanges, bytes, segments;
    json_t *touched;                  /* {hash: [first_ms, last_ms, segments]} */
};

struct reconcile_side;

struct service {
    struct config *config;
    struct reconcile_side *beside;    /* at the start only */
    struct approval_keys keys;        /* of certificates, from the file */
    struct web_key *web_keys;
    size_t web_key_count;
    bool web_keys_stale;
    char *console_origin;             /* of config */
    struct jwt_signer *signer;
    struct jwt_keys *public_keys;
    json_t *jwks;
    struct external *external;        /* the keys of other issuers */
    struct issuer_sets *issuer_sets;  /* those of them that stand at a URL (issuer_keys.c); NULL: not yet looked */
    int issuer_lane;                  /* to the courier; -1: none */
    struct trust *trust;              /* authorities and revocation list, read when they are needed (ops_carry.c); NULL: not yet */
    unsigned char trust_stamp[32];    /* of the files that it was read from */
    struct store *store;
    struct log *log;
    struct tiles *tiles;
    int64_t published_ms;             /* when the log was last published, or tried to be */
    struct seal_key seal_key;
    char *held_folder, *memory_path;
    uint64_t patrolled;               /* leaves up to here were read by this process */
    struct session_sums sums;         /* where the patrol is among sessions */
    bool sessions_patrolled;
    uint64_t written;                 /* the memory on the disk stands for leaves up to here */
    int lock_fd;
    json_t *locks;                    /* live ones: [{id, kind, value, reason, by, at}], from verified leaves */
    bool locks_stale;
    json_t *reviews;                  /* that are owed: content of their break-glass.used leaves, verified */
    bool reviews_stale;
    json_t *delegations;              /* live ones: content of their delegate.named leaves, verified */
    bool delegations_stale;
    json_t *auto_used;                /* {"person\ntool\nrule": [when, in ms]} since the start */
    unsigned recorders;               /* connected */
    struct watch *watched;            /* refusals of late, by person */
    struct to_lock {                  /* whom a rule stops now; value "" */
        char value[256], rule[16];
        bool identity;                /* one of her identities, not the person */
    } to_lock;
    json_t *owners;                   /* {x5t: person} of certificates that asked something since the start; what they did before stands in the log (certificate_owner) */
    json_t *running;                  /* {item: peer id}: used, outcome not yet known */
    struct release_code codes[CODES_MAX];
    struct config *wanted;            /* what the config file says, while that waits for operators' yes; NULL: nothing waits */
    char in_force[65];                /* digest of the policy that counts, as the workers were told; "": whatever the file says */
    bool switch_due;                  /* two operators said yes: once that is committed, take it */
    json_t *events, *outbox;          /* of the open transaction; committed, not yet taken */
    json_t *erase;                    /* held files to erase after the commit */
    uint64_t courier;                 /* the peer that sends notices; 0: none */
    json_t *notices_out;              /* {receiver: notice}: taken by it, not yet done */
    json_t *notices_of;               /* {person: {since, count}}: events caused of late */
    int64_t escalated_ms;             /* when escalate() last looked */
    struct teller *teller;            /* audit events */
    uint64_t leaves_before;           /* of the log, when this start began */
    json_t *revoked;                  /* {serial: true} of the revocation list when it was last read, for audit events; NULL: not yet */
    int64_t revoked_looked_ms, revoked_mark;
    json_t *holds;                    /* live legal holds: [{id, kind, value, reason, by, at}], from verified leaves */
    struct retention_state {
        bool suspended;               /* the clock leapt, and nobody has confirmed the time */
        bool reread, holds_stale;     /* after the commit: look again */
        int64_t last_leaf_ms;         /* of the log, before this start wrote any; 0: there was none */
        int64_t offset_ms;            /* wall clock less monotonic clock, when it was last known to be right */
        int64_t next_ms, at_ms;       /* the pass over all sessions: when the next one is; last_ms and session that it stands at */
        char at[65];
        int64_t local_next_ms, local_at_ms;   /* the same of the pass that deletes what is copied (local.c) */
        char local_at[65];
        struct {                      /* and of the pass that erases the history of decisions (history.h): of requests, and then of locks */
            int64_t next_ms, at_ms;
            char at[ID_LEN + 1], lock_at[ID_LEN + 1];
            bool locks;               /* which of both it is at */
            struct story *story;      /* what is being read, or erased a piece at a time; NULL: nothing */
            json_t *block;            /* the leaves proved last (log_block()), and the first of them: stories of one time stand together */
            uint64_t block_from;
            int64_t scrub_ms;         /* when to clear the write-ahead log of what was erased; 0: nothing is in it */
        } history;
    } retention;
};

/* ---- signing.c: the gateway's own keys for tokens ---- */
struct signing {
    struct jwt_signer *signer;        /* of keys/grant.pem */
    json_t *jwks;                     /* with its public half, and those of keys/grant-next.pem and keys/grant-old.pem if they are there */
    struct jwt_keys *public_keys;
};
MUST_CHECK enum status signing_load(const struct config *c, struct signing *out, struct err *err);
void signing_done(struct signing *g);
/* Exchange them with the service's. */
void signing_swap(struct service *s, struct signing *g);
/* Which locks stop an op: that on everything and one's own; only one's own; none. */
enum stopped_by { BY_ANY_LOCK, BY_OWN_LOCK, BY_NO_LOCK };

/* Who asks, as far as it matters to a decision. */
struct caller {
    const struct person *person;
    const char *identity, *x5t;
    int64_t not_after_s;
};

/* One message on its way to an answer. */
struct op {
    struct service *s;
    struct peer *peer;
    const json_t *m;
    const int *fds;
    int64_t now_ms;
    struct caller who;
    json_t *answer;                   /* an object; what an op adds stands beside n and ok */
    json_t *after;
    int answer_fd;
    char used_item[ID_LEN + 1];       /* set when this op uses up a sign-off: then this peer runs it */
    enum status (*run)(struct op *o); /* from the table in dispatch.c */
    bool only_shows;                  /* nothing is decided: leaves proved before will do */
    unsigned stopped_by;              /* enum stopped_by: which locks stop it */
    enum problem_type problem;
    struct err err;                   /* detail of the problem for the person, or text for our log */
};

#define EVERYTHING "*"                /* the value of a lock of that kind */

static inline const char *str(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}
static inline int64_t num(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}
static inline int64_t now_s(const struct op *o) { return o->now_ms / 1000; }

/* ---- service.c ---- */

/* Say no: the problem, and one sentence about this case. Returns REFUSED. */
enum status refuse_op(struct op *o, enum problem_type t, const char *detail, ...) __attribute__((format(printf, 3, 4)));
/* Write down what the log says, for a quick start (memory.h). */
void service_remember(struct service *s);
/* Append a leaf in the open transaction; takes content. */
MUST_CHECK enum status write_leaf(struct op *o, const char *type, json_t *content, uint64_t *seq_out);
/* Whose certificate this is, as far as it did anything: malloc'd; NULL: nobody knows. */
MUST_CHECK enum status certificate_owner(struct op *o, const char *x5t, char **out);
/* An event for all workers once committed; takes it. */
void queue_event(struct op *o, json_t *e);
void queue_item_event(struct op *o, const char *id, const char *state);
/* A transaction of our own, for what no message asked for. */
MUST_CHECK enum status own_begin(struct service *s, struct op *o, struct err *err);
MUST_CHECK enum status own_end(struct op *o, enum status st, struct err *err);
/* Run it in a transaction, committed if it answers OK. *broken: what is on the disk is not known any more. */
MUST_CHECK enum status in_transaction(struct op *o, enum status (*run)(struct op *), bool *broken);
/* The approval keys of this config; a file that is not there means that nobody can approve. */
MUST_CHECK enum status keys_load(const struct config *c, struct approval_keys *out, struct err *err);
/* What a lock can be on; each may be NULL. */
struct lock_subject {
    const char *person, *identity, *x5t, *tool, *grant_id;
};
/* The live lock that covers any of these, or everything; NULL: none. */
const json_t *lock_on(const struct service *s, const struct lock_subject *on);
/* The same without a lock on everything: who lifts that one must be able to. */
const json_t *lock_on_hand(const struct service *s, const struct lock_subject *on);
MUST_CHECK enum status refuse_if_locked(struct op *o, const char *tool, const char *grant_id);
const struct person *person_named(const struct config *c, const char *name);
bool is_auditor(const struct op *o);
bool is_operator(const struct op *o);
void new_id(const char *prefix, char out[ID_LEN + 1]);

/* ---- item.c: a request for access or a held request, proved against the log ---- */
struct item {
    enum ledger_kind kind;            /* LEDGER_REQUEST or LEDGER_HELD */
    char id[ID_LEN + 1];
    const char *state;                /* as the log says */
    json_t *row;                      /* as the database says; compared with facts */
    json_t *facts;                    /* content of the leaf that made it */
    const struct tool *tool;          /* NULL: gone from the config */
    const struct action *action;      /* of a held request; NULL likewise */
    const struct person *requester;   /* NULL likewise */
    struct need needs[NEEDS_AT_MAX];  /* who has to say yes: those asked for at the time it was made */
    size_t need_count;
};
/* NOT_FOUND, CORRUPT. item_done() when OK. */
MUST_CHECK enum status item_load(struct op *o, const char *id, struct item *out);
void item_done(struct item *it);
/* The same, but a missing one is refused as ITEM_NOT_FOUND. */
MUST_CHECK enum status item_wanted(struct op *o, const char *id, struct item *out);
bool item_is(const struct item *it, const char *state);
/* The row of an item, whatever its kind, within this transaction. */
MUST_CHECK enum status item_row(struct op *o, const char *id, json_t **out);
const char *item_purpose(const struct item *it);   /* of statements about it */
/* Could the caller decide it, in her own right or as somebody's delegate? Only in her own? May she see it? */
bool item_may_decide_self(const struct op *o, const struct item *it);
bool item_may_decide(const struct op *o, const struct item *it);
bool item_may_see(const struct op *o, const struct item *it);
/* What is asked, as a statement's scope; duration_s and actions: what an approver makes of a request for access (0 and NULL: as asked). */
json_t *item_scope(const struct item *it, int64_t duration_s, const char *actions);
/* Is this scope, of a yes to an access request, no wider than what was asked? */
bool scope_within(const struct item *it, const json_t *scope);
/* The actions asked for: "*" or names (actions.h). */
const char *item_actions(const struct item *it);
/* Move the row from one of the open states; `why` for cancelled ones. Writes leaf (item.expired or item.cancelled), event, erasure. */
MUST_CHECK enum status item_end(struct op *o, const char *id, const char *session, const char *state, const char *why);
MUST_CHECK enum status item_set_state(struct op *o, const char *id, const char *from, const char *to);
/* Does every member of facts stand in the row with the same value? */
bool row_agrees(const json_t *row, const json_t *facts);

const char *item_tool(const struct item *it);   /* its tool's name, or NULL: it has none, or none any more */

/* Approvals of an item that count now, each proved: leaf, statement, signature, key, groups, locks. */
struct approvals {
    const struct person *persons[APPROVERS_MAX];   /* whose place each yes fills: the approver's own, or that of who named her a delegate */
    const char *methods[APPROVERS_MAX];   /* how each signed */
    size_t count;
    json_t *approved_by;              /* [{person, statement, key, method}] */
    const json_t *external;           /* instead of them: an issuer's token (grant.h); borrowed */
    int64_t duration_s;               /* of a request for access: the least that any of them said yes to */
    char actions[ACTIONS_TEXT_MAX];   /* and what all of them did; "": nothing is left */
};
/* One of them as approved_by names it. */
json_t *approval_entry(const struct statement *s);
/* One more yes, with this scope. */
void approvals_narrow(struct approvals *a, const json_t *scope);
MUST_CHECK enum status approvals_gather(struct op *o, const struct item *it, struct approvals *out);
bool approvals_enough(const struct item *it, const struct approvals *a);
/* The registered key of this name if it is this person's and not past its end; else NULL. */
const struct approval_key *approval_key_of(const struct op *o, const char *person, const char *fingerprint);

/* ---- ops_decide.c: what orders share with decisions ---- */
enum { NONCE_LEN = 22 };
void statement_id(const char *nonce, const char *item, const char *decision, char out[ID_LEN + 1]);
/* Keep a statement for the caller until it is signed; use it up. */
MUST_CHECK enum status statement_keep(struct op *o, const char *item, const char *nonce, const char *id, const json_t *object);
MUST_CHECK enum status statement_consume(struct op *o, const char *id);
/* Is what the caller sent a signature over this statement by her own registered key? *yes_out: what the log keeps of it; the caller's. */
MUST_CHECK enum status check_signature(struct op *o, const json_t *object, const struct statement *s, json_t **yes_out);

/* Which of her authenticators the browser has to ask for this key; nothing for a certificate's. */
void answer_authenticator(struct op *o, const char *key);

/* ---- ops_order.c: what one person settles alone, by signing it ---- */
/* Answer with a statement for the caller. item: the id that a decision is found by. concerns: a person or a thing. Takes scope. */
MUST_CHECK enum status order_statement(struct op *o, const char *item, const char *purpose, const char *concerns, json_t *scope);
/* Is the stored statement one of these, unaltered, and signed by the caller now? Then it is used up. *s borrows from object. */
MUST_CHECK enum status order_signed(struct op *o, const json_t *row, const json_t *object, const char *purpose, struct statement *s, json_t **yes_out);
/* ops_lock.c: a lock lifted by a signed order. */
MUST_CHECK enum status lock_make(struct op *o, const char *kind, const char *value, const char *reason, const char *by);
/* ---- watch.c: locks by rule ---- */
/* Note a refusal of a person's; watch_lock() locks whom a rule then stops, in a transaction of its own. IO_FAILED: end the process. */
void watch_exhausted(struct service *s, const struct caller *who, int64_t now_ms);
MUST_CHECK enum status watch_lock(struct service *s, struct err *err);
void watch_free(struct service *s);
MUST_CHECK enum status unlock_signed(struct op *o, const json_t *row, const json_t *object);
/* ---- new_key.c: keys of people's authenticators ---- */
/* Read the confirmed ones from the log. */
MUST_CHECK enum status web_keys_load(struct service *s, struct err *err);
void web_keys_done(struct service *s);
const struct web_key *web_key_find(const struct service *s, const char *fingerprint);
/* "command-line", "passkey" or "hardware": how this registered key signs. */
const char *key_method(const struct service *s, const char *fingerprint);
/* May the caller confirm this new key? */
bool new_key_may_decide(const struct op *o, const struct item *it);
/* The console now, as authenticators name it. */
struct webauthn_party console_party(const struct service *s);
/* The page that this key signs on; of no use for a certificate's. */
struct webauthn_party key_party(const struct service *s, const char *fingerprint);
/* Withdraw it, whatever its state; by: a person, or "config" when it left the file. */
MUST_CHECK enum status new_key_end(struct op *o, const char *id, const char *by, const char *why);
/* The row and leaf of a new key; facts are taken. *row_out, if wanted, is the caller's. */
MUST_CHECK enum status new_key_insert(struct op *o, json_t *facts, json_t **row_out);
/* A certificate's key that came after the first ones: it waits like any new key. */
MUST_CHECK enum status new_key_of_file(struct op *o, const struct approval_key *k);
/* Those of certificates that no longer stand in the file are withdrawn. */
MUST_CHECK enum status new_keys_not_in_file(struct op *o);

/* ---- grants.c ---- */
/* A live grant, proved: the ledger, the token's signature, its dates. NOT_FOUND or EXPIRED when there is none; grant_done(). */
MUST_CHECK enum status grant_load(struct op *o, const char *grant_id, struct grant *out);
/* The caller's own for this tool, by the same certificate; else refused as GRANT_REQUIRED. */
MUST_CHECK enum status grant_wanted(struct op *o, const char *grant_id, const char *tool, struct grant *out);
/* What a request for access was, or is to be, granted by. */
const char *request_basis(const json_t *facts);
MUST_CHECK enum status grant_issue_for(struct op *o, const struct item *it, const struct approvals *a);
/* The first use of one that waited for it: its time begins now, with a new token. *g says so afterwards. */
MUST_CHECK enum status grant_start(struct op *o, struct grant *g);
/* End a live one with the held requests under it. */
MUST_CHECK enum status grant_end(struct op *o, const char *grant_id, const char *why);
/* What waits under it: held requests, requests to extend it. */
MUST_CHECK enum status grant_end_waiting(struct op *o, const char *grant_id, const char *why);
json_t *grant_event(const json_t *row);

/* ---- grant_alone.c: grants without a second person ---- */
/* What a person asks for, as far as it was read. */
struct ask {
    char actions[ACTIONS_TEXT_MAX];
    char extends[ID_LEN + 1];         /* a live grant of the caller's for this tool, or "" */
    const char *basis;
    const struct auto_rule *rule;     /* for BASIS_AUTO */
    int64_t start_within_s;           /* its time begins with the first use, within this; 0: at once */
};
/* May the caller break the glass of this tool now, for so long? */
MUST_CHECK enum status break_glass_check(struct op *o, const struct tool *tool, int64_t duration_s);
/* Does a rule grant this? Then a->basis and a->rule say so. */
MUST_CHECK enum status auto_look(struct op *o, const struct tool *tool, struct ask *a);
/* The request of this row, made a moment ago in this transaction, is granted by its basis: leaf, grant, and the review that is owed. */
MUST_CHECK enum status grant_alone(struct op *o, const struct tool *tool, const struct ask *a, const json_t *row);
/* ---- ops_review.c ---- */
MUST_CHECK enum status reviews_load(struct service *s, struct err *err);
/* Those that became overdue: each once, as a leaf (review.overdue). */
MUST_CHECK enum status reviews_remind(struct op *o);
/* Is this person's review of a use overdue? */
bool review_overdue(const struct service *s, const char *person, int64_t now_ms);
/* How many uses by this person wait for theirs? */
unsigned reviews_owed(const struct service *s, const char *person);
MUST_CHECK enum status review_signed(struct op *o, const json_t *row, const json_t *object);
enum { REVIEWS_BYTES = 12 * 1024 };   /* of a page: the rest is for what stands beside them */
/* Open uses that concern the caller, or were hers, oldest first: each as an item of kind "review". NULL: no memory. */
json_t *reviews_view(struct op *o);
/* The review of a session's use, done or not; NULL: none is owed. */
json_t *review_of_session(struct op *o, const char *session);
MUST_CHECK enum status review_get(struct op *o, const char *id);

/* ---- delegation.c: who answers in somebody else's place ---- */
MUST_CHECK enum status delegations_load(struct service *s, struct err *err);
/* The delegation by which the caller could answer this item now, of this delegator (NULL: of whichever comes first); NULL: none. */
const json_t *delegation_for(const struct op *o, const struct item *it, const char *delegator);
/* Of a yes in the log: the person whose place it fills, or NULL if it no longer counts. */
MUST_CHECK enum status delegation_counted(struct op *o, const struct item *it, const char *id, const struct statement *s, const struct person **out);
/* End those that no longer hold; those of one delegator. new_config: people may have left, too. */
MUST_CHECK enum status delegations_sweep(struct op *o, bool new_config);
MUST_CHECK enum status delegations_end_of(struct op *o, const char *delegator, const char *why);
MUST_CHECK enum status delegate_signed(struct op *o, const json_t *row, const json_t *object);

/* ---- ops_budget.c ---- */
/* Lease what `wants` lists from a live grant's budget: all of it or nothing (BUDGET_EXHAUSTED). answer: an array that gets the amounts. */
MUST_CHECK enum status budget_lease(struct op *o, const struct grant *g, const json_t *wants, json_t *answer);
/* [{name, max, left}] of a grant's row, to be shown. */
json_t *budget_view(struct op *o, const json_t *row);
/* The same of the live grant that an item belongs to; of a request for a new one, what it would begin with. NULL: nothing to show. */
json_t *budget_of_item(struct op *o, const json_t *row);

/* ---- release.c ---- */
/* Use up an approved sign-off: checks everything again, commits "used" with this op, answers with the bytes. */
MUST_CHECK enum status release_run(struct op *o, const struct item *it);
/* Outcome of one that was used. */
MUST_CHECK enum status outcome_write(struct op *o, const char *id, const char *outcome, int64_t status);

/* ---- body.c: descriptors ---- */
/* All bytes of a memfd that its sender sealed. BAD_INPUT. */
MUST_CHECK enum status sealed_read(int fd, size_t max_bytes, unsigned char **out, size_t *len_out, struct err *err);
/* A sealed memfd with these bytes. */
MUST_CHECK enum status sealed_make(struct slice bytes, int *fd_out, struct err *err);
size_t blob_max(const struct config *c);

/* ---- view.c: rows as people and the proxy see them ---- */
/* NULL when memory is short. */
json_t *view_item(struct op *o, const json_t *row);
json_t *view_session(struct op *o, const json_t *row);
/* Append an item to a list unless the page is full; false: it was full. Takes it. */
bool page_add(json_t *list, size_t *bytes, json_t *item);
/* A row of the log as a reader gets it; its content, with the salt that proves it, only when asked. */
json_t *leaf_view(const json_t *row, bool with_content);
/* Is this row of the log about the session? */
bool leaf_is_about(const json_t *row, const char *session);

/* ---- upkeep.c ---- */
/* Cancel and end what the config no longer allows, log new and removed keys. In an own transaction. */
MUST_CHECK enum status upkeep_config(struct op *o);
/* auditors.c: log whom recordings are sealed to from now on. */
MUST_CHECK enum status upkeep_auditors(struct op *o);
/* Bring the log's files up to the log. */
void upkeep_publish(struct service *s);
MUST_CHECK enum status upkeep_outcomes(struct op *o, const struct peer *gone);
MUST_CHECK enum status locks_load(struct service *s, struct err *err);

/* The signing keys changed: log it, tell the workers. BAD_CONFIG: a live grant was signed with one that is gone. In an own transaction. */
MUST_CHECK enum status signing_changed(struct op *o);
/* At a start: were they exchanged while nobody looked? */
MUST_CHECK enum status signing_start(struct op *o);

/* ---- in_force.c: which policy counts ---- */
/* The config to run with, given what the file says: that, or the one the log names, while a wider one waits. accept: at the machine, by itself (`countersign
 * policy accept`). Logs what it decides. *use is the caller's. BAD_CONFIG: the policy in force can't be read. */
MUST_CHECK enum status in_force_choose(struct service *s, struct config *file, bool accept, struct config **use, struct err *err);
/* After a config was taken: tell where to find it, and the workers. */
void in_force_follow(struct service *s);
/* Take what was agreed on in the transaction before. Not OK: end the process. */
MUST_CHECK enum status in_force_switch(struct service *s, struct err *err);
bool in_force_may_decide(const struct op *o);
/* Does the change that this item is about still stand, to the letter? POLICY_CHANGED. */
MUST_CHECK enum status in_force_check(struct op *o, const struct item *it);
/* Two different operators, by the policy in force. */
bool in_force_enough(const struct op *o, const struct approvals *a);
MUST_CHECK enum status in_force_approved(struct op *o, const struct item *it);
/* service.c: run with this config from now on; on failure the old one stays. */
MUST_CHECK enum status service_take(struct service *s, struct config *c, struct err *err);

/* ---- reconcile.c ---- */
/* Before the log is read in full: compare what needs the leaves but not the ledger (decisions, segments, sessions) in a thread of its own, on a second connection, meanwhile. Its answer counts
 * in reconcile(), once the log was proved; nothing is served before. NULL: reconcile() does it all, later. */
struct reconcile_side *reconcile_beside(const char *db_path);
/* Before the store is closed; NULL is fine. */
void reconcile_beside_stop(struct reconcile_side *side);
/* Compare the rows with the verified log. CORRUPT names the first that differs. */
MUST_CHECK enum status reconcile(struct service *s, struct err *err);
/* Only rows that these leaves made. */
MUST_CHECK enum status reconcile_range(struct service *s, uint64_t from, uint64_t to, struct err *err);

/* ---- reconcile_sessions.c: rows of segments, sessions and what they touched. CORRUPT names the first that differs. ---- */
/* Why a session's person asked, as its row says: the first request. */
#define SESSION_REASON "SELECT reason FROM request WHERE session = $1 ORDER BY seq LIMIT 1"
enum { SEGMENT_FACTS = 7 };
extern const char *const segment_facts[SEGMENT_FACTS];   /* what a segment's row and leaf have in common */
MUST_CHECK enum status check_segment(const json_t *row, const json_t *content, struct err *err);
/* Has each leaf of a segment among these its row, and that a session? */
MUST_CHECK enum status segments_there(struct service *s, int64_t from, int64_t to, struct err *err);
/* Each session that got a segment from that leaf on; 0: all of them, and nothing else stands in the tables. */
MUST_CHECK enum status reconcile_sessions(struct service *s, uint64_t from, struct err *err);
/* A little of the next session after the one that c names. */
MUST_CHECK enum status sessions_step(struct service *s, struct session_sums *c, bool *done, struct err *err);
void session_sums_done(struct session_sums *c);

/* ---- session_glance.c: each session that is not plainly what its leaves come to is given to look(), with its row. The rows of segments and requests, and the leaves, were compared
 * with one another by whoever calls this. ---- */
typedef store_each_fn session_look_fn;
MUST_CHECK enum status sessions_glance(struct service *s, session_look_fn *look, void *arg, struct err *err);

/* ---- patrol.c: read the past again, a little at a time. CORRUPT: it was altered; end the process. ---- */
MUST_CHECK enum status patrol_step(struct service *s, struct err *err);
/* Whoever finds that: CORRUPT, said so, and the next start reads everything. */
enum status past_altered(struct service *s, struct err *err);

/* ---- revoked.c: tell which certificates the revocation list names that it did not name before ---- */
void revoked_look(struct service *s);

/* ---- retention.c: what is deleted when (retention.h) ---- */
MUST_CHECK enum status upkeep_retention(struct op *o);    /* log what the config says, in an own transaction */
MUST_CHECK enum status retention_look_back(struct service *s, struct err *err);   /* when the log ends, before the first leaf of a start */
MUST_CHECK enum status retention_start(struct op *o);
MUST_CHECK enum status retention_tick(struct service *s, struct err *err);
MUST_CHECK enum status holds_load(struct service *s, struct err *err);

/* ---- history.c ---- */
void history_done(struct service *s);
/* Was this erased (history-erased), or never there (as `otherwise` says)? */
enum status refuse_gone(struct op *o, const char *id, enum problem_type otherwise, const char *detail);

/* ---- the ops ---- */
enum status op_hello(struct op *o);
enum status op_status(struct op *o);
enum status op_pending(struct op *o);
enum status op_item_get(struct op *o);
enum status op_request_create(struct op *o);
enum status op_withdraw(struct op *o);
enum status op_statement(struct op *o);
enum status op_decide(struct op *o);
enum status op_hold(struct op *o);
enum status op_held_raw(struct op *o);
enum status op_release_link(struct op *o);
enum status op_release_use(struct op *o);
enum status op_budget_lease(struct op *o);
enum status op_outcome(struct op *o);
enum status op_assertion(struct op *o);
enum status op_notice_ack(struct op *o);
enum status op_segment(struct op *o);
enum status op_sessions(struct op *o);
enum status op_session_get(struct op *o);
enum status op_log_read(struct op *o);
enum status op_lock(struct op *o);
enum status op_unlock_statement(struct op *o);
enum status op_refused(struct op *o);
enum status op_locks(struct op *o);
enum status op_key_begin(struct op *o);
enum status op_key_propose(struct op *o);
enum status op_key_remove(struct op *o);
enum status op_keys(struct op *o);
enum status op_live(struct op *o);
enum status op_item_proof(struct op *o);
enum status op_hold_place(struct op *o);
enum status op_hold_release(struct op *o);
enum status op_holds(struct op *o);
enum status op_retention_confirm(struct op *o);
enum status op_review_statement(struct op *o);
enum status op_delegations(struct op *o);
enum status op_delegate_statement(struct op *o);
enum status op_delegate_withdraw(struct op *o);

/* ---- ops_external.c: grants of other issuers ---- */
enum status op_grant_admit(struct op *o);
/* A live grant of the basis "external": has its issuer still the key, and may it still grant this? OK or REFUSED; true for all others. */
MUST_CHECK enum status external_still(struct op *o, const json_t *row, bool *out);
/* Show the basis "external" and the issuer of a grant that came of this item, from the leaf that made it; nothing for others. */
void external_show(struct op *o, const char *item, const char *grant_id, json_t *view);
/* End the live ones whose issuer has not their key any more. */
MUST_CHECK enum status external_sweep(struct op *o);

/* ---- issuer_keys.c: keys of other issuers that stand at a URL ---- */
/* What is known of the sets of this config's issuers counts in `external` from now on; what is too old does not. */
MUST_CHECK enum status issuer_keys_follow(struct service *s, const struct config *c, struct external *external, const struct jwt_keys *own, struct err *err);
void issuer_keys_close(struct service *s);
/* Take what came, ask for what is due, let grow old what is not fetched. Outside of any transaction. IO_FAILED, CORRUPT: end the process. */
MUST_CHECK enum status issuer_keys_tick(struct service *s, struct err *err);
/* A token names a key of this issuer that is not known. Is its set being fetched, now or already? */
bool issuer_keys_wanted(struct service *s, const struct issuer *i);
/* Is there a set that counts? */
bool issuer_keys_known(const struct service *s, const struct issuer *i);
/* [{issuer, url, counts, kids, fetched?, age_s?, why?}] */
json_t *issuer_keys_view(const struct service *s);

/* ---- ops_carry.c: live grants go with their holder to a renewed certificate ---- */
#define CARRY_ITEM "carry-over"       /* in the place of an item, in the statements about it */
/* teller.c: audit events at the door, and the ops of the courier for them */
enum status op_door(struct op *o);
enum status op_audit_take(struct op *o);
enum status op_audit_done(struct op *o);
enum status op_carry_begin(struct op *o);
enum status op_carry_finish(struct op *o);
void carry_done(struct service *s);
/* ops_request.c: does the reason name a ticket as the tool demands? */
bool names_ticket(const struct tool *tool, const char *reason);

#endif
