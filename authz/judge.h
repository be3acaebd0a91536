/* judge: the verdict with what led to it, for policy_explain. Internal to this folder. */
#ifndef COUNTERSIGN_JUDGE_H
#define COUNTERSIGN_JUDGE_H

#include "authz/policy.h"

struct judgement {
    struct verdict verdict;
    bool loose;                       /* the action matched a loose reading of the path */
    bool dot_segment;                 /* some tools would see "." or ".." in the path */
    bool override_refused;            /* one of the methods is allowed, another is not */
};
struct judgement policy_judge_fully(const struct tool *tool, const struct policy_request *r);

#endif
