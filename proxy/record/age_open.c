/* Opening: the header (C2SP age)
 *
 *   header = "age-encryption.org/v1" LF 1*stanza "--- " 43base64 LF
 *   stanza = "-> " 1*VCHAR *( SP 1*VCHAR ) LF *( 64base64 LF ) *63base64 LF
 *
 * then 16 bytes of nonce, then chunks, each sealed; the last one says that it is. */
#include "proxy/record/age_wrap.h"

#include <openssl/crypto.h>
#include <stdlib.h>

enum { HEADER_MAX = 64 * 1024, BODY_LINE = 64 };

enum opening { OPEN_HEADER, OPEN_NONCE, OPEN_CHUNKS, OPEN_ENDED };

struct age_opener {
    const struct age_keys *keys;
    age_clear_call *call;
    void *to;
    enum opening state;
    uint64_t number;
    EVP_CIPHER_CTX *ctx;
    unsigned char file_key[AGE_FILE_KEY];
    size_t len, line;                 /* in buf; where the line begins that is being read */
    unsigned char buf[AGE_CHUNK + AGE_TAG], clear[AGE_CHUNK];
};

enum status age_opener_new(const struct age_keys *keys, age_clear_call *call, void *to, struct age_opener **out)
{
    struct age_opener *o = calloc(1, sizeof *o);
    if (o == NULL || (o->ctx = EVP_CIPHER_CTX_new()) == NULL) {
        free(o);
        return NO_MEMORY;
    }
    o->keys = keys;
    o->call = call;
    o->to = to;
    *out = o;
    return OK;
}

void age_opener_free(struct age_opener *o)
{
    if (o == NULL)
        return;
    EVP_CIPHER_CTX_free(o->ctx);
    OPENSSL_cleanse(o, sizeof *o);
    free(o);
}

/* ---- the header ---- */

static bool next_line(struct slice *rest, struct slice *line)
{
    size_t n = slice_find(*rest, '\n');
    if (n == rest->len)
        return false;
    *line = slice_of(rest->ptr, n);
    *rest = slice_from(*rest, n + 1);
    return true;
}

static bool is_b64(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = s.ptr[i], l = ascii_lower(c);
        if (!((l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/'))
            return false;
    }
    return true;
}

static bool is_visible(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < '!' || s.ptr[i] > '~')
            return false;
    return s.len > 0;
}

/* Try one of our keys on what was wrapped for it. */
static bool unwrap(struct age_opener *o, const struct age_key *key, const unsigned char share[32], const unsigned char wrapped[AGE_WRAPPED])
{
    static const unsigned char zeros[12];
    unsigned char wrap_key[32];
    EVP_PKEY *theirs = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, share, 32);
    bool good = theirs != NULL && age_wrap_key(key->secret, theirs, share, key->public_key, wrap_key) && age_aead_start(o->ctx, false, wrap_key)
                && age_aead_open(o->ctx, zeros, slice_of(wrapped, AGE_WRAPPED), o->file_key);
    EVP_PKEY_free(theirs);
    OPENSSL_cleanse(wrap_key, sizeof wrap_key);
    return good;
}

/* A stanza of another kind is for somebody else; of ours, an odd one makes the file bad. */
static enum status take_stanza(struct age_opener *o, struct slice args, struct slice *rest, bool *found, struct err *err)
{
    struct slice line, first = slice_of(NULL, 0), share_text = slice_of(NULL, 0);
    unsigned char share[32], wrapped[AGE_WRAPPED];
    size_t lines = 0, count = 0;
    bool visible = true;
    for (struct slice a = args; visible; count++) {
        size_t n = slice_find(a, ' ');
        struct slice word = slice_of(a.ptr, n);
        visible = is_visible(word);
        first = count == 0 ? word : first;
        share_text = count == 1 ? word : share_text;
        if (n == a.len)
            break;
        a = slice_from(a, n + 1);
    }
    struct slice body = slice_of(NULL, 0);
    do {
        if (!visible || !next_line(rest, &line) || line.len > BODY_LINE || !is_b64(line))
            return fail(err, BAD_INPUT, "its age header is damaged");
        body = lines++ == 0 ? line : body;
    } while (line.len == BODY_LINE);
    if (!slice_eq(first, SLICE("X25519")))
        return OK;
    if (count != 1 || lines != 1 || !age_b64_32_decode(share_text, share) || !age_b64_32_decode(body, wrapped))
        return fail(err, BAD_INPUT, "its age header is damaged");
    for (size_t i = 0; i < o->keys->count && !*found; i++)
        *found = unwrap(o, &o->keys->v[i], share, wrapped);
    return OK;
}

