/* Asking for access and saying yes or no, over the socket, against the real process. */
#include "authz/approvals/story.h"

/* ---- asking and approving ---- */

static void asking_is_checked(void **state)
{
    (void)state;
    char long_reason[503];
    memset(long_reason, 'x', 501);
    long_reason[501] = 0;
    const struct { const char *name, *tool, *reason; int duration_s; const char *want; } rows[] = {
        { "mallory", "support", "because", 60, "unknown-person" },
        { "bob", "support", "because", 60, "may-not-ask" },
        { "alice", "nothing", "because", 60, "unknown-tool" },
        { "alice", "support", "", 60, "bad-reason" },
        { "alice", "support", "  \xc3\xa4 ", 60, "bad-reason" },
        { "alice", "support", "two\nlines", 60, "bad-reason" },
        { "alice", "support", "c1 \xc2\x85 control", 60, "bad-reason" },
        { "alice", "support", long_reason, 60, "bad-reason" },
        { "alice", "support", "because", 0, "bad-duration" },
        { "alice", "support", "because", -1, "bad-duration" },
        { "alice", "support", "because", 1801, "bad-duration" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(request(rows[i].name, rows[i].tool, rows[i].reason, rows[i].duration_s), rows[i].want);
    /* What a person may have typed wrongly is answered, and the connection lives. */
    expect(client_ask(&worker, json_pack("{s:s, s:o, s:i, s:s, s:s}", "op", "request.create", "who", who("alice"), "tool", 5, "reason", "because",
                                         "duration_s", "x")), "bad-request");
    expect(client_ask(&worker, json_pack("{s:s, s:o, s:s}", "op", "status", "who", who("alice"), "extra", "x")), "bad-request");
    json_t *old = who("alice");
    json_object_set_new(old, "not_after", json_integer(1000));
    expect(request_as(old, "support", "because", 60), "certificate-expired");
}

static void repeats_collapse_and_are_capped(void **state)
{
    (void)state;
    json_t *a = member(request("alice", "support", "one reason", 60), "request");
    json_t *b = member(request("alice", "support", "one reason", 60), "request");
    assert_string_equal(text(a, "id"), text(b, "id"));
    json_t *c = member(request("alice", "support", "another reason", 70), "request");   /* another one: they stack */
    assert_string_not_equal(text(a, "id"), text(c, "id"));
    expect(request_as(who_with("alice@laptop.localhost", "laptop"), "support", "because", 60), "too-many-open");
    json_decref(a);
    json_decref(b);
    json_decref(c);
}

static void nobody_approves_alone(void **state)
{
    (void)state;
    json_t *r = member(request("alice", "support", "because", 60), "request");
    const char *id = text(r, "id");
    expect(statement("alice", id, "approve", bed.alice), "self-approval");
    expect(statement("carol", id, "approve", bed.carol), "not-found");      /* security does not decide access */
    expect(statement("dan", id, "approve", bed.bob), "may-not-approve");    /* an auditor sees it */
    expect(statement("bob", id, "approve", bed.carol), "key-not-registered");
    expect(statement("bob", id, "maybe", bed.bob), "bad-request");
    expect(statement("bob", "req_AAAAAAAAAAAAAAAAAAAAAA", "approve", bed.bob), "not-found");
    expect(ask("item.get", "carol", "id", id), "not-found");
    json_t *own = member(request("anna", "support", "because", 60), "request");
    /* alice by her other identity is still alice; anna leads, and still may not decide her own. */
    json_t *m = json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "statement", "who", who_with("alice@laptop.localhost", "laptop"), "id", id, "decision",
                          "approve", "key", "x");
    expect(client_ask(&worker, m), "self-approval");
    expect(statement("anna", text(own, "id"), "approve", bed.anna), "self-approval");
    json_decref(own);
    json_decref(r);
}

static void a_yes_is_a_signature(void **state)
{
    (void)state;
    struct err err;
    char *jws = NULL;
    json_t *r = member(request("alice", "support", "because", 60), "request");
    json_t *s = member(statement("bob", text(r, "id"), "approve", bed.bob), "statement");
    assert_string_equal(text(s, "requester"), "alice");
    assert_string_equal(text(json_object_get(s, "scope"), "tool"), "support");
    expect(decide_with("bob", s, bed.carol), "bad-signature");
    expect(decide_with("anna", s, bed.bob), "statement-unknown");
    json_t *changed = json_deep_copy(s);
    json_object_set_new(json_object_get(changed, "scope"), "duration_s", json_integer(1800));
    assert_int_equal(statement_sign(changed, bed.bob, &jws, &err), OK);
    expect(client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s}", "op", "decide", "who", who("bob"), "statement_id", text(s, "id"), "jws", jws)),
           "bad-signature");
    free(jws);
    expect(client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s}", "op", "decide", "who", who("bob"), "statement_id", text(s, "id"), "jws", "")),
           "bad-signature");
    expect(decide_with("bob", s, bed.bob), "ok");
    expect(decide_with("bob", s, bed.bob), "statement-unknown");
    expect(statement("bob", text(r, "id"), "approve", bed.bob), "not-pending");
    json_decref(changed);
    json_decref(s);
    json_decref(r);
}

