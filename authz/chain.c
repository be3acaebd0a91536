#include "authz/chain.h"

#include "proxy/base/codec.h"

#include <stdio.h>
#include <stdlib.h>

enum { SIGNED_LEN = 4 + 64, SIGNED_B64 = (SIGNED_LEN + 2) / 3 * 4, HEAD_B64 = 44, NAME_MAX_LEN = 96 };

void chain_content_digest(const unsigned char salt[CHAIN_SALT_LEN], struct slice content, unsigned char out[32])
{
    struct slice pieces[] = { slice_of(salt, CHAIN_SALT_LEN), content };
    sha256(pieces, 2, out);
}

enum status chain_append(struct tree *t, const char *type, int64_t time_ms, const unsigned char content_digest[32], unsigned char (*done)[32],
                         size_t *done_out)
{
    char entry[TREE_ENTRY_MAX];
    unsigned char leaf[32];
    size_t len = tree_entry(type, time_ms, content_digest, entry);
    if (len == 0)
        return BAD_INPUT;
    tree_leaf_hash(slice_of(entry, len), leaf);
    size_t n = tree_append(t, leaf, done);
    if (done_out != NULL)
        *done_out = n;
    return OK;
}

struct chain_head chain_head_of(const struct tree *t)
{
    struct chain_head head = { .seq = t->size };
    tree_root(t, head.hash);
    return head;
}

/* First four bytes of SHA-256(name || "\n" || 0x01 || key): C2SP signed-note, Ed25519. */
static void note_key_hash(const char *name, const unsigned char public_key[32], unsigned char out[4])
{
    unsigned char hash[32];
    struct slice pieces[] = { slice_str(name), SLICE("\n\001"), slice_of(public_key, 32) };
    sha256(pieces, 3, hash);
    memcpy(out, hash, 4);
}

/* The three lines that are signed. Returns their length, or -1. */
static int note_text(const char *name, const struct chain_head *head, char out[CHAIN_NOTE_MAX])
{
    unsigned char b64[HEAD_B64 + 1];
    EVP_EncodeBlock(b64, head->hash, 32);
    int n = snprintf(out, CHAIN_NOTE_MAX, "%s\n%llu\n%s\n", name, (unsigned long long)head->seq, (const char *)b64);
    return n < CHAIN_NOTE_MAX ? n : -1;
}

static bool note_name(const char *instance, char out[NAME_MAX_LEN])
{
    int n = snprintf(out, NAME_MAX_LEN, "countersign/%s", instance);
    return n > 0 && n < NAME_MAX_LEN && strpbrk(instance, " \n+") == NULL && instance[0] != 0;
}

enum status chain_note_sign(EVP_PKEY *key, const char *instance, const struct chain_head *head, char **out, struct err *err)
{
    char name[NAME_MAX_LEN], text[CHAIN_NOTE_MAX];
    unsigned char raw[SIGNED_LEN], public_key[32], b64[SIGNED_B64 + 1];
    size_t key_len = sizeof public_key, len = 64;
    int n = note_name(instance, name) ? note_text(name, head, text) : -1;
    if (n < 0)
        return fail(err, BAD_INPUT, "the instance name does not fit a signed note");
    if (EVP_PKEY_get_raw_public_key(key, public_key, &key_len) != 1 || key_len != 32)
        return fail(err, BAD_CONFIG, "the log key is not Ed25519");
    note_key_hash(name, public_key, raw);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1
                && EVP_DigestSign(ctx, raw + 4, &len, (const unsigned char *)text, (size_t)n) == 1 && len == 64;
    EVP_MD_CTX_free(ctx);
    if (!good)
        return fail(err, BAD_CONFIG, "cannot sign the head of the log: %s", ossl_reason());
    EVP_EncodeBlock(b64, raw, sizeof raw);
    return asprintf(out, "%s\n\u2014 %s %s\n", text, name, (const char *)b64) < 0 ? fail(err, NO_MEMORY, "note") : OK;
}