/* All of the header is in buf, from its first line to the one with the MAC. */
static enum status take_header(struct age_opener *o, struct slice header, struct err *err)
{
    struct slice rest = header, line;
    unsigned char mac[32], said[32];
    bool found = false;
    if (!slice_starts(rest, SLICE(AGE_INTRO)))
        return fail(err, BAD_INPUT, "it is no age file");
    rest = slice_from(rest, sizeof AGE_INTRO - 1);
    while (next_line(&rest, &line) && slice_starts(line, SLICE("-> "))) {
        enum status st = take_stanza(o, slice_from(line, 3), &rest, &found, err);
        if (st != OK)
            return st;
    }
    if (rest.len != 0 || !slice_starts(line, SLICE("--- ")) || !age_b64_32_decode(slice_from(line, 4), said))
        return fail(err, BAD_INPUT, "its age header is damaged");
    if (!found)
        return fail(err, REFUSED, "it is sealed to other auditors' keys than this one");
    struct slice covered = slice_of(header.ptr, (size_t)(line.ptr - header.ptr) + 3);
    if (!age_header_mac(o->file_key, covered, mac))
        return fail(err, NO_MEMORY, "opening");
    return CRYPTO_memcmp(mac, said, sizeof mac) == 0 ? OK : fail(err, BAD_INPUT, "its age header was altered");
}

/* Byte by byte to the end of the line that begins with "---": small, and the only way not to read too far. */
static enum status gather_header(struct age_opener *o, struct slice *in, struct err *err)
{
    while (in->len > 0) {
        unsigned char c = in->ptr[0];
        if (o->len == HEADER_MAX)
            return fail(err, BAD_INPUT, "it is no age file: its header has no end");
        o->buf[o->len++] = c;
        *in = slice_from(*in, 1);
        if (c != '\n')
            continue;
        bool last = slice_starts(slice_of(o->buf + o->line, o->len - o->line), SLICE("---"));
        bool first = o->line == 0;
        o->line = o->len;
        if (first && !slice_eq(slice_of(o->buf, o->len), SLICE(AGE_INTRO)))
            return fail(err, BAD_INPUT, "it is no age file");
        if (!last)
            continue;
        enum status st = take_header(o, slice_of(o->buf, o->len), err);
        o->len = 0;
        o->state = OPEN_NONCE;
        return st;
    }
    return OK;
}

/* ---- the chunks ---- */

static enum status take_nonce(struct age_opener *o, struct err *err)
{
    unsigned char key[32];
    bool good = age_hkdf(slice_of(o->file_key, sizeof o->file_key), slice_of(o->buf, AGE_NONCE), "payload", key) && age_aead_start(o->ctx, false, key);
    OPENSSL_cleanse(key, sizeof key);
    o->len = 0;
    o->state = OPEN_CHUNKS;
    return good ? OK : fail(err, NO_MEMORY, "opening");
}

static enum status take_chunk(struct age_opener *o, bool last, struct err *err)
{
    unsigned char nonce[12];
    age_chunk_nonce(o->number, last, nonce);
    if (o->len < AGE_TAG || !age_aead_open(o->ctx, nonce, slice_of(o->buf, o->len), o->clear))
        return fail(err, BAD_INPUT, last ? "it was altered or cut off after %llu bytes" : "it was altered after %llu bytes",
                    (unsigned long long)o->number * AGE_CHUNK);
    size_t n = o->len - AGE_TAG;
    if (n == 0 && o->number > 0)      /* only nothing at all ends with an empty chunk */
        return fail(err, BAD_INPUT, "it ends with an empty piece");
    o->number++;
    o->len = 0;
    return n > 0 ? o->call(o->to, slice_of(o->clear, n)) : OK;
}

enum status age_open_more(struct age_opener *o, struct slice sealed, struct err *err)
{
    enum status st = OK;
    while (sealed.len > 0 && st == OK) {
        if (o->state == OPEN_HEADER) {
            st = gather_header(o, &sealed, err);
            continue;
        }
        size_t max = o->state == OPEN_NONCE ? AGE_NONCE : sizeof o->buf;
        if (o->len == max) {          /* more comes, so it is not the last */
            st = take_chunk(o, false, err);
            continue;
        }
        size_t n = sealed.len < max - o->len ? sealed.len : max - o->len;
        memcpy(o->buf + o->len, sealed.ptr, n);
        o->len += n;
        sealed = slice_from(sealed, n);
        if (o->state == OPEN_NONCE && o->len == AGE_NONCE)
            st = take_nonce(o, err);
    }
    return st;
}

enum status age_open_end(struct age_opener *o, struct err *err)
{
    if (o->state != OPEN_CHUNKS)
        return fail(err, BAD_INPUT, "it is cut off in its age header");
    o->state = OPEN_ENDED;
    return take_chunk(o, true, err);
}
