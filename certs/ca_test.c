/* ca: what it issues, checked by the trust check and by OpenSSL's own strict verification. */
#include "certs/ca.h"

#include "certs/ca_cert.h"
#include "certs/leaf.h"
#include "certs/p12.h"
#include "certs/test_folder.h"
#include "certs/trust.h"
#include "proxy/base/file.h"

#include <openssl/pkcs12.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { DAY = 86400 };
static const int64_t now_s = 1800000000;
static char dir[64], folder[80];

static char *at(const char *name)
{
    static char path[4][128];
    static unsigned turn;
    char *out = path[turn++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", folder, name);
    return out;
}

static int setup(void **state)
{
    (void)state;
    if (test_folder_make(dir) != 0)
        return -1;
    snprintf(folder, sizeof folder, "%s/ca", dir);
    struct err err;
    if (ca_create(folder, "acme", "acme.localhost", now_s, &err) != OK) {
        print_error("%s\n", err.text);
        return -1;
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return test_folder_remove(dir);
}

static struct ca *open_ca(void)
{
    struct ca *ca = NULL;
    struct err err;
    if (ca_open(folder, &ca, &err) != OK)
        fail_msg("%s", err.text);
    return ca;
}

static X509 *issue(struct ca *ca, const char *name, const char *identity, EVP_PKEY *key)
{
    X509 *cert = NULL;
    struct err err;
    if (ca_issue_person(ca, name, identity, key, 90, now_s, &cert, &err) != OK)
        fail_msg("%s", err.text);
    return cert;
}

static EVP_PKEY *new_key(enum key_kind kind)
{
    EVP_PKEY *key = NULL;
    assert_int_equal(key_make(kind, &key, NULL), OK);
    return key;
}

static enum cert_state judge(X509 *cert, int64_t at_s)
{
    struct trust *t = NULL;
    struct identity who;
    struct err err;
    if (trust_load(at("root.pem"), at("crl.pem"), &t, &err) != OK)
        fail_msg("%s", err.text);
    enum cert_state got = trust_check(t, cert, NULL, at_s, &who);
    trust_free(t);
    return got;
}

static void test_create(void **state)
{
    (void)state;
    static const char *const secret[] = { "root.key", "server-root.key", "index.jsonl" };
    struct stat sb;
    assert_int_equal(ca_create(folder, "acme", "acme.localhost", now_s, NULL), EXISTS);
    assert_int_equal(stat(folder, &sb), 0);
    assert_int_equal(sb.st_mode & 0777, 0700);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(stat(at(secret[i]), &sb), 0);
        assert_int_equal(sb.st_mode & 0777, 0600);
    }
    struct ca *ca = open_ca();
    assert_int_equal(X509_get_pathlen(ca_root(ca)), 0);
    assert_int_equal(X509_get_key_usage(ca_root(ca)), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
    assert_null(cert_permitted_domain(ca_root(ca)));
    assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(ca_root(ca)), X509_get0_pubkey(ca_server_root(ca))), 0);
    ca_close(ca);
}

