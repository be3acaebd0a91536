/* What a segment's header says about where an open exchange goes to is for the next recorder only, and may hold a customer's name. It is sealed with a key that lies in
 * the memory of the exchange's ring: the parent holds that over a restart of this process, and nobody has it once the machine is off. */
#include "proxy/record/session.h"

#include "proxy/base/codec.h"
#include "proxy/record/age_wrap.h"

#include <openssl/rand.h>
#include <stdlib.h>

enum { BOX_NONCE = 12, BOX_MAX = 4096, NONCES = 64 };

struct session_boxes {
    EVP_CIPHER_CTX *ctx;
    unsigned char nonces[NONCES][BOX_NONCE];   /* drawn together: drawing one costs more than sealing with it */
    size_t left;
};

struct session_boxes *session_boxes_new(void)
{
    struct session_boxes *b = calloc(1, sizeof *b);
    if (b != NULL && (b->ctx = EVP_CIPHER_CTX_new()) == NULL) {
        free(b);
        b = NULL;
    }
    return b;
}

void session_boxes_free(struct session_boxes *b)
{
    if (b != NULL)
        EVP_CIPHER_CTX_free(b->ctx);
    free(b);
}

static bool next_nonce(struct session_boxes *b, unsigned char out[BOX_NONCE])
{
    if (b->left == 0) {
        if (RAND_bytes(b->nonces[0], sizeof b->nonces) != 1)
            return false;
        b->left = NONCES;
    }
    memcpy(out, b->nonces[--b->left], BOX_NONCE);
    return true;
}

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
    if (h == NULL || c->boxes == NULL || len > BOX_MAX || !next_nonce(c->boxes, raw))
        return NULL;
    if (!age_aead_start(c->boxes->ctx, true, h->box_key) || !age_aead_seal(c->boxes->ctx, raw, slice_of(text, len), raw + BOX_NONCE))
        return NULL;
    len += BOX_NONCE + AGE_TAG;
    char *out = malloc(B64URL_LEN(len) + 1);
    if (out != NULL)
        b64url_encode(slice_of(raw, len), out);
    return out;
}

char *session_box_open(const struct session_context *c, const unsigned char ring[RING_ID_BYTES], const char *box)
{
    const struct ring_header *h = ring_named(c, ring);
    unsigned char raw[BOX_NONCE + BOX_MAX + AGE_TAG];
    size_t len = 0;
    if (h == NULL || c->boxes == NULL || b64url_decode(slice_str(box), raw, sizeof raw, &len) != OK || len < BOX_NONCE + AGE_TAG)
        return NULL;
    char *out = calloc(1, len);
    if (out != NULL && age_aead_start(c->boxes->ctx, false, h->box_key)
        && age_aead_open(c->boxes->ctx, raw, slice_of(raw + BOX_NONCE, len - BOX_NONCE), (unsigned char *)out))
        return out;
    free(out);
    return NULL;
}
