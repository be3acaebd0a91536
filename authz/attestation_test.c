/* What vouches for a key, against what only looks like it. Makers, chains and statements are made here. */
#include "authz/attestation.h"

#include "authz/soft_authenticator.h"
#include "proxy/base/file.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define NOW INT64_C(1790000000)
#define MODEL "00010203-0405-0607-0809-0a0b0c0d0e0f"
#define OID "1.3.6.1.4.1.45724.1.1.4"

static const struct webauthn_party party = { "console.acme.localhost", "https://console.acme.localhost:8443" };
static const unsigned char challenge[32] = { 9, 8, 7 }, other_challenge[32] = { 9, 8, 6 };

/* How a certificate of the test differs from a right one; "" and 0: not at all. */
struct shape {
    const char *c, *o, *ou, *cn;      /* "-": left out */
    bool ca, old_version, no_model, critical, model_twice;
    const char *model;                /* hex of the extension's value */
    int from_s, to_s;                 /* beside NOW; 0: a day each way */
    int alg;                          /* 0: ES256 */
};

struct maker {
    EVP_PKEY *key;
    X509 *cert;
};
static struct maker root, middle, stranger;
static struct soft soft;
static char path[128];

static void put_name(X509_NAME *name, const char *field, const char *given, const char *usual)
{
    if (given == NULL || strcmp(given, "-") != 0)
        assert_int_equal(X509_NAME_add_entry_by_txt(name, field, MBSTRING_ASC, (const unsigned char *)(given ? given : usual), -1, -1, 0), 1);
}

static void put_extension(X509 *cert, const char *oid, bool critical, const char *hex)
{
    unsigned char der[64];
    size_t len = 0;
    assert_int_equal(hex_decode(slice_str(hex), der, sizeof der, &len), OK);
    ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(value, der, (int)len);
    X509_EXTENSION *e = X509_EXTENSION_create_by_OBJ(NULL, object, critical, value);
    assert_int_equal(X509_add_ext(cert, e, -1), 1);
    X509_EXTENSION_free(e);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(object);
}

/* by NULL: it signs itself. */
static struct maker make(const struct shape *s, const struct maker *by)
{
    static long serial;
    struct maker m = { .key = s->alg == WEBAUTHN_RS256    ? EVP_RSA_gen(2048)
                              : s->alg == WEBAUTHN_EDDSA ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
                              : s->alg == -35            ? EVP_EC_gen("P-384")
                                                         : EVP_EC_gen("P-256"),
                       .cert = X509_new() };
    X509_set_version(m.cert, s->old_version ? X509_VERSION_1 : X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(m.cert), ++serial);
    X509_time_adj_ex(X509_getm_notBefore(m.cert), 0, s->from_s ? s->from_s : -86400, &(time_t){ NOW });
    X509_time_adj_ex(X509_getm_notAfter(m.cert), 0, s->to_s ? s->to_s : 86400, &(time_t){ NOW });
    X509_NAME *name = X509_get_subject_name(m.cert);
    put_name(name, "C", s->c, "SE");
    put_name(name, "O", s->o, "Keys AB");
    put_name(name, "OU", s->ou, "Authenticator Attestation");
    put_name(name, "CN", s->cn, s->ca ? "Keys AB root" : "Keys AB key, batch 7");
    X509_set_issuer_name(m.cert, by ? X509_get_subject_name(by->cert) : name);
    X509_set_pubkey(m.cert, m.key);
    if (!s->old_version)
        put_extension(m.cert, "2.5.29.19", true, s->ca ? "30030101ff" : "3000");
    if (!s->no_model && !s->ca && !s->old_version)
        for (int i = 0; i < (s->model_twice ? 2 : 1); i++)
            put_extension(m.cert, OID, s->critical, s->model ? s->model : "0410" SOFT_AAGUID);
    EVP_PKEY *signer = by ? by->key : m.key;
    assert_true(X509_sign(m.cert, signer, EVP_PKEY_is_a(signer, "ED25519") ? NULL : EVP_sha256()) > 0);
    return m;
}

static void unmake(struct maker *m)
{
    EVP_PKEY_free(m->key);
    X509_free(m->cert);
}

static void write_pem(const char *to, X509 *a, X509 *b)
{
    FILE *f = fopen(to, "w");
    assert_non_null(f);
    PEM_write_X509(f, a);
    if (b != NULL)
        PEM_write_X509(f, b);
    fclose(f);
}

