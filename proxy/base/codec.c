#include "proxy/base/codec.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>

static const char b64url_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void hex_encode(struct slice in, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < in.len; i++) {
        *out++ = digits[in.ptr[i] >> 4];
        *out++ = digits[in.ptr[i] & 15];
    }
    *out = 0;
}

static int hex_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

enum status hex_decode(struct slice in, unsigned char *out, size_t out_max, size_t *len_out)
{
    if (in.len % 2 || in.len / 2 > out_max)
        return BAD_INPUT;
    for (size_t i = 0; i < in.len; i += 2) {
        int hi = hex_value(in.ptr[i]), lo = hex_value(in.ptr[i + 1]);
        if (hi < 0 || lo < 0)
            return BAD_INPUT;
        out[i / 2] = (unsigned char)(hi << 4 | lo);
    }
    *len_out = in.len / 2;
    return OK;
}

void b64url_encode(struct slice in, char *out)
{
    unsigned bits = 0, count = 0;
    for (size_t i = 0; i < in.len; i++) {
        bits = (bits << 8 | in.ptr[i]) & 0xffffff;
        for (count += 8; count >= 6; count -= 6)
            *out++ = b64url_alphabet[bits >> (count - 6) & 63];
    }
    if (count)
        *out++ = b64url_alphabet[bits << (6 - count) & 63];
    *out = 0;
}

enum status b64url_decode(struct slice in, unsigned char *out, size_t out_max, size_t *len_out)
{
    unsigned bits = 0, count = 0;
    size_t n = 0;
    if (in.len % 4 == 1)
        return BAD_INPUT;
    for (size_t i = 0; i < in.len; i++) {
        const char *at = in.ptr[i] ? strchr(b64url_alphabet, in.ptr[i]) : NULL;
        if (at == NULL)
            return BAD_INPUT;
        bits = (bits << 6 | (unsigned)(at - b64url_alphabet)) & 0xffffff;
        count += 6;
        if (count >= 8) {
            count -= 8;
            if (n == out_max)
                return BAD_INPUT;
            out[n++] = (unsigned char)(bits >> count);
        }
    }
    if (bits & ((1u << count) - 1))
        return BAD_INPUT;
    *len_out = n;
    return OK;
}

static EVP_MD *sha256_md;
static pthread_key_t sha256_key;                      /* only to free a thread's context when the thread ends */
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static void sha256_free(void *ctx)
{
    EVP_MD_CTX_free(ctx);
}

static void sha256_fetch(void)
{
    sha256_md = EVP_MD_fetch(NULL, "SHA256", NULL);   /* fetched once: half the cost of EVP_sha256() on 3.0 */
    if (pthread_key_create(&sha256_key, sha256_free) != 0)
        abort();
}

void sha256(const struct slice *pieces, size_t count, unsigned char out[32])
{
    static _Thread_local EVP_MD_CTX *ctx;
    pthread_once(&sha256_once, sha256_fetch);
    if (ctx == NULL) {
        ctx = EVP_MD_CTX_new();
        pthread_setspecific(sha256_key, ctx);
    }
    if (ctx == NULL || sha256_md == NULL || EVP_DigestInit_ex2(ctx, sha256_md, NULL) != 1)
        abort();   /* no digest, no decision: nothing safe is left to do */
    for (size_t i = 0; i < count; i++)
        if (pieces[i].len && EVP_DigestUpdate(ctx, pieces[i].ptr, pieces[i].len) != 1)
            abort();
    if (EVP_DigestFinal_ex(ctx, out, NULL) != 1)
        abort();
}

void random_id(size_t len, char *out)
{
    unsigned char bytes[64];
    if (len > sizeof bytes || RAND_bytes(bytes, (int)len) != 1)
        abort();
    b64url_encode(slice_of(bytes, len), out);
}
