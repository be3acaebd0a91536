/* Keys of authenticators, over the socket, against the real process: registered, confirmed by another person, used, counted, taken away. */
#include "authz/approvals/story.h"

#include "authz/soft_authenticator.h"
#include "authz/yes.h"

static const char rp_id[] = "console.acme.localhost", origin[] = "https://console.acme.localhost:8443";

static void text_of(const struct soft_bytes *b, char *out)
{
    b64url_encode(slice_of(b->v, b->len), out);
}

static json_t *begin(const char *name)
{
    json_t *answer = ask("key.begin", name, NULL, NULL);
    assert_true(json_is_true(json_object_get(answer, "ok")));
    return answer;
}

/* What the browser sends after key.begin; `as` sends it. */
static json_t *propose(const struct soft *s, const json_t *begun, const char *as, const char *label)
{
    static char client_text[4096], object_text[8192];
    struct soft_bytes client, object;
    unsigned char challenge[32], wanted[32];
    struct err err;
    size_t len = 0;
    assert_int_equal(yes_challenge(json_object_get(begun, "statement"), challenge, &err), OK);
    assert_int_equal(b64url_decode(slice_str(text(json_object_get(begun, "options"), "challenge")), wanted, 32, &len), OK);
    assert_memory_equal(challenge, wanted, 32);
    soft_register(s, challenge, &client, &object);
    text_of(&client, client_text);
    text_of(&object, object_text);
    return client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:s, s:s}", "op", "key.propose", "who", who(as), "id", text(begun, "id"), "label", label,
                                         "client_data", client_text, "attestation", object_text));
}

/* Registered, not yet confirmed; the item's id. */
static void register_key(const struct soft *s, const char *name, char id[32])
{
    json_t *begun = begin(name);
    json_t *item = member(propose(s, begun, name, "blue key"), "item");
    assert_string_equal(text(item, "state"), "pending");
    assert_string_equal(text(item, "kind"), "key");
    snprintf(id, 32, "%s", text(item, "id"));
    json_decref(item);
    json_decref(begun);
}

/* A decision signed by the authenticator. */
static json_t *decide_soft(const char *name, const json_t *stmt, struct soft *s)
{
    char client_text[4096], data_text[4096], signature_text[4096];
    struct soft_bytes client, data, signature;
    unsigned char challenge[32];
    struct err err;
    assert_int_equal(yes_challenge(stmt, challenge, &err), OK);
    soft_sign(s, challenge, &client, &data, &signature);
    text_of(&client, client_text);
    text_of(&data, data_text);
    text_of(&signature, signature_text);
    return client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:s, s:s}", "op", "decide", "who", who(name), "statement_id", text(stmt, "id"),
                                         "client_data", client_text, "authenticator_data", data_text, "signature", signature_text));
}

static json_t *wanted_statement(const char *name, const char *id, const char *decision, EVP_PKEY *key)
{
    return member(statement(name, id, decision, key), "statement");
}

static void request_id(char id[32])
{
    json_t *r = member(request("alice", "support", "ticket 4711", 600), "request");
    snprintf(id, 32, "%s", text(r, "id"));
    json_decref(r);
}

static void a_confirmed_key_approves(void **state)
{
    static const int algorithms[] = { WEBAUTHN_ES256, WEBAUTHN_EDDSA, WEBAUTHN_RS256 };
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct soft s;
        char key_id[32], id[32];
        soft_make(&s, algorithms[i], rp_id, origin);
        register_key(&s, "bob", key_id);
        request_id(id);
        expect(statement("bob", id, "approve", s.key), "key-not-registered");      /* not confirmed yet */
        decide("carol", key_id, "approve", bed.carol, "approved");
        json_t *stmt = wanted_statement("bob", id, "approve", s.key);
        assert_string_equal(text(stmt, "method"), "hardware");
        json_t *item = member(decide_soft("bob", stmt, &s), "item");
        assert_string_equal(text(item, "state"), "granted");
        json_decref(item);
        json_decref(stmt);
        EVP_PKEY_free(s.key);
    }
}

