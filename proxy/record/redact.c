#include "proxy/record/redact.h"

#include "proxy/base/codec.h"

#include <openssl/crypto.h>
#include <stdlib.h>

/* Fingerprints: HMAC (RFC 2104). Hashing a block of key again costs less than copying a context that has it behind it, which OpenSSL 3 allocates anew each time. */

static void padded_key(const unsigned char key[32], unsigned char pad, unsigned char out[FINGERPRINT_BLOCK])
{
    memset(out, pad, FINGERPRINT_BLOCK);
    for (size_t i = 0; i < 32; i++)
        out[i] ^= key[i];
}

enum status fingerprint_init(struct fingerprint *f, const unsigned char key[32], struct err *err)
{
    *f = (struct fingerprint){ .md = EVP_MD_fetch(NULL, "SHA256", NULL), .work = EVP_MD_CTX_new() };
    padded_key(key, 0x36, f->inner);
    padded_key(key, 0x5c, f->outer);
    if (f->md != NULL && f->work != NULL)
        return OK;
    fingerprint_done(f);
    return fail(err, NO_MEMORY, "fingerprint key");
}

void fingerprint_done(struct fingerprint *f)
{
    EVP_MD_CTX_free(f->work);
    EVP_MD_free(f->md);
    OPENSSL_cleanse(f, sizeof *f);
}

static bool start(const struct fingerprint *f, EVP_MD_CTX *ctx, const unsigned char block[FINGERPRINT_BLOCK])
{
    return EVP_DigestInit_ex2(ctx, f->md, NULL) == 1 && EVP_DigestUpdate(ctx, block, FINGERPRINT_BLOCK) == 1;
}

static void finish_outer(const struct fingerprint *f, unsigned char mac[32])
{
    if (!start(f, f->work, f->outer) || EVP_DigestUpdate(f->work, mac, 32) != 1 || EVP_DigestFinal_ex(f->work, mac, NULL) != 1)
        abort();   /* without a digest a secret would be kept or evidence lost */
}

void fingerprint_text(const struct fingerprint *f, struct slice value, char out[FINGERPRINT_TEXT])
{
    unsigned char mac[32];
    if (!start(f, f->work, f->inner) || EVP_DigestUpdate(f->work, value.len ? value.ptr : mac, value.len) != 1
        || EVP_DigestFinal_ex(f->work, mac, NULL) != 1)
        abort();
    finish_outer(f, mac);
    memcpy(out, "fp:", 3);
    b64url_encode(slice_of(mac, 12), out + 3);
}

EVP_MD_CTX *fingerprint_begin(const struct fingerprint *f)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx != NULL && start(f, ctx, f->inner))
        return ctx;
    EVP_MD_CTX_free(ctx);
    return NULL;
}

void fingerprint_end(const struct fingerprint *f, EVP_MD_CTX *ctx, unsigned char out[32])
{
    if (EVP_DigestFinal_ex(ctx, out, NULL) != 1)
        abort();
    EVP_MD_CTX_free(ctx);
    finish_outer(f, out);
}

/* Names. */

/* What a byte of a name counts as: letters without their case, and 0 for all that is no letter, digit, '_' or byte of UTF-8. Each byte of each key of each body is looked up. */
static const unsigned char folded[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 0, 0, 0, 0, 0, 0,
    0, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111,
    112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 0, 0, 0, 0, 95,
    0, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111,
    112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 0, 0, 0, 0, 0,
    128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 139, 140, 141, 142, 143,
    144, 145, 146, 147, 148, 149, 150, 151, 152, 153, 154, 155, 156, 157, 158, 159,
    160, 161, 162, 163, 164, 165, 166, 167, 168, 169, 170, 171, 172, 173, 174, 175,
    176, 177, 178, 179, 180, 181, 182, 183, 184, 185, 186, 187, 188, 189, 190, 191,
    192, 193, 194, 195, 196, 197, 198, 199, 200, 201, 202, 203, 204, 205, 206, 207,
    208, 209, 210, 211, 212, 213, 214, 215, 216, 217, 218, 219, 220, 221, 222, 223,
    224, 225, 226, 227, 228, 229, 230, 231, 232, 233, 234, 235, 236, 237, 238, 239,
    240, 241, 242, 243, 244, 245, 246, 247, 248, 249, 250, 251, 252, 253, 254, 255,
};

static bool is_word(unsigned char c)
{
    return folded[c] != 0;
}

static unsigned char fold(unsigned char c)
{
    return folded[c] != 0 ? folded[c] : '_';
}

