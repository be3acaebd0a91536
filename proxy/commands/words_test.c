#include "proxy/commands/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void durations_are_read_strictly(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds;                  /* -1: refused */
    } rows[] = {
        { "90s", 90 }, { "30m", 1800 }, { "2h", 7200 }, { "1d", 86400 }, { "1h30m", 5400 }, { "0s", 0 }, { "", -1 }, { "30", -1 }, { "m", -1 },
        { "-5m", -1 }, { "+5m", -1 }, { " 5m", -1 }, { "5m ", -1 }, { "5M", -1 }, { "1.5h", -1 }, { "5 m", -1 }, { "1w", -1 }, { "99999999999999999999s", -1 },
        { "4000d", -1 }, { "3660d1s", -1 }, { "0x10s", -1 }, { "1h30", -1 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t got = -1;
        print_message("'%s'\n", rows[i].text);
        assert_int_equal(words_read_duration(rows[i].text, &got), rows[i].seconds >= 0);
        assert_int_equal(got, rows[i].seconds);
    }
}

static void points_in_time_are_read_three_ways(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds;
    } rows[] = {
        { "1700000000", 1700000000 }, { "2h", 1000000 - 7200 }, { "30d", 0 }, { "1970-01-02", 86400 }, { "2026-01-31T12:00:00Z", 1769860800 },
        { "yesterday", -1 }, { "2026-13-01", -1 }, { "2026-01-31T12:00:00", -1 }, { "2026-01-31x", -1 }, { "", -1 }, { "-1", -1 }, { "999999999999", -1 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t got = -1;
        print_message("'%s'\n", rows[i].text);
        bool ok = words_read_since(rows[i].text, 1000000, &got);
        assert_int_equal(ok, rows[i].seconds >= 0);
        if (ok)
            assert_int_equal(got, rows[i].seconds);
    }
}

static void numbers_become_words(void **state)
{
    (void)state;
    char out[WORDS_MAX];
    assert_string_equal(words_duration(0, out), "0 s");
    assert_string_equal(words_duration(-4, out), "0 s");
    assert_string_equal(words_duration(1800, out), "30 min");
    assert_string_equal(words_duration(5430, out), "1 h 30 min");
    assert_string_equal(words_duration(90, out), "1 min 30 s");
    assert_string_equal(words_duration(2 * 86400 + 3 * 3600, out), "2 d 3 h");
    assert_string_equal(words_duration(INT64_MAX, out), "106751991167300 d 15 h");
    assert_string_equal(words_bytes(1, out), "1 byte");
    assert_string_equal(words_bytes(1023, out), "1023 bytes");
    assert_string_equal(words_bytes(12288, out), "12.0 KiB");
    assert_string_equal(words_bytes(UINT64_MAX, out), "16.0 EiB");
    assert_string_equal(words_time(1769860800, out), "2026-01-31 12:00:00 UTC");
    assert_string_equal(words_time(0, out), "-");
    assert_string_equal(words_time(INT64_MAX, out), "-");
    assert_string_equal(words_clock(1769860800123, out), "12:00:00.123");
    assert_string_equal(words_clock(INT64_MAX, out), "--:--:--.---");
}

static void json_of_another_type_reads_as_nothing(void **state)
{
    (void)state;
    json_t *v = json_pack("{s:i, s:s, s:n}", "n", 5, "s", "x", "z");
    assert_string_equal(json_text(v, "n"), "");
    assert_string_equal(json_text(v, "s"), "x");
    assert_string_equal(json_text(NULL, "s"), "");
    assert_int_equal(json_number(v, "s"), 0);
    assert_int_equal(json_number(v, "n"), 5);
    assert_null(json_array_member(v, "s"));
    assert_false(json_text_is(v, "z", ""));
    assert_true(json_text_is(v, "s", "x"));
    json_decref(v);
}

static void ids_cannot_leave_their_place_in_a_path(void **state)
{
    (void)state;
    assert_true(id_is_plain("req_AAAAAAAAAAAAAAAAAAAAAA"));
    static const char *const bad[] = { "", "..", "a/b", "a?b", "a%2f", "a b", "a#", "\xc3\xbc",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(id_is_plain(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read_strictly),
        cmocka_unit_test(points_in_time_are_read_three_ways),
        cmocka_unit_test(numbers_become_words),
        cmocka_unit_test(json_of_another_type_reads_as_nothing),
        cmocka_unit_test(ids_cannot_leave_their_place_in_a_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
