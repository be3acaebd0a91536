/* actions: the part of a tool that a request, an approval or a grant is for, as one text: "*" for all, else names joined by commas in the tool's order. Pure. */
#ifndef COUNTERSIGN_ACTIONS_H
#define COUNTERSIGN_ACTIONS_H

#include "config/config.h"

#include <jansson.h>

enum { ACTIONS_MAX = 32, ACTIONS_TEXT_MAX = 1200 };

/* From a list of names (NULL or empty: all). False: an unknown name, one that is always denied, or too many. */
bool actions_from_list(const struct tool *tool, const json_t *names, char out[ACTIONS_TEXT_MAX]);
bool actions_has(const char *actions, const char *name);
/* Is each of the first among the second? */
bool actions_within(const char *narrow, const char *wide);
/* What is in both, in the order of a; "" when nothing is. out may be a. */
void actions_both(const char *a, const char *b, char out[ACTIONS_TEXT_MAX]);
/* ["*"] or the names; NULL: no memory. */
json_t *actions_list(const char *actions);

#endif