static void nobody_confirms_their_own_key(void **state)
{
    struct soft s, other;
    char key_id[32], other_id[32];
    (void)state;
    soft_make(&s, WEBAUTHN_ES256, rp_id, origin);
    soft_make(&other, WEBAUTHN_EDDSA, rp_id, origin);
    register_key(&s, "bob", key_id);
    register_key(&other, "alice", other_id);
    expect(statement("bob", key_id, "approve", bed.bob), "self-approval");
    expect(statement("bob", key_id, "approve", s.key), "self-approval");
    expect(statement("dan", key_id, "approve", bed.bob), "may-not-approve");       /* an auditor without a key */
    expect(statement("alice", key_id, "approve", other.key), "key-not-registered");   /* with a key that waits itself */
    expect(ask("item.get", "dan", "id", key_id), "ok");
    decide("carol", key_id, "deny", bed.carol, "denied");
    expect(statement("carol", key_id, "approve", bed.carol), "not-pending");
    EVP_PKEY_free(s.key);
    EVP_PKEY_free(other.key);
}

static void registrations_are_bound_to_person_and_challenge(void **state)
{
    struct soft s;
    (void)state;
    soft_make(&s, WEBAUTHN_ES256, rp_id, origin);
    json_t *begun = begin("bob"), *second = begin("bob");
    expect(propose(&s, begun, "carol", "mine"), "statement-unknown");
    expect(propose(&s, begun, "bob", ""), "bad-request");
    expect(propose(&s, begun, "bob", "two\nlines"), "bad-request");
    json_t *swapped = json_deep_copy(begun);
    json_object_set_new(swapped, "id", json_string(text(second, "id")));
    json_t *answer = propose(&s, swapped, "bob", "mine");                          /* signed for one, handed in for the other */
    expect(answer, "key-unsound");
    json_decref(swapped);
    static const struct { const char *name; unsigned char flags; const char *origin, *rp; } rows[] = {
        { "another origin", 0x05, "https://support.acme.localhost:8443", NULL }, { "another RP ID", 0x05, NULL, "acme.localhost" },
        { "not verified", 0x01, NULL, NULL }, { "origin without port", 0x05, "https://console.acme.localhost", NULL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct soft bad = s;
        bad.flags = rows[i].flags;
        bad.origin = rows[i].origin ? rows[i].origin : bad.origin;
        bad.rp_id = rows[i].rp ? rows[i].rp : bad.rp_id;
        expect(propose(&bad, begun, "bob", rows[i].name), "key-unsound");
    }
    expect(propose(&s, begun, "bob", "mine"), "ok");
    expect(propose(&s, begun, "bob", "mine"), "statement-unknown");                /* once */
    json_t *third = begin("carol");
    expect(propose(&s, third, "carol", "the same key"), "key-unsound");            /* a key has one owner */
    json_decref(third);
    json_decref(begun);
    json_decref(second);
    EVP_PKEY_free(s.key);
}

static void altered_answers_are_refused(void **state)
{
    static const struct { const char *name; unsigned char flags; const char *origin, *rp, *type, *more; } rows[] = {
        { "not verified", 0x01, NULL, NULL, NULL, NULL }, { "nobody there", 0x04, NULL, NULL, NULL, NULL },
        { "origin of a tool", 0x05, "https://support.acme.localhost:8443", NULL, NULL, NULL },
        { "another port", 0x05, "https://console.acme.localhost:8444", NULL, NULL, NULL },
        { "another RP ID", 0x05, NULL, "acme.localhost", NULL, NULL }, { "a registration", 0x05, NULL, NULL, "webauthn.create", NULL },
        { "in a frame", 0x05, NULL, NULL, NULL, ",\"crossOrigin\":true" }, { "says it is copied", 0x0d, NULL, NULL, NULL, NULL },
    };
    struct soft s;
    char key_id[32], id[32];
    (void)state;
    soft_make(&s, WEBAUTHN_ES256, rp_id, origin);
    register_key(&s, "bob", key_id);
    decide("carol", key_id, "approve", bed.carol, "approved");
    request_id(id);
    json_t *stmt = wanted_statement("bob", id, "approve", s.key);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct soft bad = s;
        bad.flags = rows[i].flags;
        bad.origin = rows[i].origin ? rows[i].origin : bad.origin;
        bad.rp_id = rows[i].rp ? rows[i].rp : bad.rp_id;
        bad.type = rows[i].type;
        bad.more = rows[i].more;
        expect(decide_soft("bob", stmt, &bad), "bad-signature");
    }
    json_t *altered = json_deep_copy(stmt);                                        /* shown one thing, signed another */
    json_object_set_new(json_object_get(altered, "scope"), "duration_s", json_integer(1800));
    expect(decide_soft("bob", altered, &s), "bad-signature");
    json_decref(altered);
    expect(decide_with("bob", stmt, s.key), "bad-signature");                      /* the same key, the other way of signing */
    expect(decide_soft("anna", stmt, &s), "statement-unknown");
    expect(decide_soft("bob", stmt, &s), "ok");
    json_decref(stmt);
    EVP_PKEY_free(s.key);
}

