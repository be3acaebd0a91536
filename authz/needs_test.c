#include "authz/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static char g0[] = "g0", g1[] = "g1", g2[] = "g2";
static char *const group_names[3] = { g0, g1, g2 };

/* A person in the groups whose bits are set. */
struct maker {
    struct person person;
    char name[8];
    char *groups[3];
};

static void make_person(struct maker *m, unsigned number, unsigned groups)
{
    snprintf(m->name, sizeof m->name, "p%u", number);
    m->person = (struct person){ .name = m->name, .groups = m->groups };
    for (unsigned g = 0; g < 3; g++)
        if (groups & 1u << g)
            m->groups[m->person.group_count++] = group_names[g];
}

/* Try every way to give each approver one need, or none. */
static bool by_trying(const struct need *needs, size_t need_count, struct maker *people, size_t count)
{
    unsigned ways = 1;
    for (size_t i = 0; i < count; i++)
        ways *= (unsigned)need_count + 1;
    for (unsigned way = 0; way < ways; way++) {
        unsigned filled[4] = { 0 }, rest = way;
        bool fits = true;
        for (size_t i = 0; i < count; i++, rest /= (unsigned)need_count + 1) {
            unsigned choice = rest % ((unsigned)need_count + 1);
            if (choice < need_count) {
                fits = fits && person_in_group(&people[i].person, needs[choice].group);
                filled[choice]++;
            }
        }
        for (size_t n = 0; n < need_count; n++)
            fits = fits && filled[n] >= needs[n].count;
        if (fits)
            return true;
    }
    return false;
}

/* Up to 3 needs of 1 or 2 over 3 groups, up to 4 approvers in any groups. */
static void test_needs_by_trying(void **state)
{
    (void)state;
    struct maker asker, people[4];
    make_person(&asker, 9, 7);
    for (unsigned shape = 0; shape < 6 * 7 * 7; shape++) {
        unsigned codes[3] = { shape % 6, shape / 6 % 7, shape / 42 };
        struct need needs[3];
        size_t need_count = 0;
        for (size_t n = 0; n < 3 && codes[n] < 6; n++)
            needs[need_count++] = (struct need){ .group = group_names[codes[n] % 3], .count = codes[n] / 3 + 1 };
        for (unsigned who = 0; who < 4096; who += 3 + shape % 5) {
            const struct person *approvers[4];
            for (unsigned i = 0; i < 4; i++) {
                make_person(&people[i], i, who >> 3 * i & 7);
                approvers[i] = &people[i].person;
            }
            bool want = by_trying(needs, need_count, people, 4);
            if (policy_needs_met(needs, need_count, &asker.person, approvers, 4) != want)
                fail_msg("shape %u, people %o: expected %d", shape, who, want);
        }
    }
}

static void test_needs_never(void **state)
{
    (void)state;
    struct maker a, b, c, again;
    make_person(&a, 1, 1);
    make_person(&b, 2, 1);
    make_person(&c, 3, 6);
    make_person(&again, 2, 1);
    struct need one = { .group = g0, .count = 1 }, two = { .group = g0, .count = 2 }, none = { .group = g0, .count = 0 };
    const struct person *self[] = { &a.person }, *twice[] = { &b.person, &b.person, &again.person }, *other[] = { &b.person };
    const struct person *both[] = { &a.person, &b.person }, *nobody[] = { NULL };
    assert_true(policy_needs_met(&one, 1, &a.person, other, 1));
    assert_false(policy_needs_met(&one, 1, &a.person, self, 1));
    assert_false(policy_needs_met(&two, 1, &a.person, both, 2));
    assert_true(policy_needs_met(&two, 1, &c.person, both, 2));
    assert_false(policy_needs_met(&two, 1, &a.person, twice, 3));
    assert_false(policy_needs_met(&one, 1, &a.person, nobody, 1));
    assert_false(policy_needs_met(&one, 1, &a.person, NULL, 0));
    assert_false(policy_needs_met(NULL, 0, &a.person, other, 1));
    assert_false(policy_needs_met(&none, 1, &a.person, other, 1));
    assert_false(policy_needs_met(&one, 1, NULL, other, 1));
    assert_true(policy_may_approve(&one, 1, &a.person, &b.person));
    assert_false(policy_may_approve(&one, 1, &a.person, &a.person));
    assert_false(policy_may_approve(&one, 1, &b.person, &again.person));
    assert_false(policy_may_approve(&one, 1, &a.person, &c.person));
    assert_false(policy_may_approve(NULL, 0, &a.person, &b.person));
    assert_false(policy_may_approve(&one, 1, NULL, &b.person));
}

/* 16 places of one group, offered 200 others first. */
static void test_needs_many(void **state)
{
    (void)state;
    static struct maker people[300];
    const struct person *approvers[300];
    struct maker asker;
    struct need needs[2] = { { .group = g0, .count = 16 }, { .group = g1, .count = 16 } };
    make_person(&asker, 999, 3);
    for (unsigned i = 0; i < 300; i++) {
        make_person(&people[i], i, i < 200 ? 4 : i < 216 ? 3 : i < 231 ? 1 : 0);
        approvers[i] = &people[i].person;
    }
    assert_false(policy_needs_met(needs, 2, &asker.person, approvers, 300));
    make_person(&people[231], 231, 1);
    assert_true(policy_needs_met(needs, 2, &asker.person, approvers, 300));
}

/* A need may ask how the yes was signed; then another signature of the same person does not fill it. */
static void methods_are_asked_for(void **state)
{
    static char security[] = "security", lead[] = "lead";
    char *in_both[] = { security, lead };
    struct person asker = { .name = (char *)(uintptr_t)"asker" };
    struct person a = { .name = (char *)(uintptr_t)"a", .groups = in_both, .group_count = 2 };
    struct person b = { .name = (char *)(uintptr_t)"b", .groups = in_both, .group_count = 2 };
    const struct person *both[] = { &a, &b };
    const struct need needs[] = { { .group = security, .count = 1, .method = METHOD_HARDWARE }, { .group = lead, .count = 1 } };
    const struct { const char *one, *two; bool met; } rows[] = {
        { "hardware", "passkey", true }, { "passkey", "hardware", true }, { "hardware", "hardware", true }, { "passkey", "passkey", false },
        { "command-line", "passkey", false }, { NULL, NULL, false }, { "Hardware", "hardware ", false }, { "command-line", "hardware", true },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *methods[] = { rows[i].one, rows[i].two };
        if (policy_needs_met_by(needs, 2, &asker, both, methods, 2) != rows[i].met)
            fail_msg("row %zu", i);
    }
    assert_false(policy_needs_met(needs, 2, &asker, both, 2));
    const struct need line = { .group = security, .count = 1, .method = METHOD_COMMAND_LINE };
    assert_true(policy_method_counts(&line, 1, &a, "command-line"));
    assert_false(policy_method_counts(&line, 1, &a, "hardware"));
    assert_false(policy_method_counts(&line, 1, &asker, "command-line"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_needs_by_trying), cmocka_unit_test(test_needs_never), cmocka_unit_test(test_needs_many),
        cmocka_unit_test(methods_are_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
