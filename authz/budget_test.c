#include "authz/budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static char customer[] = "customer", counted[] = "/customers/{customer}/**", exact[] = "/a/*/{id}", account[] = "account", parameter[] = "account_id", other[] = "other";
static struct distinct_limit limits[] = {
    { customer, counted, NULL, 5 },
    { other, exact, NULL, 5 },
    { account, NULL, parameter, 5 },
};
static const struct budget budget = { .distinct = limits, .distinct_count = 3 };

static size_t values(const char *path, const struct reading *query, size_t n, struct budget_value out[BUDGET_VALUES_MAX])
{
    size_t count = 99;
    assert_int_equal(budget_values(&budget, slice_str(path), query, n, out, &count), OK);
    return count;
}

static void test_paths(void **state)
{
    static const struct { const char *name, *path, *shown; } rows[] = {
        { "plain", "/customers/5", "5" },
        { "with a '/'", "/customers/5/", "5" },
        { "below", "/customers/5/orders/7", "5" },
        { "upper case in the value stays", "/customers/Ab", "Ab" },
        { "params of the value", "/customers/5;x", "5;x" },
        { "the list", "/customers", NULL },
        { "the list with a '/'", "/customers/", NULL },
        { "another folder", "/customer/5", NULL },
        { "a folder before it", "/x/customers/5", NULL },
        { "exact", "/a/b/c", "c" },
        { "exact with a '/'", "/a/b/c/", "c" },
        { "exact and more", "/a/b/c/d", NULL },
        { "exact and less", "/a/b", NULL },
        { "other case: all of the path", "/Customers/5", "/Customers/5" },
        { "params before it: all of the path", "/customers;x=1/5", "/customers;x=1/5" },
        { "backslash: all of the path", "/customers\\5", "/customers\\\\5" },
        { "two slashes: all of the path", "//customers/5", "//customers/5" },
        { "encoded slash: all of the path", "/customers%2F5", "/customers%2F5" },
        { "nothing", "", NULL },
        { "root", "/", NULL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct budget_value v[BUDGET_VALUES_MAX];
        size_t n = values(rows[i].path, NULL, 0, v);
        if (n != (rows[i].shown != NULL) || (n && strcmp(v[0].shown, rows[i].shown) != 0))
            fail_msg("%s: %zu values, %s", rows[i].name, n, n ? v[0].shown : "");
    }
}

/* Two spellings may count twice, and two values never once. */
static void test_different_values_differ(void **state)
{
    static const char *const paths[] = { "/customers/a", "/customers/A", "/customers/a;b", "/Customers/a", "/Customers/A", "/a/b/a" };
    struct budget_value v[6][BUDGET_VALUES_MAX];
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(values(paths[i], NULL, 0, v[i]), 1);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(v[i][0].digest, v[k][0].digest, 32);
    }
}

static void test_query(void **state)
{
    struct reading query[40], three[] = { { SLICE("account_id"), SLICE("1") }, { SLICE("Account_ID"), SLICE("2") }, { SLICE("account_id"), SLICE("1") } };
    struct reading not_it[] = { { SLICE("account"), SLICE("1") }, { SLICE("account_id2"), SLICE("1") } };
    struct budget_value v[BUDGET_VALUES_MAX];
    char text[40][8];
    size_t count;
    (void)state;
    assert_int_equal(values("/x", three, 3, v), 2);
    assert_int_equal(values("/customers/9", three, 3, v), 3);
    assert_string_equal(v[0].name, "distinct:customer");
    assert_int_equal(values("/x", not_it, 2, v), 0);
    for (size_t i = 0; i < 40; i++) {
        snprintf(text[i], sizeof text[i], "%zu", i);
        query[i] = (struct reading){ SLICE("account_id"), slice_str(text[i]) };
    }
    assert_int_equal(budget_values(&budget, SLICE("/x"), query, 40, v, &count), FULL);
}

static char page[] = "page", page_path[] = "/pages/{p}";
static struct distinct_limit unlimited[] = { { customer, counted, NULL, 0 }, { account, NULL, parameter, 0 }, { page, page_path, NULL, 1 } };

