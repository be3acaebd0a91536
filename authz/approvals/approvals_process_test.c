/* Locks, sessions, the log, and the process itself: hostile peers, reloads, a second one. */
#include "authz/approvals/story.h"

#include "authz/chain.h"

/* ---- locks ---- */

static json_t *lock(const char *by, const char *kind, const char *value)
{
    return client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "lock", "who", who(by), "kind", kind, "value", value, "reason",
                                         "seen at a strange hour"));
}

static json_t *unlock_statement(const char *by, const char *id, EVP_PKEY *key)
{
    char kid[44];
    key_fingerprint(key, kid);
    return client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "unlock.statement", "who", who(by), "id", id, "key", kid, "reason", "it was her"));
}

/* olga and oskar sign with their own keys (testbed.h). */
static json_t *unlock(const char *by, const char *id)
{
    EVP_PKEY *key = strcmp(by, "olga") == 0 ? bed.olga : strcmp(by, "oskar") == 0 ? bed.oskar : bed.bob;
    json_t *answer = unlock_statement(by, id, key);
    if (!json_is_true(json_object_get(answer, "ok")))
        return answer;
    json_t *stmt = member(answer, "statement");
    answer = decide_with(by, stmt, key);
    json_decref(stmt);
    return answer;
}

static void a_lock_stops_everything(void **state)
{
    (void)state;
    char held[32], approved[32];
    get_grant();
    hold_id("id=1", held);
    hold_id("id=2", approved);
    decide("carol", approved, "approve", bed.carol, "approved");
    json_t *code = member(ask("release.link", "alice", "id", approved), "code");
    json_t *r = member(request("alice", "vault", "because", 60), "request");
    expect(lock("bob", "person", "alice"), "operators-only");
    expect(lock("olga", "person", "alise"), "lock-target-unknown");
    expect(lock("olga", "planet", "alice"), "bad-request");
    json_t *l = member(lock("olga", "person", "alice@acme.localhost"), "lock");
    assert_string_equal(text(l, "value"), "alice");
    assert_non_null(client_event(&worker, "lock", NULL, NULL));
    assert_non_null(client_event(&worker, "grant.ended", "grant_id", grant_id));
    expect(request("alice", "support", "because", 60), "locked");
    expect(request_as(who_with("alice@laptop.localhost", "laptop"), "support", "because", 60), "locked");
    expect(hold("id=1"), "locked");
    expect(release("alice", "support", json_string_value(code)), "locked");
    expect(statement("bob", text(r, "id"), "approve", bed.bob), "not-pending");
    expect(ask("status", "alice", NULL, NULL), "ok");
    assert_int_equal(testbed_signal(&bed, SIGKILL), 128 + SIGKILL);   /* and it holds over a restart */
    client_close(&worker);
    testbed_spawn(&bed);
    hello(&worker, "worker");
    assert_non_null(client_event(&worker, "lock", NULL, NULL));
    expect(request("alice", "support", "because", 60), "locked");
    expect(unlock("bob", text(l, "id")), "operators-only");
    expect(unlock("olga", text(l, "id")), "ok");
    expect(unlock("olga", text(l, "id")), "not-found");
    expect(hold("id=1"), "grant-required");                           /* what ended stays ended */
    expect(request("alice", "support", "because", 60), "ok");
    json_decref(code);
    json_decref(r);
    json_decref(l);
}

/* Lifting a lock is a signature like a yes: another's key, another's statement, an edited one, a second use are none. */
static void unlocking_is_signed(void **state)
{
    (void)state;
    json_t *l = member(lock("olga", "tool", "support"), "lock"), *other = member(lock("olga", "person", "anna"), "lock");
    expect(unlock_statement("olga", text(l, "id"), bed.oskar), "key-not-registered");
    expect(unlock_statement("bob", text(l, "id"), bed.bob), "operators-only");
    expect(unlock_statement("olga", "lck_AAAAAAAAAAAAAAAAAAAAAA", bed.olga), "not-found");
    json_t *stmt = member(unlock_statement("olga", text(l, "id"), bed.olga), "statement");
    assert_string_equal(text(stmt, "purpose"), "unlock");
    json_t *edited = json_deep_copy(stmt);
    json_object_set_new(json_object_get(edited, "scope"), "lock_id", json_string(text(other, "id")));
    expect(decide_with("olga", edited, bed.olga), "bad-signature");
    expect(decide_with("oskar", stmt, bed.olga), "statement-unknown");
    json_t *answer = decide_with("olga", stmt, bed.olga);
    expect(answer, "ok");
    expect(decide_with("olga", stmt, bed.olga), "statement-unknown");
    expect(request("alice", "support", "because", 60), "ok");
    json_decref(edited);
    json_decref(stmt);
    json_decref(l);
    json_decref(other);
}

