#include "proxy/http/cookie_tie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

static const unsigned char key[32] = { 1, 2, 3 }, other_key[32] = { 9 };
static char *const names[] = { "sid", "session_id", "__Host-s", "app.*" };
static const struct cookie_tie alice = { key, SLICE_INIT("support"), SLICE_INIT("alice@acme.localhost"), names, 4 };

static const char *set(const struct cookie_tie *t, const char *value, struct arena *a)
{
    struct slice out;
    assert_int_equal(cookie_tie_set(t, slice_str(value), a, &out), OK);
    return (const char *)arena_copy(a, out).ptr;
}

static const char *take(const struct cookie_tie *t, const char *value, struct arena *a, unsigned *dropped)
{
    struct slice out;
    *dropped = 0;
    assert_int_equal(cookie_tie_take(t, slice_str(value), a, &out, dropped), OK);
    return (const char *)arena_copy(a, out).ptr;
}

/* What the tool sets, what the browser would send of it, what the tool gets. */
static void test_there_and_back(void **state)
{
    static const struct { const char *set, *back; } rows[] = {
        { "sid=abc", "sid=abc" }, { "sid=abc; Path=/; HttpOnly; SameSite=Lax", "sid=abc" }, { "sid = abc ;Secure", "sid=abc" }, { "sid=", "sid=" },
        { "sid=a=b==", "sid=a=b==" }, { "sid=\"a b,c\"; Path=/", "sid=\"a b,c\"" }, { "sid=cs1.AAAAAAAAAAAAAAAAAAAAAA.x", "sid=cs1.AAAAAAAAAAAAAAAAAAAAAA.x" },
        { "__Host-s=1; Path=/; Secure", "__Host-s=1" }, { "app.theme=dark", "app.theme=dark" }, { "app.=x", "app.=x" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena a;
        unsigned dropped;
        arena_init(&a, 65536);
        const char *sent = set(&alice, rows[i].set, &a);
        assert_string_not_equal(sent, rows[i].set);
        const char *attributes = strchr(rows[i].set, ';');
        if (attributes != NULL)
            assert_non_null(strstr(sent, attributes));
        struct slice pair = slice_of(sent, strcspn(sent, ";"));
        char cookie[512];
        snprintf(cookie, sizeof cookie, "a=1; %.*s; z=2", SLICE_ARG(pair));
        char expected[512];
        snprintf(expected, sizeof expected, "a=1; %s; z=2", rows[i].back);
        const char *got = take(&alice, cookie, &a, &dropped);
        if (strcmp(got, expected) != 0 || dropped != 0)
            fail_msg("%s: sent '%s', came back as '%s'", rows[i].set, cookie, got);
        arena_done(&a);
    }
}

static void test_not_tied(void **state)
{
    static const char *const rows[] = { "theme=dark; Path=/", "sidebar=1", "SID=x", "sid", "=sid", "", "; Path=/", "xsid=1", "app=1" };
    struct arena a;
    (void)state;
    arena_init(&a, 65536);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(set(&alice, rows[i], &a), rows[i]);
    arena_done(&a);
}

/* Another person, another tool, another key, another name, another value: all worthless. */
static void test_stolen(void **state)
{
    struct cookie_tie thief = alice, elsewhere = alice, foreign = alice;
    struct arena a;
    unsigned dropped;
    (void)state;
    arena_init(&a, 65536);
    thief.identity = SLICE("mallory@acme.localhost");
    elsewhere.tool = SLICE("billing");
    foreign.key = other_key;
    const struct cookie_tie *const who[] = { &thief, &elsewhere, &foreign };
    const char *sent = set(&alice, "sid=abc", &a);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(take(who[i], sent, &a, &dropped), "");
        assert_int_equal(dropped, 1);
    }
    char text[256];
    snprintf(text, sizeof text, "session_id%s", strchr(sent, '='));
    assert_string_equal(take(&alice, text, &a, &dropped), "");
    snprintf(text, sizeof text, "%sd", sent);
    assert_string_equal(take(&alice, text, &a, &dropped), "");
    snprintf(text, sizeof text, "%s", sent);
    text[10] = text[10] == 'A' ? 'B' : 'A';
    assert_string_equal(take(&alice, text, &a, &dropped), "");
    /* A planted one beside it: only hers goes on, wherever they stand. */
    snprintf(text, sizeof text, "sid=evil; %s; sid=cs1.AAAAAAAAAAAAAAAAAAAAAA.evil", sent);
    assert_string_equal(take(&alice, text, &a, &dropped), "sid=abc");
    assert_int_equal(dropped, 2);
    arena_done(&a);
}

