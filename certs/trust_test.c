/* trust: a table of certificates made for the occasion, each wrong in one way. */
#include "certs/trust.h"

#include "certs/ca_cert.h"
#include "certs/leaf.h"
#include "certs/test_folder.h"
#include "proxy/base/codec.h"
#include "proxy/base/file.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { DAY = 86400 };
static const int64_t now_s = 1800000000;
static const struct cert_times usual = { now_s - DAY, now_s + DAY }, ended = { now_s - 2 * DAY, now_s - 1 }, later = { now_s + 1, now_s + DAY };

/* CAs: ours, another of the same name, an intermediate under ours (pathlen of ours is lifted by hand), and files with them. */
static struct {
    char dir[64];
    EVP_PKEY *key, *other_key, *inter_key, *leaf_key;
    X509 *root, *twin, *inter, *rogue_inter;
} w;

static const char *in_dir(const char *name)
{
    static char path[8][160];
    static unsigned turn;
    char *out = path[turn++ % 8];
    snprintf(out, sizeof path[0], "%s/%s", w.dir, name);
    return out;
}

static void add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(ext);
    assert_int_equal(X509_add_ext(cert, ext, -1), 1);
    X509_EXTENSION_free(ext);
}

enum san { SAN_ALICE, SAN_NONE, SAN_TWO, SAN_DNS_TOO, SAN_NUL, SAN_LATIN1, SAN_NOT_ADDRESS, SAN_UPPER, SAN_TWICE, SAN_EMPTY };

static void push_email(GENERAL_NAMES *names, int kind, const char *text, int len)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *s = ASN1_IA5STRING_new();
    ASN1_STRING_set(s, text, len);
    GENERAL_NAME_set0_value(name, kind, s);
    sk_GENERAL_NAME_push(names, name);
}

static void add_san(X509 *cert, enum san san)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    switch (san) {
    case SAN_NONE: GENERAL_NAMES_free(names); return;
    case SAN_NUL: push_email(names, GEN_EMAIL, "alice@acme.localhost\0.evil.example", 34); break;
    case SAN_LATIN1: push_email(names, GEN_EMAIL, "alic\xe9@acme.localhost", -1); break;
    case SAN_NOT_ADDRESS: push_email(names, GEN_EMAIL, "alice", -1); break;
    case SAN_EMPTY: push_email(names, GEN_EMAIL, "", 0); break;
    case SAN_UPPER: push_email(names, GEN_EMAIL, "Alice@ACME.localhost", -1); break;
    default: push_email(names, GEN_EMAIL, "alice@acme.localhost", -1);
    }
    if (san == SAN_TWO)
        push_email(names, GEN_EMAIL, "bob@acme.localhost", -1);
    if (san == SAN_DNS_TOO)
        push_email(names, GEN_DNS, "laptop.acme.localhost", -1);
    X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_APPEND);
    if (san == SAN_TWICE)
        X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_APPEND);
    GENERAL_NAMES_free(names);
}

struct recipe {
    struct cert_times times;
    const char *basic, *usage, *purpose;
    enum san san;
    long serial;
};

static X509 *make(const struct recipe *r, X509 *issuer, EVP_PKEY *issuer_key, EVP_PKEY *key, const char *subject)
{
    X509 *cert = X509_new();
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), r->serial);
    ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)r->times.not_before_s);
    ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)r->times.not_after_s);
    X509_set_pubkey(cert, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)subject, -1, -1, 0);
    X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : X509_get_subject_name(cert));
    add_ext(cert, cert, NID_subject_key_identifier, "hash");
    add_ext(cert, issuer ? issuer : cert, NID_authority_key_identifier, "keyid:always");
    if (r->basic)
        add_ext(cert, issuer, NID_basic_constraints, r->basic);
    if (r->usage)
        add_ext(cert, issuer, NID_key_usage, r->usage);
    if (r->purpose)
        add_ext(cert, issuer, NID_ext_key_usage, r->purpose);
    add_san(cert, r->san);
    assert_true(X509_sign(cert, issuer_key, EVP_PKEY_is_a(issuer_key, "ED25519") ? NULL : EVP_sha256()) > 0);
    return cert;
}