static void everything_stops(void **state)
{
    (void)state;
    get_grant();
    json_t *r = member(request("anna", "support", "because", 60), "request");
    expect(lock("olga", "everything", "all"), "lock-target-unknown");
    json_t *l = member(lock("olga", "everything", "*"), "lock");
    assert_non_null(client_event(&worker, "grant.ended", "grant_id", grant_id));
    expect(request("alice", "support", "because", 60), "locked");
    expect(hold("id=1"), "locked");
    expect(ask("pending", "bob", NULL, NULL), "locked");
    expect(statement("bob", text(r, "id"), "approve", bed.bob), "not-pending");
    expect(ask("status", "alice", NULL, NULL), "ok");
    expect(ask("locks", "oskar", NULL, NULL), "ok");
    expect(ask("keys", "oskar", NULL, NULL), "ok");                    /* with one of them it is lifted */
    expect(ask("sessions", "dan", NULL, NULL), "ok");
    expect(unlock("oskar", text(l, "id")), "ok");
    expect(request("alice", "support", "because", 60), "ok");
    json_decref(l);
    json_decref(r);
}

/* An approver stops what she said yes to, and nothing else. */
static void an_approver_locks_her_grant(void **state)
{
    (void)state;
    get_grant();
    expect(lock("bob", "person", "alice"), "operators-only");
    expect(lock("bob", "everything", "*"), "operators-only");
    expect(lock("anna", "grant", grant_id), "operators-only");
    expect(lock("alice", "grant", grant_id), "operators-only");
    expect(lock("bob", "grant", grant_id), "ok");
    assert_non_null(client_event(&worker, "grant.ended", "grant_id", grant_id));
    expect(hold("id=1"), "grant-required");
}

static json_t *refused(const char *name, int count)
{
    return client_ask(&worker, json_pack("{s:s, s:o, s:i}", "op", "refused", "who", who(name), "count", count));
}

static void a_rule_locks(void **state)
{
    (void)state;
    char more[sizeof testbed_config + 100];
    expect(refused("alice", 1000000), "ok");                           /* no rule */
    expect(ask("pending", "alice", NULL, NULL), "ok");
    snprintf(more, sizeof more, "%slock_when = { refusals = 20; refusals_within = \"1h\"; };\n", testbed_config);
    testbed_write(&bed, "countersign.cfg", slice_str(more), 0600);
    assert_int_equal(testbed_signal(&bed, SIGTERM), 0);
    client_close(&worker);
    testbed_spawn(&bed);
    hello(&worker, "worker");
    expect(refused("alice", 19), "ok");
    expect(refused("bob", 19), "ok");
    expect(ask("pending", "alice", NULL, NULL), "ok");
    expect(refused("alice", 1), "ok");
    assert_non_null(client_event(&worker, "lock", NULL, NULL));
    expect(ask("pending", "alice", NULL, NULL), "locked");
    expect(ask("pending", "bob", NULL, NULL), "ok");
    json_t *locks = member(ask("locks", "olga", NULL, NULL), "locks");
    assert_int_equal(json_array_size(locks), 1);
    assert_string_equal(text(json_array_get(locks, 0), "by"), "rule:refusals");
    expect(unlock("olga", text(json_array_get(locks, 0), "id")), "ok");
    expect(ask("pending", "alice", NULL, NULL), "ok");
    json_decref(locks);
}

static void nobody_unlocks_themselves(void **state)
{
    (void)state;
    json_t *l = member(lock("olga", "person", "olga"), "lock");
    expect(unlock("olga", text(l, "id")), "locked");
    expect(unlock("oskar", text(l, "id")), "ok");
    json_decref(l);
    l = member(lock("oskar", "tool", "support"), "lock");
    expect(request("alice", "support", "because", 60), "locked");
    expect(unlock("olga", text(l, "id")), "ok");
    json_decref(l);
    get_grant();
    l = member(lock("olga", "grant", grant_id), "lock");
    expect(hold("id=1"), "grant-required");
    json_decref(l);
}

/* ---- sessions and the log ---- */

static json_t *segment(struct client *recorder, const char *session, int number, char fill)
{
    unsigned char raw[32];
    char digest[44];
    memset(raw, fill, sizeof raw);
    b64url_encode(slice_of(raw, sizeof raw), digest);
    return client_ask(recorder, json_pack("{s:s, s:s, s:i, s:s, s:i, s:i, s:i, s:i, s:i, s:i}", "op", "segment", "session", session, "number",
                                          number, "digest", digest, "from_ms", 1000, "to_ms", 2000, "exchanges", 3, "bytes", 4096, "ring", 0,
                                          "position", 77));
}

