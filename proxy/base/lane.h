/* lane: a socket between two children that their parent made, and that nobody can connect to: authz's and the courier's, for what authz must not take from just any
 * process of the gateway's user (keys of other issuers). The named socket would not do: every process of the user may say on it that it is the courier.
 *
 * A SEQPACKET pair, never blocking, for msg_send() and msg_recv(). The parent keeps both ends, so that a child that is started anew goes on with the same one; what the child before
 * left in it is still there, so every question has a name of its own that its answer repeats. */
#ifndef COUNTERSIGN_LANE_H
#define COUNTERSIGN_LANE_H

#include "proxy/base/status.h"

#define LANE_VARIABLE "COUNTERSIGN_LANE"   /* in the child's environment: the descriptor */

/* Both close themselves on exec. */
MUST_CHECK enum status lane_open(int fds[2], struct err *err);
/* The child's end, if its parent gave it one; else -1. */
int lane_inherited(void);

#endif