/* Issue, use, revoke; a second one of the same person stays good; revoking again is fine. */
static void test_life(void **state)
{
    (void)state;
    struct ca *ca = open_ca();
    EVP_PKEY *key = new_key(KEY_P256), *key2 = new_key(KEY_ED25519);
    X509 *first = issue(ca, "alice", "Alice@ACME.localhost", key), *second = issue(ca, "alice", "alice@acme.localhost", key2);
    X509 *bob = issue(ca, "bob", "bob@acme.localhost", key2);
    struct identity who;
    size_t count = 0, revoked = 99;
    assert_int_equal(leaf_read(first, &who), CERT_GOOD);
    assert_string_equal(who.name, "alice@acme.localhost");
    assert_int_equal(judge(first, now_s), CERT_GOOD);
    assert_int_equal(judge(first, now_s - 200), CERT_GOOD);       /* a clock that is behind */
    assert_int_equal(ca_revoke(ca, who.serial, "keyCompromise", now_s, &revoked, NULL), OK);
    assert_int_equal(revoked, 1);
    assert_int_equal(judge(first, now_s), CERT_REVOKED);
    assert_int_equal(judge(second, now_s), CERT_GOOD);
    assert_int_equal(ca_revoke(ca, "alice", "superseded", now_s, &revoked, NULL), OK);
    assert_int_equal(revoked, 1);
    assert_int_equal(judge(second, now_s), CERT_REVOKED);
    assert_int_equal(ca_revoke(ca, "alice@acme.localhost", "superseded", now_s, &revoked, NULL), OK);
    assert_int_equal(revoked, 0);
    assert_int_equal(judge(bob, now_s), CERT_GOOD);
    assert_int_equal(ca_revoke(ca, "nobody", "superseded", now_s, &revoked, NULL), NOT_FOUND);
    assert_int_equal(ca_revoke(ca, "bob", "certificateHold", now_s, &revoked, NULL), BAD_INPUT);
    ca_close(ca);
    ca = open_ca();                                                /* the index kept all of it */
    const struct ca_entry *v = ca_entries(ca, &count);
    assert_int_equal(count, 3);
    assert_string_equal(v[0].serial, who.serial);
    assert_string_equal(v[0].fingerprint, who.x5t);
    assert_string_equal(v[0].reason, "keyCompromise");
    assert_false(ca_entry_live(&v[0], now_s));
    assert_true(ca_entry_live(&v[2], now_s));
    assert_false(ca_entry_live(&v[2], v[2].not_after_s));
    ca_close(ca);
    X509_free(first);
    X509_free(second);
    X509_free(bob);
    EVP_PKEY_free(key);
    EVP_PKEY_free(key2);
}

static void test_refused_people(void **state)
{
    (void)state;
    static const struct {
        const char *name, *person, *identity;
        unsigned days;
        enum status want;
    } rows[] = {
        { "path in the name", "../alice", "alice@acme.localhost", 90, BAD_INPUT },
        { "hidden file", ".alice", "alice@acme.localhost", 90, BAD_INPUT },
        { "upper case", "Alice", "alice@acme.localhost", 90, BAD_INPUT },
        { "empty name", "", "alice@acme.localhost", 90, BAD_INPUT },
        { "second name by comma", "alice", "alice@acme.localhost,email:bob@acme.localhost", 90, BAD_INPUT },
        { "no address", "alice", "alice", 90, BAD_INPUT },
        { "no days", "alice", "alice@acme.localhost", 0, BAD_INPUT },
        { "too many days", "alice", "alice@acme.localhost", 826, BAD_INPUT },
    };
    struct ca *ca = open_ca();
    EVP_PKEY *key = new_key(KEY_P256);
    size_t before = 0, after = 0;
    X509 *cert = NULL;
    ca_entries(ca, &before);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (ca_issue_person(ca, rows[i].person, rows[i].identity, key, rows[i].days, now_s, &cert, NULL) != rows[i].want)
            fail_msg("%s", rows[i].name);
    assert_int_equal(ca_issue_person(ca, "alice", "alice@acme.localhost", key, 90, now_s + 3600LL * DAY, &cert, NULL), REFUSED);
    ca_entries(ca, &after);
    assert_int_equal(before, after);
    ca_close(ca);
    EVP_PKEY_free(key);
}

/* As a browser would, with every strictness OpenSSL has. Returns its error. */
static int verify_server(X509 *root, X509 *cert, const char *host)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    X509_STORE_add_cert(store, root);
    X509_STORE_CTX_init(ctx, store, cert, NULL);
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(param, (time_t)now_s);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
    X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
    X509_VERIFY_PARAM_set1_host(param, host, 0);
    int error = X509_verify_cert(ctx) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    return error;
}