/* Read the whole log in pages and follow its chain to the signed head. */
static void check_log(const unsigned char key[32])
{
    struct err err = { .text = "" };
    struct tree tree = { 0 };
    struct chain_head signed_head;
    int64_t from = 1;
    char note[1024] = "";
    while (from > 0) {
        json_t *a = client_ask(&worker, json_pack("{s:s, s:o, s:I, s:i, s:s}", "op", "log.read", "who", who("dan"), "from", (json_int_t)from,
                                                  "limit", 7, "session", grant_id));
        assert_true(json_is_true(json_object_get(a, "ok")));
        size_t i;
        json_t *leaf;
        json_array_foreach(json_object_get(a, "leaves"), i, leaf) {
            unsigned char digest[32];
            size_t len;
            assert_int_equal(b64url_decode(slice_str(text(leaf, "digest")), digest, 32, &len), OK);
            assert_int_equal(json_integer_value(json_object_get(leaf, "seq")), tree.size + 1);
            assert_int_equal(chain_append(&tree, text(leaf, "type"), json_integer_value(json_object_get(leaf, "time_ms")), digest, NULL, NULL), OK);
        }
        snprintf(note, sizeof note, "%s", text(a, "head"));
        from = json_integer_value(json_object_get(a, "next"));
        json_decref(a);
    }
    assert_int_equal(chain_note_verify(key, "test.example", slice_str(note), &signed_head, &err), OK);
    struct chain_head head = chain_head_of(&tree);
    assert_int_equal(signed_head.seq, head.seq);
    assert_memory_equal(signed_head.hash, head.hash, 32);
}

static void sessions_are_for_auditors(void **state)
{
    (void)state;
    struct client recorder;
    unsigned char key[32];
    size_t len;
    get_grant();
    assert_true(client_connect(&bed, &recorder));
    json_t *log_key = member(client_ask(&recorder, json_pack("{s:s, s:s}", "op", "hello", "role", "recorder")), "log_key");
    assert_int_equal(b64url_decode(slice_str(json_string_value(log_key)), key, 32, &len), OK);
    expect(segment(&recorder, "grt_AAAAAAAAAAAAAAAAAAAAAA", 1, 'a'), "session-unknown");
    expect(segment(&recorder, grant_id, 1, 'a'), "ok");
    expect(segment(&recorder, grant_id, 1, 'a'), "ok");
    expect(segment(&recorder, grant_id, 1, 'b'), "segment-conflict");
    expect(segment(&recorder, grant_id, 2, 'b'), "ok");
    expect(ask("sessions", "alice", NULL, NULL), "auditors-only");
    expect(ask("sessions", "olga", NULL, NULL), "auditors-only");
    json_t *list = member(ask("sessions", "dan", NULL, NULL), "sessions");
    assert_int_equal(json_array_size(list), 1);
    const json_t *s = json_array_get(list, 0);
    assert_string_equal(text(s, "id"), grant_id);
    assert_string_equal(text(s, "state"), "live");
    assert_int_equal(json_integer_value(json_object_get(s, "exchanges")), 6);
    json_decref(list);
    json_t *m = json_pack("{s:s, s:o, s:s, s:s}", "op", "session.get", "who", who("dan"), "id", grant_id, "purpose", "show");
    json_t *a = client_ask(&worker, json_incref(m));
    assert_int_equal(json_array_size(json_object_get(a, "segments")), 2);
    assert_int_equal(json_array_size(json_object_get(a, "leaves")), 6);   /* asked, approved, granted, two segments, and this reading, which is a leaf */
    expect(a, "ok");
    json_object_set_new(m, "purpose", json_string("fun"));
    expect(client_ask(&worker, m), "bad-request");
    expect(ask("log.read", "alice", NULL, NULL), "auditors-only");
    check_log(key);
    json_decref(log_key);
    client_close(&recorder);
}

/* ---- the protocol ---- */

