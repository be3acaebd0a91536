#include "authz/jwt.h"

#include "proxy/base/codec.h"
#include "proxy/base/file.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static EVP_PKEY *key, *other_key;
static struct jwt_signer *signer;
static struct jwt_keys *keys;
static char kid[64], public_pem[1024];
static const int64_t now = 1800000000;
static const char good_claims[] = "{\"iss\":\"gw\",\"aud\":\"gw\",\"use\":\"grant\",\"jti\":\"j1\",\"iat\":1800000000,\"nbf\":1800000000,"
                                  "\"exp\":1800000600}";

/* The callers' buffers are twice as large as anything they hold. */
static void append(char *to, const char *text)
{
    memcpy(to + strlen(to), text, strlen(text) + 1);
}

static void b64(const char *text, char *out)
{
    b64url_encode(slice_str(text), out);
}

/* A token with this header and payload, signed by k with ES256 whatever the header says. */
static char *forge(const char *header, const char *payload, EVP_PKEY *k)
{
    char *token = malloc(strlen(header) * 2 + strlen(payload) * 2 + 256);
    unsigned char der[128], raw[64];
    size_t der_len = sizeof der;
    b64(header, token);
    append(token, ".");
    b64(payload, token + strlen(token));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, k), 1);
    assert_int_equal(EVP_DigestSign(ctx, der, &der_len, (unsigned char *)token, strlen(token)), 1);
    EVP_MD_CTX_free(ctx);
    const unsigned char *p = der;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)der_len);
    BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + 32, 32);
    ECDSA_SIG_free(sig);
    append(token, ".");
    b64url_encode(slice_of(raw, 64), token + strlen(token));
    return token;
}

/* The text with our kid in the place of %s. */
static char *header_of(const char *pattern)
{
    static char text[2048];
    const char *at = strstr(pattern, "%s");
    snprintf(text, sizeof text, "%.*s%s%s", at ? (int)(at - pattern) : (int)strlen(pattern), pattern, at ? kid : "", at ? at + 2 : "");
    return text;
}

static enum status verify(const char *token)
{
    struct jwt_expect e = { "gw", "gw", "grant", now, 3600 };
    json_t *claims = NULL;
    struct err err = { .text = "" };
    enum status st = jwt_verify(keys, slice_str(token), &e, &claims, &err);
    json_decref(claims);
    if (st != OK)
        assert_true(err.text[0] != 0);
    return st;
}

static int set_up(void **state)
{
    (void)state;
    char path[] = "/tmp/cs-jwt-XXXXXX", *text = NULL;
    struct err err = { .text = "" };
    int fd = mkstemp(path);
    key = EVP_EC_gen("P-256");
    other_key = EVP_EC_gen("P-256");
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    long n = BIO_get_mem_data(bio, &text);
    if (write(fd, text, (size_t)n) != n || jwt_signer_load(path, &signer, &err) != OK)
        return -1;
    BIO_free(bio);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PUBKEY(bio, key);
    n = BIO_get_mem_data(bio, &text);
    snprintf(public_pem, sizeof public_pem, "%.*s", (int)n, text);
    BIO_free(bio);
    close(fd);
    unlink(path);
    json_t *jwks = jwt_signer_jwks(signer);
    snprintf(kid, sizeof kid, "%s", json_string_value(json_object_get(json_array_get(json_object_get(jwks, "keys"), 0), "kid")));
    enum status st = jwt_keys_from_jwks(jwks, &keys, &err);
    json_decref(jwks);
    return st == OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    jwt_signer_free(signer);
    jwt_keys_free(keys);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other_key);
    return 0;
}

static void signed_tokens_verify(void **state)
{
    (void)state;
    struct err err = { .text = "" };
    char *token = NULL;
    json_t *claims = json_loads(good_claims, 0, NULL);
    assert_int_equal(jwt_sign(signer, claims, &token, &err), OK);
    assert_int_equal(verify(token), OK);
    free(token);
    token = forge(header_of("{\"alg\":\"ES256\",\"kid\":\"%s\"}"), good_claims, key);
    assert_int_equal(verify(token), OK);   /* the row that shows that forge() itself is sound */
    free(token);
    json_object_set_new(claims, "reason", json_string("\xc3\xa4 \"quoted\" \\ \xf0\x9f\x94\x91"));
    assert_int_equal(jwt_sign(signer, claims, &token, &err), OK);
    assert_int_equal(verify(token), OK);
    free(token);
    char *big = malloc(8192);
    memset(big, 'x', 8191);
    big[8191] = 0;
    json_object_set_new(claims, "reason", json_string(big));
    assert_int_equal(jwt_sign(signer, claims, &token, &err), FULL);
    free(big);
    json_decref(claims);
}