static void test_server(void **state)
{
    (void)state;
    static char *names[] = { (char *)"acme.localhost", (char *)"*.acme.localhost" };
    static const char *const refused[] = { "evil.example", "acme.localhost.evil", "notacme.localhost", "127.0.0.1", "ACME.localhost", "a b.acme.localhost",
                                           "a.acme.localhost,DNS:b", "localhost", "" };
    struct ca *ca = open_ca();
    EVP_PKEY *key = new_key(KEY_P256);
    X509 *cert = NULL;
    assert_int_equal(ca_issue_server(ca, names, 2, key, now_s, &cert, NULL), OK);
    assert_int_equal(verify_server(ca_server_root(ca), cert, "support.acme.localhost"), X509_V_OK);
    assert_int_equal(verify_server(ca_server_root(ca), cert, "acme.localhost"), X509_V_OK);
    assert_int_equal(verify_server(ca_server_root(ca), cert, "a.b.acme.localhost"), X509_V_ERR_HOSTNAME_MISMATCH);
    assert_int_equal(verify_server(ca_root(ca), cert, "acme.localhost"), X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
    assert_int_equal(judge(cert, now_s), CERT_UNTRUSTED);         /* the servers' root makes nobody a person */
    X509_free(cert);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        char *one[] = { (char *)refused[i] };
        if (ca_issue_server(ca, one, 1, key, now_s, &cert, NULL) == OK)
            fail_msg("a certificate for '%s'", refused[i]);
    }
    assert_int_equal(ca_issue_server(ca, names, 0, key, now_s, &cert, NULL), BAD_INPUT);
    ca_close(ca);
    EVP_PKEY_free(key);
}

/* Whoever steals the servers' root still cannot pose as another site. */
static void test_stolen_server_root(void **state)
{
    (void)state;
    static char *names[] = { (char *)"bank.example" };
    struct ca *ca = open_ca();
    EVP_PKEY *key = new_key(KEY_P256), *root_key = NULL;
    X509 *cert = NULL;
    struct cert_times times = { now_s - 60, now_s + DAY };
    assert_int_equal(key_read(at("server-root.key"), &root_key, NULL), OK);
    assert_int_equal(cert_make_server(ca_server_root(ca), root_key, names, 1, key, times, &cert, NULL), OK);
    assert_int_equal(verify_server(ca_server_root(ca), cert, "bank.example"), X509_V_ERR_PERMITTED_VIOLATION);
    ca_close(ca);
    X509_free(cert);
    EVP_PKEY_free(key);
    EVP_PKEY_free(root_key);
}