struct hostile {
    const char *name, *cookie, *kept;
};
static const struct hostile hostile_rows[] = {
    { "no tag", "sid=abc", "" },
    { "empty", "sid=", "" },
    { "no value", "sid", "" },
    { "only the mark", "sid=cs1.", "" },
    { "short tag", "sid=cs1.AAAA.abc", "" },
    { "space before", "a=1;   sid=x", "a=1" },
    { "tab before", "a=1;\tsid=x", "a=1" },
    { "space before =", "sid =x", "" },
    { "case", "SID=x", "" },
    { "escaped", "%73id=x", "" },
    { "escaped mark", "session%5Fid=x", "" },
    { "other mark", "session.id=x; session-id=x; session id=x", "" },
    { "PHP array", "sid[]=x; sid[0]=x; sid%5B0%5D=x", "" },
    { "PHP's leading space", "+sid=x; %20sid=x", "" },
    { "PHP's host prefix", "..Host-s=x; __host-S=x", "" },
    { "comma", "a=1,sid=x", "" },
    { "comma and space", "a=1, sid=x; b=2", "b=2" },
    { "quote ends", "a=\"1\"sid=x", "" },
    { "in quotes", "a=\"sid=x\"", "" },
    { "next line (latin-1)", "\x85sid=x; \xa0sid=x", "" },
    { "no-break space after", "sid\xa0=x", "" },
    { "pattern", "app.x=1; APP.x=1; app_x=1", "" },
    { "RFC 2965", "$Version=1; sid=x; $Path=/", "$Version=1; $Path=/" },
    { "friendly", "theme=dark; sidebar=1; xsid=1; a=sid; b=\"sid\"; lang=en,de; =x; y", "theme=dark; sidebar=1; xsid=1; a=sid; b=\"sid\"; lang=en,de; =x; y" },
    { "only semicolons", ";;; ;", "" },
};

static void test_hostile(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hostile_rows / sizeof *hostile_rows; i++) {
        const struct hostile *r = &hostile_rows[i];
        struct arena a;
        unsigned dropped;
        arena_init(&a, 65536);
        const char *got = take(&alice, r->cookie, &a, &dropped);
        if (strcmp(got, r->kept) != 0)
            fail_msg("%s: '%s' became '%s'", r->name, r->cookie, got);
        arena_done(&a);
    }
}

static void test_no_memory(void **state)
{
    struct arena a;
    struct slice out;
    unsigned dropped = 0;
    (void)state;
    for (size_t max = 0; max < 400; max += 16) {
        arena_init(&a, max);
        (void)!cookie_tie_set(&alice, SLICE("sid=abc"), &a, &out);
        (void)!cookie_tie_take(&alice, SLICE("sid=cs1.AAAAAAAAAAAAAAAAAAAAAA.abc"), &a, &out, &dropped);
        arena_done(&a);
    }
    arena_init(&a, 8);
    assert_int_equal(cookie_tie_set(&alice, SLICE("sid=abc"), &a, &out), NO_MEMORY);
    assert_int_equal(cookie_tie_take(&alice, SLICE("sid=abc"), &a, &out, &dropped), NO_MEMORY);
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_not_tied), cmocka_unit_test(test_stolen), cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
