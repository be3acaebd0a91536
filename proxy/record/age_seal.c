#include "proxy/record/age_wrap.h"

#include "proxy/base/bech32.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

enum { STANZA_LEN = 3 + 7 + AGE_B64_32 + 1 + AGE_B64_32 + 1, HEADER_MAX = 32 + AGE_RECIPIENTS_MAX * STANZA_LEN + 64 };

struct age_sealer {
    EVP_CIPHER_CTX *wrap, *body;
    size_t count;
    struct {
        unsigned char public_key[AGE_KEY_BYTES];
        EVP_PKEY *key;
    } recipient[AGE_RECIPIENTS_MAX];
};

/* A file being made: its key lives here and nowhere else, and is wiped with it. */
struct making {
    unsigned char file_key[AGE_FILE_KEY], payload_key[32], nonce[AGE_NONCE];
    char header[HEADER_MAX];
    size_t len;
};

enum status age_sealer_new(char *const *recipients, size_t count, struct age_sealer **out, struct err *err)
{
    struct age_sealer *s = calloc(1, sizeof *s);
    enum status st = s != NULL && (s->wrap = EVP_CIPHER_CTX_new()) != NULL && (s->body = EVP_CIPHER_CTX_new()) != NULL ? OK : fail(err, NO_MEMORY, "sealing");
    if (st == OK && (count == 0 || count > AGE_RECIPIENTS_MAX))
        st = fail(err, BAD_CONFIG, "recordings are sealed to 1 to %d auditors' keys, not to %zu", AGE_RECIPIENTS_MAX, count);
    for (size_t i = 0; i < count && st == OK; i++) {
        unsigned char *raw = s->recipient[i].public_key;
        if (!bech32_decode("age", slice_str(recipients[i]), raw, AGE_KEY_BYTES))
            st = fail(err, BAD_CONFIG, "'%.80s' is no auditor's public key", recipients[i]);
        else if ((s->recipient[i].key = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, raw, AGE_KEY_BYTES)) == NULL)
            st = fail(err, NO_MEMORY, "sealing: %s", ossl_reason());
        s->count = i + 1;
    }
    if (st != OK)
        age_sealer_free(s);
    else
        *out = s;
    return st;
}

void age_sealer_free(struct age_sealer *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->count; i++)
        EVP_PKEY_free(s->recipient[i].key);
    EVP_CIPHER_CTX_free(s->wrap);
    EVP_CIPHER_CTX_free(s->body);
    free(s);
}

/* "-> X25519 SHARE\nWRAPPED\n": the file key for one recipient. The share is new each time, since the wrapping uses a nonce of zeros. */
static bool put_stanza(struct age_sealer *s, struct making *m, size_t i)
{
    static const unsigned char zeros[12];
    unsigned char share[32], key[32], wrapped[AGE_WRAPPED];
    char share_text[AGE_B64_32 + 1], wrapped_text[AGE_B64_32 + 1];
    size_t len = sizeof share;
    EVP_PKEY *fresh = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    bool good = fresh != NULL && EVP_PKEY_get_raw_public_key(fresh, share, &len) == 1
                && age_wrap_key(fresh, s->recipient[i].key, share, s->recipient[i].public_key, key) && age_aead_start(s->wrap, true, key)
                && age_aead_seal(s->wrap, zeros, slice_of(m->file_key, sizeof m->file_key), wrapped);
    EVP_PKEY_free(fresh);
    OPENSSL_cleanse(key, sizeof key);
    if (!good)
        return false;
    age_b64_32(share, share_text);
    age_b64_32(wrapped, wrapped_text);
    m->len += (size_t)snprintf(m->header + m->len, sizeof m->header - m->len, "-> X25519 %s\n%s\n", share_text, wrapped_text);
    return true;
}

static bool make_header(struct age_sealer *s, struct making *m)
{
    unsigned char mac[32];
    char mac_text[AGE_B64_32 + 1];
    m->len = (size_t)snprintf(m->header, sizeof m->header, "%s", AGE_INTRO);
    if (RAND_priv_bytes(m->file_key, sizeof m->file_key) != 1 || RAND_bytes(m->nonce, sizeof m->nonce) != 1)
        return false;
    for (size_t i = 0; i < s->count; i++)
        if (!put_stanza(s, m, i))
            return false;
    m->len += (size_t)snprintf(m->header + m->len, sizeof m->header - m->len, "---");
    if (!age_header_mac(m->file_key, slice_of(m->header, m->len), mac))
        return false;
    age_b64_32(mac, mac_text);
    m->len += (size_t)snprintf(m->header + m->len, sizeof m->header - m->len, " %s\n", mac_text);
    return age_hkdf(slice_of(m->file_key, sizeof m->file_key), slice_of(m->nonce, sizeof m->nonce), "payload", m->payload_key)
           && age_aead_start(s->body, true, m->payload_key);
}

static bool put_chunks(struct age_sealer *s, struct slice clear, unsigned char *out)
{
    for (uint64_t number = 0;; number++) {
        unsigned char nonce[12];
        size_t n = clear.len < AGE_CHUNK ? clear.len : AGE_CHUNK;
        bool last = n == clear.len;
        age_chunk_nonce(number, last, nonce);
        if (!age_aead_seal(s->body, nonce, slice_of(clear.ptr, n), out))
            return false;
        if (last)
            return true;
        clear = slice_from(clear, n);
        out += n + AGE_TAG;
    }
}

static enum status make_room(struct warc_bytes *to, size_t more)
{
    if (to->cap - to->len >= more)
        return OK;
    unsigned char *p = realloc(to->data, to->len + more);
    if (p == NULL)
        return NO_MEMORY;
    to->data = p;
    to->cap = to->len + more;
    return OK;
}

enum status age_seal(struct age_sealer *s, struct slice clear, struct warc_bytes *to, struct err *err)
{
    struct making m;
    size_t chunks = clear.len == 0 ? 1 : (clear.len + AGE_CHUNK - 1) / AGE_CHUNK, total = sizeof m.header + AGE_NONCE + clear.len + chunks * AGE_TAG;
    enum status st = make_room(to, total) == OK ? OK : fail(err, NO_MEMORY, "sealing");
    if (st == OK && !make_header(s, &m))
        st = fail(err, IO_FAILED, "cannot seal: %s", ossl_reason());
    if (st == OK) {
        unsigned char *p = to->data + to->len;
        memcpy(p, m.header, m.len);
        memcpy(p + m.len, m.nonce, AGE_NONCE);
        if (put_chunks(s, clear, p + m.len + AGE_NONCE))
            to->len += m.len + AGE_NONCE + clear.len + chunks * AGE_TAG;
        else
            st = fail(err, IO_FAILED, "cannot seal: %s", ossl_reason());
    }
    OPENSSL_cleanse(&m, sizeof m);
    return st;
}
