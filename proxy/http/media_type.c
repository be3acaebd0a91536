/* Content-Type and Content-Disposition parameters (RFC 9110 s5.6.6, RFC 2183), for readings only. */
#include "proxy/http/readings_internal.h"

#include "proxy/http/syntax.h"

static size_t token_length(struct slice s)
{
    size_t n = 0;
    while (n < s.len && char_is(s.ptr[n], CHAR_TOKEN))
        n++;
    return n;
}

/* A quoted-string at the start of *rest. */
static bool take_quoted(struct slice *rest, struct slice *value, bool *escaped)
{
    for (size_t i = 1; i < rest->len; i++) {
        if (rest->ptr[i] == '"') {
            *value = slice_of(rest->ptr + 1, i - 1);
            *rest = slice_from(*rest, i + 1);
            return true;
        }
        if (rest->ptr[i] == '\\') {
            *escaped = true;
            i++;
        }
    }
    return false;
}

enum status parameter_next(struct slice *rest, struct slice *name, struct slice *value, bool *escaped)
{
    struct slice s = slice_trim(*rest);
    *escaped = false;
    if (s.len == 0)
        return NOT_FOUND;
    if (s.ptr[0] != ';')
        return BAD_INPUT;
    s = slice_trim(slice_from(s, 1));
    size_t n = token_length(s);
    if (n == 0)
        return s.len == 0 ? NOT_FOUND : BAD_INPUT;    /* a trailing ';' says nothing */
    *name = slice_of(s.ptr, n);
    if (n == s.len || s.ptr[n] != '=')
        return BAD_INPUT;
    s = slice_from(s, n + 1);
    if (s.len && s.ptr[0] == '"') {
        if (!take_quoted(&s, value, escaped))
            return BAD_INPUT;
    } else {
        n = token_length(s);
        if (n == 0)
            return BAD_INPUT;
        *value = slice_of(s.ptr, n);
        s = slice_from(s, n);
    }
    *rest = s;
    return OK;
}

static bool harmless_charset(struct slice v)
{
    return slice_ieq(v, SLICE("utf-8")) || slice_ieq(v, SLICE("utf8")) || slice_ieq(v, SLICE("us-ascii"));
}

enum status media_type_parse(struct slice value, struct media_type *out)
{
    struct media_type t = { 0 };
    struct slice rest, name, v;
    bool escaped, charset = false;
    enum status st;
    size_t n = token_length(value);
    if (n == 0 || n == value.len || value.ptr[n] != '/')
        return BAD_INPUT;
    size_t sub = token_length(slice_from(value, n + 1));
    if (sub == 0)
        return BAD_INPUT;
    t.type = slice_of(value.ptr, n + 1 + sub);
    rest = slice_from(value, n + 1 + sub);
    while ((st = parameter_next(&rest, &name, &v, &escaped)) == OK) {
        if (slice_ieq(name, SLICE("boundary"))) {
            if (t.boundary.ptr != NULL || escaped || v.len == 0 || v.len > 70)
                return BAD_INPUT;
            t.boundary = v;
        } else if (slice_ieq(name, SLICE("charset"))) {
            if (charset || escaped)
                return BAD_INPUT;
            charset = true;
            t.other_charset = !harmless_charset(v);
        } else if (slice_find(name, '*') < name.len) {
            return BAD_INPUT;         /* RFC 2231: "boundary*0=" is a boundary for some */
        }
    }
    if (st != NOT_FOUND)
        return st;
    *out = t;
    return OK;
}