static const struct recipe good_recipe = { { now_s - DAY, now_s + DAY }, "critical,CA:FALSE", "critical,digitalSignature", "clientAuth", SAN_ALICE, 7 };
static const struct recipe ca_recipe = { { now_s - 3 * DAY, now_s + 3 * DAY }, "critical,CA:TRUE", "critical,keyCertSign,cRLSign", NULL, SAN_NONE, 1 };

static void write_crls(const char *name, X509_CRL *a, X509_CRL *b)
{
    FILE *f = fopen(in_dir(name), "w");
    assert_non_null(f);
    PEM_write_X509_CRL(f, a);
    if (b)
        PEM_write_X509_CRL(f, b);
    fclose(f);
}

static X509_CRL *make_crl(X509 *ca, EVP_PKEY *key, struct cert_times times, const char *serial)
{
    struct revoked_cert revoked = { serial, now_s - 60, "keyCompromise" };
    X509_CRL *crl = NULL;
    assert_int_equal(cert_make_crl(ca, key, &revoked, serial != NULL, 5, times, &crl, NULL), OK);
    return crl;
}

static void make_lists(void)
{
    X509_CRL *empty = make_crl(w.root, w.key, usual, NULL), *seven = make_crl(w.root, w.key, usual, "07");
    X509_CRL *stale = make_crl(w.root, w.key, ended, NULL), *early = make_crl(w.root, w.key, later, NULL);
    X509_CRL *forged = make_crl(w.twin, w.other_key, usual, NULL), *inter = make_crl(w.inter, w.inter_key, usual, NULL);
    X509_CRL *inter_seven = make_crl(w.inter, w.inter_key, usual, "07"), *root_of_inter = make_crl(w.root, w.key, usual, "02");
    write_crls("good.crl", empty, NULL);
    write_crls("revoked.crl", seven, NULL);
    write_crls("stale.crl", stale, NULL);
    write_crls("early.crl", early, NULL);
    write_crls("stale-and-good.crl", stale, empty);
    write_crls("forged.crl", forged, NULL);
    write_crls("both.crl", empty, inter);
    write_crls("both-revoked.crl", empty, inter_seven);
    write_crls("inter-revoked.crl", root_of_inter, inter);
    X509_CRL *all[] = { empty, seven, stale, early, forged, inter, inter_seven, root_of_inter };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        X509_CRL_free(all[i]);
}

static int setup(void **state)
{
    (void)state;
    struct recipe inter = ca_recipe;
    inter.serial = 2;
    assert_int_equal(test_folder_make(w.dir), 0);
    EVP_PKEY **keys[] = { &w.key, &w.other_key, &w.inter_key, &w.leaf_key };
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(key_make(KEY_P256, keys[i], NULL), OK);
    w.root = make(&ca_recipe, NULL, w.key, w.key, "Test root");
    w.twin = make(&ca_recipe, NULL, w.other_key, w.other_key, "Test root");
    w.inter = make(&inter, w.root, w.key, w.inter_key, "Test intermediate");
    w.rogue_inter = make(&inter, w.twin, w.other_key, w.inter_key, "Test intermediate");
    X509 *both[] = { w.root, w.inter };
    assert_int_equal(pem_write_certs(in_dir("root.pem"), both, 1, 0600, NULL), OK);
    assert_int_equal(pem_write_certs(in_dir("both.pem"), both, 2, 0600, NULL), OK);
    assert_int_equal(pem_write_certs(in_dir("inter.pem"), both + 1, 1, 0600, NULL), OK);
    make_lists();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    EVP_PKEY *keys[] = { w.key, w.other_key, w.inter_key, w.leaf_key };
    X509 *certs[] = { w.root, w.twin, w.inter, w.rogue_inter };
    for (size_t i = 0; i < 4; i++) {
        EVP_PKEY_free(keys[i]);
        X509_free(certs[i]);
    }
    return test_folder_remove(w.dir);
}

