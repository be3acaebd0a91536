#include "certs/trust.h"

#include "certs/leaf.h"
#include "certs/pem.h"
#include "certs/twin.h"
#include "certs/verified.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdlib.h>

/* The CRLs are checked against their CAs once, when they are read, and looked up here by our own few lines: OpenSSL would verify a
 * CRL's signature again for every certificate of the chain at every handshake, which costs more than the rest together. */
struct crl {
    X509_CRL *crl;
    EVP_PKEY *signer;                    /* verified when read; NULL: by a CA that only peers send, verified at each use */
    int64_t this_update_s, next_update_s;
};

struct trust {
    uint64_t number;                     /* no other trust of this process has or had it */
    X509_STORE *store;
    STACK_OF(X509) *cas;                 /* all of the client_ca file */
    struct crl *crls;
    size_t crl_count;
};

enum { CHAIN_DEPTH_MAX = 4, AUTH_LEVEL = 2, RSA_BITS_MIN = 2048 };   /* level 2: no SHA-1, no RSA under 2048 bits */

static const struct {
    const char *name, *what, *next;
} words[] = {
    [CERT_GOOD] = { "good", "Your certificate is good.", "Nothing needs to be done." },
    [CERT_MISSING] = { "missing", "Your browser or program did not present a client certificate.",
        "Import the certificate file you were given (its name ends in .p12), restart the browser, and choose that certificate when asked." },
    [CERT_UNTRUSTED] = { "untrusted", "Your certificate was not issued by the authority this gateway trusts.",
        "Choose another certificate, or ask an operator of this gateway to issue you one." },
    [CERT_EXPIRED] = { "expired", "Your certificate has expired.", "Ask an operator of this gateway to renew it." },
    [CERT_NOT_YET] = { "not-yet-valid", "Your certificate is not valid yet.",
        "Wait until it begins, or ask an operator whether the gateway's clock is right." },
    [CERT_REVOKED] = { "revoked", "Your certificate has been revoked.",
        "It cannot be used any more. Ask an operator of this gateway for a new one." },
    [CERT_WRONG_PURPOSE] = { "wrong-purpose", "Your certificate was not made for people who sign in.",
        "Choose another certificate, or ask an operator for one that is made for client authentication." },
    [CERT_WEAK] = { "weak", "Your certificate, or that of the authority which issued it, has a key or a signature of a kind that is not safe enough.",
        "Ask an operator of this gateway for a new one: P-256, P-384, P-521, Ed25519 or RSA of at least 2048 bits, signed with SHA-256 or better." },
    [CERT_NO_IDENTITY] = { "no-identity", "Your certificate does not name exactly one e-mail address, so it does not say who you are.",
        "Ask an operator of this gateway for a certificate that names your e-mail address, once." },
    [CERT_CRL_STALE] = { "revocation-list-stale",
        "This gateway has no current list of revoked certificates, so it cannot tell whether yours is still good, and refuses everybody.",
        "This is no fault of yours. Tell an operator of this gateway; `countersign certs crl` renews the list." },
};

const char *cert_state_name(enum cert_state s)
{
    return words[s].name;
}

const char *cert_state_what(enum cert_state s)
{
    return words[s].what;
}

const char *cert_state_next(enum cert_state s)
{
    return words[s].next;
}

static bool crl_signed_by(X509_CRL *crl, X509 *ca)
{
    bool good = X509_check_ca(ca) != 0 && (X509_get_key_usage(ca) & KU_CRL_SIGN) != 0 && X509_CRL_verify(crl, X509_get0_pubkey(ca)) == 1;
    ERR_clear_error();
    return good;
}

static bool crl_names(X509_CRL *crl, X509 *ca)
{
    return X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(ca)) == 0;
}

/* A list that names one of our CAs must be signed by it. One that names none may belong to an intermediate CA that people send. */
static enum status find_signer(const struct trust *t, struct crl *c, const char *path, struct err *err)
{
    bool named = false;
    for (int i = 0; i < sk_X509_num(t->cas) && c->signer == NULL; i++) {
        X509 *ca = sk_X509_value(t->cas, i);
        if (!crl_names(c->crl, ca))
            continue;
        named = true;
        if (crl_signed_by(c->crl, ca))
            c->signer = X509_get0_pubkey(ca);
    }
    if (named && c->signer == NULL)
        return fail(err, BAD_CONFIG, "revocation list '%s': its signature is not by the CA it names", path);
    return OK;
}

