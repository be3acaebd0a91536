/* teller_internal: what teller.c and teller_keep.c share. */
#ifndef COUNTERSIGN_TELLER_INTERNAL_H
#define COUNTERSIGN_TELLER_INTERNAL_H

#include "authz/approvals/batch.h"
#include "authz/approvals/internal.h"

#include "authz/events.h"
#include "proxy/base/file.h"
#include "proxy/base/sink.h"

enum { PLACES = 4, QUEUE_MAX = 256 };

struct told_line {
    char *text;
    const struct event_row *row;
    int64_t time_ms;
};

struct place {
    char *spec;                       /* as the config says it; the same after a reload: the same place */
    const char *name;                 /* one of place_names */
    struct sink *sink;                /* one of both */
    struct batch *batch;              /* the courier carries it */
    uint64_t told, noted;             /* leaves up to here (of a batch: put into it); as they were a minute ago */
    uint64_t confirmed;               /* of a batch: leaves up to here were taken by the place */
    struct told_line queue[QUEUE_MAX];
    size_t first, waiting;
    uint64_t lost, lost_told;
    int64_t behind_ms;                /* since when something waits, of a batch: since when nothing was confirmed though something waits; 0: nothing does */
    bool said;                        /* that it is behind */
    char why[160];                    /* of a batch: why it was not taken */
};

struct teller {
    struct place *places[PLACES];     /* as place_names; NULL: not wanted */
    char *position_path, *waiting_path;
    int64_t looked_ms, saved_ms, second;
    unsigned in_second;
    uint64_t over;                    /* refusals past the limit of this second */
    json_t *over_last;
};

extern const char *const place_names[PLACES];   /* file, stdout, syslog, webhook */

/* A line that is no leaf, to be told when the place takes it; past QUEUE_MAX it is lost, and that is said. */
void place_enqueue(struct place *p, const struct event_row *row, int64_t time_ms, const char *text);

/* ---- teller_keep.c: what outlives a restart ---- */
/* Leaves up to here were told for good. */
uint64_t place_position(const struct place *p);
/* {place: position} as saved; NULL: none. */
json_t *teller_positions(const struct teller *t);
/* A place that was told of before goes on there, also another of the same kind; one that is new begins at `fresh`. */
uint64_t teller_position(const struct service *s, const json_t *positions, size_t which, uint64_t fresh);
/* exact: as they are; else as they were when this was called last, for what a file took last is not on the disk yet. */
void teller_save(struct teller *t, bool exact);
/* Lines that are no leaves and wait: kept at the end in STATE/audit.waiting, put back at the start. */
void teller_keep(struct teller *t);
/* The same for a place that takes another's place in a new config. */
void place_inherit(struct place *to, const struct place *from);
void teller_restore(struct teller *t);

#endif
