/* blob: a held request as bytes, in a sealed memfd, on its way to and from authz (authz/README.md): u32 big-endian length of a JSON head, the head, the body. */
#ifndef COUNTERSIGN_BLOB_H
#define COUNTERSIGN_BLOB_H

#include "proxy/base/bbuf.h"
#include "proxy/http/message.h"

enum { BLOB_HEAD_MAX = 128 * 1024 };

/* The caller closes *fd_out. */
MUST_CHECK enum status blob_make(const struct message *m, struct slice body, int *fd_out, struct err *err);
/* Check the seals, then read into m (a request; its old contents are replaced) and body (initialised here, at most max_body bytes). */
MUST_CHECK enum status blob_read(int fd, struct message *m, struct bbuf *body, size_t max_body, struct arena *arena, struct err *err);

#endif
