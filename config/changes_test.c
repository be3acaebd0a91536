#include "config/changes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* A policy with one of everything; each row puts something else in place of one of its parts. */
#define PEOPLE                                                                                                  \
    "{ name = \"alice\"; identities = [ \"a@x\", \"a2@x\" ]; groups = [ \"support\" ]; }, "                     \
    "{ name = \"bob\"; identities = [ \"b@x\" ]; groups = [ \"lead\" ]; }, "                                    \
    "{ name = \"olga\"; identities = [ \"o@x\" ]; groups = [ \"ops\" ]; }, "                                    \
    "{ name = \"otto\"; identities = [ \"p@x\" ]; groups = [ \"ops\", \"support\" ]; }"
#define EXPORT "{ name = \"export\"; path = \"/e\"; allow = \"signoff\"; signoff = ( { group = \"lead\"; } ); cross_origin = [ \"https://o.example\" ]; }"
#define VIEW "{ name = \"view\"; path = \"/**\"; allow = \"grant\"; }"
#define ACTIONS EXPORT ", " VIEW
#define BUDGET "requests = 10; actions = ( { action = \"export\"; max = 2; } );"
#define REST "who = [ \"support\", \"lead\" ]; approvers = ( { group = \"lead\"; } ); max_duration = \"1h\";"
#define TOOL "{ name = \"t\"; host = \"t.x\"; upstream = \"http://127.0.0.1:1\"; " REST " actions = ( " ACTIONS " ); budget = { " BUDGET " }; }"
#define TOP "instance = \"i\"; roles = { operators = [ \"ops\" ]; }; tls = { client_ca = \"aa.pem\"; };"
#define OF(people, tools, top) "people = ( " people " ); tools = ( " tools " ); " top
#define TOOL_WITH(rest, actions, budget) \
    "{ name = \"t\"; host = \"t.x\"; upstream = \"http://127.0.0.1:1\"; " rest " actions = ( " actions " ); budget = { " budget " }; }"
static const char before[] = OF(PEOPLE, TOOL, TOP);