static int set_up(void **state)
{
    (void)state;
    root = make(&(struct shape){ .ca = true, .ou = "Roots" }, NULL);
    stranger = make(&(struct shape){ .ca = true, .ou = "Roots" }, NULL);
    middle = make(&(struct shape){ .ca = true, .cn = "Keys AB middle" }, &root);
    soft_make(&soft, WEBAUTHN_ES256, party.rp_id, party.origin);
    snprintf(path, sizeof path, "/tmp/countersign-attestation-%d.pem", (int)getpid());
    write_pem(path, root.cert, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unmake(&root);
    unmake(&stranger);
    unmake(&middle);
    EVP_PKEY_free(soft.key);
    unlink(path);
    return 0;
}

/* ---- statements ---- */

enum twist {
    STRAIGHT, NO_STATEMENT, SELF, SELF_WITH_CHAIN_KEY, U2F, TPM, EMPTY_CHAIN, LONG_CHAIN, CHAIN_TEXT, NO_SIGNATURE, NO_ALG, ALG_OTHER, ALG_TEXT, SIG_TEXT, SIG_EMPTY, SIG_FLIPPED,
    EXTRA_MEMBER, SIG_TWICE, OTHER_CHALLENGE, OTHER_KEY, JUNK_BEHIND_DER, DER_CUT, BY_OTHER, NO_MIDDLE, FOREIGN_ROOT, ROOT_IN_CHAIN, MIDDLE_PINNED, LEAF_ITSELF,
};

static void sign(EVP_PKEY *key, const struct soft_bytes *data, const struct soft_bytes *client, struct soft_bytes *out)
{
    struct soft_bytes message = { .len = 0 };
    unsigned char hash[32];
    soft_put(&message, data->v, data->len);
    sha256_one(slice_of(client->v, client->len), hash);
    soft_put(&message, hash, sizeof hash);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    out->len = sizeof out->v;
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestSign(ctx, out->v, &out->len, message.v, message.len), 1);
    EVP_MD_CTX_free(ctx);
}

static void put_certificate(struct soft_bytes *b, X509 *cert, enum twist t)
{
    unsigned char *der = NULL, more[4096];
    int len = i2d_X509(cert, &der);
    assert_true(len > 0 && len < 4000);
    memcpy(more, der, (size_t)len);
    more[len] = 0;
    OPENSSL_free(der);
    soft_byte_string(b, more, (size_t)(t == JUNK_BEHIND_DER ? len + 1 : t == DER_CUT ? len - 1 : len));
}

static void put_chain(struct soft_bytes *b, const struct maker *leaf, enum twist t)
{
    if (t == CHAIN_TEXT) {
        soft_hex(b, "63616263");
        return;
    }
    unsigned n = t == EMPTY_CHAIN ? 0 : t == LONG_CHAIN ? 5 : t == NO_MIDDLE || t == LEAF_ITSELF ? 1 : t == ROOT_IN_CHAIN || t == FOREIGN_ROOT ? 3 : 2;
    unsigned char head = (unsigned char)(0x80 + n);
    soft_put(b, &head, 1);
    for (unsigned i = 0; i < n; i++)
        put_certificate(b, i == 0 ? leaf->cert : i == 1 ? middle.cert : t == FOREIGN_ROOT ? stranger.cert : root.cert, i == 0 ? t : STRAIGHT);
}

static void put_statement(struct soft_bytes *b, const struct maker *leaf, int alg, const struct soft_bytes *sig, enum twist t)
{
    bool chain = t != SELF, has_sig = t != NO_SIGNATURE, has_alg = t != NO_ALG;
    unsigned n = (unsigned)has_alg + (has_sig ? 1 : 0) + (chain ? 1 : 0) + (t == EXTRA_MEMBER || t == SIG_TWICE ? 1 : 0);
    unsigned char head = (unsigned char)(0xa0 + n);
    soft_put(b, &head, 1);
    if (has_alg) {
        soft_hex(b, "63616c67");
        soft_hex(b, t == ALG_TEXT ? "6161" : t == ALG_OTHER ? "390100" : alg == WEBAUTHN_RS256 ? "390100" : alg == WEBAUTHN_EDDSA ? "27" : alg == -35 ? "3822" : "26");
    }
    for (int i = 0; has_sig && i < (t == SIG_TWICE ? 2 : 1); i++) {
        soft_hex(b, "63736967");
        if (t == SIG_TEXT || t == SIG_EMPTY)
            soft_hex(b, t == SIG_TEXT ? "6161" : "40");
        else
            soft_byte_string(b, sig->v, sig->len);
    }
    if (chain) {
        soft_hex(b, "63783563");
        put_chain(b, leaf, t);
    }
    if (t == EXTRA_MEMBER)
        soft_hex(b, "617801");
}

