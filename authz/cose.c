#include "authz/cose.h"

#include "authz/cbor.h"
#include "authz/rsa_key.h"

#include <openssl/rsa.h>
#include <openssl/x509.h>

enum {
    KTY = 1, ALG = 3, FIRST = -1, SECOND = -2, THIRD = -3,
    KTY_OKP = 1, KTY_EC2 = 2, KTY_RSA = 3, CRV_P256 = 1, CRV_ED25519 = 6,
    COORDINATE_LEN = 32, N_MIN = 256, N_MAX = 512,
};

/* The members by their labels; those not there are zero. */
struct members {
    int64_t kty, alg;
    struct cbor_item first, second, third;
    unsigned count;
    bool has_first, has_second, has_third;
};

static bool put(struct cbor_item *at, bool *has, const struct cbor_item *value)
{
    bool is_new = !*has;
    *at = *value;
    *has = true;
    return is_new;
}

static bool take_members(struct slice *in, struct members *m)
{
    struct cbor_item map, label, value;
    if (!cbor_next(in, &map) || map.type != CBOR_MAP || map.n > 5)
        return false;
    m->count = (unsigned)map.n;
    for (unsigned i = 0; i < m->count; i++) {
        int64_t name;
        if (!cbor_next(in, &label) || !cbor_int(&label, &name) || !cbor_next(in, &value))
            return false;
        bool sound = name == KTY      ? m->kty == 0 && cbor_int(&value, &m->kty)
                     : name == ALG    ? m->alg == 0 && cbor_int(&value, &m->alg)
                     : name == FIRST  ? put(&m->first, &m->has_first, &value)
                     : name == SECOND ? put(&m->second, &m->has_second, &value)
                     : name == THIRD  ? put(&m->third, &m->has_third, &value)
                                      : false;
        if (!sound)
            return false;
    }
    return true;
}

static bool bytes(const struct cbor_item *i, size_t min, size_t max)
{
    return i->type == CBOR_BYTES && i->s.len >= min && i->s.len <= max;
}

/* OpenSSL checks that the point is on the curve. */
static EVP_PKEY *p256_key(const struct members *m)
{
    static const unsigned char prefix[] = { 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
                                            0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04 };
    unsigned char der[sizeof prefix + 2 * COORDINATE_LEN];
    const unsigned char *at = der;
    if (m->count != 5 || m->first.type != CBOR_UINT || m->first.n != CRV_P256 || !bytes(&m->second, COORDINATE_LEN, COORDINATE_LEN)
        || !bytes(&m->third, COORDINATE_LEN, COORDINATE_LEN))
        return NULL;
    memcpy(der, prefix, sizeof prefix);
    memcpy(der + sizeof prefix, m->second.s.ptr, COORDINATE_LEN);
    memcpy(der + sizeof prefix + COORDINATE_LEN, m->third.s.ptr, COORDINATE_LEN);
    return d2i_PUBKEY(NULL, &at, sizeof der);
}

static EVP_PKEY *ed25519_key(const struct members *m)
{
    if (m->count != 4 || m->first.type != CBOR_UINT || m->first.n != CRV_ED25519 || !bytes(&m->second, COORDINATE_LEN, COORDINATE_LEN))
        return NULL;
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, m->second.s.ptr, COORDINATE_LEN);
}

static EVP_PKEY *rsa_key(const struct members *m)
{
    static const unsigned char f4[] = { 1, 0, 1 };
    if (m->count != 4 || !bytes(&m->first, N_MIN, N_MAX) || !bytes(&m->second, sizeof f4, sizeof f4)
        || memcmp(m->second.s.ptr, f4, sizeof f4) != 0)
        return NULL;
    const struct slice n = m->first.s;
    if ((n.ptr[0] & 0x80) == 0 || (n.ptr[n.len - 1] & 1) == 0)   /* as long as it says, and odd */
        return NULL;
    BIGNUM *modulus = BN_bin2bn(n.ptr, (int)n.len, NULL), *exponent = BN_bin2bn(f4, sizeof f4, NULL);
    EVP_PKEY *key = rsa_public_key(modulus, exponent);
    BN_free(modulus);
    BN_free(exponent);
    return key;
}

enum status cose_key_take(struct slice *in, enum webauthn_algorithm *alg_out, EVP_PKEY **key_out, struct err *err)
{
    struct members m = { 0 };
    EVP_PKEY *key = NULL;
    if (!take_members(in, &m))
        return fail(err, BAD_TOKEN, "the credential's public key is malformed or cut off");
    if (m.kty == KTY_EC2 && m.alg == WEBAUTHN_ES256)
        key = p256_key(&m);
    else if (m.kty == KTY_OKP && m.alg == WEBAUTHN_EDDSA)
        key = ed25519_key(&m);
    else if (m.kty == KTY_RSA && m.alg == WEBAUTHN_RS256)
        key = rsa_key(&m);
    else
        return fail(err, BAD_TOKEN, "the credential's algorithm is none of ES256, EdDSA and RS256");
    if (key == NULL) {
        (void)ossl_reason();
        return fail(err, BAD_TOKEN, "the credential's public key is not a sound one of its kind");
    }
    *alg_out = (enum webauthn_algorithm)m.alg;
    *key_out = key;
    return OK;
}

const char *webauthn_algorithm_name(EVP_PKEY *key)
{
    char group[32];
    size_t len = 0;
    if (EVP_PKEY_is_a(key, "ED25519"))
        return "EdDSA";
    if (EVP_PKEY_is_a(key, "RSA"))
        return "RS256";
    return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, &len) == 1 && strcmp(group, "prime256v1") == 0 ? "ES256"
                                                                                                                                           : NULL;
}