static void hostile_headers_are_refused(void **state)
{
    (void)state;
    const struct { const char *name, *header; } rows[] = {
        { "alg none", "{\"alg\":\"none\",\"kid\":\"%s\"}" },
        { "alg None", "{\"alg\":\"None\",\"kid\":\"%s\"}" },
        { "alg HS256", "{\"alg\":\"HS256\",\"kid\":\"%s\"}" },
        { "alg ES384", "{\"alg\":\"ES384\",\"kid\":\"%s\"}" },
        { "alg EdDSA", "{\"alg\":\"EdDSA\",\"kid\":\"%s\"}" },
        { "alg in lower case", "{\"alg\":\"es256\",\"kid\":\"%s\"}" },
        { "no alg", "{\"kid\":\"%s\"}" },
        { "alg no string", "{\"alg\":1,\"kid\":\"%s\"}" },
        { "alg twice", "{\"alg\":\"ES256\",\"alg\":\"none\",\"kid\":\"%s\"}" },
        { "no kid", "{\"alg\":\"ES256\"}" },
        { "a foreign kid", "{\"alg\":\"ES256\",\"kid\":\"x%s\"}" },
        { "kid with a path", "{\"alg\":\"ES256\",\"kid\":\"../../%s\"}" },
        { "kid no string", "{\"alg\":\"ES256\",\"kid\":[\"%s\"]}" },
        { "crit", "{\"alg\":\"ES256\",\"kid\":\"%s\",\"crit\":[\"exp\"]}" },
        { "empty crit", "{\"alg\":\"ES256\",\"kid\":\"%s\",\"crit\":[]}" },
        { "b64 false", "{\"alg\":\"ES256\",\"kid\":\"%s\",\"b64\":false}" },
        { "jwk inside", "{\"alg\":\"ES256\",\"kid\":\"%s\",\"jwk\":{\"kty\":\"EC\"}}" },
        { "jku", "{\"alg\":\"ES256\",\"kid\":\"%s\",\"jku\":\"https://evil.example/\"}" },
        { "x5c", "{\"alg\":\"ES256\",\"kid\":\"%s\",\"x5c\":[\"AAAA\"]}" },
        { "zip", "{\"alg\":\"ES256\",\"kid\":\"%s\",\"zip\":\"DEF\"}" },
        { "another typ", "{\"typ\":\"at+jwt\",\"alg\":\"ES256\",\"kid\":\"%s\"}" },
        { "something behind", "{\"alg\":\"ES256\",\"kid\":\"%s\"} {}" },
        { "NUL in kid", "{\"alg\":\"ES256\",\"kid\":\"%s\\u0000\"}" },
        { "an array", "[\"ES256\",\"%s\"]" },
        { "no JSON", "ES256 %s" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *token = forge(header_of(rows[i].header), good_claims, key);
        if (verify(token) != BAD_TOKEN)
            fail_msg("accepted: %s", rows[i].name);
        free(token);
    }
}

static void hostile_payloads_are_refused(void **state)
{
    (void)state;
    static const char start[] = "{\"iss\":\"gw\",\"aud\":\"gw\",\"use\":\"grant\",\"jti\":\"j1\",";
    const struct { const char *name, *payload; enum status want; } rows[] = {
        { "expired just now", "\"iat\":1799999000,\"exp\":1800000000}", EXPIRED },
        { "long expired", "\"iat\":1000000000,\"exp\":1000000600}", EXPIRED },
        { "from the future", "\"iat\":1800000006,\"exp\":1800000600}", BAD_TOKEN },
        { "not yet", "\"iat\":1800000000,\"nbf\":1800000006,\"exp\":1800000600}", BAD_TOKEN },
        { "nbf no number", "\"iat\":1800000000,\"nbf\":\"1\",\"exp\":1800000600}", BAD_TOKEN },
        { "too long a life", "\"iat\":1800000000,\"exp\":1800003601}", BAD_TOKEN },
        { "exp before iat", "\"iat\":1800000000,\"exp\":1799999999}", BAD_TOKEN },
        { "no exp", "\"iat\":1800000000}", BAD_TOKEN },
        { "no iat", "\"exp\":1800000600}", BAD_TOKEN },
        { "exp as text", "\"iat\":1800000000,\"exp\":\"1800000600\"}", BAD_TOKEN },
        { "exp with a fraction", "\"iat\":1800000000,\"exp\":1800000600.0}", BAD_TOKEN },
        { "exp beyond", "\"iat\":1800000000,\"exp\":9223372036854775807}", BAD_TOKEN },
        { "exp overflow", "\"iat\":1800000000,\"exp\":18446744073709551616}", BAD_TOKEN },
        { "exp negative", "\"iat\":-5,\"exp\":-1}", BAD_TOKEN },
        { "exp twice", "\"iat\":1800000000,\"exp\":1,\"exp\":1800000600}", BAD_TOKEN },
        { "iss twice", "\"iss\":\"gw\",\"iat\":1800000000,\"exp\":1800000600}", BAD_TOKEN },
        { "cut off", "\"iat\":1800000000,\"exp\":1800000600", BAD_TOKEN },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char payload[512];
        snprintf(payload, sizeof payload, "%s%s", start, rows[i].payload);
        char *token = forge(header_of("{\"alg\":\"ES256\",\"kid\":\"%s\"}"), payload, key);
        if (verify(token) != rows[i].want)
            fail_msg("%s: not %s", rows[i].name, status_name(rows[i].want));
        free(token);
    }
    const char *const whole[] = {
        "{\"iss\":\"evil\",\"aud\":\"gw\",\"use\":\"grant\",\"jti\":\"j\",\"iat\":1800000000,\"exp\":1800000600}",
        "{\"iss\":\"gw\",\"aud\":\"tool\",\"use\":\"grant\",\"jti\":\"j\",\"iat\":1800000000,\"exp\":1800000600}",
        "{\"iss\":\"gw\",\"aud\":[\"gw\"],\"use\":\"grant\",\"jti\":\"j\",\"iat\":1800000000,\"exp\":1800000600}",
        "{\"iss\":\"gw\",\"aud\":\"gw\",\"use\":\"signoff\",\"jti\":\"j\",\"iat\":1800000000,\"exp\":1800000600}",
        "{\"iss\":\"gw\",\"aud\":\"gw\",\"jti\":\"j\",\"iat\":1800000000,\"exp\":1800000600}",
        "{\"iss\":\"gw\",\"aud\":\"gw\",\"use\":\"grant\",\"iat\":1800000000,\"exp\":1800000600}",
        "{\"iss\":\"gw\",\"aud\":\"gw\",\"use\":\"grant\",\"jti\":\"\",\"iat\":1800000000,\"exp\":1800000600}",
        "[]", "null", "\"text\"", "",
    };
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        char *token = forge(header_of("{\"alg\":\"ES256\",\"kid\":\"%s\"}"), whole[i], key);
        if (verify(token) != BAD_TOKEN)
            fail_msg("accepted: %s", whole[i]);
        free(token);
    }
}