/* Two bytes of a name, folded, as a number: enough to tell that no name begins there. After a name of one byte, or at the end of a key, comes a '_'. */
static unsigned char begin_of(unsigned char first, unsigned char second)
{
    return (unsigned char)(first * 7 + second);
}

enum status secret_names_copy(char *const *names, size_t count, struct arena *arena, struct secret_names *out)
{
    struct slice *v = count ? arena_alloc(arena, count * sizeof *v) : NULL;
    uint64_t begins[4] = { 0 };
    if (count > 0 && v == NULL)
        return NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(names[i]);
        unsigned char *text = arena_alloc(arena, n + 1);
        if (text == NULL)
            return NO_MEMORY;
        for (size_t k = 0; k < n; k++)
            text[k] = fold((unsigned char)names[i][k]);
        v[i] = slice_of(text, n);
        if (n > 0) {
            unsigned char pair = begin_of(text[0], n > 1 ? text[1] : '_');
            begins[pair / 64] |= UINT64_C(1) << pair % 64;
        }
    }
    *out = (struct secret_names){ .v = v, .count = count };
    memcpy(out->begins, begins, sizeof begins);
    return OK;
}

static bool name_at(struct slice key, size_t at, struct slice name)
{
    if (name.len == 0 || name.len > key.len - at || (at + name.len < key.len && is_word(key.ptr[at + name.len])))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (fold(key.ptr[at + i]) != name.ptr[i])
            return false;
    return true;
}

static bool name_begins(const struct secret_names *names, struct slice key, size_t at)
{
    unsigned char pair = begin_of(fold(key.ptr[at]), at + 1 < key.len ? fold(key.ptr[at + 1]) : '_');
    if (!(names->begins[pair / 64] >> pair % 64 & 1))
        return false;
    for (size_t i = 0; i < names->count; i++)
        if (name_at(key, at, names->v[i]))
            return true;
    return false;
}

/* The highest bit of each of eight bytes: is it one of lo to hi, both ASCII? */
static uint64_t between(uint64_t v, unsigned char lo, unsigned char hi)
{
    const uint64_t ones = 0x0101010101010101u, low = 0x7f7f7f7f7f7f7f7fu;
    return ((v & low) + ones * (0x80u - lo)) & ~((v & low) + ones * (0x7fu - hi)) & ~v;
}

/* The highest bit of each of the eight bytes from `at` on, those behind the end left out: is it a byte of a word (folded)? The first byte is the lowest, on every machine. */
static uint64_t words_at(struct slice key, size_t at)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    uint64_t v = 0;
    if (key.len - at >= sizeof v)
        memcpy(&v, key.ptr + at, sizeof v);
    else
        memcpy(&v, key.ptr + at, key.len - at);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return (between(v | ones * 0x20, 'a', 'z') | between(v, '0', '9') | between(v, '_', '_') | v) & highs;
}

/* Names begin where a word does, or with what is no word: anywhere but behind a byte of the same word. */
bool secret_name(const struct secret_names *names, struct slice key)
{
    const uint64_t highs = 0x8080808080808080u;
    if (key.len > REDACT_KEY_MAX)
        return true;
    for (uint64_t at = 0, before = 0; at < key.len; at += 8) {
        uint64_t words = words_at(key, at), starts = ~(words & (words << 8 | before)) & highs;
        before = words >> 56;
        if (key.len - at < 8)
            starts &= (UINT64_C(1) << (key.len - at) * 8) - 1;
        for (; starts != 0; starts &= starts - 1)
            if (name_begins(names, key, at + (size_t)__builtin_ctzll(starts) / 8))
                return true;
    }
    return false;
}

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t redact_decode(unsigned char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = text[i];
        if (c == '%' && len - i > 2 && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0) {
            c = (unsigned char)(hex_digit(text[i + 1]) << 4 | hex_digit(text[i + 2]));
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        text[n++] = c;
    }
    return n;
}

/* Queries. */

static bool holds(struct slice s, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= s.len; i++)
        if (slice_ieq(slice_of(s.ptr + i, n), slice_of(word, n)))
            return true;
    return false;
}

/* A password is short enough to be guessed from its fingerprint by whoever gets the key: it leaves no trace at all. */
static bool is_password(struct slice key)
{
    return holds(key, "pass") || holds(key, "pwd") || holds(key, "pin");
}

static void put_fingerprint(const struct fingerprint *f, struct slice value, const struct redact_out *out)
{
    char text[FINGERPRINT_TEXT];
    fingerprint_text(f, value, text);
    redact_put(out, slice_of(text, FINGERPRINT_TEXT - 1));
}