static void the_grant_says_all(void **state)
{
    (void)state;
    struct err err = { .text = "" };
    struct grant g;
    struct jwt_keys *keys = NULL;
    struct client second;
    get_grant();
    hello(&second, "worker");         /* a snapshot holds it too */
    const json_t *e = client_event(&second, "grant", NULL, NULL);
    assert_non_null(e);
    assert_true(json_is_false(json_object_get(e, "noticed")));
    json_t *jwks = NULL;
    struct client raw;
    assert_true(client_connect(&bed, &raw));
    jwks = member(client_ask(&raw, json_pack("{s:s, s:s}", "op", "hello", "role", "recorder")), "jwks");
    assert_int_equal(jwt_keys_from_jwks(jwks, &keys, &err), OK);
    assert_int_equal(grant_verify(keys, "test.example", slice_str(text(e, "token")), clock_wall_s(), &g, &err), OK);
    assert_string_equal(g.grant_id, grant_id);
    assert_string_equal(g.person, "alice");
    assert_string_equal(g.identity, "alice@acme.localhost");
    assert_string_equal(g.tool, "support");
    assert_string_equal(g.reason, "ticket 4711: audience export");
    assert_int_equal(g.exp_s - g.iat_s, 600);
    assert_true(grant_allows(&g, SLICE("export")));
    assert_string_equal(text(json_array_get(g.approved_by, 0), "person"), "bob");
    grant_done(&g);
    expect(ask("notice.ack", "alice", "grant_id", grant_id), "ok");
    expect(ask("notice.ack", "bob", "grant_id", grant_id), "grant-required");
    expect(client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s}", "op", "assertion", "who", who("alice"), "tool", "support", "grant_id", grant_id)),
           "ok");
    expect(client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s}", "op", "assertion", "who", who("alice"), "tool", "vault", "grant_id", grant_id)),
           "grant-required");
    expect(client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s}", "op", "assertion", "who", who_with("alice@acme.localhost", "stolen"), "tool",
                                         "support", "grant_id", grant_id)), "grant-required");
    jwt_keys_free(keys);
    json_decref(jwks);
    client_close(&raw);
    client_close(&second);
}

static void two_groups_need_two_people(void **state)
{
    (void)state;
    json_t *r = member(request("alice", "vault", "because", 60), "request");
    decide("bob", text(r, "id"), "approve", bed.bob, "pending");
    expect(statement("bob", text(r, "id"), "approve", bed.bob), "already-decided");
    decide("carol", text(r, "id"), "approve", bed.carol, "granted");
    json_decref(r);
    r = member(request("anna", "vault", "because", 60), "request");
    decide("bob", text(r, "id"), "approve", bed.bob, "pending");
    decide("carol", text(r, "id"), "deny", bed.carol, "denied");
    json_decref(r);
}

static void requests_expire(void **state)
{
    (void)state;
    json_t *r = member(request("alice", "brief", "because", 60), "request");
    assert_non_null(client_event(&worker, "item", "state", "expired"));
    json_t *item = member(ask("item.get", "alice", "id", text(r, "id")), "item");
    assert_string_equal(text(item, "state"), "expired");
    expect(statement("bob", text(r, "id"), "approve", bed.bob), "not-pending");
    json_decref(item);
    json_decref(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(asking_is_checked), STORY(repeats_collapse_and_are_capped), STORY(nobody_approves_alone), STORY(a_yes_is_a_signature),
        STORY(the_grant_says_all), STORY(two_groups_need_two_people), STORY(requests_expire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
