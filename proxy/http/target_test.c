/* One spelling of every target, or none. */
#include "proxy/http/target.h"

#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include <stdio.h>

struct row {
    const char *name;
    struct slice raw;
    const char *target;               /* NULL: 400 */
    unsigned allow;
};
#define R(name, raw, ...) { name, SLICE_INIT(raw), __VA_ARGS__ }
#define SLASH TARGET_ENCODED_SLASH
#define BACK TARGET_BACKSLASH
#define EMPTY TARGET_EMPTY_SEGMENT
#define TWICE TARGET_DOUBLE_ENCODING
#define ALL (SLASH | BACK | EMPTY | TWICE)

static const struct row rows[] = {
    R("root", "/", "/", 0),
    R("plain", "/a/b.csv", "/a/b.csv", 0),
    R("trailing slash", "/a/", "/a/", 0),
    R("encoded letter", "/%65xport", "/export", 0),
    R("encoded letter in lower hex", "/%7euser%5f%2d", "/~user_-", 0),
    R("hex digits", "/%c3%a9", "/%C3%A9", 0),
    R("encoded colon", "/users%3aexport", "/users:export", 0),
    R("encoded at, comma, brackets", "/a%40b%2C%28c%29", "/a@b,(c)", 0),
    R("encoded semicolon, equals, plus stay", "/a%3bb%3dc%2b", "/a%3Bb%3Dc%2B", 0),
    R("plain params", "/a;v=1/b", "/a;v=1/b", 0),
    R("encoded space", "/a%20b", "/a%20b", 0),
    R("encoded percent alone", "/100%25", "/100%25", 0),
    R("encoded percent and one hex", "/100%25a/", "/100%25a/", 0),
    R("query kept", "/a?b=%2e%2E&c=+'", "/a?b=%2E%2E&c=+'", 0),
    R("query with marks", "/a?{}|\\^`\"<>[]", "/a?{}|\\^`\"<>[]", 0),
    R("query with slashes and dots", "/a?/../x//", "/a?/../x//", 0),
    R("empty query", "/a?", "/a?", 0),
    R("two question marks", "/a?b?c", "/a?b?c", 0),
    R("dots that are no dot segment", "/.../a..b/.x/..y", "/.../a..b/.x/..y", 0),
    R("encoded NUL in the query", "/a?b=%00", "/a?b=%00", 0),
    R("encoded quotes", "/%22%3c%3e%5e%60%7b%7c%7d", "/%22%3C%3E%5E%60%7B%7C%7D", 0),

    R("what browsers leave bare", "/[a]/b|c^d", "/%5Ba%5D/b%7Cc%5Ed", 0),
    R("the same, encoded", "/%5ba%5d/b%7cc%5ed", "/%5Ba%5D/b%7Cc%5Ed", 0),
    R("bare percent at the end", "/100%", "/100%25", 0),
    R("bare percent, one digit", "/a%4", "/a%254", 0),
    R("bare percent, no hex", "/a%4g", "/a%254g", 0),
    R("bare percent, sign", "/a%+1", "/a%25+1", 0),
    R("bare percent before a slash", "/100%/a", "/100%25/a", 0),
    R("two percents", "/a%%32x", "/a%252x", 0),
    R("bare percent and u", "/5%up", "/5%25up", 0),
    R("bare percent in the query", "/a?b=%zz&c=50%", "/a?b=%25zz&c=50%25", 0),
    R("bare percent, one digit, ends the query", "/a?b=%1", "/a?b=%251", 0),
    R("bare percent and u in the query", "/a?b=%up", "/a?b=%25up", 0),

    R("empty", "", NULL, ALL),
    R("no slash", "a", NULL, ALL),
    R("question mark alone", "?a", NULL, ALL),
    R("encoded first slash", "%2Fa", NULL, ALL),
    R("dot segment", "/./a", NULL, ALL),
    R("dot dot segment", "/x/../export", NULL, ALL),
    R("dot dot at the end", "/x/..", NULL, ALL),
    R("dot at the end", "/x/.", NULL, ALL),
    R("encoded dot dot", "/x/%2e%2E/export", NULL, ALL),
    R("half encoded dot dot", "/x/.%2e/export", NULL, ALL),
    R("dot dot with params", "/x/..;/export", NULL, ALL),
    R("dot dot with params and value", "/x/..;a=b/export", NULL, ALL),
    R("dot dot with encoded params", "/x/..%3B/export", NULL, ALL),
    R("dot with params", "/x/.;/export", NULL, ALL),
    R("dot dot before an encoded slash", "/x/..%2fexport", NULL, ALL),
    R("dot dot behind an encoded slash", "/x%2f../export", NULL, ALL),
    R("dot dot before a backslash", "/x/..\\export", NULL, ALL),
    R("dot dot between encoded backslashes", "/x%5c..%5cexport", NULL, ALL),
    R("overlong dot", "/x/%c0%ae%c0%ae/export", NULL, ALL),
    R("overlong slash", "/x%c0%afexport", NULL, ALL),
    R("overlong slash, three bytes", "/x%e0%80%afexport", NULL, ALL),
    R("overlong slash, four bytes", "/x%f0%80%80%afexport", NULL, ALL),
    R("encoded NUL", "/a%00", NULL, ALL),
    R("encoded newline", "/a%0a", NULL, ALL),
    R("encoded CR", "/a%0D", NULL, ALL),
    R("encoded DEL", "/a%7f", NULL, ALL),
    R("IIS escape", "/%u002e", NULL, ALL),
    R("IIS escape, capital", "/%U002e", NULL, ALL),
    R("IIS escape, cut", "/%u0", NULL, ALL),
    R("IIS escape in the query", "/a?b=%u0065", NULL, ALL),
    R("control in the place of a digit", "/a%\n1", NULL, ALL),
    R("what a bare percent leaves is an escape", "/a%%32%46", NULL, ALL & ~TWICE),
    R("a bare percent and a digit, then an escape", "/a%2%46", NULL, ALL & ~TWICE),
    R("fragment", "/a#b", NULL, ALL),
    R("fragment in the query", "/a?b#c", NULL, ALL),
    R("space", "/a b", NULL, ALL),
    R("NUL", "/a\0b", NULL, ALL),
    R("tab", "/a\tb", NULL, ALL),
    R("newline", "/a\nb", NULL, ALL),
    R("non-ASCII", "/caf\xc3\xa9", NULL, ALL),
    R("quote", "/\"", NULL, ALL),
    R("angle brackets", "/<>", NULL, ALL),
    R("backtick", "/`", NULL, ALL),
    R("curly brackets", "/{}", NULL, ALL),
    R("space in the query", "/a?b c", NULL, ALL),
    R("newline in the query", "/a?b\r\nX: y", NULL, ALL),
    R("non-ASCII in the query", "/a?\xff", NULL, ALL),
    R("DEL in the query", "/a?\x7f", NULL, ALL),

    R("encoded slash", "/a%2fb", NULL, ALL & ~SLASH),
    R("encoded slash, allowed", "/a%2fb", "/a%2Fb", SLASH),
    R("backslash", "/a\\b", NULL, ALL & ~BACK),
    R("encoded backslash", "/a%5cb", NULL, ALL & ~BACK),
    R("backslash, allowed: one form", "/a\\b", "/a%5Cb", BACK),
    R("encoded backslash, allowed", "/a%5cb", "/a%5Cb", BACK),
    R("empty segment", "//export", NULL, ALL & ~EMPTY),
    R("empty segment inside", "/a//export", NULL, ALL & ~EMPTY),
    R("empty segment at the end", "/a//", NULL, ALL & ~EMPTY),
    R("empty segment with params", "/;x/export", NULL, ALL & ~EMPTY),
    R("params alone at the end", "/a/;x", NULL, ALL & ~EMPTY),
    R("empty segment through an encoded slash", "/%2fexport", NULL, SLASH),
    R("empty segment, allowed", "/a//b", "/a//b", EMPTY),
    R("double encoding", "/%2565xport", NULL, ALL & ~TWICE),
    R("double encoding of a slash", "/a%252fb", NULL, ALL & ~TWICE),
    R("double encoding, digits encoded too", "/a%25%32%46b", NULL, ALL & ~TWICE),
    R("double encoding, allowed", "/a%252fb", "/a%252fb", TWICE),
};

