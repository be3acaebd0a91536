/* Asking for less, approving less, extending, taking back; and budgets. Over the socket, to a real process. */
#include "authz/approvals/story.h"

#include "authz/grant.h"

static json_t *request_with(const char *name, const char *tool, int duration_s, const char *member_name, json_t *value)
{
    json_t *m = json_pack("{s:s, s:o, s:s, s:s, s:i}", "op", "request.create", "who", who(name), "tool", tool, "reason", "ticket 4711", "duration_s", duration_s);
    if (value != NULL)
        json_object_set_new(m, member_name, value);
    return client_ask(&worker, m);
}

static json_t *statement_with(const char *name, const char *id, EVP_PKEY *key, int duration_s, json_t *actions)
{
    char kid[44];
    key_fingerprint(key, kid);
    json_t *m = json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "statement", "who", who(name), "id", id, "decision", "approve", "key", kid);
    if (duration_s != 0)
        json_object_set_new(m, "duration_s", json_integer(duration_s));
    if (actions != NULL)
        json_object_set_new(m, "actions", actions);
    return client_ask(&worker, m);
}

/* The claims of the newest grant event with this id. */
static json_t *claims_of(const char *id)
{
    json_t *found = NULL;
    for (size_t i = 0; i < json_array_size(worker.events); i++) {
        const json_t *e = json_array_get(worker.events, i);
        unsigned char raw[4096];
        size_t len = 0;
        if (strcmp(text(e, "event"), "grant") != 0)
            continue;
        const char *payload = strchr(text(e, "token"), '.') + 1;
        assert_int_equal(b64url_decode(slice_of(payload, strcspn(payload, ".")), raw, sizeof raw, &len), OK);
        json_t *claims = json_loadb((const char *)raw, len, 0, NULL);
        if (strcmp(text(claims, "grant_id"), id) == 0) {
            json_decref(found);
            found = claims;
        } else {
            json_decref(claims);
        }
    }
    assert_non_null(found);
    return found;
}

static void id_of(json_t *answer, char out[32])
{
    json_t *item = member(answer, "request");
    snprintf(out, 32, "%s", text(item, "id"));
    json_decref(item);
}

static void granted_id(const char *item, char out[32])
{
    json_t *found = member(ask("item.get", "alice", "id", item), "item");
    snprintf(out, 32, "%s", text(found, "grant_id"));
    json_decref(found);
}

static void a_yes_may_be_for_less(void **state)
{
    (void)state;
    char id[32], grant[32];
    expect(request_with("alice", "support", 600, "actions", json_pack("[s]", "fly")), "bad-request");
    expect(request_with("alice", "support", 600, "actions", json_pack("[s, s]", "use", "use")), "bad-request");
    expect(request_with("alice", "support", 600, "actions", json_pack("[i]", 7)), "bad-request");
    id_of(request_with("alice", "support", 600, "actions", json_pack("[s, s]", "use", "export")), id);
    static const struct { const char *name; int duration_s; const char *actions; } wider[] = {
        { "longer", 601, NULL }, { "zero", 0, "[]" }, { "negative", -5, NULL }, { "no such action", 60, "[\"fly\"]" }, { "nothing", 60, "[]" },
    };
    for (size_t i = 0; i < sizeof wider / sizeof *wider; i++) {
        json_t *answer = statement_with("bob", id, bed.bob, wider[i].duration_s, wider[i].actions ? json_loads(wider[i].actions, 0, NULL) : NULL);
        if (json_is_true(json_object_get(answer, "ok")))
            fail_msg("%s", wider[i].name);
        json_decref(answer);
    }
    json_t *stmt = member(statement_with("bob", id, bed.bob, 60, json_pack("[s]", "use")), "statement");
    json_t *changed = json_deep_copy(stmt);
    json_object_set_new(json_object_get(changed, "scope"), "actions", json_string("export,use"));
    expect(decide_with("bob", changed, bed.bob), "bad-signature");
    expect(decide_with("bob", stmt, bed.bob), "ok");
    granted_id(id, grant);
    assert_non_null(client_event(&worker, "item", "state", "granted"));
    json_t *claims = claims_of(grant);
    assert_int_equal(json_array_size(json_object_get(claims, "actions")), 1);
    assert_string_equal(json_string_value(json_array_get(json_object_get(claims, "actions"), 0)), "use");
    assert_int_equal(json_integer_value(json_object_get(claims, "exp")) - json_integer_value(json_object_get(claims, "iat")), 60);
    snprintf(grant_id, sizeof grant_id, "%s", grant);
    expect(hold("id=1"), "grant-required");                            /* export is not among them */
    json_decref(claims);
    json_decref(changed);
    json_decref(stmt);
}

