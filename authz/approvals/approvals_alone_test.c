/* Grants without a second person, over the socket, against the real process: break-glass and its review, rules; and what neither ever is. */
#include "authz/approvals/story.h"

#include "authz/grant.h"

static struct client recorder;

static json_t *glass_as(json_t *by, const char *tool, const char *reason, int duration_s)
{
    return client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:i, s:s}", "op", "request.create", "who", by, "tool", tool, "reason", reason, "duration_s", duration_s, "basis",
                                         "break-glass"));
}

static json_t *glass(const char *name, const char *tool, const char *reason, int duration_s)
{
    return glass_as(who(name), tool, reason, duration_s);
}

static json_t *rule(const char *name, const char *reason, int duration_s, json_t *actions)
{
    return client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:i, s:o}", "op", "request.create", "who", who(name), "tool", "desk", "reason", reason, "duration_s", duration_s,
                                         "actions", actions));
}

static int set_up_recorded(void **state)
{
    int code = set_up(state);
    hello(&recorder, "recorder");
    return code;
}

static int tear_down_recorded(void **state)
{
    client_close(&recorder);
    return tear_down(state);
}

/* The claims of this event's token, if it is of this grant; unverified: the worker's own tests verify. */
static json_t *claims_in(const json_t *event, const char *grant)
{
    unsigned char raw[8192];
    size_t len = 0;
    const char *token = text(event, "token"), *dot = strchr(token, '.');
    if (dot == NULL || b64url_decode(slice_of(dot + 1, strcspn(dot + 1, ".")), raw, sizeof raw, &len) != OK)
        return NULL;
    json_t *claims = json_loadb((const char *)raw, len, 0, NULL);
    if (strcmp(text(claims, "grant_id"), grant) == 0)
        return claims;
    json_decref(claims);
    return NULL;
}

/* Of the grant's newest token, once the event is here. The caller's. */
static json_t *claims_of(const char *grant)
{
    for (;;) {
        int fd = -1;
        json_t *claims = NULL, *m;
        for (size_t i = json_array_size(worker.events); i-- > 0 && claims == NULL;)
            claims = claims_in(json_array_get(worker.events, i), grant);
        if (claims != NULL || (m = client_receive(&worker, &fd)) == NULL)
            return claims;
        json_array_append_new(worker.events, m);
    }
}

static json_t *review_statement(const char *name, const char *id, const char *outcome, const char *words, EVP_PKEY *key)
{
    char kid[44];
    key_fingerprint(key, kid);
    return client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:s, s:s}", "op", "review.statement", "who", who(name), "id", id, "key", kid, "outcome", outcome, "words", words));
}

static json_t *lock_grant(const char *name, const char *grant)
{
    return client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "lock", "who", who(name), "kind", "grant", "value", grant, "reason", "stop"));
}

/* The first open use that this person is told of; the caller's, or NULL. */
static json_t *told(const char *name)
{
    json_t *list = member(ask("pending", name, NULL, NULL), "break_glass");
    json_t *first = json_incref(json_array_get(list, 0));
    json_decref(list);
    return first;
}

static void only_who_may_breaks_the_glass(void **state)
{
    (void)state;
    const struct { const char *name, *tool, *reason; int duration_s; const char *want; } rows[] = {
        { "bob", "desk", "fire", 60, "no-break-glass" },         /* an approver of it */
        { "olga", "desk", "fire", 60, "no-break-glass" },
        { "alice", "support", "fire", 60, "no-break-glass" },    /* not set for this tool */
        { "alice", "nothing", "fire", 60, "unknown-tool" },
        { "alice", "desk", "", 60, "bad-reason" },
        { "alice", "desk", "fire\n", 60, "bad-reason" },
        { "alice", "desk", "fire", 0, "bad-duration" },
        { "alice", "desk", "fire", 601, "bad-duration" },        /* its own maximum, not the tool's */
        { "carol", "desk", "fire", 60, "ok" },                   /* in a group that may, and may not ask otherwise */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(glass(rows[i].name, rows[i].tool, rows[i].reason, rows[i].duration_s), rows[i].want);
    expect(client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:i, s:s}", "op", "request.create", "who", who("alice"), "tool", "desk", "reason", "fire", "duration_s", 60, "basis",
                                         "approved")), "bad-request");
    expect(client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:i, s:s, s:i}", "op", "request.create", "who", who("alice"), "tool", "desk", "reason", "fire", "duration_s", 60,
                                         "basis", "break-glass", "start_within_s", 60)), "bad-request");
}

