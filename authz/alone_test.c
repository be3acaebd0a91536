#include "authz/alone.h"

#include "config/hours.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static char *call[] = { "on-call" }, *audit[] = { "audit" }, *lead[] = { "lead", "on-call" }, *look[] = { "view", "list" }, *security[] = { "security" };
static struct need needs[] = { { .group = "lead", .count = 1 } };
static struct hours night = { .text = "mon-sun 18:00-08:00" };
static struct auto_rule rules[] = {
    { .name = "first", .groups = call, .group_count = 1, .actions = look, .action_count = 2, .max_duration_ms = 600000, .reason = "^INC-[0-9]+" },
    { .name = "nights", .groups = call, .group_count = 1, .when = &night, .actions = look, .action_count = 1, .max_duration_ms = 3600000 },
};
static struct tool tool = { .name = "t", .approvers = needs, .approver_count = 1, .autos = rules, .auto_count = 2 };
static struct config config = { .auditors = audit, .auditor_count = 1 };
static const struct person alice = { .name = "alice", .groups = call, .group_count = 1 }, bob = { .name = "bob", .groups = lead, .group_count = 1 },
                           dan = { .name = "dan", .groups = audit, .group_count = 1 }, carol = { .name = "carol", .groups = security, .group_count = 1 };

static void a_rule_fits_in_every_point(void **state)
{
    (void)state;
    assert_true(hours_parse(night.text, &night));
    int64_t noon = 1790000000 - 1790000000 % 86400, midnight = noon;
    for (int64_t h = 0; h < 24; h++) {   /* whatever the time zone of this machine */
        int64_t at = 1790000000 - 1790000000 % 86400 + h * 3600;
        if (hours_minute(at) % 1440 == 12 * 60)
            noon = at;
        if (hours_minute(at) % 1440 == 0)
            midnight = at;
    }
    const struct { const char *name; const struct person *who; const char *actions, *reason; int64_t duration_s, now_s; const char *want; } rows[] = {
        { "one listed action", &alice, "view", "INC-4711 login", 600, noon, "first" },
        { "all listed actions", &alice, "view,list", "INC-4711", 1, noon, "first" },
        { "too long", &alice, "view", "INC-4711", 601, noon, NULL },
        { "no time", &alice, "view", "INC-4711", 0, noon, NULL },
        { "negative", &alice, "view", "INC-4711", -1, noon, NULL },
        { "an action beside", &alice, "view,edit", "INC-4711", 60, noon, NULL },
        { "everything", &alice, "*", "INC-4711", 60, noon, NULL },
        { "nothing", &alice, "", "INC-4711", 60, noon, NULL },
        { "half a name", &alice, "vie", "INC-4711", 60, noon, NULL },
        { "another reason", &alice, "view", "because", 60, noon, NULL },
        { "another group", &bob, "view", "INC-4711", 60, noon, NULL },
        { "at night, by the second", &alice, "view", "because", 3600, midnight, "nights" },
        { "at noon it does not hold", &alice, "view", "because", 3600, noon, NULL },
        { "at night, the second has fewer actions", &alice, "list", "because", 60, midnight, NULL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct auto_rule *r = alone_rule(&tool, rows[i].who, rows[i].actions, rows[i].reason, rows[i].duration_s, rows[i].now_s);
        if ((r == NULL) != (rows[i].want == NULL) || (r != NULL && strcmp(r->name, rows[i].want) != 0))
            fail_msg("%s: %s", rows[i].name, r ? r->name : "none");
    }
}

static void only_its_groups_break_the_glass(void **state)
{
    (void)state;
    assert_false(alone_may_break_glass(&tool, &alice));   /* off unless set */
    struct tool t = tool;
    t.break_glass = (struct break_glass){ .groups = call, .group_count = 1 };
    assert_true(alone_may_break_glass(&t, &alice));
    assert_false(alone_may_break_glass(&t, &bob));
    assert_false(alone_may_break_glass(&t, NULL));
}

static void somebody_else_reviews(void **state)
{
    (void)state;
    struct tool own = tool;
    own.break_glass = (struct break_glass){ .reviewers = security, .reviewer_count = 1 };
    const struct { const char *name; const struct tool *tool; const char *person; const struct person *who; bool want, concerned; } rows[] = {
        { "an approver", &tool, "alice", &bob, true, true },
        { "an auditor", &tool, "alice", &dan, true, true },
        { "anybody else", &tool, "alice", &carol, false, false },
        { "oneself, though an approver", &tool, "bob", &bob, false, true },
        { "the named group", &own, "alice", &carol, true, true },
        { "then no other", &own, "alice", &dan, false, true },
        { "then no approver", &own, "alice", &bob, false, true },
        { "oneself, in the named group", &own, "carol", &carol, false, true },
        { "a tool that has gone: auditors", NULL, "alice", &dan, true, true },
        { "and nobody else", NULL, "alice", &bob, false, false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (alone_may_review(&config, rows[i].tool, rows[i].person, rows[i].who) != rows[i].want || alone_concerns(&config, rows[i].tool, rows[i].who) != rows[i].concerned)
            fail_msg("%s", rows[i].name);
    assert_false(alone_may_review(&config, &tool, "alice", NULL));
}

static void the_named_kinds(void **state)
{
    (void)state;
    assert_true(basis_is_alone("auto") && basis_is_alone("break-glass"));
    assert_false(basis_is_alone("approved") || basis_is_alone("") || basis_is_alone("automatic") || basis_is_alone("Auto"));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_rule_fits_in_every_point), cmocka_unit_test(only_its_groups_break_the_glass), cmocka_unit_test(somebody_else_reviews),
                                        cmocka_unit_test(the_named_kinds) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
