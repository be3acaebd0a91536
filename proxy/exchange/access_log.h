/* access_log: one JSON line an exchange (event "exchange"), gathered in the worker and written at 16 KiB, with each tick, and at the end: a write(2) a
 * request would cost more than making the line.
 *
 * Members: time (when the request came), level, process, event, trace (trace id of traceparent, W3C Trace Context), source, protocol, tls, identity,
 * tool, action, grant, method, path, status (0: none was sent), received, sent (bytes of body, and of the fields of 103s and trailers), first_ms, ms (until the response head, until the end), refusal (the
 * type of the problem that was the answer), why (what went wrong). What there is none of is left out. Never the query: it may hold secrets. */
#ifndef COUNTERSIGN_ACCESS_LOG_H
#define COUNTERSIGN_ACCESS_LOG_H

#include "proxy/base/clock.h"
#include "proxy/base/slice.h"

#include <stdint.h>

struct exchange;

/* A worker's own; zeroed at birth. */
struct access_log {
    char *lines;                      /* taken with the first line */
    size_t len;
    int64_t second;                   /* which `when` is the text of */
    char when[CLOCK_TEXT_MAX];
};

void access_log_put(struct access_log *l, const struct exchange *x);
void access_log_flush(struct access_log *l);
void access_log_done(struct access_log *l);

enum { TRACE_ID_LEN = 32 };
/* The trace id of a traceparent field (W3C Trace Context, level 1); false: there is none, or it is not of that form. */
bool trace_id(struct slice traceparent, char out[TRACE_ID_LEN + 1]);

#endif
