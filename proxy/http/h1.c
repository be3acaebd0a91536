#include "proxy/http/h1_internal.h"

#include "proxy/base/block.h"
#include "proxy/http/syntax.h"

#include <llhttp.h>

enum parse h1_refuse(struct refusal *why, unsigned status, const char *reason)
{
    *why = (struct refusal){ status, reason };
    return PARSE_BAD;
}

enum parse h1_head_length(struct slice buf, size_t from, size_t *len_out)
{
    /* An end of line that came before `from` may be the first half of the empty line. */
    size_t i = from > 2 ? from - 2 : 0;
    while (i < buf.len) {
        const unsigned char *lf = memchr(buf.ptr + i, '\n', buf.len - i);
        if (lf == NULL)
            return PARSE_MORE;
        size_t at = (size_t)(lf - buf.ptr);
        if (at < 2 || buf.ptr[at - 1] != '\r')
            return PARSE_BAD;
        if (buf.ptr[at - 2] == '\n') {
            *len_out = at + 1;
            return PARSE_OK;
        }
        i = at + 1;
    }
    return PARSE_MORE;
}

struct slice h1_start_line(struct slice head)
{
    size_t n = slice_find(head, '\n');
    if (n == head.len || n == 0 || head.ptr[n - 1] != '\r')
        return (struct slice){ 0 };
    return slice_of(head.ptr, n - 1);
}

unsigned h1_version(struct slice s)
{
    if (s.len != 8 || memcmp(s.ptr, "HTTP/", 5) != 0 || s.ptr[6] != '.')
        return 0;
    unsigned major = s.ptr[5] - (unsigned)'0', minor = s.ptr[7] - (unsigned)'0';
    if (major > 9 || minor > 9)
        return 0;
    return major == 1 && minor <= 1 ? 10 + minor : 1;
}

/* field-line = field-name ":" OWS field-value OWS; no line folding, no space before the colon (RFC 9112 s5). */
static const char *scan_field(unsigned char *bytes, size_t len, bool lower, struct field *out)
{
    const struct slice line = { bytes, len };
    size_t n = 0;
    for (unsigned char c; n < len && (c = token_lower[bytes[n]]) != 0; n++)
        if (lower)
            bytes[n] = c;
    if (n == 0)
        return line.len && (line.ptr[0] == ' ' || line.ptr[0] == '\t') ? "a folded line" : "an empty or broken field name";
    if (n == line.len || line.ptr[n] != ':')
        return "a byte in a field name that does not belong there";
    struct slice value = slice_from(line, n + 1);
    if (!value_is_clean(value))
        return "a control byte in a field value";
    *out = (struct field){ slice_of(line.ptr, n), slice_trim(value) };
    return NULL;
}

/* All lines of a head copy: NULL, or what is wrong. v has room for `lines` fields. lower: write the names in lower case. */
static const char *scan_lines(unsigned char *bytes, size_t len, bool lower, struct field *v, size_t lines)
{
    const struct slice head = { bytes, len };
    size_t at = slice_find(head, '\n') + 1;
    for (size_t i = 0; i < lines; i++) {
        size_t n = slice_find(slice_from(head, at), '\n');
        if (n < 2 || at + n >= head.len || head.ptr[at + n - 1] != '\r')
            return "a line that does not end with CRLF, or an empty one too early";
        const char *bad = scan_field(bytes + at, n - 1, lower, &v[i]);
        if (bad != NULL)
            return bad;
        at += n + 1;
    }
    return head.len - at == 2 && head.ptr[at] == '\r' && head.ptr[at + 1] == '\n' ? NULL : "no empty line at the end";
}

/* llhttp's reading, compared with the scanner's field by field as it goes. */
struct second_reading {
    const struct field *v;
    size_t count, at;                 /* fields the scanner saw; fields that llhttp began */
    struct slice name, value;         /* of the field that llhttp is in */
    bool complete;
};

static bool same_field(const struct second_reading *r)
{
    const struct field *ours = &r->v[r->at - 1];
    struct slice value = slice_trim(r->value);
    return r->name.ptr == ours->name.ptr && r->name.len == ours->name.len && value.len == ours->value.len &&
           (value.len == 0 || value.ptr == ours->value.ptr);
}

/* Spans may come in pieces: one that goes on where the last ended is more of the same. */
static int on_name(llhttp_t *p, const char *at, size_t len)
{
    struct second_reading *r = p->data;
    const unsigned char *ptr = (const unsigned char *)at;
    if (r->at > 0 && r->value.ptr == NULL && ptr == r->name.ptr + r->name.len) {
        r->name.len += len;
        return 0;
    }
    if ((r->at > 0 && !same_field(r)) || r->at == r->count)
        return HPE_USER;
    r->at++;
    r->name = slice_of(at, len);
    r->value = (struct slice){ 0 };
    return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t len)
{
    struct second_reading *r = p->data;
    if (r->value.ptr == NULL)
        r->value = slice_of(at, len);
    else if ((const unsigned char *)at == r->value.ptr + r->value.len)
        r->value.len += len;
    else
        return HPE_USER;
    return 0;
}