static void counters_must_grow(void **state)
{
    static const struct { uint32_t count; const char *want; } rows[] = {
        { 10, "bad-signature" }, { 9, "bad-signature" }, { 0, "bad-signature" }, { 11, "ok" }, { 11, "bad-signature" }, { 4000000000u, "ok" },
    };
    struct soft s;
    char key_id[32], id[32];
    (void)state;
    soft_make(&s, WEBAUTHN_ES256, rp_id, origin);
    s.count = 10;
    register_key(&s, "bob", key_id);
    decide("carol", key_id, "approve", bed.carol, "approved");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        request_id(id);
        json_t *stmt = wanted_statement("bob", id, "deny", s.key);
        s.count = rows[i].count;
        if (i == 4) {                 /* a restart forgets nothing */
            client_close(&worker);
            assert_int_equal(testbed_signal(&bed, SIGTERM), 0);
            testbed_spawn(&bed);
            hello(&worker, "worker");
        }
        expect(decide_soft("bob", stmt, &s), rows[i].want);
        json_decref(stmt);
    }
    EVP_PKEY_free(s.key);
}

static void removed_keys_sign_nothing(void **state)
{
    struct soft s;
    char key_id[32], id[32];
    (void)state;
    soft_make(&s, WEBAUTHN_ES256, rp_id, origin);
    s.flags = 0x0d;
    register_key(&s, "bob", key_id);
    decide("carol", key_id, "approve", bed.carol, "approved");
    request_id(id);
    json_t *stmt = wanted_statement("bob", id, "approve", s.key);
    assert_string_equal(text(stmt, "method"), "passkey");
    json_t *keys = member(ask("keys", "bob", NULL, NULL), "keys");
    assert_int_equal(json_array_size(keys), 2);
    json_decref(keys);
    expect(ask("keys", "carol", "person", "bob"), "operators-only");
    expect(ask("keys", "olga", "person", "*"), "ok");
    json_t *m = json_pack("{s:s, s:o, s:s, s:s}", "op", "key.remove", "who", who("carol"), "id", key_id, "reason", "not mine");
    expect(client_ask(&worker, m), "not-found");
    m = json_pack("{s:s, s:o, s:s, s:s}", "op", "key.remove", "who", who("bob"), "id", key_id, "reason", "");
    expect(client_ask(&worker, m), "bad-reason");
    m = json_pack("{s:s, s:o, s:s, s:s}", "op", "key.remove", "who", who("olga"), "id", key_id, "reason", "lost on the train");
    expect(client_ask(&worker, m), "ok");
    expect(decide_soft("bob", stmt, &s), "key-not-registered");
    expect(statement("bob", id, "approve", s.key), "key-not-registered");
    client_close(&worker);
    assert_int_equal(testbed_signal(&bed, SIGTERM), 0);
    testbed_spawn(&bed);
    hello(&worker, "worker");
    expect(statement("bob", id, "approve", s.key), "key-not-registered");
    json_decref(stmt);
    EVP_PKEY_free(s.key);
}

