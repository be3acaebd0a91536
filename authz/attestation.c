#include "authz/attestation.h"

#include "authz/cbor.h"
#include "proxy/base/codec.h"
#include "proxy/base/file.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROOTS_FILE_MAX = 1024 * 1024, HASH_LEN = 32, AAGUID_LEN = 16 };

struct attestation_roots {
    X509_STORE *store;
    size_t count;
};

static enum status no(struct err *err, const char *why)
{
    return fail(err, BAD_TOKEN, "%s", why);
}

/* ---- who may vouch ---- */

static bool add_all(struct attestation_roots *r, BIO *bio)
{
    X509 *cert;
    bool good = true;
    ERR_clear_error();
    while (good && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        good = X509_STORE_add_cert(r->store, cert) == 1;
        r->count++;
        X509_free(cert);
    }
    bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    return good && (at_end || r->count == 0);
}

enum status attestation_load(const char *path, struct attestation_roots **out, struct err *err)
{
    unsigned char *bytes = NULL;
    size_t len = 0;
    struct err why = { .text = "" };
    if (file_read(path, ROOTS_FILE_MAX, false, &bytes, &len, &why) != OK)
        return fail(err, BAD_CONFIG, "attestation roots: %s", why.text);
    struct attestation_roots *r = calloc(1, sizeof *r);
    BIO *bio = BIO_new_mem_buf(bytes, (int)len);
    enum status st = r && bio && (r->store = X509_STORE_new()) ? OK : fail(err, NO_MEMORY, "attestation roots");
    if (st == OK && (!add_all(r, bio) || r->count == 0))
        st = fail(err, BAD_CONFIG, "attestation roots: '%s' is not a file of certificates (PEM)", path);
    (void)ossl_reason();              /* the end of the file is an error to OpenSSL */
    BIO_free(bio);
    free(bytes);
    if (st == OK)
        *out = r;
    else
        attestation_free(r);
    return st;
}

void attestation_free(struct attestation_roots *r)
{
    if (r != NULL)
        X509_STORE_free(r->store);
    free(r);
}

/* ---- the statement: { "alg": int, "sig": bytes, "x5c": [ bytes, ... ] }, in any order, nothing else ---- */

struct packed {
    int64_t alg;
    struct slice sig, chain[ATTESTATION_CHAIN_MAX];
    size_t chain_count;
};

static enum status read_chain(struct slice *in, uint64_t n, struct packed *out, struct err *err)
{
    struct cbor_item item;
    if (n == 0 || n > ATTESTATION_CHAIN_MAX)
        return no(err, "the attestation has no certificates, or more than 4");
    for (uint64_t i = 0; i < n; i++) {
        if (!cbor_next(in, &item) || item.type != CBOR_BYTES || item.s.len == 0)
            return no(err, "a certificate of the attestation is no byte string");
        out->chain[out->chain_count++] = item.s;
    }
    return OK;
}

static enum status read_packed(struct slice in, struct packed *out, struct err *err)
{
    struct cbor_item map, name, value;
    enum { ALG = 1, SIG = 2, X5C = 4 };
    unsigned seen = 0;
    enum status st = OK;
    *out = (struct packed){ 0 };
    if (!cbor_next(&in, &map) || map.type != CBOR_MAP || map.n > 3)
        return no(err, "the attestation is no map of alg, sig and x5c");
    for (uint64_t i = 0; i < map.n && st == OK; i++) {
        if (!cbor_next(&in, &name) || name.type != CBOR_TEXT || !cbor_next(&in, &value))
            return no(err, "the attestation is malformed or cut off");
        unsigned is = slice_eq(name.s, SLICE("alg")) ? ALG : slice_eq(name.s, SLICE("sig")) ? SIG : slice_eq(name.s, SLICE("x5c")) ? X5C : 0;
        if (is == 0 || (seen & is) != 0)
            return no(err, "the attestation has a member twice, or one that its format does not know");
        seen |= is;
        if (is == ALG && !cbor_int(&value, &out->alg))
            return no(err, "the attestation's alg is no number");
        if (is == SIG && value.type != CBOR_BYTES)
            return no(err, "the attestation's sig is no byte string");
        if (is == SIG)
            out->sig = value.s;
        if (is == X5C)
            st = value.type == CBOR_ARRAY ? read_chain(&in, value.n, out, err) : no(err, "the attestation's x5c is no array");
    }
    if (st == OK && in.len != 0)
        st = no(err, "the attestation does not end where it should");
    if (st == OK && seen == (ALG | SIG))
        st = no(err, "the key vouches for itself (self attestation), which proves nothing about what holds it");
    if (st == OK && seen != (ALG | SIG | X5C))
        st = no(err, "the attestation has not alg, sig and x5c");
    return st;
}

