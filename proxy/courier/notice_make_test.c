#include "proxy/courier/notice_make.h"

#include "proxy/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

static json_t *facts(void)
{
    return json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:[s, s], s:s}", "v", 1, "event", "access.requested", "person", "alice", "tool", "support", "kind", "access", "reason",
                     "ticket 4711\r\n.\r\nBcc: eve@evil.example", "link", "https://console.example/items/req_1", "for", "bob", "carol", "instance", "gateway.example");
}

/* RFC 4231 would do for HMAC; what is ours is what is signed: the time, a full stop, the body. Made with: printf '1790000000.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef */
static void test_signature(void **state)
{
    char out[SIGNATURE_TEXT_MAX];
    struct err err;
    (void)state;
    assert_int_equal(notice_sign(SLICE("0123456789abcdef"), SLICE("{\"a\":1}"), 1790000000, out, &err), OK);
    assert_string_equal(out, "t=1790000000,v1=d569e4518fe6f4620fd6639233427e7df5e5394d8f14c85c1063b8d90a724dcb");
    char other[SIGNATURE_TEXT_MAX];
    assert_int_equal(notice_sign(SLICE("0123456789abcdef"), SLICE("{\"a\":2}"), 1790000000, other, &err), OK);
    assert_string_not_equal(out, other);
    assert_int_equal(notice_sign(SLICE("0123456789abcdef"), SLICE(""), 0, other, &err), OK);
}

static void test_bodies(void **state)
{
    json_t *f = facts(), *back;
    (void)state;
    char *json = notice_body(NOTICE_JSON, f), *slack = notice_body(NOTICE_SLACK, f);
    back = json_loads(json, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(back, "person")), "alice");
    assert_non_null(json_object_get(back, "text"));
    assert_null(json_object_get(f, "text"));
    json_decref(back);
    back = json_loads(slack, 0, NULL);
    assert_int_equal(json_object_size(back), 1);
    assert_non_null(json_object_get(back, "text"));
    json_decref(back);
    free(json);
    free(slack);
    json_decref(f);
}

static void test_mail(void **state)
{
    struct notice_target t = { .from = (char *)"gateway@acme.example" };
    const char *one[] = { "bob@acme.example", NULL }, *two[] = { "bob@acme.example", "carol@acme.example", NULL };
    json_t *f = facts();
    (void)state;
    char *mail = notice_mail(&t, one, f, "ntc_1", 1790000000);
    assert_non_null(strstr(mail, "\r\nTo: bob@acme.example\r\n"));
    assert_int_equal(strncmp(mail, "Date: Mon, 21 Sep 2026 14:13:20 +0000\r\n", 39), 0);
    assert_non_null(strstr(mail, "\r\nMessage-ID: <ntc_1@gateway.example>\r\n"));
    assert_null(strstr(mail, "Bcc"));
    assert_null(strstr(mail, "evil"));
    assert_null(strstr(mail, "\r\n.\r\n"));
    for (const char *line = mail; *line != 0; line = strstr(line, "\r\n") + 2)
        assert_true(strcspn(line, "\r\n") <= 200);
    for (const char *p = mail; *p != 0; p++)
        assert_true((*p >= 0x20 && *p < 0x7f) || *p == '\r' || *p == '\n');
    free(mail);
    mail = notice_mail(&t, two, f, "ntc_1", 1790000000);
    assert_non_null(strstr(mail, "\r\nTo: undisclosed-recipients:;\r\n"));
    assert_null(strstr(mail, "bob@"));
    free(mail);
    json_object_set_new(f, "tool", json_string("sup\r\nBcc: eve@evil.example"));   /* cannot be, by the config's forms */
    json_object_set_new(f, "instance", json_string("x>\r\nBcc: eve@evil.example"));
    mail = notice_mail(&t, one, f, "ntc_1", 1790000000);
    assert_null(strstr(mail, "\r\nBcc"));
    free(mail);
    json_decref(f);
}

static void test_recipients(void **state)
{
    char *groups[] = { (char *)"security" }, *support[] = { (char *)"support" }, *id_a[] = { (char *)"alice@acme.example" }, *id_b[] = { (char *)"bob@acme.example" },
         *id_c[] = { (char *)"carol@acme.example" }, *to[] = { (char *)"log@acme.example", (char *)"carol@acme.example" };
    struct person people[] = {
        { .name = (char *)"alice", .identities = id_a, .identity_count = 1, .groups = support, .group_count = 1 },
        { .name = (char *)"bob", .mail = (char *)"b@acme.example", .identities = id_b, .identity_count = 1 },
        { .name = (char *)"carol", .identities = id_c, .identity_count = 1, .groups = groups, .group_count = 1 },
    };
    struct config c = { .people = people, .person_count = 3 };
    struct notice_target t = { .to = to, .to_count = 2, .to_groups = groups, .to_group_count = 1 };
    json_t *f = facts();
    (void)state;
    const char **list = notice_recipients(&c, &t, f);
    assert_string_equal(list[0], "log@acme.example");
    assert_string_equal(list[1], "carol@acme.example");
    assert_null(list[2]);
    free(list);
    t.to_concerned = true;
    list = notice_recipients(&c, &t, f);
    assert_string_equal(list[2], "b@acme.example");
    assert_null(list[3]);
    free(list);
    json_decref(f);
}

static void test_secrets(void **state)
{
    static const struct {
        const char *text;
        mode_t mode;
        size_t want;                  /* 0: refused */
    } rows[] = { { "0123456789abcdef\n", 0600, 16 }, { "0123456789abcdef", 0400, 16 }, { "0123456789abcde\n", 0600, 0 }, { "", 0600, 0 }, { "0123456789abcdef", 0644, 0 }, { "0123456789abcdef", 0640, 0 },
                 { "0123456789abcdef\r\n", 0600, 16 } };
    char path[] = "/tmp/notices-secret-XXXXXX";
    struct err err;
    (void)state;
    close(mkstemp(path));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned char *secret = NULL;
        size_t len = 0;
        unlink(path);
        assert_int_equal(file_write(path, slice_str(rows[i].text), rows[i].mode, &err), OK);
        enum status st = notice_secret(path, SECRET_MIN, &secret, &len, &err);
        if ((st == OK) != (rows[i].want > 0) || (st == OK && len != rows[i].want))
            fail_msg("row %zu", i);
        free(secret);
    }
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_signature), cmocka_unit_test(test_bodies), cmocka_unit_test(test_mail), cmocka_unit_test(test_recipients),
                                        cmocka_unit_test(test_secrets) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
