/* soft_authenticator: an authenticator in software, for tests and fuzz seeds. It makes what a browser and a real one would, and, told so, what they
 * would not. Included by tests only. */
#ifndef COUNTERSIGN_SOFT_AUTHENTICATOR_H
#define COUNTERSIGN_SOFT_AUTHENTICATOR_H

#include "authz/webauthn.h"
#include "proxy/base/codec.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/bn.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOFT_UNUSED __attribute__((unused))

struct soft {
    EVP_PKEY *key;
    int alg;
    uint32_t count;
    unsigned char flags;              /* of the next ceremony, without AT */
    const char *rp_id, *origin, *type;   /* type NULL: the right one */
    const char *more;                 /* further members of the client data: ",\"crossOrigin\":true" */
    struct slice extensions;          /* CBOR */
    unsigned char id[32];
};

struct soft_bytes {
    unsigned char v[4096];
    size_t len;
};

static void soft_put(struct soft_bytes *b, const void *from, size_t len)
{
    if (b->len + len > sizeof b->v)
        abort();
    memcpy(b->v + b->len, from, len);
    b->len += len;
}

static void soft_hex(struct soft_bytes *b, const char *hex)
{
    size_t len = 0;
    if (hex_decode(slice_str(hex), b->v + b->len, sizeof b->v - b->len, &len) != OK)
        abort();
    b->len += len;
}

static void soft_byte_string(struct soft_bytes *b, const unsigned char *v, size_t len)
{
    unsigned char head[3] = { 0x59, (unsigned char)(len >> 8), (unsigned char)len }, small[2] = { 0x58, (unsigned char)len };
    if (len > 255)
        soft_put(b, head, 3);
    else
        soft_put(b, small, 2);
    soft_put(b, v, len);
}

static void soft_make(struct soft *s, int alg, const char *rp_id, const char *origin)
{
    *s = (struct soft){ .alg = alg, .flags = 0x05, .rp_id = rp_id, .origin = origin };
    s->key = alg == WEBAUTHN_ES256 ? EVP_EC_gen("P-256") : alg == WEBAUTHN_EDDSA ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") : EVP_RSA_gen(2048);
    if (s->key == NULL)
        abort();
    for (size_t i = 0; i < sizeof s->id; i++)
        s->id[i] = (unsigned char)(i * 7 + (unsigned)(alg + 300));
}

static void soft_bn(EVP_PKEY *key, const char *name, unsigned char *out, int len)
{
    BIGNUM *n = NULL;
    if (EVP_PKEY_get_bn_param(key, name, &n) != 1 || BN_bn2binpad(n, out, len) != len)
        abort();
    BN_free(n);
}

static void soft_cose(const struct soft *s, struct soft_bytes *b)
{
    unsigned char v[512];
    size_t len = sizeof v;
    if (s->alg == WEBAUTHN_ES256) {
        soft_hex(b, "a5010203262001" "21");
        soft_bn(s->key, OSSL_PKEY_PARAM_EC_PUB_X, v, 32);
        soft_byte_string(b, v, 32);
        soft_hex(b, "22");
        soft_bn(s->key, OSSL_PKEY_PARAM_EC_PUB_Y, v, 32);
        soft_byte_string(b, v, 32);
    } else if (s->alg == WEBAUTHN_EDDSA) {
        soft_hex(b, "a4010103272006" "21");
        if (EVP_PKEY_get_raw_public_key(s->key, v, &len) != 1)
            abort();
        soft_byte_string(b, v, 32);
    } else {
        soft_hex(b, "a401030339010020");
        soft_bn(s->key, OSSL_PKEY_PARAM_RSA_N, v, 256);
        soft_byte_string(b, v, 256);
        soft_hex(b, "2143010001");
    }
}

static void soft_fixed(const struct soft *s, unsigned char flags, struct soft_bytes *b)
{
    unsigned char hash[32], count[4] = { (unsigned char)(s->count >> 24), (unsigned char)(s->count >> 16), (unsigned char)(s->count >> 8),
                                         (unsigned char)s->count };
    sha256_one(slice_str(s->rp_id), hash);
    soft_put(b, hash, sizeof hash);
    soft_put(b, &flags, 1);
    soft_put(b, count, sizeof count);
}

static void soft_client_data(const struct soft *s, const char *type, const unsigned char challenge[32], struct soft_bytes *out)
{
    char text[2048], b64[44];
    b64url_encode(slice_of(challenge, 32), b64);
    int n = snprintf(text, sizeof text, "{\"type\":\"%s\",\"challenge\":\"%s\",\"origin\":\"%s\"%s}", s->type ? s->type : type, b64, s->origin,
                     s->more ? s->more : ",\"crossOrigin\":false");
    out->len = 0;
    soft_put(out, text, (size_t)n);
}

#define SOFT_AAGUID "000102030405060708090a0b0c0d0e0f"

/* The authenticator data of a registration. */
static SOFT_UNUSED void soft_new_key(const struct soft *s, struct soft_bytes *data)
{
    data->len = 0;
    soft_fixed(s, s->flags | 0x40, data);
    soft_hex(data, SOFT_AAGUID "0020");
    soft_put(data, s->id, sizeof s->id);
    soft_cose(s, data);
    soft_put(data, s->extensions.ptr ? s->extensions.ptr : s->id, s->extensions.len);
}

/* navigator.credentials.create(). */
static SOFT_UNUSED void soft_register(const struct soft *s, const unsigned char challenge[32], struct soft_bytes *client_data, struct soft_bytes *object)
{
    struct soft_bytes data;
    soft_client_data(s, "webauthn.create", challenge, client_data);
    soft_new_key(s, &data);
    object->len = 0;
    soft_hex(object, "a363666d74646e6f6e656761747453746d74a0686175746844617461");
    soft_byte_string(object, data.v, data.len);
}

/* navigator.credentials.get(); counts. */
static SOFT_UNUSED void soft_sign(struct soft *s, const unsigned char challenge[32], struct soft_bytes *client_data, struct soft_bytes *data,
                                  struct soft_bytes *signature)
{
    struct soft_bytes message = { .len = 0 };
    unsigned char hash[32];
    soft_client_data(s, "webauthn.get", challenge, client_data);
    data->len = 0;
    soft_fixed(s, s->flags, data);
    soft_put(data, s->extensions.ptr ? s->extensions.ptr : s->id, s->extensions.len);
    soft_put(&message, data->v, data->len);
    sha256_one(slice_of(client_data->v, client_data->len), hash);
    soft_put(&message, hash, sizeof hash);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    signature->len = sizeof signature->v;
    if (EVP_DigestSignInit(ctx, NULL, s->alg == WEBAUTHN_EDDSA ? NULL : EVP_sha256(), NULL, s->key) != 1
        || EVP_DigestSign(ctx, signature->v, &signature->len, message.v, message.len) != 1)
        abort();
    EVP_MD_CTX_free(ctx);
}

static SOFT_UNUSED struct webauthn_answer soft_answer(const struct soft_bytes *client_data, const struct soft_bytes *data, const struct soft_bytes *signature)
{
    return (struct webauthn_answer){ slice_of(client_data->v, client_data->len), slice_of(data->v, data->len), slice_of(signature->v, signature->len) };
}

#endif
