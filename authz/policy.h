/* policy: who may do what, decided from an immutable config snapshot. Pure: no clock, no I/O, no allocation a request.
 *
 * authz uses it to judge requests and approvals; proxy links the same code, so that both read one rule one way. Default deny:
 * a request that matches no action is refused. When several actions match, the strictest requirement wins, and among equals the
 * one written first gives its name (a durable one before one that is not).
 *
 * signoff and deny count when any reading matches: of fields, methods, the body that can't be read, and of the path in spellings that only some tools
 * take for the same (case, "%3A", a '/' at the end, ";params"). grant counts only for what it names in full: every method reading, every value of a
 * field it has a condition on, the path as it is. */
#ifndef COUNTERSIGN_POLICY_H
#define COUNTERSIGN_POLICY_H

#include "config/config.h"

/* One reading of a field: the same name may come many times, and every one counts. */
struct reading {
    struct slice name, value;
};

/* What a request says, with all its readings. Everything is borrowed for the call. */
struct policy_request {
    const struct slice *methods;      /* the real one first, then overrides (X-HTTP-Method-Override, _method) */
    size_t method_count;
    struct slice path;                /* normal form, without query */
    const struct reading *query;
    size_t query_count;
    const struct reading *body;
    size_t body_count;
    bool body_seen;                   /* body holds all readings of a body that was read in full */
    bool body_unreadable;             /* there is a body, and it can't be read in full (type, coding, size): every body rule counts as matching */
};

/* Two loose readings of a path: with ";params" and without. */
enum { POLICY_ALSO = 2 };

struct verdict {
    enum requirement requirement;
    const struct action *action;      /* NULL: nothing matched, NEED_DENY */
    bool wants_body;                  /* body_seen was false and some action that could change the verdict has body rules: read it, ask again */
    const struct action *also[POLICY_ALSO];   /* NEED_GRANT: the action that a tool which reads the path loosely takes it for, where that is another one; or NULL */
};

struct verdict policy_judge(const struct tool *tool, const struct policy_request *r);

/* What is kept of a request with this verdict: what its action says if a grant is enough for it and it need not be durable; else, and while the body may
 * still change the verdict, all of it. Of `action` and `also` the one that keeps more counts, or is durable: nobody chooses by the spelling of a path. */
enum record_mode policy_record(const struct verdict *v);
bool policy_durable(const struct verdict *v);

/* The tool served at this host (lower case, no port), or NULL. */
const struct tool *policy_tool_at(const struct config *c, struct slice host);
/* May this person ask for a grant to the tool? */
bool policy_may_ask(const struct tool *tool, const struct person *p);
/* The entries that are asked for of what was made at this time (`when`), at most NEEDS_AT_MAX; returns how many. None: nobody can say yes. */
enum { NEEDS_AT_MAX = 8 };
size_t policy_needs_at(const struct need *needs, size_t need_count, int64_t made_s, struct need out[NEEDS_AT_MAX]);
/* Do the approvers (distinct persons, none of them the requester) fill every need? A person counts for every group they are in
 * only once per need, and nobody counts for two needs. */
bool policy_needs_met(const struct need *needs, size_t need_count, const struct person *requester,
                      const struct person *const *approvers, size_t approver_count);
/* The same, where methods[i] is how approvers[i] signed: a need may ask for one. "command-line", "hardware" or another word; NULL: none. */
bool policy_needs_met_by(const struct need *needs, size_t need_count, const struct person *requester, const struct person *const *approvers,
                         const char *const *methods, size_t approver_count);
/* Would a yes signed by this method fill a place of a need whose group the person is in? */
bool policy_method_counts(const struct need *needs, size_t need_count, const struct person *who, const char *method);
/* Could this person's yes count here at all? (in a needed group, and not the requester) */
bool policy_may_approve(const struct need *needs, size_t need_count, const struct person *requester, const struct person *who);
/* SHA-256 over the tool's compiled policy as canonical JSON (RFC 8785): lower-case hex with a NUL. */
void policy_hash(const struct config *c, const struct tool *tool, char out[65]);
/* Human words for why, for `countersign explain` and problem details: one sentence without a final full stop. */
void policy_explain(const struct tool *tool, const struct policy_request *r, char *out, size_t out_max);
/* Pattern matching as in struct action.path and field_rule.equals; linear time in both lengths' product at most. */
bool path_matches(const char *pattern, struct slice path);
bool value_matches(const char *pattern, struct slice value);

#endif