static void test_crl(void **state)
{
    (void)state;
    struct ca *ca = open_ca();
    EVP_PKEY *key = new_key(KEY_P256);
    X509 *cert = issue(ca, "dave", "dave@acme.localhost", key);
    STACK_OF(X509_CRL) *crls = NULL;
    int64_t until_s = 0, number = 0;
    size_t revoked = 0;
    bool renewed = true;
    assert_int_equal(ca_renew_crl(ca, now_s, &until_s, NULL), OK);
    assert_int_equal(until_s, now_s + CA_CRL_LIFE_S);
    assert_int_equal(pem_read_crls(at("crl.pem"), &crls, NULL), OK);
    number = cert_crl_number(sk_X509_CRL_value(crls, 0));
    sk_X509_CRL_pop_free(crls, X509_CRL_free);
    assert_int_equal(ca_revoke(ca, "dave", "unspecified", now_s, &revoked, NULL), OK);
    ca_close(ca);
    assert_int_equal(pem_read_crls(at("crl.pem"), &crls, NULL), OK);
    assert_true(cert_crl_number(sk_X509_CRL_value(crls, 0)) > number);
    sk_X509_CRL_pop_free(crls, X509_CRL_free);
    assert_int_equal(judge(cert, now_s + CA_CRL_LIFE_S - 1), CERT_REVOKED);
    /* Not due yet; due with less than 20 days left; then fresh again. */
    assert_int_equal(ca_renew_crl_if_due(folder, now_s + 9 * DAY, &renewed, NULL), OK);
    assert_false(renewed);
    assert_int_equal(ca_renew_crl_if_due(folder, now_s + 11 * DAY, &renewed, NULL), OK);
    assert_true(renewed);
    assert_int_equal(ca_renew_crl_if_due(folder, now_s + 11 * DAY, &renewed, NULL), OK);
    assert_false(renewed);
    /* Lost, or damaged: made anew, with what was revoked. */
    assert_int_equal(unlink(at("crl.pem")), 0);
    assert_int_equal(judge(cert, now_s + 11 * DAY), CERT_CRL_STALE);
    assert_int_equal(ca_renew_crl_if_due(folder, now_s + 11 * DAY, &renewed, NULL), OK);
    assert_true(renewed);
    assert_int_equal(judge(cert, now_s + 11 * DAY), CERT_REVOKED);
    assert_int_equal(file_write(at("crl.pem"), SLICE("damaged"), 0600, NULL), OK);
    assert_int_equal(ca_renew_crl_if_due(folder, now_s + 11 * DAY, &renewed, NULL), OK);
    assert_true(renewed);
    assert_int_equal(ca_renew_crl_if_due("/no/such/folder", now_s, &renewed, NULL), NOT_FOUND);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void test_damaged_index(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
    } rows[] = {
        { "cut short", "{\"serial\":\"07\"" },
        { "not JSON", "x\n" },
        { "a member is missing", "{\"serial\":\"07\"}\n" },
        { "an empty line", "\n" },
        { "a foreign member", "{\"serial\":\"07\",\"identity\":\"a@b\",\"issued\":1,\"not_after\":2,\"fingerprint\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
                              "\"key\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"status\":\"good\",\"x\":1}\n" },
        { "revoked without a reason", "{\"serial\":\"07\",\"identity\":\"a@b\",\"issued\":1,\"not_after\":2,\"fingerprint\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
                              "\"key\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"status\":\"revoked\",\"revoked\":1}\n" },
        { "good, but with a reason", "{\"serial\":\"07\",\"identity\":\"a@b\",\"issued\":1,\"not_after\":2,\"fingerprint\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
                              "\"key\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"status\":\"good\",\"revoked\":1,\"reason\":\"superseded\"}\n" },
    };
    unsigned char *kept = NULL;
    size_t len = 0;
    struct ca *ca = NULL;
    assert_int_equal(file_read(at("index.jsonl"), 1 << 20, true, &kept, &len, NULL), OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(file_write(at("index.jsonl"), slice_str(rows[i].text), 0600, NULL), OK);
        if (ca_open(folder, &ca, NULL) != CORRUPT)
            fail_msg("%s", rows[i].name);
    }
    char *twice = NULL;
    assert_true(asprintf(&twice, "%s%s", kept, kept) > 0);
    assert_int_equal(file_write(at("index.jsonl"), slice_str(twice), 0600, NULL), OK);
    assert_int_equal(ca_open(folder, &ca, NULL), CORRUPT);
    assert_int_equal(unlink(at("index.jsonl")), 0);
    assert_int_equal(ca_open(folder, &ca, NULL), CORRUPT);
    assert_int_equal(file_write(at("index.jsonl"), slice_of(kept, len), 0600, NULL), OK);
    /* Keys that others can read, or that belong to another root. */
    assert_int_equal(chmod(at("root.key"), 0644), 0);
    assert_int_equal(ca_open(folder, &ca, NULL), BAD_CONFIG);
    assert_int_equal(chmod(at("root.key"), 0600), 0);
    assert_int_equal(rename(at("root.key"), at("kept.key")), 0);
    assert_int_equal(ca_open(folder, &ca, NULL), NOT_FOUND);
    assert_int_equal(link(at("server-root.key"), at("root.key")), 0);
    assert_int_equal(ca_open(folder, &ca, NULL), CORRUPT);
    assert_int_equal(rename(at("kept.key"), at("root.key")), 0);
    ca_close(open_ca());
    free(twice);
    free(kept);
}