static void a_use_is_marked_told_and_reviewed(void **state)
{
    (void)state;
    json_t *r = member(glass("alice", "desk", "the desk burns", 300), "request");
    assert_string_equal(text(r, "state"), "granted");
    assert_string_equal(text(r, "basis"), "break-glass");
    char grant[32];
    snprintf(grant, sizeof grant, "%s", text(r, "grant_id"));
    json_t *claims = claims_of(grant);
    assert_string_equal(text(claims, "basis"), "break-glass");
    assert_int_equal(json_array_size(json_object_get(claims, "approved_by")), 0);
    assert_true(json_integer_value(json_object_get(claims, "exp")) - json_integer_value(json_object_get(claims, "iat")) == 300);
    json_decref(claims);
    json_t *again = member(glass("alice", "desk", "the desk burns", 300), "request");   /* a click too many */
    assert_string_equal(text(again, "id"), text(r, "id"));
    json_decref(again);
    /* Approvers, operators, auditors and she herself are told; others are not. */
    const char *const concerned[] = { "anna", "bob", "dan", "olga", "alice" };
    for (size_t i = 0; i < sizeof concerned / sizeof *concerned; i++) {
        json_t *use = told(concerned[i]);
        assert_string_equal(text(use, "grant_id"), grant);
        assert_true(json_is_true(json_object_get(use, "live")));
        assert_int_equal(json_is_true(json_object_get(use, "yours")), i < 3);
        json_decref(use);
    }
    assert_null(told("carol"));
    json_t *use = told("bob");
    const char *id = text(use, "id");
    expect(ask("item.get", "carol", "id", id), "not-found");
    expect(review_statement("alice", id, "justified", "all was well", bed.alice), "self-approval");
    expect(review_statement("olga", id, "justified", "all was well", bed.olga), "may-not-approve");
    expect(review_statement("carol", id, "justified", "all was well", bed.carol), "not-found");
    expect(review_statement("bob", id, "fine", "all was well", bed.bob), "bad-request");
    expect(review_statement("bob", id, "justified", "", bed.bob), "bad-reason");
    expect(review_statement("bob", id, "justified", "all was well", bed.carol), "key-not-registered");
    expect(statement("bob", id, "approve", bed.bob), "not-found");   /* it is no request that waits for a yes */
    json_t *s = member(review_statement("bob", id, "not-justified", "there was no fire", bed.bob), "statement");
    assert_string_equal(text(s, "purpose"), "review");
    assert_string_equal(text(s, "requester"), "alice");
    expect(decide_with("bob", s, bed.carol), "bad-signature");
    expect(decide_with("anna", s, bed.anna), "statement-unknown");
    expect(decide_with("bob", s, bed.bob), "ok");
    expect(decide_with("bob", s, bed.bob), "statement-unknown");
    expect(review_statement("anna", id, "justified", "all was well", bed.anna), "not-pending");
    assert_null(told("bob"));
    json_t *item = member(ask("item.get", "alice", "id", id), "item");
    assert_string_equal(text(json_object_get(item, "review"), "outcome"), "not-justified");
    assert_string_equal(text(json_object_get(item, "review"), "by"), "bob");
    json_decref(item);
    json_decref(s);
    json_decref(use);
    json_decref(r);
}

static void it_is_never_a_signoff(void **state)
{
    (void)state;
    int fd = -1;
    json_t *r = member(glass("alice", "desk", "the desk burns", 300), "request");
    snprintf(grant_id, sizeof grant_id, "%s", text(r, "grant_id"));
    json_t *m = hold_message(who("alice"), grant_id, "id=1", &fd);
    json_object_set_new(m, "tool", json_string("desk"));
    json_t *answer = client_ask_fd(&worker, m, fd);
    close(fd);
    assert_true(json_is_false(json_object_get(answer, "run")));
    json_t *item = member(answer, "item");
    assert_string_equal(text(item, "state"), "pending");
    expect(ask("release.link", "alice", "id", text(item, "id")), "signoff-required");
    json_decref(item);
    /* Neither is it the start of something longer. */
    json_t *longer = json_pack("{s:s, s:o, s:s, s:s, s:i, s:s}", "op", "request.create", "who", who("alice"), "tool", "desk", "reason", "more time", "duration_s", 60, "extends", grant_id);
    expect(client_ask(&worker, longer), "grant-required");
    json_decref(r);
}

static void locks_and_a_lost_recorder_stop_it(void **state)
{
    (void)state;
    json_t *r = member(glass("alice", "desk", "the desk burns", 300), "request");
    /* Who could have approved it may stop it; others, the auditors among them, may not. */
    expect(lock_grant("dan", text(r, "grant_id")), "operators-only");
    expect(lock_grant("carol", text(r, "grant_id")), "operators-only");
    expect(lock_grant("bob", text(r, "grant_id")), "ok");
    assert_non_null(client_event(&worker, "grant.ended", "grant_id", text(r, "grant_id")));
    json_decref(r);
    r = member(glass("alice", "desk", "the desk burns on", 300), "request");
    json_t *lock = json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "lock", "who", who("olga"), "kind", "person", "value", "alice", "reason", "stop");
    expect(client_ask(&worker, lock), "ok");
    assert_non_null(client_event(&worker, "grant.ended", "grant_id", text(r, "grant_id")));
    expect(glass("alice", "desk", "it burns again", 60), "locked");
    json_decref(r);
    client_close(&recorder);
    for (int i = 0; i < 500; i++) {   /* until authz has seen that it is gone */
        json_t *answer = glass("anna", "desk", "it burns", 60);
        bool gone = strcmp(text(json_object_get(answer, "problem"), "type"), "recording-unavailable") == 0;
        json_decref(answer);
        if (gone)
            return;
        usleep(20 * 1000);
    }
    fail_msg("break-glass works without a recorder");
}