/* An entry that is not simply about a serial of this CA (another issuer's, or what nobody knows) makes the whole list unfit (RFC 5280 s5.3). */
static enum status check_entries(const STACK_OF(X509_REVOKED) *entries, const char *path, struct err *err)
{
    for (int i = 0; i < sk_X509_REVOKED_num(entries); i++)
        if (X509_REVOKED_get_ext_by_critical(sk_X509_REVOKED_value(entries, i), 1, -1) >= 0)
            return fail(err, BAD_CONFIG, "revocation list '%s': an entry with a critical extension; give a complete CRL of one authority", path);
    return OK;
}

/* Only complete lists: of a list for some reasons or some certificates (IDP), or of changes (delta), the absence of a serial says nothing. */
static enum status check_crl_form(X509_CRL *crl, const char *path, struct err *err)
{
    for (int i = 0; i < X509_CRL_get_ext_count(crl); i++) {
        X509_EXTENSION *ext = X509_CRL_get_ext(crl, i);
        int nid = OBJ_obj2nid(X509_EXTENSION_get_object(ext));
        if (nid == NID_issuing_distribution_point || nid == NID_delta_crl || X509_EXTENSION_get_critical(ext))
            return fail(err, BAD_CONFIG, "revocation list '%s': a partial or delta list, or a critical extension; give a complete CRL", path);
    }
    return check_entries(X509_CRL_get_REVOKED(crl), path, err);
}

static enum status add_crl(struct trust *t, X509_CRL *crl, const char *path, struct err *err)
{
    struct crl c = { .crl = crl };
    enum status st = check_crl_form(crl, path, err);
    if (st != OK)
        return st;
    if (!asn1_time_s(X509_CRL_get0_lastUpdate(crl), &c.this_update_s) || !asn1_time_s(X509_CRL_get0_nextUpdate(crl), &c.next_update_s))
        return fail(err, BAD_CONFIG, "revocation list '%s': it must say when the next one comes (nextUpdate)", path);
    st = find_signer(t, &c, path, err);
    if (st != OK)
        return st;
    X509_REVOKED *none = NULL;
    X509_CRL_get0_by_serial(crl, &none, X509_get0_serialNumber(sk_X509_value(t->cas, 0)));   /* sorts the list now, not under load */
    struct crl *grown = realloc(t->crls, (t->crl_count + 1) * sizeof *grown);
    if (grown == NULL)
        return fail(err, NO_MEMORY, "revocation list");
    X509_CRL_up_ref(crl);
    t->crls = grown;
    t->crls[t->crl_count++] = c;
    return OK;
}

static enum status load_crls(struct trust *t, const char *path, struct err *err)
{
    STACK_OF(X509_CRL) *crls = NULL;
    enum status st = pem_read_crls(path, &crls, err);
    if (st == NOT_FOUND)
        return OK;   /* nobody is let in until there is one: trust_check says CERT_CRL_STALE */
    for (int i = 0; st == OK && i < sk_X509_CRL_num(crls); i++)
        st = add_crl(t, sk_X509_CRL_value(crls, i), path, err);
    sk_X509_CRL_pop_free(crls, X509_CRL_free);
    for (size_t i = 0; st == OK && i < t->crl_count; i++)
        if (t->crls[i].signer != NULL)
            return OK;
    return st != OK ? st : fail(err, BAD_CONFIG, "revocation list '%s': not signed by any CA of the client_ca file", path);
}

static enum status load_cas(struct trust *t, const char *path, struct err *err)
{
    bool root = false;
    enum status st = pem_read_certs(path, &t->cas, err);
    if (st != OK)
        return st;
    for (int i = 0; i < sk_X509_num(t->cas); i++) {
        X509 *ca = sk_X509_value(t->cas, i);
        if (X509_check_ca(ca) == 0)
            return fail(err, BAD_CONFIG, "client CA file '%s': certificate %d is not a CA's", path, i + 1);
        root = root || X509_get_extension_flags(ca) & EXFLAG_SS;
        if (X509_STORE_add_cert(t->store, ca) != 1)
            return fail(err, BAD_CONFIG, "client CA file '%s': %s", path, ossl_reason());
    }
    return root ? OK : fail(err, BAD_CONFIG, "client CA file '%s': no self-signed root; add the root above the intermediate CA", path);
}

