/* history: the content of decisions is erased when its time is over (`approvals_retention`), and the log stays whole.
 *
 * What is erased together is a story: all leaves of a request for access and of what came of it (one session), or a lock with its end. It is over when nothing in it can go on (ledger_over()):
 * no pending or live part, no review that is owed, no sign-off whose outcome is not known, and no recording that is still kept. Its time counts from its last leaf (the deletion of its recording
 * apart), and is, as with recordings (retention.h), the longest that was in force since it began. A legal hold on anybody or anything in it keeps it, so does an audit place that was not told yet, and so
 * does a clock that leapt.
 *
 * One transaction writes a leaf history.erased, which lists leaves and ids, empties those leaves' rows (leaf_row.h) and deletes the rows that they made. So there is no half state, and a row that
 * somebody else emptied or took away is found. A tick works for some milliseconds and no longer, whatever there is to do: a story is read over as many ticks as it needs, each leaf proved, and is judged
 * when all of it was read; should a leaf or a legal hold come meanwhile, the next pass looks anew. Then its many small parts go first, a piece at a time: segments, leases and looks, which change
 * no state, and then its held requests; last the requests, the grant and the reviews. In between each commit leaves rows that agree with the leaves that are left (reconcile_sessions.c).
 *
 * Keys, delegations, changes of the policy, legal holds, retention times and auditors' keys stay: what is kept is proved by them. Whose certificate it was is said once more (certificate.known) while that
 * certificate may still be valid: nobody lifts a lock on a certificate of their own.
 *
 * The database writes zeros over what is deleted (secure_delete), and its write-ahead log is cut some seconds later (store_scrub()). */
#ifndef COUNTERSIGN_HISTORY_H
#define COUNTERSIGN_HISTORY_H

#include "authz/approvals/retention.h"
#include "authz/erased.h"

enum { STORY_REST_MAX = 512, TICK_WORK_MS = 6 };

/* A story, or a piece of one, as its leaves tell it, each proved. */
struct story {
    char id[ID_LEN + 1];              /* the session, or the lock */
    bool lock;
    bool keeps;                       /* something in it goes on, or a hold names it, or it is nothing that we erase */
    bool recording_gone;              /* session.erased is among them */
    int64_t first_ms, last_ms;
    struct story_leaf {
        uint64_t seq;
        size_t held;                  /* the place in ids of the held request that it is about, and nothing else; SIZE_MAX: none */
    } *leaves;
    size_t count, room;
    json_t *ids, *hands;              /* of entries of the ledger; [[x5t, person]] of certificates that must stay known */

    /* For the pass: */
    uint64_t read_to;                 /* its leaves up to here were looked at */
    bool all_read;
    size_t held_at;                   /* of ids: held requests before it are erased */
    json_t *holds;                    /* that it was held against */
};
void story_init(struct story *t, const char *id, bool lock);
void story_done(struct story *t);
/* Prove one leaf and take it in; in the order of the log. */
MUST_CHECK enum status story_take(struct op *o, struct story *t, uint64_t seq);

/* ---- story_erase.c: in the open transaction ---- */
/* Segments, leases and looks: some of them. *left: there are more, or were. AGAIN: one of them keeps the story. */
MUST_CHECK enum status story_erase_piece(struct op *o, struct story *t, int64_t keep_ms, int64_t until_ms, bool *left);
/* Some of its held requests, each whole. *left likewise. */
MUST_CHECK enum status story_erase_held(struct op *o, struct story *t, int64_t keep_ms, bool *left);
/* All that is left. */
MUST_CHECK enum status story_erase_rest(struct op *o, struct story *t, int64_t keep_ms);
/* A leaf of a kind of which there may be thousands, and which changes no state. */
bool story_is_piece(const char *type);

#endif
