/* operator: the listener for whoever runs the machine: GET /metrics, GET /healthz and the published log (GET /log/…), plain HTTP/1.1, one request a connection, on loopback or a Unix socket.
 * It runs in the loop of the proxy's main thread, and tells nothing about people or requests. */
#ifndef COUNTERSIGN_OPERATOR_H
#define COUNTERSIGN_OPERATOR_H

#include "proxy/base/status.h"
#include "proxy/exchange/metrics.h"

#include <uv.h>

struct operator;
/* where: as the setting operator_listen. log_folder: STATE/log. all: borrowed until the loop is closed. */
MUST_CHECK enum status operator_start(uv_loop_t *loop, const char *where, const char *log_folder, struct metrics *const *all, size_t count, int64_t max_staleness_ms,
                                      struct operator **out, struct err *err);
/* Stop listening; frees itself once the loop has run. NULL is fine. */
void operator_stop(struct operator *o);

#endif
