/* courier: takes notices from authz, one for each receiver at a time, sends them, and says how that went. It holds no key of authz, opens no port, and keeps nothing: what it has taken
 * when it dies is due again. SIGHUP reads the config again, SIGTERM ends it at once. */
#ifndef COUNTERSIGN_COURIER_H
#define COUNTERSIGN_COURIER_H

#include "config/config.h"

/* Until SIGTERM. The reference to the config is shared, not taken. */
MUST_CHECK enum status courier_run(struct config *c, const char *config_file, struct err *err);

#endif
