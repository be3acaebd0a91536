/* held: a request as the sealed memfd that goes to authz and comes back (authz/blob.h has the format). */
#ifndef COUNTERSIGN_HELD_H
#define COUNTERSIGN_HELD_H

#include "proxy/base/bbuf.h"
#include "proxy/http/message.h"

struct held_digests {
    unsigned char request[32], body[32];
};
/* The caller closes *fd_out. BAD_INPUT: a field is not UTF-8, so that nobody could be shown it. */
MUST_CHECK enum status held_make(const struct message *m, struct slice body, int *fd_out, struct held_digests *digests, struct err *err);
/* Check the seals, then read into m (a request; its old contents are replaced) and body (initialised here, at most max_body bytes). */
MUST_CHECK enum status held_read(int fd, struct message *m, struct bbuf *body, size_t max_body, struct arena *arena, struct err *err);

#endif