#define W "+"                         /* wider, or not surely narrower */
#define N "-"
static const struct row {
    const char *name, *after, *lines; /* lines: W or N before each, a newline behind */
} rows[] = {
    { "nothing", OF(PEOPLE, TOOL, TOP), "" },
    { "somebody joins a group", OF("{ name = \"alice\"; identities = [ \"a@x\", \"a2@x\" ]; groups = [ \"support\", \"lead\" ]; }, " "{ name = \"bob\"; identities = [ \"b@x\" ]; groups = [ \"lead\" ]; }, "
      "{ name = \"olga\"; identities = [ \"o@x\" ]; groups = [ \"ops\" ]; }, { name = \"otto\"; identities = [ \"p@x\" ]; groups = [ \"ops\", \"support\" ]; }", TOOL, TOP), W "group lead gains alice\n" },
    { "somebody leaves one that gives rights", OF("{ name = \"alice\"; identities = [ \"a@x\", \"a2@x\" ]; }, { name = \"bob\"; identities = [ \"b@x\" ]; groups = [ \"lead\" ]; }, "
      "{ name = \"olga\"; identities = [ \"o@x\" ]; groups = [ \"ops\" ]; }, { name = \"otto\"; identities = [ \"p@x\" ]; groups = [ \"ops\", \"support\" ]; }", TOOL, TOP), N "group support loses alice\n" },
    { "one operator fewer", OF("{ name = \"alice\"; identities = [ \"a@x\", \"a2@x\" ]; groups = [ \"support\" ]; }, { name = \"bob\"; identities = [ \"b@x\" ]; groups = [ \"lead\" ]; }, "
      "{ name = \"olga\"; identities = [ \"o@x\" ]; groups = [ \"ops\" ]; }, { name = \"otto\"; identities = [ \"p@x\" ]; groups = [ \"support\" ]; }", TOOL, TOP), W "group ops loses otto\n" },
    { "an operator is taken out", OF("{ name = \"alice\"; identities = [ \"a@x\", \"a2@x\" ]; groups = [ \"support\" ]; }, { name = \"bob\"; identities = [ \"b@x\" ]; groups = [ \"lead\" ]; }, "
      "{ name = \"olga\"; identities = [ \"o@x\" ]; groups = [ \"ops\" ]; }", TOOL, TOP), W "person otto is taken out\n" },
    { "an employee is taken out", OF("{ name = \"bob\"; identities = [ \"b@x\" ]; groups = [ \"lead\" ]; }, "
      "{ name = \"olga\"; identities = [ \"o@x\" ]; groups = [ \"ops\" ]; }, { name = \"otto\"; identities = [ \"p@x\" ]; groups = [ \"ops\", \"support\" ]; }", TOOL, TOP), N "person alice is taken out\n" },
    { "one of her identities fewer", OF("{ name = \"alice\"; identities = [ \"a@x\" ]; groups = [ \"support\" ]; }, { name = \"bob\"; identities = [ \"b@x\" ]; groups = [ \"lead\" ]; }, "
      "{ name = \"olga\"; identities = [ \"o@x\" ]; groups = [ \"ops\" ]; }, { name = \"otto\"; identities = [ \"p@x\" ]; groups = [ \"ops\", \"support\" ]; }", TOOL, TOP), N "person alice: identities loses \"a2@x\"\n" },
    { "an identity moves to another person", OF("{ name = \"alice\"; identities = [ \"a@x\" ]; groups = [ \"support\" ]; }, { name = \"bob\"; identities = [ \"b@x\", \"a2@x\" ]; groups = [ \"lead\" ]; }, "
      "{ name = \"olga\"; identities = [ \"o@x\" ]; groups = [ \"ops\" ]; }, { name = \"otto\"; identities = [ \"p@x\" ]; groups = [ \"ops\", \"support\" ]; }", TOOL, TOP),
      N "person alice: identities loses \"a2@x\"\n" W "person bob: identities gains \"a2@x\"\n" },
    { "a new person", OF(PEOPLE ", { name = \"mallory\"; identities = [ \"m@x\" ]; groups = [ \"ops\" ]; }", TOOL, TOP),
      W "new person mallory\n" W "new person mallory: identities gains \"m@x\"\n" W "group ops gains mallory\n" },
    { "people in another order", OF("{ name = \"otto\"; identities = [ \"p@x\" ]; groups = [ \"support\", \"ops\" ]; }, { name = \"bob\"; identities = [ \"b@x\" ]; groups = [ \"lead\" ]; }, "
      "{ name = \"olga\"; identities = [ \"o@x\" ]; groups = [ \"ops\" ]; }, { name = \"alice\"; identities = [ \"a2@x\", \"a@x\" ]; groups = [ \"support\" ]; }", TOOL, TOP), "" },
    { "no sign-off any more", OF(PEOPLE, TOOL_WITH(REST, "{ name = \"export\"; path = \"/e\"; allow = \"grant\"; cross_origin = [ \"https://o.example\" ]; }, " VIEW, BUDGET), TOP),
      W "tool t: action export: allow: \"signoff\" becomes \"grant\"\n" W "tool t: action export: signoff lead is taken out\n" },
    { "refused from now on", OF(PEOPLE, TOOL_WITH(REST, EXPORT ", { name = \"view\"; path = \"/**\"; allow = \"deny\"; }", BUDGET), TOP), N "tool t: action view: allow: \"grant\" becomes \"deny\"\n" },
    { "a sign-off more may catch other spellings", OF(PEOPLE, TOOL_WITH(REST, EXPORT ", { name = \"view\"; path = \"/**\"; allow = \"signoff\"; }", BUDGET), TOP),
      W "tool t: action view: allow: \"grant\" becomes \"signoff\"\n" },
    { "an action that refuses", OF(PEOPLE, TOOL_WITH(REST, ACTIONS ", { name = \"no\"; path = \"/x\"; allow = \"deny\"; }", BUDGET), TOP),
      N "tool t: new action { name = \"no\"; path = \"/x\"; allow = \"deny\"; }\n" },
    { "an action that refuses, for another origin", OF(PEOPLE, TOOL_WITH(REST, ACTIONS ", { name = \"no\"; path = \"/x\"; allow = \"deny\"; cross_origin = [ \"https://e\" ]; }", BUDGET), TOP),
      W "tool t: new action { name = \"no\"; path = \"/x\"; allow = \"deny\"; cross_origin = [ \"https://e\" ]; }\n" },
    { "an action that allows", OF(PEOPLE, TOOL_WITH(REST, ACTIONS ", { name = \"yes\"; path = \"/x\"; allow = \"grant\"; }", BUDGET), TOP),
      W "tool t: new action { name = \"yes\"; path = \"/x\"; allow = \"grant\"; }\n" },
    { "an action is taken out", OF(PEOPLE, TOOL_WITH(REST, VIEW, BUDGET), TOP), W "tool t: action export is taken out\n" },
    { "actions in another order", OF(PEOPLE, TOOL_WITH(REST, VIEW ", " EXPORT, BUDGET), TOP), W "tool t: the order of the actions\n" },
    { "another path", OF(PEOPLE, TOOL_WITH(REST, "{ name = \"export\"; path = \"/f\"; allow = \"signoff\"; signoff = ( { group = \"lead\"; } ); cross_origin = [ \"https://o.example\" ]; }, " VIEW, BUDGET), TOP),
      W "tool t: action export: path: \"/e\" becomes \"/f\"\n" },
    { "no other origin", OF(PEOPLE, TOOL_WITH(REST, "{ name = \"export\"; path = \"/e\"; allow = \"signoff\"; signoff = ( { group = \"lead\"; } ); }, " VIEW, BUDGET), TOP),
      N "tool t: action export: cross_origin loses \"https://o.example\"\n" },
    { "two have to sign off", OF(PEOPLE, TOOL_WITH(REST, "{ name = \"export\"; path = \"/e\"; allow = \"signoff\"; signoff = ( { group = \"lead\"; count = 2; } ); cross_origin = [ \"https://o.example\" ]; }, " VIEW,
      BUDGET), TOP), N "tool t: action export: signoff lead: count: 1 becomes 2\n" },
    { "longer", OF(PEOPLE, TOOL_WITH("who = [ \"support\", \"lead\" ]; approvers = ( { group = \"lead\"; } ); max_duration = \"61m\";", ACTIONS, BUDGET), TOP),
      W "tool t: max_duration: \"1h\" becomes \"61m\"\n" },
    { "shorter", OF(PEOPLE, TOOL_WITH("who = [ \"support\", \"lead\" ]; approvers = ( { group = \"lead\"; } ); max_duration = \"59m\";", ACTIONS, BUDGET), TOP),
      N "tool t: max_duration: \"1h\" becomes \"59m\"\n" },
    { "as long", OF(PEOPLE, TOOL_WITH("who = [ \"support\", \"lead\" ]; approvers = ( { group = \"lead\"; } ); max_duration = \"60m\";", ACTIONS, BUDGET), TOP), "" },
    { "the default again", OF(PEOPLE, TOOL_WITH("who = [ \"support\", \"lead\" ]; approvers = ( { group = \"lead\"; } );", ACTIONS, BUDGET), TOP), N "tool t: max_duration: \"1h\" becomes \"30m\"\n" },
    { "one more yes", OF(PEOPLE, TOOL_WITH("who = [ \"support\", \"lead\" ]; approvers = ( { group = \"lead\"; }, { group = \"ops\"; } ); max_duration = \"1h\";", ACTIONS, BUDGET), TOP),
      N "tool t: new approver { group = \"ops\"; }\n" },
    { "another's yes", OF(PEOPLE, TOOL_WITH("who = [ \"support\", \"lead\" ]; approvers = ( { group = \"support\"; } ); max_duration = \"1h\";", ACTIONS, BUDGET), TOP),
      N "tool t: new approver { group = \"support\"; }\n" W "tool t: approver lead is taken out\n" },
    { "fewer may ask", OF(PEOPLE, TOOL_WITH("who = [ \"support\" ]; approvers = ( { group = \"lead\"; } ); max_duration = \"1h\";", ACTIONS, BUDGET), TOP), N "tool t: who loses \"lead\"\n" },
    { "more may ask", OF(PEOPLE, TOOL_WITH("who = [ \"support\", \"lead\", \"ops\" ]; approvers = ( { group = \"lead\"; } ); max_duration = \"1h\";", ACTIONS, BUDGET), TOP), W "tool t: who gains \"ops\"\n" },
    { "what looks like another line", OF(PEOPLE, TOOL_WITH("who = [ \"support\", \"lead\", \"x\\x0agroup \xe2\x80\xae\" ]; approvers = ( { group = \"lead\"; } ); max_duration = \"1h\";", ACTIONS, BUDGET), TOP),
      W "tool t: who gains \"x\\x0agroup \\xe2\\x80\\xae\"\n" },
    { "a smaller budget", OF(PEOPLE, TOOL_WITH(REST, ACTIONS, "requests = 9; bytes_out = \"1MiB\"; actions = ( { action = \"export\"; max = 1; }, { action = \"view\"; max = 5; } );"), TOP),
      N "tool t: budget.requests: 10 becomes 9\n" N "tool t: budget.bytes_out: \"0B\" becomes \"1MiB\"\n" N "tool t: budget.action export: max: 2 becomes 1\n"
      N "tool t: budget.new action { action = \"view\"; max = 5; }\n" },
    { "no limit", OF(PEOPLE, TOOL_WITH(REST, ACTIONS, "requests = 0;"), TOP), W "tool t: budget.requests: 10 becomes 0\n" W "tool t: budget.action export is taken out\n" },
    { "a tool is taken out", OF(PEOPLE, "", TOP), N "tool t is taken out\n" },
    { "the tool is elsewhere", OF(PEOPLE, "{ name = \"t\"; host = \"t.x\"; upstream = \"http://evil:1\"; " REST " actions = ( " ACTIONS " ); budget = { " BUDGET " }; }", TOP),
      W "tool t: upstream: \"http://127.0.0.1:1\" becomes \"http://evil:1\"\n" },
    { "another authority", OF(PEOPLE, TOOL, "instance = \"i\"; roles = { operators = [ \"ops\" ]; }; tls = { client_ca = \"bb.pem\"; };"),
      W "tls.client_ca: the file's content changes, from \"aa.pem\" to \"bb.pem\"\n" },
    { "other operators", OF(PEOPLE, TOOL, "instance = \"i\"; roles = { operators = [ \"lead\" ]; }; tls = { client_ca = \"aa.pem\"; };"),
      W "roles.operators gains \"lead\"\n" W "roles.operators loses \"ops\"\n" },
    { "the guard comes", OF(PEOPLE, TOOL, TOP "policy = { second_operator = true; };"), N "policy.second_operator: false becomes true\n" },
    { "how health is looked at", OF(PEOPLE, TOOL_WITH(REST "health_interval = \"9s\";", ACTIONS, BUDGET), TOP), N "tool t: health_interval: \"5s\" becomes \"9s\"\n" },
    { "the names that are not kept", OF(PEOPLE, TOOL_WITH(REST "redact_fields = [ \"password\" ];", ACTIONS, BUDGET), TOP), NULL },
};