static enum parse normalise(struct slice raw, unsigned allow, struct arena *arena, struct message *m, struct refusal *why)
{
    *m = (struct message){ .method = SLICE("GET"), .raw_target = raw };
    return target_normalise(m, allow, arena, why);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        struct arena arena;
        struct message m;
        struct refusal why = { 0 };
        arena_init(&arena, 65536);
        enum parse p = normalise(r->raw, r->allow, &arena, &m, &why);
        if (p != (r->target ? PARSE_OK : PARSE_BAD))
            fail_msg("row '%s': %s", r->name, p == PARSE_OK ? "accepted" : why.reason);
        if (p == PARSE_BAD) {
            assert_int_equal(why.status, 400);
            assert_null(m.target.ptr);
        } else {
            struct slice target = m.target;
            if (!slice_eq(target, slice_str(r->target)))
                fail_msg("row '%s': '%.*s'", r->name, SLICE_ARG(target));
            /* The normal form is its own normal form. */
            assert_int_equal(normalise(target, r->allow, &arena, &m, &why), PARSE_OK);
            assert_true(slice_eq(target, m.target));
        }
        arena_done(&arena);
    }
}

static void test_parts(void **state)
{
    struct arena arena;
    struct message m;
    struct refusal why;
    (void)state;
    arena_init(&arena, 65536);
    assert_int_equal(normalise(SLICE("/%61?b=c"), 0, &arena, &m, &why), PARSE_OK);
    assert_true(slice_eq(m.path, SLICE("/a")) && slice_eq(m.query, SLICE("b=c")) && slice_eq(m.target, SLICE("/a?b=c")));
    assert_int_equal(normalise(SLICE("/a?"), 0, &arena, &m, &why), PARSE_OK);
    assert_true(m.query.ptr != NULL && m.query.len == 0);
    assert_int_equal(normalise(SLICE("/a"), 0, &arena, &m, &why), PARSE_OK);
    assert_null(m.query.ptr);
    assert_int_equal(normalise(SLICE("*"), 0, &arena, &m, &why), PARSE_BAD);
    m = (struct message){ .method = SLICE("OPTIONS"), .raw_target = SLICE("*") };
    assert_int_equal(target_normalise(&m, 0, &arena, &why), PARSE_OK);
    assert_true(slice_eq(m.path, SLICE("*")) && slice_eq(m.target, SLICE("*")));
    arena_done(&arena);
}

static void test_limits(void **state)
{
    static unsigned char big[TARGET_MAX + 1];
    struct arena arena;
    struct message m;
    struct refusal why;
    (void)state;
    arena_init(&arena, 1 << 20);
    memset(big, 'a', sizeof big);
    big[0] = '/';
    assert_int_equal(normalise(slice_of(big, TARGET_MAX), 0, &arena, &m, &why), PARSE_OK);
    assert_int_equal(normalise(slice_of(big, TARGET_MAX + 1), 0, &arena, &m, &why), PARSE_BAD);
    assert_int_equal(why.status, 414);
    for (const char *grows = "\\[%"; *grows; grows++) {   /* to three times its length */
        memset(big + 1, *grows, TARGET_MAX - 1);
        big[TARGET_MAX - 1] = 'a';
        assert_int_equal(normalise(slice_of(big, TARGET_MAX), ALL, &arena, &m, &why), PARSE_OK);
        assert_int_equal(m.target.len, 2 + 3 * (TARGET_MAX - 2));
    }
    arena_done(&arena);
    arena_init(&arena, 16);
    assert_int_equal(normalise(slice_of(big, 64), 0, &arena, &m, &why), PARSE_BAD);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_parts), cmocka_unit_test(test_limits) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