/* What remains is what all of them said yes to. */
static void two_approvers_narrow_together(void **state)
{
    (void)state;
    char id[32], grant[32];
    id_of(request("alice", "vault", "ticket 4711", 600), id);
    json_t *a = member(statement_with("bob", id, bed.bob, 300, json_pack("[s]", "view")), "statement");
    expect(decide_with("bob", a, bed.bob), "ok");
    json_t *none = member(statement_with("carol", id, bed.carol, 0, json_pack("[s]", "edit")), "statement");
    expect(decide_with("carol", none, bed.carol), "wider-than-asked");
    json_t *b = member(statement_with("carol", id, bed.carol, 200, NULL), "statement");
    expect(decide_with("carol", b, bed.carol), "ok");
    granted_id(id, grant);
    assert_non_null(client_event(&worker, "item", "state", "granted"));
    json_t *claims = claims_of(grant);
    assert_int_equal(json_array_size(json_object_get(claims, "actions")), 1);
    assert_int_equal(json_integer_value(json_object_get(claims, "exp")) - json_integer_value(json_object_get(claims, "iat")), 200);
    json_decref(claims);
    json_decref(none);
    json_decref(a);
    json_decref(b);
}

static void an_extension_keeps_the_grant(void **state)
{
    (void)state;
    char id[32], held[32];
    get_grant();
    hold_id("id=1", held);
    expect(request_with("alice", "support", 1200, "extends", json_string("grt_AAAAAAAAAAAAAAAAAAAAAA")), "grant-required");
    expect(request_with("anna", "support", 1200, "extends", json_string(grant_id)), "grant-required");
    expect(request_with("alice", "vault", 600, "extends", json_string(grant_id)), "grant-required");
    id_of(request_with("alice", "support", 1200, "extends", json_string(grant_id)), id);
    expect(statement("alice", id, "approve", bed.alice), "self-approval");
    json_t *before = claims_of(grant_id);
    decide("bob", id, "approve", bed.bob, "granted");
    expect(ask("status", "alice", NULL, NULL), "ok");                  /* events come behind the answer */
    json_t *after = claims_of(grant_id);
    assert_true(json_integer_value(json_object_get(after, "exp")) >= json_integer_value(json_object_get(before, "exp")) + 590);
    assert_string_not_equal(text(after, "jti"), text(before, "jti"));
    json_t *item = member(ask("item.get", "alice", "id", held), "item");   /* what was held under it still waits */
    assert_string_equal(text(item, "state"), "pending");
    assert_int_equal(testbed_signal(&bed, SIGKILL), 128 + SIGKILL);
    client_close(&worker);
    testbed_spawn(&bed);                                               /* and the rows agree with the log */
    hello(&worker, "worker");
    decide("carol", held, "approve", bed.carol, "approved");
    json_t *ran = hold("id=1");
    assert_true(json_is_true(json_object_get(ran, "run")));
    json_decref(ran);
    json_decref(item);
    json_decref(before);
    json_decref(after);
}

static void an_extension_ends_with_its_grant(void **state)
{
    (void)state;
    char id[32];
    get_grant();
    id_of(request_with("alice", "support", 1200, "extends", json_string(grant_id)), id);
    expect(client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "lock", "who", who("bob"), "kind", "grant", "value", grant_id, "reason", "strange")), "ok");
    expect(statement("bob", id, "approve", bed.bob), "not-pending");
}

static json_t *withdraw(const char *name, const char *id)
{
    return client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s}", "op", "withdraw", "who", who(name), "id", id, "reason", "it was a mistake"));
}

static void what_was_asked_or_said_is_taken_back(void **state)
{
    (void)state;
    char id[32], held[32];
    id_of(request("alice", "support", "because", 60), id);
    expect(withdraw("bob", id), "not-yours");
    expect(withdraw("carol", id), "not-found");
    expect(withdraw("alice", id), "ok");
    expect(withdraw("alice", id), "not-pending");
    expect(statement("bob", id, "approve", bed.bob), "not-pending");
    get_grant();
    hold_id("id=1", held);
    decide("carol", held, "approve", bed.carol, "approved");
    expect(withdraw("anna", held), "not-found");
    expect(withdraw("carol", held), "ok");                             /* a yes withdrawn before use */
    json_t *again = hold("id=1");
    assert_true(json_is_false(json_object_get(again, "run")));
    json_decref(again);
    json_t *list = member(ask("status", "alice", NULL, NULL), "requests");
    const char *granted = NULL;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(text(json_array_get(list, i), "state"), "granted") == 0)
            granted = text(json_array_get(list, i), "id");
    expect(withdraw("bob", granted), "ok");
    assert_non_null(client_event(&worker, "grant.ended", "grant_id", grant_id));
    json_decref(list);
}

