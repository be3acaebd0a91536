/* alone: grants that come about without a second person, of which there are three named kinds: "break-glass" and "auto", decided here from the config, and
 * "external". Pure. Each is off by default, stands in the claim `basis` and in the log, and none is ever a sign-off (design.md promise 2). */
#ifndef COUNTERSIGN_ALONE_H
#define COUNTERSIGN_ALONE_H

#include "config/config.h"

#define BASIS_APPROVED "approved"
#define BASIS_BREAK_GLASS "break-glass"
#define BASIS_AUTO "auto"
#define BASIS_EXTERNAL "external"

/* Is it one of the two kinds that have no approver, nor an issuer? */
bool basis_is_alone(const char *basis);

/* May this person break the glass of this tool? */
bool alone_may_break_glass(const struct tool *tool, const struct person *who);
/* May `who` review a use by the person of this name? tool NULL: it has left the config, then auditors may. */
bool alone_may_review(const struct config *c, const struct tool *tool, const char *person, const struct person *who);
/* May this person stop such a grant? Nobody approved it, so those who could have may; operators may stop anything. */
bool alone_may_stop(const struct config *c, const struct tool *tool, const struct person *who);
/* Does a use concern this person: approvers and reviewers of the tool, operators, auditors? */
bool alone_concerns(const struct config *c, const struct tool *tool, const struct person *who);
/* The rule that grants exactly this, or NULL: the first that fits in every point. actions: as in actions.h; "*" fits none, since a rule names what it is for. */
const struct auto_rule *alone_rule(const struct tool *tool, const struct person *who, const char *actions, const char *reason, int64_t duration_s, int64_t now_s);

#endif
