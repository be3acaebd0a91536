#include "authz/alone.h"

#include "authz/actions.h"

#include "config/hours.h"

#include <regex.h>
#include <string.h>

bool basis_is_alone(const char *basis)
{
    return strcmp(basis, BASIS_BREAK_GLASS) == 0 || strcmp(basis, BASIS_AUTO) == 0;
}

bool alone_may_break_glass(const struct tool *tool, const struct person *who)
{
    return who != NULL && person_in_any(who, tool->break_glass.groups, tool->break_glass.group_count);
}

static bool approves(const struct tool *tool, const struct person *who)
{
    for (size_t i = 0; i < tool->approver_count; i++)
        if (person_in_group(who, tool->approvers[i].group))
            return true;
    return false;
}

static bool audits(const struct config *c, const struct person *who)
{
    return person_in_any(who, c->auditors, c->auditor_count);
}

bool alone_may_review(const struct config *c, const struct tool *tool, const char *person, const struct person *who)
{
    if (who == NULL || strcmp(who->name, person) == 0)
        return false;
    if (tool != NULL && tool->break_glass.reviewer_count > 0)
        return person_in_any(who, tool->break_glass.reviewers, tool->break_glass.reviewer_count);
    return audits(c, who) || (tool != NULL && approves(tool, who));
}

bool alone_may_stop(const struct config *c, const struct tool *tool, const struct person *who)
{
    return person_in_any(who, c->operators, c->operator_count) || (tool != NULL && approves(tool, who));
}

bool alone_concerns(const struct config *c, const struct tool *tool, const struct person *who)
{
    if (audits(c, who) || person_in_any(who, c->operators, c->operator_count))
        return true;
    return tool != NULL && (approves(tool, who) || person_in_any(who, tool->break_glass.reviewers, tool->break_glass.reviewer_count));
}

/* The expression was compiled when the config was loaded, so it compiles now; if not, nothing fits it. */
static bool found_in(const char *expression, const char *text)
{
    regex_t r;
    if (expression == NULL)
        return true;
    if (regcomp(&r, expression, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    bool found = regexec(&r, text, 0, NULL, 0) == 0;
    regfree(&r);
    return found;
}

/* Each name of the list is one of the rule's. */
static bool rule_covers(const struct auto_rule *r, const char *actions)
{
    char listed[ACTIONS_TEXT_MAX] = "";
    for (size_t i = 0; i < r->action_count; i++) {
        size_t n = strlen(listed), more = strlen(r->actions[i]);
        if (n + more + 2 > sizeof listed)
            return false;
        if (n > 0)
            listed[n++] = ',';
        memcpy(listed + n, r->actions[i], more + 1);
    }
    return strcmp(actions, "*") != 0 && actions[0] != 0 && actions_within(actions, listed);
}

const struct auto_rule *alone_rule(const struct tool *tool, const struct person *who, const char *actions, const char *reason, int64_t duration_s, int64_t now_s)
{
    for (size_t i = 0; i < tool->auto_count; i++) {
        const struct auto_rule *r = &tool->autos[i];
        if (person_in_any(who, r->groups, r->group_count) && hours_hold(r->when, hours_minute(now_s)) && duration_s >= 1
            && duration_s <= r->max_duration_ms / 1000 && rule_covers(r, actions) && found_in(r->reason, reason))
            return r;
    }
    return NULL;
}
