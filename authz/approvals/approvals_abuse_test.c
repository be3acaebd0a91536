/* A hostile operator, approver or hand in the database, where two things meet: keys and their owners, extensions and sign-offs, locks and second certificates. In one
 * process, so that the leak checker sees the service too. */
#include "authz/approvals/internal.h"
#include "authz/approvals/testbed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "authz/approvals/testbed_inside.h"

static int set_up(void **state)
{
    struct err err = { .text = "" };
    (void)state;
    log_setup("test", LOG_LEVEL_ERROR + 1);
    testbed_make(&bed);
    testbed_must(open_service(&err) == OK, err.text);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close_service();
    testbed_remove(&bed);
    return 0;
}

static void edit(const char *sql)
{
    char path[512];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/authz.db", bed.dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK || sqlite3_changes(db) < 1)
        fail_msg("the test's own SQL did nothing: %s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

/* The only column of the only row. */
static void one(const char *sql, char *out, size_t room)
{
    char path[512];
    sqlite3 *db = NULL;
    sqlite3_stmt *q = NULL;
    snprintf(path, sizeof path, "%s/authz.db", bed.dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    snprintf(out, room, "%s", (const char *)sqlite3_column_text(q, 0));
    sqlite3_finalize(q);
    sqlite3_close(db);
}

/* ---- the words of the tests ---- */

static void item_of(json_t *answer, const char *name, char out[32])
{
    snprintf(out, 32, "%s", str(json_object_get(answer, name), "id"));
    assert_int_equal(strlen(out), ID_LEN);
    json_decref(answer);
}

static void request_by(const char *name, const char *tool, const char *extends, char id[32])
{
    json_t *answer = NULL, *m = json_pack("{s:s, s:o, s:s, s:s, s:i}", "op", "request.create", "who", who(name), "tool", tool, "reason", "ticket 4711", "duration_s",
                                          600);
    if (extends != NULL)
        json_object_set_new(m, "extends", json_string(extends));
    assert_string_equal(ask(m, -1, &answer), "ok");
    item_of(answer, "request", id);
}

/* actions: NULL, or one that the yes is for. *out: the statement; the caller's. */
static const char *statement_for(const char *name, const char *id, EVP_PKEY *key, const char *action, json_t **out)
{
    char kid[44];
    json_t *answer = NULL;
    key_fingerprint(key, kid);
    json_t *m = json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "statement", "who", who(name), "id", id, "decision", "approve", "key", kid);
    if (action != NULL)
        json_object_set_new(m, "actions", json_pack("[s]", action));
    const char *word = ask(m, -1, &answer);
    *out = json_incref(json_object_get(answer, "statement"));
    json_decref(answer);
    return word;
}

static const char *decide(json_t *by, const json_t *s, EVP_PKEY *key)
{
    struct err err = { .text = "" };
    char *jws = NULL;
    assert_int_equal(statement_sign(s, key, &jws, &err), OK);
    const char *word = ask(json_pack("{s:s, s:o, s:s, s:s}", "op", "decide", "who", by, "statement_id", str(s, "id"), "jws", jws), -1, NULL);
    free(jws);
    return word;
}

static const char *approve(const char *name, const char *id, EVP_PKEY *key, const char *action)
{
    json_t *s = NULL;
    const char *word = statement_for(name, id, key, action, &s);
    if (s != NULL)
        word = decide(who(name), s, key);
    json_decref(s);
    return word;
}

/* alice's live grant for `support`, by bob's yes. */
static void get_grant(char grant[32])
{
    char id[32];
    json_t *answer = NULL;
    request_by("alice", "support", NULL, id);
    assert_string_equal(approve("bob", id, bed.bob, NULL), "ok");
    assert_string_equal(ask(json_pack("{s:s, s:o, s:s}", "op", "item.get", "who", who("alice"), "id", id), -1, &answer), "ok");
    snprintf(grant, 32, "%s", str(json_object_get(answer, "item"), "grant_id"));
    json_decref(answer);
}

static const char *hold(const char *grant, const char *body, char id[32])
{
    int fd = -1;
    json_t *answer = NULL, *m = hold_message(who("alice"), grant, body, &fd);
    const char *word = ask(m, fd, &answer);
    close(fd);
    if (id != NULL && strcmp(word, "ok") == 0)
        item_of(json_incref(answer), "item", id);
    json_decref(answer);
    return word;
}

/* ---- keys and their owners ---- */

/* The file of approval keys, with this name in place of that one, and the settings: then a reload. */
static void reload_keys(const char *from, const char *to, const char *from_setting, const char *to_setting)
{
    struct err err = { .text = "" };
    const struct { const char *name, *from, *to; } files[] = { { "approval_keys", from, to }, { "countersign.cfg", from_setting, to_setting } };
    for (size_t i = 0; i < 2; i++) {
        unsigned char *bytes = NULL;
        size_t len = 0;
        char path[512], new[16384];
        if (files[i].from == NULL)
            continue;
        snprintf(path, sizeof path, "%s/%s", bed.dir, files[i].name);
        assert_int_equal(file_read(path, 1 << 20, false, &bytes, &len, &err), OK);
        const char *at = memmem(bytes, len, files[i].from, strlen(files[i].from));
        assert_non_null(at);
        const size_t before = (size_t)(at - (const char *)bytes), skip = before + strlen(files[i].from);
        snprintf(new, sizeof new, "%.*s%s%.*s", (int)before, (const char *)bytes, files[i].to, (int)(len - skip), (const char *)bytes + skip);
        assert_int_equal(file_write(path, slice_str(new), 0600, &err), OK);
        free(bytes);
    }
    struct config *c = testbed_load(&bed);
    if (service_reload(service, c, &err) != OK)
        fail_msg("%s", err.text);
    config_unref(c);
    json_decref(service_events(service));
}

#define CONFIRM "keys = { delay = \"0s\";", "keys = { delay = \"0s\"; confirm_certificates = true;"

/* One operator with the file cannot make her own key another person's: that waits for somebody's yes, whether the key was registered at first ... */
static void a_registered_key_given_to_another_waits(void **state)
{
    char id[32];
    json_t *s = NULL;
    (void)state;
    reload_keys(NULL, NULL, CONFIRM);
    reload_keys("olga ", "bob ", NULL, NULL);
    request_by("alice", "support", NULL, id);
    assert_string_equal(statement_for("bob", id, bed.olga, NULL, &s), "key-not-registered");
    assert_null(s);
    assert_string_equal(approve("bob", id, bed.bob, NULL), "ok");       /* his own counts as before */
}

/* ... or confirmed later, as hers. */
static void a_confirmed_key_given_to_another_waits(void **state)
{
    struct err err = { .text = "" };
    char id[32], key[32], path[512];
    json_t *s = NULL;
    EVP_PKEY *new_key = EVP_EC_gen("P-256");
    (void)state;
    reload_keys(NULL, NULL, CONFIRM);
    snprintf(path, sizeof path, "%s/approval_keys", bed.dir);
    assert_int_equal(approval_keys_add(path, "dan", new_key, clock_wall_s() + 86400, &err), OK);
    assert_int_equal(service_renew_keys(service, &err), OK);
    one("SELECT item FROM new_key WHERE person = 'dan'", key, sizeof key);
    assert_string_equal(approve("olga", key, bed.olga, NULL), "ok");
    reload_keys("dan ", "bob ", NULL, NULL);
    request_by("alice", "support", NULL, id);
    assert_string_equal(statement_for("bob", id, new_key, NULL, &s), "key-not-registered");
    assert_null(s);
    one("SELECT item FROM new_key WHERE person = 'bob' AND state = 'pending'", key, sizeof key);
    assert_string_equal(approve("bob", key, bed.bob, NULL), "self-approval");
    assert_string_equal(approve("olga", key, bed.olga, NULL), "ok");
    assert_string_equal(approve("bob", id, new_key, NULL), "ok");       /* a second person said so */
    EVP_PKEY_free(new_key);
}

static void a_yes_to_a_key_is_taken_back(void **state)
{
    struct err err = { .text = "" };
    char id[32], key[32], path[512];
    json_t *s = NULL;
    EVP_PKEY *new_key = EVP_EC_gen("P-256");
    (void)state;
    reload_keys(NULL, NULL, CONFIRM);
    snprintf(path, sizeof path, "%s/approval_keys", bed.dir);
    assert_int_equal(approval_keys_add(path, "bob", new_key, clock_wall_s() + 86400, &err), OK);
    assert_int_equal(service_renew_keys(service, &err), OK);
    one("SELECT item FROM new_key WHERE person = 'bob'", key, sizeof key);
    assert_string_equal(approve("olga", key, bed.olga, NULL), "ok");
    assert_string_equal(ask(json_pack("{s:s, s:o, s:s, s:s}", "op", "withdraw", "who", who("carol"), "id", key, "reason", "not mine"), -1, NULL), "not-yours");
    assert_string_equal(ask(json_pack("{s:s, s:o, s:s, s:s}", "op", "withdraw", "who", who("olga"), "id", key, "reason", "a mistake"), -1, NULL), "ok");
    request_by("alice", "support", NULL, id);
    assert_string_equal(statement_for("bob", id, new_key, NULL, &s), "key-not-registered");
    EVP_PKEY_free(new_key);
}

/* ---- extensions ---- */

/* alice holds and has signed off an export; then her grant is extended for `use` alone. */
static void narrow_by_extension(const char *grant)
{
    char id[32];
    request_by("alice", "support", grant, id);
    assert_string_equal(approve("bob", id, bed.bob, "use"), "ok");
}

static void a_narrowed_grant_releases_no_more(void **state)
{
    char grant[32], held[32];
    (void)state;
    get_grant(grant);
    assert_string_equal(hold(grant, "id=1", held), "ok");
    assert_string_equal(approve("carol", held, bed.carol, NULL), "ok");
    json_t *answer = NULL;
    assert_string_equal(ask(json_pack("{s:s, s:o, s:s}", "op", "release.link", "who", who("alice"), "id", held), -1, &answer), "ok");
    narrow_by_extension(grant);
    assert_string_equal(ask(json_pack("{s:s, s:o, s:s, s:s}", "op", "release.use", "who", who("alice"), "tool", "support", "code", str(answer, "code")), -1, NULL),
                        "signoff-void");
    json_decref(answer);
}

/* The token of before is signed as well. Put back into its row it is none. */
static void a_former_token_put_back_is_noticed(void **state)
{
    struct err err = { .text = "" };
    char grant[32], token[8192], sql[8400], hash[44];
    unsigned char raw[32];
    (void)state;
    get_grant(grant);
    one("SELECT token FROM access_grant", token, sizeof token);
    narrow_by_extension(grant);
    assert_string_equal(hold(grant, "id=1", NULL), "grant-required");
    sha256_one(slice_str(token), raw);
    b64url_encode(slice_of(raw, sizeof raw), hash);
    snprintf(sql, sizeof sql, "UPDATE access_grant SET token = '%s', token_sha256 = '%s'", token, hash);
    edit(sql);
    assert_string_equal(hold(grant, "id=1", NULL), "records-altered");
    /* Nor does a worker get it. */
    struct peer second = { .id = 2 };
    struct answer a;
    json_t *m = json_pack("{s:i, s:s, s:s}", "n", 1, "op", "hello", "role", "worker");
    assert_int_equal(service_answer(service, &second, m, NULL, 0, &a, &err), ANSWERED);
    json_decref(m);
    for (size_t i = 0; i < json_array_size(a.after); i++)
        assert_string_not_equal(str(json_array_get(a.after, i), "event"), "grant");
    answer_done(&a);
    close_service();
    assert_int_equal(open_service(&err), CORRUPT);
}

/* ---- rows ---- */

static void a_forged_reason_is_not_shown_to_who_signs(void **state)
{
    char grant[32];
    (void)state;
    get_grant(grant);
    edit("UPDATE request SET reason = 'the board asked for it' WHERE state = 'granted'");
    assert_string_equal(hold(grant, "id=1", NULL), "records-altered");
}

static void a_removed_yes_is_noticed_at_the_release(void **state)
{
    char grant[32], held[32];
    (void)state;
    get_grant(grant);
    assert_string_equal(hold(grant, "id=1", held), "ok");
    assert_string_equal(approve("carol", held, bed.carol, NULL), "ok");
    edit("DELETE FROM decision WHERE person = 'carol'");
    assert_string_equal(hold(grant, "id=1", NULL), "records-altered");
}

/* What was to be signed within ten minutes is not signed an hour later because its row says so. */
static void an_old_statement_does_not_count(void **state)
{
    static const struct { const char *name; int64_t shift; const char *want; } rows[] = {
        { "as it was written", 0, "ok" }, { "an hour old", -3600, "statement-expired" }, { "just over", -601, "statement-expired" },
        { "of tomorrow", 86400, "statement-expired" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char id[32], sql[400];
        json_t *s = NULL;
        request_by("alice", "support", NULL, id);
        assert_string_equal(statement_for("bob", id, bed.bob, NULL, &s), "ok");
        const int64_t iat = num(s, "iat"), exp = num(s, "exp");
        json_object_set_new(s, "iat", json_integer(iat + rows[i].shift));
        json_object_set_new(s, "exp", json_integer(exp + rows[i].shift));
        snprintf(sql, sizeof sql, "UPDATE statement SET text = replace(replace(text, '\"iat\":%lld', '\"iat\":%lld'), '\"exp\":%lld', '\"exp\":%lld')", (long long)iat,
                 (long long)(iat + rows[i].shift), (long long)exp, (long long)(exp + rows[i].shift));
        edit(sql);
        const char *got = decide(who("bob"), s, bed.bob);
        if (strcmp(got, rows[i].want) != 0)
            fail_msg("%s: %s", rows[i].name, got);
        json_decref(s);
    }
}

/* ---- locks ---- */

static void lock_of(const char *by, const char *kind, const char *value, char id[32])
{
    json_t *answer = NULL;
    assert_string_equal(ask(json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "lock", "who", who(by), "kind", kind, "value", value, "reason", "for the test"), -1,
                            &answer), "ok");
    item_of(answer, "lock", id);
}

static const char *unlock_statement(json_t *by, const char *id, EVP_PKEY *key, json_t **out)
{
    char kid[44];
    json_t *answer = NULL;
    key_fingerprint(key, kid);
    const char *word = ask(json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "unlock.statement", "who", by, "id", id, "key", kid, "reason", "it is over"), -1, &answer);
    *out = json_incref(json_object_get(answer, "statement"));
    json_decref(answer);
    return word;
}

/* olga never asked for a tool with the certificate that was locked; she is its owner all the same. */
static void nobody_unlocks_their_other_certificate(void **state)
{
    struct err err = { .text = "" };
    char lock[32];
    json_t *s = NULL, *mine = who("olga");
    (void)state;
    assert_string_equal(ask(json_pack("{s:s, s:o}", "op", "status", "who", who("olga")), -1, NULL), "ok");
    lock_of("oskar", "cert", str(mine, "x5t"), lock);
    assert_string_equal(unlock_statement(who("olga"), lock, bed.olga, &s), "locked");
    assert_string_equal(unlock_statement(who_with("olga@acme.localhost", "another"), lock, bed.olga, &s), "unlock-own");
    close_service();
    assert_int_equal(open_service(&err), OK);
    assert_string_equal(unlock_statement(who_with("olga@acme.localhost", "another"), lock, bed.olga, &s), "unlock-own");
    assert_string_equal(unlock_statement(who("oskar"), lock, bed.oskar, &s), "ok");
    assert_string_equal(decide(who("oskar"), s, bed.oskar), "ok");
    json_decref(s);
    json_decref(mine);
}

/* One identity is stopped, with what was asked and granted under it; another of the same person goes on, and cannot lift the lock. */
static void a_lock_on_one_identity(void **state)
{
    struct err err = { .text = "" };
    char request[32], grant[32], lock[32], again[32];
    json_t *s = NULL, *answer = NULL;
    (void)state;
    get_grant(grant);
    request_by("alice", "vault", NULL, request);
    lock_of("olga", "identity", "Alice@ACME.localhost", lock);
    lock_of("olga", "identity", "alice@acme.localhost", again);
    assert_string_equal(again, lock);
    assert_string_equal(ask(json_pack("{s:s, s:o}", "op", "pending", "who", who("alice")), -1, NULL), "locked");
    assert_string_equal(ask(json_pack("{s:s, s:o}", "op", "pending", "who", who_with("alice@acme.localhost", "another")), -1, NULL), "locked");
    assert_string_equal(ask(json_pack("{s:s, s:o}", "op", "status", "who", who_with("alice@laptop.localhost", "laptop")), -1, &answer), "ok");
    assert_int_equal(json_array_size(json_object_get(answer, "grants")), 0);
    json_decref(answer);
    assert_string_equal(statement_for("bob", request, bed.bob, NULL, &s), "not-pending");
    assert_string_equal(unlock_statement(who("alice"), lock, bed.alice, &s), "locked");
    assert_string_equal(ask(json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "lock", "who", who("olga"), "kind", "identity", "value", "eve@acme.localhost", "reason", "a typing error"), -1, NULL),
                        "lock-target-unknown");
    lock_of("olga", "identity", "oskar@acme.localhost", again);
    assert_string_equal(unlock_statement(who_with("oskar@home.localhost", "home"), again, bed.oskar, &s), "unlock-own");
    close_service();
    assert_int_equal(open_service(&err), OK);
    assert_string_equal(ask(json_pack("{s:s, s:o}", "op", "pending", "who", who("alice")), -1, NULL), "locked");
    assert_string_equal(unlock_statement(who_with("oskar@home.localhost", "home"), again, bed.oskar, &s), "unlock-own");
    assert_string_equal(unlock_statement(who("olga"), lock, bed.olga, &s), "ok");
    assert_string_equal(decide(who("olga"), s, bed.olga), "ok");
    assert_string_equal(ask(json_pack("{s:s, s:o}", "op", "pending", "who", who("alice")), -1, NULL), "ok");
    json_decref(s);
}