enum signer { BY_ROOT, BY_TWIN, BY_INTER, BY_ITSELF };
enum sent { SENT_NOTHING, SENT_INTER, SENT_ROGUE, SENT_TWIN };

struct row {
    const char *name;
    struct recipe leaf;
    enum signer signer;
    const char *ca, *crl;
    enum sent sent;
    enum cert_state want;
};

#define LEAF(...) { .times = { now_s - DAY, now_s + DAY }, .basic = "critical,CA:FALSE", .usage = "critical,digitalSignature", \
                    .purpose = "clientAuth", .san = SAN_ALICE, .serial = 7, __VA_ARGS__ }

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
#ifdef __clang__
#pragma clang diagnostic ignored "-Winitializer-overrides"
#endif
static const struct row rows[] = {
    { "good", LEAF(), BY_ROOT, "root.pem", "good.crl", SENT_NOTHING, CERT_GOOD },
    { "upper case in the address", LEAF(.san = SAN_UPPER), BY_ROOT, "root.pem", "good.crl", SENT_NOTHING, CERT_GOOD },
    { "a dNSName beside the address", LEAF(.san = SAN_DNS_TOO), BY_ROOT, "root.pem", "good.crl", SENT_NOTHING, CERT_GOOD },
    { "no key usage at all", LEAF(.usage = NULL), BY_ROOT, "root.pem", "good.crl", SENT_NOTHING, CERT_GOOD },
    { "both purposes", LEAF(.purpose = "serverAuth,clientAuth"), BY_ROOT, "root.pem", "good.crl", SENT_NOTHING, CERT_GOOD },
    { "other CA of the same name", LEAF(), BY_TWIN, "root.pem", "good.crl", SENT_NOTHING, CERT_UNTRUSTED },
    { "other CA, and its root sent along", LEAF(), BY_TWIN, "root.pem", "good.crl", SENT_TWIN, CERT_UNTRUSTED },
    { "self-signed", LEAF(), BY_ITSELF, "root.pem", "good.crl", SENT_NOTHING, CERT_UNTRUSTED },
    { "self-signed CA with the root's name", LEAF(.basic = "critical,CA:TRUE", .usage = "critical,keyCertSign,digitalSignature"), BY_ITSELF, "root.pem",
      "good.crl", SENT_NOTHING, CERT_UNTRUSTED },
    { "expired", LEAF(.times = { now_s - 2 * DAY, now_s - 1 }), BY_ROOT, "root.pem", "good.crl", SENT_NOTHING, CERT_EXPIRED },
    { "not yet", LEAF(.times = { now_s + 1, now_s + DAY }), BY_ROOT, "root.pem", "good.crl", SENT_NOTHING, CERT_NOT_YET },
    { "revoked", LEAF(), BY_ROOT, "root.pem", "revoked.crl", SENT_NOTHING, CERT_REVOKED },
    { "another one revoked", LEAF(.serial = 8), BY_ROOT, "root.pem", "revoked.crl", SENT_NOTHING, CERT_GOOD },
    { "serverAuth only", LEAF(.purpose = "serverAuth"), BY_ROOT, "root.pem", "good.crl", SENT_NOTHING, CERT_WRONG_PURPOSE },
    { "no EKU", LEAF(.purpose = NULL), BY_ROOT, "root.pem", "good.crl", SENT_NOTHING, CERT_WRONG_PURPOSE },
    { "any EKU", LEAF(.purpose = "anyExtendedKeyUsage"), BY_ROOT, "root.pem", "good.crl", SENT_NOTHING, CERT_WRONG_PURPOSE },
    { "cannot sign", LEAF(.usage = "critical,keyEncipherment"), BY_ROOT, "root.pem", "good.crl", SENT_NOTHING, CERT_WRONG_PURPOSE },
    { "a CA as leaf", LEAF(.basic = "critical,CA:TRUE", .usage = "critical,keyCertSign,digitalSignature"), BY_ROOT, "root.pem", "good.crl", SENT_NOTHING,
      CERT_WRONG_PURPOSE },
    { "keyCertSign, but no CA", LEAF(.usage = "critical,digitalSignature,keyCertSign"), BY_ROOT, "root.pem", "good.crl", SENT_NOTHING, CERT_WRONG_PURPOSE },
    { "a path length, but no CA", LEAF(.basic = "critical,CA:FALSE,pathlen:0"), BY_ROOT, "root.pem", "good.crl", SENT_NOTHING, CERT_WRONG_PURPOSE },
    { "no SAN", LEAF(.san = SAN_NONE), BY_ROOT, "root.pem", "good.crl", SENT_NOTHING, CERT_NO_IDENTITY },
    { "two SANs", LEAF(.san = SAN_TWO), BY_ROOT, "root.pem", "good.crl", SENT_NOTHING, CERT_NO_IDENTITY },
    { "two SAN extensions", LEAF(.san = SAN_TWICE), BY_ROOT, "root.pem", "good.crl", SENT_NOTHING, CERT_UNTRUSTED },   /* RFC 5280 s4.2: not even X.509 */
    { "NUL in the SAN", LEAF(.san = SAN_NUL), BY_ROOT, "root.pem", "good.crl", SENT_NOTHING, CERT_NO_IDENTITY },
    { "not ASCII", LEAF(.san = SAN_LATIN1), BY_ROOT, "root.pem", "good.crl", SENT_NOTHING, CERT_NO_IDENTITY },
    { "not an address", LEAF(.san = SAN_NOT_ADDRESS), BY_ROOT, "root.pem", "good.crl", SENT_NOTHING, CERT_NO_IDENTITY },
    { "empty SAN", LEAF(.san = SAN_EMPTY), BY_ROOT, "root.pem", "good.crl", SENT_NOTHING, CERT_NO_IDENTITY },
    { "CRL stale", LEAF(), BY_ROOT, "root.pem", "stale.crl", SENT_NOTHING, CERT_CRL_STALE },
    { "CRL from the future", LEAF(), BY_ROOT, "root.pem", "early.crl", SENT_NOTHING, CERT_CRL_STALE },
    { "CRL missing", LEAF(), BY_ROOT, "root.pem", "no-such.crl", SENT_NOTHING, CERT_CRL_STALE },
    { "no CRL configured", LEAF(), BY_ROOT, "root.pem", NULL, SENT_NOTHING, CERT_CRL_STALE },
    { "an old CRL beside a current one", LEAF(), BY_ROOT, "root.pem", "stale-and-good.crl", SENT_NOTHING, CERT_GOOD },
    { "intermediate in the file", LEAF(), BY_INTER, "both.pem", "both.crl", SENT_NOTHING, CERT_GOOD },
    { "intermediate sent by the peer", LEAF(), BY_INTER, "root.pem", "both.crl", SENT_INTER, CERT_GOOD },
    { "intermediate nowhere", LEAF(), BY_INTER, "root.pem", "both.crl", SENT_NOTHING, CERT_UNTRUSTED },
    { "intermediate of another root", LEAF(), BY_INTER, "root.pem", "both.crl", SENT_ROGUE, CERT_UNTRUSTED },
    { "the intermediate's list is missing", LEAF(), BY_INTER, "root.pem", "good.crl", SENT_INTER, CERT_CRL_STALE },
    { "revoked by the intermediate", LEAF(), BY_INTER, "both.pem", "both-revoked.crl", SENT_NOTHING, CERT_REVOKED },
    { "revoked by an intermediate that was sent", LEAF(), BY_INTER, "root.pem", "both-revoked.crl", SENT_INTER, CERT_REVOKED },
    { "the intermediate itself revoked", LEAF(), BY_INTER, "both.pem", "inter-revoked.crl", SENT_NOTHING, CERT_REVOKED },
};
#pragma GCC diagnostic pop

