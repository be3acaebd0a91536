/* process: what each of Countersign's processes does to itself first. */
#ifndef COUNTERSIGN_PROCESS_H
#define COUNTERSIGN_PROCESS_H

#include "proxy/base/status.h"

/* Nothing of this process is in a core file, whoever makes one and whatever the limits say (root's gcore too, which honours the filter of core(5)). */
void process_no_dumps(void);
/* That; no debugger of the same user, no new privileges; ends by SIGTERM when the parent dies (0: has none). SIGPIPE is ignored. */
void process_harden(int parent_pid);
/* Become this user for good (NULL: stay). Only root can. */
MUST_CHECK enum status process_become(const char *user, struct err *err);

#endif
