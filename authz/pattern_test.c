#include "authz/pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

struct row {
    const char *name, *pattern, *text;
    bool matches;
};

static const struct row path_rows[] = {
    { "same", "/admin/", "/admin/", true },
    { "longer path", "/admin", "/admin/", false },
    { "shorter path", "/admin/", "/admin", false },
    { "case counts", "/admin", "/Admin", false },
    { "empty pattern", "", "", true },
    { "empty pattern, a path", "", "/", false },
    { "star in a segment", "/a/*/c", "/a/b/c", true },
    { "star is empty", "/a/*/c", "/a//c", true },
    { "star does not cross", "/a/*/c", "/a/b/b/c", false },
    { "star at the end", "/a/*", "/a/bcd", true },
    { "star at the end does not cross", "/a/*", "/a/b/", false },
    { "star inside a word", "/ex*rt", "/export", true },
    { "two stars in a word", "/*x*y", "/axbxy", true },
    { "two stars, no y", "/*x*y", "/axbx", false },
    { "everything", "/**", "/", true },
    { "everything, deep", "/**", "/a/b/c", true },
    { "below", "/admin/**", "/admin/a/b", true },
    { "below, itself", "/admin/**", "/admin", false },
    { "below, empty", "/admin/**", "/admin/", true },
    { "below, neighbour", "/admin/**", "/adminx/a", false },
    { "between", "/a/**/z", "/a/b/c/z", true },
    { "between, none", "/a/**/z", "/a/z", true },
    { "between, glued", "/a/**/z", "/az", false },
    { "between, glued end", "/a/**/z", "/a/bz", false },
    { "first", "/**/export", "/export", true },
    { "first, deep", "/**/export", "/x/y/export", true },
    { "first, word", "/**/export", "/xexport", false },
    { "two between", "/**/a/**/b", "/a/b", true },
    { "two between, wrong order", "/**/a/**/b", "/b/a", false },
    { "any then star", "/**/x/*", "/a/x/b/x/c", true },
    { "any then star, crossing", "/**/x/*", "/a/x/b/c", false },
    { "back from a wrong start", "/**/a/b/c", "/a/b/a/b/c", true },
    { "any inside a word", "/a**z", "/a/b/z", true },
    { "literal star is a wildcard", "/a*", "/a*", true },
    { "question mark is itself", "/a?", "/ab", false },
    { "bracket is itself", "/[ab]", "/a", false },
    { "end of pattern in star", "/a*", "/a", true },
    { "many stars", "/*a*a*a*a*a*a*a*b", "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false },
};

static void test_paths(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof path_rows / sizeof path_rows[0]; i++)
        if (path_matches(path_rows[i].pattern, slice_str(path_rows[i].text)) != path_rows[i].matches)
            fail_msg("%s: '%s' and '%s'", path_rows[i].name, path_rows[i].pattern, path_rows[i].text);
    assert_false(path_matches("/a", SLICE("/a\0")));
    assert_false(path_matches("/a*", SLICE("/b\0")));
    assert_true(path_matches("/a*", SLICE("/a\0")));
    assert_true(path_matches_loosely("/a", SLICE("/a")));
    assert_true(path_matches_loosely("/a/", SLICE("/a")));
    assert_true(path_matches_loosely("/a/**", SLICE("/a")));
    assert_false(path_matches_loosely("/a//", SLICE("/a")));
    assert_false(path_matches_loosely("/a/b", SLICE("/a")));
}

static const struct row value_rows[] = {
    { "same", "export", "export", true },
    { "empty", "", "", true },
    { "empty, something", "", "x", false },
    { "star", "*", "", true },
    { "star takes a slash", "a*z", "a/b/z", true },
    { "prefix", "export*", "export_csv", true },
    { "prefix, no", "export*", "expor", false },
    { "middle", "a*b*c", "a-b-b-c", true },
    { "middle, no", "a*b*c", "a-c-b", false },
    { "case counts", "export", "Export", false },
    { "two stars are one", "a**b", "axb", true },
};

static void test_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof value_rows / sizeof value_rows[0]; i++)
        if (value_matches(value_rows[i].pattern, slice_str(value_rows[i].text)) != value_rows[i].matches)
            fail_msg("%s: '%s' and '%s'", value_rows[i].name, value_rows[i].pattern, value_rows[i].text);
    assert_true(value_matches_loosely("eXport*", SLICE("ExPORT")));
    assert_false(value_matches("a", SLICE("a\0")));
}

/* What the patterns mean, said as plainly as possible and far too slowly. */
static bool slowly(const char *p, const char *s)
{
    if (*p == 0)
        return *s == 0;
    if (p[0] == '*' && p[1] == '*') {
        for (;; s++) {
            if (slowly(p + 2, s))
                return true;
            if (*s == 0)
                return false;
        }
    }
    if (*p == '*') {
        for (;; s++) {
            if (slowly(p + 1, s))
                return true;
            if (*s == 0 || *s == '/')
                return false;
        }
    }
    if (*p != *s)
        return false;
    return slowly(p + 1, s + 1) || (strncmp(p, "/**/", 4) == 0 && slowly(p + 4, s + 1));
}

static void nth_text(unsigned n, const char *letters, size_t count, char *out)
{
    for (; n > 0; n = (unsigned)((n - 1) / count))
        *out++ = letters[(n - 1) % count];
    *out = 0;
}

/* Every pattern of up to 6 of "a", "*" and "/" against every path of up to 6 of "a", "b" and "/". */
static void test_against_meaning(void **state)
{
    (void)state;
    char pattern[16], path[16];
    for (unsigned i = 0; i < 1093; i++) {
        nth_text(i, "/*a", 3, pattern);
        for (unsigned k = 0; k < 1093; k++) {
            nth_text(k, "/ab", 3, path);
            if (path_matches(pattern, slice_str(path)) != slowly(pattern, path))
                fail_msg("'%s' and '%s'", pattern, path);
        }
    }
}

/* A hostile path against a pattern that makes backtracking matchers explode: done at once, or this test runs into its timeout. */
static void test_no_explosion(void **state)
{
    (void)state;
    static char path[8192], pattern[PATTERN_MAX + 2];
    memset(path, 'a', sizeof path);
    path[0] = '/';
    for (size_t i = 0; i < PATTERN_MAX; i++)
        pattern[i] = "/**/*a*a"[i % 8];
    pattern[0] = '/';
    for (int i = 0; i < 20; i++)
        path_matches(pattern, slice_of(path, sizeof path));
    memset(path + 1, '/', sizeof path - 1);
    for (int i = 0; i < 20; i++)
        path_matches(pattern, slice_of(path, sizeof path));
    pattern[PATTERN_MAX] = 'x';
    assert_false(path_matches(pattern, slice_of(path, sizeof path)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths), cmocka_unit_test(test_values), cmocka_unit_test(test_against_meaning), cmocka_unit_test(test_no_explosion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
