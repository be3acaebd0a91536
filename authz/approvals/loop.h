/* loop: authz's one thread: connections, their queues, the clock tick and signals around a service.
 *
 * SIGTERM ends it cleanly; SIGHUP reads the config and the approval keys again, and keeps the old ones when the new are wrong. It also ends when
 * the process that started it is gone, since a gateway without its parent must not linger and hold the state folder: as soon as the proxy, which drains then
 * and still has digests to hand in, has closed its connections. */
#ifndef COUNTERSIGN_APPROVALS_LOOP_H
#define COUNTERSIGN_APPROVALS_LOOP_H

#include "authz/approvals/service.h"

#include <sys/types.h>

/* parent: the process that started this one (it may be gone already). Listens on STATE/run/authz.sock until told to stop. OK after SIGTERM; else what broke: then the process must end at once, and what it did not
 * answer was not done. */
MUST_CHECK enum status loop_run(struct service *s, const char *config_file, pid_t parent, struct err *err);

#endif
