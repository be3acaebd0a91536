/* Keys and signatures of other issuers (jwt.h). What is strict about ours is stricter about theirs: each key has one algorithm, and a JWKS with anything odd in it is refused whole. */
#include "authz/jwt_internal.h"
#include "authz/rsa_key.h"

#include "proxy/base/codec.h"

#include <openssl/rsa.h>
#include <stdlib.h>

enum { MODULUS_MIN = 256, MODULUS_MAX = 512 };   /* bytes: 2048 to 4096 bits */

static const char *text(const json_t *jwk, const char *name)
{
    const char *s = json_string_value(json_object_get(jwk, name));
    return s ? s : "";
}

/* The modulus in its shortest form (RFC 7518 s6.3.1.1), odd, 2048 to 4096 bits; the exponent 65537 and no other: small ones have a history of
 * forgeries (Bleichenbacher 2006), large ones cost the verifier, 1 and even ones are none. */
static enum status add_rsa(struct jwt_keys *keys, const json_t *jwk, const char *kid, struct err *err)
{
    unsigned char n[MODULUS_MAX];
    size_t len = 0;
    if (strcmp(text(jwk, "e"), "AQAB") != 0)
        return fail(err, BAD_INPUT, "key '%s' of the JWKS has another exponent than 65537", kid);
    if (b64url_decode(slice_str(text(jwk, "n")), n, sizeof n, &len) != OK || len < MODULUS_MIN || (n[0] & 0x80) == 0 || (n[len - 1] & 1) == 0 || len % 8 != 0)
        return fail(err, BAD_INPUT, "key '%s' of the JWKS is no RSA key of 2048 to 4096 bits", kid);
    BIGNUM *modulus = BN_bin2bn(n, (int)len, NULL), *exponent = BN_new();
    struct jwt_key *slot = &keys->v[keys->count];
    slot->rsa = exponent != NULL && BN_set_word(exponent, RSA_F4) == 1 ? rsa_public_key(modulus, exponent) : NULL;
    BN_free(modulus);
    BN_free(exponent);
    if (slot->rsa == NULL)
        return fail(err, BAD_INPUT, "key '%s' of the JWKS: %s", kid, ossl_reason());
    key_fingerprint(slot->rsa, slot->fingerprint);
    memcpy(slot->kid, kid, strlen(kid) + 1);
    keys->count++;
    return OK;
}

static bool is_private(const json_t *jwk)
{
    static const char *const secret[] = { "d", "p", "q", "dp", "dq", "qi", "oth", "k" };
    for (size_t i = 0; i < sizeof secret / sizeof *secret; i++)
        if (json_object_get(jwk, secret[i]) != NULL)
            return true;
    return false;
}

/* "ES256", "RS256", or NULL: it is for something else. A key that says one thing by `alg` and another by its type is refused. */
static enum status algorithm_of(const json_t *jwk, const char *kid, const char **out, struct err *err)
{
    const json_t *alg = json_object_get(jwk, "alg"), *use = json_object_get(jwk, "use");
    bool ec = strcmp(text(jwk, "kty"), "EC") == 0 && strcmp(text(jwk, "crv"), "P-256") == 0, rsa = strcmp(text(jwk, "kty"), "RSA") == 0;
    const char *own = ec ? "ES256" : rsa ? "RS256" : NULL;
    *out = NULL;
    if (strcmp(text(jwk, "kty"), "oct") == 0)
        return fail(err, BAD_INPUT, "the JWKS holds a shared secret");
    if (use != NULL && strcmp(text(jwk, "use"), "sig") != 0)
        return OK;
    if (alg == NULL) {
        *out = own;
        return OK;
    }
    bool wanted = strcmp(text(jwk, "alg"), "ES256") == 0 || strcmp(text(jwk, "alg"), "RS256") == 0;
    if (wanted && (own == NULL || strcmp(text(jwk, "alg"), own) != 0))
        return fail(err, BAD_INPUT, "key '%s' of the JWKS is not of the type that its algorithm needs", kid);
    *out = wanted ? own : NULL;
    return OK;
}

