/* Grants of another issuer, against a real process: admitted once, for one certificate and tool; ended like any other, and never again after that. */
#include "authz/approvals/story.h"

#include <sqlite3.h>

static struct jwt_signer *bot, *second;
static int tokens_made;

static struct jwt_signer *make_signer(const char *name)
{
    struct err err = { .text = "" };
    struct jwt_signer *s = NULL;
    char path[600];
    EVP_PKEY *key = EVP_EC_gen("P-256");
    testbed_pem(&bed, name, key);
    EVP_PKEY_free(key);
    snprintf(path, sizeof path, "%s/%s", bed.dir, name);
    assert_int_equal(jwt_signer_load(path, &s, &err), OK);
    return s;
}

static void put_jwks(const struct jwt_signer *a, const struct jwt_signer *b)
{
    json_t *jwks = jwt_signer_jwks(a);
    if (b != NULL) {
        json_t *more = jwt_signer_jwks(b);
        json_array_extend(json_object_get(jwks, "keys"), json_object_get(more, "keys"));
        json_decref(more);
    }
    char *text_of = json_dumps(jwks, JSON_COMPACT);
    testbed_write(&bed, "bot.jwks", slice_str(text_of), 0644);
    free(text_of);
    json_decref(jwks);
}

static int set_up_issuer(void **state)
{
    static const char issuers[] = "issuers = ( { name = \"bot\"; iss = \"https://bot\"; jwks_file = \"bot.jwks\"; max_lifetime = \"1h\"; tools = [ \"support\", \"vault\" ]; "
                                  "actions = [ \"use\", \"view\", \"export\" ]; } );\n";
    char all[sizeof testbed_config + sizeof issuers];
    (void)state;
    testbed_make(&bed);
    snprintf(all, sizeof all, "%s%s", testbed_config, issuers);
    testbed_write(&bed, "countersign.cfg", slice_str(all), 0600);
    bot = make_signer("bot.pem");
    second = make_signer("second.pem");
    put_jwks(bot, second);
    testbed_spawn(&bed);
    hello(&worker, "worker");
    return 0;
}

static int tear_down_issuer(void **state)
{
    jwt_signer_free(bot);
    jwt_signer_free(second);
    return tear_down(state);
}

static json_t *claims_for(const char *name, const char *tool, const char *action, int lives_s)
{
    char identity[64], jti[32];
    json_t *by = who(name), *claims;
    snprintf(identity, sizeof identity, "%s@acme.localhost", name);
    snprintf(jti, sizeof jti, "token-%d", ++tokens_made);
    claims = json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:s, s:{s:s}, s:s, s:[s], s:s}", "iss", "https://bot", "aud", "test.example", "sub", identity, "iat",
                       (json_int_t)clock_wall_s(), "exp", (json_int_t)(clock_wall_s() + lives_s), "jti", jti, "use", "grant", "cnf", "x5t#S256", text(by, "x5t"), "tool",
                       tool, "actions", action, "reason", "ticket 4711, says the bot");
    json_decref(by);
    return claims;
}

/* Takes claims; malloc'd. */
static char *token_of(const struct jwt_signer *by, json_t *claims)
{
    struct err err = { .text = "" };
    char *token = NULL;
    assert_int_equal(jwt_sign(by, claims, &token, &err), OK);
    json_decref(claims);
    return token;
}

static char *good_token(void)
{
    return token_of(bot, claims_for("alice", "support", "use", 600));
}

static json_t *admit(json_t *by, const char *tool, const char *token)
{
    return client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s}", "op", "grant.admit", "who", by, "tool", tool, "token", token));
}

/* The grant_id of the token in the answer's event. */
static void admitted(const char *token, char id[32])
{
    struct jwt_keys *keys = NULL;
    struct grant g;
    struct err err = { .text = "" };
    json_t *event = member(admit(who("alice"), "support", token), "grant");
    struct jwt_signer *s = NULL;
    char path[600];
    snprintf(path, sizeof path, "%s/keys/grant.pem", bed.dir);
    assert_int_equal(jwt_signer_load(path, &s, &err), OK);
    json_t *jwks = jwt_signer_jwks(s);
    assert_int_equal(jwt_keys_from_jwks(jwks, &keys, &err), OK);
    assert_int_equal(grant_verify(keys, "test.example", slice_str(text(event, "token")), clock_wall_s(), &g, &err), OK);
    assert_string_equal(g.basis, "external");
    assert_string_equal(text(g.external, "name"), "bot");
    assert_int_equal(json_array_size(g.approved_by), 0);
    assert_true(grant_allows(&g, SLICE("use")) && !grant_allows(&g, SLICE("export")));
    snprintf(id, 32, "%s", g.grant_id);
    grant_done(&g);
    jwt_keys_free(keys);
    json_decref(jwks);
    jwt_signer_free(s);
    json_decref(event);
}

