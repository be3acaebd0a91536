#include "certs/ca_cert.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

static const struct {
    const char *name;
    int code;
} reasons[] = {   /* RFC 5280 s5.3.1. certificateHold is left out: a lock is what stops somebody for a while */
    { "unspecified", CRL_REASON_UNSPECIFIED }, { "keyCompromise", CRL_REASON_KEY_COMPROMISE },
    { "affiliationChanged", CRL_REASON_AFFILIATION_CHANGED }, { "superseded", CRL_REASON_SUPERSEDED },
    { "cessationOfOperation", CRL_REASON_CESSATION_OF_OPERATION }, { "privilegeWithdrawn", CRL_REASON_PRIVILEGE_WITHDRAWN },
};

bool cert_reason_code(const char *reason, int *out)
{
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (strcmp(reasons[i].name, reason) == 0) {
            *out = reasons[i].code;
            return true;
        }
    return false;
}

static bool set_revoked_serial(X509_REVOKED *r, const char *hex)
{
    BIGNUM *n = NULL;
    bool good = BN_hex2bn(&n, hex) == (int)strlen(hex);
    ASN1_INTEGER *serial = good ? BN_to_ASN1_INTEGER(n, NULL) : NULL;
    good = serial != NULL && X509_REVOKED_set_serialNumber(r, serial) == 1;
    ASN1_INTEGER_free(serial);
    BN_free(n);
    return good;
}

/* "unspecified" is said by leaving the reason out (RFC 5280 s5.3.1). */
static bool set_reason(X509_REVOKED *r, const char *reason)
{
    int code = 0;
    if (!cert_reason_code(reason, &code))
        return false;
    if (code == CRL_REASON_UNSPECIFIED)
        return true;
    ASN1_ENUMERATED *value = ASN1_ENUMERATED_new();
    bool good = value != NULL && ASN1_ENUMERATED_set(value, code) == 1 && X509_REVOKED_add1_ext_i2d(r, NID_crl_reason, value, 0, 0) == 1;
    ASN1_ENUMERATED_free(value);
    return good;
}

static bool add_revoked(X509_CRL *crl, const struct revoked_cert *c)
{
    X509_REVOKED *r = X509_REVOKED_new();
    ASN1_TIME *when = ASN1_TIME_set(NULL, (time_t)c->revoked_s);
    bool good = r != NULL && when != NULL && set_revoked_serial(r, c->serial) && X509_REVOKED_set_revocationDate(r, when) == 1
                && set_reason(r, c->reason) && X509_CRL_add0_revoked(crl, r) == 1;
    ASN1_TIME_free(when);
    if (!good)
        X509_REVOKED_free(r);
    return good;
}

static bool set_crl_times(X509_CRL *crl, struct cert_times t)
{
    ASN1_TIME *from = ASN1_TIME_set(NULL, (time_t)t.not_before_s), *to = ASN1_TIME_set(NULL, (time_t)t.not_after_s);
    bool good = from != NULL && to != NULL && X509_CRL_set1_lastUpdate(crl, from) == 1 && X509_CRL_set1_nextUpdate(crl, to) == 1;
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    return good;
}

/* Both are required of every CRL (RFC 5280 s5.2). */
static bool add_crl_exts(X509_CRL *crl, X509 *root, int64_t number)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, root, NULL, NULL, crl, 0);
    X509_EXTENSION *akid = X509V3_EXT_conf_nid(NULL, &ctx, NID_authority_key_identifier, "keyid:always");
    ASN1_INTEGER *n = ASN1_INTEGER_new();
    bool good = akid != NULL && X509_CRL_add_ext(crl, akid, -1) == 1 && n != NULL && ASN1_INTEGER_set_int64(n, number) == 1
                && X509_CRL_add1_ext_i2d(crl, NID_crl_number, n, 0, 0) == 1;
    X509_EXTENSION_free(akid);
    ASN1_INTEGER_free(n);
    return good;
}

enum status cert_make_crl(X509 *root, EVP_PKEY *root_key, const struct revoked_cert *revoked, size_t count, int64_t number,
                          struct cert_times times, X509_CRL **out, struct err *err)
{
    X509_CRL *crl = X509_CRL_new();
    bool good = crl != NULL && X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1
                && X509_CRL_set_issuer_name(crl, X509_get_subject_name(root)) == 1 && set_crl_times(crl, times);
    for (size_t i = 0; i < count && good; i++)
        good = add_revoked(crl, &revoked[i]);
    good = good && add_crl_exts(crl, root, number) && X509_CRL_sort(crl) == 1 && X509_CRL_sign(crl, root_key, EVP_sha256()) > 0;
    if (!good) {
        X509_CRL_free(crl);
        return fail(err, IO_FAILED, "making the revocation list: %s", ossl_reason());
    }
    *out = crl;
    return OK;
}

int64_t cert_crl_number(X509_CRL *crl)
{
    int64_t n = 0;
    ASN1_INTEGER *number = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
    if (number == NULL || ASN1_INTEGER_get_int64(&n, number) != 1 || n < 0)
        n = 0;
    ASN1_INTEGER_free(number);
    ERR_clear_error();
    return n;
}
