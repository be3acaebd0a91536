#include "proxy/http/prefer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

struct row {
    const char *name, *first, *second;
    long long want;                   /* -1: none */
};

static const struct row rows[] = {
    { "plain", "wait=10", NULL, 10 },
    { "none", "return=minimal", NULL, -1 },
    { "empty", "", NULL, -1 },
    { "capital", "Wait=7", NULL, 7 },
    { "spaces", " wait = 7 ", NULL, 7 },
    { "quoted", "wait=\"12\"", NULL, 12 },
    { "with a parameter", "wait=5; foo=bar", NULL, 5 },
    { "behind others", "respond-async, return=\"a,wait=3\", wait=9", NULL, 9 },
    { "inside quotes only", "foo=\"wait=3\"", NULL, -1 },
    { "the first counts", "wait=3, wait=9", NULL, 3 },
    { "the first counts, broken", "wait=x, wait=9", NULL, -1 },
    { "in the second line", "return=minimal", "wait=4", 4 },
    { "over two lines", "wait=1", "wait=4", 1 },
    { "no word", "wait", NULL, -1 },
    { "empty word", "wait=", NULL, -1 },
    { "empty quotes", "wait=\"\"", NULL, -1 },
    { "zero", "wait=0", NULL, 0 },
    { "sign", "wait=-1", NULL, -1 },
    { "plus", "wait=+1", NULL, -1 },
    { "fraction", "wait=1.5", NULL, -1 },
    { "hex", "wait=0x10", NULL, -1 },
    { "past 2^31", "wait=2147483648", NULL, 2147483647 },
    { "past 2^64", "wait=99999999999999999999999999", NULL, 2147483647 },
    { "largest", "wait=2147483647", NULL, 2147483647 },
    { "a name that begins so", "waiting=3", NULL, -1 },
    { "a name that ends so", "long-wait=3", NULL, -1 },
    { "empty elements", ",, ,wait=2", NULL, 2 },
    { "open quote", "wait=\"3", NULL, -1 },
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena a;
        struct fields f = { 0 };
        uint32_t got = 0;
        arena_init(&a, 4096);
        assert_int_equal(fields_add(&f, &a, 8, SLICE("host"), SLICE("wait=99")), OK);
        assert_int_equal(fields_add(&f, &a, 8, SLICE("prefer"), slice_str(rows[i].first)), OK);
        if (rows[i].second != NULL)
            assert_int_equal(fields_add(&f, &a, 8, SLICE("prefer"), slice_str(rows[i].second)), OK);
        long long is = prefer_wait(&f, &got) ? (long long)got : -1;
        if (is != rows[i].want)
            fail_msg("%s: %lld, expected %lld", rows[i].name, is, rows[i].want);
        arena_done(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
