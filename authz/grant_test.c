/* Grants, statements and blobs: what fits together verifies, everything else is refused. */
#include "authz/blob.h"
#include "authz/grant.h"
#include "authz/statement.h"

#include "proxy/base/file.h"

#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct jwt_signer *signer;
static struct jwt_keys *keys;
static const char x5t[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

static int set_up(void **state)
{
    (void)state;
    char path[] = "/tmp/cs-grant-XXXXXX", *text = NULL;
    struct err err = { .text = "" };
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    long n = BIO_get_mem_data(bio, &text);
    int fd = mkstemp(path);
    bool good = write(fd, text, (size_t)n) == n && jwt_signer_load(path, &signer, &err) == OK;
    close(fd);
    unlink(path);
    BIO_free(bio);
    EVP_PKEY_free(key);
    json_t *jwks = good ? jwt_signer_jwks(signer) : NULL;
    good = good && jwt_keys_from_jwks(jwks, &keys, &err) == OK;
    json_decref(jwks);
    return good ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    jwt_signer_free(signer);
    jwt_keys_free(keys);
    return 0;
}

static enum status round_trip(const struct grant_facts *f, int64_t now_s, struct grant *out)
{
    struct err err = { .text = "" };
    char *token = NULL;
    assert_int_equal(grant_issue(signer, f, &token, &err), OK);
    assert_true(strlen(token) <= TOKEN_MAX);
    enum status st = grant_verify(keys, "gw", slice_str(token), now_s, out, &err);
    free(token);
    return st;
}

static void grants(void **state)
{
    (void)state;
    struct grant g;
    char reason[2001];
    for (size_t i = 0; i < 500; i++)
        memcpy(reason + 4 * i, "\xf0\x9f\x94\x91", 4);
    reason[2000] = 0;
    json_t *by = json_pack("[{s:s, s:s, s:s}]", "person", "bob", "statement", "stm_1", "key", "k");
    json_t *self = json_pack("[{s:s, s:s, s:s}]", "person", "alice", "statement", "stm_1", "key", "k");
    json_t *none = json_array();
    json_t *behalf = json_pack("[{s:s, s:s, s:s, s:s}]", "person", "carol", "statement", "stm_1", "key", "k", "on_behalf_of", "bob");
    json_t *own_behalf = json_pack("[{s:s, s:s, s:s, s:s}]", "person", "carol", "statement", "stm_1", "key", "k", "on_behalf_of", "alice");
    struct grant_facts f = { "gw", "grt_1", "jti_1", "alice", "alice@acme.localhost", x5t, "support", reason, "policy", "note", by, 1000, 1600, NULL, NULL, NULL, 0, NULL };
    assert_int_equal(round_trip(&f, 1100, &g), OK);
    assert_true(strlen(g.reason) % 4 == 0 && strncmp(g.reason, reason, strlen(g.reason)) == 0);   /* cut between characters */
    assert_true(grant_allows(&g, SLICE("anything")));
    grant_done(&g);
    assert_int_equal(round_trip(&f, 1600, &g), EXPIRED);
    f.approved_by = self;
    assert_int_equal(round_trip(&f, 1100, &g), BAD_TOKEN);
    f.approved_by = none;
    assert_int_equal(round_trip(&f, 1100, &g), BAD_TOKEN);
    /* The kinds that have no second person name nobody, and no other kind does so. */
    const struct { const char *basis; const json_t *by; enum status want; } bases[] = {
        { "approved", by, OK }, { "approved", none, BAD_TOKEN }, { "auto", none, OK }, { "auto", by, BAD_TOKEN }, { "break-glass", none, OK }, { "break-glass", by, BAD_TOKEN },
        { "", none, BAD_TOKEN }, { "because", none, BAD_TOKEN }, { "because", by, BAD_TOKEN }, { "approved", behalf, OK }, { "approved", own_behalf, BAD_TOKEN },
    };
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++) {
        f.basis = bases[i].basis;
        f.approved_by = bases[i].by;
        if (round_trip(&f, 1100, &g) != bases[i].want)
            fail_msg("basis '%s', row %zu", bases[i].basis, i);
        if (bases[i].want == OK)
            grant_done(&g);
    }
    f.basis = NULL;
    f.approved_by = by;
    const struct { int64_t start_s; enum status want; } starts[] = { { 0, OK }, { 1, OK }, { 86400, OK }, { GRANT_LIFETIME_MAX_S + 1, BAD_TOKEN } };
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        f.start_s = starts[i].start_s;
        assert_int_equal(round_trip(&f, 1100, &g), starts[i].want);
        if (starts[i].want == OK) {
            assert_int_equal(g.start_s, starts[i].start_s);
            grant_done(&g);
        }
    }
    f.start_s = 0;
    f.x5t = "short";
    assert_int_equal(round_trip(&f, 1100, &g), BAD_TOKEN);
    f.x5t = x5t;
    f.instance = "another";
    assert_int_equal(round_trip(&f, 1100, &g), BAD_TOKEN);
    json_decref(by);
    json_decref(self);
    json_decref(none);
    json_decref(behalf);
    json_decref(own_behalf);
}

