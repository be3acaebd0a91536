/* inherit: the descriptors that `countersign run` opens and its proxy process takes over: for each worker a ring (memfd), a wake eventfd and one listening
 * socket a listener; one eventfd on which the proxy tells the parent something; and the rings of a draining proxy of an earlier parent, whose tape is still to be
 * read. The parent keeps them all, so that a dying proxy loses neither a recorded byte nor a waiting connection. */
#ifndef COUNTERSIGN_INHERIT_H
#define COUNTERSIGN_INHERIT_H

#include "config/config.h"

enum { INHERIT_WORKERS_MAX = 64, INHERIT_LISTENERS_MAX = 8, INHERIT_OLD_MAX = 128, INHERIT_FIRST_FD = 3,
       INHERIT_FDS_MAX = 1 + INHERIT_WORKERS_MAX * (INHERIT_LISTENERS_MAX + 2) + 2 * INHERIT_OLD_MAX };

struct inherit_worker {
    int ring, wake, listeners[INHERIT_LISTENERS_MAX];
};
struct inherit_ring {
    int ring, wake;
};
struct inherit {
    int told;                         /* eventfd: the proxy is ready; later, that it has let go of the recordings */
    unsigned workers, listeners, old_count;
    struct inherit_worker worker[INHERIT_WORKERS_MAX];
    struct inherit_ring old[INHERIT_OLD_MAX];
};

/* In the parent: open everything for this config. passed: that many listening sockets come from systemd, from INHERIT_FIRST_FD on. */
MUST_CHECK enum status inherit_open(const struct config *c, unsigned passed, struct inherit *out, struct err *err);
/* The same, but with listening sockets, workers and old rings that stand in *out already: a running parent handed them over. Each must be what the config says. */
MUST_CHECK enum status inherit_complete(const struct config *c, struct inherit *out, struct err *err);
/* Forget the old rings that are read to their end and that nobody writes any more. */
void inherit_prune(struct inherit *in);
/* In the parent, when it stops. */
void inherit_close_listeners(struct inherit *in);
/* All descriptors in the order in which the child gets them, from INHERIT_FIRST_FD on; returns their count. */
size_t inherit_list(const struct inherit *in, int *fds, size_t max);
/* "WORKERS LISTENERS OLD", for the environment variable COUNTERSIGN_INHERIT. */
void inherit_describe(const struct inherit *in, char out[32]);
/* In the child: read the variable. BAD_INPUT when it is missing or odd: it was not started by `countersign run`. */
MUST_CHECK enum status inherit_take(struct inherit *out, struct err *err);

#endif
