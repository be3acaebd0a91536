/* explain_alone: what `countersign explain` says of grants that need no second person: the tool's rules (`auto`) and break-glass, for this person and action, at this hour. */
#ifndef COUNTERSIGN_EXPLAIN_ALONE_H
#define COUNTERSIGN_EXPLAIN_ALONE_H

#include "config/config.h"

#include <jansson.h>

/* {"auto": [{rule, fits, why, max_duration_s, per_day, reason?}], "break_glass": {may, max_duration_s, review_within_s} or null}. person NULL: nobody; action NULL: none matches. NULL: no
 * memory. */
json_t *explain_alone(const struct tool *tool, const struct person *person, const struct action *action, int64_t now_s);
/* The same as lines of the command's answer; nothing where the tool has no such rules. */
void explain_alone_print(const json_t *alone, const char *person);

#endif
