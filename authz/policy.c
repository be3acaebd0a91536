/* The verdict on a request.
 *
 * A request has readings: its method and what overrides it, its path and what some tools take it for, fields that come twice. Which one the tool will
 * follow is not known, so:
 *   - an action that asks for more than a grant (signoff, deny) counts when *any* reading matches;
 *   - an action that is content with a grant counts only for what it names in full: for each method reading there must be one, and every value
 *     of a field it has a condition on must match. Otherwise a second value could ride along with an allowed one, and default deny would be lost.
 * Loose readings of the path (case, %3A for ':', a '/' at the end, ";params", and '\' or '%2F' where the tool allows them) can make a verdict
 * stricter and never milder: where another action that is content with a grant fits such a reading, what it wants recorded, durable and granted counts too. */
#include "authz/judge.h"
#include "authz/pattern.h"
#include "config/index.h"

enum { PATH_JUDGED_MAX = 8192, METHODS_MAX = 64 };

/* The better candidate of a kind so far. */
struct best {
    const struct action *action;
    size_t at;
    bool loose;
};

struct tally {
    struct best strict, loose_strict, grant;      /* what matched */
    struct best want_strict, want_loose, want_grant;   /* what may match once the body is read */
    uint64_t granted_methods;                     /* a bit for each of the request's methods that some grant action covers */
    struct best also[POLICY_ALSO];                /* content with a grant, for each loose reading */
    size_t reading;                               /* the one under way */
};

static unsigned rank(const struct action *a)
{
    return (unsigned)a->requirement * 2 + (a->requirement == NEED_GRANT && a->durable);
}

/* Strictest first; durable is stricter than not; then the order written. */
static bool better(const struct action *a, size_t at, const struct best *than)
{
    if (than->action == NULL || rank(a) != rank(than->action))
        return than->action == NULL || rank(a) > rank(than->action);
    return at < than->at;
}

static void keep(struct best *best, const struct action *a, size_t at, bool loose)
{
    if (better(a, at, best))
        *best = (struct best){ a, at, loose };
}

/* ---- conditions ----------------------------------------------------------------------------------------------- */

/* What form libraries strip from the ends of a value (Django's CharField, Laravel's TrimStrings): control bytes and space, and U+0085, U+00A0, U+1680,
 * U+2000 to U+200F, U+2028 to U+202F, U+205F, U+3000, U+FEFF in UTF-8. Length of one at the start of s, or 0. */
static size_t space_length(struct slice s)
{
    const unsigned char *p = s.ptr;
    if (s.len >= 1 && p[0] <= 0x20)
        return 1;
    if (s.len >= 2 && p[0] == 0xc2 && (p[1] == 0x85 || p[1] == 0xa0))
        return 2;
    if (s.len < 3)
        return 0;
    bool general = p[0] == 0xe2 && p[1] == 0x80 && (p[2] <= 0x8f || (p[2] >= 0xa8 && p[2] <= 0xaf));
    bool other = (p[0] == 0xe1 && p[1] == 0x9a && p[2] == 0x80) || (p[0] == 0xe2 && p[1] == 0x81 && p[2] == 0x9f) ||
                 (p[0] == 0xe3 && p[1] == 0x80 && p[2] == 0x80) || (p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf);
    return general || other ? 3 : 0;
}

static struct slice stripped(struct slice s)
{
    size_t n;
    while ((n = space_length(s)) > 0)
        s = slice_from(s, n);
    for (bool more = true; more;) {
        more = false;
        for (n = 1; n <= 3 && n <= s.len && !more; n++)
            if (space_length(slice_from(s, s.len - n)) == n) {
                s.len -= n;
                more = true;
            }
    }
    return s;
}

static bool any_field(const struct field_rule *rule, const struct reading *readings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (slice_ieq(slice_str(rule->name), readings[i].name) &&
            (rule->equals == NULL || value_matches_loosely(rule->equals, readings[i].value) ||
             value_matches_loosely(rule->equals, stripped(readings[i].value))))
            return true;
    return false;
}

/* Rails' params and PHP's $_REQUEST hold the query and the body as one, so what a rule wants of the body may stand in the query. */
static bool body_matches(const struct action *a, const struct policy_request *r)
{
    for (size_t i = 0; i < a->body_count; i++)
        if (!any_field(&a->body[i], r->body, r->body_count) && !any_field(&a->body[i], r->query, r->query_count))
            return false;
    return true;
}

static bool every_field(const struct field_rule *rule, const struct reading *readings, size_t count)
{
    bool there = false;
    for (size_t i = 0; i < count; i++) {
        if (!slice_ieq(slice_str(rule->name), readings[i].name))
            continue;
        if (rule->equals != NULL && !value_matches(rule->equals, readings[i].value))
            return false;
        there = there || slice_eq(slice_str(rule->name), readings[i].name);
    }
    return there;
}

