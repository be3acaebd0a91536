#include "proxy/commands/asked_statement.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { NOW = 1790000000 };

/* A held request as it would come from the gateway. */
static unsigned char *make_blob(const char *body, size_t *len)
{
    json_t *fields = json_pack("[[s,s],[s,s]]", "content-type", "application/x-www-form-urlencoded", "cookie", "sessionid=secret");
    unsigned char *bytes = NULL;
    struct err err;
    assert_int_equal(blob_write(SLICE("POST"), SLICE("support.acme.localhost:8443"), SLICE("/admin/export"), fields, slice_str(body), &bytes, len, &err), OK);
    json_decref(fields);
    return bytes;
}

struct story {
    unsigned char *bytes;
    struct held_request held;
    json_t *item, *access_item, *statement, *access_statement;
    struct asked asked;
};

static void story_begin(struct story *s)
{
    size_t len = 0;
    *s = (struct story){ .bytes = make_blob("action=export_csv&ids=7", &len) };
    assert_int_equal(held_request_read(slice_of(s->bytes, len), &s->held, NULL), OK);
    s->item = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:s}", "id", "hld_1", "kind", "signoff", "requester", "alice", "identity",
                        "alice@acme.localhost", "tool", "support", "action", "export", "method", "POST", "authority", "support.acme.localhost:8443", "target",
                        "/admin/export", "digest", s->held.digest, "body_len", (json_int_t)s->held.blob.body.len, "reason", "ticket 4711");
    s->access_item = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:s}", "id", "req_1", "kind", "access", "requester", "alice", "identity", "alice@acme.localhost",
                               "tool", "support", "duration_s", 1800, "reason", "ticket 4711");
    struct statement_request r = { .tool = "support", .action = "export", .method = "POST", .authority = "support.acme.localhost:8443", .target = "/admin/export",
        .digest = s->held.digest, .body_sha256 = s->held.body_sha256, .reason = "ticket 4711", .body_len = (int64_t)s->held.blob.body.len };
    json_t *scope = statement_scope_signoff(&r), *access = statement_scope_access("support", 1800, "ticket 4711");
    struct statement st = { .instance = "acme", .purpose = "signoff", .decision = "approve", .id = "stm_1", .requester = "alice", .identity = "alice@acme.localhost",
        .approver = "carol", .key = "KEY", .method = "command-line", .iat_s = NOW, .exp_s = NOW + 600, .policy = "ab", .scope = scope };
    s->statement = statement_make(&st);
    st.purpose = "access";
    st.scope = access;
    s->access_statement = statement_make(&st);
    json_decref(scope);
    json_decref(access);
    s->asked = (struct asked){ .instance = "acme", .decision = "approve", .person = "carol", .key = "KEY", .item = s->item, .held = &s->held, .now_s = NOW + 5 };
}

static void story_end(struct story *s)
{
    held_request_done(&s->held);
    free(s->bytes);
    json_decref(s->item);
    json_decref(s->access_item);
    json_decref(s->statement);
    json_decref(s->access_statement);
}

static void an_honest_statement_passes(void **state)
{
    (void)state;
    struct story s;
    struct err err = { 0 };
    story_begin(&s);
    assert_int_equal(asked_statement_check(&s.asked, s.statement, &err), OK);
    s.asked.item = s.access_item;
    s.asked.held = NULL;
    assert_int_equal(asked_statement_check(&s.asked, s.access_statement, &err), OK);
    story_end(&s);
}