static void unlock_by_olga(const char *lock)
{
    json_t *s = NULL;
    assert_string_equal(unlock_statement(who("olga"), lock, bed.olga, &s), "ok");
    assert_string_equal(decide(who("olga"), s, bed.olga), "ok");
    json_decref(s);
}

/* Stop means now: a yes that came by a certificate, or as an identity, that is locked since fills no place as long as the lock holds; another certificate of hers is no matter. */
static void a_locked_hand_takes_its_yes_away(void **state)
{
    struct err err = { .text = "" };
    char grant[32], held[32], lock[32], other[32], text[64];
    json_t *carols = who("carol"), *another = who_with("carol@acme.localhost", "another");
    const struct { const char *name, *kind, *value; } rows[] = {
        { "her certificate", "cert", str(carols, "x5t") }, { "her identity", "identity", "carol@acme.localhost" }, { "her", "person", "carol" },
    };
    (void)state;
    get_grant(grant);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(text, sizeof text, "id=%zu", i);
        assert_string_equal(hold(grant, text, held), "ok");
        assert_string_equal(approve("carol", held, bed.carol, NULL), "ok");
        lock_of("olga", rows[i].kind, rows[i].value, lock);
        if (strcmp(hold(grant, text, NULL), "signoff-void") != 0)
            fail_msg("%s", rows[i].name);
        close_service();              /* and the log knows it after a start */
        assert_int_equal(open_service(&err), OK);
        if (strcmp(hold(grant, text, NULL), "signoff-void") != 0)
            fail_msg("%s, after a start", rows[i].name);
        unlock_by_olga(lock);
        lock_of("olga", "cert", str(another, "x5t"), other);
        if (strcmp(hold(grant, text, NULL), "ok") != 0)
            fail_msg("%s, unlocked", rows[i].name);
        unlock_by_olga(other);
    }
    json_decref(carols);
    json_decref(another);
}