static X509 *make_leaf(const struct row *row)
{
    switch (row->signer) {
    case BY_TWIN: return make(&row->leaf, w.twin, w.other_key, w.leaf_key, "alice");
    case BY_INTER: return make(&row->leaf, w.inter, w.inter_key, w.leaf_key, "alice");
    case BY_ITSELF: return make(&row->leaf, NULL, w.leaf_key, w.leaf_key, "Test root");
    default: return make(&row->leaf, w.root, w.key, w.leaf_key, "alice");
    }
}

static enum cert_state check(const struct trust *t, X509 *leaf, enum sent sent, int64_t at_s, struct identity *who)
{
    STACK_OF(X509) *chain = NULL;
    X509 *more[] = { [SENT_INTER] = w.inter, [SENT_ROGUE] = w.rogue_inter, [SENT_TWIN] = w.twin };
    if (sent != SENT_NOTHING) {
        chain = sk_X509_new_null();
        sk_X509_push(chain, more[sent]);
    }
    enum cert_state got = trust_check(t, leaf, chain, at_s, who);
    sk_X509_free(chain);
    return got;
}

static void test_table(void **state)
{
    (void)state;
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        struct trust *t = NULL;
        struct identity who;
        struct err err = { "" };
        X509 *leaf = make_leaf(row);
        if (trust_load(in_dir(row->ca), row->crl ? in_dir(row->crl) : NULL, &t, &err) != OK) {
            print_error("%s: did not load: %s\n", row->name, err.text);
            wrong++;
        } else {
            enum cert_state got = check(t, leaf, row->sent, now_s, &who);
            if (got != row->want || (got == CERT_GOOD && strcmp(who.name, "alice@acme.localhost") != 0)) {
                print_error("%s: %s, wanted %s (%s)\n", row->name, cert_state_name(got), cert_state_name(row->want), who.name);
                wrong++;
            }
        }
        X509_free(leaf);
        trust_free(t);
    }
    assert_int_equal(wrong, 0);
}

