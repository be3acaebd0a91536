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

/* What stands behind a reason that the tool's settings can do away with; the person is told whom to ask. */
#define SETTING(name) "; an operator can allow it for this tool (allow_in_target = [ \"" name "\" ])"

static const char no_escape[] = "a percent-encoding that is none (%uXXXX)";

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

/* The hex digit so far behind w->at; -1: none. */
static int hex_behind(const struct writer *w, size_t n)
{
    return w->len - w->at > n ? hex_digit(w->in[w->at + n]) : -1;
}

/* The byte behind "%XX" at w->at, which moves behind it. A '%' without two hex digits is what browsers send for a '%' (WHATWG URL), and nearly all tools read it so: it is
 * one. But for "%uXXXX", which some read as a character: -1. */
static int take_encoded(struct writer *w)
{
    int hi = hex_behind(w, 1), lo = hex_behind(w, 2);
    if (hi >= 0 && lo >= 0) {
        w->at += 3;
        return hi << 4 | lo;
    }
    if (w->len - w->at > 2 && ascii_lower(w->in[w->at + 1]) == 'u' && lo >= 0)
        return -1;
    w->at++;
    return '%';
}

/* Browsers leave these as they are in a path (WHATWG URL s1.3), RFC 3986 has them encoded, tools read both alike: they are written encoded. */
static bool left_bare(unsigned char c)
{
    return c == '[' || c == ']' || c == '|' || c == '^';
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
        return no_escape;
    if (code == '\\') {               /* both spellings become one */
        if (!(allow & TARGET_BACKSLASH))
            return "a backslash in the path" SETTING("backslash");
    } else if (c != '%' && !left_bare(c)) {
        return "a byte in the path that must be encoded";
    }
    if (code < 0x20 || code == 0x7f)
        return "an encoded control byte in the path";
    if (code == '/' && !(allow & TARGET_ENCODED_SLASH))
        return "an encoded slash in the path" SETTING("encoded-slash");
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
        return "an empty segment in the path" SETTING("empty-segment");
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
        return "a double percent-encoding in the path" SETTING("double-encoding");
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
                return no_escape;
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

/* What is written encoded has three bytes then; nothing else grows. */
static size_t most_bytes(struct slice raw)
{
    size_t n = raw.len + 1;
    for (size_t i = 0; i < raw.len; i++)
        if (raw.ptr[i] == '\\' || raw.ptr[i] == '%' || left_bare(raw.ptr[i]))
            n += 2;
    return n;
}

enum parse target_normalise(struct message *m, unsigned allow, struct arena *arena, struct refusal *why)
{
    struct slice raw = m->raw_target;
    if (raw.len > TARGET_MAX)
        return refuse(why, 414, "a request target that is too long");
    if (slice_eq(raw, SLICE("*")))
        return take_asterisk(m, why);
    struct writer w = { .in = raw.ptr, .len = raw.len };
    w.out = arena_alloc(arena, most_bytes(raw));
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
