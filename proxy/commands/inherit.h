/* inherit: the descriptors that `countersign run` opens and its proxy process takes over: for each worker a ring (memfd), a wake eventfd and one listening
 * socket a listener. The parent keeps them all, so that a dying proxy loses neither a recorded byte nor a waiting connection. */
#ifndef COUNTERSIGN_INHERIT_H
#define COUNTERSIGN_INHERIT_H

#include "config/config.h"

enum { INHERIT_WORKERS_MAX = 64, INHERIT_LISTENERS_MAX = 8, INHERIT_FIRST_FD = 3 };

struct inherit_worker {
    int ring, wake, listeners[INHERIT_LISTENERS_MAX];
};
struct inherit {
    unsigned workers, listeners;
    struct inherit_worker worker[INHERIT_WORKERS_MAX];
};

/* In the parent: open everything for this config. */
MUST_CHECK enum status inherit_open(const struct config *c, struct inherit *out, struct err *err);
/* In the parent, when it stops. */
void inherit_close_listeners(struct inherit *in);
/* All descriptors in the order in which the child gets them, from INHERIT_FIRST_FD on; returns their count. */
size_t inherit_list(const struct inherit *in, int *fds, size_t max);
/* "WORKERS LISTENERS", for the environment variable COUNTERSIGN_INHERIT. */
void inherit_describe(const struct inherit *in, char out[32]);
/* In the child: read the variable. BAD_INPUT when it is missing or odd: it was not started by `countersign run`. */
MUST_CHECK enum status inherit_take(struct inherit *out, struct err *err);

#endif
