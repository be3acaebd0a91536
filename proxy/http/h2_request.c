#include "proxy/http/h2_request.h"

#include "proxy/http/forward.h"
#include "proxy/http/syntax.h"

enum { FIELD_OVERHEAD = 32, COOKIES_MAX = 1024 };   /* what each field counts besides its bytes (RFC 9113 s6.5.2) */

void h2_request_init(struct h2_request *r, struct arena *arena, size_t max_fields, size_t max_bytes)
{
    *r = (struct h2_request){ .arena = arena, .max_fields = max_fields, .max_bytes = max_bytes };
}

static bool counts(struct h2_request *r, struct slice name, struct slice value)
{
    r->bytes += name.len + value.len + FIELD_OVERHEAD;
    if (r->bytes > r->max_bytes + r->max_fields * FIELD_OVERHEAD)
        r->too_large = true;
    return !r->too_large;
}

static bool pseudo(struct h2_request *r, struct slice name, struct slice value)
{
    struct slice *to = slice_eq(name, SLICE(":method")) ? &r->method
                       : slice_eq(name, SLICE(":scheme")) ? &r->scheme
                       : slice_eq(name, SLICE(":authority")) ? &r->authority
                       : slice_eq(name, SLICE(":path")) ? &r->path
                       : slice_eq(name, SLICE(":protocol")) ? &r->protocol : NULL;
    if (to == NULL || to->ptr != NULL) {
        r->repeated = true;
        return true;
    }
    *to = arena_copy(r->arena, value);
    return to->ptr != NULL;
}

/* max: fields of that kind; the list has room for cookies beside them, whose number the head's bytes limit. */
static bool keep(struct h2_request *r, struct fields *to, struct slice name, struct slice value, size_t max)
{
    struct slice n = arena_copy(r->arena, name), v = arena_copy(r->arena, slice_trim(value));
    if (n.ptr == NULL || v.ptr == NULL)
        return false;
    enum status st = to->count < max ? fields_add(to, r->arena, r->max_fields + COOKIES_MAX, n, v) : FULL;
    if (st == FULL)
        r->too_large = true;
    return st == OK || st == FULL;
}

bool h2_request_field(struct h2_request *r, struct slice name, struct slice value)
{
    if (!counts(r, name, value))
        return true;
    if (name.len > 0 && name.ptr[0] == ':')
        return pseudo(r, name, value);
    if (slice_eq(name, SLICE("cookie")))
        r->cookies++;
    return keep(r, &r->fields, name, value, r->max_fields + (r->cookies > 0 ? r->cookies - 1 : 0));
}

bool h2_request_trailer(struct h2_request *r, struct slice name, struct slice value)
{
    if (!counts(r, name, value) || !forward_trailer_allowed(name))
        return true;
    return keep(r, &r->trailers, name, value, r->max_fields);
}

/* Connection-specific fields make a message malformed (s8.2.2). */
static const char *bad_field(const struct field *f)
{
    static const struct slice forbidden[] = { SLICE_INIT("connection"), SLICE_INIT("proxy-connection"), SLICE_INIT("keep-alive"),
                                              SLICE_INIT("transfer-encoding"), SLICE_INIT("upgrade"), SLICE_INIT("http2-settings") };
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        if (slice_eq(f->name, forbidden[i]))
            return "a connection-specific field in HTTP/2 (RFC 9113 s8.2.2)";
    if (slice_eq(f->name, SLICE("te")) && !slice_ieq(f->value, SLICE("trailers")))
        return "te other than trailers in HTTP/2 (RFC 9113 s8.2.2)";
    if (!is_token(f->name) || !value_is_clean(f->value))
        return "a malformed field";
    return NULL;
}

static enum parse bad(struct refusal *why, unsigned status, const char *reason)
{
    *why = (struct refusal){ status, reason };
    return PARSE_BAD;
}

/* As in HTTP/1.1 (h1_request.c): one that is not understood is said no to, not left out (RFC 9110 s10.1.1). */
static bool take_expect(const struct h2_request *r, struct message *m)
{
    size_t n = fields_count(&r->fields, SLICE("expect"));
    m->expect_continue = n == 1 && slice_ieq(fields_get(&r->fields, SLICE("expect")), SLICE("100-continue"));
    return n == 0 || m->expect_continue;
}