/* The body is not llhttp's: stop here. */
static int on_complete(llhttp_t *p)
{
    struct second_reading *r = p->data;
    r->complete = r->at == r->count && (r->at == 0 || same_field(r));
    return HPE_PAUSED;
}

static enum parse map_error(llhttp_errno_t e, enum h1_kind kind, struct refusal *why)
{
    unsigned status = kind == H1_REQUEST ? 400 : 502;
    switch (e) {
    case HPE_INVALID_METHOD:
        return h1_refuse(why, kind == H1_REQUEST ? 501 : 502, "a method that is not known here");
    case HPE_INVALID_URL:
        return h1_refuse(why, status, "a broken request target");
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return h1_refuse(why, status, "Content-Length twice, or beside Transfer-Encoding");
    case HPE_INVALID_CONTENT_LENGTH:
        return h1_refuse(why, status, "a broken Content-Length");
    case HPE_INVALID_TRANSFER_ENCODING:
        return h1_refuse(why, status, "a broken Transfer-Encoding");
    default:
        return h1_refuse(why, status, "a broken head");
    }
}

static enum parse read_again(struct slice head, enum h1_kind kind, const struct fields *f, struct refusal *why)
{
    static const llhttp_settings_t settings = {
        .on_header_field = on_name, .on_header_value = on_value, .on_headers_complete = on_complete,
    };
    struct second_reading r = { .v = f->v, .count = f->count };
    llhttp_t parser;
    llhttp_init(&parser, kind == H1_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
    parser.data = &r;
    llhttp_errno_t e = llhttp_execute(&parser, (const char *)head.ptr, head.len);
    if (e != HPE_PAUSED && e != HPE_OK)
        return map_error(e, kind, why);
    if (!r.complete)
        return h1_refuse(why, kind == H1_REQUEST ? 400 : 502, "a head that two parsers read differently");
    return PARSE_OK;
}

/* Programs that poll send and get the same head again and again. */
static bool seen_before(const struct h1_seen *s, struct slice head)
{
    return s != NULL && s->len == head.len && memcmp(s->head, head.ptr, head.len) == 0;
}

static void remember(struct h1_seen *s, struct slice head)
{
    if (s == NULL || head.len > H1_SEEN_MAX || (s->head == NULL && (s->head = block_new(H1_SEEN_MAX)) == NULL))
        return;
    memcpy(s->head, head.ptr, head.len);
    s->len = head.len;
}

void h1_seen_done(struct h1_seen *s)
{
    block_free(s->head, H1_SEEN_MAX);
    *s = (struct h1_seen){ NULL, 0 };
}

static void lower_names(unsigned char *copy, const unsigned char *base, const struct fields *f)
{
    for (size_t i = 0; i < f->count; i++) {
        unsigned char *name = copy + (f->v[i].name.ptr - base);
        for (size_t k = 0; k < f->v[i].name.len; k++)
            name[k] = token_lower[name[k]];
    }
}

static size_t count_lines(struct slice s)
{
    size_t n = 0;
    for (const unsigned char *p = s.ptr, *end = s.ptr + s.len; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
        n++;
    return n;
}

enum parse h1_read_head(struct slice head, enum h1_kind kind, const struct h1_limits *limits, struct arena *arena, struct h1_head *out,
                        struct refusal *why)
{
    unsigned bad = kind == H1_REQUEST ? 400 : 502, large = kind == H1_REQUEST ? 431 : 502;
    size_t lines = head.len && head.len <= H1_HEAD_MAX ? count_lines(head) : 0;
    if (head.len > H1_HEAD_MAX)
        return h1_refuse(why, large, "a head that is too large");
    if (lines < 2)
        return h1_refuse(why, bad, "not a whole head");
    lines -= 2;
    if (lines > limits->fields)
        return h1_refuse(why, large, "too many fields");
    unsigned char *copy = arena_alloc(arena, head.len);
    struct field *v = arena_alloc(arena, (lines ? lines : 1) * sizeof *v);
    if (copy == NULL || v == NULL)
        return h1_refuse(why, large, "a head that does not fit the memory of one exchange");
    memcpy(copy, head.ptr, head.len);
    struct slice own = slice_of(copy, head.len);
    bool seen = seen_before(limits->seen, head);
    const char *reason = scan_lines(copy, head.len, seen, v, lines);
    if (reason != NULL)
        return h1_refuse(why, bad, reason);
    struct fields fields = { v, lines, lines };
    if (!seen) {                      /* llhttp reads the names as they came */
        if (read_again(own, kind, &fields, why) != PARSE_OK)
            return PARSE_BAD;
        remember(limits->seen, head);
        lower_names(copy, copy, &fields);
    }
    *out = (struct h1_head){ h1_start_line(own), fields };
    return PARSE_OK;
}
