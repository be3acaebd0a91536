#include "config/forms.h"
#include "config/notice_events.h"

#include "proxy/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

struct row {
    const char *text;
    bool good;
};

static void check(const struct form *form, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (form->ok(rows[i].text) != rows[i].good)
            fail_msg("'%s' should be %s", rows[i].text, rows[i].good ? "taken" : "refused");
}

static void test_urls(void **state)
{
    static const struct row rows[] = {
        { "https://hooks.example/services/T0/B0/x", true }, { "https://hooks.example", true }, { "https://hooks.example:8443/a?b=c&d=%20", true },
        { "http://127.0.0.1:8000/in", true }, { "http://[::1]:8000/in", true }, { "https://[2001:db8::1]/in", true }, { "http://hooks.localhost/x", true },
        { "http://localhost:1/", true },
        { "http://hooks.example/", false }, { "http://127.0.0.1.evil.example/", false }, { "http://localhost.evil.example/", false }, { "http://10.0.0.1/", false },
        { "http://evil-localhost/", false }, { "HTTPS://hooks.example/", false }, { "https://Hooks.example/", false }, { "https://user@hooks.example/", false },
        { "https://user:pw@hooks.example/", false }, { "https://hooks.example/#x", false }, { "https://hooks.example/a b", false }, { "https://hooks.example/\r\nX: y", false },
        { "https://", false }, { "https:///x", false }, { "https://hooks.example:0/", false }, { "https://hooks.example:65536/", false }, { "https://hooks.example:/", false },
        { "https://hooks.example:80x/", false }, { "https://hooks.example?x", false }, { "ftp://hooks.example/", false }, { "file:///etc/passwd", false }, { "", false },
        { "https://[::1/", false }, { "https://[hooks]/", false }, { "https://h\xc3\xbc.example/", false }, { "https://hooks.example/\xc3\xbc", false },
        { "http://127.0.0.1\\@evil.example/", false }, { "https://hooks.example\\@evil.example/", false },
    };
    (void)state;
    check(&form_fetch_url, rows, sizeof rows / sizeof *rows);
    char longest[2102] = "https://hooks.example/";
    memset(longest + 22, 'a', 1978);
    assert_true(form_fetch_url.ok(longest));
    longest[strlen(longest)] = 'a';
    assert_false(form_fetch_url.ok(longest));
}

static void test_mail(void **state)
{
    static const struct row servers[] = {
        { "smtps://mail.example:465", true }, { "smtp://mail.example:587", true }, { "smtps://127.0.0.1:465", true }, { "smtps://[::1]:465", true },
        { "smtps://mail.example", false }, { "smtps://mail.example:465/", false }, { "smtp://user@mail.example:587", false }, { "mail.example:25", false }, { "smtps://:465", false },
        { "http://mail.example:25", false }, { "smtps://mail.example:465\r\n", false }, { "", false },
    };
    static const struct row addresses[] = {
        { "gateway@acme.example", true }, { "Alice.Smith+x@acme.example", true }, { "o'neil@acme.example", true }, { "a@localhost", true },
        { "", false }, { "alice", false }, { "@acme.example", false }, { "alice@", false }, { "a b@acme.example", false }, { "\"a b\"@acme.example", false },
        { "alice@acme.example\r\nBcc: eve@evil.example", false }, { "alice\n@acme.example", false }, { "a@b@acme.example", false }, { "alice@acme.example,eve@evil.example", false },
        { "<alice@acme.example>", false }, { "alice@acme.example>", false }, { ".alice@acme.example", false }, { "alice.@acme.example", false }, { "al..ice@acme.example", false },
        { "-oQ/tmp@acme.example", false }, { "alice@acme..example", false }, { "al\xc3\xad" "ce@acme.example", false }, { "alice@[127.0.0.1]", false }, { "alice(x)@acme.example", false },
        { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@acme.example", false },
    };
    (void)state;
    check(&form_mail_server, servers, sizeof servers / sizeof *servers);
    check(&form_mail_address, addresses, sizeof addresses / sizeof *addresses);
}

static void test_loopback(void **state)
{
    static const struct row rows[] = { { "127.0.0.1", true }, { "127.255.0.9", true }, { "::1", true }, { "localhost", true }, { "a.localhost", true }, { "LOCALHOST", true },
                                       { "128.0.0.1", false }, { "0.0.0.0", false }, { "::", false }, { ".localhost", false }, { "localhost.", false }, { "xlocalhost", false }, { "", false } };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (host_is_loopback(slice_str(rows[i].text)) != rows[i].good)
            fail_msg("'%s'", rows[i].text);
}

/* Each event stands in the table of the README, and each leaf leads to the right one. */
static void test_events(void **state)
{
    static const struct {
        const char *leaf, *state, *item, *event;
    } rows[] = {
        { "request.created", "", "req_x", "access.requested" }, { "held.created", "", "hld_x", "signoff.requested" }, { "approval", "approved", "req_x", "item.approved" },
        { "approval", "approved", "hld_x", "item.approved" }, { "approval", "pending", "req_x", NULL }, { "approval", "approved", "key_x", NULL }, { "denial", "denied", "hld_x", "item.denied" },
        { "segment", "", "", NULL }, { "lock", "", "", "lock.placed" }, { "break-glass.used", "", "", "break-glass.used" }, { "policy.proposed", "", "pol_x", "policy.pending" }, { "approval", "approved", "pol_x", "item.approved" },
        { "key.notice", "", "key_x", "key.confirmed" }, { "approval", "", "", NULL }, { "", "", "", NULL }, { "grant.issued", "granted", "req_x", NULL },
    };
    unsigned char *readme = NULL;
    size_t len = 0;
    char row[128];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct notice_event *e = notice_event_of(rows[i].leaf, rows[i].state, rows[i].item);
        if ((e == NULL) != (rows[i].event == NULL) || (e != NULL && strcmp(e->name, rows[i].event) != 0))
            fail_msg("%s %s %s gives %s", rows[i].leaf, rows[i].state, rows[i].item, e ? e->name : "nothing");
    }
    assert_int_equal(file_read("config/README.md", 1 << 20, false, &readme, &len, NULL), OK);
    for (const struct notice_event *e = notice_events; e->name != NULL; e++) {
        snprintf(row, sizeof row, "| `%s` |", e->name);
        if (strstr((char *)readme, row) == NULL)
            fail_msg("config/README.md lacks %s", e->name);
        assert_true(form_notice_event.ok(e->name));
    }
    assert_false(form_notice_event.ok("access.granted"));
    assert_non_null(strstr(form_notice_event.why("x"), "policy.pending)"));
    free(readme);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_urls), cmocka_unit_test(test_mail), cmocka_unit_test(test_loopback), cmocka_unit_test(test_events) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
