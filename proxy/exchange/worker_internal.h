/* worker_internal: what worker.c (life, accepting, authz's events, pools) and worker_tick.c (what has a time of its own) share; nobody else includes it. */
#ifndef COUNTERSIGN_WORKER_INTERNAL_H
#define COUNTERSIGN_WORKER_INTERNAL_H

#include "proxy/exchange/worker.h"

/* ---- worker.c ---- */
/* Does nothing when it accepts already, or drains. */
void worker_start_accepting(struct worker *w);
/* From the listener of that index, at most so many that wait there now. */
void worker_accept(struct worker *w, size_t listener, int budget);
void worker_close_listeners(struct worker *w);
/* Is the config of this worker of the policy that authz says counts? For a moment after that changed: or was. */
bool worker_policy_agrees(const struct worker *w, int64_t now_ms);
/* Those of other snapshots than `keep`: at once, or (keep not NULL) as soon as no exchange uses them. */
void worker_drop_pools(struct worker *w, const struct snapshot *keep);

/* ---- worker_tick.c ---- */
/* Every 100 ms; t->data is the worker. */
void worker_tick(uv_timer_t *t);
/* End, by reset, each connection that may not go on: a lock, a grant that ended, authz silent for too long (stale). */
void worker_sweep(struct worker *w, bool stale);
/* Judge every connection's certificate again, by the worker's snapshot. */
void worker_recheck(struct worker *w);
/* Accept nothing more, and begin to drain. */
void worker_stop(struct worker *w);

#endif
