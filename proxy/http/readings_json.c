/* JSON (RFC 8259), read for its leaves. Our own reader, since every duplicate member has to count and each library keeps one. Strict: what parsers
 * read differently (a byte order mark, NUL, lone surrogates, comments, trailing commas, bad UTF-8) is no JSON here. */
#include "proxy/http/readings_internal.h"

#include "proxy/http/syntax.h"

#include <stdio.h>
#include <stdlib.h>

enum { DEPTH_MAX = 64, NUMBER_MAX = 64 };

struct reader {
    const unsigned char *p, *end;
    struct arena *arena;
    struct readings *out;
    unsigned depth;
};

static enum status read_value(struct reader *r, struct slice path);

static void skip_space(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
        r->p++;
}

/* The next byte is c: take it. */
static bool take(struct reader *r, unsigned char c)
{
    skip_space(r);
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

/* One UTF-8 character of at least two bytes (RFC 3629 s4): its length, or 0. */
static size_t utf8_length(const unsigned char *p, const unsigned char *end)
{
    size_t left = (size_t)(end - p), n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || left < n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

static bool take_hex4(struct reader *r, unsigned *out)
{
    unsigned v = 0;
    if (r->end - r->p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        int d = hex_digit(r->p[i]);
        if (d < 0)
            return false;
        v = v << 4 | (unsigned)d;
    }
    r->p += 4;
    *out = v;
    return true;
}

static size_t put_utf8(unsigned char *out, unsigned c)
{
    if (c < 0x80) {
        out[0] = (unsigned char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (unsigned char)(0xc0 | c >> 6);
        out[1] = (unsigned char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (unsigned char)(0xe0 | c >> 12);
        out[1] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (unsigned char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (unsigned char)(0xf0 | c >> 18);
    out[1] = (unsigned char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (unsigned char)(0x80 | (c & 0x3f));
    return 4;
}

/* What follows a backslash; never longer in UTF-8 than as it was written. Returns its length, or 0. */
static size_t take_escape(struct reader *r, unsigned char *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    unsigned c, low;
    if (r->p == r->end)
        return 0;
    unsigned char e = *r->p++;
    const char *known = e ? strchr(from, e) : NULL;
    if (known != NULL) {
        *out = (unsigned char)to[known - from];
        return 1;
    }
    if (e != 'u' || !take_hex4(r, &c) || c == 0 || (c >= 0xdc00 && c < 0xe000))
        return 0;
    if (c >= 0xd800 && c < 0xdc00) {
        if (r->end - r->p < 2 || r->p[0] != '\\' || r->p[1] != 'u')
            return 0;
        r->p += 2;
        if (!take_hex4(r, &low) || low < 0xdc00 || low > 0xdfff)
            return 0;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    return put_utf8(out, c);
}

/* The end of the string that begins at r->p (behind its quote), and whether it holds escapes; NULL when it has none or holds a bad byte. */
static const unsigned char *string_end(const struct reader *r, bool *escapes)
{
    *escapes = false;
    for (const unsigned char *p = r->p; p < r->end;) {
        if (*p == '"')
            return p;
        if (*p < 0x20)
            return NULL;
        if (*p == '\\') {
            *escapes = true;
            p += p + 1 < r->end ? 2 : 1;
        } else if (*p < 0x80) {
            p++;
        } else {
            size_t n = utf8_length(p, r->end);
            if (n == 0)
                return NULL;
            p += n;
        }
    }
    return NULL;
}

static enum status read_string(struct reader *r, struct slice *out)
{
    bool escapes;
    if (!take(r, '"'))
        return BAD_INPUT;
    const unsigned char *end = string_end(r, &escapes);
    if (end == NULL)
        return BAD_INPUT;
    if (!escapes) {
        *out = slice_of(r->p, (size_t)(end - r->p));
        r->p = end + 1;
        return OK;
    }
    unsigned char *text = arena_alloc(r->arena, (size_t)(end - r->p));
    size_t n = 0;
    if (text == NULL)
        return NO_MEMORY;
    while (r->p < end) {
        if (*r->p != '\\') {
            text[n++] = *r->p++;
            continue;
        }
        r->p++;
        size_t len = take_escape(r, text + n);
        if (len == 0 || r->p > end)
            return BAD_INPUT;
        n += len;
    }
    r->p = end + 1;
    *out = slice_of(text, n);
    return OK;
}

static size_t digits(struct reader *r)
{
    size_t n = 0;
    for (; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++)
        n++;
    return n;
}

/* number = [ "-" ] int [ frac ] [ exp ] */
static bool number_grammar(struct reader *r, bool *plain)
{
    *plain = true;
    if (r->p < r->end && *r->p == '-')
        r->p++;
    bool zero = r->p < r->end && *r->p == '0';
    size_t n = digits(r);
    if (n == 0 || (zero && n > 1))
        return false;
    if (r->p < r->end && *r->p == '.') {
        *plain = false;
        r->p++;
        if (digits(r) == 0)
            return false;
    }
    if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
        *plain = false;
        r->p++;
        if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
            r->p++;
        if (digits(r) == 0)
            return false;
    }
    return true;
}

/* As written, and when that is not the plain way ("1.0", "1e0"), as a program would print it too. */
static enum status read_number(struct reader *r, struct slice path)
{
    const unsigned char *start = r->p;
    char text[NUMBER_MAX + 1];
    bool plain;
    if (!number_grammar(r, &plain) || r->p - start > NUMBER_MAX)
        return BAD_INPUT;
    struct slice raw = { start, (size_t)(r->p - start) };
    enum status st = readings_add(r->out, r->arena, path, raw);
    if (st != OK || (plain && !slice_eq(raw, SLICE("-0"))))
        return st;
    memcpy(text, raw.ptr, raw.len);
    text[raw.len] = 0;
    double d = strtod(text, NULL);
    struct slice other = d > -9007199254740992.0 && d < 9007199254740992.0 && d == (double)(int64_t)d
                             ? arena_printf(r->arena, "%lld", (long long)d)
                             : arena_printf(r->arena, "%.17g", d);
    if (other.ptr == NULL)
        return NO_MEMORY;
    return slice_eq(other, raw) ? OK : readings_add(r->out, r->arena, path, other);
}

static enum status read_word(struct reader *r, struct slice path, struct slice word)
{
    struct slice left = { r->p, (size_t)(r->end - r->p) };
    if (!slice_starts(left, word))
        return BAD_INPUT;
    r->p += word.len;
    return readings_add(r->out, r->arena, path, word);
}

static enum status join(struct reader *r, struct slice path, struct slice name, struct slice *out)
{
    if (path.len == 0) {
        *out = name;
        return OK;
    }
    unsigned char *p = arena_alloc(r->arena, path.len + 1 + name.len);
    if (p == NULL)
        return NO_MEMORY;
    memcpy(p, path.ptr, path.len);
    p[path.len] = '.';
    memcpy(p + path.len + 1, name.ptr, name.len);
    *out = slice_of(p, path.len + 1 + name.len);
    return OK;
}

static enum status read_member(struct reader *r, struct slice path)
{
    struct slice name, member;
    enum status st = read_string(r, &name);
    if (st == OK && !take(r, ':'))
        st = BAD_INPUT;
    if (st == OK)
        st = join(r, path, name, &member);
    if (st != OK)
        return st;
    skip_space(r);
    if (r->p < r->end && (*r->p == '{' || *r->p == '['))
        st = readings_add(r->out, r->arena, member, SLICE(""));   /* the member is there, whatever it holds */
    return st == OK ? read_value(r, member) : st;
}

/* Members or elements up to the closing bracket; the opening one was taken. */
static enum status read_items(struct reader *r, struct slice path, unsigned char close)
{
    if (take(r, close))
        return OK;
    for (;;) {
        enum status st = close == '}' ? read_member(r, path) : read_value(r, path);
        if (st != OK)
            return st;
        if (take(r, close))
            return OK;
        if (!take(r, ','))
            return BAD_INPUT;
    }
}

static enum status read_container(struct reader *r, struct slice path)
{
    unsigned char close = *r->p == '{' ? '}' : ']';
    r->p++;
    if (r->depth == DEPTH_MAX)
        return BAD_INPUT;
    r->depth++;
    enum status st = read_items(r, path, close);
    r->depth--;
    return st;
}

static enum status read_value(struct reader *r, struct slice path)
{
    struct slice text;
    enum status st;
    skip_space(r);
    if (r->p == r->end)
        return BAD_INPUT;
    switch (*r->p) {
    case '{':
    case '[':
        return read_container(r, path);
    case '"':
        st = read_string(r, &text);
        return st == OK ? readings_add(r->out, r->arena, path, text) : st;
    case 't':
        return read_word(r, path, SLICE("true"));
    case 'f':
        return read_word(r, path, SLICE("false"));
    case 'n':
        return read_word(r, path, SLICE("null"));
    default:
        return read_number(r, path);
    }
}

enum status readings_json(struct slice text, struct slice prefix, struct arena *arena, struct readings *out)
{
    struct reader r = { .p = text.ptr, .end = text.ptr + text.len, .arena = arena, .out = out };
    enum status st = read_value(&r, prefix);
    if (st != OK)
        return st;
    skip_space(&r);
    return r.p == r.end ? OK : BAD_INPUT;
}
