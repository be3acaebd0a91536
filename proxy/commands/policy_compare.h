/* policy_compare: a config file beside the policy that is in force. */
#ifndef COUNTERSIGN_POLICY_COMPARE_H
#define COUNTERSIGN_POLICY_COMPARE_H

#include "config/changes.h"
#include "config/config.h"

/* What the file (its path) would change of the policy in force, as the state folder says; *differs false: nothing, or every file counts. changes_done()
 * in any case. BAD_CONFIG: one of the two can't be read. */
MUST_CHECK enum status policy_compare(const char *path, bool *differs, struct changes *out, struct err *err);

#endif