typedef bool field_test(const struct field_rule *rule, const struct reading *readings, size_t count);
static bool fields_match(const struct field_rule *rules, size_t rule_count, const struct reading *readings, size_t count, field_test *holds)
{
    for (size_t i = 0; i < rule_count; i++)
        if (!holds(&rules[i], readings, count))
            return false;
    return true;
}

static bool names_method(const struct action *a, struct slice method, bool fold)
{
    for (size_t i = 0; i < a->method_count; i++) {
        struct slice name = slice_str(a->methods[i]);
        if (fold ? slice_ieq(name, method) : slice_eq(name, method))
            return true;
    }
    return a->method_count == 0;
}

static bool body_known(const struct policy_request *r)
{
    return r->body_seen || r->body_unreadable;
}

/* A form's `_method` can turn a POST into anything, so an unread body may hold any method. */
static bool may_override(const struct policy_request *r)
{
    return !r->body_seen && r->method_count > 0 && slice_ieq(r->methods[0], SLICE("POST"));
}

/* ---- one action whose path matches ---------------------------------------------------------------------------- */

static void consider_strict(struct tally *t, const struct action *a, size_t at, const struct policy_request *r, bool loose)
{
    bool method = false;
    for (size_t i = 0; i < r->method_count; i++)   /* most frameworks run HEAD as GET, and throw the content away */
        method = method || names_method(a, r->methods[i], true) ||
                 (slice_ieq(r->methods[i], SLICE("HEAD")) && names_method(a, SLICE("GET"), true));
    bool overridden = !method && may_override(r);
    if ((!method && !overridden) || !fields_match(a->query, a->query_count, r->query, r->query_count, any_field))
        return;
    bool matches = body_matches(a, r);
    if ((!matches || overridden) && !body_known(r))
        keep(loose ? &t->want_loose : &t->want_strict, a, at, loose);
    else if (matches || r->body_unreadable)
        keep(loose ? &t->loose_strict : &t->strict, a, at, loose);
}

static void consider_grant(struct tally *t, const struct action *a, size_t at, const struct policy_request *r)
{
    uint64_t covers = 0;
    for (size_t i = 0; i < r->method_count; i++)
        covers |= (uint64_t)names_method(a, r->methods[i], false) << i;
    if (covers == 0 || !fields_match(a->query, a->query_count, r->query, r->query_count, every_field))
        return;
    if (a->body_count > 0 && !body_known(r)) {
        keep(&t->want_grant, a, at, false);
        return;
    }
    if (a->body_count > 0 && (r->body_unreadable || !fields_match(a->body, a->body_count, r->body, r->body_count, every_field)))
        return;
    t->granted_methods |= covers;
    keep(&t->grant, a, at, false);
}

/* It gives no leave, so what is not known of the body counts as matching. */
static void consider_also(struct tally *t, const struct action *a, size_t at, const struct policy_request *r)
{
    bool method = false;
    for (size_t i = 0; i < r->method_count; i++)
        method = method || names_method(a, r->methods[i], false);
    if (!method || !fields_match(a->query, a->query_count, r->query, r->query_count, every_field))
        return;
    if (!r->body_seen || fields_match(a->body, a->body_count, r->body, r->body_count, every_field))
        keep(&t->also[t->reading], a, at, true);
}

/* ---- candidates ----------------------------------------------------------------------------------------------- */

static bool loosely(const struct tool *tool, size_t at, struct slice path)
{
    char loose[PATTERN_MAX + 1];
    const char *pattern = tool->actions[at].path;
    size_t len;
    if (tool->index != NULL)
        return path_matches_loosely(action_index_loose(tool->index, at), path);
    len = strlen(pattern);
    if (len > PATTERN_MAX)
        return false;
    loose[path_loosen(slice_of(pattern, len), false, loose)] = 0;
    return path_matches_loosely(loose, path);
}

static void consider(struct tally *t, const struct tool *tool, size_t at, const struct policy_request *r, struct slice path, bool loose)
{
    const struct action *a = &tool->actions[at];
    if (!(loose ? loosely(tool, at, path) : path_matches(a->path, path)))
        return;
    if (a->requirement != NEED_GRANT)
        consider_strict(t, a, at, r, loose);
    else if (loose)
        consider_also(t, a, at, r);
    else
        consider_grant(t, a, at, r);
}

static void consider_all(struct tally *t, const struct tool *tool, const struct policy_request *r, struct slice path, bool loose)
{
    size_t at = 0;
    if (tool->index == NULL) {
        for (; at < tool->action_count; at++)
            consider(t, tool, at, r, path, loose);
        return;
    }
    struct action_walk walk = action_walk_start(tool->index, path, loose);
    while (action_walk_next(&walk, &at))
        consider(t, tool, at, r, path, loose);
}