static void broken_signatures_are_refused(void **state)
{
    (void)state;
    char *good = forge(header_of("{\"alg\":\"ES256\",\"kid\":\"%s\"}"), good_claims, key);
    char *foreign = forge(header_of("{\"alg\":\"ES256\",\"kid\":\"%s\"}"), good_claims, other_key);
    size_t n = strlen(good);
    assert_int_equal(verify(foreign), BAD_TOKEN);
    for (size_t i = 0; i < n; i++) {
        char *bad = strdup(good);
        bad[i] = bad[i] == 'A' ? 'B' : 'A';
        if (verify(bad) != BAD_TOKEN)
            fail_msg("accepted with character %zu changed", i);
        free(bad);
    }
    for (size_t i = 0; i < n; i++) {
        char *cut = strndup(good, i);
        assert_int_equal(verify(cut), BAD_TOKEN);
        free(cut);
    }
    const char *const tails[] = { ".", "=", " ", "\n", "A", "==", ".AAAA" };
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        char text[2048];
        snprintf(text, sizeof text, "%s%s", good, tails[i]);
        assert_int_equal(verify(text), BAD_TOKEN);
    }
    const char *const odd[] = { "", ".", "..", "...", "a.b.c", "e30.e30.", ".e30.e30" };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        assert_int_equal(verify(odd[i]), BAD_TOKEN);
    char *huge = malloc(TOKEN_MAX + 2);
    memset(huge, 'A', TOKEN_MAX + 1);
    huge[TOKEN_MAX + 1] = 0;
    assert_int_equal(verify(huge), BAD_TOKEN);
    free(huge);
    free(good);
    free(foreign);
}

