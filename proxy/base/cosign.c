#include "proxy/base/cosign.h"

#include "proxy/base/codec.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum { RAW_LEN = 4 + 8 + 64, KEY_LEN = 33, ALG = 4 };
#define DASH "\u2014 "

/* Standard base64 of exactly `want` bytes, canonical. */
static bool decode(struct slice text, unsigned char *out, size_t want)
{
    unsigned char raw[RAW_LEN + 3], again[(RAW_LEN + 2) / 3 * 4 + 1];
    if (want > RAW_LEN || text.len != (want + 2) / 3 * 4 || EVP_DecodeBlock(raw, text.ptr, (int)text.len) < 0)
        return false;
    EVP_EncodeBlock(again, raw, (int)want);
    if (memcmp(again, text.ptr, text.len) != 0)
        return false;
    memcpy(out, raw, want);
    return true;
}

/* Printable, without what a line or a key is cut at. */
static bool name_ok(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] <= 0x20 || name.ptr[i] == 0x7f || name.ptr[i] == '+')
            return false;
    return name.len > 0 && name.len < COSIGN_NAME_MAX;
}

static void hash_of(struct slice name, const unsigned char key[KEY_LEN], unsigned char out[4])
{
    unsigned char hash[32];
    struct slice pieces[] = { name, SLICE("\n"), slice_of(key, KEY_LEN) };
    sha256(pieces, 3, hash);
    memcpy(out, hash, 4);
}

enum status witness_parse(struct slice vkey, struct witness *out, struct err *err)
{
    unsigned char key[KEY_LEN], want[4];
    char hex[9];
    struct witness w = { .name = "" };
    size_t plus = slice_find(vkey, '+');
    struct slice name = slice_of(vkey.ptr, plus), rest = plus < vkey.len ? slice_from(vkey, plus + 1) : slice_of(vkey.ptr, 0);
    if (!name_ok(name) || rest.len < 10 || rest.ptr[8] != '+' || !decode(slice_from(rest, 9), key, KEY_LEN))
        return fail(err, BAD_INPUT, "not NAME+HASH+KEY, as a witness gives it");
    if (key[0] != ALG)
        return fail(err, BAD_INPUT, "the key is not one for cosignatures (Ed25519 cosignature/v1, type 4)");
    hash_of(name, key, want);
    hex_encode(slice_of(want, 4), hex);
    if (memcmp(hex, rest.ptr, 8) != 0)
        return fail(err, BAD_INPUT, "the hash does not fit name and key: it was not copied whole");
    memcpy(w.name, name.ptr, name.len);
    memcpy(w.key_hash, want, 4);
    memcpy(w.public_key, key + 1, 32);
    *out = w;
    return OK;
}

bool witness_form(const char *vkey)
{
    struct witness w;
    return witness_parse(slice_str(vkey), &w, NULL) == OK;
}

/* The signed text with its last newline, and the lines after the empty one. */
static bool split(struct slice note, struct slice *text, struct slice *lines)
{
    const unsigned char *mark = note.len > 0 && note.len <= COSIGN_NOTE_MAX ? memmem(note.ptr, note.len, "\n\n", 2) : NULL;
    if (mark == NULL || note.ptr[note.len - 1] != '\n')
        return false;
    *text = slice_of(note.ptr, (size_t)(mark + 1 - note.ptr));
    *lines = slice_from(note, text->len + 1);
    return lines->len > 0;
}

static struct slice take_line(struct slice *s)
{
    size_t n = slice_find(*s, '\n');
    struct slice line = slice_of(s->ptr, n);
    *s = slice_from(*s, n < s->len ? n + 1 : n);
    return line;
}

static bool holds(const struct witness *w, struct slice text, uint64_t time_s, const unsigned char signature[64])
{
    unsigned char signed_text[COSIGN_NOTE_MAX + 64];
    int n = snprintf((char *)signed_text, 64, "cosignature/v1\ntime %llu\n", (unsigned long long)time_s);
    if (n <= 0 || text.len > COSIGN_NOTE_MAX)
        return false;
    memcpy(signed_text + n, text.ptr, text.len);
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, w->public_key, 32);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = key != NULL && ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1
                && EVP_DigestVerify(ctx, signature, 64, signed_text, (size_t)n + text.len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    if (!good)
        (void)ossl_reason();
    return good;
}

static uint64_t read64(const unsigned char *p)
{
    uint64_t v = 0;
    for (size_t i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

enum status cosignature_check(const struct witness *w, struct slice note, struct cosignature *out, struct err *err)
{
    struct slice text, lines, dash = SLICE(DASH), name = slice_str(w->name);
    struct cosignature found = { false, 0 };
    unsigned char raw[RAW_LEN];
    if (!split(note, &text, &lines))
        return fail(err, BAD_INPUT, "not a signed note");
    while (lines.len > 0) {
        struct slice line = take_line(&lines);
        if (!slice_starts(line, dash))
            return fail(err, BAD_INPUT, "the note has a line that is no signature");
        line = slice_from(line, dash.len);
        if (!slice_starts(line, name) || line.len <= name.len || line.ptr[name.len] != ' ' || !decode(slice_from(line, name.len + 1), raw, sizeof raw)
            || memcmp(raw, w->key_hash, 4) != 0)
            continue;
        uint64_t time_s = read64(raw + 4);
        if (time_s == 0 || time_s > (uint64_t)1 << 40 || !holds(w, text, time_s, raw + 12))
            return fail(err, BAD_TOKEN, "the cosignature of the witness '%s' does not hold over this checkpoint", w->name);
        if (!found.holds || (int64_t)time_s > found.time_s)
            found = (struct cosignature){ true, (int64_t)time_s };
    }
    *out = found;
    return OK;
}

static bool has_line(struct slice lines, struct slice wanted)
{
    while (lines.len > 0)
        if (slice_eq(take_line(&lines), wanted))
            return true;
    return false;
}

enum status cosign_merge(struct slice a, struct slice b, char **out, struct err *err)
{
    struct slice text, lines, other_text, other;
    if (!split(a, &text, &lines) || !split(b, &other_text, &other) || !slice_eq(text, other_text))
        return fail(err, BAD_INPUT, "the two notes are not about the same checkpoint");
    char *note = malloc(a.len + b.len + 1);
    if (note == NULL)
        return fail(err, NO_MEMORY, "note");
    size_t n = a.len;
    memcpy(note, a.ptr, a.len);
    while (other.len > 0) {
        struct slice line = take_line(&other);
        if (has_line(lines, line))
            continue;
        memcpy(note + n, line.ptr, line.len);
        n += line.len;
        note[n++] = '\n';
    }
    note[n] = 0;
    if (n > COSIGN_NOTE_MAX) {
        free(note);
        return fail(err, FULL, "the checkpoint has more cosignatures than %d bytes hold", COSIGN_NOTE_MAX);
    }
    *out = note;
    return OK;
}
