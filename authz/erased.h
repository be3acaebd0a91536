/* erased: which leaves of the log have lost their content, and by which leaf: leaves `history.erased` list them, and nothing else counts.
 *
 * The list is text, numbers and ranges in order: "17-19,23". A row says it the other way round (leaf_row.h, or `erased` in what the API gives); while the log is read for the first time, rows come before the leaf that lists
 * them, so what they say is noted (claimed) until that leaf confirms it, or none does. */
#ifndef COUNTERSIGN_ERASED_H
#define COUNTERSIGN_ERASED_H

#include "proxy/base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ERASING_LEAF "history.erased"

struct erased {
    uint32_t *by;                     /* by[seq]: the leaf that lists it; 0: none. NULL: nothing was ever erased */
    uint32_t *claims;                 /* of rows, not yet confirmed; NULL: none */
    uint64_t room, count, claimed;
    uint64_t stories;                 /* requests (with what came of them) and locks of which nothing is left */
    int64_t last_ms;                  /* when the last that happened in any of them was */
};

void erased_done(struct erased *e);
/* 0: it was not erased. */
uint64_t erased_by(const struct erased *e, uint64_t seq);
/* The row of leaf `seq` says that leaf `by` erased it. CORRUPT: that can't be. */
MUST_CHECK enum status erased_claim(struct erased *e, uint64_t seq, uint64_t by, struct err *err);
/* Leaf `seq` lists these. Each row after `unread` was read and must have claimed it (UINT64_MAX: none must). CORRUPT: the list is broken, names what comes later, or what was erased before. */
MUST_CHECK enum status erased_take(struct erased *e, uint64_t seq, const char *list, uint64_t unread, struct err *err);
/* What a leaf history.erased says besides its list. */
void erased_note(struct erased *e, const json_t *content);
/* All were read: CORRUPT when a row claims what no leaf lists. */
MUST_CHECK enum status erased_settle(struct erased *e, struct err *err);
/* For the memory of a log (memory.h): leaf `seq` was erased by `by`, as was verified before. */
MUST_CHECK enum status erased_restore(struct erased *e, uint64_t seq, uint64_t by, struct err *err);
/* The list of these, which are in order; malloc'd. NULL: no memory. */
char *erased_list(const uint64_t *seqs, size_t count);

#endif
