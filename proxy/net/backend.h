/* backend: how well one place does where a tool listens. One for each (tool, address) of the process, shared by all workers: what one finds out, the others know. Reading and
 * writing take no lock; only finding the row does, when a pool is made. It outlives a reload.
 *
 *   in ──(upstream_fails failures in a row)──> out ──(back-off over: one request probes)──> in, or out for twice as long
 *   well <──(active checks)──> unwell
 *
 * Each change is a line in the log: tool.upstream-out, tool.upstream-in, tool.upstream-unwell, tool.upstream-well. */
#ifndef COUNTERSIGN_BACKEND_H
#define COUNTERSIGN_BACKEND_H

#include "config/config.h"

struct backend;

/* NULL: no memory. Give it back with backend_put. */
struct backend *backend_get(const struct tool *tool, const struct upstream_address *address);
void backend_put(struct backend *b);

/* May a request go there? True once when a back-off is over: whoever asks then is the probe. */
bool backend_open(struct backend *b, int64_t now_ms);
/* Does it pass its active checks (or has none)? */
bool backend_well(const struct backend *b);
/* Monotonic; 0: in. */
int64_t backend_out_until(const struct backend *b);
/* A request got an answer; it failed (and why). */
void backend_worked(struct backend *b);
void backend_failed(struct backend *b, const struct tool *tool, int64_t now_ms, const char *why);
/* An active check's result. */
void backend_checked(struct backend *b, const struct tool *tool, bool well, const char *why);
/* So many more requests and connections, for the numbers: a worker tells now and then, so that requests share no cache line. */
void backend_count(struct backend *b, uint64_t requests, uint64_t connections);

/* countersign_upstream_* in Prometheus text. Labels are what the config says: tool and address. */
void backends_write(FILE *out);

#endif