/* The attestation object, and the client data that goes with it. */
static void attest(const struct maker *leaf, int alg, enum twist t, struct soft_bytes *client, struct soft_bytes *object)
{
    struct soft_bytes data, sig, other = { .len = 0 };
    struct soft another = soft;
    if (t == NO_STATEMENT) {
        soft_register(&soft, challenge, client, object);
        return;
    }
    soft_client_data(&soft, "webauthn.create", t == OTHER_CHALLENGE ? other_challenge : challenge, client);
    soft_new_key(&soft, &data);
    another.id[0] ^= 1;
    soft_new_key(&another, &other);
    sign(t == SELF || t == SELF_WITH_CHAIN_KEY ? soft.key : t == BY_OTHER ? stranger.key : leaf->key, t == OTHER_KEY ? &other : &data, client, &sig);
    if (t == SIG_FLIPPED)
        sig.v[sig.len - 1] ^= 1;
    if (t == OTHER_CHALLENGE)
        soft_client_data(&soft, "webauthn.create", challenge, client);
    object->len = 0;
    soft_hex(object, "a363666d74");
    soft_hex(object, t == U2F ? "686669646f2d753266" : t == TPM ? "6374706d" : "667061636b6564");
    soft_hex(object, "6761747453746d74");
    put_statement(object, leaf, alg, &sig, t);
    soft_hex(object, "686175746844617461");
    soft_byte_string(object, data.v, data.len);
}

static enum status judge(const char *roots_path, const struct soft_bytes *client, const struct soft_bytes *object, char *const *models, size_t count, struct attestation *out, struct err *err)
{
    struct webauthn_credential c;
    struct attestation_roots *roots = NULL;
    unsigned char *exact = malloc(object->len);   /* so that one byte too far is seen */
    memcpy(exact, object->v, object->len);
    assert_int_equal(attestation_load(roots_path, &roots, err), OK);
    assert_int_equal(webauthn_register(&party, challenge, slice_of(client->v, client->len), slice_of(exact, object->len), &c, err), OK);
    enum status st = attestation_verify(roots, &c, slice_of(client->v, client->len), models, count, NOW, out, err);
    webauthn_credential_done(&c);
    attestation_free(roots);
    free(exact);
    return st;
}

static char *models_of[2] = { (char[]){ "ffffffff-0405-0607-0809-0a0b0c0d0e0f" }, (char[]){ MODEL } };

