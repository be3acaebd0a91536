#include "authz/jwt_internal.h"

#include "proxy/base/codec.h"
#include "proxy/base/file.h"

#include <jwt.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CLOCK_SKEW_S = 5,       /* an iat or nbf this far ahead is the other node's clock, not a forgery; exp gets none */
    SIGNATURE_LEN = 64,
    COORDINATE_LEN = 32,
};

struct jwt_signer {
    unsigned char *pem;
    size_t pem_len;
    char kid[44];
    char x[44], y[44];
};

bool jwt_is_kid(const char *s)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t n = strlen(s);
    return n > 0 && n <= KID_MAX && strspn(s, allowed) == n;
}

/* ---- public keys ---- */

static EVP_PKEY *key_from_point(const unsigned char point[1 + 2 * COORDINATE_LEN])
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    if (ctx == NULL || bld == NULL
        || OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) != 1
        || OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * COORDINATE_LEN) != 1)
        goto done;
    params = OSSL_PARAM_BLD_to_param(bld);
    if (params == NULL || EVP_PKEY_fromdata_init(ctx) != 1
        || EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)   /* checks that the point is on the curve */
        key = NULL;
done:
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static char *public_pem(EVP_PKEY *key, int *len_out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL, *out = NULL;
    if (bio != NULL && PEM_write_bio_PUBKEY(bio, key) == 1) {
        long n = BIO_get_mem_data(bio, &text);
        out = n > 0 ? strndup(text, (size_t)n) : NULL;
        *len_out = (int)n;
    }
    BIO_free(bio);
    return out;
}

static const char *member(const json_t *object, const char *name)
{
    const char *s = json_string_value(json_object_get(object, name));
    return s ? s : "";
}

static bool coordinate(const json_t *jwk, const char *name, unsigned char *out)
{
    size_t len = 0;
    return b64url_decode(slice_str(member(jwk, name)), out, COORDINATE_LEN, &len) == OK && len == COORDINATE_LEN;
}

const struct jwt_key *jwt_find_key(const struct jwt_keys *k, const char *kid)
{
    for (size_t i = 0; i < k->count; i++)
        if (strcmp(k->v[i].kid, kid) == 0)
            return &k->v[i];
    return NULL;
}

enum status jwt_add_p256(struct jwt_keys *keys, const json_t *jwk, const char *kid, struct err *err)
{
    unsigned char point[1 + 2 * COORDINATE_LEN] = { 4 };   /* uncompressed */
    if (!coordinate(jwk, "x", point + 1) || !coordinate(jwk, "y", point + 1 + COORDINATE_LEN))
        return fail(err, BAD_INPUT, "key '%s' of the JWKS has broken coordinates", kid);
    EVP_PKEY *key = key_from_point(point);
    if (key == NULL)
        return fail(err, BAD_INPUT, "key '%s' of the JWKS: %s", kid, ossl_reason());
    struct jwt_key *slot = &keys->v[keys->count];
    slot->pem = public_pem(key, &slot->pem_len);
    key_fingerprint(key, slot->fingerprint);
    EVP_PKEY_free(key);
    if (slot->pem == NULL)
        return fail(err, NO_MEMORY, "public key");
    memcpy(slot->kid, kid, strlen(kid) + 1);
    keys->count++;
    return OK;
}

static enum status add_jwk(struct jwt_keys *keys, const json_t *jwk, struct err *err)
{
    const char *kid = member(jwk, "kid");
    if (strcmp(member(jwk, "kty"), "EC") != 0 || strcmp(member(jwk, "crv"), "P-256") != 0
        || strcmp(member(jwk, "alg"), "ES256") != 0 || !jwt_is_kid(kid))
        return fail(err, BAD_INPUT, "a key of the JWKS is not EC, P-256, ES256 with a kid");
    if (json_object_get(jwk, "d") != NULL)
        return fail(err, BAD_INPUT, "the JWKS holds a private key");
    if (jwt_find_key(keys, kid) != NULL)
        return fail(err, BAD_INPUT, "the JWKS names kid '%s' twice", kid);
    return jwt_add_p256(keys, jwk, kid, err);
}

enum status jwt_keys_from_jwks(const json_t *jwks, struct jwt_keys **out, struct err *err)
{
    const json_t *list = json_object_get(jwks, "keys");
    if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > JWKS_MAX)
        return fail(err, BAD_INPUT, "a JWKS needs 1 to %d keys", JWKS_MAX);
    struct jwt_keys *keys = calloc(1, sizeof *keys);
    if (keys == NULL)
        return fail(err, NO_MEMORY, "JWKS");
    for (size_t i = 0; i < json_array_size(list); i++) {
        enum status st = add_jwk(keys, json_array_get(list, i), err);
        if (st != OK) {
            jwt_keys_free(keys);
            return st;
        }
    }
    *out = keys;
    return OK;
}

