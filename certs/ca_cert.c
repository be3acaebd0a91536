#include "certs/ca_cert.h"

#include "certs/leaf.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

enum { SERIAL_BITS = 128, NAME_BYTES_MAX = 64 };   /* ub-common-name, ub-organization-name (RFC 5280 appendix A.1) */

/* What all kinds share; the extensions come in between. */
struct making {
    X509 *cert, *issuer;
    EVP_PKEY *issuer_key;
};

static bool set_serial(X509 *cert)
{
    BIGNUM *n = BN_new();
    bool good = n != NULL && BN_rand(n, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 && !BN_is_zero(n)
                && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL;
    BN_free(n);
    return good;
}

static bool set_times(X509 *cert, struct cert_times t)
{
    return ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)t.not_before_s) != NULL
           && ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)t.not_after_s) != NULL;
}

static bool add_name(X509_NAME *name, const char *what, const char *text)
{
    return strlen(text) <= NAME_BYTES_MAX
           && X509_NAME_add_entry_by_txt(name, what, MBSTRING_ASC, (const unsigned char *)text, -1, -1, 0) == 1;
}

/* `value` is OpenSSL's own configuration syntax, so only fixed text comes here, never a name from outside (a comma in one would be a
 * second name). */
static bool add_ext(struct making *m, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, m->issuer, m->cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool good = ext != NULL && X509_add_ext(m->cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return good;
}

/* One name of the kind (GEN_EMAIL, GEN_DNS), taken as bytes. */
static bool push_name(GENERAL_NAMES *names, int kind, const char *text)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *value = ASN1_IA5STRING_new();
    if (name == NULL || value == NULL || ASN1_STRING_set(value, text, -1) != 1) {
        GENERAL_NAME_free(name);
        ASN1_IA5STRING_free(value);
        return false;
    }
    GENERAL_NAME_set0_value(name, kind, value);
    if (sk_GENERAL_NAME_push(names, name) > 0)
        return true;
    GENERAL_NAME_free(name);
    return false;
}

static bool add_names(X509 *cert, int kind, const char *const *texts, size_t count)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    bool good = names != NULL;
    for (size_t i = 0; i < count && good; i++)
        good = push_name(names, kind, texts[i]);
    good = good && X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) == 1;
    GENERAL_NAMES_free(names);
    return good;
}

static bool push_subtree(STACK_OF(GENERAL_SUBTREE) **trees, int kind, const void *bytes, int len)
{
    GENERAL_SUBTREE *tree = GENERAL_SUBTREE_new();
    ASN1_STRING *value = kind == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    if (*trees == NULL)
        *trees = sk_GENERAL_SUBTREE_new_null();
    if (tree == NULL || value == NULL || *trees == NULL || ASN1_STRING_set(value, bytes, len) != 1) {
        GENERAL_SUBTREE_free(tree);
        ASN1_STRING_free(value);
        return false;
    }
    GENERAL_NAME_set0_value(tree->base, kind, value);
    if (sk_GENERAL_SUBTREE_push(*trees, tree) > 0)
        return true;
    GENERAL_SUBTREE_free(tree);
    return false;
}

/* Only names in the domain; no IPv4 and no IPv6 address at all (address and mask all zero: every one). */
static bool limit_to(X509 *cert, const char *domain)
{
    static const unsigned char every[32];
    NAME_CONSTRAINTS *limits = NAME_CONSTRAINTS_new();
    bool good = limits != NULL && push_subtree(&limits->permittedSubtrees, GEN_DNS, domain, -1)
                && push_subtree(&limits->excludedSubtrees, GEN_IPADD, every, 8)
                && push_subtree(&limits->excludedSubtrees, GEN_IPADD, every, 32)
                && X509_add1_ext_i2d(cert, NID_name_constraints, limits, 1, 0) == 1;
    NAME_CONSTRAINTS_free(limits);
    return good;
}