enum status trust_load(const char *ca_path, const char *crl_path, struct trust **out, struct err *err)
{
    struct trust *t = calloc(1, sizeof *t);
    if (t == NULL || (t->store = X509_STORE_new()) == NULL) {
        free(t);
        return fail(err, NO_MEMORY, "trust store");
    }
    static atomic_uint_fast64_t made;
    t->number = atomic_fetch_add(&made, 1) + 1;
    enum status st = load_cas(t, ca_path, err);
    if (st == OK && crl_path != NULL)
        st = load_crls(t, crl_path, err);
    if (st == OK)
        *out = t;
    else
        trust_free(t);
    return st;
}

void trust_free(struct trust *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->crl_count; i++)
        X509_CRL_free(t->crls[i].crl);
    free(t->crls);
    sk_X509_pop_free(t->cas, X509_free);
    X509_STORE_free(t->store);
    free(t);
}

int64_t trust_crl_until(const struct trust *t)
{
    int64_t until = 0;
    for (size_t i = 0; i < t->crl_count; i++)
        if (i == 0 || t->crls[i].next_update_s < until)
            until = t->crls[i].next_update_s;
    return until;
}

/* A date that is wrong further up is not the person's matter: the CA is of no use, and the certificate with it. */
static enum cert_state state_of(int error, int depth)
{
    if (depth == 0 && error == X509_V_ERR_CERT_HAS_EXPIRED)
        return CERT_EXPIRED;
    if (depth == 0 && error == X509_V_ERR_CERT_NOT_YET_VALID)
        return CERT_NOT_YET;
    if (error == X509_V_ERR_EE_KEY_TOO_SMALL || error == X509_V_ERR_CA_KEY_TOO_SMALL || error == X509_V_ERR_CA_MD_TOO_WEAK)
        return CERT_WEAK;
    return error == X509_V_ERR_INVALID_PURPOSE && depth == 0 ? CERT_WRONG_PURPOSE : CERT_UNTRUSTED;
}

/* By name *and* key: a CA that was made anew under its old name has lists of its own. */
static bool crl_is_of(const struct crl *c, X509 *issuer)
{
    if (!crl_names(c->crl, issuer))
        return false;
    return c->signer != NULL ? EVP_PKEY_eq(c->signer, X509_get0_pubkey(issuer)) == 1 : crl_signed_by(c->crl, issuer);
}

/* Is `cert`, which `issuer` signed, on the issuer's list? Every certificate below the root needs a list that is current now. */
static enum cert_state check_revoked(const struct trust *t, X509 *cert, X509 *issuer, int64_t now_s)
{
    bool current = false;
    for (size_t i = 0; i < t->crl_count; i++) {
        const struct crl *c = &t->crls[i];
        X509_REVOKED *entry = NULL;
        if (!crl_is_of(c, issuer))
            continue;
        if (X509_CRL_get0_by_serial(c->crl, &entry, X509_get0_serialNumber(cert)) != 0)
            return CERT_REVOKED;
        current = current || (c->this_update_s <= now_s && now_s < c->next_update_s);
    }
    return current ? CERT_GOOD : CERT_CRL_STALE;
}

/* Where in t's list a certificate is, or -1. */
static int position(const struct trust *t, X509 *cert)
{
    for (int i = 0; i < sk_X509_num(t->cas); i++)
        if (X509_cmp(sk_X509_value(t->cas, i), cert) == 0)
            return i;
    return -1;
}

/* Only a chain of our own CAs: what a peer sent along may not come along the next time. */
static void remember(const struct trust *t, const struct identity *who, STACK_OF(X509) *chain)
{
    struct verified v = { .trust = t->number, .from_s = INT64_MIN, .until_s = INT64_MAX };
    memcpy(v.thumbprint, who->thumbprint, sizeof v.thumbprint);
    memcpy(v.twin, who->twin, sizeof v.twin);
    for (int i = 0; i < sk_X509_num(chain); i++) {
        X509 *cert = sk_X509_value(chain, i);
        int64_t from_s, until_s;
        int at = i > 0 ? position(t, cert) : 0;
        if (at < 0 || at > UINT16_MAX || v.count == VERIFIED_ISSUERS_MAX || !asn1_time_s(X509_get0_notBefore(cert), &from_s) ||
            !asn1_time_s(X509_get0_notAfter(cert), &until_s))
            return;
        v.from_s = from_s > v.from_s ? from_s : v.from_s;
        v.until_s = until_s < v.until_s ? until_s : v.until_s;
        if (i > 0)
            v.issuers[v.count++] = (uint16_t)at;
    }
    if (v.count > 0)
        verified_keep(&v);
}

