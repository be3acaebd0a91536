#include "proxy/commands/explain_alone.h"

#include "config/hours.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static char *support[] = { (char[]){ "support" } }, *on_call[] = { (char[]){ "on-call" } }, *leads[] = { (char[]){ "leads" } }, *both[] = { (char[]){ "support" }, (char[]){ "on-call" } };
static char *views[] = { (char[]){ "view" }, (char[]){ "wipe" } };
static struct person alice = { .name = (char[]){ "alice" }, .groups = both, .group_count = 2 }, mallory = { .name = (char[]){ "mallory" }, .groups = support, .group_count = 1 },
                     lead = { .name = (char[]){ "lead" }, .groups = leads, .group_count = 1 };
static struct action view = { .name = (char[]){ "view" }, .requirement = NEED_GRANT }, edit = { .name = (char[]){ "edit" }, .requirement = NEED_GRANT },
                     wipe = { .name = (char[]){ "wipe" }, .requirement = NEED_DENY };

static void rules_and_glass(void **state)
{
    struct auto_rule rule = { .name = (char[]){ "low" }, .groups = on_call, .group_count = 1, .actions = views, .action_count = 2, .max_duration_ms = 900000, .per_day = 4 };
    struct tool tool = { .name = (char[]){ "support" }, .who = support, .who_count = 1, .autos = &rule, .auto_count = 1,
                         .break_glass = { .groups = leads, .group_count = 1, .max_duration_ms = 600000, .review_within_ms = 86400000 } };
    const struct { const char *name; const struct person *who; const struct action *action; const char *why; bool glass; } rows[] = {
        { "it fits", &alice, &view, "", false },
        { "another action", &alice, &edit, "not for this action", false },
        { "an action that is never allowed", &alice, &wipe, "never allowed", false },
        { "no action", &alice, NULL, "not for this action", false },
        { "another group", &mallory, &view, "other groups", false },
        { "may not ask at all", &lead, &view, "may ask for the tool", true },
        { "nobody", NULL, &view, "may ask for the tool", false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *a = explain_alone(&tool, rows[i].who, rows[i].action, 1790000000), *v = json_array_get(json_object_get(a, "auto"), 0);
        const char *why = json_string_value(json_object_get(v, "why"));
        if (json_is_true(json_object_get(v, "fits")) != (rows[i].why[0] == 0) || strstr(why, rows[i].why) == NULL
            || json_is_true(json_object_get(json_object_get(a, "break_glass"), "may")) != rows[i].glass)
            fail_msg("%s: %s", rows[i].name, why);
        json_decref(a);
    }
}

static void a_tool_without_them_says_nothing(void **state)
{
    struct tool tool = { .name = (char[]){ "support" }, .who = support, .who_count = 1 };
    (void)state;
    json_t *a = explain_alone(&tool, &alice, &view, 1790000000);
    assert_int_equal(json_array_size(json_object_get(a, "auto")), 0);
    assert_true(json_is_null(json_object_get(a, "break_glass")));
    json_decref(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(rules_and_glass), cmocka_unit_test(a_tool_without_them_says_nothing) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