/* `host` goes into the authority, and must say the same (s8.3.1). */
static enum parse take_fields(struct h2_request *r, struct message *m, struct refusal *why)
{
    struct slice host = { 0 }, length = fields_get(&r->fields, SLICE("content-length"));
    size_t kept = 0;
    for (size_t i = 0; i < r->fields.count; i++) {
        struct field *f = &r->fields.v[i];
        const char *reason = bad_field(f);
        if (reason != NULL)
            return bad(why, 400, reason);
        if (slice_eq(f->name, SLICE("host"))) {
            if (host.ptr != NULL)
                return bad(why, 400, "more than one host field");
            host = f->value;
        } else {
            r->fields.v[kept++] = *f;
        }
    }
    r->fields.count = kept;
    if (r->authority.ptr == NULL)
        r->authority = host;
    if (r->authority.ptr == NULL || authority_parse(r->authority, r->arena, &m->authority) != PARSE_OK)
        return bad(why, 400, "no authority, or a malformed one");
    if (host.ptr != NULL && !slice_ieq(host, m->authority))
        return bad(why, 400, "host differs from :authority (RFC 9113 s8.3.1)");
    if (fields_count(&r->fields, SLICE("content-length")) > 1 ||
        (length.ptr != NULL && content_length_parse(length, &m->content_length) != PARSE_OK))
        return bad(why, 400, "a repeated or malformed content-length");
    m->has_length = length.ptr != NULL;
    if (!take_expect(r, m))
        return bad(why, 417, "an expectation other than 100-continue");
    m->fields = r->fields;
    return PARSE_OK;
}

/* An extended CONNECT opens a WebSocket and nothing else; to policy and tool it is the GET it would be in HTTP/1.1. */
static enum parse take_connect(struct h2_request *r, bool has_body, struct message *m, struct refusal *why)
{
    bool connect = slice_eq(r->method, SLICE("CONNECT"));
    if (!connect && r->protocol.ptr != NULL)
        return bad(why, 400, ":protocol without CONNECT (RFC 8441 s4)");
    if ((connect && !slice_eq(r->protocol, SLICE("websocket"))) || slice_eq(r->method, SLICE("TRACE")))
        return bad(why, 501, "this method is not served");
    if (!connect)
        return PARSE_OK;
    if (!has_body || fields_count(&r->fields, SLICE("content-length")) > 0)
        return bad(why, 400, "a WebSocket that is closed already, or has a length");
    m->connect = true;
    m->framing = BODY_NONE;
    r->method = SLICE("GET");
    return PARSE_OK;
}

enum parse h2_request_finish(struct h2_request *r, bool has_body, struct message *out, struct refusal *why)
{
    *out = (struct message){ .version = 20, .keep_alive = true, .framing = has_body ? BODY_STREAM : BODY_NONE };
    if (r->too_large)
        return bad(why, 431, "the request head is too large");
    if (r->repeated || r->method.ptr == NULL || r->path.ptr == NULL || r->scheme.ptr == NULL)
        return bad(why, 400, "pseudo-fields are missing, repeated or unknown");
    if (!is_token(r->method))
        return bad(why, 400, "a malformed method");
    if (take_connect(r, has_body, out, why) != PARSE_OK)
        return PARSE_BAD;
    if (!slice_eq(r->scheme, SLICE("https")))
        return bad(why, 400, "a :scheme other than https");
    bool asterisk = slice_eq(r->path, SLICE("*")) && slice_eq(r->method, SLICE("OPTIONS"));
    if (!asterisk && (r->path.len == 0 || r->path.ptr[0] != '/'))
        return bad(why, 400, ":path must begin with a slash");
    out->method = r->method;
    out->scheme = r->scheme;
    out->raw_target = r->path;
    if (take_fields(r, out, why) != PARSE_OK)
        return PARSE_BAD;
    if (!has_body && out->has_length && out->content_length > 0)
        return bad(why, 400, "content-length without a body");
    return PARSE_OK;
}