/* The browser is told which authenticator to ask, and what it signs lifts the lock: once, and only that lock. */
static void a_key_lifts_a_lock(void **state)
{
    struct soft s;
    char key_id[32], kid[44];
    (void)state;
    soft_make(&s, WEBAUTHN_ES256, rp_id, origin);
    register_key(&s, "olga", key_id);
    key_fingerprint(s.key, kid);
    json_t *m = json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "lock", "who", who("olga"), "kind", "tool", "value", "support", "reason", "a drill");
    json_t *lock = member(client_ask(&worker, m), "lock");
    m = json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "unlock.statement", "who", who("olga"), "id", text(lock, "id"), "key", kid, "reason", "over");
    expect(client_ask(&worker, json_incref(m)), "key-not-registered");             /* nobody has confirmed it */
    decide("carol", key_id, "approve", bed.carol, "approved");
    json_t *answer = client_ask(&worker, m), *stmt = json_object_get(answer, "statement");
    assert_string_equal(text(json_object_get(answer, "webauthn"), "rp_id"), rp_id);
    assert_true(text(json_object_get(answer, "webauthn"), "credential")[0] != 0);
    struct soft bad = s;
    bad.flags = 0x01;
    expect(decide_soft("olga", stmt, &bad), "bad-signature");
    expect(decide_soft("olga", stmt, &s), "ok");
    expect(decide_soft("olga", stmt, &s), "statement-unknown");
    json_decref(answer);
    json_decref(lock);
    EVP_PKEY_free(s.key);
}

/* An edited row is named, and decides nothing. */
static void edited_rows_are_found(void **state)
{
    static const char *const edits[] = {
        "UPDATE new_key SET state = 'approved'", "UPDATE new_key SET person = 'alice'", "DELETE FROM new_key", "UPDATE new_key SET sign_count = 0",
        "UPDATE new_key SET spki = 'AAAA'",
    };
    struct soft s;
    char key_id[32], path[300];
    struct err err = { .text = "" };
    (void)state;
    soft_make(&s, WEBAUTHN_ES256, rp_id, origin);
    s.count = 3;
    register_key(&s, "bob", key_id);
    client_close(&worker);
    assert_int_equal(testbed_signal(&bed, SIGTERM), 0);
    snprintf(path, sizeof path, "%s/authz.db", bed.dir);
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        struct store *store = NULL;
        struct slice kept;
        unsigned char *bytes = NULL;
        size_t len = 0;
        assert_int_equal(file_read(path, 1 << 26, false, &bytes, &len, &err), OK);
        kept = slice_of(bytes, len);
        assert_int_equal(store_open(path, &store, &err), OK);
        assert_int_equal(store_begin(store, &err), OK);
        assert_int_equal(store_run(store, &err, edits[i], ""), OK);
        assert_int_equal(store_commit(store, &err), OK);
        store_close(store);
        testbed_spawn(&bed);
        if (testbed_wait(&bed) != 1)
            fail_msg("started with: %s", edits[i]);
        testbed_write(&bed, "authz.db", kept, 0600);
        free(bytes);
    }
    testbed_spawn(&bed);
    hello(&worker, "worker");
    decide("carol", key_id, "approve", bed.carol, "approved");
    EVP_PKEY_free(s.key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_confirmed_key_approves), STORY(nobody_confirms_their_own_key), STORY(registrations_are_bound_to_person_and_challenge),
        STORY(altered_answers_are_refused), STORY(counters_must_grow), STORY(a_key_lifts_a_lock), STORY(removed_keys_sign_nothing), STORY(edited_rows_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
