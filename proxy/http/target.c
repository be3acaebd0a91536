#include "proxy/http/target.h"

#include "config/config.h"
#include "proxy/http/syntax.h"

/* ':' '@' and those sub-delims that nobody gives a meaning of its own in a path are decoded like unreserved bytes: else "/users:export" and
 * "/users%3Aexport" would be two paths for a rule, and one for the tool. ';' '=' '+' stay as they came: some tools do tell them apart. */
static bool decodes(unsigned char c)
{
    if (char_is(c, CHAR_UNRESERVED))
        return true;
    return c != 0 && strchr(":@!$&'()*,", c) != NULL;
}

struct writer {
    const unsigned char *in;
    size_t len, at;
    unsigned char *out;
    size_t n;
};

static void put_encoded(struct writer *w, unsigned char c)
{
    static const char hex[] = "0123456789ABCDEF";
    w->out[w->n++] = '%';
    w->out[w->n++] = (unsigned char)hex[c >> 4];
    w->out[w->n++] = (unsigned char)hex[c & 15];
}

/* The byte behind "%XX" at w->at, which moves behind it; -1 when broken. */
static int take_encoded(struct writer *w)
{
    if (w->len - w->at < 3)
        return -1;
    int hi = hex_digit(w->in[w->at + 1]), lo = hex_digit(w->in[w->at + 2]);
    if (hi < 0 || lo < 0)
        return -1;
    w->at += 3;
    return hi << 4 | lo;
}

static const char *path_byte(struct writer *w, unsigned allow)
{
    unsigned char c = w->in[w->at];
    if (c == '/' || char_is(c, CHAR_PATH)) {
        w->out[w->n++] = c;
        w->at++;
        return NULL;
    }
    int code = c;
    if (c == '%')
        code = take_encoded(w);
    else
        w->at++;
    if (code < 0)
        return "a broken percent-encoding";
    if (code == '\\') {               /* both spellings become one */
        if (!(allow & TARGET_BACKSLASH))
            return "a backslash in the path";
    } else if (c != '%') {
        return "a byte in the path that must be encoded";
    }
    if (code < 0x20 || code == 0x7f)
        return "an encoded control byte in the path";
    if (code == '/' && !(allow & TARGET_ENCODED_SLASH))
        return "an encoded slash in the path";
    if (decodes((unsigned char)code))
        w->out[w->n++] = (unsigned char)code;
    else
        put_encoded(w, (unsigned char)code);
    return NULL;
}

/* Length of what a tool may take for a separator of segments at s: '/', or an encoded slash or backslash (which are there only if allowed). */
static size_t separator_length(struct slice s)
{
    if (s.len && s.ptr[0] == '/')
        return 1;
    if (s.len >= 3 && (memcmp(s.ptr, "%2F", 3) == 0 || memcmp(s.ptr, "%5C", 3) == 0))
        return 3;
    return 0;
}

/* "." and ".." before ';' too: some tools cut ";params" off, then climb (RFC 3986 s3.3). */
static const char *segment_fault(struct slice s, bool last, unsigned allow)
{
    size_t n = slice_find(s, ';');
    for (size_t i = 0; i + 3 <= n; i++)
        if (memcmp(s.ptr + i, "%3B", 3) == 0)
            n = i;
    if ((n == 1 && s.ptr[0] == '.') || (n == 2 && s.ptr[0] == '.' && s.ptr[1] == '.'))
        return "a dot segment in the path";
    if (n == 0 && !(last && s.len == 0) && !(allow & TARGET_EMPTY_SEGMENT))
        return "an empty segment in the path";
    return NULL;
}

static const char *segments_fault(struct slice path, unsigned allow)
{
    size_t from = 1;
    for (size_t i = 1; i <= path.len;) {
        size_t sep = separator_length(slice_from(path, i));
        if (i < path.len && sep == 0) {
            i++;
            continue;
        }
        const char *bad = segment_fault(slice_of(path.ptr + from, i - from), i == path.len, allow);
        if (bad != NULL)
            return bad;
        i += sep ? sep : 1;
        from = i;
    }
    return NULL;
}