void jwt_keys_free(struct jwt_keys *k)
{
    for (size_t i = 0; k != NULL && i < k->count; i++) {
        free(k->v[i].pem);
        EVP_PKEY_free(k->v[i].rsa);
    }
    free(k);
}

/* ---- the signing key ---- */

static bool public_coordinates(EVP_PKEY *key, char x[44], char y[44])
{
    unsigned char point[1 + 2 * COORDINATE_LEN];
    char group[32];
    size_t len = 0, group_len = 0;
    if (!EVP_PKEY_is_a(key, "EC") || EVP_PKEY_get_group_name(key, group, sizeof group, &group_len) != 1
        || strcmp(group, "prime256v1") != 0
        || EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &len) != 1
        || len != sizeof point || point[0] != 4)
        return false;
    b64url_encode(slice_of(point + 1, COORDINATE_LEN), x);
    b64url_encode(slice_of(point + 1 + COORDINATE_LEN, COORDINATE_LEN), y);
    return true;
}

/* RFC 7638: SHA-256 over the required members, sorted, without spaces. */
static void thumbprint(const char *x, const char *y, char out[44])
{
    char text[256];
    unsigned char hash[32];
    int n = snprintf(text, sizeof text, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", x, y);
    sha256_one(slice_of(text, (size_t)n), hash);
    b64url_encode(slice_of(hash, sizeof hash), out);
}

enum status jwt_signer_load(const char *path, struct jwt_signer **out, struct err *err)
{
    struct jwt_signer *s = calloc(1, sizeof *s);
    if (s == NULL)
        return fail(err, NO_MEMORY, "signing key");
    EVP_PKEY *key = NULL;
    BIO *bio = NULL;
    enum status st = file_read(path, 16 * 1024, true, &s->pem, &s->pem_len, err);
    if (st != OK)
        goto done;
    bio = BIO_new_mem_buf(s->pem, (int)s->pem_len);
    key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    if (key == NULL)
        st = fail(err, BAD_CONFIG, "'%s' holds no private key: %s", path, ossl_reason());
    else if (!public_coordinates(key, s->x, s->y))
        st = fail(err, BAD_CONFIG, "'%s' is not a P-256 key; make one with `countersign init`", path);
    else
        thumbprint(s->x, s->y, s->kid);
done:
    EVP_PKEY_free(key);
    BIO_free(bio);
    if (st == OK)
        *out = s;
    else
        jwt_signer_free(s);
    return st;
}

void jwt_signer_free(struct jwt_signer *s)
{
    if (s == NULL)
        return;
    if (s->pem != NULL)
        OPENSSL_cleanse(s->pem, s->pem_len);
    free(s->pem);
    free(s);
}

static json_t *public_jwk(const char *x, const char *y, const char *kid)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "kty", "EC", "crv", "P-256", "x", x, "y", y, "kid", kid, "alg", "ES256", "use", "sig");
}

json_t *jwt_signer_jwks(const struct jwt_signer *s)
{
    return json_pack("{s:[o]}", "keys", public_jwk(s->x, s->y, s->kid));
}

static EVP_PKEY *any_key(const unsigned char *pem, size_t len)
{
    EVP_PKEY *key = NULL;
    for (int private = 0; private < 2 && key == NULL; private++) {
        BIO *bio = BIO_new_mem_buf(pem, (int)len);
        key = bio == NULL ? NULL : private ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
        BIO_free(bio);
    }
    return key;
}

enum status jwt_jwks_add(json_t *jwks, const char *path, struct err *err)
{
    unsigned char *pem = NULL;
    size_t len = 0, i;
    char x[44], y[44], kid[44];
    json_t *keys = json_object_get(jwks, "keys"), *other;
    enum status st = file_read(path, 16 * 1024, true, &pem, &len, err);
    if (st != OK)
        return st;
    EVP_PKEY *key = any_key(pem, len);
    OPENSSL_cleanse(pem, len);
    free(pem);
    if (key == NULL || !public_coordinates(key, x, y))
        st = fail(err, BAD_CONFIG, "'%s' holds no P-256 key: %s", path, ossl_reason());
    EVP_PKEY_free(key);
    (void)ossl_reason();
    if (st != OK)
        return st;
    thumbprint(x, y, kid);
    json_array_foreach(keys, i, other)
        if (strcmp(member(other, "kid"), kid) == 0)
            return fail(err, EXISTS, "'%s' holds a key that is published already", path);
    return json_array_append_new(keys, public_jwk(x, y, kid)) == 0 ? OK : fail(err, NO_MEMORY, "JWKS");
}

