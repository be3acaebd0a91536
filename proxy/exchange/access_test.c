/* Which policy a worker may follow: the one that authz names, the one before for a moment, any while none is named. */
#include "proxy/exchange/access.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

enum { GRACE_MS = 3000 };

static const char *const a = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", *const b = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

static void name(struct access *access, json_t *policy)
{
    struct err err;
    bool ends = false;
    json_t *event = json_pack("{s:s, s:o}", "event", "policy", "policy", policy);
    assert_int_equal(access_event(access, event, 1, &ends, &err), OK);
    json_decref(event);
}

static void test_policy(void **state)
{
    struct access *x = access_new();
    int64_t later = INT64_C(1) << 60;     /* any grace is over */
    (void)state;
    assert_non_null(x);
    assert_true(access_policy_is(x, a, later, GRACE_MS));       /* none is named */
    name(x, json_string(a));
    assert_true(access_policy_is(x, a, later, GRACE_MS));
    assert_false(access_policy_is(x, b, 0, GRACE_MS));          /* none before: no grace */
    assert_false(access_policy_is(x, "", 0, GRACE_MS));
    name(x, json_string(b));
    assert_true(access_policy_is(x, b, later, GRACE_MS));
    assert_true(access_policy_is(x, a, 0, GRACE_MS));
    assert_false(access_policy_is(x, a, later, GRACE_MS));
    name(x, json_string(b));                                    /* said again: the grace does not begin anew */
    assert_false(access_policy_is(x, a, later, GRACE_MS));
    name(x, json_string("nonsense"));
    assert_false(access_policy_is(x, "nonsense", later, GRACE_MS));
    assert_false(access_policy_is(x, a, later, GRACE_MS));
    name(x, json_string(""));
    assert_true(access_policy_is(x, a, later, GRACE_MS));
    access_free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_policy) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
