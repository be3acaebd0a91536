#include "config/hours.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { MON, TUE, WED, THU, FRI, SAT, SUN };
#define AT(day, hour, min) ((unsigned)(day) * 1440 + (hour) * 60 + (min))

static void test_forms(void **state)
{
    static const struct { const char *name, *text; bool ok; } rows[] = {
        { "a range of days", "mon-fri 08:00-18:00", true },
        { "two spans", "mon-fri 08:00-18:00, sat 10:00-14:00", true },
        { "no space after the comma", "mon 08:00-18:00,sat 10:00-14:00", true },
        { "over midnight", "fri 22:00-06:00", true },
        { "a whole day", "sun 00:00-24:00", true },
        { "over Sunday", "sat-mon 00:00-24:00", true },
        { "nothing", "", false },
        { "spaces", "  ", false },
        { "no times", "mon", false },
        { "no days", "08:00-18:00", false },
        { "no such day", "moo 08:00-18:00", false },
        { "upper case", "Mon 08:00-18:00", false },
        { "one digit", "mon 8:00-18:00", false },
        { "25 hours", "mon 08:00-25:00", false },
        { "60 minutes", "mon 08:60-18:00", false },
        { "past 24:00", "mon 08:00-24:01", false },
        { "from 24:00", "mon 24:00-08:00", false },
        { "nothing between", "mon 08:00-08:00", false },
        { "comma at the end", "mon 08:00-18:00,", false },
        { "rest", "mon 08:00-18:00x", false },
        { "nine spans", "mon 01:00-02:00,mon 01:00-02:00,mon 01:00-02:00,mon 01:00-02:00,mon 01:00-02:00,mon 01:00-02:00,"
                        "mon 01:00-02:00,mon 01:00-02:00,mon 01:00-02:00", false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct hours h = { 0 };
        if (hours_parse(rows[i].text, &h) != rows[i].ok)
            fail_msg("%s", rows[i].name);
    }
}

static void test_times(void **state)
{
    static const struct { const char *name, *text; unsigned minute; bool holds; } rows[] = {
        { "first minute", "mon-fri 08:00-18:00", AT(MON, 8, 0), true },
        { "before", "mon-fri 08:00-18:00", AT(MON, 7, 59), false },
        { "last minute", "mon-fri 08:00-18:00", AT(FRI, 17, 59), true },
        { "the end is outside", "mon-fri 08:00-18:00", AT(FRI, 18, 0), false },
        { "weekend", "mon-fri 08:00-18:00", AT(SAT, 12, 0), false },
        { "night begins", "fri 22:00-06:00", AT(FRI, 22, 0), true },
        { "night goes on", "fri 22:00-06:00", AT(SAT, 5, 59), true },
        { "night ends", "fri 22:00-06:00", AT(SAT, 6, 0), false },
        { "the morning before", "fri 22:00-06:00", AT(FRI, 5, 0), false },
        { "Sunday night into Monday", "sun 22:00-06:00", AT(MON, 1, 0), true },
        { "whole day", "sun 00:00-24:00", AT(SUN, 23, 59), true },
        { "and no longer", "sun 00:00-24:00", AT(MON, 0, 0), false },
        { "over Sunday", "sat-mon 00:00-24:00", AT(SUN, 3, 0), true },
        { "and not on Tuesday", "sat-mon 00:00-24:00", AT(TUE, 3, 0), false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct hours h = { 0 };
        assert_true(hours_parse(rows[i].text, &h));
        if (hours_hold(&h, rows[i].minute) != rows[i].holds)
            fail_msg("%s", rows[i].name);
    }
    assert_true(hours_hold(NULL, 0));
}

static void test_now(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    assert_int_equal(hours_minute(0), AT(THU, 0, 0));               /* 1 January 1970 */
    assert_int_equal(hours_minute(1790000000), AT(MON, 14, 13));    /* 21 September 2026, 14:13:20 */
}

static void test_next(void **state)
{
    static const struct { const char *name, *text; int64_t now_s, want_s; } rows[] = {
        { "later today", "mon-fri 16:00-18:00", 1790000000, 1790006400 },
        { "tomorrow", "mon-fri 08:00-10:00", 1790000000, 1790064000 },
        { "only last week's hour", "mon 14:13-14:14", 1790000000, 1790604780 },
        { "it holds: the next minute", "mon 14:00-15:00", 1790000000, 1790000040 },
        { "over midnight", "sun 22:00-02:00", 1790000000, 1790546400 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct hours h = { 0 };
        assert_true(hours_parse(rows[i].text, &h));
        if (hours_next(&h, rows[i].now_s) != rows[i].want_s)
            fail_msg("%s: %lld", rows[i].name, (long long)hours_next(&h, rows[i].now_s));
    }
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);   /* 25 October 2026: an hour more */
    tzset();
    struct hours h = { 0 };
    assert_true(hours_parse("mon 08:00-18:00", &h));
    assert_int_equal(hours_next(&h, 1792792800), 1792998000);   /* Saturday noon to Monday 08:00 CET, an hour later than a clock would count */
    setenv("TZ", "UTC", 1);
    tzset();
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_forms), cmocka_unit_test(test_times), cmocka_unit_test(test_now), cmocka_unit_test(test_next) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
