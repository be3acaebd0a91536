/* request-line = method SP request-target SP HTTP-version (RFC 9112 s3), and what the fields of a request may say. */
#include "proxy/http/h1_internal.h"

#include "proxy/http/syntax.h"

/* Exactly two spaces, all three parts there: anything else is read differently somewhere. */
static enum parse split_request_line(struct slice line, struct message *m, struct refusal *why)
{
    size_t a = slice_find(line, ' ');
    if (a == line.len)
        return h1_refuse(why, 400, "no request line (HTTP/0.9 is not spoken here)");
    struct slice rest = slice_from(line, a + 1);
    size_t b = slice_find(rest, ' ');
    if (b == rest.len)
        return h1_refuse(why, 400, "no version in the request line (HTTP/0.9 is not spoken here)");
    m->method = slice_of(line.ptr, a);
    m->raw_target = slice_of(rest.ptr, b);
    m->version = h1_version(slice_from(rest, b + 1));
    if (!is_token(m->method))
        return h1_refuse(why, 400, "a broken method");
    if (m->raw_target.len == 0)
        return h1_refuse(why, 400, "no request target");
    for (size_t i = 0; i < m->raw_target.len; i++)
        if (m->raw_target.ptr[i] <= 0x20 || m->raw_target.ptr[i] >= 0x7f)
            return h1_refuse(why, 400, "a byte in the request target that must be encoded");
    if (m->version == 0)
        return h1_refuse(why, 400, "a broken version in the request line");
    if (m->version < 10)
        return h1_refuse(why, 505, "a version other than HTTP/1.0 and HTTP/1.1");
    return PARSE_OK;
}

/* https://authority/path (RFC 9112 s3.2.2): the authority must be Host's, and what is left is the origin-form. */
static enum parse take_absolute(struct message *m, struct arena *arena, struct refusal *why)
{
    struct slice t = m->raw_target, named;
    const struct slice scheme = SLICE("https://");
    if (t.len < scheme.len || !slice_ieq(slice_of(t.ptr, scheme.len), scheme))
        return h1_refuse(why, 400, "a request target that is neither a path nor an https URL");
    t = slice_from(t, scheme.len);
    size_t n = 0;
    while (n < t.len && t.ptr[n] != '/' && t.ptr[n] != '?' && t.ptr[n] != '#')
        n++;
    if (authority_parse(slice_of(t.ptr, n), arena, &named) != PARSE_OK || !slice_eq(named, m->authority))
        return h1_refuse(why, 400, "an absolute request target whose authority is not Host's");
    t = slice_from(t, n);
    if (t.len == 0)
        m->raw_target = slice_eq(m->method, SLICE("OPTIONS")) ? SLICE("*") : SLICE("/");   /* RFC 9112 s3.2.4 */
    else if (t.ptr[0] == '/')
        m->raw_target = t;
    else
        m->raw_target = arena_printf(arena, "/%.*s", SLICE_ARG(t));
    return m->raw_target.ptr ? PARSE_OK : h1_refuse(why, 431, "a head that does not fit the memory of one exchange");
}

static enum parse take_target(struct message *m, struct arena *arena, struct refusal *why)
{
    m->scheme = SLICE("https");
    if (m->raw_target.ptr[0] == '/')
        return PARSE_OK;
    if (slice_eq(m->raw_target, SLICE("*"))) {
        if (!slice_eq(m->method, SLICE("OPTIONS")))
            return h1_refuse(why, 400, "the target * without OPTIONS");
        return PARSE_OK;
    }
    return take_absolute(m, arena, why);
}

static void drop_host(struct fields *f)
{
    for (size_t i = 0; i < f->count; i++) {
        if (!slice_eq(f->v[i].name, SLICE("host")))
            continue;
        memmove(&f->v[i], &f->v[i + 1], (f->count - i - 1) * sizeof *f->v);
        f->count--;
        return;
    }
}

static enum parse take_host(struct message *m, const struct h1_control *c, struct arena *arena, struct refusal *why)
{
    if (c->hosts == 0)
        return h1_refuse(why, 400, "no Host");
    if (c->hosts > 1)
        return h1_refuse(why, 400, "Host twice");
    if (authority_parse(c->host, arena, &m->authority) != PARSE_OK)
        return h1_refuse(why, 400, "a broken Host");
    drop_host(&m->fields);
    return PARSE_OK;
}

static enum parse take_expect(struct message *m, const struct h1_control *c, struct refusal *why)
{
    if (c->bad_te)
        return h1_refuse(why, 400, "a broken TE, or one that names chunked");
    if (c->expects > 1 || (c->expects == 1 && !slice_ieq(c->expect, SLICE("100-continue"))))
        return h1_refuse(why, 417, "an expectation other than 100-continue");
    /* HTTP/1.0 clients cannot mean it, and without content there is nothing to continue (RFC 9110 s10.1.1). */
    m->expect_continue = c->expects == 1 && m->version == 11 && m->framing != BODY_NONE;
    return PARSE_OK;
}

static enum parse take_control(struct message *m, struct arena *arena, struct refusal *why)
{
    struct h1_control c;
    h1_gather(&m->fields, &c);
    if (take_host(m, &c, arena, why) != PARSE_OK || h1_framing(&c, m, why) != PARSE_OK || take_expect(m, &c, why) != PARSE_OK)
        return PARSE_BAD;
    if (c.upgrade && m->framing != BODY_NONE)
        return h1_refuse(why, 400, "Upgrade in a request with content");
    /* A gateway does not keep a connection to an HTTP/1.0 client (RFC 9112 s9.3). */
    m->keep_alive = m->version == 11 && !c.close;
    return take_target(m, arena, why);
}

enum parse h1_parse_request(struct slice head, const struct h1_limits *limits, struct arena *arena, struct message *out,
                            struct refusal *why)
{
    struct message m = { 0 };
    struct h1_head h;
    if (split_request_line(h1_start_line(head), &m, why) != PARSE_OK)
        return PARSE_BAD;
    if (slice_eq(m.method, SLICE("CONNECT")) || slice_eq(m.method, SLICE("TRACE")))
        return h1_refuse(why, 501, "CONNECT and TRACE are not served");
    if (h1_read_head(head, H1_REQUEST, limits, arena, &h, why) != PARSE_OK)
        return PARSE_BAD;
    m.method.ptr = h.start_line.ptr;
    m.raw_target.ptr = h.start_line.ptr + m.method.len + 1;
    m.fields = h.fields;
    if (take_control(&m, arena, why) != PARSE_OK)
        return PARSE_BAD;
    *out = m;
    return PARSE_OK;
}
