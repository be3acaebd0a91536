/* multipart/form-data (RFC 7578, RFC 2046 s5.1.1), only as browsers and common libraries write it:
 *
 *   body  = "--" boundary CRLF part *( CRLF "--" boundary CRLF part ) CRLF "--" boundary "--" [ CRLF ]
 *   part  = *( field-line CRLF ) CRLF *OCTET
 *
 * A preamble, an epilogue, padding after a boundary, a boundary anywhere else, bare line ends or transfer encodings are read differently by different
 * tools: BAD_INPUT. */
#include "proxy/http/readings_internal.h"

#include "proxy/http/syntax.h"

enum { PART_FIELDS_MAX = 8 };

struct part {
    struct slice name, type, value;
    bool has_disposition, has_type, file;
};

static bool slice_has(struct slice s, struct slice what)
{
    return s.len && memmem(s.ptr, s.len, what.ptr, what.len) != NULL;
}

/* Content-Disposition: form-data; name="..." [ ; filename="..." ] */
static enum status read_disposition(struct slice value, struct part *p)
{
    struct slice rest, name, v;
    bool escaped;
    size_t n = slice_find(value, ';');
    enum status st;
    if (p->has_disposition || n == value.len || !slice_ieq(slice_trim(slice_of(value.ptr, n)), SLICE("form-data")))
        return BAD_INPUT;
    p->has_disposition = true;
    rest = slice_from(value, n);
    while ((st = parameter_next(&rest, &name, &v, &escaped)) == OK) {
        if (slice_ieq(name, SLICE("name"))) {
            if (p->name.ptr != NULL || escaped || slice_find(v, '\\') < v.len)
                return BAD_INPUT;
            p->name = v;
        } else if (slice_ieq(name, SLICE("filename")) || slice_ieq(name, SLICE("filename*"))) {
            if (slice_has(v, SLICE("\\\"")))
                return BAD_INPUT;     /* one parser's end of the name is another's quote */
            p->file = true;
        } else {
            return BAD_INPUT;
        }
    }
    return st == NOT_FOUND && p->name.ptr != NULL ? OK : BAD_INPUT;
}

static enum status read_type(struct slice value, struct part *p)
{
    struct media_type t;
    enum status st = p->has_type ? BAD_INPUT : media_type_parse(value, &t);
    if (st != OK)
        return st;
    p->has_type = true;
    p->type = t.type;
    if (t.other_charset || (t.type.len >= 10 && slice_ieq(slice_of(t.type.ptr, 10), SLICE("multipart/"))))
        return BAD_INPUT;
    return OK;
}

static enum status read_part_field(struct slice line, struct part *p)
{
    size_t n = slice_find(line, ':');
    if (n == line.len || !is_token(slice_of(line.ptr, n)) || !value_is_clean(slice_from(line, n + 1)))
        return BAD_INPUT;
    struct slice name = { line.ptr, n }, value = slice_trim(slice_from(line, n + 1));
    if (slice_ieq(name, SLICE("content-disposition")))
        return read_disposition(value, p);
    if (slice_ieq(name, SLICE("content-type")))
        return read_type(value, p);
    if (slice_ieq(name, SLICE("content-transfer-encoding")))
        return slice_ieq(value, SLICE("binary")) || slice_ieq(value, SLICE("8bit")) || slice_ieq(value, SLICE("7bit")) ? OK : BAD_INPUT;
    return slice_ieq(name, SLICE("content-length")) ? OK : BAD_INPUT;
}

static enum status read_part_head(struct slice *part, struct part *p)
{
    for (unsigned i = 0; i <= PART_FIELDS_MAX; i++) {
        size_t n = slice_find(*part, '\n');
        if (n == part->len || n == 0 || part->ptr[n - 1] != '\r')
            return BAD_INPUT;
        struct slice line = { part->ptr, n - 1 };
        *part = slice_from(*part, n + 1);
        if (line.len == 0)
            return p->has_disposition ? OK : BAD_INPUT;
        enum status st = read_part_field(line, p);
        if (st != OK)
            return st;
    }
    return BAD_INPUT;
}

/* Browsers write '"' in a name as %22; some tools decode that, most do not: both names count. */
static enum status add_part(const struct part *p, struct arena *arena, struct readings *out)
{
    enum status st = readings_add_form(out, arena, p->name, p->value);
    if (st != OK || slice_find(p->name, '%') == p->name.len)
        return st;
    unsigned char *name = arena_alloc(arena, p->name.len);
    size_t n = 0;
    if (name == NULL)
        return NO_MEMORY;
    for (size_t i = 0; i < p->name.len; i++) {
        const unsigned char *c = p->name.ptr + i;
        bool escape = *c == '%' && i + 2 < p->name.len && hex_digit(c[1]) >= 0 && hex_digit(c[2]) >= 0;
        name[n++] = (unsigned char)(escape ? hex_digit(c[1]) << 4 | hex_digit(c[2]) : *c);
        i += escape ? 2 : 0;
    }
    return readings_add_form(out, arena, slice_of(name, n), p->value);
}

static enum status read_part(struct slice part, struct arena *arena, struct readings *out)
{
    struct part p = { 0 };
    enum status st = read_part_head(&part, &p);
    if (st != OK)
        return st;
    p.value = part;
    if (!p.file && memchr(part.ptr, 0, part.len) != NULL)
        return BAD_INPUT;
    if (slice_eq(p.name, SLICE("_charset_")) && !slice_ieq(part, SLICE("utf-8")))
        return BAD_INPUT;             /* HTML's way to name the charset of all values */
    st = add_part(&p, arena, out);
    if (st == OK && slice_ieq(p.type, SLICE("application/json")))
        st = readings_json(part, p.name, arena, out);
    return st;
}

/* Where "--boundary" comes next in s, or s.len. */
static size_t find_delimiter(struct slice s, struct slice delimiter)
{
    const unsigned char *p = s.len ? memmem(s.ptr, s.len, delimiter.ptr, delimiter.len) : NULL;
    return p ? (size_t)(p - s.ptr) : s.len;
}

enum status readings_multipart(struct slice body, struct slice boundary, struct arena *arena, struct readings *out)
{
    unsigned char text[72] = "--";
    if (boundary.len == 0 || boundary.len > 70)
        return BAD_INPUT;
    memcpy(text + 2, boundary.ptr, boundary.len);
    struct slice delimiter = { text, boundary.len + 2 };
    if (!slice_starts(body, delimiter))
        return BAD_INPUT;
    body = slice_from(body, delimiter.len);
    while (!slice_starts(body, SLICE("--"))) {
        if (!slice_starts(body, SLICE("\r\n")))
            return BAD_INPUT;
        body = slice_from(body, 2);
        size_t n = find_delimiter(body, delimiter);
        /* Whatever looks like a delimiter must be one, with its CRLF before it. */
        if (n == body.len || n < 2 || body.ptr[n - 2] != '\r' || body.ptr[n - 1] != '\n')
            return BAD_INPUT;
        enum status st = read_part(slice_of(body.ptr, n - 2), arena, out);
        if (st != OK)
            return st;
        body = slice_from(body, n + delimiter.len);
    }
    return body.len == 2 || slice_eq(body, SLICE("--\r\n")) ? OK : BAD_INPUT;
}
