/* notify: tells systemd how the service is (sd_notify(3)'s documented protocol: a datagram to $NOTIFY_SOCKET), and takes the sockets it passes
 * (sd_listen_fds(3): $LISTEN_PID, $LISTEN_FDS, descriptors from 3 on). Without systemd both do nothing. */
#ifndef COUNTERSIGN_NOTIFY_H
#define COUNTERSIGN_NOTIFY_H

#include "proxy/base/status.h"

/* "READY=1", "STOPPING=1\n..."; errors are nobody's business. */
void notify_systemd(const char *state);
/* "RELOADING=1" with the time that systemd wants beside it. */
void notify_reloading(void);
/* How many sockets were passed to this process, from descriptor 3 on; the variables are removed, so that no child takes them for its own. BAD_INPUT. */
MUST_CHECK enum status notify_sockets(unsigned *count_out, struct err *err);

#endif
