#include "proxy/http/cookie_tie.h"

#include "proxy/base/codec.h"
#include "proxy/http/syntax.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

static const struct slice prefix = SLICE_INIT("cs1.");
enum { TAG_BYTES = 16, PREFIX_LEN = 4, MARK_LEN = PREFIX_LEN + COOKIE_TAG_LEN + 1 };   /* "cs1.", the tag, "." */

/* ---- the tag ---- */

static bool put_part(unsigned char **at, const unsigned char *end, struct slice part)
{
    if ((size_t)(end - *at) < part.len + 8)
        return false;
    for (unsigned i = 0; i < 8; i++)
        *(*at)++ = (unsigned char)((uint64_t)part.len >> (56 - 8 * i));
    if (part.len > 0)
        memcpy(*at, part.ptr, part.len);
    *at += part.len;
    return true;
}

/* Each part with its length before it: no two lists have one text. */
static enum status make_tag(const struct cookie_tie *t, struct slice name, struct slice value, struct arena *arena, char out[COOKIE_TAG_LEN + 1])
{
    const struct slice parts[] = { SLICE("countersign cookie tie v1"), t->tool, t->identity, name, value };
    size_t most = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        most += parts[i].len + 8;
    unsigned char *text = arena_alloc(arena, most), *at = text, mac[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (text == NULL)
        return NO_MEMORY;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!put_part(&at, text + most, parts[i]))
            abort();
    if (HMAC(EVP_sha256(), t->key, 32, text, most, mac, &len) == NULL || len < TAG_BYTES)
        return NO_MEMORY;
    b64url_encode(slice_of(mac, TAG_BYTES), out);
    OPENSSL_cleanse(mac, sizeof mac);
    return OK;
}

/* ---- names ---- */

/* The next character as the most generous tool would read it: escapes decoded, one case, all marks one mark. */
static unsigned char plain_char(struct slice *s)
{
    unsigned char c = s->ptr[0];
    size_t used = 1;
    if (c == '%' && s->len >= 3 && hex_digit(s->ptr[1]) >= 0 && hex_digit(s->ptr[2]) >= 0) {
        c = (unsigned char)(hex_digit(s->ptr[1]) * 16 + hex_digit(s->ptr[2]));
        used = 3;
    }
    *s = slice_from(*s, used);
    c = ascii_lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '_';
}

/* "+" and escapes of spaces before a name: some decode them and take them off. */
static struct slice without_lead(struct slice s)
{
    while (s.len > 0) {
        int high = s.len >= 3 && s.ptr[0] == '%' ? hex_digit(s.ptr[1]) : -1, low = high >= 0 ? hex_digit(s.ptr[2]) : -1, c = low >= 0 ? high * 16 + low : -1;
        if (s.ptr[0] != '+' && (c < 0 || (c > ' ' && c < 0x7f)))
            break;
        s = slice_from(s, s.ptr[0] == '+' ? 1 : 3);
    }
    return s;
}

/* Could a tool take `name` for one of that pattern? What follows as no part of a plain name does not make it another one: PHP reads "name[0]" as an array of
 * that name, others cut it at a space. */
static bool looks_tied(struct slice name, struct slice pattern)
{
    name = without_lead(name);
    while (pattern.len > 0 && pattern.ptr[0] != '*') {
        if (name.len == 0 || plain_char(&name) != plain_char(&pattern))
            return false;
    }
    return pattern.len > 0 || name.len == 0 || name.ptr[0] == '%' || !char_is(name.ptr[0], CHAR_TOKEN);
}

static bool any_looks_tied(const struct cookie_tie *t, struct slice name)
{
    for (size_t i = 0; i < t->name_count; i++)
        if (looks_tied(name, slice_str(t->names[i])))
            return true;
    return false;
}

/* Exactly: for what the tool itself sets. */
static bool is_tied(const struct cookie_tie *t, struct slice name)
{
    for (size_t i = 0; i < t->name_count; i++) {
        struct slice pattern = slice_str(t->names[i]);
        size_t star = slice_find(pattern, '*');
        struct slice start = slice_of(pattern.ptr, star);
        if (star < pattern.len ? slice_starts(name, start) : slice_eq(name, pattern))
            return true;
    }
    return false;
}

/* ---- towards the browser ---- */

