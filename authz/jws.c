/* Detached signatures by people's keys (jwt.h): OpenSSL only. The header is compared as text, byte for byte: nothing in it is read,
 * so nothing in it can choose. */
#include "authz/jwt.h"
#include "proxy/base/codec.h"

#include <openssl/ecdsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

enum { RAW_LEN = 64, HALF = 32, HEADER_MAX = 256, PAYLOAD_MAX = 256 * 1024 };

static const char *algorithm_of(EVP_PKEY *key)
{
    char group[32];
    size_t len = 0;
    if (EVP_PKEY_is_a(key, "ED25519"))
        return "EdDSA";
    if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, &len) == 1
        && strcmp(group, "prime256v1") == 0)
        return "ES256";
    return NULL;
}

static bool plain(const char *kid)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t n = strlen(kid);
    return n > 0 && n <= 128 && strspn(kid, allowed) == n;
}

/* BASE64URL(header) "." BASE64URL(payload): what is signed. malloc'd; *header_len is the first part's length. */
static char *signing_input(EVP_PKEY *key, const char *kid, struct slice payload, size_t *header_len, struct err *err)
{
    const char *alg = algorithm_of(key);
    char header[HEADER_MAX];
    if (alg == NULL || !plain(kid) || payload.len > PAYLOAD_MAX) {
        (void)fail(err, BAD_TOKEN, "only P-256 and Ed25519 keys with a plain kid sign statements");
        return NULL;
    }
    int n = snprintf(header, sizeof header, "{\"alg\":\"%s\",\"kid\":\"%s\"}", alg, kid);
    *header_len = B64URL_LEN(n);
    char *text = malloc(*header_len + 1 + B64URL_LEN(payload.len) + 1);
    if (text == NULL) {
        (void)fail(err, NO_MEMORY, "signature");
        return NULL;
    }
    b64url_encode(slice_of(header, (size_t)n), text);
    text[*header_len] = '.';
    b64url_encode(payload, text + *header_len + 1);
    return text;
}

/* JOSE wants r || s, OpenSSL speaks DER (RFC 7518 s3.4). */
static bool der_to_raw(const unsigned char *der, size_t len, unsigned char raw[RAW_LEN])
{
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
    bool good = sig != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, HALF) == HALF
                && BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + HALF, HALF) == HALF;
    ECDSA_SIG_free(sig);
    return good;
}

static unsigned char *raw_to_der(const unsigned char raw[RAW_LEN], size_t *len_out)
{
    unsigned char *der = NULL;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, HALF, NULL), *s = BN_bin2bn(raw + HALF, HALF, NULL);
    if (sig == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(sig, r, s) != 1) {
        BN_free(r);
        BN_free(s);
    } else {
        int n = i2d_ECDSA_SIG(sig, &der);
        *len_out = n > 0 ? (size_t)n : 0;
    }
    ECDSA_SIG_free(sig);
    return der;
}

static bool sign_raw(EVP_PKEY *key, struct slice input, unsigned char raw[RAW_LEN])
{
    bool ec = EVP_PKEY_is_a(key, "EC");
    unsigned char buffer[128];
    size_t len = sizeof buffer;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx != NULL && EVP_DigestSignInit(ctx, NULL, ec ? EVP_sha256() : NULL, NULL, key) == 1
                && EVP_DigestSign(ctx, buffer, &len, input.ptr, input.len) == 1;
    EVP_MD_CTX_free(ctx);
    if (good && ec)
        return der_to_raw(buffer, len, raw);
    if (good && len == RAW_LEN)
        memcpy(raw, buffer, RAW_LEN);
    return good && len == RAW_LEN;
}

static bool verify_raw(EVP_PKEY *key, struct slice input, const unsigned char raw[RAW_LEN])
{
    bool ec = EVP_PKEY_is_a(key, "EC");
    size_t len = RAW_LEN;
    unsigned char *der = ec ? raw_to_der(raw, &len) : NULL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx != NULL && (!ec || der != NULL)
                && EVP_DigestVerifyInit(ctx, NULL, ec ? EVP_sha256() : NULL, NULL, key) == 1
                && EVP_DigestVerify(ctx, ec ? der : raw, len, input.ptr, input.len) == 1;
    EVP_MD_CTX_free(ctx);
    OPENSSL_free(der);
    return good;
}

enum status jws_sign_detached(EVP_PKEY *key, const char *kid, struct slice payload, char **out, struct err *err)
{
    size_t header_len = 0;
    unsigned char raw[RAW_LEN];
    char *input = signing_input(key, kid, payload, &header_len, err);
    if (input == NULL)
        return BAD_TOKEN;
    enum status st = OK;
    char *jws = malloc(header_len + 2 + B64URL_LEN(RAW_LEN) + 1);
    if (jws == NULL) {
        st = fail(err, NO_MEMORY, "signature");
    } else if (!sign_raw(key, slice_str(input), raw)) {
        st = fail(err, BAD_TOKEN, "cannot sign with this key: %s", ossl_reason());
    } else {
        memcpy(jws, input, header_len);
        jws[header_len] = jws[header_len + 1] = '.';
        b64url_encode(slice_of(raw, sizeof raw), jws + header_len + 2);
        *out = jws;
        jws = NULL;
    }
    free(jws);
    free(input);
    return st;
}

enum status jws_verify_detached(EVP_PKEY *key, const char *kid, struct slice jws, struct slice payload, struct err *err)
{
    size_t header_len = 0, raw_len = 0;
    unsigned char raw[RAW_LEN];
    char *input = signing_input(key, kid, payload, &header_len, err);
    if (input == NULL)
        return BAD_TOKEN;
    enum status st = OK;
    if (jws.len != header_len + 2 + B64URL_LEN(RAW_LEN) || memcmp(jws.ptr, input, header_len) != 0
        || jws.ptr[header_len] != '.' || jws.ptr[header_len + 1] != '.')
        st = fail(err, BAD_TOKEN, "the signature is not a detached JWS with exactly the header of this key");
    else if (b64url_decode(slice_from(jws, header_len + 2), raw, sizeof raw, &raw_len) != OK || raw_len != sizeof raw)
        st = fail(err, BAD_TOKEN, "the signature is not 64 bytes of base64url");
    else if (!verify_raw(key, slice_str(input), raw))
        st = fail(err, BAD_TOKEN, "the signature does not hold over this statement");
    if (st != OK)
        (void)ossl_reason();   /* leave no old error in the queue */
    free(input);
    return st;
}

void key_fingerprint(EVP_PKEY *key, char out[44])
{
    unsigned char *der = NULL, hash[32];
    int len = i2d_PUBKEY(key, &der);
    if (len <= 0)
        abort();   /* a key without a name must not be used */
    sha256_one(slice_of(der, (size_t)len), hash);
    b64url_encode(slice_of(hash, sizeof hash), out);
    OPENSSL_free(der);
}