static void statements(void **state)
{
    static const struct {
        const char *name;
        struct shape leaf;
        enum twist twist;
        size_t models;                /* how many of models_of are taken; the second is this one */
        const char *why;              /* NULL: it is attested */
    } rows[] = {
        { "as it should be", { .c = NULL }, STRAIGHT, 0, NULL },
        { "a model that is taken", { .c = NULL }, STRAIGHT, 2, NULL },
        { "no model in the certificate, any will do", { .no_model = true }, STRAIGHT, 0, NULL },
        { "an RSA certificate", { .alg = WEBAUTHN_RS256 }, STRAIGHT, 0, NULL },
        { "an Ed25519 certificate", { .alg = WEBAUTHN_EDDSA }, STRAIGHT, 0, NULL },
        { "the root comes along", { .c = NULL }, ROOT_IN_CHAIN, 0, NULL },
        { "the middle is pinned", { .c = NULL }, MIDDLE_PINNED, 0, NULL },
        { "none", { .c = NULL }, NO_STATEMENT, 0, "no attestation" },
        { "self attestation", { .c = NULL }, SELF, 0, "vouches for itself" },
        { "self attestation beside a borrowed chain", { .c = NULL }, SELF_WITH_CHAIN_KEY, 0, "signature does not hold" },
        { "fido-u2f", { .c = NULL }, U2F, 0, "format that is not taken" },
        { "tpm", { .c = NULL }, TPM, 0, "format that is not taken" },
        { "a model that is not taken", { .c = NULL }, STRAIGHT, 1, "of the model " MODEL " are not taken" },
        { "no model in the certificate, though models are named", { .no_model = true }, STRAIGHT, 2, "names no model" },
        { "another model in the certificate", { .model = "0410ff0102030405060708090a0b0c0d0e0f" }, STRAIGHT, 0, "for another model" },
        { "the model's extension is critical", { .critical = true }, STRAIGHT, 0, "malformed" },
        { "the model twice", { .model_twice = true }, STRAIGHT, 0, "malformed" },
        { "the model without its inner head", { .model = SOFT_AAGUID }, STRAIGHT, 0, "malformed" },
        { "the model is short", { .model = "040f000102030405060708090a0b0c0d0e" }, STRAIGHT, 0, "malformed" },
        { "the model with more behind it", { .model = "0410" SOFT_AAGUID "00" }, STRAIGHT, 0, "malformed" },
        { "the model's extension is empty", { .model = "" }, STRAIGHT, 0, "malformed" },
        { "no country", { .c = "-" }, STRAIGHT, 0, "has not C, O, CN" },
        { "no organisation", { .o = "-" }, STRAIGHT, 0, "has not C, O, CN" },
        { "no common name", { .cn = "-" }, STRAIGHT, 0, "has not C, O, CN" },
        { "no organisational unit", { .ou = "-" }, STRAIGHT, 0, "has not C, O, CN" },
        { "another organisational unit", { .ou = "Authenticator attestation" }, STRAIGHT, 0, "has not C, O, CN" },
        { "more behind the organisational unit", { .ou = "Authenticator Attestation " }, STRAIGHT, 0, "has not C, O, CN" },
        { "an authority's certificate", { .ca = true }, STRAIGHT, 0, "is an authority's" },
        { "version 1", { .old_version = true }, STRAIGHT, 0, "not of version 3" },
        { "expired", { .to_s = -1 }, STRAIGHT, 0, "has expired" },
        { "not yet valid", { .from_s = 10 }, STRAIGHT, 0, "not yet valid" },
        { "no certificate", { .c = NULL }, EMPTY_CHAIN, 0, "no certificates, or more" },
        { "five certificates", { .c = NULL }, LONG_CHAIN, 0, "no certificates, or more" },
        { "x5c is a text", { .c = NULL }, CHAIN_TEXT, 0, "x5c is no array" },
        { "no signature", { .c = NULL }, NO_SIGNATURE, 0, "has not alg, sig and x5c" },
        { "no algorithm", { .c = NULL }, NO_ALG, 0, "has not alg, sig and x5c" },
        { "the algorithm of another kind of key", { .c = NULL }, ALG_OTHER, 0, "by a certificate of that kind" },
        { "ES384", { .alg = -35 }, STRAIGHT, 0, "by a certificate of that kind" },
        { "the algorithm is a text", { .c = NULL }, ALG_TEXT, 0, "alg is no number" },
        { "the signature is a text", { .c = NULL }, SIG_TEXT, 0, "sig is no byte string" },
        { "the signature is empty", { .c = NULL }, SIG_EMPTY, 0, "empty or too long" },
        { "the signature's last bit", { .c = NULL }, SIG_FLIPPED, 0, "signature does not hold" },
        { "a member that nobody knows", { .c = NULL }, EXTRA_MEMBER, 0, "is no map of alg" },
        { "the signature twice", { .c = NULL }, SIG_TWICE, 0, "is no map of alg" },
        { "signed over another challenge", { .c = NULL }, OTHER_CHALLENGE, 0, "signature does not hold" },
        { "signed over another credential", { .c = NULL }, OTHER_KEY, 0, "signature does not hold" },
        { "signed by somebody else", { .c = NULL }, BY_OTHER, 0, "signature does not hold" },
        { "a byte behind the certificate", { .c = NULL }, JUNK_BEHIND_DER, 0, "cannot be read" },
        { "the certificate is cut off", { .c = NULL }, DER_CUT, 0, "cannot be read" },
        { "the middle is missing", { .c = NULL }, NO_MIDDLE, 0, "does not lead to a pinned one" },
        { "a certificate that signed itself", { .c = NULL }, LEAF_ITSELF, 0, "does not lead to a pinned one" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct soft_bytes client, object;
        struct attestation made;
        struct err err = { .text = "" };
        char pinned[160];
        struct maker leaf = make(&rows[i].leaf, rows[i].twist == LEAF_ITSELF ? NULL : &middle);
        snprintf(pinned, sizeof pinned, "%s.middle", path);
        if (rows[i].twist == MIDDLE_PINNED)
            write_pem(pinned, middle.cert, stranger.cert);
        attest(&leaf, rows[i].leaf.alg, rows[i].twist, &client, &object);
        enum status st = judge(rows[i].twist == MIDDLE_PINNED ? pinned : path, &client, &object, models_of, rows[i].models, &made, &err);
        if (st != (rows[i].why ? BAD_TOKEN : OK) || (rows[i].why && strstr(err.text, rows[i].why) == NULL))
            fail_msg("%s: %s: %s", rows[i].name, status_name(st), err.text);
        if (rows[i].why == NULL) {
            assert_string_equal(made.model, MODEL);
            assert_string_equal(made.maker, "Keys AB key, batch 7");
        }
        unlink(pinned);
        unmake(&leaf);
    }
}

/* A maker of the same name that nobody pinned, with a whole chain of its own. */
static void another_maker_of_the_same_name(void **state)
{
    struct soft_bytes client, object;
    struct attestation made;
    struct err err = { .text = "" };
    struct maker kept = middle, leaf;
    (void)state;
    middle = make(&(struct shape){ .ca = true, .cn = "Keys AB middle" }, &stranger);
    leaf = make(&(struct shape){ .c = NULL }, &middle);
    attest(&leaf, WEBAUTHN_ES256, FOREIGN_ROOT, &client, &object);
    assert_int_equal(judge(path, &client, &object, NULL, 0, &made, &err), BAD_TOKEN);
    assert_non_null(strstr(err.text, "does not lead to a pinned one"));
    unmake(&leaf);
    unmake(&middle);
    middle = kept;
}

/* Every single byte of a good object: none may be altered, cut or added unseen (but in the certificates' own parts that nothing here reads, no such part is left). */
static void no_byte_can_be_altered(void **state)
{
    struct soft_bytes client, object;
    struct attestation made;
    struct maker leaf = make(&(struct shape){ .c = NULL }, &middle);
    unsigned taken = 0;
    (void)state;
    attest(&leaf, WEBAUTHN_ES256, STRAIGHT, &client, &object);
    struct attestation_roots *roots = NULL;
    struct err err = { .text = "" };
    assert_int_equal(attestation_load(path, &roots, &err), OK);
    for (size_t i = 0; i < object.len; i++) {
        struct webauthn_credential c;
        struct soft_bytes altered = object;
        altered.v[i] ^= 0x01;
        if (webauthn_register(&party, challenge, slice_of(client.v, client.len), slice_of(altered.v, altered.len), &c, &err) != OK)
            continue;
        taken += attestation_verify(roots, &c, slice_of(client.v, client.len), NULL, 0, NOW, &made, &err) == OK;
        webauthn_credential_done(&c);
    }
    attestation_free(roots);
    assert_int_equal(taken, 0);
    unmake(&leaf);
}

static void files_of_roots(void **state)
{
    struct attestation_roots *roots = NULL;
    struct err err = { .text = "" };
    char other[160];
    (void)state;
    snprintf(other, sizeof other, "%s.other", path);
    assert_int_equal(attestation_load("/nonexistent/makers.pem", &roots, &err), BAD_CONFIG);
    static const char *const bad[] = { "", "no certificate\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\n" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(file_write(other, slice_str(bad[i]), 0600, &err), OK);
        if (attestation_load(other, &roots, &err) != BAD_CONFIG)
            fail_msg("'%s' was taken", bad[i]);
    }
    write_pem(other, root.cert, middle.cert);
    assert_int_equal(attestation_load(other, &roots, &err), OK);
    attestation_free(roots);
    FILE *f = fopen(other, "a");      /* a good one, and then a broken one */
    fputs(bad[2], f);
    fclose(f);
    assert_int_equal(attestation_load(other, &roots, &err), BAD_CONFIG);
    unlink(other);
    attestation_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(statements), cmocka_unit_test(another_maker_of_the_same_name), cmocka_unit_test(no_byte_can_be_altered),
                                        cmocka_unit_test(files_of_roots) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
