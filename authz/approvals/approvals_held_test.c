/* Held requests: taken in, signed off, run once; and what a crash leaves. */
#include "authz/approvals/story.h"

/* ---- held requests ---- */

static void holds_are_checked(void **state)
{
    (void)state;
    int fd = -1;
    get_grant();
    json_t *m = hold_message(who("alice"), grant_id, "id=1", &fd);
    json_object_set_new(m, "target", json_string("/export?x=2"));
    expect(client_ask_fd(&worker, json_incref(m), fd), "digest-mismatch");
    json_object_set_new(m, "target", json_string("/export?x=1"));
    json_object_set_new(m, "action", json_string("use"));
    expect(client_ask_fd(&worker, json_incref(m), fd), "not-held");
    json_object_set_new(m, "action", json_string("export"));
    json_object_set_new(m, "who", who("anna"));
    expect(client_ask_fd(&worker, json_incref(m), fd), "grant-required");
    json_object_set_new(m, "who", who("alice"));
    json_object_set_new(m, "body_len", json_integer(9 << 20));
    expect(client_ask_fd(&worker, json_incref(m), fd), "held-too-large");
    json_object_set_new(m, "body_len", json_integer(4));
    int open_fd = memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    expect(client_ask_fd(&worker, m, open_fd), "digest-mismatch");   /* not sealed */
    close(open_fd);
    close(fd);
    char id[3][32], again[32];
    hold_id("id=1", id[0]);
    hold_id("id=1", again);
    assert_string_equal(id[0], again);
    hold_id("id=2", id[1]);
    hold_id("id=3", id[2]);
    expect(hold("id=4"), "too-many-open");
}

static void read_fd(int fd, char *out, size_t max)
{
    ssize_t n = pread(fd, out, max - 1, 0);
    assert_true(n > 0);
    out[n] = 0;
}

static void a_signoff_runs_once(void **state)
{
    (void)state;
    char id[32], second[32], bytes[4096];
    get_grant();
    hold_id("id=1", id);
    json_t *items = member(ask("pending", "carol", NULL, NULL), "items");
    assert_int_equal(json_array_size(items), 1);
    assert_string_equal(text(json_array_get(items, 0), "id"), id);
    json_decref(items);
    expect(ask("held.raw", "carol", "id", id), "ok");
    read_fd(worker.fd_in, bytes, sizeof bytes);
    assert_non_null(strstr(bytes + 4, "id=1"));
    expect(statement("alice", id, "approve", bed.alice), "self-approval");
    expect(statement("bob", id, "approve", bed.bob), "not-found");
    expect(ask("release.link", "alice", "id", id), "signoff-required");
    decide("carol", id, "approve", bed.carol, "approved");
    json_t *code = member(ask("release.link", "alice", "id", id), "code");
    expect(ask("release.link", "anna", "id", id), "not-found");
    expect(release("anna", "support", json_string_value(code)), "release-code-unknown");
    json_t *elsewhere = member(ask("release.link", "alice", "id", id), "code");
    expect(release("alice", "vault", json_string_value(elsewhere)), "release-code-unknown");   /* another tool's host */
    expect(release("alice", "support", json_string_value(elsewhere)), "release-code-unknown"); /* used up by that */
    json_decref(elsewhere);
    json_t *answer = release("alice", "support", json_string_value(code));
    assert_true(json_is_true(json_object_get(answer, "run")));
    assert_true(strlen(text(answer, "token")) > 100);
    read_fd(worker.fd_in, bytes, sizeof bytes);
    assert_non_null(strstr(bytes + 4, "id=1"));
    expect(answer, "ok");
    expect(release("alice", "support", json_string_value(code)), "release-code-unknown");
    expect(ask("release.link", "alice", "id", id), "already-used");
    expect(ask("held.raw", "carol", "id", id), "held-gone");
    hold_id("id=1", second);
    assert_string_not_equal(id, second);
    json_t *m = json_pack("{s:s, s:s, s:s, s:i}", "op", "outcome", "id", id, "outcome", "answered", "status", 200);
    expect(client_ask(&worker, json_incref(m)), "ok");
    expect(client_ask(&worker, m), "outcome-known");
    json_decref(code);
    /* Sending the same bytes again when they are signed off runs them. */
    decide("carol", second, "approve", bed.carol, "approved");
    answer = hold("id=1");
    assert_true(json_is_true(json_object_get(answer, "run")));
    expect(answer, "ok");
    answer = hold("id=1");
    assert_true(json_is_false(json_object_get(answer, "run")));
    expect(answer, "ok");
}

static void assert_outcome(const char *id, const char *want)
{
    json_t *item = member(ask("item.get", "alice", "id", id), "item");
    assert_string_equal(text(item, "state"), "used");
    assert_string_equal(text(item, "outcome"), want);
    json_decref(item);
}

static void run_held(const char *body, char id[32])
{
    hold_id(body, id);
    decide("carol", id, "approve", bed.carol, "approved");
    json_t *answer = hold(body);
    assert_true(json_is_true(json_object_get(answer, "run")));
    expect(answer, "ok");
}

static void lost_workers_leave_unknown_outcomes(void **state)
{
    (void)state;
    char dropped[32], killed[32];
    struct client other;
    get_grant();
    run_held("id=1", dropped);
    hello(&other, "worker");
    client_close(&worker);
    worker = other;
    assert_non_null(client_event(&worker, "item", "id", dropped));
    assert_outcome(dropped, "outcome-unknown");
    run_held("id=2", killed);
    assert_int_equal(testbed_signal(&bed, SIGKILL), 128 + SIGKILL);
    client_close(&worker);
    testbed_spawn(&bed);
    hello(&worker, "worker");
    assert_outcome(killed, "outcome-unknown");
    /* A worker that lived and knows may still say so, once. */
    json_t *m = json_pack("{s:s, s:s, s:s, s:i}", "op", "outcome", "id", killed, "outcome", "answered", "status", 200);
    expect(client_ask(&worker, json_incref(m)), "ok");
    expect(client_ask(&worker, m), "outcome-known");
    assert_outcome(killed, "answered");
}

static void a_kill_loses_nothing(void **state)
{
    (void)state;
    char waiting[32], approved[32];
    get_grant();
    hold_id("id=1", waiting);
    hold_id("id=2", approved);
    decide("carol", approved, "approve", bed.carol, "approved");
    json_t *stmt = member(statement("carol", waiting, "approve", bed.carol), "statement");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(testbed_signal(&bed, SIGKILL), 128 + SIGKILL);
        client_close(&worker);
        testbed_spawn(&bed);
        hello(&worker, "worker");
        assert_non_null(client_event(&worker, "grant", NULL, NULL));
    }
    json_t *item = member(decide_with("carol", stmt, bed.carol), "item");   /* a statement given before the kill still counts */
    assert_string_equal(text(item, "state"), "approved");
    json_decref(item);
    json_decref(stmt);
    json_t *answer = hold("id=2");
    assert_true(json_is_true(json_object_get(answer, "run")));
    expect(answer, "ok");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(holds_are_checked), STORY(a_signoff_runs_once), STORY(lost_workers_leave_unknown_outcomes), STORY(a_kill_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
