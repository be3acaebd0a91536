/* incident: all that somebody did in a span of time, as lines that each cite their proof: session, exchange, record, segment and the leaf of the log that holds the segment's digest.
 *
 * A line is a JSON object: kind, time_ms, session, tool, person, identity; by what it is about also action, method, target, status, request_bytes, response_bytes, sha256 (of the answer's
 * body as recorded), by (who said yes), count, exchange, record, segment, leaf, text. Kinds:
 *
 *   session     one use of a tool: why, who approved it, how much            action     what was done, once per action and session, with how often
 *   export      a held request that ran: what came back, who signed it off   refusal    what the gateway refused
 *   ended       why a grant ended before its time                            lock       a lock that holds now
 *   review      what somebody else found about a use of break-glass, or that it is owed; the session's text says BREAK-GLASS, or that a rule gave it, and has `basis`
 *   exchange    every one (only when asked for) */
#ifndef COUNTERSIGN_COMMANDS_INCIDENT_H
#define COUNTERSIGN_COMMANDS_INCIDENT_H

#include "proxy/record/archive.h"

#include <jansson.h>
#include <stdio.h>

struct incident {
    const char *who;                  /* as asked for: an identity or a person */
    int64_t from_ms, to_ms;
    bool all_exchanges;
    json_t *lines;
    unsigned sessions, sealed;        /* sealed: sessions whose recording could not be opened */
    uint64_t exchanges, bytes, exports, refusals;
    json_t *tools, *actions;          /* name → how often */
};

MUST_CHECK enum status incident_begin(struct incident *i, struct err *err);
void incident_done(struct incident *i);
/* One session: info of GET /api/v1/sessions/ID; its recording, or NULL when no key opens it. */
MUST_CHECK enum status incident_session(struct incident *i, const json_t *info, const struct archive *a, struct err *err);
/* Locks of GET /api/v1/locks that are on this person or one of the sessions. */
MUST_CHECK enum status incident_locks(struct incident *i, const json_t *locks, struct err *err);
/* Lines in the order of time. */
void incident_sort(struct incident *i);

/* incident_write.c */
json_t *incident_json(const struct incident *i);
void incident_text(FILE *out, const struct incident *i);
void incident_csv(FILE *out, const struct incident *i);
void incident_html(FILE *out, const struct incident *i);

#endif