/* The approver is told what else was held of this session, and the list of what waits is spared that. */
static void an_approver_sees_the_session_so_far(void **state)
{
    char grant[32], first[32], second[32];
    json_t *answer = NULL;
    (void)state;
    get_grant(grant);
    assert_string_equal(hold(grant, "id=1", first), "ok");
    assert_string_equal(hold(grant, "id=2", second), "ok");
    assert_string_equal(ask(json_pack("{s:s, s:o, s:s}", "op", "item.get", "who", who("carol"), "id", second), -1, &answer), "ok");
    const json_t *far = json_object_get(json_object_get(answer, "item"), "so_far"), *held = json_object_get(far, "held");
    assert_int_equal(json_integer_value(json_object_get(far, "exchanges")), 0);
    assert_int_equal(json_array_size(held), 1);
    assert_string_equal(str(json_array_get(held, 0), "state"), "pending");
    json_decref(answer);
    assert_string_equal(ask(json_pack("{s:s, s:o}", "op", "pending", "who", who("carol")), -1, &answer), "ok");
    assert_true(json_array_size(json_object_get(answer, "items")) >= 2);
    assert_null(json_object_get(json_array_get(json_object_get(answer, "items"), 0), "so_far"));
    json_decref(answer);
}

/* A no over an unlock is not offered; one that was put into the database unlocks nothing. */
static void a_signed_no_unlocks_nothing(void **state)
{
    char lock[32], id[ID_LEN + 1], sql[512];
    json_t *s = NULL;
    (void)state;
    lock_of("olga", "person", "anna", lock);
    assert_string_equal(unlock_statement(who("oskar"), lock, bed.oskar, &s), "ok");
    statement_id("AAAAAAAAAAAAAAAAAAAAAA", lock, "deny", id);
    snprintf(sql, sizeof sql, "UPDATE statement SET text = replace(replace(text, '%s', '%s'), '\"approve\"', '\"deny\"'), id = '%s', nonce = 'AAAAAAAAAAAAAAAAAAAAAA'",
             str(s, "id"), id, id);
    edit(sql);
    json_object_set_new(s, "id", json_string(id));
    json_object_set_new(s, "decision", json_string("deny"));
    assert_string_equal(decide(who("oskar"), s, bed.oskar), "records-altered");
    json_decref(s);
}