static void broken_peers_are_cut_off(void **state)
{
    (void)state;
    struct client c;
    const struct { const char *name, *first, *second; } rows[] = {
        { "an op before hello", "{\"op\":\"status\",\"n\":1}", NULL },
        { "hello twice", "{\"op\":\"hello\",\"role\":\"worker\"}", "{\"op\":\"hello\",\"role\":\"worker\"}" },
        { "an unknown op", "{\"op\":\"hello\",\"role\":\"worker\"}", "{\"op\":\"mint\"}" },
        { "a worker's op by the recorder", "{\"op\":\"hello\",\"role\":\"recorder\"}", "{\"op\":\"status\"}" },
        { "a recorder's op by a worker", "{\"op\":\"hello\",\"role\":\"worker\"}", "{\"op\":\"segment\"}" },
        { "nobody asks", "{\"op\":\"hello\",\"role\":\"worker\"}", "{\"op\":\"status\",\"who\":{\"identity\":\"x\"}}" },
        { "a hold without its bytes", "{\"op\":\"hello\",\"role\":\"worker\"}", "{\"op\":\"hold\"}" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(client_connect(&bed, &c));
        json_t *a = client_ask(&c, json_loads(rows[i].first, 0, NULL));
        if (rows[i].second != NULL) {
            assert_non_null(a);
            json_decref(a);
            a = client_ask(&c, json_loads(rows[i].second, 0, NULL));
        }
        if (a != NULL)
            print_error("%s: answered\n", rows[i].name);
        assert_null(a);
        client_close(&c);
    }
    assert_true(client_connect(&bed, &c));
    assert_int_equal(send(c.fd, "[1,2", 4, 0), 4);
    int got;
    assert_null(client_receive(&c, &got));
    client_close(&c);
    expect(ask("status", "alice", NULL, NULL), "ok");   /* and authz itself goes on */
}

/* A worker that reads nothing enforces no lock: it is disconnected, and what it asked meanwhile takes bounded room. */
static void a_worker_that_does_not_read_is_cut_off(void **state)
{
    (void)state;
    struct client c;
    struct err err;
    enum status st = OK;
    hello(&c, "worker");
    json_t *m = json_pack("{s:i, s:s, s:o}", "n", 7, "op", "status", "who", who("alice"));
    for (int i = 0; i < 3000 && st != CLOSED; i++) {
        st = msg_send(c.fd, m, NULL, 0, &err);
        if (st == AGAIN)
            usleep(10 * 1000);
    }
    assert_int_equal(st, CLOSED);
    json_decref(m);
    client_close(&c);
    expect(ask("status", "alice", NULL, NULL), "ok");
}

static void a_reload_follows_the_config(void **state)
{
    (void)state;
    char held[32];
    get_grant();
    hold_id("id=1", held);
    json_t *r = member(request("alice", "vault", "because", 60), "request");
    char *changed = strdup(testbed_config);
    char *at = strstr(changed, "max_duration = \"30m\"");
    memcpy(at, "max_duration = \"20m\"", 20);
    testbed_write(&bed, "countersign.cfg", slice_str(changed), 0600);
    free(changed);
    kill(bed.pid, SIGHUP);
    assert_non_null(client_event(&worker, "grant.ended", "why", "policy-changed"));
    json_t *item = member(ask("item.get", "alice", "id", held), "item");
    assert_string_equal(text(item, "state"), "cancelled");
    json_decref(item);
    item = member(ask("item.get", "alice", "id", text(r, "id")), "item");
    assert_string_equal(text(item, "state"), "pending");   /* another tool, not touched */
    json_decref(item);
    testbed_write(&bed, "countersign.cfg", SLICE("instance = 5;\n"), 0600);
    kill(bed.pid, SIGHUP);            /* wrong: the old one stays */
    expect(request("alice", "support", "because", 1201), "bad-duration");
    testbed_write(&bed, "approval_keys", SLICE("# none\n"), 0600);
    testbed_write(&bed, "countersign.cfg", slice_str(testbed_config), 0600);
    kill(bed.pid, SIGHUP);
    usleep(300 * 1000);
    expect(statement("bob", text(r, "id"), "approve", bed.bob), "key-not-registered");
    json_decref(r);
}

static void only_one_authz_runs(void **state)
{
    (void)state;
    struct testbed second = bed;
    fflush(NULL);
    second.pid = fork();
    if (second.pid == 0)
        testbed_child(&second);
    assert_int_equal(testbed_wait(&second), 1);
    expect(ask("status", "alice", NULL, NULL), "ok");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_lock_stops_everything), STORY(nobody_unlocks_themselves), STORY(unlocking_is_signed), STORY(everything_stops),
        STORY(an_approver_locks_her_grant), STORY(a_rule_locks), STORY(sessions_are_for_auditors),
        STORY(broken_peers_are_cut_off), STORY(a_worker_that_does_not_read_is_cut_off), STORY(a_reload_follows_the_config), STORY(only_one_authz_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
