/* events_out: audit events (authz/events.h) to places outside: a webhook, and syslog over TLS (RFC 5425). One batch a place at a time; authz keeps the queue, which is its log, and the waits
 * between tries. A batch is told `sent` only when a webhook answered 2xx, or when the machine of a syslog server had confirmed all bytes (TCP). */
#ifndef COUNTERSIGN_EVENTS_OUT_H
#define COUNTERSIGN_EVENTS_OUT_H

#include "config/config.h"
#include "proxy/courier/fetch.h"

#include <jansson.h>

struct events_out;
/* How a batch went; why is "" when it was sent. Called from fetch_step(), events_out_step() or events_out_free(). */
typedef void events_done(void *arg, const char *place, const char *batch, bool sent, const char *why);

/* The config is shared, the fetcher borrowed. NULL in *out: the config names no such place. */
MUST_CHECK enum status events_out_new(struct config *c, struct fetcher *f, events_done *done, void *arg, struct events_out **out, struct err *err);
/* What is under way is told as not sent. NULL is fine. */
void events_out_free(struct events_out *e);
/* The next place that has nothing under way, and was not asked for lately; NULL: none. */
const char *events_out_idle(struct events_out *e, int64_t now_ms);
/* authz's answer: {"place", "batch", "lines": [[name, severity, time_ms, text], ...]}. */
void events_out_send(struct events_out *e, const json_t *batch);
/* Go on with the connection to syslog. Call often. */
void events_out_step(struct events_out *e);
size_t events_out_watch(const struct events_out *e, struct fetch_watched *out, size_t max);

#endif