static size_t find_any(struct slice s, const char *stops)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] != 0 && strchr(stops, s.ptr[i]) != NULL)
            return i;
    return s.len;
}

/* One key and value at the start of s; returns what it took. A tool may split at ';' or not: for finding names it always splits, and what is
 * taken out always reaches to the next '&', so that neither reading leaves a secret behind. */
static size_t redact_pair(const struct fingerprint *f, const struct secret_names *names, struct slice s, bool url,
                          const struct redact_out *out)
{
    unsigned char decoded[REDACT_KEY_MAX];
    size_t eq = find_any(s, url ? "=&;?#" : "=&;");
    if (eq == s.len || s.ptr[eq] != '=') {
        redact_put(out, slice_of(s.ptr, eq));
        return eq;
    }
    struct slice key = slice_of(s.ptr, eq), rest = slice_from(s, eq + 1);
    if (key.len <= sizeof decoded) {
        if (key.len)
            memcpy(decoded, key.ptr, key.len);
        key = slice_of(decoded, redact_decode(decoded, key.len));
    }
    redact_put(out, slice_of(s.ptr, eq + 1));
    bool secret = secret_name(names, key);
    size_t end = find_any(rest, secret ? (url ? "&#" : "&") : (url ? "&;?#" : "&;"));
    if (!secret)
        redact_put(out, slice_of(rest.ptr, end));
    else if (end > 0 && is_password(key))
        redact_put(out, SLICE(REDACT_REMOVED));
    else if (end > 0)
        put_fingerprint(f, slice_of(rest.ptr, end), out);
    return eq + 1 + end;
}

static void redact_pairs(const struct fingerprint *f, const struct secret_names *names, struct slice s, bool url,
                         const struct redact_out *out)
{
    while (s.len > 0) {
        s = slice_from(s, redact_pair(f, names, s, url, out));
        if (s.len > 0) {
            redact_put(out, slice_of(s.ptr, 1));
            s = slice_from(s, 1);
        }
    }
}

void redact_query(const struct fingerprint *f, const struct secret_names *names, struct slice query, const struct redact_out *out)
{
    redact_pairs(f, names, query, false, out);
}

/* Fields. */

static void field_whole(const struct fingerprint *f, struct slice v, const struct redact_out *out)
{
    put_fingerprint(f, v, out);
}

/* "Basic dXNlcjpwdw==": a scheme that is known stays; any other first word may be the secret itself. */
static void field_scheme(const struct fingerprint *f, struct slice v, const struct redact_out *out)
{
    static const char *const schemes[] = { "basic", "bearer", "digest", "negotiate", "ntlm", "token", "apikey", "dpop", "hawk",
                                           "gnap", "aws4-hmac-sha256" };
    struct slice word = slice_of(v.ptr, slice_find(v, ' '));
    for (size_t i = 0; word.len < v.len && i < sizeof schemes / sizeof schemes[0]; i++)
        if (slice_ieq(word, slice_str(schemes[i]))) {
            redact_put(out, slice_of(v.ptr, word.len + 1));
            v = slice_trim(slice_from(v, word.len + 1));
            break;
        }
    put_fingerprint(f, v, out);
}

/* One "name=value"; without '=' it is all value. */
static void put_cookie(const struct fingerprint *f, struct slice pair, const struct redact_out *out)
{
    size_t eq = slice_find(pair, '=');
    size_t keep = eq == pair.len ? 0 : eq + 1;
    redact_put(out, slice_of(pair.ptr, keep));
    if (keep < pair.len)
        put_fingerprint(f, slice_from(pair, keep), out);
}

static void field_cookie(const struct fingerprint *f, struct slice v, const struct redact_out *out)
{
    while (v.len > 0) {
        size_t end = slice_find(v, ';');
        put_cookie(f, slice_trim(slice_of(v.ptr, end)), out);
        v = slice_from(v, end);
        if (v.len > 0) {
            redact_put(out, SLICE("; "));
            v = slice_from(v, 1);
        }
    }
}

/* The attributes after the first ';' are no secret. */
static void field_set_cookie(const struct fingerprint *f, struct slice v, const struct redact_out *out)
{
    size_t end = slice_find(v, ';');
    put_cookie(f, slice_trim(slice_of(v.ptr, end)), out);
    redact_put(out, slice_from(v, end));
}

