#include "authz/actions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static char view[] = "view", edit[] = "edit", export[] = "export", never[] = "never";
static struct action actions[] = { { .name = view }, { .name = edit }, { .name = export, .requirement = NEED_SIGNOFF }, { .name = never, .requirement = NEED_DENY } };
static const struct tool tool = { .actions = actions, .action_count = 4 };

static void test_from_list(void **state)
{
    static const struct { const char *name, *list, *text; } rows[] = {
        { "all", "[]", "*" },
        { "one", "[\"edit\"]", "edit" },
        { "in the tool's order", "[\"export\", \"view\"]", "view,export" },
        { "unknown", "[\"view\", \"vieww\"]", NULL },
        { "twice", "[\"view\", \"view\"]", NULL },
        { "denied", "[\"view\", \"never\"]", NULL },
        { "a number", "[7]", NULL },
        { "a star", "[\"*\"]", NULL },
        { "two in one", "[\"view,edit\"]", NULL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char out[ACTIONS_TEXT_MAX];
        json_t *list = json_loads(rows[i].list, 0, NULL);
        bool good = actions_from_list(&tool, list, out);
        if (good != (rows[i].text != NULL) || (good && strcmp(out, rows[i].text) != 0))
            fail_msg("%s: %s", rows[i].name, out);
        json_decref(list);
    }
}

static void test_narrowing(void **state)
{
    static const struct { const char *narrow, *wide; bool within; const char *both; } rows[] = {
        { "*", "*", true, "*" },
        { "view", "*", true, "view" },
        { "*", "view", false, "view" },
        { "view", "view,edit", true, "view" },
        { "view,edit", "view", false, "view" },
        { "edit", "view", false, "" },
        { "vie", "view", false, "" },
        { "view", "viewer", false, "" },
        { "view,export", "export,edit,view", true, "view,export" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char both[ACTIONS_TEXT_MAX];
        actions_both(rows[i].narrow, rows[i].wide, both);
        if (actions_within(rows[i].narrow, rows[i].wide) != rows[i].within || strcmp(both, rows[i].both) != 0)
            fail_msg("%s in %s: %s", rows[i].narrow, rows[i].wide, both);
    }
    assert_true(actions_has("*", "anything") && actions_has("view,edit", "edit") && !actions_has("view,edit", "dit") && !actions_has("", "view"));
    json_t *list = actions_list("view,edit");
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(json_string_value(json_array_get(list, 1)), "edit");
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_from_list), cmocka_unit_test(test_narrowing) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
