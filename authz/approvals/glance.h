/* glance: the members of a JSON object where they stand, without building anything. For comparing a million rows with their leaves: what is plain to see agrees at a
 * glance, and whatever is not (an escape, a fraction, names out of order, anything broken) is left to those who read properly. So a glance never refuses and never
 * decides what differs; it only says "the same", or "look". For texts that a digest in the signed log vouches for: it does not ask whether they are JSON in every detail. */
#ifndef COUNTERSIGN_APPROVALS_GLANCE_H
#define COUNTERSIGN_APPROVALS_GLANCE_H

#include "proxy/base/slice.h"

#include <stdint.h>

enum { GLANCE_MAX = 48, GLANCE_DEPTH = 32 };

enum glance_kind {
    GLANCE_TEXT,                      /* value is what stands between the quotes; there is no escape in it */
    GLANCE_NUMBER,                    /* an integer of at most 18 digits, in its only spelling */
    GLANCE_NESTED,                    /* an object or array, whole */
    GLANCE_OTHER,                     /* look properly */
};

struct glance_member {
    struct slice name, value;
    enum glance_kind kind;
    int64_t number;
};

struct glance {
    struct glance_member member[GLANCE_MAX];
    size_t count;
};

/* False: look properly. All slices borrow from json. Names come in strictly rising order, as in canonical JSON, so that none stands twice. */
bool glance_read(struct slice json, struct glance *out);
/* NULL: it has no such member. */
const struct glance_member *glance_find(const struct glance *g, struct slice name);
/* Is it there, as this text? */
bool glance_says(const struct glance *g, struct slice name, struct slice text);

#endif
