#include "config/forms.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

struct number_row {
    const char *text;
    int64_t value;                    /* -1: refused */
};

static void test_durations(void **state)
{
    (void)state;
    static const struct number_row rows[] = {
        { "0s", 0 }, { "1ms", 1 }, { "500ms", 500 }, { "2s", 2000 }, { "15m", 900000 }, { "1h", 3600000 }, { "7d", 604800000 }, { "007s", 7000 },
        { "", -1 }, { "s", -1 }, { "15", -1 }, { "15 m", -1 }, { " 15m", -1 }, { "15m ", -1 }, { "-1s", -1 }, { "+1s", -1 }, { "1.5h", -1 }, { "1h30m", -1 },
        { "15M", -1 }, { "1min", -1 }, { "0x1s", -1 }, { "999999999999999d", -1 }, { "9999999999999999s", -1 }, { "9007199254740s", 9007199254740000 },
        { "9007199254741s", -1 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ms = -1;
        bool ok = duration_parse(rows[i].text, &ms);
        if (ok != (rows[i].value >= 0) || ms != rows[i].value)
            fail_msg("'%s': %d, %lld", rows[i].text, ok, (long long)ms);
    }
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct number_row rows[] = {
        { "0B", 0 }, { "512B", 512 }, { "64KiB", 65536 }, { "1MiB", 1048576 }, { "5GiB", INT64_C(5368709120) },
        { "64kB", -1 }, { "64K", -1 }, { "64", -1 }, { "64kib", -1 }, { "64 KiB", -1 }, { "KiB", -1 }, { "8388609GiB", -1 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t bytes = -1;
        bool ok = size_parse(rows[i].text, &bytes);
        if (ok != (rows[i].value >= 0) || bytes != rows[i].value)
            fail_msg("'%s': %d, %lld", rows[i].text, ok, (long long)bytes);
    }
}

static void test_back(void **state)
{
    (void)state;
    static const char *const times[] = { "0ms", "999ms", "1s", "90s", "1m", "90m", "1h", "1d", "36h" }, *const sizes[] = { "0B", "1023B", "1KiB", "1MiB", "1025KiB", "3GiB" };
    char text[FORM_TEXT_MAX];
    int64_t n;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        assert_true(duration_parse(times[i], &n));
        duration_text(n, text);
        assert_string_equal(text, times[i]);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_true(size_parse(sizes[i], &n));
        size_text(n, text);
        assert_string_equal(text, sizes[i]);
    }
}

struct form_row {
    const struct form *form;
    const char *good[8], *bad[16];
};

static void test_forms(void **state)
{
    (void)state;
    static char long_label[80], long_pattern[PATTERN_MAX + 2];
    memset(long_label, 'a', 64);
    memset(long_pattern, 'a', PATTERN_MAX + 1);
    long_pattern[0] = '/';
    const struct form_row rows[] = {
        { &form_instance, { "a", "acme-1.eu" }, { "", "A", "a b", "a_b" } },
        { &form_tool, { "support", "a-1" }, { "", "a.b", "A", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" } },
        { &form_host, { "localhost", "a.b", "support.acme.localhost", "1a.2b", "xn--a" },
          { "", ".", "a.", ".a", "a..b", "-a", "a-", "a.-b", "a-.b", "A", "a_b", "1.2.3.4", "1", "a:1", "a b", long_label } },
        { &form_listener, { "127.0.0.1:1", "0.0.0.0:65535", "[::1]:8443", "[::]:1" },
          { "", ":1", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:01", "127.0.0.1:+1", "::1:8443", "[::1]", "[::1:8443", "[127.0.0.1]:1",
            "localhost:1", "1.2.3:1", "[::1]x:1", "127.0.0.1:1 " } },
        { &form_upstream, { "http://127.0.0.1:8000", "https://a.b", "http://[::1]:8000", "http://localhost", "h2c://localhost:50051", "unix:/run/tool.sock" },
          { "", "http://", "http:///", "http://a/", "http://a?b", "http://a@b", "http://A", "HTTP://a", "ftp://a", "a:8000", "http://a:0", "http://a:x", "http://[a]:1",
            "http://[::1" } },
        { &form_upstream, { "https://1.2.3.4" }, { "http://1.2.3.4.5", "unix:", "unix:a", "unix:/", "h2c://", "h2c://a/", "unix://" , "h2c://http://a", "h2:a" } },
        { &form_spki_pin, { "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" },
          { "", "sha256/", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFUU", "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSu==",
            "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hS!FU=" } },
        { &form_host_field, { "a", "a.b:8000", "127.0.0.1", "[::1]:80" }, { "", "a:", "a b", "A", "a:0", "a/b", "::1" } },
        { &form_identity, { "alice@acme.localhost", "a.b+c@d.e" }, { "", "alice", "@a", "a@", "A@b.c", "a@B.c", "a@b@c", "a b@c.d", "a@b c", "a@1.2.3.4", "\xc3\xa9@a.b" } },
        { &form_method, { "GET", "M-SEARCH" }, { "", "get", "G T", "GET\t", "G:T" } },
        { &form_origin, { "https://a.b", "http://a.b:8080", "https://[::1]:8443", "https://[::1]" },
          { "", "null", "*", "https://a.b/", "https://a.b:443", "http://a.b:80", "http://[::1]:80", "https://A.b", "a.b" } },
        { &form_record, { "full", "metadata", "off" }, { "", "Full", "none", "off " } },
        { &form_tool_record, { "full", "metadata" }, { "", "off", "Metadata" } },
        { &form_approval_method, { "any", "hardware", "command-line" }, { "", "Any", "browser", "command line" } },
        { &form_requirement, { "grant", "signoff", "deny" }, { "", "Grant", "allow", "grant " } },
        { &form_target_allow, { "encoded-slash", "backslash", "empty-segment", "double-encoding" }, { "", "slash", "encoded_slash" } },
        { &form_field, { "a", "data.action", "a[]" }, { "", "\xff" } },
        { &form_selector, { "#search", "input[name=q], .open > textarea", "\xc3\xa4", NULL }, { "", "a\nb", "\x7f", "\xff" } },
        { &form_cookie, { "sessionid", "__Host-s", "app.*", "*" }, { "", "a b", "a=b", "a;", "*a", "a**", "\xff" } },
        { &form_value_pattern, { "", "*", "\xc3\xa9" }, { "\xc3", long_pattern } },
        { &form_user, { "countersign", "_a" }, { "", "-a", "a b", "a:b" } },
        { &form_path_pattern, { "/", "/**", "/a/*/b", "/a;b=c", "/a:b@c", "/%E2%82%AC", "/a%2Fb", "/~a" },
          { "", "a", "/a?b", "/a#b", "/a b", "/%", "/%4", "/%4g", "/%41", "/%7E", "/%e2", "/%00", "/***", "/a/./b", "/..", long_pattern } },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t k = 0; k < 8 && rows[i].good[k] != NULL; k++)
            if (!rows[i].form->ok(rows[i].good[k]))
                fail_msg("'%s' is %s", rows[i].good[k], rows[i].form->expected);
        for (size_t k = 0; k < 16 && rows[i].bad[k] != NULL; k++)
            if (rows[i].form->ok(rows[i].bad[k]))
                fail_msg("'%s' is not %s", rows[i].bad[k], rows[i].form->expected);
    }
}

static void test_upstream_parts(void **state)
{
    (void)state;
    struct upstream_parts u;
    assert_true(upstream_parse("https://[2001:db8::1]", &u));
    assert_true(slice_eq(u.host, SLICE("2001:db8::1")));
    assert_int_equal(u.port, 443);
    assert_true(u.tls);
    assert_true(upstream_parse("http://tool.internal", &u));
    assert_int_equal(u.port, 80);
    assert_false(u.tls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations), cmocka_unit_test(test_sizes), cmocka_unit_test(test_back), cmocka_unit_test(test_forms), cmocka_unit_test(test_upstream_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