/* ---- the certificate (s8.2.1) ---- */

static bool entry_is(X509 *cert, int nid, const char *want)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, nid, -1);
    const ASN1_STRING *s = at >= 0 ? X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)) : NULL;
    int len = s ? ASN1_STRING_length(s) : 0;
    if (len <= 0)
        return false;
    return want == NULL || ((size_t)len == strlen(want) && memcmp(ASN1_STRING_get0_data(s), want, (size_t)len) == 0);
}

/* id-fido-gen-ce-aaguid, 1.3.6.1.4.1.45724.1.1.4: an OCTET STRING in the extension's OCTET STRING, never critical. Required when a model is: then the maker says it, not only the key. */
static enum status check_aaguid(X509 *cert, const unsigned char aaguid[AAGUID_LEN], bool required, struct err *err)
{
    ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.45724.1.1.4", 1);
    int at = oid ? X509_get_ext_by_OBJ(cert, oid, -1) : -1, again = at >= 0 ? X509_get_ext_by_OBJ(cert, oid, at) : -1;
    ASN1_OBJECT_free(oid);
    if (at < 0)
        return required ? no(err, "the attestation certificate names no model (AAGUID), and this gateway takes certain models only") : OK;
    X509_EXTENSION *e = X509_get_ext(cert, at);
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(e);
    const unsigned char *v = ASN1_STRING_get0_data(value);
    if (again >= 0 || X509_EXTENSION_get_critical(e) || ASN1_STRING_length(value) != 2 + AAGUID_LEN || v[0] != 0x04 || v[1] != AAGUID_LEN)
        return no(err, "the model (AAGUID) in the attestation certificate is malformed");
    return memcmp(v + 2, aaguid, AAGUID_LEN) == 0 ? OK : no(err, "the attestation certificate is for another model (AAGUID) than the authenticator says it is");
}

static enum status check_leaf(X509 *cert, const unsigned char aaguid[AAGUID_LEN], bool model_required, struct err *err)
{
    if (X509_get_version(cert) != X509_VERSION_3)
        return no(err, "the attestation certificate is not of version 3");
    if (!entry_is(cert, NID_countryName, NULL) || !entry_is(cert, NID_organizationName, NULL) || !entry_is(cert, NID_commonName, NULL)
        || !entry_is(cert, NID_organizationalUnitName, "Authenticator Attestation"))
        return no(err, "the attestation certificate's subject has not C, O, CN and OU=Authenticator Attestation");
    if (X509_check_ca(cert) != 0)
        return no(err, "the attestation certificate is an authority's");
    return check_aaguid(cert, aaguid, model_required, err);
}

static X509 *read_certificate(struct slice der)
{
    const unsigned char *at = der.ptr;
    X509 *cert = der.len <= WEBAUTHN_ATTESTATION_MAX ? d2i_X509(NULL, &at, (long)der.len) : NULL;
    if (cert != NULL && at != der.ptr + der.len) {
        X509_free(cert);
        cert = NULL;
    }
    return cert;
}

/* The leaf and the rest, in which OpenSSL looks for the way to a root. */
static enum status read_certificates(const struct packed *p, X509 **leaf, STACK_OF(X509) *rest, struct err *err)
{
    for (size_t i = 0; i < p->chain_count; i++) {
        X509 *cert = read_certificate(p->chain[i]);
        if (cert == NULL)
            return no(err, "a certificate of the attestation cannot be read");
        if (i == 0) {
            *leaf = cert;
        } else if (sk_X509_push(rest, cert) == 0) {
            X509_free(cert);
            return fail(err, NO_MEMORY, "attestation");
        }
    }
    return OK;
}

static enum status check_chain(const struct attestation_roots *r, X509 *leaf, STACK_OF(X509) *rest, int64_t now_s, struct err *err)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    if (ctx == NULL || X509_STORE_CTX_init(ctx, r->store, leaf, rest) != 1) {
        X509_STORE_CTX_free(ctx);
        return fail(err, NO_MEMORY, "attestation: %s", ossl_reason());
    }
    X509_VERIFY_PARAM *how = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(how, now_s);
    X509_VERIFY_PARAM_set_depth(how, ATTESTATION_CHAIN_MAX);
    X509_VERIFY_PARAM_set_flags(how, X509_V_FLAG_PARTIAL_CHAIN);   /* what is pinned is enough, whoever signed that */
    enum status st = OK;
    if (X509_verify_cert(ctx) != 1)
        st = fail(err, BAD_TOKEN, "the attestation certificate does not lead to a pinned one: %s", X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
    X509_STORE_CTX_free(ctx);
    (void)ossl_reason();
    return st;
}