static void test_changes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct changes c;
        struct err err = { .text = "" };
        char *got = NULL;
        size_t len = 0;
        FILE *f = open_memstream(&got, &len);
        assert_int_equal(config_changes(before, rows[i].after, &c, &err), OK);
        for (size_t k = 0; k < c.count; k++)
            fprintf(f, "%s%s\n", c.v[k].wider ? W : N, c.v[k].text);
        fclose(f);
        if (rows[i].lines != NULL ? strcmp(got, rows[i].lines) != 0 : c.wider != 1)
            fail_msg("%s:\n%s", rows[i].name, got);
        free(got);
        changes_done(&c);
    }
}

/* Approvers at some hours only: one more entry opens other hours. */
static void test_hours(void **state)
{
    (void)state;
    struct changes c;
    struct err err;
    static const char at[] = OF(PEOPLE, TOOL_WITH("who = [ \"support\" ]; approvers = ( { group = \"lead\"; when = \"mon-fri 08:00-18:00\"; } );", VIEW, ""), TOP);
    static const char more[] = OF(PEOPLE, TOOL_WITH("who = [ \"support\" ]; approvers = ( { group = \"lead\"; when = \"mon-fri 08:00-18:00\"; }, { group = \"support\"; when = \"sat 08:00-18:00\"; } );",
                                                    VIEW, ""), TOP);
    assert_int_equal(config_changes(at, more, &c, &err), OK);
    assert_int_equal(c.wider, 1);
    changes_done(&c);
}

