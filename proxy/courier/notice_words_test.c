#include "proxy/courier/notice_words.h"

#include "config/notice_events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static json_t *facts(const char *event, const char *said)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s%, s:s%, s:s%, s:s, s:s, s:i, s:s, s:s, s:[{s:s, s:i}]}", "event", event, "person", "alice", "tool", "support", "action", "export",
                     "by", "bob", "reason", said, strlen(said), "label", said, strlen(said), "summary", said, strlen(said), "kind", "signoff", "why", "late", "duration_s", 600, "group", "security", "link",
                     "https://console.example/items/hld_1", "off_duty", "group", "security", "until", 1790000000);
}

/* What people may type: none of it may get out of its place. */
static const char *const hostile[] = {
    "<!channel> <!here> <@U012> <https://evil.example|the console>", "`code` ``` ~x~ *b* _i_", "& &amp; &lt;", "a\nb\r\nBcc: eve@evil.example", "\xe2\x80\xae" "evil", "\xe2\x81\xa6" "x" "\xe2\x81\xa9",
    "\xef\xbb\xbf", "\xc2\x85\xc2\x9b\x1b[31m", "\xf3\xa0\x81\x81", "\xff\xfe\xc3", "\xe2\x80", "", "   ", "\xe2\x80\xa8x\xe2\x80\xa9", "https://evil.example @channel",
};

static void check_slack(const char *line)
{
    unsigned ticks = 0, links = 0;
    for (const char *p = line; *p != 0; p++) {
        assert_true((unsigned char)*p >= 0x20);
        ticks += *p == '`';
        if (*p == '<') {
            links++;
            assert_int_equal(strncmp(p, "<https://console.example/", 25), 0);
        }
    }
    assert_int_equal(ticks % 2, 0);
    assert_true(ticks <= 2);
    assert_int_equal(links, 1);
    assert_null(strstr(line, "<!"));
    const char *evil = strstr(line, "evil.example");
    if (evil != NULL) {               /* only within the code span */
        const char *first = strchr(line, '`'), *last = strrchr(line, '`');
        assert_true(first != NULL && first < evil && evil < last);
    }
}

static void test_nothing_gets_out(void **state)
{
    (void)state;
    for (const struct notice_event *e = notice_events; e->name != NULL; e++)
        for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
            json_t *f = facts(e->name, "x");
            for (const char *const *name = (const char *const[]){ "reason", "label", "summary", NULL }; *name != NULL; name++)
                json_object_set_new(f, *name, json_stringn_nocheck(hostile[i], strlen(hostile[i])));
            char *slack = notice_slack(f), *plain = notice_sentence(f), *title = notice_title(f);
            assert_true(slack != NULL && plain != NULL && title != NULL);
            check_slack(slack);
            assert_null(strpbrk(plain, "\r\n\x1b"));
            assert_true(strlen(title) > 8);
            assert_null(strstr(title, "evil"));
            for (const char *p = title; *p != 0; p++)
                assert_true(*p >= 0x20 && *p < 0x7f);
            free(slack);
            free(plain);
            free(title);
            json_decref(f);
        }
}

static void test_plain(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        { "ticket 4711", "ticket 4711" }, { "a\tb", "a b" }, { "gr\xc3\xbc\xc3\x9f dich", "gr\xc3\xbc\xc3\x9f dich" }, { "\xe2\x82\xac 5 \xf0\x9f\x98\x80", "\xe2\x82\xac 5 \xf0\x9f\x98\x80" },
        { "x\xe2\x80\xae" "y", "x y" }, { "\xc3", " " }, { "\xc3x", " x" }, { "\xed\xa0\x80", "\xed\xa0\x80" }, { "a\x7f" "b", "a b" }, { "\xe2\x80\x8b", " " }, { "\xf8\x88", "  " },
    };
    char out[NOTICE_SAID_MAX + 1], longest[2000];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        notice_plain(rows[i].in, out);
        assert_string_equal(out, rows[i].out);
    }
    for (size_t i = 0; i + 2 < sizeof longest; i += 2)
        memcpy(longest + i, "\xc3\xbc", 3);
    notice_plain(longest, out);
    assert_int_equal(strlen(out), NOTICE_SAID_MAX);
    memmove(longest + 1, longest, sizeof longest - 1);
    longest[0] = 'a';
    longest[sizeof longest - 1] = 0;
    notice_plain(longest, out);
    assert_int_equal(strlen(out), NOTICE_SAID_MAX - 1);   /* never half a character */
}

static void test_words(void **state)
{
    static const struct {
        const char *event, *want;
    } rows[] = {
        { "signoff.requested", "alice asks for a sign-off of 'export' at 'support'. Reason: x" },
        { "item.escalated", "Nobody has answered yet; nobody of security is on duty until 2026-09-21 14:13 UTC. Told: security. alice asks for a sign-off of 'export' at 'support'. Reason: x" },
        { "item.approved", "alice's 'export' at 'support' was approved by bob" },
        { "item.denied", "alice's 'export' at 'support' was denied by bob" },
        { "item.expired", "alice's 'export' at 'support' has expired: it was not answered, or not run, in time" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *f = facts(rows[i].event, "x");
        char *got = notice_sentence(f);
        assert_string_equal(got, rows[i].want);
        free(got);
        json_decref(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_nothing_gets_out), cmocka_unit_test(test_plain), cmocka_unit_test(test_words) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
