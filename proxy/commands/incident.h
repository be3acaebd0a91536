/* incident: all that somebody did in a span of time, as lines that each cite their proof: session, exchange, record, segment and the leaf of the log that holds the segment's digest.
 *
 * A line is a JSON object: kind, time_ms, session, tool, person, identity; by what it is about also action, method, target, status, request_bytes, response_bytes, sha256 (of the answer's
 * body as recorded), touched ("customer=17"), by (who said yes), count, last_ms, exchange, record, segment, leaf, node, text. Kinds:
 *
 *   session     one use of a tool: why, who approved it, how much            action     what was done, once per action and session, with how often
 *   export      a held request that ran: what came back, who signed it off   refusal    what the gateway refused
 *   ended       why a grant ended before its time                            lock       a lock that holds now
 *   review      what somebody else found about a use of break-glass, or that it is owed; the session's text says BREAK-GLASS, or that a rule gave it, and has `basis`
 *   customer    one that the policy counts (`tools.budget.distinct`), as often as a tool answered for it in this session, from when (time_ms) to when (last_ms)
 *   secret      a value that redaction took out of answers: `touched` is the field and its fingerprint, or "removed" for those in bodies
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
    uint64_t exchanges, bytes, exports, refusals, removed;   /* removed: values that redaction took out of answers' bodies */
    size_t unindexed;                 /* segments that no index covers, which were read themselves */
    json_t *tools, *actions;          /* name → how often */
    json_t *known;                    /* ids of sessions and names of persons that it is about */
    json_t *nodes;                    /* NULL: one gateway told it; else [{ session, nodes: clocks (nodes.h) }], and lines have `node` */
    char erased[256];                 /* what retention erased and is therefore not here, in words; "": nothing */
    json_t *touched, *secrets;        /* "customer=17" → how many answers of a tool; "set-cookie=fp:…" likewise */
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
