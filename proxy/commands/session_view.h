/* session_view: a recorded session in words: what was decided about it (from the log's leaves) and each exchange (from the recording). Shared by show and replay. */
#ifndef COUNTERSIGN_SESSION_VIEW_H
#define COUNTERSIGN_SESSION_VIEW_H

#include "proxy/record/archive.h"

#include <jansson.h>
#include <stdio.h>

/* The value of a field in a recorded HTTP/1.1 head, "" when absent; NUL-terminated in out, cut to fit. name in any case. */
char *head_field(struct slice head, const char *name, char *out, size_t out_max);
/* "GET" and "/admin/" of a request head; empty slices when it is no request line. */
void head_request_line(struct slice head, struct slice *method, struct slice *target);

/* The request, the approvals, grants, held requests, uses, locks … as lines in their order. leaves may be NULL. */
void view_decisions(FILE *out, const json_t *leaves);
/* The first reason found in the leaves (that of the request for access), or "". Borrowed. */
const char *view_reason(const json_t *leaves);
/* One line for one exchange: number, time, method, target, status, bytes, action, and what waited for whom. */
void view_exchange_line(FILE *out, size_t number, const struct archive_exchange *x, const json_t *leaves);
json_t *view_exchange_json(size_t number, const struct archive_exchange *x, const json_t *leaves);
/* Segments that could not be read, one line each. */
void view_bad_segments(FILE *out, const struct archive *a);
/* What a WebSocket said, a line each; nothing for other exchanges. */
void view_messages(FILE *out, const struct archive_exchange *x);
/* One line for each side that was cut off, or why the exchange ended. */
void view_exchange_end(FILE *out, const struct archive_exchange *x);

#endif
