/* refused: who ran into the policy of late, told to authz once a second, which may lock them by rule (setting `lock_when`). What the cross-origin guard refuses is
 * not among it: a page of another site must not be able to have somebody locked. */
#ifndef COUNTERSIGN_REFUSED_H
#define COUNTERSIGN_REFUSED_H

#include "certs/trust.h"

#include <stdbool.h>
#include <stdint.h>

enum { REFUSED_SLOTS = 32 };

struct refused {
    struct {
        struct identity who;
        unsigned count;
    } slot[REFUSED_SLOTS];
    size_t used;
    int64_t told_ms;
};

struct worker;
/* Does a refusal of this type count? */
bool refusal_counts(const char *type);
void refused_add(struct worker *w, const struct identity *who);
/* Often; sends once a second. */
void refused_tick(struct worker *w);

#endif