static void test_identity(void **state)
{
    (void)state;
    struct trust *t = NULL;
    struct identity who;
    unsigned char digest[32];
    char x5t[44];
    unsigned len = 0;
    assert_int_equal(trust_load(in_dir("root.pem"), in_dir("revoked.crl"), &t, NULL), OK);
    assert_int_equal(trust_check(t, NULL, NULL, now_s, &who), CERT_MISSING);
    X509 *leaf = make(&good_recipe, w.root, w.key, w.leaf_key, "alice");
    assert_int_equal(trust_check(t, leaf, NULL, now_s, &who), CERT_REVOKED);
    /* Filled as far as known even when refused, for the log. */
    X509_digest(leaf, EVP_sha256(), digest, &len);
    b64url_encode(slice_of(digest, len), x5t);
    assert_string_equal(who.name, "alice@acme.localhost");
    assert_string_equal(who.x5t, x5t);
    assert_memory_equal(who.thumbprint, digest, 32);
    assert_string_equal(who.serial, "07");
    assert_int_equal(who.not_after_s, now_s + DAY);
    assert_int_equal(trust_crl_until(t), now_s + DAY);
    X509_free(leaf);
    trust_free(t);
}

/* The last second of a certificate and of a list. */
static void test_edges(void **state)
{
    (void)state;
    struct trust *t = NULL;
    struct identity who;
    struct recipe longer = good_recipe;
    longer.times.not_after_s = now_s + 2 * DAY;
    X509 *leaf = make(&good_recipe, w.root, w.key, w.leaf_key, "alice"), *outlives = make(&longer, w.root, w.key, w.leaf_key, "alice");
    assert_int_equal(trust_load(in_dir("root.pem"), in_dir("good.crl"), &t, NULL), OK);
    assert_int_equal(trust_check(t, leaf, NULL, now_s + DAY - 1, &who), CERT_GOOD);
    assert_int_equal(trust_check(t, leaf, NULL, now_s + DAY + 1, &who), CERT_EXPIRED);
    assert_int_equal(trust_check(t, leaf, NULL, now_s - DAY - 1, &who), CERT_NOT_YET);
    assert_int_equal(trust_check(t, outlives, NULL, now_s + DAY, &who), CERT_CRL_STALE);
    assert_int_equal(trust_check(t, outlives, NULL, now_s + 4 * DAY, &who), CERT_UNTRUSTED);   /* the root has ended too */
    X509_free(leaf);
    X509_free(outlives);
    trust_free(t);
}

