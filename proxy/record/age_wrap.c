#include "proxy/record/age_wrap.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdlib.h>

void age_b64_32(const unsigned char in[32], char out[AGE_B64_32 + 1])
{
    unsigned char padded[45];
    EVP_EncodeBlock(padded, in, 32);
    memcpy(out, padded, AGE_B64_32);
    out[AGE_B64_32] = 0;
}

bool age_b64_32_decode(struct slice text, unsigned char out[32])
{
    unsigned char padded[44], raw[33];
    char again[AGE_B64_32 + 1];
    if (text.len != AGE_B64_32)
        return false;
    memcpy(padded, text.ptr, AGE_B64_32);
    padded[AGE_B64_32] = '=';
    if (EVP_DecodeBlock(raw, padded, sizeof padded) != 33)
        return false;
    age_b64_32(raw, again);
    if (memcmp(again, text.ptr, AGE_B64_32) != 0)
        return false;
    memcpy(out, raw, 32);
    return true;
}

bool age_hkdf(struct slice key, struct slice salt, const char *info, unsigned char out[32])
{
    unsigned char prk[32], block[64];
    unsigned len = 0;
    size_t info_len = strlen(info);
    if (HMAC(EVP_sha256(), salt.ptr ? salt.ptr : (const unsigned char *)"", (int)salt.len, key.ptr, key.len, prk, &len) == NULL)
        return false;
    memcpy(block, info, info_len);
    block[info_len] = 1;              /* one block is all we need */
    bool good = HMAC(EVP_sha256(), prk, sizeof prk, block, info_len + 1, out, &len) != NULL;
    OPENSSL_cleanse(prk, sizeof prk);
    return good;
}

bool age_header_mac(const unsigned char file_key[AGE_FILE_KEY], struct slice header, unsigned char out[32])
{
    unsigned char key[32];
    unsigned len = 0;
    bool good = age_hkdf(slice_of(file_key, AGE_FILE_KEY), slice_of(NULL, 0), "header", key)
                && HMAC(EVP_sha256(), key, sizeof key, header.ptr, header.len, out, &len) != NULL;
    OPENSSL_cleanse(key, sizeof key);
    return good;
}

bool age_wrap_key(EVP_PKEY *mine, EVP_PKEY *theirs, const unsigned char share[32], const unsigned char recipient[32], unsigned char out[32])
{
    unsigned char common[32], salt[64];
    size_t len = sizeof common;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(mine, NULL);
    /* OpenSSL refuses a common secret of zeros by itself: a share of low order. */
    bool good = ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer_ex(ctx, theirs, 0) == 1
                && EVP_PKEY_derive(ctx, common, &len) == 1 && len == sizeof common;
    EVP_PKEY_CTX_free(ctx);
    memcpy(salt, share, 32);
    memcpy(salt + 32, recipient, 32);
    good = good && age_hkdf(slice_of(common, sizeof common), slice_of(salt, sizeof salt), "age-encryption.org/v1/X25519", out);
    OPENSSL_cleanse(common, sizeof common);
    if (!good)
        (void)ossl_reason();
    return good;
}

void age_chunk_nonce(uint64_t number, bool last, unsigned char out[12])
{
    memset(out, 0, 12);
    for (unsigned i = 0; i < 8; i++)
        out[10 - i] = (unsigned char)(number >> 8 * i);
    out[11] = last;
}

/* Fetched once: on 3.0 looking it up takes longer than sealing a short text. */
static EVP_CIPHER *aead;
static pthread_once_t aead_once = PTHREAD_ONCE_INIT;
static void aead_fetch(void)
{
    aead = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
    if (aead == NULL)
        abort();   /* nothing could be sealed, and nothing may be kept that is not */
}

bool age_aead_start(EVP_CIPHER_CTX *ctx, bool seal, const unsigned char key[32])
{
    pthread_once(&aead_once, aead_fetch);
    return EVP_CipherInit_ex(ctx, aead, NULL, key, NULL, seal) == 1;
}

bool age_aead_seal(EVP_CIPHER_CTX *ctx, const unsigned char nonce[12], struct slice clear, unsigned char *out)
{
    int n = 0, rest = 0;
    return EVP_EncryptInit_ex(ctx, NULL, NULL, NULL, nonce) == 1
           && (clear.len == 0 || EVP_EncryptUpdate(ctx, out, &n, clear.ptr, (int)clear.len) == 1)
           && EVP_EncryptFinal_ex(ctx, out + n, &rest) == 1
           && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AGE_TAG, out + clear.len) == 1;
}

bool age_aead_open(EVP_CIPHER_CTX *ctx, const unsigned char nonce[12], struct slice sealed, unsigned char *out)
{
    int n = 0, rest = 0;
    size_t len = sealed.len - AGE_TAG;
    bool good = sealed.len >= AGE_TAG && EVP_DecryptInit_ex(ctx, NULL, NULL, NULL, nonce) == 1
                && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AGE_TAG, (void *)(uintptr_t)(sealed.ptr + len)) == 1
                && (len == 0 || EVP_DecryptUpdate(ctx, out, &n, sealed.ptr, (int)len) == 1)
                && EVP_DecryptFinal_ex(ctx, out + n, &rest) == 1;
    if (!good)
        (void)ossl_reason();
    return good;
}