/* "https://user:password@host/path?query#fragment" */
static void field_url(const struct fingerprint *f, const struct secret_names *names, struct slice v, const struct redact_out *out)
{
    size_t tail = find_any(v, "?#"), host = 0, at = tail;
    for (size_t i = 2; i < tail && host == 0; i++)
        if (v.ptr[i - 1] == '/' && v.ptr[i - 2] == '/')
            host = i;
    for (size_t i = host; i < tail && (i == host || v.ptr[i - 1] != '/'); i++)
        if (v.ptr[i] == '@')
            at = i;
    if (host > 0 && at < tail) {
        redact_put(out, slice_of(v.ptr, host));
        put_fingerprint(f, slice_of(v.ptr + host, at - host), out);
        redact_put(out, slice_of(v.ptr + at, tail - at));
    } else {
        redact_put(out, slice_of(v.ptr, tail));
    }
    redact_pairs(f, names, slice_from(v, tail), true, out);
}

static const struct {
    struct slice name;
    void (*redact)(const struct fingerprint *f, struct slice v, const struct redact_out *out);
} credentials[] = {
    { SLICE_INIT("authorization"), field_scheme },
    { SLICE_INIT("proxy-authorization"), field_scheme },
    { SLICE_INIT("cookie"), field_cookie },
    { SLICE_INIT("cookie2"), field_cookie },
    { SLICE_INIT("set-cookie"), field_set_cookie },
    { SLICE_INIT("set-cookie2"), field_set_cookie },
    { SLICE_INIT("authentication-info"), field_whole },
    { SLICE_INIT("proxy-authentication-info"), field_whole },
    { SLICE_INIT("countersign-grant"), field_whole },
    { SLICE_INIT("countersign-assertion"), field_whole },
    { SLICE_INIT("x-api-key"), field_whole },
    { SLICE_INIT("api-key"), field_whole },
    { SLICE_INIT("apikey"), field_whole },
    { SLICE_INIT("x-apikey"), field_whole },
    { SLICE_INIT("x-auth"), field_whole },
    { SLICE_INIT("x-auth-token"), field_whole },
    { SLICE_INIT("x-auth-key"), field_whole },
    { SLICE_INIT("x-access-token"), field_whole },
    { SLICE_INIT("x-session-token"), field_whole },
    { SLICE_INIT("x-csrftoken"), field_whole },
    { SLICE_INIT("x-csrf-token"), field_whole },
    { SLICE_INIT("x-xsrf-token"), field_whole },
    { SLICE_INIT("x-amz-security-token"), field_whole },
    { SLICE_INIT("x-goog-api-key"), field_whole },
    { SLICE_INIT("x-goog-iam-authorization-token"), field_whole },
    { SLICE_INIT("x-vault-token"), field_whole },
    { SLICE_INIT("x-gitlab-token"), field_whole },
    { SLICE_INIT("private-token"), field_whole },
    { SLICE_INIT("job-token"), field_whole },
    { SLICE_INIT("x-forwarded-access-token"), field_whole },
    { SLICE_INIT("x-shopify-access-token"), field_whole },
};

/* By first letter and length, as most fields are none. The table above holds no other: credentials_are_found, a test, goes through it. */
static bool may_be_credential(struct slice name)
{
    static const uint64_t lengths[256] = {
        ['a'] = 1u << 6 | 1u << 7 | 1u << 13 | 1u << 19, ['c'] = 1u << 6 | 1u << 7 | 1u << 17 | 1u << 21, ['j'] = 1u << 9, ['p'] = 1u << 13 | 1u << 19 | 1u << 25,
        ['s'] = 1u << 10 | 1u << 11,
        ['x'] = 1u << 6 | 1u << 8 | 1u << 9 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 15 | 1u << 20 | 1u << 22 | 1u << 24 | UINT64_C(1) << 30,
    };
    return name.len > 0 && name.len < 64 && (lengths[ascii_lower(name.ptr[0])] >> name.len & 1);
}

void redact_field(const struct fingerprint *f, const struct secret_names *names, struct slice name, struct slice value,
                  const struct redact_out *out)
{
    if (value.len == 0)
        return;
    bool may_be = may_be_credential(name);
    for (size_t i = 0; may_be && i < sizeof credentials / sizeof credentials[0]; i++)
        if (slice_ieq(name, credentials[i].name)) {
            credentials[i].redact(f, value, out);
            return;
        }
    if (slice_ieq(name, SLICE("referer")) || slice_ieq(name, SLICE("location")) || slice_ieq(name, SLICE("content-location")))
        field_url(f, names, value, out);
    else if (secret_name(names, name))
        put_fingerprint(f, value, out);
    else
        redact_put(out, value);
}