/* Four processes issue five certificates each at once: the index has all twenty. */
static void test_together(void **state)
{
    (void)state;
    size_t before = 0, after = 0;
    struct ca *ca = open_ca();
    ca_entries(ca, &before);
    ca_close(ca);
    pid_t pids[4];
    for (size_t p = 0; p < 4; p++) {
        pids[p] = fork();
        if (pids[p] != 0)
            continue;
        EVP_PKEY *key = NULL;
        int failed = key_make(KEY_P256, &key, NULL) != OK;
        for (int i = 0; i < 5; i++) {
            X509 *cert = NULL;
            ca = NULL;
            failed |= ca_open(folder, &ca, NULL) != OK || ca_issue_person(ca, "many", "many@acme.localhost", key, 1, now_s, &cert, NULL) != OK;
            ca_close(ca);
            X509_free(cert);
        }
        EVP_PKEY_free(key);
        _exit(failed);
    }
    for (size_t p = 0; p < 4; p++) {
        int status = -1;
        waitpid(pids[p], &status, 0);
        assert_int_equal(status, 0);
    }
    ca = open_ca();
    ca_entries(ca, &after);
    assert_int_equal(after - before, 20);
    ca_close(ca);
}

static void test_which(void **state)
{
    (void)state;
    const struct ca_entry e = { .serial = "0a00bc", .identity = (char *)"alice@acme.localhost", .person = (char *)"alice" };
    static const struct {
        const char *which;
        bool is;
    } rows[] = {
        { "0a00bc", true }, { "a00bc", true }, { "0a:00:bc", true }, { "000a00bc", true }, { "alice", true }, { "alice@acme.localhost", true },
        { "", false }, { "0", false }, { ":", false }, { "0a00b", false }, { "0a00bc0", false }, { "a00bcd", false }, { "abc", false },
        { "alic", false }, { "alice@", false }, { "bc", false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (ca_entry_is(&e, rows[i].which) != rows[i].is)
            fail_msg("'%s'", rows[i].which);
}

/* A command that is stopped in the middle must not stop the gateway too. */
static void test_lock_held(void **state)
{
    (void)state;
    bool renewed = false;
    struct ca *ca = open_ca();
    assert_int_equal(ca_renew_crl_if_due(folder, now_s + 100 * DAY, &renewed, NULL), AGAIN);
    assert_false(renewed);
    ca_close(ca);
    assert_int_equal(ca_renew_crl_if_due(folder, now_s + 100 * DAY, &renewed, NULL), OK);
    assert_true(renewed);
}

static void test_p12(void **state)
{
    (void)state;
    struct ca *ca = open_ca();
    EVP_PKEY *key = new_key(KEY_P256), *read_key = NULL;
    X509 *cert = issue(ca, "eve", "eve@acme.localhost", key), *read_cert = NULL;
    STACK_OF(X509) *chain = NULL;
    char password[P12_PASSWORD_MADE], again[P12_PASSWORD_MADE];
    p12_password_make(password);
    p12_password_make(again);
    assert_true(p12_password_ok(password) && strlen(password) == 23 && strcmp(password, again) != 0);
    assert_false(p12_password_ok("abc") || p12_password_ok("p\xc3\xa4sswort") || p12_password_ok("tab\tbed"));
    assert_int_equal(p12_write(at("eve.p12"), password, "eve@acme.localhost", key, cert, ca_root(ca), NULL), OK);
    FILE *f = fopen(at("eve.p12"), "rb");
    PKCS12 *p12 = d2i_PKCS12_fp(f, NULL);
    fclose(f);
    assert_int_equal(PKCS12_parse(p12, "wrong", &read_key, &read_cert, &chain), 0);
    assert_int_equal(PKCS12_parse(p12, password, &read_key, &read_cert, &chain), 1);
    assert_int_equal(EVP_PKEY_eq(read_key, key), 1);
    assert_int_equal(X509_cmp(read_cert, cert), 0);
    assert_int_equal(sk_X509_num(chain), 1);
    PKCS12_free(p12);
    sk_X509_pop_free(chain, X509_free);
    X509_free(read_cert);
    EVP_PKEY_free(read_key);
    X509_free(cert);
    EVP_PKEY_free(key);
    ca_close(ca);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create), cmocka_unit_test(test_life), cmocka_unit_test(test_refused_people), cmocka_unit_test(test_server),
        cmocka_unit_test(test_stolen_server_root), cmocka_unit_test(test_crl), cmocka_unit_test(test_damaged_index),
        cmocka_unit_test(test_together), cmocka_unit_test(test_lock_held), cmocka_unit_test(test_which), cmocka_unit_test(test_p12),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
