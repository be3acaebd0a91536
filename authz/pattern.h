/* pattern: beside path_matches and value_matches (policy.h), the loose forms that stricter rules use. Internal to this folder. */
#ifndef COUNTERSIGN_PATTERN_H
#define COUNTERSIGN_PATTERN_H

#include "authz/policy.h"

/* pattern and path in their loose form (config/index.h); the path matches as it is or with one more '/' at the end. */
bool path_matches_loosely(const char *pattern, struct slice path);
/* Without regard to ASCII case. */
bool value_matches_loosely(const char *pattern, struct slice value);

#endif