/* "/a/../b", "/a/." once loosened: an ordinary path never holds one, and a tool that sees one goes where no rule looked. */
static bool has_dot_segment(struct slice path)
{
    while (path.len > 0) {
        size_t end = slice_find(path, '/');
        if ((end == 1 || end == 2) && path.ptr[0] == '.' && path.ptr[end - 1] == '.')
            return true;
        path = slice_from(path, end < path.len ? end + 1 : end);
    }
    return false;
}

/* False: the path is refused whatever the rules say. */
static bool consider_loosely(struct tally *t, const struct tool *tool, const struct policy_request *r)
{
    char loose[PATH_JUDGED_MAX];
    bool params = slice_find(r->path, ';') < r->path.len;
    for (int keep_params = 0; keep_params <= params; keep_params++) {
        struct slice path = slice_of(loose, path_loosen(r->path, !keep_params, loose));
        if (has_dot_segment(path))
            return false;
        t->reading = (size_t)keep_params;
        consider_all(t, tool, r, path, true);
    }
    return true;
}

/* ---- the verdict ---------------------------------------------------------------------------------------------- */

static struct best decide(const struct tally *t, const struct policy_request *r)
{
    uint64_t all = r->method_count == METHODS_MAX ? UINT64_MAX : (UINT64_C(1) << r->method_count) - 1;
    struct best best = t->strict;
    if (best.action == NULL && t->granted_methods == all)
        best = t->grant;
    if (best.action != NULL && t->loose_strict.action != NULL && rank(t->loose_strict.action) > rank(best.action))
        best = t->loose_strict;
    return best;
}

static bool could_replace(const struct best *wanted, const struct best *best)
{
    return wanted->action != NULL && better(wanted->action, wanted->at, best);
}

/* Could reading the body change what was decided? */
static bool wants_body(const struct tally *t, const struct best *best)
{
    if (could_replace(&t->want_strict, best) || could_replace(&t->want_grant, best))
        return true;
    return best->action != NULL && t->want_loose.action != NULL && rank(t->want_loose.action) > rank(best->action);
}

struct judgement policy_judge_fully(const struct tool *tool, const struct policy_request *r)
{
    struct tally t = { 0 };
    struct judgement j = { .verdict = { .requirement = NEED_DENY } };
    if (r->path.len == 0 || r->path.len > PATH_JUDGED_MAX || r->method_count == 0 || r->method_count > METHODS_MAX)
        return j;
    consider_all(&t, tool, r, r->path, false);
    if (!consider_loosely(&t, tool, r)) {
        j.dot_segment = true;
        return j;
    }
    struct best best = decide(&t, r);
    j.override_refused = best.action == NULL && t.granted_methods != 0;
    j.loose = best.action != NULL && best.loose;
    j.verdict.action = best.action;
    j.verdict.requirement = best.action ? best.action->requirement : NEED_DENY;
    j.verdict.wants_body = !body_known(r) && wants_body(&t, &best);
    for (size_t i = 0; i < POLICY_ALSO && j.verdict.requirement == NEED_GRANT; i++)
        j.verdict.also[i] = t.also[i].action != best.action ? t.also[i].action : NULL;
    return j;
}

struct verdict policy_judge(const struct tool *tool, const struct policy_request *r)
{
    return policy_judge_fully(tool, r).verdict;
}

bool policy_durable(const struct verdict *v)
{
    bool durable = v->action != NULL && v->action->durable;
    for (size_t i = 0; i < POLICY_ALSO; i++)
        durable = durable || (v->also[i] != NULL && v->also[i]->durable);
    return durable;
}

enum record_mode policy_record(const struct verdict *v)
{
    if (v->action == NULL || v->requirement != NEED_GRANT || v->wants_body || policy_durable(v))
        return RECORD_FULL;
    enum record_mode mode = v->action->record;
    for (size_t i = 0; i < POLICY_ALSO; i++)   /* the smaller word keeps more */
        if (v->also[i] != NULL && v->also[i]->record < mode)
            mode = v->also[i]->record;
    return mode;
}

const struct tool *policy_tool_at(const struct config *c, struct slice host)
{
    for (size_t i = 0; i < c->tool_count; i++)
        if (slice_eq(slice_str(c->tools[i].host), host))
            return &c->tools[i];
    return NULL;
}

bool policy_may_ask(const struct tool *tool, const struct person *p)
{
    return p != NULL && (person_in_any(p, tool->who, tool->who_count) || person_in_any(p, tool->break_glass.groups, tool->break_glass.group_count));
}
