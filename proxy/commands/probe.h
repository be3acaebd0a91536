/* probe: can every tool be reached as the config says, and is its certificate good? For `countersign check --probe`: it connects, shakes hands, and sends nothing. */
#ifndef COUNTERSIGN_PROBE_H
#define COUNTERSIGN_PROBE_H

#include "config/config.h"

/* Append a problem, copied. */
void problems_add(struct problems *p, const char *text);
/* Adds a problem for each place that can't be used. */
void probe_tools(const struct config *c, struct problems *problems);

#endif
