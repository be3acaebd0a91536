/* msg: JSON messages between Countersign's processes, over a named Unix SEQPACKET socket. One packet is one
 * JSON object of at most MSG_MAX bytes, with up to MSG_FDS_MAX descriptors beside it (for bodies). What is said when
 * stands in authz/README.md. */
#ifndef COUNTERSIGN_MSG_H
#define COUNTERSIGN_MSG_H

#include "proxy/base/status.h"

#include <jansson.h>
#include <stddef.h>

enum { MSG_MAX = 64 * 1024, MSG_FDS_MAX = 2 };

/* A listening socket at path (an old socket file is replaced), mode 0600, non-blocking. */
MUST_CHECK enum status msg_listen(const char *path, int *fd_out, struct err *err);
/* Accept one connection, non-blocking; REFUSED (and closed) when the peer runs as another user. AGAIN. */
MUST_CHECK enum status msg_accept(int listen_fd, int *fd_out, struct err *err);
/* Connect, non-blocking from then on. */
MUST_CHECK enum status msg_connect(const char *path, int *fd_out, struct err *err);
/* One packet. fds are borrowed (the receiver gets duplicates). AGAIN when the socket is full, CLOSED, or BAD_INPUT
 * when the message is larger than MSG_MAX. */
MUST_CHECK enum status msg_send(int fd, const json_t *message, const int *fds, size_t fd_count, struct err *err);
/* One packet as an object (duplicate keys are refused). *out is the caller's (json_decref), the fds too (close). AGAIN,
 * CLOSED, or BAD_INPUT: then close the connection. fds_out holds MSG_FDS_MAX. */
MUST_CHECK enum status msg_recv(int fd, json_t **out, int *fds_out, size_t *fd_count_out, struct err *err);

#endif