enum status jwt_sign(const struct jwt_signer *s, const json_t *claims, char **out, struct err *err)
{
    jwt_t *jwt = NULL;
    char *encoded = NULL;
    enum status st = OK;
    char *text = json_dumps(claims, JSON_COMPACT);
    if (text == NULL || jwt_new(&jwt) != 0)
        st = fail(err, NO_MEMORY, "token");
    else if (jwt_add_grants_json(jwt, text) != 0 || jwt_add_header(jwt, "kid", s->kid) != 0
             || jwt_set_alg(jwt, JWT_ALG_ES256, s->pem, (int)s->pem_len) != 0 || (encoded = jwt_encode_str(jwt)) == NULL)
        st = fail(err, BAD_INPUT, "libjwt cannot sign these claims");
    else if (strlen(encoded) > TOKEN_MAX)
        st = fail(err, FULL, "the token would be %zu bytes long; at most %d are allowed", strlen(encoded), TOKEN_MAX);
    else if ((*out = strdup(encoded)) == NULL)
        st = fail(err, NO_MEMORY, "token");
    free(encoded);   /* 1.10 has no jwt_free_str(); libjwt allocates with malloc unless told otherwise */
    jwt_free(jwt);
    free(text);
    return st;
}

/* ---- verification, in the order jwt.h gives ---- */

static bool split(struct slice token, struct slice parts[3])
{
    for (int i = 0; i < 3; i++) {
        size_t n = slice_find(token, '.');
        parts[i] = slice_of(token.ptr, n);
        if (n == 0 || (i < 2) == (n == token.len))
            return false;
        token = i < 2 ? slice_from(token, n + 1) : token;
    }
    return true;
}

/* An object, from one base64url part: no duplicates, no NUL, nothing behind it. */
static json_t *part_object(struct slice part)
{
    unsigned char text[TOKEN_MAX];
    size_t len = 0;
    if (b64url_decode(part, text, sizeof text, &len) != OK)
        return NULL;
    json_t *o = json_loadb((const char *)text, len, JSON_REJECT_DUPLICATES, NULL);
    if (o != NULL && !json_is_object(o)) {
        json_decref(o);
        return NULL;
    }
    return o;
}

/* Is this an algorithm that the key may be used with? Whose keys they are says which ones there are; the key says which one it is. */
static bool algorithm_known(const struct jwt_keys *k, const char *alg)
{
    return strcmp(alg, "ES256") == 0 || (k->foreign && strcmp(alg, "RS256") == 0);
}

/* Only alg, kid and typ may stand in the header: `crit` asks for what we don't know, `jwk`, `jku`, `x5c` bring the attacker's own key. */
static const struct jwt_key *header_key(const struct jwt_keys *k, struct slice part, struct err *err)
{
    json_t *header = part_object(part);
    const struct jwt_key *key = NULL;
    const json_t *typ = json_object_get(header, "typ");
    const char *alg = member(header, "alg");
    size_t expected = 2 + (typ != NULL);
    if (header == NULL)
        (void)fail(err, BAD_TOKEN, "the token's header is not one JSON object");
    else if (!algorithm_known(k, alg))
        (void)fail(err, BAD_TOKEN, k->foreign ? "the token's algorithm is neither ES256 nor RS256" : "the token's algorithm is not ES256");
    else if (typ != NULL && strcmp(member(header, "typ"), "JWT") != 0)
        (void)fail(err, BAD_TOKEN, "the token's type is not JWT");
    else if (json_object_get(header, "kid") == NULL || json_object_size(header) != expected)
        (void)fail(err, BAD_TOKEN, "the token's header has members other than alg, kid and typ");
    else if ((key = jwt_find_key(k, member(header, "kid"))) == NULL)
        (void)fail(err, BAD_TOKEN, "the token names an unknown key");
    else if ((strcmp(alg, "RS256") == 0) != (key->rsa != NULL)) {
        (void)fail(err, BAD_TOKEN, "the token's algorithm is not that of its key");
        key = NULL;
    }
    json_decref(header);
    return key;
}

/* 0 < v < n, the order of P-256 (RFC 6979, SEC 1 s4.1.4): said by name, before any library is asked. */
static bool in_range(const unsigned char v[COORDINATE_LEN])
{
    static const unsigned char zero[COORDINATE_LEN] = { 0 };
    static const unsigned char order[COORDINATE_LEN] = { 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
                                                         0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
                                                         0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51 };
    return memcmp(v, zero, COORDINATE_LEN) != 0 && memcmp(v, order, COORDINATE_LEN) < 0;
}