/* ---- budgets ---- */

static json_t *lease(const char *wants)
{
    return client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:o}", "op", "budget.lease", "who", who("alice"), "tool", "support", "grant_id", grant_id, "wants",
                                         json_loads(wants, 0, NULL)));
}

#define VALUE(c) "{\"name\": \"distinct:customer\", \"digest\": \"" c "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\", \"shown\": \"x\"}"

static void budgets_are_never_over(void **state)
{
    (void)state;
    get_grant();
    expect(lease("[" VALUE("A") "]"), "ok");
    expect(lease("[" VALUE("A") "]"), "ok");                           /* the same is free */
    expect(lease("[" VALUE("B") ", " VALUE("C") "]"), "budget-exhausted");   /* all or nothing */
    expect(lease("[" VALUE("B") "]"), "ok");
    expect(lease("[" VALUE("C") "]"), "budget-exhausted");
    expect(lease("[{\"name\": \"distinct:nothing\", \"digest\": \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\", \"shown\": \"x\"}]"), "ok");
    long got = 0;
    for (int i = 0; i < 200; i++) {
        json_t *answer = lease("[{\"name\": \"requests\", \"amount\": 1}]");
        if (json_is_true(json_object_get(answer, "ok")))
            got += (long)json_integer_value(json_object_get(json_array_get(json_object_get(answer, "leased"), 0), "amount"));
        json_decref(answer);
        if (i == 20) {                                                 /* what was leased stays spent */
            assert_int_equal(testbed_signal(&bed, SIGKILL), 128 + SIGKILL);
            client_close(&worker);
            testbed_spawn(&bed);
            hello(&worker, "worker");
        }
    }
    assert_int_equal(got, 100);
    expect(lease("[" VALUE("C") "]"), "budget-exhausted");
    json_t *grants = member(ask("status", "alice", NULL, NULL), "grants");
    const json_t *lines = json_object_get(json_array_get(grants, 0), "budget");
    assert_int_equal(json_array_size(lines), 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(json_integer_value(json_object_get(json_array_get(lines, i), "left")),
                         strcmp(text(json_array_get(lines, i), "name"), "action:export") == 0 ? 2 : 0);
    json_decref(grants);
}

static int64_t shown_left(const char *id, const char *line)
{
    json_t *item = member(ask("item.get", "bob", "id", id), "item"), *each;
    size_t i;
    int64_t left = -1;
    json_array_foreach(json_object_get(item, "budget"), i, each)
        if (strcmp(text(each, "name"), line) == 0)
            left = json_integer_value(json_object_get(each, "left"));
    json_decref(item);
    return left;
}

/* Who approves sees what the grant would begin with, or what is left of the one that goes on; lists do without. */
static void approvers_see_the_budget(void **state)
{
    char fresh[32], more[32];
    (void)state;
    id_of(request_with("anna", "support", 60, "extends", NULL), fresh);
    assert_int_equal(shown_left(fresh, "requests"), 100);
    json_t *items = member(ask("pending", "bob", NULL, NULL), "items");
    assert_null(json_object_get(json_array_get(items, 0), "budget"));
    json_decref(items);
    get_grant();
    expect(lease("[" VALUE("A") "]"), "ok");
    id_of(request_with("alice", "support", 600, "extends", json_string(grant_id)), more);
    assert_int_equal(shown_left(more, "distinct:customer"), 1);
    assert_int_equal(shown_left(more, "nothing"), -1);
}

static void broken_leases_end_the_connection(void **state)
{
    static const char *const rows[] = { "[]", "{}", "[7]", "[{\"name\": \"requests\"}]", "[{\"name\": \"requests\", \"amount\": 0}]",
                                        "[{\"name\": \"requests\", \"amount\": -1}]", "[{\"name\": \"requests\", \"amount\": 1, \"x\": 1}]",
                                        "[{\"name\": \"distinct:customer\", \"digest\": \"A\", \"shown\": \"x\"}]" };
    (void)state;
    get_grant();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        expect(lease(rows[i]), "closed");
        client_close(&worker);
        hello(&worker, "worker");
    }
    expect(lease("[" VALUE("A") "]"), "ok");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_yes_may_be_for_less), STORY(two_approvers_narrow_together), STORY(an_extension_keeps_the_grant), STORY(an_extension_ends_with_its_grant),
        STORY(what_was_asked_or_said_is_taken_back), STORY(budgets_are_never_over), STORY(approvers_see_the_budget), STORY(broken_leases_end_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
