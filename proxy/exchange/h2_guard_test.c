#include "proxy/exchange/h2_guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION, UNKNOWN = 0xfa };

static unsigned until_enough(struct h2_guard *g, uint8_t type, int64_t now)
{
    unsigned n = 0;
    while (n < 100000 && h2_guard_frame(g, type, now))
        n++;
    return n;
}

static void test_frames_that_ask_for_nothing(void **state)
{
    static const struct { uint8_t type; unsigned taken; } rows[] = {
        { PING, 50 }, { SETTINGS, 50 }, { PRIORITY, 50 }, { WINDOW_UPDATE, 50 }, { UNKNOWN, 50 }, { GOAWAY, 50 },
        { DATA, 100000 }, { HEADERS, 100000 }, { CONTINUATION, 100000 }, { RST_STREAM, 100000 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct h2_guard g;
        h2_guard_init(&g, 50, 10, 1000);
        assert_int_equal(until_enough(&g, rows[i].type, 1000), rows[i].taken);
    }
}

static void test_time_and_work_put_back(void **state)
{
    struct h2_guard g;
    (void)state;
    h2_guard_init(&g, 50, 10, 1000);
    assert_int_equal(until_enough(&g, PING, 1000), 50);
    assert_int_equal(until_enough(&g, PING, 1100), 0);         /* half a frame's time */
    assert_int_equal(until_enough(&g, PING, 1200), 1);         /* and it was not lost */
    assert_int_equal(until_enough(&g, PING, 2200), 5);
    assert_int_equal(until_enough(&g, PING, 2100), 0);         /* a clock that goes back gives nothing */
    assert_int_equal(until_enough(&g, PING, 900000), 50);      /* never more than it holds */
    h2_guard_earn(&g, 3);
    assert_int_equal(until_enough(&g, PING, 900000), 3);
    h2_guard_earn(&g, 4000000000u);
    assert_int_equal(until_enough(&g, PING, 900000), 50);
    assert_true(h2_guard_frame(&g, HEADERS, 900000));
    assert_int_equal(until_enough(&g, PING, 900000), H2_GUARD_REQUEST);
}

static void test_resets_are_a_purse_of_their_own(void **state)
{
    struct h2_guard g;
    unsigned n = 0;
    (void)state;
    h2_guard_init(&g, 50, 10, 0);
    while (n < 1000 && h2_guard_reset(&g, 0))
        n++;
    assert_int_equal(n, 10);
    assert_true(h2_guard_frame(&g, PING, 0));
    h2_guard_earn(&g, 50);
    assert_false(h2_guard_reset(&g, 0));                       /* work earns no resets */
    assert_true(h2_guard_reset(&g, 1000));
    assert_true(h2_guard_empty(&g, 1000));
}

static void test_whose_fault_a_reset_is(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 20; code++) {
        bool theirs = code == 1 || code == 3 || code == 5 || code == 6 || code == 7 || code == 9;
        assert_int_equal(h2_guard_blames_client(code), theirs);
    }
}

static void test_a_byte_is_worth_only_so_much_time(void **state)
{
    static const struct { const char *name; int64_t moved, now; size_t n; unsigned rate; int64_t out; } rows[] = {
        { "one byte after 29 s buys 11 ms", 0, 29000, 1, 100, 11 },
        { "a packet after 29 s", 0, 29000, 1400, 100, 14001 },
        { "enough", 0, 29000, 2900, 100, 29000 },
        { "never into the future", 28999, 29000, 1000000, 100, 29000 },
        { "a huge piece", 0, 29000, (size_t)-1, 1, 29000 },
        { "nothing moved", 5, 29000, 0, 100, 6 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (guard_progress(rows[i].moved, rows[i].now, rows[i].n, rows[i].rate) != rows[i].out)
            fail_msg("%s", rows[i].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_that_ask_for_nothing), cmocka_unit_test(test_time_and_work_put_back),
        cmocka_unit_test(test_resets_are_a_purse_of_their_own), cmocka_unit_test(test_whose_fault_a_reset_is),
        cmocka_unit_test(test_a_byte_is_worth_only_so_much_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
