/* events: what a security team's own system is told: every decision and administrative act as one line of OCSF JSON (schema.ocsf.io, version 1.3.0).
 *
 * The table (event_table.c) is the one list: name, OCSF class and activity, severity, fields, meaning; `countersign events` prints it, events.md is made from it. Most events are leaves of
 * the log told anew, so that nothing can happen of which only one of the two knows; metadata.uid and metadata.sequence then name the leaf, and a line that comes
 * twice (after a crash) is the same by them. Values are what people, tools and certificates said: they are bounded, cut where they are too long ("…"), and escaped to ASCII. */
#ifndef COUNTERSIGN_EVENTS_H
#define COUNTERSIGN_EVENTS_H

#include "proxy/base/sink.h"

#include <jansson.h>
#include <stdio.h>

#define EVENT_OCSF_VERSION "1.3.0"

enum event_class {                    /* class_uid */
    ACCOUNT_CHANGE = 3001,
    AUTHENTICATION = 3002,
    ENTITY_MANAGEMENT = 3004,
    USER_ACCESS = 3005,
    APPLICATION_LIFECYCLE = 6002,
    API_ACTIVITY = 6003,
};
enum event_severity { EVENT_INFORMATIONAL = 1, EVENT_LOW, EVENT_MEDIUM, EVENT_HIGH, EVENT_CRITICAL };   /* severity_id */

/* from: a dotted path in what is known of the event, or "=text" for a fixed text. to: a dotted path in the line; "[]" at its end: the only entry of a list. */
struct event_field {
    const char *from, *to;
};
struct event_row {
    const char *name;                 /* metadata.event_code; of most the type of the leaf */
    const char *leaf;                 /* the leaf that it tells of; NULL: of none */
    enum event_class class_uid;
    unsigned activity_id;
    enum event_severity severity;
    bool failure;                     /* status_id 2 */
    const struct event_field *fields; /* ended by a NULL from */
    const char *meaning;              /* one sentence */
};
extern const struct event_row event_table[];
extern const size_t event_table_count;
/* Leaves that are no events, and why not; ended by a NULL type. */
struct event_quiet {
    const char *type, *why;
};
extern const struct event_quiet event_quiet_table[];

/* NULL: there is none of this name. */
const struct event_row *event_row_of(const char *name);
/* The event that a leaf is told as; NULL: none. A type that no row names is told as "log.leaf". */
const struct event_row *event_row_of_leaf(const char *type, const json_t *content);
const char *event_class_name(enum event_class c);
const char *event_activity_name(enum event_class c, unsigned activity_id);
const char *event_severity_name(enum event_severity s);

struct event {
    const struct event_row *row;
    const char *instance;
    const char *uid;                  /* never used for another event */
    uint64_t seq;                     /* the leaf; 0: none */
    uint64_t count;                   /* how many such there were, this one told; 0 and 1: one */
    int64_t time_ms;
    const json_t *content;            /* what is known: an object */
};
/* The line, without its end and with a NUL, in out; its length, or 0 when memory is short. Never longer than SINK_LINE_MAX - 1. */
size_t event_line(const struct event *e, char out[SINK_LINE_MAX]);
enum sink_severity event_syslog_severity(const struct event_row *row);

/* The reference, as Markdown. */
void event_write_reference(FILE *out);

#endif
