#include "proxy/http/syntax.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include <stdio.h>

/* The fast look against the slow one: each byte at each place of short and long values. */
static void test_clean(void **state)
{
    unsigned char text[24];
    (void)state;
    for (size_t len = 0; len <= sizeof text; len++)
        for (size_t at = 0; at < len; at++)
            for (unsigned c = 0; c < 256; c++) {
                memset(text, 'a', sizeof text);
                text[at] = (unsigned char)c;
                bool clean = c == '\t' || (c >= 0x20 && c != 0x7f);
                assert_int_equal(value_is_clean(slice_of(text, len)), clean);
            }
    assert_true(value_is_clean((struct slice){ 0 }));
}

static void test_length(void **state)
{
    static const struct { const char *text; bool good; uint64_t n; } rows[] = {
        { "0", true, 0 }, { "00", true, 0 }, { "9223372036854775807", true, INT64_MAX }, { "9223372036854775808", false, 0 },
        { "18446744073709551616", false, 0 }, { "", false, 0 }, { "+1", false, 0 }, { "-1", false, 0 }, { " 1", false, 0 }, { "1 ", false, 0 },
        { "1,1", false, 0 }, { "0x1", false, 0 }, { "1e1", false, 0 }, { "\xc2\xb2", false, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t n = 0;
        if ((content_length_parse(slice_str(rows[i].text), &n) == PARSE_OK) != rows[i].good || n != rows[i].n)
            fail_msg("'%s'", rows[i].text);
    }
}

static void test_list(void **state)
{
    static const struct { const char *text, *joined; } rows[] = {
        { "a", "a|" }, { " a , b\t,c", "a|b|c|" }, { "", "|" }, { ",", "||" }, { "a,,b", "a||b|" }, { "\"a,b\", c", "\"a,b\"|c|" },
        { "\"a\\\",b\",c", "\"a\\\",b\"|c|" }, { "\"a,b", "\"a,b|" }, { "\"a\\", "\"a\\|" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char joined[64] = "";
        struct slice rest = slice_str(rows[i].text), element;
        while (list_next(&rest, &element))
            snprintf(joined + strlen(joined), sizeof joined - strlen(joined), "%.*s|", SLICE_ARG(element));
        assert_string_equal(joined, rows[i].joined);
    }
}

static void test_authority(void **state)
{
    static const struct { const char *raw, *out, *host; } rows[] = {
        { "A.Example", "a.example", "a.example" }, { "a.example:8443", "a.example:8443", "a.example" }, { "127.0.0.1:1", "127.0.0.1:1", "127.0.0.1" },
        { "[::1]", "[::1]", "[::1]" }, { "[2001:DB8::1]:65535", "[2001:db8::1]:65535", "[2001:db8::1]" }, { "a_b", "a_b", "a_b" },
        { "", NULL, NULL }, { ":80", NULL, NULL }, { "a:", NULL, NULL }, { "a:0", NULL, NULL }, { "a:00080", NULL, NULL }, { "a:99999", NULL, NULL },
        { "a:8a", NULL, NULL }, { "a:1:2", NULL, NULL }, { "::1", NULL, NULL }, { "[]", NULL, NULL }, { "[::1", NULL, NULL }, { "[::1]x", NULL, NULL },
        { "[::1]x:80", NULL, NULL }, { "[127.0.0.1]", NULL, NULL }, { "[v1.a]", NULL, NULL }, { "x[::1]", NULL, NULL }, { ".a", NULL, NULL },
        { "a.", NULL, NULL }, { "a..b", NULL, NULL }, { "u@a", NULL, NULL }, { "a/b", NULL, NULL }, { "a b", NULL, NULL }, { "a%41", NULL, NULL },
        { "caf\xc3\xa9", NULL, NULL }, { "a,b", NULL, NULL }, { "[fe80::1%eth0]", NULL, NULL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena;
        struct slice out;
        arena_init(&arena, 4096);
        enum parse p = authority_parse(slice_str(rows[i].raw), &arena, &out);
        if (p != (rows[i].out ? PARSE_OK : PARSE_BAD))
            fail_msg("'%s'", rows[i].raw);
        if (p == PARSE_OK) {
            assert_true(slice_eq(out, slice_str(rows[i].out)));
            assert_true(slice_eq(authority_host(out), slice_str(rows[i].host)));
        }
        arena_done(&arena);
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_true(name_looks_like(SLICE("x_real.ip"), SLICE("x-real-ip")));
    assert_false(name_looks_like(SLICE("x-real-ip2"), SLICE("x-real-ip")));
    assert_false(name_looks_like(SLICE("xxreal-ip"), SLICE("x-real-ip")));
    assert_true(name_looks_to_start(SLICE("x-real-ip2"), SLICE("x-real-ip")));
    assert_false(name_looks_to_start(SLICE("x"), SLICE("x-real-ip")));
}

static void test_fields(void **state)
{
    struct arena arena;
    struct fields f = { 0 };
    (void)state;
    arena_init(&arena, 65536);
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(fields_add(&f, &arena, 40, i % 2 ? SLICE("a") : SLICE("b"), i == 1 ? SLICE("x, Close ,y") : SLICE("")), OK);
    assert_int_equal(fields_add(&f, &arena, 40, SLICE("a"), SLICE("")), FULL);
    assert_int_equal(fields_count(&f, SLICE("a")), 20);
    assert_true(slice_eq(fields_get(&f, SLICE("a")), SLICE("x, Close ,y")));
    assert_null(fields_get(&f, SLICE("c")).ptr);
    assert_true(fields_has_token(&f, SLICE("a"), SLICE("close")));
    assert_false(fields_has_token(&f, SLICE("a"), SLICE("clos")));
    assert_false(fields_has_token(&f, SLICE("b"), SLICE("close")));
    arena_done(&arena);
    arena_init(&arena, 8);
    f = (struct fields){ 0 };
    assert_int_equal(fields_add(&f, &arena, 40, SLICE("a"), SLICE("")), NO_MEMORY);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean), cmocka_unit_test(test_length), cmocka_unit_test(test_list), cmocka_unit_test(test_authority),
        cmocka_unit_test(test_names), cmocka_unit_test(test_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
