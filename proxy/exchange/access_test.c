/* Which policy a worker may follow: the one that authz names, the one before for a moment, any while none is named. And answers that are kept: never older than the table. */
#include "authz/grant.h"
#include "proxy/exchange/access.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { GRACE_MS = 3000 };

static const char *const a = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", *const b = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

static void name(struct access *access, json_t *policy)
{
    struct err err;
    bool ends = false;
    json_t *event = json_pack("{s:s, s:o}", "event", "policy", "policy", policy);
    assert_int_equal(access_event(access, event, 1, &ends, &err), OK);
    json_decref(event);
}

static void test_policy(void **state)
{
    struct access *x = access_new();
    int64_t later = INT64_C(1) << 60;     /* any grace is over */
    (void)state;
    assert_non_null(x);
    assert_true(access_policy_is(x, a, later, GRACE_MS));       /* none is named */
    name(x, json_string(a));
    assert_true(access_policy_is(x, a, later, GRACE_MS));
    assert_false(access_policy_is(x, b, 0, GRACE_MS));          /* none before: no grace */
    assert_false(access_policy_is(x, "", 0, GRACE_MS));
    name(x, json_string(b));
    assert_true(access_policy_is(x, b, later, GRACE_MS));
    assert_true(access_policy_is(x, a, 0, GRACE_MS));
    assert_false(access_policy_is(x, a, later, GRACE_MS));
    name(x, json_string(b));                                    /* said again: the grace does not begin anew */
    assert_false(access_policy_is(x, a, later, GRACE_MS));
    name(x, json_string("nonsense"));
    assert_false(access_policy_is(x, "nonsense", later, GRACE_MS));
    assert_false(access_policy_is(x, a, later, GRACE_MS));
    name(x, json_string(""));
    assert_true(access_policy_is(x, a, later, GRACE_MS));
    access_free(x);
}

/* ---- answers that are kept ---- */

static struct jwt_signer *signer_new(void)
{
    struct jwt_signer *signer = NULL;
    struct err err;
    char path[] = "/tmp/cs-access-XXXXXX";
    EVP_PKEY *key = EVP_EC_gen("P-256");
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");
    assert_true(key != NULL && f != NULL && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 && fclose(f) == 0);
    assert_int_equal(jwt_signer_load(path, &signer, &err), OK);
    unlink(path);
    EVP_PKEY_free(key);
    return signer;
}

static void tell(struct access *access, json_t *event)
{
    struct err err;
    bool ends = false;
    assert_int_equal(access_event(access, event, 1100, &ends, &err), OK);
    json_decref(event);
}

static void give(struct access *access, const struct jwt_signer *signer, const char *id, const char *tool, int64_t exp_s)
{
    struct err err;
    char *token = NULL;
    json_t *by = json_pack("[{s:s,s:s,s:s}]", "person", "bob", "statement", "stm_1", "key", "k");
    struct grant_facts f = { "gw", id, id, "alice", "alice@acme.localhost", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", tool, "why", "policy", "note", by, 1000, exp_s,
                             NULL, NULL, NULL, 0, NULL };
    assert_int_equal(grant_issue(signer, &f, &token, &err), OK);
    tell(access, json_pack("{s:s,s:s}", "event", "grant", "token", token));
    json_decref(by);
    free(token);
}

static void test_kept(void **state)
{
    static const unsigned char alice[32], other[32] = { 1 };
    struct access *x = access_new();
    struct jwt_signer *signer = signer_new();
    struct access_kept kept = { 0 }, by_id = { 0 };
    struct err err;
    json_t *hello = json_pack("{s:s,s:s,s:o}", "instance", "gw", "log_key", "k", "jwks", jwt_signer_jwks(signer));
    (void)state;
    assert_int_equal(access_reset(x, hello, &err), OK);
    assert_null(access_grant_kept(x, &kept, alice, "support", 1100));
    give(x, signer, "grt_1", "support", 1600);
    for (int i = 0; i < 2; i++)       /* looked up, and kept */
        assert_string_equal(access_grant_kept(x, &kept, alice, "support", 1100)->grant_id, "grt_1");
    assert_null(access_grant_kept(x, &kept, other, "support", 1100));          /* another certificate's answer is not this one's */
    assert_non_null(access_grant_kept(x, &kept, alice, "support", 1100));
    assert_null(access_grant_kept(x, &kept, alice, "suppor", 1100));
    assert_non_null(access_grant_kept(x, &kept, alice, "support", 1599));
    assert_null(access_grant_kept(x, &kept, alice, "support", 1600));          /* over: whoever kept it */
    assert_string_equal(access_by_id_kept(x, &by_id, "grt_1")->grant_id, "grt_1");
    assert_null(access_by_id_kept(x, &by_id, "grt_2"));
    give(x, signer, "grt_2", "support", 1700);
    assert_string_equal(access_grant_kept(x, &kept, alice, "support", 1100)->grant_id, "grt_2");   /* a longer one came */
    tell(x, json_pack("{s:s,s:s}", "event", "grant.ended", "grant_id", "grt_2"));
    assert_null(access_by_id_kept(x, &by_id, "grt_2"));
    assert_string_equal(access_grant_kept(x, &kept, alice, "support", 1100)->grant_id, "grt_1");
    assert_int_equal(access_reset(x, hello, &err), OK);                        /* a new authz: nothing is known any more */
    assert_null(access_grant_kept(x, &kept, alice, "support", 1100));
    json_decref(hello);
    jwt_signer_free(signer);
    access_free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_policy), cmocka_unit_test(test_kept) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
