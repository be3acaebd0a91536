#include "proxy/record/head.h"

static void put_ring(void *to, struct slice s)
{
    ring_put(to, s);
}

/* Reason phrases (RFC 9110 s15): for people who read the file; no program may depend on them. */
static const struct {
    unsigned status;
    const char *reason;
} reasons[] = {
    { 100, "Continue" }, { 101, "Switching Protocols" }, { 103, "Early Hints" },
    { 200, "OK" }, { 201, "Created" }, { 202, "Accepted" }, { 204, "No Content" }, { 206, "Partial Content" },
    { 301, "Moved Permanently" }, { 302, "Found" }, { 303, "See Other" }, { 304, "Not Modified" }, { 307, "Temporary Redirect" },
    { 308, "Permanent Redirect" }, { 400, "Bad Request" }, { 401, "Unauthorized" }, { 403, "Forbidden" }, { 404, "Not Found" },
    { 405, "Method Not Allowed" }, { 409, "Conflict" }, { 410, "Gone" }, { 412, "Precondition Failed" }, { 413, "Content Too Large" },
    { 415, "Unsupported Media Type" }, { 416, "Range Not Satisfiable" }, { 421, "Misdirected Request" }, { 422, "Unprocessable Content" },
    { 429, "Too Many Requests" }, { 500, "Internal Server Error" }, { 501, "Not Implemented" }, { 502, "Bad Gateway" },
    { 503, "Service Unavailable" }, { 504, "Gateway Timeout" },
};

static const char *reason_of(unsigned status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "";
}

static bool left_out(struct slice name, bool drop_length)
{
    return slice_ieq(name, SLICE("transfer-encoding")) || slice_ieq(name, SLICE("trailer"))
           || (drop_length && slice_ieq(name, SLICE("content-length")));
}

static void put_fields(struct ring_out *o, const struct fingerprint *f, const struct secret_names *names, const struct message *m,
                       bool drop_length)
{
    struct redact_out out = { put_ring, o };
    for (size_t i = 0; i < m->fields.count; i++) {
        const struct field *line = &m->fields.v[i];
        if (left_out(line->name, drop_length))
            continue;
        ring_put(o, line->name);
        ring_put(o, SLICE(": "));
        redact_field(f, names, line->name, line->value, &out);
        ring_put(o, SLICE("\r\n"));
    }
    ring_put(o, SLICE("\r\n"));
}

size_t head_trailers_len(const struct fields *trailers)
{
    size_t len = 0;
    for (size_t i = 0; i < trailers->count; i++)   /* a fingerprint may be longer than what it stands for */
        len += trailers->v[i].name.len + trailers->v[i].value.len + 4 + 32;
    return len;
}

void head_put_trailers(struct ring_out *o, const struct fingerprint *f, const struct secret_names *names, const struct fields *trailers)
{
    struct redact_out out = { put_ring, o };
    for (size_t i = 0; i < trailers->count; i++) {
        ring_put(o, trailers->v[i].name);
        ring_put(o, SLICE(": "));
        redact_field(f, names, trailers->v[i].name, trailers->v[i].value, &out);
        ring_put(o, SLICE("\r\n"));
    }
}

/* HTTP/2 is written as HTTP/1.1; the record says what it was (WARC-Protocol). */
static struct slice version_text(const struct message *m)
{
    return m->version == 10 ? SLICE("HTTP/1.0") : SLICE("HTTP/1.1");
}

static uint32_t put_target(struct ring_out *o, const struct fingerprint *f, const struct secret_names *names, const struct message *m)
{
    struct redact_out out = { put_ring, o };
    uint64_t start = o->at;
    size_t query = slice_find(m->target, '?');
    if (query < m->target.len)
        query++;
    ring_put(o, slice_of(m->target.ptr, query));
    redact_query(f, names, slice_from(m->target, query), &out);
    return (uint32_t)(o->at - start);
}

uint32_t head_put_request(struct ring_out *o, const struct fingerprint *f, const struct secret_names *names, const struct message *m,
                          bool drop_length)
{
    ring_put(o, m->method);
    ring_put(o, SLICE(" "));
    uint32_t target_len = put_target(o, f, names, m);
    ring_put(o, SLICE(" "));
    ring_put(o, version_text(m));
    ring_put(o, SLICE("\r\nhost: "));
    ring_put(o, m->authority);
    ring_put(o, SLICE("\r\n"));
    put_fields(o, f, names, m, drop_length);
    return target_len;
}

void head_put_response(struct ring_out *o, const struct fingerprint *f, const struct secret_names *names, const struct message *m,
                       bool drop_length)
{
    unsigned status = m->status % 1000;
    char code[] = { ' ', (char)('0' + status / 100), (char)('0' + status / 10 % 10), (char)('0' + status % 10), ' ' };
    ring_put(o, version_text(m));
    ring_put(o, slice_of(code, sizeof code));
    ring_put(o, slice_str(reason_of(m->status)));
    ring_put(o, SLICE("\r\n"));
    put_fields(o, f, names, m, drop_length);
}
