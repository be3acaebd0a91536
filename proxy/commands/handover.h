/* handover: one `countersign run` follows another without a refused connection. The new one finds the old one at STATE/run/parent.sock (msg.h: SEQPACKET, same
 * user), and this is said:
 *
 *   new: {"op":"takeover"}                        old: {"workers":W,"listeners":L,"rings":R} or {"error":"why not"}
 *                                                 old: W*L times {"listener":true} with a socket, R times {"ring":true} with a ring and its wake eventfd
 *   new: {"op":"go"}   (everything is as its config says)
 *                                                 old: its proxy stops accepting and drains; its recorder, then its authz end
 *                                                 old: {"yours":true}; it ends once its proxy has drained
 *   new: starts authz, then its own proxy, which accepts who waits in the sockets and reads the old rings to their end
 *
 * Until "go" the old one is as it was, whatever happens to the new one; if that is lost between "go" and "yours", the old one starts its processes again. */
#ifndef COUNTERSIGN_HANDOVER_H
#define COUNTERSIGN_HANDOVER_H

#include "proxy/commands/inherit.h"

#include <uv.h>

/* ---- the old side ---- */
struct handover {
    uv_poll_t listen, peer;
    int listen_fd, peer_fd;           /* -1: none */
    bool listening, talking, asked, going;
    const struct inherit *in;
    const char *(*why_not)(void *arg);   /* NULL: go ahead */
    bool (*is_own)(void *arg, int pid);   /* is that process a child of this parent: never a successor */
    void (*go)(void *arg);
    void (*lost)(void *arg);          /* after go, before handover_yours */
    void *arg;
};
/* path: of the socket. Failing is no reason not to run. The fields from `in` on are set by the caller. */
MUST_CHECK enum status handover_listen(struct handover *h, uv_loop_t *loop, const char *path, struct err *err);
/* Say "yours" and stop listening. false: the other side is gone. */
bool handover_yours(struct handover *h);
void handover_close(struct handover *h);

/* ---- the new side: blocks, with time-outs ---- */
/* Does somebody run there? */
bool handover_somebody(const char *path);
/* Ask; on OK *out is complete but for what is this process's own (inherit_complete), and *fd_out is for handover_go. REFUSED: the other one says no. */
MUST_CHECK enum status handover_ask(const char *path, struct inherit *out, int *fd_out, struct err *err);
/* Say "go", and wait for "yours". Closes fd. */
MUST_CHECK enum status handover_go(int fd, struct err *err);

#endif
