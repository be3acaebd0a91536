/* When a place is left out, for how long, who probes it, and what brings it back. */
#include "proxy/net/backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct tool tool = { .name = "support", .upstream_fails = 3, .upstream_back_off_ms = 1000 };

static struct backend *fresh(const char *text)
{
    struct upstream_address a = { .text = (char *)(uintptr_t)text };
    struct backend *b = backend_get(&tool, &a);
    assert_non_null(b);
    return b;
}

static void fail_times(struct backend *b, unsigned n, int64_t now)
{
    for (unsigned i = 0; i < n; i++)
        backend_failed(b, &tool, now, "a test");
}

static void test_same_row(void **state)
{
    (void)state;
    struct backend *a = fresh("http://same:1"), *b = fresh("http://same:1"), *c = fresh("http://same:2");
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    backend_put(a);
    backend_put(b);
    backend_put(c);
    backend_put(NULL);
}

static void test_out_and_in(void **state)
{
    (void)state;
    struct backend *b = fresh("http://out:1");
    fail_times(b, 2, 5000);
    assert_int_equal(backend_out_until(b), 0);
    backend_worked(b);                /* in a row: this begins anew */
    fail_times(b, 2, 5000);
    assert_true(backend_open(b, 5000));
    fail_times(b, 1, 5000);
    assert_int_equal(backend_out_until(b), 6000);
    assert_false(backend_open(b, 5999));
    assert_true(backend_open(b, 6000));
    assert_false(backend_open(b, 6000));   /* one probe at a time */
    backend_worked(b);
    assert_true(backend_open(b, 6001));
    assert_int_equal(backend_out_until(b), 0);
    backend_put(b);
}

/* Each probe that fails doubles the time, up to 64 times the first. */
static void test_doubling(void **state)
{
    (void)state;
    struct backend *b = fresh("http://doubling:1");
    int64_t now = 10000, expected = 1000;
    fail_times(b, 3, now);
    for (int i = 0; i < 9; i++) {
        assert_int_equal(backend_out_until(b), now + expected);
        now += expected;
        assert_true(backend_open(b, now));
        fail_times(b, 1, now);
        expected = expected < 64000 ? expected * 2 : expected;
    }
    backend_put(b);
}

/* What was sent before it went out fails too: that must not double anything. */
static void test_latecomers(void **state)
{
    (void)state;
    struct backend *b = fresh("http://late:1");
    fail_times(b, 3, 1000);
    fail_times(b, 20, 1100);
    assert_int_equal(backend_out_until(b), 2000);
    backend_put(b);
}

static void test_checks(void **state)
{
    (void)state;
    struct backend *b = fresh("http://checked:1");
    for (int i = 0; i < 2; i++)
        backend_checked(b, &tool, false, "500");
    assert_true(backend_well(b));
    backend_checked(b, &tool, true, NULL);
    for (int i = 0; i < 3; i++)
        backend_checked(b, &tool, false, "500");
    assert_false(backend_well(b));
    fail_times(b, 3, 1000);
    backend_checked(b, &tool, true, NULL);
    assert_true(backend_well(b) && backend_open(b, 1000));   /* an answer is an answer */
    backend_put(b);
}

static void test_numbers(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    struct backend *b = fresh("http://numbers:1"), *gone = fresh("http://gone:1");
    backend_put(gone);
    backend_count(b, 7, 2);
    fail_times(b, 3, 1000);
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    backends_write(out);
    fclose(out);
    assert_non_null(strstr(text, "countersign_upstream_up{tool=\"support\",upstream=\"http://numbers:1\"} 0\n"));
    assert_non_null(strstr(text, "countersign_upstream_requests_total{tool=\"support\",upstream=\"http://numbers:1\"} 7\n"));
    assert_non_null(strstr(text, "countersign_upstream_failures_total{tool=\"support\",upstream=\"http://numbers:1\"} 3\n"));
    assert_null(strstr(text, "http://gone:1"));
    free(text);
    backend_put(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_row), cmocka_unit_test(test_out_and_in), cmocka_unit_test(test_doubling),
        cmocka_unit_test(test_latecomers), cmocka_unit_test(test_checks), cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