static json_t *good_statement(EVP_PKEY *key)
{
    static char kid[44];
    key_fingerprint(key, kid);
    json_t *scope = statement_scope_access("support", 600, "ticket 4711");
    struct statement s = { "gw", "access", "approve", "stm_1", "alice", "alice@acme.localhost", "bob", kid, "command-line", 1000, 1600, "policy", scope };
    json_t *o = statement_make(&s);
    json_decref(scope);
    return o;
}

static void statements(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
    struct err err = { .text = "" };
    struct statement s;
    char *jws = NULL;
    json_t *good = good_statement(key);
    assert_int_equal(statement_read(good, &s, &err), OK);
    assert_int_equal(statement_sign(good, key, &jws, &err), OK);
    assert_int_equal(statement_verify(good, key, slice_str(jws), &err), OK);
    assert_int_equal(statement_verify(good, other, slice_str(jws), &err), BAD_TOKEN);
    const struct { const char *name, *change; } rows[] = {
        { "another version", "{\"v\":2}" },          { "an unknown purpose", "{\"purpose\":\"anything\"}" },
        { "an unknown decision", "{\"decision\":\"maybe\"}" }, { "one member more", "{\"also\":1}" },
        { "a long life", "{\"exp\":2000}" },         { "no life", "{\"exp\":1000}" },
        { "a number as text", "{\"iat\":\"1000\"}" }, { "an empty scope", "{\"scope\":{}}" },
        { "a scope of the other kind", "{\"purpose\":\"signoff\"}" },
        { "a scope with more", "{\"scope\":{\"tool\":\"support\",\"duration_s\":600,\"reason\":\"x\",\"and\":\"y\"}}" },
        { "a wait that is no number", "{\"scope\":{\"tool\":\"support\",\"duration_s\":600,\"reason\":\"x\",\"start_within_s\":\"1\"}}" },
        { "a place that is no name", "{\"scope\":{\"tool\":\"support\",\"duration_s\":600,\"reason\":\"x\",\"on_behalf_of\":1}}" },
        { "a review of access", "{\"purpose\":\"review\"}" }, { "a delegation of access", "{\"purpose\":\"delegate\"}" },
        { "a negative duration", "{\"scope\":{\"tool\":\"support\",\"duration_s\":-1,\"reason\":\"x\"}}" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *bad = json_deep_copy(good), *change = json_loads(rows[i].change, 0, NULL);
        json_object_update(bad, change);
        if (statement_read(bad, &s, &err) != BAD_INPUT || statement_verify(bad, key, slice_str(jws), &err) == OK)
            fail_msg("accepted: %s", rows[i].name);
        json_decref(bad);
        json_decref(change);
    }
    json_object_set_new(json_object_get(good, "scope"), "duration_s", json_integer(601));
    assert_int_equal(statement_verify(good, key, slice_str(jws), &err), BAD_TOKEN);
    free(jws);
    json_decref(good);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

static void blobs(void **state)
{
    (void)state;
    struct err err = { .text = "" };
    struct blob b;
    unsigned char *bytes = NULL, one[32], two[32], body[32];
    size_t len = 0;
    json_t *fields = json_pack("[[s, s], [s, s], [s, s]]", "accept", "a", "Accept", "b", "x-other", "1");
    json_t *joined = json_pack("[[s, s]]", "accept", "a, b");
    assert_int_equal(blob_write(SLICE("POST"), SLICE("h"), SLICE("/x"), fields, SLICE("body"), &bytes, &len, &err), OK);
    for (size_t i = 0; i < len; i++) {
        unsigned char *cut = malloc(i ? i : 1);   /* exactly as long, so that a read past its end is seen */
        memcpy(cut, bytes, i);
        assert_int_equal(blob_parse(slice_of(cut, i), &b, &err), BAD_INPUT);
        free(cut);
    }
    assert_int_equal(blob_parse(slice_of(bytes, len), &b, &err), OK);
    assert_true(slice_eq(b.body, SLICE("body")));
    assert_int_equal(blob_digest(&b, one, body, &err), OK);
    blob_done(&b);
    bytes[0] = 0xff;
    assert_int_equal(blob_parse(slice_of(bytes, len), &b, &err), BAD_INPUT);
    free(bytes);
    assert_int_equal(blob_write(SLICE("POST"), SLICE("h"), SLICE("/x"), joined, SLICE("body"), &bytes, &len, &err), OK);
    assert_int_equal(blob_parse(slice_of(bytes, len), &b, &err), OK);
    assert_int_equal(blob_digest(&b, two, body, &err), OK);
    assert_memory_equal(one, two, 32);   /* a list in two fields is the same list */
    blob_done(&b);
    free(bytes);
    json_decref(fields);
    json_decref(joined);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(grants), cmocka_unit_test(statements), cmocka_unit_test(blobs) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