/* On the normal form, since "%25%32%46" only becomes "%252F" there. */
static bool encoded_twice(struct slice path)
{
    for (size_t i = 0; i + 5 <= path.len; i++)
        if (memcmp(path.ptr + i, "%25", 3) == 0 && hex_digit(path.ptr[i + 3]) >= 0 && hex_digit(path.ptr[i + 4]) >= 0)
            return true;
    return false;
}

/* Longer UTF-8 than needed ("%C0%AE" for '.'): never right, and some tools decode it. */
static bool overlong(struct slice path)
{
    for (size_t i = 0; i + 6 <= path.len; i++) {
        const unsigned char *p = path.ptr + i;
        if (p[0] != '%' || p[3] != '%')
            continue;
        int lead = hex_digit(p[1]) << 4 | hex_digit(p[2]), next = hex_digit(p[4]) << 4 | hex_digit(p[5]);
        if (((lead == 0xc0 || lead == 0xc1) && next >= 0x80 && next < 0xc0) || (lead == 0xe0 && next >= 0x80 && next < 0xa0) ||
            (lead == 0xf0 && next >= 0x80 && next < 0x90))
            return true;
    }
    return false;
}

static const char *normal_path(struct writer *w, unsigned allow)
{
    bool escapes = false;
    while (w->at < w->len && w->in[w->at] != '?') {
        escapes |= w->in[w->at] == '%';
        const char *bad = path_byte(w, allow);
        if (bad != NULL)
            return bad;
    }
    struct slice path = { w->out, w->n };
    if (path.len == 0 || path.ptr[0] != '/')
        return "a path that does not start with a slash";
    if (escapes && encoded_twice(path) && !(allow & TARGET_DOUBLE_ENCODING))
        return "a double percent-encoding in the path";
    if (escapes && overlong(path))
        return "overlong UTF-8 in the path";
    return segments_fault(path, allow);
}

static const char *normal_query(struct writer *w)
{
    while (w->at < w->len) {
        unsigned char c = w->in[w->at];
        if (c == '%') {
            int code = take_encoded(w);
            if (code < 0)
                return "a broken percent-encoding";
            put_encoded(w, (unsigned char)code);
        } else if (char_is(c, CHAR_QUERY)) {
            w->out[w->n++] = c;
            w->at++;
        } else {
            return "a byte in the query that must be encoded";
        }
    }
    return NULL;
}

static enum parse refuse(struct refusal *why, unsigned status, const char *reason)
{
    *why = (struct refusal){ status, reason };
    return PARSE_BAD;
}

static enum parse take_asterisk(struct message *m, struct refusal *why)
{
    if (!slice_eq(m->method, SLICE("OPTIONS")))
        return refuse(why, 400, "the target * without OPTIONS");
    m->path = m->target = SLICE("*");
    m->query = (struct slice){ 0 };
    return PARSE_OK;
}

enum parse target_normalise(struct message *m, unsigned allow, struct arena *arena, struct refusal *why)
{
    struct slice raw = m->raw_target;
    if (raw.len > TARGET_MAX)
        return refuse(why, 414, "a request target that is too long");
    if (slice_eq(raw, SLICE("*")))
        return take_asterisk(m, why);
    /* Only a backslash grows, to three bytes. */
    struct writer w = { .in = raw.ptr, .len = raw.len };
    w.out = arena_alloc(arena, raw.len * (allow & TARGET_BACKSLASH ? 3 : 1) + 1);
    if (w.out == NULL)
        return refuse(why, 414, "a request target that does not fit the memory of one exchange");
    const char *bad = normal_path(&w, allow);
    if (bad != NULL)
        return refuse(why, 400, bad);
    size_t path_len = w.n;
    bool has_query = w.at < w.len;
    if (has_query) {
        w.out[w.n++] = w.in[w.at++];
        bad = normal_query(&w);
        if (bad != NULL)
            return refuse(why, 400, bad);
    }
    m->path = slice_of(w.out, path_len);
    m->query = has_query ? slice_of(w.out + path_len + 1, w.n - path_len - 1) : (struct slice){ 0 };
    m->target = slice_of(w.out, w.n);
    return PARSE_OK;
}