/* ---- the signature, over authenticatorData || SHA-256(clientDataJSON) ---- */

static const char *algorithm_named(int64_t alg)
{
    return alg == WEBAUTHN_ES256 ? "ES256" : alg == WEBAUTHN_EDDSA ? "EdDSA" : alg == WEBAUTHN_RS256 ? "RS256" : NULL;
}

static enum status check_signature(const struct packed *p, X509 *leaf, struct slice data, struct slice client_data, struct err *err)
{
    unsigned char message[WEBAUTHN_ATTESTATION_MAX + HASH_LEN];
    EVP_PKEY *key = X509_get0_pubkey(leaf);
    const char *by_key = key ? webauthn_algorithm_name(key) : NULL, *said = algorithm_named(p->alg);
    (void)ossl_reason();
    if (by_key == NULL || said == NULL || strcmp(by_key, said) != 0)
        return no(err, "the attestation is not signed with ES256, EdDSA or RS256 by a certificate of that kind");
    if (data.len > WEBAUTHN_ATTESTATION_MAX || p->sig.len == 0 || p->sig.len > WEBAUTHN_SIGNATURE_MAX)
        return no(err, "the attestation's signature is empty or too long");
    memcpy(message, data.ptr, data.len);
    sha256_one(client_data, message + data.len);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, p->alg == WEBAUTHN_EDDSA ? NULL : EVP_sha256(), NULL, key) == 1
                && EVP_DigestVerify(ctx, p->sig.ptr, p->sig.len, message, data.len + HASH_LEN) == 1;
    EVP_MD_CTX_free(ctx);
    (void)ossl_reason();
    return good ? OK : no(err, "the attestation's signature does not hold over this key");
}

/* ---- all of it ---- */

void attestation_model(const unsigned char aaguid[16], char out[AAGUID_TEXT_LEN + 1])
{
    char hex[2 * AAGUID_LEN + 1];
    hex_encode(slice_of(aaguid, AAGUID_LEN), hex);
    snprintf(out, AAGUID_TEXT_LEN + 1, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

static bool in_models(const char *model, char *const *models, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(models[i], model) == 0)
            return true;
    return count == 0;
}

static void name_maker(X509 *leaf, char out[128])
{
    char text[128] = "";
    if (X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName, text, sizeof text) < 0)
        text[0] = 0;
    size_t i = 0;
    for (; text[i] != 0; i++)
        out[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    out[i] = 0;
}

static enum status check_packed(const struct attestation_roots *r, const struct webauthn_credential *c, struct slice client_data, bool model_required, int64_t now_s,
                                struct attestation *out, struct err *err)
{
    struct packed p;
    X509 *leaf = NULL;
    STACK_OF(X509) *rest = sk_X509_new_null();
    enum status st = rest ? read_packed(c->statement, &p, err) : fail(err, NO_MEMORY, "attestation");
    if (st == OK)
        st = read_certificates(&p, &leaf, rest, err);
    if (st == OK)
        st = check_leaf(leaf, c->aaguid, model_required, err);
    if (st == OK)
        st = check_signature(&p, leaf, c->auth_data, client_data, err);
    if (st == OK)
        st = check_chain(r, leaf, rest, now_s, err);
    if (st == OK)
        name_maker(leaf, out->maker);
    (void)ossl_reason();
    X509_free(leaf);
    sk_X509_pop_free(rest, X509_free);
    return st;
}

enum status attestation_verify(const struct attestation_roots *r, const struct webauthn_credential *c, struct slice client_data, char *const *models, size_t count, int64_t now_s,
                               struct attestation *out, struct err *err)
{
    *out = (struct attestation){ .maker = "" };
    attestation_model(c->aaguid, out->model);
    if (slice_eq(c->format, SLICE("none")))
        return no(err, "the authenticator, or the browser, proves nothing about its make (no attestation); if the browser asked whether the site may see it, say yes");
    if (!slice_eq(c->format, SLICE("packed")))
        return no(err, "the attestation is of a format that is not taken; taken is \"packed\"");
    if (!in_models(out->model, models, count))
        return fail(err, BAD_TOKEN, "authenticators of the model %s are not taken here", out->model);
    return check_packed(r, c, client_data, count > 0, now_s, out, err);
}