/* A lock on everything ends all that lives in one transaction, however much that is. */
static void a_lock_is_never_too_large(void **state)
{
    struct err err = { .text = "" };
    struct op o;
    (void)state;
    assert_int_equal(own_begin(service, &o, &err), OK);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(write_leaf(&o, "withdrawn", json_pack("{s:s, s:i}", "session", "none", "i", i), NULL), OK);
    assert_int_equal(own_end(&o, OK, &err), OK);
}

/* ---- budgets ---- */

/* Amounts and values are counted each in their own way, so that a start from memory counts as before. */
static void amounts_and_values_do_not_mix(void **state)
{
    static const struct { const char *name, *wants, *want; } rows[] = {
        { "values by number", "[{\"name\": \"distinct:customer\", \"amount\": 1}]", "bad-request" },
        { "a value of requests", "[{\"name\": \"requests\", \"digest\": \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\", \"shown\": \"x\"}]", "bad-request" },
        { "an amount", "[{\"name\": \"requests\", \"amount\": 1}]", "ok" },
    };
    char grant[32];
    (void)state;
    get_grant(grant);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *got = ask(json_pack("{s:s, s:o, s:s, s:s, s:o}", "op", "budget.lease", "who", who("alice"), "tool", "support", "grant_id", grant, "wants",
                                        json_loads(rows[i].wants, 0, NULL)), -1, NULL);
        if (strcmp(got, rows[i].want) != 0)
            fail_msg("%s: %s", rows[i].name, got);
    }
}

int main(void)
{
#define ABUSE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ABUSE(a_registered_key_given_to_another_waits), ABUSE(a_confirmed_key_given_to_another_waits), ABUSE(a_yes_to_a_key_is_taken_back),
        ABUSE(a_narrowed_grant_releases_no_more), ABUSE(a_former_token_put_back_is_noticed), ABUSE(a_forged_reason_is_not_shown_to_who_signs),
        ABUSE(a_removed_yes_is_noticed_at_the_release), ABUSE(an_old_statement_does_not_count), ABUSE(nobody_unlocks_their_other_certificate), ABUSE(a_lock_on_one_identity), ABUSE(a_locked_hand_takes_its_yes_away), ABUSE(an_approver_sees_the_session_so_far),
        ABUSE(a_signed_no_unlocks_nothing), ABUSE(a_lock_is_never_too_large), ABUSE(amounts_and_values_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
