#include "proxy/exchange/purse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static json_t *parse(const char *text)
{
    json_t *o = json_loads(text, 0, NULL);
    assert_non_null(o);
    return o;
}

static struct purse *purse(const char *claim)
{
    bool failed = true;
    json_t *o = parse(claim);
    struct purse *p = purse_new(o, &failed);
    json_decref(o);
    assert_false(failed);
    return p;
}

static void put(struct purse *p, const char *leased)
{
    json_t *o = parse(leased);
    assert_true(purse_put(p, NULL, o));
    json_decref(o);
}

static size_t wanted(const struct purse *p, const struct spend *s)
{
    json_t *w = purse_wants(p, s, false);
    size_t n = json_array_size(w);
    json_decref(w);
    return n;
}

static void test_no_budget(void **state)
{
    bool failed = true;
    json_t *none = parse("{}"), *bad = parse("{\"requests\": 0}");
    (void)state;
    assert_null(purse_new(none, &failed));
    assert_false(failed);
    assert_null(purse_new(bad, &failed));
    assert_true(failed);              /* a limit that can't be read is never none */
    json_decref(none);
    json_decref(bad);
    assert_int_equal(purse_bytes(NULL), INT64_MAX);
}

static void test_amounts(void **state)
{
    struct purse *p = purse("{\"requests\": 10, \"action:export\": 2}");
    struct spend view = { .action = "action:view" }, export = { .action = "action:export" };
    (void)state;
    assert_int_equal(wanted(p, &view), 1);
    put(p, "[{\"name\": \"requests\", \"amount\": 2}, {\"name\": \"nothing\", \"amount\": 5}, {\"name\": \"requests\", \"amount\": -9}]");
    assert_int_equal(wanted(p, &view), 0);
    purse_spend(p, &view);
    assert_int_equal(wanted(p, &export), 1);
    put(p, "[{\"name\": \"action:export\", \"amount\": 1}]");
    purse_spend(p, &export);
    assert_int_equal(wanted(p, &export), 2);
    assert_int_equal(purse_bytes(p), INT64_MAX);
    purse_free(p);
}

static void test_values(void **state)
{
    struct purse *p = purse("{\"distinct:customer\": 5}");
    struct spend s = { .action = "action:view", .value_count = 2 };
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        snprintf(s.values[i].name, sizeof s.values[i].name, "%s", i ? "distinct:not-limited" : "distinct:customer");
        memset(s.values[i].digest, (int)i + 1, 32);
    }
    json_t *w = purse_wants(p, &s, false);
    assert_int_equal(json_array_size(w), 1);
    assert_true(purse_put(p, w, NULL));
    assert_int_equal(wanted(p, &s), 0);
    json_t *all = purse_wants(p, &s, true);
    assert_int_equal(json_array_size(all), 1);
    json_decref(all);
    json_decref(w);
    purse_free(p);
}

static void test_bytes(void **state)
{
    struct purse *p = purse("{\"bytes_out\": 100}");
    struct spend s = { .action = "action:view" };
    (void)state;
    assert_int_equal(purse_bytes(p), 0);
    assert_int_equal(wanted(p, &s), 1);
    put(p, "[{\"name\": \"bytes_out\", \"amount\": 100}]");
    purse_take_bytes(p, 30);
    assert_int_equal(purse_bytes(p), 70);
    purse_take_bytes(p, 71);
    assert_int_equal(purse_bytes(p), 0);
    purse_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_no_budget), cmocka_unit_test(test_amounts), cmocka_unit_test(test_values),
                                        cmocka_unit_test(test_bytes) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