static void a_token_becomes_one_grant(void **state)
{
    char *token = good_token(), id[32], again[32];
    (void)state;
    admitted(token, id);
    assert_non_null(client_event(&worker, "grant", NULL, NULL));
    admitted(token, again);           /* another worker asks: the same one */
    assert_string_equal(id, again);
    json_t *live = member(ask("live", "olga", NULL, NULL), "live");
    assert_int_equal(json_array_size(live), 1);
    assert_string_equal(text(json_array_get(live, 0), "basis"), "external");
    assert_string_equal(text(json_array_get(live, 0), "issuer"), "bot");
    json_decref(live);
    json_t *mine = member(ask("status", "alice", NULL, NULL), "requests");
    assert_string_equal(text(json_array_get(mine, 0), "state"), "granted");
    json_decref(mine);
    free(token);
}

static void it_is_for_its_certificate_identity_and_tool(void **state)
{
    char *token = good_token(), *other = token_of(bot, claims_for("anna", "support", "use", 600));
    (void)state;
    expect(admit(who("anna"), "support", token), "grant-mismatch");
    expect(admit(who_with("alice@acme.localhost", "another certificate"), "support", token), "grant-mismatch");
    expect(admit(who("alice"), "vault", token), "grant-mismatch");
    json_t *claims = claims_for("alice", "support", "use", 600);
    json_object_set_new(claims, "sub", json_string("anna@acme.localhost"));
    char *stolen = token_of(bot, claims);
    expect(admit(who("alice"), "support", stolen), "grant-mismatch");
    expect(admit(who("alice"), "support", other), "grant-mismatch");
    free(token);
    free(other);
    free(stolen);
}

static void the_rules_hold_for_it(void **state)
{
    static const struct { const char *name, *tool, *action, *reason, *want; int lives_s; } rows[] = {
        { "dan", "support", "use", NULL, "may-not-ask", 600 },        { "alice", "brief", "use", NULL, "grant-invalid", 600 },
        { "alice", "support", "*", NULL, "grant-invalid", 600 },      { "alice", "support", "export", NULL, "ok", 600 },
        { "alice", "support", "view", NULL, "grant-invalid", 600 },   { "alice", "support", "use", NULL, "grant-invalid", 1801 },
        { "alice", "support", "use", "x", "grant-invalid", 600 },     { "alice", "support", "use", "a\nb c", "grant-invalid", 600 },
        { "alice", "vault", "view", NULL, "ok", 600 },                { "alice", "vault", "edit", NULL, "grant-invalid", 600 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *claims = claims_for(rows[i].name, rows[i].tool, rows[i].action, rows[i].lives_s);
        if (rows[i].reason != NULL)
            json_object_set_new(claims, "reason", json_string(rows[i].reason));
        char *token = token_of(bot, claims);
        print_message("row %zu\n", i);
        expect(admit(who(rows[i].name), rows[i].tool, token), rows[i].want);
        free(token);
    }
    expect(admit(who("alice"), "support", ""), "grant-invalid");
    expect(client_ask(&worker, json_pack("{s:s, s:o, s:s, s:i}", "op", "grant.admit", "who", who("alice"), "tool", "support", "token", 7)), "bad-request");
}

/* After its end, whatever ended it, and after a restart. */
static void what_ended_stays_ended(void **state)
{
    char *first = good_token(), *later = good_token(), id[32];
    (void)state;
    admitted(first, id);
    admitted(later, id);              /* takes the place of the first */
    expect(admit(who("alice"), "support", first), "grant-mismatch");
    expect(client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "lock", "who", who("olga"), "kind", "grant", "value", id, "reason", "stop it")), "ok");
    expect(admit(who("alice"), "support", later), "grant-mismatch");
    client_close(&worker);
    assert_int_equal(testbed_signal(&bed, SIGKILL), 128 + SIGKILL);
    testbed_spawn(&bed);
    hello(&worker, "worker");
    expect(admit(who("alice"), "support", first), "grant-mismatch");
    expect(admit(who("alice"), "support", later), "grant-mismatch");
    free(first);
    free(later);
}

static void a_jti_is_taken_once(void **state)
{
    json_t *claims = claims_for("alice", "support", "use", 600), *copy = json_deep_copy(claims);
    char id[32], *first = token_of(bot, claims);
    (void)state;
    json_object_set_new(copy, "reason", json_string("something else entirely"));
    char *twin = token_of(bot, copy);
    admitted(first, id);
    expect(admit(who("alice"), "support", twin), "grant-mismatch");
    free(first);
    free(twin);
}