/* Its signatures, purpose and dates are known to be good; lists are asked anew. */
static enum cert_state check_known(const struct trust *t, X509 *leaf, const struct verified *v, int64_t now_s, struct identity *out)
{
    enum cert_state state = CERT_GOOD;
    memcpy(out->twin, v->twin, sizeof out->twin);
    X509 *cert = leaf;
    for (size_t i = 0; state == CERT_GOOD && i < v->count; i++) {
        X509 *issuer = sk_X509_value(t->cas, v->issuers[i]);
        state = check_revoked(t, cert, issuer, now_s);
        cert = issuer;
    }
    return state;
}

static enum cert_state check_chain(const struct trust *t, X509_STORE_CTX *ctx, int64_t now_s, struct identity *out)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(param, (time_t)now_s);
    X509_VERIFY_PARAM_set_depth(param, CHAIN_DEPTH_MAX);
    X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
    if (X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_CLIENT) != 1)
        return CERT_UNTRUSTED;
    if (X509_verify_cert(ctx) != 1)
        return state_of(X509_STORE_CTX_get_error(ctx), X509_STORE_CTX_get_error_depth(ctx));
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
    enum cert_state state = sk_X509_num(chain) > 1 ? CERT_GOOD : CERT_UNTRUSTED;
    for (int i = 0; state == CERT_GOOD && i < sk_X509_num(chain); i++)
        state = key_is_sound(X509_get0_pubkey(sk_X509_value(chain, i))) ? CERT_GOOD : CERT_WEAK;
    if (state == CERT_GOOD) {
        certificate_twin(sk_X509_value(chain, 0), X509_get0_pubkey(sk_X509_value(chain, 1)), out->twin);
        remember(t, out, chain);
    }
    for (int i = 0; state == CERT_GOOD && i + 1 < sk_X509_num(chain); i++)
        state = check_revoked(t, sk_X509_value(chain, i), sk_X509_value(chain, i + 1), now_s);
    return state;
}

static enum cert_state verify(const struct trust *t, X509 *leaf, STACK_OF(X509) *untrusted, int64_t now_s, struct identity *out)
{
    enum cert_state state = CERT_UNTRUSTED;
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    if (ctx != NULL && X509_STORE_CTX_init(ctx, t->store, leaf, untrusted) == 1)
        state = check_chain(t, ctx, now_s, out);
    X509_STORE_CTX_free(ctx);
    return state;
}

enum cert_state trust_check(const struct trust *t, X509 *leaf, STACK_OF(X509) *untrusted, int64_t now_s, struct identity *out)
{
    memset(out, 0, sizeof *out);
    if (leaf == NULL)
        return CERT_MISSING;
    enum cert_state named = leaf_read(leaf, out);
    const struct verified *known = out->x5t[0] != 0 ? verified_find(t->number, out->thumbprint, now_s) : NULL;   /* no x5t: no thumbprint either */
    enum cert_state state = CERT_UNTRUSTED;
    if (known != NULL)
        state = check_known(t, leaf, known, now_s, out);
    else if (out->x5t[0] != 0)
        state = verify(t, leaf, untrusted, now_s, out);
    ERR_clear_error();
    if (state == CERT_GOOD && !leaf_is_for_clients(leaf))
        return CERT_WRONG_PURPOSE;
    return state == CERT_GOOD ? named : state;
}

static bool rsa_is_sound(const EVP_PKEY *key)
{
    BIGNUM *e = NULL;
    bool sound = EVP_PKEY_get_bits(key) >= RSA_BITS_MIN && EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_is_odd(e) && !BN_is_one(e);
    BN_free(e);
    return sound;
}

static bool curve_is_sound(const EVP_PKEY *key)
{
    static const char *const names[] = { "prime256v1", "secp384r1", "secp521r1" };
    char name[32] = "";
    int spelled_out = 0;
    size_t len = 0;
    if (EVP_PKEY_get_group_name(key, name, sizeof name, &len) != 1 ||
        EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &spelled_out) != 1 || spelled_out)
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

bool key_is_sound(EVP_PKEY *key)
{
    switch (key ? EVP_PKEY_get_base_id(key) : EVP_PKEY_NONE) {
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
        return rsa_is_sound(key);
    case EVP_PKEY_EC:
        return curve_is_sound(key);
    case EVP_PKEY_ED25519:
    case EVP_PKEY_ED448:
        return true;
    default:
        return false;
    }
}

void trust_drop_known(const struct trust *t, STACK_OF(X509) *chain)
{
    for (int i = sk_X509_num(chain) - 1; i >= 0; i--)   /* of NULL: -1 */
        if (position(t, sk_X509_value(chain, i)) >= 0)
            X509_free(sk_X509_delete(chain, i));
}
