#include "certs/twin.h"

#include "proxy/base/codec.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>

enum { DER_MAX = 1 << 20, HEADER_MAX = 8, SIGNATURE_MAX = 160 };   /* P-521: 139 bytes */

/* (r, n - s) of a DER signature, as DER; its length, 0: it is no signature of that group. */
static size_t mirrored(const ASN1_BIT_STRING *signature, EVP_PKEY *issuer, unsigned char out[SIGNATURE_MAX])
{
    BIGNUM *order = NULL, *s = BN_new(), *r = NULL;
    const unsigned char *at = ASN1_STRING_get0_data(signature);
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, ASN1_STRING_length(signature));
    int len = 0;
    if (sig != NULL && s != NULL && EVP_PKEY_get_bn_param(issuer, OSSL_PKEY_PARAM_EC_ORDER, &order) == 1 && BN_sub(s, order, ECDSA_SIG_get0_s(sig)) == 1 &&
        !BN_is_negative(s) && (r = BN_dup(ECDSA_SIG_get0_r(sig))) != NULL && ECDSA_SIG_set0(sig, r, s) == 1) {
        r = s = NULL;                    /* the signature's now */
        len = i2d_ECDSA_SIG(sig, NULL);
        len = len > 0 && len <= SIGNATURE_MAX ? i2d_ECDSA_SIG(sig, &out) : 0;
    }
    ECDSA_SIG_free(sig);
    BN_free(r);
    BN_free(s);
    BN_free(order);
    return len > 0 ? (size_t)len : 0;
}

/* Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signature BIT STRING }: all but the last is kept. */
static bool twin_digest(struct slice der, int old_signature, struct slice fresh, unsigned char digest[32])
{
    unsigned char outer[HEADER_MAX], inner[HEADER_MAX], *at = inner;
    const unsigned char *content = der.ptr;
    long size = 0;
    int tag = 0, class = 0, old = ASN1_object_size(0, old_signature + 1, V_ASN1_BIT_STRING), new = ASN1_object_size(0, (int)fresh.len + 1, V_ASN1_BIT_STRING);
    if (ASN1_get_object(&content, &size, &tag, &class, (long)der.len) & 0x80 || old < 0 || new < 0 || size <= old)
        return false;
    ASN1_put_object(&at, 0, (int)fresh.len + 1, V_ASN1_BIT_STRING, V_ASN1_UNIVERSAL);
    *at++ = 0;                           /* no unused bits */
    struct slice bits = slice_of(inner, (size_t)(at - inner));
    at = outer;
    ASN1_put_object(&at, 1, (int)size - old + new, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
    const struct slice parts[] = { slice_of(outer, (size_t)(at - outer)), slice_of(content, (size_t)(size - old)), bits, fresh };
    sha256(parts, sizeof parts / sizeof *parts, digest);
    return true;
}

void certificate_twin(X509 *cert, EVP_PKEY *issuer, char x5t[X5T_LEN + 1])
{
    const ASN1_BIT_STRING *signature = NULL;
    unsigned char fresh[SIGNATURE_MAX], digest[32], *der = NULL;
    x5t[0] = 0;
    if (issuer == NULL || EVP_PKEY_get_base_id(issuer) != EVP_PKEY_EC)
        return;
    X509_get0_signature(&signature, NULL, cert);
    size_t size = signature ? mirrored(signature, issuer, fresh) : 0;
    int len = size > 0 ? i2d_X509(cert, &der) : 0;
    if (len > 0 && len <= DER_MAX && twin_digest(slice_of(der, (size_t)len), ASN1_STRING_length(signature), slice_of(fresh, size), digest))
        b64url_encode(slice_of(digest, sizeof digest), x5t);
    OPENSSL_free(der);
    ERR_clear_error();
}