static enum status check_signature(const struct jwt_key *key, struct slice token, struct slice signature, struct err *err)
{
    unsigned char raw[SIGNATURE_LEN];
    size_t len = 0;
    if (b64url_decode(signature, raw, sizeof raw, &len) != OK || len != sizeof raw)
        return fail(err, BAD_TOKEN, "the token's signature is not 64 bytes of base64url");
    if (!in_range(raw) || !in_range(raw + COORDINATE_LEN))
        return fail(err, BAD_TOKEN, "the token's signature has an r or s that is out of range");
    char text[TOKEN_MAX + 1];
    memcpy(text, token.ptr, token.len);
    text[token.len] = 0;
    jwt_t *jwt = NULL;
    int failed = jwt_decode(&jwt, text, (const unsigned char *)key->pem, key->pem_len);
    bool good = failed == 0 && jwt != NULL && jwt_get_alg(jwt) == JWT_ALG_ES256;   /* the header must not choose */
    if (failed == 0)
        jwt_free(jwt);
    return good ? OK : fail(err, BAD_TOKEN, "the token's signature does not hold");
}

static bool claim_is(const json_t *claims, const char *name, const char *want)
{
    const json_t *v = json_object_get(claims, name);
    return json_is_string(v) && strcmp(json_string_value(v), want) == 0;
}

static bool claim_time(const json_t *claims, const char *name, int64_t *out)
{
    const json_t *v = json_object_get(claims, name);
    *out = json_is_integer(v) ? json_integer_value(v) : 0;
    return *out > 0 && *out < (int64_t)1 << 40;
}

static enum status check_claims(const json_t *claims, const struct jwt_expect *e, struct err *err)
{
    int64_t iat, exp, nbf;
    if (!claim_is(claims, "iss", e->iss))
        return fail(err, BAD_TOKEN, "the token has another issuer");
    if (!claim_is(claims, "aud", e->aud))
        return fail(err, BAD_TOKEN, "the token is for another audience");
    if (!claim_is(claims, "use", e->use))
        return fail(err, BAD_TOKEN, "the token is not for this use");
    if (member(claims, "jti")[0] == 0)
        return fail(err, BAD_TOKEN, "the token has no jti");
    if (!claim_time(claims, "iat", &iat) || !claim_time(claims, "exp", &exp) || exp <= iat)
        return fail(err, BAD_TOKEN, "the token has no sound iat and exp");
    if (exp - iat > e->max_lifetime_s)
        return fail(err, BAD_TOKEN, "the token lives longer than allowed");
    if (iat > e->now_s + CLOCK_SKEW_S)
        return fail(err, BAD_TOKEN, "the token was issued in the future");
    if (json_object_get(claims, "nbf") != NULL && (!claim_time(claims, "nbf", &nbf) || nbf > e->now_s + CLOCK_SKEW_S))
        return fail(err, BAD_TOKEN, "the token is not valid yet");
    if (exp <= e->now_s)
        return fail(err, EXPIRED, "the token has expired");
    return OK;
}

enum status jwt_verify_by(const struct jwt_keys *k, struct slice token, const struct jwt_expect *expect, json_t **claims_out,
                          const struct jwt_key **key_out, struct err *err)
{
    struct slice parts[3];
    if (token.len == 0 || token.len > TOKEN_MAX)
        return fail(err, BAD_TOKEN, "the token is empty or longer than %d bytes", TOKEN_MAX);
    if (!split(token, parts))
        return fail(err, BAD_TOKEN, "the token has not three parts");
    const struct jwt_key *key = header_key(k, parts[0], err);
    if (key == NULL)
        return BAD_TOKEN;
    json_t *claims = part_object(parts[1]);   /* strictly decoded before libjwt, which is lenient, sees it */
    if (claims == NULL)
        return fail(err, BAD_TOKEN, "the token's payload is not one JSON object");
    enum status st = key->rsa ? jwt_check_rsa(key, slice_of(token.ptr, (size_t)(parts[2].ptr - token.ptr) - 1), parts[2], err)
                              : check_signature(key, token, parts[2], err);
    if (st == OK)
        st = check_claims(claims, expect, err);
    if (st != OK) {
        json_decref(claims);
        return st;
    }
    *claims_out = claims;
    *key_out = key;
    return OK;
}

enum status jwt_verify(const struct jwt_keys *k, struct slice token, const struct jwt_expect *expect, json_t **claims_out,
                       struct err *err)
{
    const struct jwt_key *key;
    return jwt_verify_by(k, token, expect, claims_out, &key, err);
}