/* A list whose elements can't be told apart is compared as a whole. */
static void test_twins(void **state)
{
    (void)state;
    struct changes c;
    struct err err;
    static const char a[] = OF(PEOPLE, TOOL_WITH("who = [ \"support\" ]; approvers = ( { group = \"lead\"; }, { group = \"lead\"; count = 2; } );", VIEW, ""), TOP);
    static const char b[] = OF(PEOPLE, TOOL_WITH("who = [ \"support\" ]; approvers = ( { group = \"lead\"; }, { group = \"lead\"; count = 3; } );", VIEW, ""), TOP);
    assert_int_equal(config_changes(a, b, &c, &err), OK);
    assert_int_equal(c.count, 1);
    assert_int_equal(c.wider, 1);
    changes_done(&c);
    assert_int_equal(config_changes(a, "people = (", &c, &err), BAD_INPUT);
    changes_done(&c);
}

/* Elements without a name are the same when they say the same, wherever they stand. */
static void test_nameless(void **state)
{
    (void)state;
    struct changes c;
    struct err err;
    static const char one[] = "tls = { more = ( { certificate = \"a\"; key = \"b\"; } ); };", moved[] = "console = \"c\";\n\n\n" "tls = { more = ( { certificate = \"a\"; key = \"b\"; } ); };",
                      other[] = "tls = { more = ( { certificate = \"a\"; key = \"c\"; } ); };";
    assert_int_equal(config_changes(one, moved, &c, &err), OK);
    assert_int_equal(c.count, 1);
    changes_done(&c);
    assert_int_equal(config_changes(one, other, &c, &err), OK);
    assert_int_equal(c.wider, 2);
    changes_done(&c);
}

/* What does not fit is never left out in silence, and what is wider comes first. */
static void test_text(void **state)
{
    (void)state;
    struct change v[] = { { (char *)(uintptr_t)"one", false }, { (char *)(uintptr_t)"two", true }, { (char *)(uintptr_t)"three", true } };
    struct changes c = { v, 3, 2 };
    char *text = changes_text(&c, 1000);
    assert_string_equal(text, "two\nthree\none (narrower)");
    free(text);
    text = changes_text(&c, 5);
    assert_string_equal(text, "2 of 3 changes are not shown here: `countersign policy show -c FILE` at the gateway shows all\ntwo");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_changes), cmocka_unit_test(test_hours), cmocka_unit_test(test_twins), cmocka_unit_test(test_nameless), cmocka_unit_test(test_text) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
