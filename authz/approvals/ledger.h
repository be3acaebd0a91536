/* ledger: what the log says about each item, grant, lock and key, kept in memory. It is computed from leaves and nothing else, so
 * that a row edited in the database changes no decision; reconcile.c compares the rows with it. */
#ifndef COUNTERSIGN_LEDGER_H
#define COUNTERSIGN_LEDGER_H

#include "authz/approvals/book.h"
#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

enum ledger_kind { LEDGER_REQUEST, LEDGER_HELD, LEDGER_GRANT, LEDGER_LOCK, LEDGER_KEY, LEDGER_NEW_KEY, LEDGER_AUDITOR, LEDGER_HOLD, LEDGER_REVIEW, LEDGER_DELEGATION, LEDGER_POLICY, LEDGER_IN_FORCE, LEDGER_EXTERNAL, LEDGER_CERTIFICATE, LEDGER_ISSUER,
                   LEDGER_ERASED,     /* whatever it was: its leaves are erased (history.h), and `born` says so */
                   LEDGER_KINDS };

/* What a request for access may be granted by (authz/alone.h). Only the leaf of its own kind makes it "approved". */
enum ledger_basis { LEDGER_BY_APPROVAL, LEDGER_BY_BREAK_GLASS, LEDGER_BY_AUTO, LEDGER_BY_EXTERNAL, LEDGER_BASES };

struct ledger_entry {
    char id[48];                      /* an id with its prefix, or a key's fingerprint (an auditor's: SHA-256 of its text) */
    enum ledger_kind kind;
    const char *state;                /* a literal: "pending", "approved", "granted", "used", "denied", "expired", "cancelled"; "live", "ended" */
    const char *outcome;              /* of a used sign-off; NULL: none yet */
    bool noticed;                     /* of a grant; of a review: that it is overdue was told */
    unsigned decisions;               /* of an item */
    uint32_t count;                   /* of a WebAuthn key: its signature counter, as last seen; of a grant: how its token's hash begins; of a request: enum ledger_basis */
    uint64_t born, last;              /* the leaf that made it, and the last one that changed it */
    struct ledger_entry *next_lock;   /* of a lock: the one made after it */
    UT_hash_handle hh;
};

struct ledger {
    struct ledger_entry *entries;
    struct ledger_entry *locks, *last_lock;   /* all that were ever made, the oldest first: few among very many entries */
    size_t counts[LEDGER_KINDS];
    struct book *book;                /* what was leased of budgets */
};

/* Take one leaf. CORRUPT when it can't follow what came before: an approval of nothing, a second use, a foreign word. */
MUST_CHECK enum status ledger_apply(struct ledger *l, uint64_t seq, const char *type, const json_t *content, struct err *err);
/* The content of a leaf, with what ledger_apply() reads of it at least: a leaf is mostly a statement and its signature, which need not be taken apart for that. NULL: it is no
 * JSON object, or there is no memory. */
json_t *ledger_content(const char *type, struct slice text);
/* For the memory of a log (memory.h): an entry as it was, and its words as numbers. */
MUST_CHECK enum status ledger_restore(struct ledger *l, const struct ledger_entry *e, struct err *err);
int ledger_state_number(const char *state);
int ledger_outcome_number(const char *outcome);   /* 0: none */
const char *ledger_state_of(int number);          /* NULL: no such */
const char *ledger_outcome_of(int number);        /* NULL: none */
/* NULL: the log knows no such id. */
const struct ledger_entry *ledger_find(const struct ledger *l, const char *id);
bool ledger_is(const struct ledger *l, const char *id, const char *state);
/* Is this the newest token of this grant? */
bool ledger_token_is(const struct ledger *l, const char *grant_id, const char *token);
/* Has it come to its end, so that no later leaf can say anything new about it? Keys, delegations and the like never do. */
bool ledger_over(const struct ledger_entry *e);
/* The ids of entries that a leaf of this type makes or changes, certificates apart; how many. They borrow from content. */
enum { LEDGER_NAMES_MAX = 4 };
size_t ledger_names(const char *type, const json_t *content, const char *out[LEDGER_NAMES_MAX]);
/* The entry of the certificate that this content says whose it is; NULL: none. *x5t and *person borrow from it. */
const struct ledger_entry *ledger_hand(const struct ledger *l, const json_t *content, const char **x5t, const char **person);
/* How a certificate is named here. */
void ledger_certificate_id(const char *x5t, char out[48]);
void ledger_done(struct ledger *l);

#endif