static void an_overdue_review_stops_the_next_use(void **state)
{
    (void)state;
    expect(glass("alice", "pager", "it is late", 60), "ok");
    json_t *use = NULL;
    for (int i = 0; i < 500 && (use == NULL || !json_is_true(json_object_get(use, "overdue"))); i++) {
        json_decref(use);
        usleep(20 * 1000);
        use = told("olga");
    }
    assert_true(json_is_true(json_object_get(use, "overdue")));
    expect(glass("alice", "pager", "it is later", 60), "review-overdue");
    expect(glass("alice", "desk", "another tool, without that setting", 60), "ok");
    expect(glass("anna", "pager", "another person", 60), "ok");
    expect(glass("alice", "desk", "a third that nobody looked at", 60), "too-many-open");
    expect(review_statement("bob", text(use, "id"), "justified", "it was late", bed.bob), "may-not-approve");   /* reviewers are named, and bob is none */
    json_t *s = member(review_statement("carol", text(use, "id"), "justified", "it was late", bed.carol), "statement");
    expect(decide_with("carol", s, bed.carol), "ok");
    expect(glass("alice", "pager", "it is later", 60), "ok");
    json_decref(s);
    json_decref(use);
}

static void a_rule_gives_what_it_lists_and_no_more(void **state)
{
    (void)state;
    json_t *r = member(rule("alice", "INC-1 cannot log in", 300, json_pack("[s]", "view")), "request");
    assert_string_equal(text(r, "state"), "granted");
    assert_string_equal(text(r, "basis"), "auto");
    assert_string_equal(text(r, "rule"), "look");
    json_t *claims = claims_of(text(r, "grant_id"));
    assert_string_equal(text(claims, "basis"), "auto");
    assert_int_equal(json_array_size(json_object_get(claims, "actions")), 1);
    assert_string_equal(json_string_value(json_array_get(json_object_get(claims, "actions"), 0)), "view");
    json_decref(claims);
    json_decref(r);
    const struct { const char *reason; int duration_s; const char *a, *b; } waits[] = {
        { "cannot log in", 300, "view", "edit" }, { "INC-1", 301, "view", "edit" }, { "INC-1", 300, "view", "use" },
    };
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        static const char *const names[] = { "alice", "anna", "carol" };   /* carol is in no group of the rule */
        r = member(rule(names[i], waits[i].reason, waits[i].duration_s, json_pack("[s, s]", waits[i].a, waits[i].b)), "request");
        assert_string_equal(text(r, "state"), "pending");
        assert_string_equal(text(r, "basis"), "approved");
        json_decref(r);
    }
    /* So often in a day, then a person looks at it again. */
    r = member(rule("alice", "INC-2", 300, json_pack("[s]", "view")), "request");
    assert_string_equal(text(r, "state"), "granted");
    json_decref(r);
    r = member(client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:i, s:[s]}", "op", "request.create", "who", who_with("alice@laptop.localhost", "laptop"), "tool", "desk", "reason",
                                             "INC-3", "duration_s", 60, "actions", "view")), "request");
    assert_string_equal(text(r, "state"), "pending");
    json_decref(r);
}

static void the_past_is_read_again_after_a_restart(void **state)
{
    (void)state;
    json_t *r = member(glass("alice", "desk", "the desk burns", 300), "request");
    json_t *a = member(rule("anna", "INC-1", 60, json_pack("[s]", "view")), "request");
    client_close(&recorder);
    client_close(&worker);
    assert_int_equal(testbed_signal(&bed, SIGTERM), 0);
    testbed_spawn(&bed);
    hello(&worker, "worker");
    hello(&recorder, "recorder");
    json_t *use = told("dan");
    assert_string_equal(text(use, "grant_id"), text(r, "grant_id"));
    json_t *claims = claims_of(text(a, "grant_id"));
    assert_string_equal(text(claims, "basis"), "auto");
    expect(review_statement("dan", text(use, "id"), "justified", "seen", bed.bob), "key-not-registered");
    json_decref(claims);
    json_decref(use);
    json_decref(a);
    json_decref(r);
}

#define RECORDED(f) cmocka_unit_test_setup_teardown(f, set_up_recorded, tear_down_recorded)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RECORDED(only_who_may_breaks_the_glass), RECORDED(a_use_is_marked_told_and_reviewed), RECORDED(it_is_never_a_signoff), RECORDED(locks_and_a_lost_recorder_stop_it),
        RECORDED(an_overdue_review_stops_the_next_use), RECORDED(a_rule_gives_what_it_lists_and_no_more), RECORDED(the_past_is_read_again_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
