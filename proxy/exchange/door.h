/* door: who was refused before anything was asked for, as audit events (authz/events.h, the rows door.*), written by the worker itself: a flood of strangers is no business of
 * authz. One event a connection; past DOOR_A_SECOND a second those of one kind are told together, with their count. A place that takes no lines now loses them, and they are counted
 * (metric countersign_audit_door_events_lost_total): nobody is let in by that, and the access log has them too. Places that the courier speaks to are told through authz (op `door`). */
#ifndef COUNTERSIGN_DOOR_H
#define COUNTERSIGN_DOOR_H

#include <jansson.h>
#include <stdint.h>

enum { DOOR_KINDS = 4, DOOR_A_SECOND = 20, DOOR_PLACES = 3 };
struct conn;
struct snapshot;
struct worker;
struct sink;

/* A worker's own; zeroed at birth. */
struct door {
    struct snapshot *snap;            /* that the places are of */
    struct sink *places[DOOR_PLACES];
    int64_t looked_ms, second;
    unsigned told;                    /* in this second */
    uint64_t over[DOOR_KINDS];        /* more of each kind in this second */
    json_t *last[DOOR_KINDS];         /* the last of them */
};

/* name: "door.locked" ...; reason: a fixed word; why: a sentence. */
void door_refused(struct conn *c, const char *name, const char *reason, const char *why);
void door_tick(struct worker *w);
void door_done(struct worker *w);

#endif
