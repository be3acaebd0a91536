/* log: JSON lines on standard error, one write(2) a line; journald or the container collects them.
 * A log line helps an operator; it is not evidence (that is the recording and authz's chain). */
#ifndef COUNTERSIGN_LOG_H
#define COUNTERSIGN_LOG_H

#include "proxy/base/slice.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/* Once, at the start of a process: its name ("proxy"), and the lowest level shown. */
void log_setup(const char *process, enum log_level lowest);
/* From any thread: another lowest level from now on. */
void log_set_level(enum log_level lowest);
/* Would a line of this level be shown? */
bool log_shows(enum log_level level);
/* "debug" "info" "warn" "error"; false: none of them. */
bool log_level_parse(const char *text, enum log_level *out);
/* Whole lines, made elsewhere, to where log_event writes. Pieces that others could write into are avoided: a pipe takes PIPE_BUF bytes at once. */
void log_write_lines(struct slice lines);
const char *log_process(void);
/* event is a fixed name such as "tls.refused"; then pairs of (const char *key, const char *value), ended by NULL.
 * A NULL value skips its pair. Values are escaped, whatever bytes they hold, and cut at 1 KiB. */
void log_event(enum log_level level, const char *event, ...) __attribute__((sentinel));
/* Escape s as the inside of a JSON string into out (always NUL-terminated, cut to fit); returns out.
 * Bytes that are not printable ASCII become \u00XX. */
char *log_escape(struct slice s, char *out, size_t out_max);
/* The same; returns the length. */
size_t log_escape_into(struct slice s, char *out, size_t out_max);

#define log_debug(...) log_event(LOG_LEVEL_DEBUG, __VA_ARGS__, NULL)
#define log_info(...)  log_event(LOG_LEVEL_INFO, __VA_ARGS__, NULL)
#define log_warn(...)  log_event(LOG_LEVEL_WARN, __VA_ARGS__, NULL)
#define log_error(...) log_event(LOG_LEVEL_ERROR, __VA_ARGS__, NULL)

#endif