static void a_locked_person_brings_nothing(void **state)
{
    char *token = good_token();
    (void)state;
    expect(client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "lock", "who", who("olga"), "kind", "person", "value", "alice", "reason", "stop her")), "ok");
    expect(admit(who("alice"), "support", token), "locked");
    free(token);
}

static void a_key_that_is_removed_ends_its_grants(void **state)
{
    char *one = good_token(), *two = token_of(second, claims_for("anna", "support", "use", 600)), id[32];
    (void)state;
    admitted(one, id);
    expect(admit(who("anna"), "support", two), "ok");
    put_jwks(second, NULL);
    assert_int_equal(kill(bed.pid, SIGHUP), 0);
    assert_non_null(client_event(&worker, "grant.ended", "grant_id", id));
    expect(admit(who("alice"), "support", one), "grant-invalid");
    expect(admit(who("anna"), "support", two), "ok");   /* the other key's goes on */
    char *next = good_token();
    expect(admit(who("alice"), "support", next), "grant-invalid");
    free(one);
    free(two);
    free(next);
}

/* A file that cannot be read as it should be changes nothing. */
static void a_broken_jwks_leaves_all_as_it_was(void **state)
{
    char *one = good_token(), id[32], again[32];
    (void)state;
    admitted(one, id);
    testbed_write(&bed, "bot.jwks", SLICE("{\"keys\":[]}"), 0644);
    assert_int_equal(kill(bed.pid, SIGHUP), 0);
    usleep(300 * 1000);
    admitted(one, again);
    assert_string_equal(id, again);
    free(one);
}

/* It opens what a grant opens: a sign-off is still another person's. */
static void it_is_no_sign_off(void **state)
{
    json_t *claims = claims_for("alice", "support", "use", 600), *event;
    char item[32], *token;
    (void)state;
    json_array_append_new(json_object_get(claims, "actions"), json_string("export"));
    token = token_of(bot, claims);
    event = member(admit(who("alice"), "support", token), "grant");
    json_decref(event);
    json_t *mine = member(ask("status", "alice", NULL, NULL), "grants");
    snprintf(grant_id, sizeof grant_id, "%s", text(json_array_get(mine, 0), "grant_id"));
    json_decref(mine);
    hold_id("audience=1", item);
    expect(ask("release.link", "alice", "id", item), "signoff-required");   /* no "external" signs off */
    decide("carol", item, "approve", bed.carol, "approved");
    free(token);
}

/* An approval does not make it longer, and its name is no approver's. */
static void nobody_here_approved_it(void **state)
{
    char *token = good_token(), id[32];
    (void)state;
    admitted(token, id);
    expect(client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "lock", "who", who("bob"), "kind", "grant", "value", id, "reason", "not mine")), "operators-only");
    expect(client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:i, s:s}", "op", "request.create", "who", who("alice"), "tool", "support", "reason", "longer, please", "duration_s", 600,
                                         "extends", id)), "grant-required");
    free(token);
}

/* The whole token stands in the log, so that anybody can hold it against the issuer's key later. */
static void the_log_keeps_the_token(void **state)
{
    char *token = good_token(), id[32], path[600], found[5000] = "";
    sqlite3 *db = NULL;
    sqlite3_stmt *q = NULL;
    (void)state;
    admitted(token, id);
    snprintf(path, sizeof path, "%s/authz.db", bed.dir);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT content FROM leaf WHERE type = 'external.admitted'", -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    snprintf(found, sizeof found, "%s", (const char *)sqlite3_column_text(q, 0));
    sqlite3_finalize(q);
    sqlite3_close(db);
    assert_non_null(strstr(found, token));
    free(token);
}

#define ISSUER_STORY(f) cmocka_unit_test_setup_teardown(f, set_up_issuer, tear_down_issuer)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ISSUER_STORY(a_token_becomes_one_grant), ISSUER_STORY(it_is_for_its_certificate_identity_and_tool), ISSUER_STORY(the_rules_hold_for_it),
        ISSUER_STORY(what_ended_stays_ended), ISSUER_STORY(a_jti_is_taken_once), ISSUER_STORY(a_locked_person_brings_nothing),
        ISSUER_STORY(a_key_that_is_removed_ends_its_grants), ISSUER_STORY(a_broken_jwks_leaves_all_as_it_was), ISSUER_STORY(it_is_no_sign_off),
        ISSUER_STORY(nobody_here_approved_it), ISSUER_STORY(the_log_keeps_the_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