/* The known attack: HMAC with the public key's own text as the secret. */
static void the_public_key_is_no_secret(void **state)
{
    (void)state;
    char token[2048];
    unsigned char mac[32];
    unsigned len = sizeof mac;
    b64(header_of("{\"alg\":\"HS256\",\"kid\":\"%s\"}"), token);
    append(token, ".");
    b64(good_claims, token + strlen(token));
    HMAC(EVP_sha256(), public_pem, (int)strlen(public_pem), (unsigned char *)token, strlen(token), mac, &len);
    append(token, ".");
    b64url_encode(slice_of(mac, sizeof mac), token + strlen(token));
    assert_int_equal(verify(token), BAD_TOKEN);
}

static void hostile_jwks_are_refused(void **state)
{
    (void)state;
    const char *const rows[] = {
        "{}", "{\"keys\":[]}", "{\"keys\":{}}", "{\"keys\":[1]}",
        "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\",\"kid\":\"a\",\"alg\":\"HS256\"}]}",
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"alg\":\"ES256\",\"kid\":\"a\",\"x\":\"AAAA\",\"y\":\"AAAA\"}]}",
        ("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"alg\":\"ES256\",\"kid\":\"a\",\"x\":\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
         "\"y\":\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}"),   /* not on the curve */
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"alg\":\"ES256\",\"kid\":\"a b\",\"x\":\"\",\"y\":\"\"}]}",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *jwks = json_loads(rows[i], 0, NULL);
        struct jwt_keys *k = NULL;
        struct err err;
        assert_non_null(jwks);
        assert_int_equal(jwt_keys_from_jwks(jwks, &k, &err), BAD_INPUT);
        json_decref(jwks);
    }
}

static void detached_signatures(void **state)
{
    (void)state;
    EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), *p384 = EVP_EC_gen("P-384"), *pair[] = { key, ed };
    struct err err = { .text = "" };
    struct slice payload = SLICE("{\"a\":1}");
    char *jws = NULL, name[44], text[512];
    for (size_t i = 0; i < 2; i++) {
        key_fingerprint(pair[i], name);
        assert_int_equal(jws_sign_detached(pair[i], name, payload, &jws, &err), OK);
        assert_int_equal(jws_verify_detached(pair[i], name, slice_str(jws), payload, &err), OK);
        assert_int_equal(jws_verify_detached(pair[i], "other", slice_str(jws), payload, &err), BAD_TOKEN);
        assert_int_equal(jws_verify_detached(other_key, name, slice_str(jws), payload, &err), BAD_TOKEN);
        assert_int_equal(jws_verify_detached(pair[i], name, slice_str(jws), SLICE("{\"a\":2}"), &err), BAD_TOKEN);
        for (size_t k = 0; k < strlen(jws); k++) {
            snprintf(text, sizeof text, "%s", jws);
            text[k] = text[k] == 'A' ? 'B' : 'A';
            assert_int_equal(jws_verify_detached(pair[i], name, slice_str(text), payload, &err), BAD_TOKEN);
            assert_int_equal(jws_verify_detached(pair[i], name, slice_of(jws, k), payload, &err), BAD_TOKEN);
        }
        free(jws);
    }
    assert_int_equal(jws_sign_detached(p384, "k", payload, &jws, &err), BAD_TOKEN);
    assert_int_equal(jws_sign_detached(key, "k\"", payload, &jws, &err), BAD_TOKEN);
    /* r = 0 and s = 0 must not pass for a signature. */
    char zero[256];
    key_fingerprint(key, name);
    snprintf(text, sizeof text, "{\"alg\":\"ES256\",\"kid\":\"%s\"}", name);
    b64(text, zero);
    append(zero, "..");
    memset(zero + strlen(zero), 0, 1);
    size_t n = strlen(zero);
    memset(zero + n, 'A', 86);
    zero[n + 86] = 0;
    assert_int_equal(jws_verify_detached(key, name, slice_str(zero), payload, &err), BAD_TOKEN);
    EVP_PKEY_free(ed);
    EVP_PKEY_free(p384);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signed_tokens_verify),          cmocka_unit_test(hostile_headers_are_refused),
        cmocka_unit_test(hostile_payloads_are_refused),  cmocka_unit_test(broken_signatures_are_refused),
        cmocka_unit_test(the_public_key_is_no_secret),   cmocka_unit_test(hostile_jwks_are_refused),
        cmocka_unit_test(detached_signatures),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
