#include "proxy/commands/explain_alone.h"

#include "authz/alone.h"
#include "config/forms.h"
#include "config/hours.h"

#include <stdio.h>
#include <string.h>

static bool lists(const struct auto_rule *r, const char *action)
{
    for (size_t i = 0; i < r->action_count; i++)
        if (strcmp(r->actions[i], action) == 0)
            return true;
    return false;
}

/* Why a rule does not fit, in the order in which people would ask; NULL: it does, so far as can be known before somebody asks. */
static const char *why_not(const struct auto_rule *r, const struct tool *tool, const struct person *person, const struct action *action, int64_t now_s)
{
    if (person == NULL || !person_in_any(person, tool->who, tool->who_count))
        return "it is for those who may ask for the tool";
    if (!person_in_any(person, r->groups, r->group_count))
        return "it is for other groups";
    if (action == NULL || !lists(r, action->name))
        return "it is not for this action";
    if (action->requirement == NEED_DENY)
        return "this action is never allowed";
    if (!hours_hold(r->when, hours_minute(now_s)))
        return "it does not hold at this hour";
    return NULL;
}

static json_t *rule_view(const struct auto_rule *r, const char *why)
{
    json_t *v = json_pack("{s:s, s:b, s:s, s:I, s:i}", "rule", r->name, "fits", why == NULL, "why", why ? why : "", "max_duration_s", (json_int_t)(r->max_duration_ms / 1000), "per_day",
                          (int)r->per_day);
    if (v != NULL && r->reason != NULL)
        json_object_set_new(v, "reason", json_string(r->reason));
    return v;
}

json_t *explain_alone(const struct tool *tool, const struct person *person, const struct action *action, int64_t now_s)
{
    const struct break_glass *b = &tool->break_glass;
    json_t *rules = json_array(), *glass = json_null();
    for (size_t i = 0; i < tool->auto_count; i++)
        json_array_append_new(rules, rule_view(&tool->autos[i], why_not(&tool->autos[i], tool, person, action, now_s)));
    if (b->group_count > 0)
        glass = json_pack("{s:b, s:I, s:I}", "may", alone_may_break_glass(tool, person), "max_duration_s", (json_int_t)(b->max_duration_ms / 1000), "review_within_s",
                          (json_int_t)(b->review_within_ms / 1000));
    return json_pack("{s:o, s:o}", "auto", rules, "break_glass", glass);
}

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

static void seconds_text(const json_t *o, const char *name, char out[FORM_TEXT_MAX])
{
    duration_text(json_integer_value(json_object_get(o, name)) * 1000, out);
}

static void print_rule(const json_t *v)
{
    char longest[FORM_TEXT_MAX];
    seconds_text(v, "max_duration_s", longest);
    if (!json_is_true(json_object_get(v, "fits"))) {
        printf("auto:    the rule '%s' grants nothing here: %s\n", text(v, "rule"), text(v, "why"));
        return;
    }
    printf("auto:    the rule '%s' grants it without a second person, to who asks for this action by its name, for %s at most, %lld times a day", text(v, "rule"), longest,
           (long long)json_integer_value(json_object_get(v, "per_day")));
    if (text(v, "reason")[0] != 0)
        printf(", with a reason in which '%s' is found", text(v, "reason"));
    putchar('\n');
}

void explain_alone_print(const json_t *alone, const char *person)
{
    const json_t *glass = json_object_get(alone, "break_glass"), *v;
    char longest[FORM_TEXT_MAX], within[FORM_TEXT_MAX];
    size_t i;
    json_array_foreach(json_object_get(alone, "auto"), i, v)
        print_rule(v);
    if (!json_is_object(glass))
        return;
    seconds_text(glass, "max_duration_s", longest);
    seconds_text(glass, "review_within_s", within);
    if (json_is_true(json_object_get(glass, "may")))
        printf("glass:   %s may break the glass in an emergency: access for %s at most, everybody concerned is told, and somebody else owes a review within %s\n", person, longest, within);
    else
        printf("glass:   others may break the glass of this tool, %s may not\n", person);
}