static enum status add_foreign(struct jwt_keys *keys, const json_t *jwk, bool es256, bool rs256, struct err *err)
{
    const char *kid = text(jwk, "kid"), *alg = NULL;
    if (!json_is_object(jwk))
        return fail(err, BAD_INPUT, "a key of the JWKS is no object");
    if (is_private(jwk))
        return fail(err, BAD_INPUT, "the JWKS holds a private key or a shared secret");
    if (!jwt_is_kid(kid))
        return fail(err, BAD_INPUT, "a key of the JWKS has no kid of 1 to %d letters, digits, '-' and '_'", KID_MAX);
    enum status st = algorithm_of(jwk, kid, &alg, err);
    if (st != OK || alg == NULL || !(strcmp(alg, "ES256") == 0 ? es256 : rs256))
        return st;
    if (jwt_find_key(keys, kid) != NULL)
        return fail(err, BAD_INPUT, "the JWKS names kid '%s' twice", kid);
    return strcmp(alg, "ES256") == 0 ? jwt_add_p256(keys, jwk, kid, err) : add_rsa(keys, jwk, kid, err);
}

enum status jwt_keys_foreign(const json_t *jwks, bool es256, bool rs256, struct jwt_keys **out, struct err *err)
{
    json_t *list = json_object_get(jwks, "keys"), *jwk;
    size_t i;
    if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > JWKS_MAX)
        return fail(err, BAD_INPUT, "a JWKS needs 1 to %d keys", JWKS_MAX);
    struct jwt_keys *keys = calloc(1, sizeof *keys);
    enum status st = keys ? OK : fail(err, NO_MEMORY, "JWKS");
    json_array_foreach(list, i, jwk)
        if (st == OK)
            st = add_foreign(keys, jwk, es256, rs256, err);
    if (st == OK && keys->count == 0)
        st = fail(err, BAD_INPUT, "the JWKS holds no key for the algorithms that are allowed");
    if (st == OK) {
        keys->foreign = true;
        *out = keys;
    } else {
        jwt_keys_free(keys);
    }
    return st;
}

bool jwt_keys_have(const struct jwt_keys *k, const char *kid, const char *fingerprint)
{
    for (size_t i = 0; k != NULL && i < k->count; i++)
        if ((kid == NULL || strcmp(k->v[i].kid, kid) == 0) && strcmp(k->v[i].fingerprint, fingerprint) == 0)
            return true;
    return false;
}

const char *jwt_keys_shared(const struct jwt_keys *a, const struct jwt_keys *b)
{
    for (size_t i = 0; a != NULL && i < a->count; i++)
        if (jwt_keys_have(b, NULL, a->v[i].fingerprint))
            return a->v[i].kid;
    return NULL;
}

enum status jwt_check_rsa(const struct jwt_key *key, struct slice input, struct slice signature, struct err *err)
{
    unsigned char raw[MODULUS_MAX];
    size_t len = 0;
    EVP_PKEY_CTX *pctx = NULL;
    if (b64url_decode(signature, raw, sizeof raw, &len) != OK || len != (size_t)EVP_PKEY_get_size(key->rsa))
        return fail(err, BAD_TOKEN, "the token's signature has not the length of its key, in base64url");
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx != NULL && EVP_DigestVerifyInit(ctx, &pctx, EVP_sha256(), NULL, key->rsa) == 1
                && EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PADDING) == 1 && EVP_DigestVerify(ctx, raw, len, input.ptr, input.len) == 1;
    EVP_MD_CTX_free(ctx);
    if (!good)
        (void)ossl_reason();          /* leave no old error in the queue */
    return good ? OK : fail(err, BAD_TOKEN, "the token's signature does not hold");
}