/* A change of the policy: what is signed is the new one's digest, and the words that were shown. */
static void a_policy_is_the_one_shown(void **state)
{
    static const struct { const char *name, *purpose, *policy, *was, *changes; enum status expected; } rows[] = {
        { "honest", "policy", "new", "old", "group a gains b", OK },
        { "another policy", "policy", "evil", "old", "group a gains b", REFUSED },
        { "another before", "policy", "new", "older", "group a gains b", REFUSED },
        { "other words", "policy", "new", "old", "group a gains b\ngroup c gains d", REFUSED },
        { "no words", "policy", "new", "old", "", REFUSED },
        { "another purpose", "register-key", "new", "old", "group a gains b", BAD_INPUT },
    };
    (void)state;
    json_t *item = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "id", "pol_1", "kind", "policy", "requester", "-", "identity", "-", "policy", "new", "was", "old", "changes",
                             "group a gains b");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err err = { 0 };
        json_t *scope = statement_scope_policy(rows[i].was, rows[i].changes);
        struct statement s = { .instance = "acme", .purpose = rows[i].purpose, .decision = "approve", .id = "stm_1", .requester = "-", .identity = "-", .approver = "carol",
            .key = "KEY", .method = "command-line", .iat_s = NOW, .exp_s = NOW + 600, .policy = rows[i].policy, .scope = scope };
        json_t *object = statement_make(&s);
        struct asked asked = { .instance = "acme", .decision = "approve", .person = "carol", .key = "KEY", .item = item, .now_s = NOW + 5 };
        enum status st = asked_statement_check(&asked, object, &err);
        if (st != rows[i].expected)
            fail_msg("%s: %s", rows[i].name, err.text);
        json_decref(object);
        json_decref(scope);
    }
    json_decref(item);
}

static const struct lie {
    const char *name, *member, *scope_member, *value;
    int64_t number;                   /* when value is NULL */
    enum status expected;
} lies[] = {
    { "another gateway", "instance", NULL, "evil", 0, REFUSED },
    { "access instead of this request", "purpose", NULL, "access", 0, BAD_INPUT },
    { "deny becomes approve", "decision", NULL, "deny", 0, REFUSED },
    { "an id of another kind", "id", NULL, "req_1", 0, REFUSED },
    { "another requester", "requester", NULL, "mallory", 0, REFUSED },
    { "another identity", "identity", NULL, "mallory@acme.localhost", 0, REFUSED },
    { "another approver", "approver", NULL, "bob", 0, REFUSED },
    { "another key", "key", NULL, "OTHER", 0, REFUSED },
    { "a member nobody knows", "extra", NULL, "x", 0, BAD_INPUT },
    { "valid for a year", "exp", NULL, NULL, NOW + 365 * 86400, BAD_INPUT },
    { "another tool", NULL, "tool", "billing", 0, REFUSED },
    { "another action", NULL, "action", "list", 0, REFUSED },
    { "another method", NULL, "method", "DELETE", 0, REFUSED },
    { "another authority", NULL, "authority", "billing.acme.localhost:8443", 0, REFUSED },
    { "another target", NULL, "target", "/admin/export?all=1", 0, REFUSED },
    { "another digest", NULL, "digest", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 0, REFUSED },
    { "another body", NULL, "body_sha256", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 0, REFUSED },
    { "another length", NULL, "body_len", NULL, 1, REFUSED },
    { "another reason", NULL, "reason", "ticket 4712", 0, REFUSED },
    { "in somebody's place", NULL, "on_behalf_of", "bob", 0, REFUSED },
    { "in the requester's place", NULL, "on_behalf_of", "alice", 0, REFUSED },
    { "a scope member nobody knows", NULL, "and_also", "everything", 0, BAD_INPUT },
};

static void a_lie_is_never_signed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct story s;
        struct err err = { 0 };
        story_begin(&s);
        json_t *at = lies[i].member != NULL ? s.statement : json_object_get(s.statement, "scope");
        json_object_set_new(at, lies[i].member != NULL ? lies[i].member : lies[i].scope_member,
                            lies[i].value != NULL ? json_string(lies[i].value) : json_integer((json_int_t)lies[i].number));
        enum status st = asked_statement_check(&s.asked, s.statement, &err);
        print_message("%s: %s: %s\n", lies[i].name, status_name(st), err.text);
        assert_int_equal(st, lies[i].expected);
        story_end(&s);
    }
}

static void lies_about_access_are_never_signed(void **state)
{
    (void)state;
    static const struct {
        const char *member, *value;
        int number;
    } rows[] = { { "tool", "billing", 0 }, { "duration_s", NULL, 360000 }, { "reason", "nothing", 0 }, { "start_within_s", NULL, 60 }, { "on_behalf_of", "bob", 0 } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct story s;
        story_begin(&s);
        s.asked.item = s.access_item;
        s.asked.held = NULL;
        json_object_set_new(json_object_get(s.access_statement, "scope"), rows[i].member, rows[i].value != NULL ? json_string(rows[i].value) : json_integer(rows[i].number));
        assert_int_equal(asked_statement_check(&s.asked, s.access_statement, NULL), REFUSED);
        story_end(&s);
    }
}

