/* batch: audit events on their way to a place that the courier speaks to (a webhook, syslog over TLS).
 *
 * Lines are gathered until the courier takes them; what was taken stays as it is, and nothing is added, until the place has confirmed all of it or is tried again with the same lines under the
 * same id. The log is the queue behind it: a batch has a bounded size, and a position in the log moves on only once what lies before it was confirmed. */
#ifndef COUNTERSIGN_BATCH_H
#define COUNTERSIGN_BATCH_H

#include "authz/events.h"

enum {
    BATCH_LINES_MAX = 64,
    BATCH_BYTES_MAX = 20 * 1024,      /* of text; as JSON in a message it can become twice that */
    BATCH_ID_MAX = 32,
    BATCH_FIRST_WAIT_MS = 1000,       /* after a failure; doubled with each, up to BATCH_LAST_WAIT_MS */
    BATCH_LAST_WAIT_MS = 60 * 1000,
};

struct batch_line {
    char *text;
    const struct event_row *row;
    int64_t time_ms;
    bool leaf;                        /* the log has it too */
};
struct batch {
    struct batch_line lines[BATCH_LINES_MAX];
    size_t count, bytes;
    char id[BATCH_ID_MAX];            /* of what was taken at least once; "" else */
    bool out;                         /* the courier has it */
    unsigned tries;                   /* that failed */
    int64_t due_ms;                   /* not before (monotonic) */
};

void batch_clear(struct batch *b);
/* False: full, taken already, or no memory. text is copied. */
bool batch_put(struct batch *b, const struct event_row *row, int64_t time_ms, struct slice text, bool leaf);
/* {"place", "batch", "lines": [[name, severity, time_ms, text], ...]} for the courier; NULL: nothing to send now. */
json_t *batch_take(struct batch *b, const char *place, int64_t now_ms);
enum batch_end { BATCH_UNKNOWN, BATCH_CONFIRMED, BATCH_FAILED };
/* What the courier says of it. CONFIRMED: it is empty again. UNKNOWN: it is not this one that is on its way. */
enum batch_end batch_done(struct batch *b, const char *id, bool sent, int64_t now_ms);
/* The courier went away: whatever it had is to be sent again. */
void batch_gone(struct batch *b);

#endif
