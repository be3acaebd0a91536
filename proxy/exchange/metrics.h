/* metrics: what a worker counts, for the operator. Each worker writes its own, without locks; whoever reads sums over all. No label holds anything of a
 * person, a customer or a request: their number must not grow with use, and numbers are shown to whoever may watch the machine.
 *
 * Names follow OpenTelemetry's semantic conventions where there is one (http.server.request.duration, http.server.active_requests), in Prometheus's spelling; else
 * they start with countersign_. */
#ifndef COUNTERSIGN_METRICS_H
#define COUNTERSIGN_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { METRIC_BUCKETS = 14, METRIC_CLASSES = 6, METRIC_REFUSALS = 31 };
typedef atomic_uint_least64_t metric;

struct metrics {
    metric duration[2][METRIC_CLASSES][METRIC_BUCKETS + 1];   /* HTTP/1, HTTP/2; hundreds of the status (0: none was sent); the last bucket has no end */
    metric duration_ms[2][METRIC_CLASSES];
    metric received_bytes, sent_bytes;
    metric active_requests, connections;                       /* at present */
    metric accepted, refused, displaced, tls_failed, certificates_refused, drained;
    metric refusals[METRIC_REFUSALS];
    /* The state of the worker, with each tick. */
    metric authz_heard_ms, recording_broken, draining, accepting;
    /* As authz said with its last tick, the same to all workers; and the worker's own. */
    metric audit_waiting, audit_lost, door_lost;
};

/* The one writer's way of adding; n may be "negative". */
static inline void metric_add(metric *m, uint64_t n)
{
    atomic_store_explicit(m, atomic_load_explicit(m, memory_order_relaxed) + n, memory_order_relaxed);
}
static inline void metric_set(metric *m, uint64_t value)
{
    atomic_store_explicit(m, value, memory_order_relaxed);
}

/* One finished exchange. refusal: the type of the problem that was the answer, or NULL. */
void metrics_exchange(struct metrics *m, bool http2, unsigned status, uint64_t ms, uint64_t received, uint64_t sent, const char *refusal);
/* Prometheus text exposition format 0.0.4. */
void metrics_write(FILE *out, struct metrics *const *all, size_t count, int64_t now_mono_ms);
/* NULL when all is well, else what is not: "draining", "authz is silent", "the recording cannot be kept". */
const char *metrics_trouble(struct metrics *const *all, size_t count, int64_t now_mono_ms, int64_t max_staleness_ms);

#endif