enum status cookie_tie_set(const struct cookie_tie *t, struct slice value, struct arena *arena, struct slice *out)
{
    size_t pair_len = slice_find(value, ';'), equals = slice_find(slice_of(value.ptr, pair_len), '=');
    char tag[COOKIE_TAG_LEN + 1];
    *out = value;
    if (equals == pair_len)
        return OK;                    /* no name: browsers send it as a value only, which names no cookie of the tool's */
    struct slice name = slice_trim(slice_of(value.ptr, equals)), is = slice_trim(slice_of(value.ptr + equals + 1, pair_len - equals - 1));
    if (!is_tied(t, name))
        return OK;
    struct slice rest = slice_from(value, pair_len);
    unsigned char *text = arena_alloc(arena, name.len + 1 + MARK_LEN + is.len + rest.len + 1), *p = text;
    if (text == NULL || make_tag(t, name, is, arena, tag) != OK)
        return NO_MEMORY;
    const struct slice parts[] = { name, SLICE("="), prefix, slice_of(tag, COOKIE_TAG_LEN), SLICE("."), is, rest };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].len > 0)
            memcpy(p, parts[i].ptr, parts[i].len);
        p += parts[i].len;
    }
    *out = slice_of(text, (size_t)(p - text));
    return OK;
}

/* ---- towards the tool ---- */

/* Of "cs1.TAG.VALUE" with the right tag, VALUE. */
static enum status untag(const struct cookie_tie *t, struct slice name, struct slice value, struct arena *arena, struct slice *out, bool *good)
{
    char tag[COOKIE_TAG_LEN + 1];
    *good = false;
    if (value.len < MARK_LEN || !slice_starts(value, prefix) || value.ptr[MARK_LEN - 1] != '.')
        return OK;
    *out = slice_from(value, MARK_LEN);
    enum status st = make_tag(t, name, *out, arena, tag);
    *good = st == OK && CRYPTO_memcmp(value.ptr + PREFIX_LEN, tag, COOKIE_TAG_LEN) == 0;
    return st;
}

/* Some servers also split at commas (RFC 2109), take any Unicode space off a name, or end a cookie at a quote: what could be read as a tied cookie in any of these ways is
 * none that we can answer for. */
static bool hides_tied(const struct cookie_tie *t, struct slice part)
{
    size_t equals = slice_find(part, '=');
    for (size_t i = 0; i < part.len; i++) {
        unsigned char before = i > 0 ? part.ptr[i - 1] : ',';
        if (before != ',' && before != '"' && before != ' ' && before != '\t' && before < 0x7f)
            continue;
        if (equals < i)
            equals = i + slice_find(slice_from(part, i), '=');   /* forward only: linear in all */
        if (equals == part.len && i > 0)
            break;                    /* nothing that could be a name and a value follows */
        if (equals > i && any_looks_tied(t, slice_of(part.ptr + i, equals - i)))
            return true;
    }
    return false;
}

enum verdict_on { PASSES, TAKEN_OFF, DROPPED };

static enum status judge(const struct cookie_tie *t, struct slice part, struct arena *arena, struct slice *value, enum verdict_on *out)
{
    size_t equals = slice_find(part, '=');
    struct slice name = slice_trim(slice_of(part.ptr, equals));
    bool good = false;
    *out = hides_tied(t, part) ? DROPPED : PASSES;
    if (equals == part.len || !is_tied(t, name))
        return OK;
    enum status st = untag(t, name, slice_trim(slice_from(part, equals + 1)), arena, value, &good);
    *out = good ? TAKEN_OFF : DROPPED;
    return st;
}

static unsigned char *append(unsigned char *p, const unsigned char *start, struct slice a, struct slice b)
{
    if (p != start) {
        *p++ = ';';
        *p++ = ' ';
    }
    memcpy(p, a.ptr, a.len);
    p += a.len;
    if (b.len > 0)
        memcpy(p, b.ptr, b.len);
    return p + b.len;
}

enum status cookie_tie_take(const struct cookie_tie *t, struct slice value, struct arena *arena, struct slice *out, unsigned *dropped)
{
    unsigned char *text = arena_alloc(arena, 2 * value.len + 1), *p = text;
    if (text == NULL)
        return NO_MEMORY;
    while (value.len > 0) {
        size_t end = slice_find(value, ';');
        struct slice part = slice_trim(slice_of(value.ptr, end)), is = { 0 };
        enum verdict_on v = PASSES;
        if (part.len > 0) {
            enum status st = judge(t, part, arena, &is, &v);
            if (st != OK)
                return st;
            *dropped += v == DROPPED;
            if (v == PASSES)
                p = append(p, text, part, (struct slice){ 0 });
            else if (v == TAKEN_OFF)
                p = append(p, text, slice_of(part.ptr, slice_find(part, '=') + 1), is);
        }
        value = slice_from(value, end < value.len ? end + 1 : end);
    }
    *out = slice_of(text, (size_t)(p - text));
    return OK;
}