static void write_text(const char *name, const char *text)
{
    FILE *f = fopen(in_dir(name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void test_bad_files(void **state)
{
    (void)state;
    static const struct {
        const char *name, *ca, *crl;
        enum status want;
    } bad[] = {
        { "no CA file", "no-such.pem", "good.crl", NOT_FOUND },      { "empty CA file", "empty", "good.crl", BAD_CONFIG },
        { "CA file without a root", "inter.pem", "good.crl", BAD_CONFIG }, { "a leaf as CA", "leaf.pem", "good.crl", BAD_CONFIG },
        { "damaged after the first", "cut.pem", "good.crl", BAD_CONFIG }, { "a CRL as CA file", "good.crl", "good.crl", BAD_CONFIG },
        { "empty CRL file", "root.pem", "empty", BAD_CONFIG },       { "a certificate as CRL", "root.pem", "root.pem", BAD_CONFIG },
        { "CRL of our name, signed by another", "root.pem", "forged.crl", BAD_CONFIG },
        { "CRL without nextUpdate", "root.pem", "endless.crl", BAD_CONFIG }, { "a partial CRL", "root.pem", "partial.crl", BAD_CONFIG },
        { "CRL of CAs that are not ours", "root.pem", "inter-only.crl", BAD_CONFIG },
    };
    X509 *leaf = make(&good_recipe, w.root, w.key, w.leaf_key, "alice"), *two[] = { w.root, leaf };
    X509_CRL *endless = X509_CRL_new(), *partial = make_crl(w.root, w.key, usual, NULL), *inter = make_crl(w.inter, w.inter_key, usual, NULL);
    ASN1_TIME *from = ASN1_TIME_set(NULL, (time_t)now_s - 1);
    X509_CRL_set_issuer_name(endless, X509_get_subject_name(w.root));
    X509_CRL_set1_lastUpdate(endless, from);
    X509_CRL_sign(endless, w.key, EVP_sha256());
    ISSUING_DIST_POINT *idp = ISSUING_DIST_POINT_new();
    idp->onlyuser = 1;
    X509_CRL_add1_ext_i2d(partial, NID_issuing_distribution_point, idp, 1, 0);
    X509_CRL_sign(partial, w.key, EVP_sha256());
    write_crls("endless.crl", endless, NULL);
    write_crls("partial.crl", partial, NULL);
    write_crls("inter-only.crl", inter, NULL);
    write_text("empty", "");
    assert_int_equal(pem_write_certs(in_dir("leaf.pem"), two, 2, 0600, NULL), OK);
    unsigned char *root = NULL;
    char *cut = NULL;
    size_t root_len = 0;
    assert_int_equal(file_read(in_dir("root.pem"), 1 << 20, false, &root, &root_len, NULL), OK);
    assert_true(asprintf(&cut, "%s%.300s", root, root) > 0);
    write_text("cut.pem", cut);
    free(root);
    free(cut);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct trust *t = NULL;
        struct err err = { "" };
        enum status got = trust_load(in_dir(bad[i].ca), in_dir(bad[i].crl), &t, &err);
        if (got != bad[i].want)
            fail_msg("%s: %s (%s)", bad[i].name, status_name(got), err.text);
        assert_true(err.text[0] != 0);
    }
    X509_free(leaf);
    X509_CRL_free(endless);
    X509_CRL_free(partial);
    X509_CRL_free(inter);
    ASN1_TIME_free(from);
    ISSUING_DIST_POINT_free(idp);
}

static struct trust *shared;
static X509 *shared_leaf;
static void *check_often(void *arg)
{
    struct identity who;
    size_t *good = arg;
    for (int i = 0; i < 50; i++)
        *good += trust_check(shared, shared_leaf, NULL, now_s, &who) == CERT_GOOD;
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    size_t good[4] = { 0 };
    shared_leaf = make(&good_recipe, w.root, w.key, w.leaf_key, "alice");
    assert_int_equal(trust_load(in_dir("root.pem"), in_dir("good.crl"), &shared, NULL), OK);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, check_often, &good[i]), 0);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(good[i], 50);
    }
    X509_free(shared_leaf);
    trust_free(shared);
}