enum status chain_note_vkey(const unsigned char public_key[32], const char *instance, char out[CHAIN_NOTE_MAX])
{
    char name[NAME_MAX_LEN];
    unsigned char hash[4], raw[33], b64[45];
    if (!note_name(instance, name))
        return BAD_INPUT;
    note_key_hash(name, public_key, hash);
    raw[0] = 1;                       /* Ed25519 */
    memcpy(raw + 1, public_key, 32);
    EVP_EncodeBlock(b64, raw, sizeof raw);
    int n = snprintf(out, CHAIN_NOTE_MAX, "%s+%02x%02x%02x%02x+%s", name, hash[0], hash[1], hash[2], hash[3], (const char *)b64);
    return n < CHAIN_NOTE_MAX ? OK : BAD_INPUT;
}

static bool take(struct slice *s, struct slice prefix)
{
    if (!slice_starts(*s, prefix))
        return false;
    *s = slice_from(*s, prefix.len);
    return true;
}

static struct slice take_line(struct slice *s)
{
    size_t n = slice_find(*s, '\n');
    struct slice line = slice_of(s->ptr, n);
    *s = slice_from(*s, n < s->len ? n + 1 : n);
    return line;
}

/* Standard base64, canonical: decoding and encoding again must give the same text. */
static bool decode_b64(struct slice text, unsigned char *out, size_t want)
{
    unsigned char raw[SIGNED_LEN + 3], again[SIGNED_B64 + 5];
    if (want > SIGNED_LEN || text.len != (want + 2) / 3 * 4 || EVP_DecodeBlock(raw, text.ptr, (int)text.len) < 0)
        return false;
    EVP_EncodeBlock(again, raw, (int)want);
    if (memcmp(again, text.ptr, text.len) != 0)
        return false;
    memcpy(out, raw, want);
    return true;
}

static bool read_seq(struct slice line, uint64_t *out)
{
    uint64_t n = 0;
    if (line.len == 0 || line.len > 16 || (line.len > 1 && line.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < line.len; i++) {
        unsigned digit = line.ptr[i] - (unsigned)'0';
        if (digit > 9)
            return false;
        n = n * 10 + digit;
    }
    *out = n;
    return true;
}

static bool signature_holds(const unsigned char public_key[32], struct slice text, const unsigned char signature[64])
{
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, 32);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = key != NULL && ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1
                && EVP_DigestVerify(ctx, signature, 64, text.ptr, text.len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    if (!good)
        (void)ossl_reason();
    return good;
}

enum status chain_note_verify(const unsigned char public_key[32], const char *instance, struct slice note, struct chain_head *out,
                              struct err *err)
{
    char name[NAME_MAX_LEN];
    unsigned char hash[4], raw[SIGNED_LEN];
    struct chain_head head;
    struct slice rest = note;
    if (!note_name(instance, name) || note.len > 16 * 1024 || !take(&rest, slice_str(name)) || !take(&rest, SLICE("\n"))
        || !read_seq(take_line(&rest), &head.seq) || !decode_b64(take_line(&rest), head.hash, 32))
        return fail(err, BAD_TOKEN, "the note is not a head of this instance's log");
    struct slice text = slice_of(note.ptr, (size_t)(rest.ptr - note.ptr));
    if (!take(&rest, SLICE("\n")))
        return fail(err, BAD_TOKEN, "the note has no empty line before its signatures");
    if (rest.len == 0 || rest.ptr[rest.len - 1] != '\n')
        return fail(err, BAD_TOKEN, "the note is cut off");
    bool good = false;
    note_key_hash(name, public_key, hash);
    while (rest.len > 0) {
        struct slice line = take_line(&rest);
        if (!take(&line, SLICE("\u2014 ")))
            return fail(err, BAD_TOKEN, "the note has a line that is no signature");
        if (!good && take(&line, slice_str(name)) && take(&line, SLICE(" ")))   /* others are witnesses' */
            good = decode_b64(line, raw, sizeof raw) && memcmp(raw, hash, 4) == 0 && signature_holds(public_key, text, raw + 4);
    }
    if (good) {
        *out = head;
        return OK;
    }
    return fail(err, BAD_TOKEN, "the note is not signed by this instance's log key");
}
