#include "proxy/commands/approvals_check.h"
#include "authz/jwt.h"
#include "authz/statement.h"
#include "certs/pem.h"
#include "proxy/base/codec.h"

#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { NOW = 1790000000 };

static json_t *leaf(int seq, const char *type, json_t *content)
{
    return json_pack("{s:i, s:s, s:I, s:o}", "seq", seq, "type", type, "time_ms", (json_int_t)NOW * 1000 + 2000, "content", content);
}

static json_t *registration(int seq, const char *person, EVP_PKEY *key)
{
    unsigned char *der = NULL;
    char fingerprint[44], spki[1024];
    int len = i2d_PUBKEY(key, &der);
    assert_true(len > 0);
    b64url_encode(slice_of(der, (size_t)len), spki);
    OPENSSL_free(der);
    key_fingerprint(key, fingerprint);
    return leaf(seq, "key.registered", json_pack("{s:s, s:s, s:s, s:I}", "person", person, "key", fingerprint, "spki", spki, "not_after", (json_int_t)NOW + 1000));
}

static json_t *approval(int seq, const char *approver, EVP_PKEY *key, const char *decision)
{
    char fingerprint[44], *jws = NULL;
    key_fingerprint(key, fingerprint);
    json_t *scope = statement_scope_access("support", 1800, "ticket");
    struct statement s = { .instance = "acme", .purpose = "access", .decision = decision, .id = "stm_1", .requester = "alice", .identity = "alice@acme.localhost",
        .approver = approver, .key = fingerprint, .method = "command-line", .iat_s = NOW, .exp_s = NOW + 600, .policy = "ab", .scope = scope };
    json_t *statement = statement_make(&s);
    json_decref(scope);
    assert_int_equal(statement_sign(statement, key, &jws, NULL), OK);
    json_t *l = leaf(seq, strcmp(decision, "approve") == 0 ? "approval" : "denial",
                     json_pack("{s:s, s:s, s:o, s:s}", "item", "req_1", "session", "grt_1", "statement", statement, "jws", jws));
    free(jws);
    return l;
}

static size_t findings_of(json_t *leaves, unsigned *checked)
{
    json_t *findings = json_array();
    size_t i;
    json_t *f;
    assert_int_equal(approvals_check(leaves, "acme", findings, checked, NULL), OK);
    json_array_foreach(findings, i, f)
        print_message("  %s\n", json_string_value(json_object_get(f, "text")));
    size_t n = json_array_size(findings);
    json_decref(findings);
    json_decref(leaves);
    return n;
}

static EVP_PKEY *make(enum key_kind kind)
{
    EVP_PKEY *key = NULL;
    assert_int_equal(key_make(kind, &key, NULL), OK);
    return key;
}

static json_t *set(json_t *l, const char *where, const char *name, json_t *value)
{
    json_t *content = json_object_get(l, "content");
    json_object_set_new(where[0] == 's' ? json_object_get(content, "statement") : where[0] == 'c' ? content : l, name, value);
    return l;
}

static void good_answers_hold(void **state)
{
    (void)state;
    unsigned checked = 0;
    EVP_PKEY *bob = make(KEY_P256), *carol = make(KEY_ED25519);
    assert_int_equal(findings_of(json_pack("[o,o,o,o]", registration(1, "bob", bob), registration(2, "carol", carol), approval(3, "bob", bob, "approve"),
                                           approval(4, "carol", carol, "deny")), &checked), 0);
    assert_int_equal(checked, 2);
    assert_int_equal(findings_of(json_array(), &checked), 0);
    assert_int_equal(checked, 0);
    EVP_PKEY_free(bob);
    EVP_PKEY_free(carol);
}

static void bad_answers_are_found(void **state)
{
    (void)state;
    unsigned checked = 0;
    EVP_PKEY *bob = make(KEY_P256), *other = make(KEY_P256);
    char fingerprint[44];
    key_fingerprint(bob, fingerprint);
    json_t *cases[] = {
        json_pack("[o]", approval(3, "bob", bob, "approve")),                                                        /* never registered */
        json_pack("[o,o]", approval(3, "bob", bob, "approve"), registration(4, "bob", bob)),                         /* registered later */
        json_pack("[o,o]", registration(1, "carol", bob), approval(3, "bob", bob, "approve")),                       /* another person's */
        json_pack("[o,o]", registration(1, "alice", bob), approval(3, "alice", bob, "approve")),                     /* the requester */
        json_pack("[o,o,o]", registration(1, "bob", bob), leaf(2, "key.removed", json_pack("{s:s}", "key", fingerprint)), approval(3, "bob", bob, "approve")),
        json_pack("[o,o]", registration(1, "bob", bob), set(approval(3, "bob", bob, "approve"), "statement", "decision", json_string("deny"))),
        json_pack("[o,o]", registration(1, "bob", bob), set(approval(3, "bob", bob, "approve"), "statement", "requester", json_string("mallory"))),
        json_pack("[o,o]", registration(1, "bob", bob), set(approval(3, "bob", bob, "approve"), "statement", "extra", json_true())),
        json_pack("[o,o]", registration(1, "bob", bob), set(approval(3, "bob", bob, "approve"), "statement", "instance", json_string("other"))),
        json_pack("[o,o]", registration(1, "bob", bob), set(approval(3, "bob", bob, "approve"), "content", "jws", json_string("e30..AAAA"))),
        json_pack("[o,o]", registration(1, "bob", bob), set(approval(3, "bob", bob, "approve"), "content", "jws", json_null())),
        json_pack("[o,o]", registration(1, "bob", bob), set(approval(3, "bob", bob, "approve"), "content", "statement", json_null())),
        json_pack("[o,o]", registration(1, "bob", bob), set(approval(3, "bob", bob, "deny"), "leaf", "type", json_string("approval"))),
        json_pack("[o,o]", registration(1, "bob", bob), set(approval(3, "bob", bob, "approve"), "leaf", "time_ms", json_integer((json_int_t)(NOW + 601) * 1000))),
        json_pack("[o,o]", set(registration(1, "bob", bob), "content", "spki", json_string("AAAA")), approval(3, "bob", bob, "approve")),
        json_pack("[o,o]", set(registration(1, "bob", other), "content", "key", json_string(fingerprint)), approval(3, "bob", bob, "approve")),
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("case %zu\n", i);
        assert_int_equal(findings_of(cases[i], &checked), 1);
        assert_int_equal(checked, 1);
    }
    EVP_PKEY_free(bob);
    EVP_PKEY_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(good_answers_hold), cmocka_unit_test(bad_answers_are_found) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