static void test_words(void **state)
{
    (void)state;
    for (enum cert_state s = CERT_GOOD; s <= CERT_CRL_STALE; s++) {
        assert_true(strlen(cert_state_name(s)) > 0);
        assert_true(strlen(cert_state_what(s)) > 10 && strlen(cert_state_next(s)) > 10);
    }
}

/* Who was verified once is not verified again, but asked for dates and lists each time. */
static void test_again(void **state)
{
    struct identity who;
    struct trust *good, *revoked, *none;
    X509 *leaf = make(&good_recipe, w.root, w.key, w.leaf_key, "alice");
    (void)state;
    assert_int_equal(trust_load(in_dir("root.pem"), in_dir("good.crl"), &good, NULL), OK);
    assert_int_equal(trust_load(in_dir("root.pem"), in_dir("revoked.crl"), &revoked, NULL), OK);
    assert_int_equal(trust_load(in_dir("root.pem"), NULL, &none, NULL), OK);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(trust_check(good, leaf, NULL, now_s, &who), CERT_GOOD);
        assert_string_equal(who.name, "alice@acme.localhost");
        assert_int_equal(trust_check(good, leaf, NULL, now_s + DAY - 1, &who), CERT_GOOD);
        assert_int_equal(trust_check(good, leaf, NULL, now_s + DAY, &who), CERT_EXPIRED);
        assert_int_equal(trust_check(good, leaf, NULL, now_s - DAY - 1, &who), CERT_NOT_YET);
        assert_int_equal(trust_check(revoked, leaf, NULL, now_s, &who), CERT_REVOKED);
        assert_int_equal(trust_check(none, leaf, NULL, now_s, &who), CERT_CRL_STALE);
    }
    X509_free(leaf);
    trust_free(good);
    trust_free(revoked);
    trust_free(none);
}

/* The same certificate below an intermediate CA that only the peer sends: without it there is no way up, whoever came before. */
static void test_again_with_what_is_sent(void **state)
{
    struct identity who;
    struct trust *t;
    X509 *leaf = make(&good_recipe, w.inter, w.inter_key, w.leaf_key, "alice");
    STACK_OF(X509) *sent = sk_X509_new_null();
    (void)state;
    assert_true(sk_X509_push(sent, w.inter) > 0);
    assert_int_equal(trust_load(in_dir("root.pem"), in_dir("good.crl"), &t, NULL), OK);
    for (unsigned i = 0; i < 2; i++) {
        enum cert_state with = trust_check(t, leaf, sent, now_s, &who);
        assert_true(with == CERT_GOOD || with == CERT_CRL_STALE);
        assert_int_equal(trust_check(t, leaf, NULL, now_s, &who), CERT_UNTRUSTED);
    }
    sk_X509_free(sent);
    X509_free(leaf);
    trust_free(t);
}

/* Both CAs are in the file, and neither is kept once more for a connection; an unknown one is. */
static void test_drop_known(void **state)
{
    struct trust *t;
    STACK_OF(X509) *chain = sk_X509_new_null();
    X509 *sent[] = { w.inter, w.rogue_inter, w.root };
    (void)state;
    assert_int_equal(trust_load(in_dir("both.pem"), NULL, &t, NULL), OK);
    for (size_t i = 0; i < sizeof sent / sizeof *sent; i++) {
        X509_up_ref(sent[i]);
        assert_true(sk_X509_push(chain, sent[i]) > 0);
    }
    trust_drop_known(t, chain);
    assert_int_equal(sk_X509_num(chain), 1);
    assert_ptr_equal(sk_X509_value(chain, 0), w.rogue_inter);
    trust_drop_known(t, NULL);
    sk_X509_pop_free(chain, X509_free);
    trust_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table), cmocka_unit_test(test_identity), cmocka_unit_test(test_edges),
        cmocka_unit_test(test_bad_files), cmocka_unit_test(test_threads), cmocka_unit_test(test_words),
        cmocka_unit_test(test_drop_known), cmocka_unit_test(test_again), cmocka_unit_test(test_again_with_what_is_sent),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