static void the_requester_cannot_answer(void **state)
{
    (void)state;
    struct story s;
    story_begin(&s);
    json_object_set_new(s.statement, "approver", json_string("alice"));
    s.asked.person = "alice";
    assert_int_equal(asked_statement_check(&s.asked, s.statement, NULL), REFUSED);
    story_end(&s);
}

static void time_counts(void **state)
{
    (void)state;
    struct story s;
    story_begin(&s);
    s.asked.now_s = NOW + 600 + 121;
    assert_int_equal(asked_statement_check(&s.asked, s.statement, NULL), EXPIRED);
    s.asked.now_s = NOW - 121;
    assert_int_equal(asked_statement_check(&s.asked, s.statement, NULL), REFUSED);
    story_end(&s);
}

static void an_item_that_says_less_matches_nothing(void **state)
{
    (void)state;
    static const char *const members[] = { "requester", "identity", "tool", "action", "method", "target", "digest", "kind" };
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        struct story s;
        story_begin(&s);
        json_object_del(s.item, members[i]);
        bool by_item = asked_statement_check(&s.asked, s.statement, NULL) == OK && held_request_compare(&s.held, s.item, NULL) == OK;
        print_message("without %s\n", members[i]);
        assert_false(by_item);
        story_end(&s);
    }
}

static void bytes_are_compared_with_the_item(void **state)
{
    (void)state;
    static const char *const members[] = { "method", "authority", "target", "digest" };
    struct story s;
    story_begin(&s);
    assert_int_equal(held_request_compare(&s.held, s.item, NULL), OK);
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        json_t *item = json_deep_copy(s.item);
        json_object_set_new(item, members[i], json_string("other"));
        assert_int_equal(held_request_compare(&s.held, item, NULL), REFUSED);
        json_decref(item);
    }
    json_object_set_new(s.item, "body_len", json_integer(5));
    assert_int_equal(held_request_compare(&s.held, s.item, NULL), REFUSED);
    story_end(&s);
}

static void one_byte_more_is_another_digest(void **state)
{
    (void)state;
    size_t len = 0;
    unsigned char *one = make_blob("ids=7", &len);
    struct held_request a, b;
    assert_int_equal(held_request_read(slice_of(one, len), &a, NULL), OK);
    unsigned char *two = make_blob("ids=8", &len);
    assert_int_equal(held_request_read(slice_of(two, len), &b, NULL), OK);
    assert_string_not_equal(a.digest, b.digest);
    assert_string_not_equal(a.body_sha256, b.body_sha256);
    held_request_done(&a);
    held_request_done(&b);
    free(one);
    free(two);
}

static void the_approver_sees_everything_but_credentials(void **state)
{
    (void)state;
    struct story s;
    char *text = NULL;
    size_t len = 0;
    story_begin(&s);
    FILE *f = open_memstream(&text, &len);
    held_request_print(&s.held, f, 4096);
    fclose(f);
    print_message("%s", text);
    assert_non_null(strstr(text, "POST https://support.acme.localhost:8443/admin/export\n"));
    assert_non_null(strstr(text, "action=export_csv\n"));
    assert_non_null(strstr(text, "ids=7\n"));
    assert_non_null(strstr(text, s.held.body_sha256));
    assert_non_null(strstr(text, "cookie: (16 bytes of the requester's own, not shown)"));
    assert_null(strstr(text, "secret"));
    free(text);
    story_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_honest_statement_passes), cmocka_unit_test(a_policy_is_the_one_shown), cmocka_unit_test(a_lie_is_never_signed), cmocka_unit_test(lies_about_access_are_never_signed),
        cmocka_unit_test(the_requester_cannot_answer), cmocka_unit_test(time_counts), cmocka_unit_test(an_item_that_says_less_matches_nothing),
        cmocka_unit_test(bytes_are_compared_with_the_item), cmocka_unit_test(one_byte_more_is_another_digest),
        cmocka_unit_test(the_approver_sees_everything_but_credentials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