static bool begin(struct making *m, X509 *issuer, EVP_PKEY *issuer_key, EVP_PKEY *key, struct cert_times times)
{
    m->cert = X509_new();
    m->issuer = issuer ? issuer : m->cert;
    m->issuer_key = issuer_key;
    return m->cert != NULL && X509_set_version(m->cert, X509_VERSION_3) == 1 && set_serial(m->cert) && set_times(m->cert, times)
           && X509_set_pubkey(m->cert, key) == 1 && add_ext(m, NID_subject_key_identifier, "hash");
}

static enum status finish(struct making *m, bool good, X509 **out, struct err *err)
{
    const EVP_MD *md = EVP_PKEY_is_a(m->issuer_key, "ED25519") ? NULL : EVP_sha256();
    if (good && X509_sign(m->cert, m->issuer_key, md) > 0) {
        *out = m->cert;
        return OK;
    }
    X509_free(m->cert);
    return fail(err, IO_FAILED, "making a certificate: %s", ossl_reason());
}

enum status cert_make_root(const char *instance, const char *common_name, const char *permit, EVP_PKEY *key, struct cert_times times,
                           X509 **out, struct err *err)
{
    struct making m;
    bool good = begin(&m, NULL, key, key, times);
    X509_NAME *name = good ? X509_get_subject_name(m.cert) : NULL;
    good = good && add_name(name, "O", instance) && add_name(name, "CN", common_name) && X509_set_issuer_name(m.cert, name) == 1
           && add_ext(&m, NID_authority_key_identifier, "keyid:always") && add_ext(&m, NID_basic_constraints, "critical,CA:TRUE,pathlen:0")
           && add_ext(&m, NID_key_usage, "critical,keyCertSign,cRLSign") && (permit == NULL || limit_to(m.cert, permit));
    return finish(&m, good, out, err);
}

static bool add_leaf_exts(struct making *m, const char *purpose)
{
    return X509_set_issuer_name(m->cert, X509_get_subject_name(m->issuer)) == 1
           && add_ext(m, NID_authority_key_identifier, "keyid:always") && add_ext(m, NID_basic_constraints, "critical,CA:FALSE")
           && add_ext(m, NID_key_usage, "critical,digitalSignature") && add_ext(m, NID_ext_key_usage, purpose);
}

enum status cert_make_person(X509 *root, EVP_PKEY *root_key, const char *name, const char *identity, EVP_PKEY *key, struct cert_times times,
                             X509 **out, struct err *err)
{
    struct making m;
    bool good = begin(&m, root, root_key, key, times) && add_name(X509_get_subject_name(m.cert), "CN", name)
                && add_leaf_exts(&m, "clientAuth") && add_names(m.cert, GEN_EMAIL, &identity, 1);
    return finish(&m, good, out, err);
}

enum status cert_make_server(X509 *root, EVP_PKEY *root_key, char *const *names, size_t count, EVP_PKEY *key, struct cert_times times,
                             X509 **out, struct err *err)
{
    struct making m;
    /* A name too long for a CN stands in the SAN alone, which is all that clients read. */
    const char *common = strlen(names[0]) <= NAME_BYTES_MAX ? names[0] : "countersign";
    bool good = begin(&m, root, root_key, key, times) && add_name(X509_get_subject_name(m.cert), "CN", common)
                && add_leaf_exts(&m, "serverAuth") && add_names(m.cert, GEN_DNS, (const char *const *)names, count);
    return finish(&m, good, out, err);
}

char *cert_permitted_domain(X509 *root)
{
    char *out = NULL;
    NAME_CONSTRAINTS *limits = X509_get_ext_d2i(root, NID_name_constraints, NULL, NULL);
    if (limits != NULL && sk_GENERAL_SUBTREE_num(limits->permittedSubtrees) > 0) {
        const GENERAL_NAME *base = sk_GENERAL_SUBTREE_value(limits->permittedSubtrees, 0)->base;
        if (base->type == GEN_DNS)
            out = strndup((const char *)ASN1_STRING_get0_data(base->d.dNSName), (size_t)ASN1_STRING_length(base->d.dNSName));
    }
    NAME_CONSTRAINTS_free(limits);
    return out;
}
