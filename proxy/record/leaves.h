/* leaves: a segment that lies on the disk becomes a leaf of authz's log: the queue of those not confirmed yet, and the connection to authz.
 *
 * The connection stands even when there is nothing to say, so that authz sees whether there is a recorder. authz may be away: it is made again with growing pauses, and what was not confirmed is sent again (authz answers the same leaf twice alike). The
 * queue is bounded; while it is full, nothing more may be kept. */
#ifndef COUNTERSIGN_LEAVES_H
#define COUNTERSIGN_LEAVES_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"
#include "proxy/record/ring.h"

#include <jansson.h>
#include <stdint.h>

enum { LEAVES_MAX = 1024 };

struct leaf {
    char session[RING_SESSION_MAX + 1];
    unsigned number;
    unsigned char digest[32];
    int64_t from_ms, to_ms;
    uint64_t exchanges, bytes, ring, position;
    json_t *touched;                  /* hashes of what it touches (authz/touched.h), or NULL; the leaf's own */
    uint64_t sent_as;                 /* message number; 0: not sent on this connection */
};

/* A leaf was confirmed, or is refused for good (confirmed false). */
typedef void leaves_done_call(void *to, const struct leaf *leaf, bool confirmed);

struct leaves;
MUST_CHECK enum status leaves_new(const char *authz_socket, leaves_done_call *done, void *to, struct leaves **out);
void leaves_free(struct leaves *l);
/* Takes the leaf over. FULL: not. */
MUST_CHECK enum status leaves_put(struct leaves *l, const struct leaf *leaf);
size_t leaves_waiting(const struct leaves *l);
/* Send and receive what is possible; never blocks. */
void leaves_work(struct leaves *l, int64_t now_ms);
/* To poll for reading; -1: not connected. */
int leaves_fd(const struct leaves *l);
/* When leaves_work has something to do by itself, monotonic ms; INT64_MAX: only when the descriptor is readable. */
int64_t leaves_next_ms(const struct leaves *l);

#endif
