/* retention: how long recordings are kept, and when they are deleted.
 *
 * What counts is the log, not the config: each change of a tool's `retention` is a leaf (retention.set), and a session is kept for the longest of the times that were in force since it
 * began; a shorter one counts for earlier sessions only after `recording.shorten_after`, if that is set. So nobody destroys evidence by editing the config. A session is deleted whole:
 * first the leaf session.erased, then its files; what was begun is finished at the next start. Its decisions and segment digests stay in the log, which verifies whole.
 *
 * Nothing is deleted that a legal hold names (hold.placed until hold.released, by another auditor), while the session lives, while the recorder still owes leaves, or after the clock leapt:
 * when wall time and the time of the log (at the start) or the monotonic clock (later) differ by more than `recording.clock_leap`, that is a leaf (retention.suspended), and an operator
 * confirms the time (retention.confirmed). */
#ifndef COUNTERSIGN_RETENTION_H
#define COUNTERSIGN_RETENTION_H

#include "authz/approvals/internal.h"

enum { RETENTION_TIMES_MAX = 256 };
/* How long a tool's recordings are kept from a time on; 0: for ever. */
struct retention_time {
    int64_t from_ms, retention_ms;
};
/* The time to keep a session that began at started_ms, as of now; 0: for ever. Before the first entry, 0 was in force. shorten_after_ms 0: what was promised once is kept. */
int64_t retention_of(const struct retention_time *v, size_t count, int64_t started_ms, int64_t now_ms, int64_t shorten_after_ms);

/* The times of a tool, from its leaves; HISTORY_TIMES: those of the history of decisions (history.h). */
#define HISTORY_TIMES "*"
MUST_CHECK enum status retention_times(struct service *s, const char *tool, struct retention_time v[RETENTION_TIMES_MAX], size_t *count_out, struct err *err);

/* Does a legal hold name it? session: {session, identity, person, tool}. */
bool hold_on(const struct service *s, const json_t *session);

/* When a session was recorded, by its first and last segment, proved. */
struct span {
    int64_t from_ms, to_ms, segments;
};
MUST_CHECK enum status span_of(struct op *o, const char *session, struct span *out);
/* The recorder has not written all leaves of this session yet. */
bool recorder_owes(const struct service *s, const char *session);

/* ---- history.c: the history of decisions is erased when its time is over (history.h) ---- */
MUST_CHECK enum status history_tick(struct service *s, struct err *err);

/* ---- local.c: what is in object storage, whole, need not stay here (`recording.keep_local`) ---- */
/* The leaf session.moved comes first, in a transaction of its own; the file goes once that is committed, now or after a crash. Never while deletion is suspended, or a hold names it. */
MUST_CHECK enum status local_tick(struct service *s, struct err *err);

#endif
