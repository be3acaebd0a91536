/* What a segment's header says about where an open exchange goes to is for the next recorder only, and may hold a customer's name. It is sealed with a key that lies in
 * the memory of the exchange's ring: the parent holds that over a restart of this process, and nobody has it once the machine is off. */
#include "proxy/record/session.h"

#include "proxy/base/codec.h"
#include "proxy/record/age_wrap.h"

#include <openssl/rand.h>
#include <stdlib.h>

enum { BOX_NONCE = 12, BOX_MAX = 4096 };

static const struct ring_header *ring_named(const struct session_context *c, const unsigned char id[RING_ID_BYTES])
{
    for (size_t i = 0; i < c->ring_count; i++)
        if (memcmp(c->ring[i]->id, id, RING_ID_BYTES) == 0)
            return c->ring[i];
    return NULL;
}

char *session_box_close(const struct session_context *c, const unsigned char ring[RING_ID_BYTES], const char *text)
{
    const struct ring_header *h = ring_named(c, ring);
    unsigned char raw[BOX_NONCE + BOX_MAX + AGE_TAG];
    size_t len = strlen(text);
    if (h == NULL || len > BOX_MAX || RAND_bytes(raw, BOX_NONCE) != 1)
        return NULL;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool good = ctx != NULL && age_aead_start(ctx, true, h->box_key) && age_aead_seal(ctx, raw, slice_of(text, len), raw + BOX_NONCE);
    EVP_CIPHER_CTX_free(ctx);
    len += BOX_NONCE + AGE_TAG;
    char *out = good ? malloc(B64URL_LEN(len) + 1) : NULL;
    if (out != NULL)
        b64url_encode(slice_of(raw, len), out);
    return out;
}

char *session_box_open(const struct session_context *c, const unsigned char ring[RING_ID_BYTES], const char *box)
{
    const struct ring_header *h = ring_named(c, ring);
    unsigned char raw[BOX_NONCE + BOX_MAX + AGE_TAG];
    size_t len = 0;
    if (h == NULL || b64url_decode(slice_str(box), raw, sizeof raw, &len) != OK || len < BOX_NONCE + AGE_TAG)
        return NULL;
    char *out = calloc(1, len);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool good = out != NULL && ctx != NULL && age_aead_start(ctx, false, h->box_key)
                && age_aead_open(ctx, raw, slice_of(raw + BOX_NONCE, len - BOX_NONCE), (unsigned char *)out);
    EVP_CIPHER_CTX_free(ctx);
    if (good)
        return out;
    free(out);
    return NULL;
}
