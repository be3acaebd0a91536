/* The verdict in words, for `countersign explain` and problem details. */
#include "authz/judge.h"

#include "proxy/base/log.h"

#include <stdarg.h>

struct words {
    char *out;
    size_t len, max;
};

static void say(struct words *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct words *w, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(w->out + w->len, w->max - w->len, fmt, ap);
    va_end(ap);
    if (n > 0)
        w->len = w->len + (size_t)n < w->max ? w->len + (size_t)n : w->max - 1;
}

static void say_request(struct words *w, const struct policy_request *r)
{
    char method[40], path[300];
    struct slice m = r->method_count ? r->methods[0] : SLICE("");
    say(w, "%s %s", log_escape(m, method, sizeof method), log_escape(r->path, path, sizeof path));
}

static void say_needs(struct words *w, const struct action *a)
{
    for (size_t i = 0; i < a->signoff_count; i++)
        say(w, "%s%u %s of '%s'", i == 0 ? "" : " and ", a->signoff[i].count, a->signoff[i].count == 1 ? "other person" : "other persons", a->signoff[i].group);
}

static void say_refusal(struct words *w, const struct tool *tool, const struct policy_request *r, const struct judgement *j)
{
    if (j->dot_segment) {
        say(w, "the path holds a '.' or '..' that some tools would follow, which is never allowed");
        return;
    }
    if (j->override_refused) {
        say(w, "some action of '%s' allows one of this request's methods, but none allows every method that the tool may take it for", tool->name);
        return;
    }
    say(w, "no action of '%s' matches ", tool->name);
    say_request(w, r);
    say(w, ", and what no action allows is refused");
}

static void say_action(struct words *w, const struct policy_request *r, const struct judgement *j)
{
    const struct action *a = j->verdict.action;
    say(w, "the action '%s' ", a->name);
    if (a->requirement == NEED_GRANT)
        say(w, "allows ");
    else if (a->requirement == NEED_SIGNOFF)
        say(w, "holds ");
    else
        say(w, "never allows ");
    say_request(w, r);
    if (a->requirement == NEED_GRANT)
        say(w, " to those with a valid grant");
    if (policy_record(&j->verdict) == RECORD_METADATA)
        say(w, ", and no bodies are recorded, only heads and sizes");
    if (policy_record(&j->verdict) == RECORD_OFF)
        say(w, ", and nothing of it is recorded");
    if (a->requirement == NEED_SIGNOFF) {
        say(w, " until ");
        say_needs(w, a);
        say(w, " %s signed off exactly this request", a->signoff_count == 1 && a->signoff[0].count == 1 ? "has" : "have");
    }
}

void policy_explain(const struct tool *tool, const struct policy_request *r, char *out, size_t out_max)
{
    struct words w = { out, 0, out_max };
    struct judgement j = policy_judge_fully(tool, r);
    if (out_max == 0)
        return;
    out[0] = 0;
    if (j.verdict.action == NULL)
        say_refusal(&w, tool, r, &j);
    else
        say_action(&w, r, &j);
    if (j.loose)
        say(&w, ", since some tools read that path as '%s'", j.verdict.action->path);
    if (r->body_unreadable && j.verdict.action != NULL && j.verdict.requirement != NEED_GRANT)
        say(&w, "; a body that cannot be read in full counts as the strictest rule of its path");
    if (j.verdict.wants_body)
        say(&w, "; what its body says can change that");
}