/* What is only named is not counted, and has the same name in every spelling. */
static void test_names(void **state)
{
    static const char seventy[] = "/customers/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    static const struct { const char *name, *path, *names; } rows[] = {
        { "plain", "/customers/17", "customer=17" },
        { "below", "/customers/17/orders/3", "customer=17" },
        { "letters stay", "/customers/Ab-c_d.e~f@g:h", "customer=Ab-c_d.e~f@g:h" },
        { "others are encoded", "/customers/a,b=c", "customer=a%2Cb%3Dc" },
        { "encoded already", "/customers/jos%C3%A9", "customer=jos%C3%A9" },
        { "a broken encoding", "/customers/5%", "customer=5%25" },
        { "other case of the path", "/CUSTOMERS/Ab", "customer=Ab" },
        { "params before", "/customers;x=1/17", "customer=17" },
        { "params behind: both readings", "/customers/17;v=1", "customer=17%3Bv%3D1,customer=17" },
        { "two slashes", "//customers/17", "customer=17" },
        { "backslash", "/customers\\17", "customer=17" },
        { "encoded twice", "/customers%252F17", "customer=17" },
        { "another limit", "/pages/7", "page=7" },
        { "the list", "/customers/", "" },
        { "nothing", "/", "" },
        { "long", seventy, "customer=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa~" },
    };
    const struct budget b = { .distinct = unlimited, .distinct_count = 3 };
    struct budget_value v[BUDGET_VALUES_MAX];
    char out[BUDGET_NAMES_MAX];
    size_t count = 9;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = budget_names(&b, slice_str(rows[i].path), NULL, 0, out), want = strlen(rows[i].names);
        bool cut = want > 0 && rows[i].names[want - 1] == '~';
        if (n < want || (!cut && n != want) || (cut && n != want + 16) || memcmp(out, rows[i].names, want) != 0)
            fail_msg("%s: '%.*s'", rows[i].name, (int)n, out);
    }
    struct reading query[] = { { SLICE("account_id"), SLICE("1") }, { SLICE("Account_ID"), SLICE("\xc3\xa9") }, { SLICE("account_id"), SLICE("1") }, { SLICE("account_id"), SLICE("") } };
    size_t n = budget_names(&b, SLICE("/customers/2"), query, 4, out);
    assert_true(slice_eq(slice_of(out, n), SLICE("customer=2,account=1,account=%C3%A9")));
    assert_int_equal(budget_values(&b, SLICE("/customers/2"), query, 4, v, &count), OK);
    assert_int_equal(count, 0);
    json_t *claim = budget_claim(&b);
    assert_int_equal(json_object_size(claim), 1);
    json_decref(claim);
}

static void test_typed_names(void **state)
{
    static const struct { const char *typed, *name; } rows[] = {
        { "17", "customer=17" }, { "customer=17", "customer=17" }, { "account=5", "account=5" }, { "jos\xc3\xa9", "customer=jos%C3%A9" }, { "jos%C3%A9", "customer=jos%C3%A9" },
        { "a=b=c", "a=b%3Dc" }, { "100%", "customer=100%25" }, { "", NULL }, { "=5", NULL }, { "account=", NULL },
    };
    char name[BUDGET_NAMED_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (budget_name_typed(rows[i].typed, name) != (rows[i].name != NULL) || (rows[i].name != NULL && strcmp(name, rows[i].name) != 0))
            fail_msg("%s: %s", rows[i].typed, name);
    struct slice list = SLICE("a=1,b=2"), one;
    assert_true(budget_name_next(&list, &one) && slice_eq(one, SLICE("a=1")) && budget_name_next(&list, &one) && slice_eq(one, SLICE("b=2")) && !budget_name_next(&list, &one));
}

static void test_claim(void **state)
{
    static char export[] = "export";
    struct action_limit actions[] = { { export, 2 } };
    struct budget all = { .requests = 7, .bytes_out = 1000, .actions = actions, .action_count = 1, .distinct = limits, .distinct_count = 3 };
    static const struct { const char *name, *text; } bad[] = {
        { "no object", "[]" },          { "unknown line", "{\"minutes\": 5}" },           { "zero", "{\"requests\": 0}" },
        { "negative", "{\"requests\": -1}" }, { "text", "{\"requests\": \"5\"}" }, { "no limit", "{\"distinct:x\": null}" },
    };
    (void)state;
    json_t *claim = budget_claim(&all), *none = budget_claim(&(struct budget){ 0 });
    assert_int_equal(json_object_size(claim), 6);
    assert_int_equal(json_integer_value(json_object_get(claim, "action:export")), 2);
    assert_int_equal(json_integer_value(json_object_get(claim, "distinct:customer")), 5);
    assert_true(budget_claim_sound(claim));
    assert_int_equal(json_object_size(none), 0);
    assert_true(budget_claim_sound(none));
    json_decref(claim);
    json_decref(none);
    assert_false(budget_claim_sound(NULL));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *o = json_loads(bad[i].text, 0, NULL);
        if (budget_claim_sound(o))
            fail_msg("%s", bad[i].name);
        json_decref(o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_paths), cmocka_unit_test(test_different_values_differ), cmocka_unit_test(test_query),
                                        cmocka_unit_test(test_names), cmocka_unit_test(test_typed_names), cmocka_unit_test(test_claim) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
