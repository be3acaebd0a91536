/* Reading an index: a million lines must take well under a second, so this is no general JSON reader but one for what index_write.c writes:
 *
 *   line    = "{" member *( "," member ) "}" LF        no white space
 *   member  = DQUOTE name DQUOTE ":" ( number / string / object )
 *   number  = 1*DIGIT                                   below 2^63
 *   string  = DQUOTE *( %x20-21 / %x23-5B / %x5D-7E / "\u00" 2HEXDIG ) DQUOTE
 *   object  = "{" *( string / other ) "}"               `notes` only, and skipped over here: jansson reads it when somebody asks
 *
 * Members come in any order, each once; those that are not known are passed over, so that more can be added. */
#include "proxy/record/index.h"

#include <stddef.h>

struct cursor {
    char *p, *end;                    /* end: of the line, a '\n' */
};

struct value {
    bool is_number;
    uint64_t number;
    struct slice text;                /* of a string, its escapes undone, or of an object */
};

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_number(struct cursor *c, uint64_t *out)
{
    uint64_t n = 0;
    char *start = c->p;
    for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++) {
        unsigned digit = (unsigned)(*c->p - '0');
        if (n > ((uint64_t)INT64_MAX - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *out = n;
    return c->p > start && (*start != '0' || c->p == start + 1);
}

/* From the first backslash on: moved down over what the escapes took. */
static bool take_escaped(struct cursor *c, char *start, char *at, struct slice *out)
{
    char *to = at;
    while (at < c->end && *at != '"') {
        if (*at != '\\') {
            if ((unsigned char)*at < ' ' || (unsigned char)*at > '~')
                return false;
            *to++ = *at++;
            continue;
        }
        if (c->end - at < 6 || at[1] != 'u' || at[2] != '0' || at[3] != '0' || hex_digit(at[4]) < 0 || hex_digit(at[5]) < 0)
            return false;
        *to++ = (char)(hex_digit(at[4]) << 4 | hex_digit(at[5]));
        at += 6;
    }
    if (at == c->end)
        return false;
    *out = slice_of(start, (size_t)(to - start));
    c->p = at + 1;
    return true;
}

/* Over what needs no look of its own, eight bytes at a time: none of them is a control, a quote, a backslash, DEL or beyond ASCII. A subtraction that borrows, or a carry, stops at a word too many,
 * never at one too few: it comes from a byte that stops us itself. */
static char *skip_plain(char *at, const char *end)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
    for (uint64_t w; end - at >= 8; at += 8) {
        memcpy(&w, at, sizeof w);
        uint64_t quote = w ^ ones * '"', slash = w ^ ones * '\\';
        if ((((w - ones * ' ') | (quote - ones) | (slash - ones) | (w + ones)) & high) != 0)
            break;
    }
    return at;
}

static bool take_string(struct cursor *c, struct slice *out)
{
    char *start = ++c->p, *at = skip_plain(start, c->end);
    while (at < c->end && *at != '"' && *at != '\\') {
        if ((unsigned char)*at < ' ' || (unsigned char)*at > '~')
            return false;
        at++;
    }
    if (at == c->end)
        return false;
    if (*at == '\\')
        return take_escaped(c, start, at, out);
    *out = slice_of(start, (size_t)(at - start));
    c->p = at + 1;
    return true;
}

/* To the brace that ends it. */
static bool take_object(struct cursor *c, struct slice *out)
{
    char *start = c->p;
    unsigned depth = 0;
    bool in_string = false;
    for (; c->p < c->end; c->p++) {
        if (in_string && *c->p == '\\' && c->p + 1 < c->end)
            c->p++;
        else if (*c->p == '"')
            in_string = !in_string;
        else if (!in_string && *c->p == '{' && ++depth > INDEX_DEPTH_MAX)
            return false;
        else if (!in_string && *c->p == '}' && --depth == 0) {
            *out = slice_of(start, (size_t)(++c->p - start));
            return true;
        }
    }
    return false;
}

static bool take_member(struct cursor *c, struct slice *name, struct value *v)
{
    if (c->p >= c->end || *c->p != '"' || !take_string(c, name) || c->end - c->p < 2 || *c->p++ != ':')
        return false;
    *v = (struct value){ .is_number = *c->p >= '0' && *c->p <= '9' };
    if (v->is_number)
        return take_number(c, &v->number);
    return *c->p == '"' ? take_string(c, &v->text) : *c->p == '{' && take_object(c, &v->text);
}

/* ---- members ---- */

enum { SAW_EXCHANGE = 1, SAW_STARTED = 2 };

static bool fits_unsigned(uint64_t n)
{
    return n <= 999999999;
}

/* Where in a line a member goes. */
struct member {
    const char *name;
    size_t len, at;
};
#define MEMBER(name, to) { name, sizeof name - 1, offsetof(struct index_line, to) }

static const struct member *member_find(const struct member *v, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (v[i].len == name.len && v[i].name[0] == (char)name.ptr[0] && memcmp(v[i].name, name.ptr, name.len) == 0)
            return &v[i];
    return NULL;
}

static bool take_words(struct index_line *l, struct slice name, struct slice v)
{
    if (slice_eq(name, SLICE("part"))) {
        l->part = slice_eq(v, SLICE("begin")) ? INDEX_BEGIN : INDEX_END;
        return l->part == INDEX_BEGIN || slice_eq(v, SLICE("end"));
    }
    if (slice_eq(name, SLICE("from"))) {
        l->from_tool = slice_eq(v, SLICE("tool"));
        return l->from_tool || slice_eq(v, SLICE("gateway"));
    }
    if (slice_eq(name, SLICE("kept"))) {
        l->sizes_only = true;
        return slice_eq(v, SLICE("metadata"));
    }
    if (slice_eq(name, SLICE("cut"))) {
        bool both = slice_eq(v, SLICE("both"));
        l->request_cut = both || slice_eq(v, SLICE("request"));
        l->response_cut = both || slice_eq(v, SLICE("response"));
        return l->request_cut || l->response_cut;
    }
    return true;                      /* one of later versions */
}

static bool take_text(struct index_line *l, struct slice name, struct slice v)
{
    static const struct member texts[] = { MEMBER("action", action), MEMBER("request", request), MEMBER("record", record), MEMBER("touched", names), MEMBER("secrets", secrets), MEMBER("why", why),
                                           MEMBER("notes", notes), MEMBER("sha256", sha256) };
    const struct member *m = member_find(texts, sizeof texts / sizeof *texts, name);
    if (m != NULL) {
        struct slice *to = (struct slice *)(void *)((char *)l + m->at);
        bool once = to->ptr == NULL;
        *to = v;
        return once && (v.len > 0 && v.ptr[0] == '{') == (to == &l->notes);
    }
    return take_words(l, name, v);
}

static bool take_count(struct index_line *l, struct slice name, uint64_t n, unsigned *seen)
{
    static const struct member counts[] = { MEMBER("request_bytes", request_bytes), MEMBER("response_bytes", response_bytes), MEMBER("offset", offset), MEMBER("messages", messages),
                                            MEMBER("removed", removed) };
    if (slice_eq(name, SLICE("exchange"))) {
        *seen |= SAW_EXCHANGE;
        l->exchange = n;
        return n > 0;
    }
    if (slice_eq(name, SLICE("started_ms"))) {
        *seen |= SAW_STARTED;
        l->started_ms = (int64_t)n;
    } else if (slice_eq(name, SLICE("ended_ms"))) {
        l->ended_ms = (int64_t)n;
    } else if (slice_eq(name, SLICE("status"))) {
        l->status = (unsigned)n;
        return n < 1000;
    } else if (slice_eq(name, SLICE("segment"))) {
        l->segment = (unsigned)n;
        return fits_unsigned(n);
    } else if (slice_eq(name, SLICE("last_segment"))) {
        l->last_segment = (unsigned)n;
        return fits_unsigned(n);
    } else {
        const struct member *m = member_find(counts, sizeof counts / sizeof *counts, name);
        if (m != NULL)
            *(uint64_t *)(void *)((char *)l + m->at) = n;
    }
    return true;
}

/* All members of the line, each given to `take`. */
typedef bool take_call(void *to, struct slice name, const struct value *v);

static bool read_line(struct cursor *c, take_call *take, void *to)
{
    struct slice name;
    struct value v;
    if (c->p == c->end || *c->p++ != '{')
        return false;
    for (;;) {
        if (!take_member(c, &name, &v) || !take(to, name, &v) || c->p >= c->end)
            return false;
        char next = *c->p++;
        if (next == '}')
            return c->p == c->end;
        if (next != ',')
            return false;
    }
}

struct reading_line {
    struct index_line line;
    unsigned seen;
};

static bool take_of_line(void *to, struct slice name, const struct value *v)
{
    struct reading_line *r = to;
    return v->is_number ? take_count(&r->line, name, v->number, &r->seen) : take_text(&r->line, name, v->text);
}

static bool take_of_cover(void *to, struct slice name, const struct value *v)
{
    struct index_cover *c = to;
    if (slice_eq(name, SLICE("index")))
        return v->is_number && v->number == 1;
    if (slice_eq(name, SLICE("from")))
        c->from = v->is_number && fits_unsigned(v->number) ? (unsigned)v->number : 0;
    else if (slice_eq(name, SLICE("to")))
        c->to = v->is_number && fits_unsigned(v->number) ? (unsigned)v->number : 0;
    return true;
}

enum status index_read(char *text, size_t len, struct index_cover *cover, index_call *call, void *to, struct err *err)
{
    char *end = text + len;
    *cover = (struct index_cover){ 0 };
    for (unsigned long number = 1; text < end; number++) {
        char *stop = memchr(text, '\n', (size_t)(end - text));
        struct cursor c = { text, stop };
        struct reading_line r = { .seen = 0 };
        bool good = stop != NULL && read_line(&c, number == 1 ? take_of_cover : take_of_line, number == 1 ? (void *)cover : (void *)&r);
        good = good && (number == 1 ? cover->from > 0 && cover->to >= cover->from : r.seen == (SAW_EXCHANGE | SAW_STARTED));
        if (!good)
            return fail(err, BAD_INPUT, "line %lu of the index is damaged", number);
        enum status st = number > 1 ? call(to, &r.line) : OK;
        if (st != OK)
            return st;
        text = stop + 1;
    }
    return cover->from > 0 ? OK : fail(err, BAD_INPUT, "the index is empty");
}
