#include "proxy/http/h1_write.h"

#include "proxy/base/clock.h"
#include "proxy/http/forward.h"
#include "proxy/http/put.h"

#include <assert.h>

const char *reason_phrase(unsigned status)
{
    static const char *const text[600] = {
        [100] = "Continue", [101] = "Switching Protocols", [102] = "Processing", [103] = "Early Hints",
        [200] = "OK", [201] = "Created", [202] = "Accepted", [203] = "Non-Authoritative Information", [204] = "No Content",
        [205] = "Reset Content", [206] = "Partial Content", [207] = "Multi-Status", [208] = "Already Reported", [226] = "IM Used",
        [300] = "Multiple Choices", [301] = "Moved Permanently", [302] = "Found", [303] = "See Other", [304] = "Not Modified",
        [305] = "Use Proxy", [307] = "Temporary Redirect", [308] = "Permanent Redirect",
        [400] = "Bad Request", [401] = "Unauthorized", [402] = "Payment Required", [403] = "Forbidden", [404] = "Not Found",
        [405] = "Method Not Allowed", [406] = "Not Acceptable", [407] = "Proxy Authentication Required", [408] = "Request Timeout",
        [409] = "Conflict", [410] = "Gone", [411] = "Length Required", [412] = "Precondition Failed", [413] = "Content Too Large",
        [414] = "URI Too Long", [415] = "Unsupported Media Type", [416] = "Range Not Satisfiable", [417] = "Expectation Failed",
        [421] = "Misdirected Request", [422] = "Unprocessable Content", [423] = "Locked", [424] = "Failed Dependency",
        [425] = "Too Early", [426] = "Upgrade Required", [428] = "Precondition Required", [429] = "Too Many Requests",
        [431] = "Request Header Fields Too Large", [451] = "Unavailable For Legal Reasons",
        [500] = "Internal Server Error", [501] = "Not Implemented", [502] = "Bad Gateway", [503] = "Service Unavailable",
        [504] = "Gateway Timeout", [505] = "HTTP Version Not Supported", [506] = "Variant Also Negotiates",
        [507] = "Insufficient Storage", [508] = "Loop Detected", [511] = "Network Authentication Required",
    };
    return status < 600 && text[status] != NULL ? text[status] : "Unknown";
}

/* The text changes once a second and formatting it costs more than the rest of a head. */
static void put_date(struct put *w, int64_t now_ms)
{
    static _Thread_local int64_t second = -1;
    static _Thread_local char text[CLOCK_TEXT_MAX];
    if (now_ms / 1000 != second) {
        clock_http_date(now_ms, text);
        second = now_ms / 1000;
    }
    put_field(w, SLICE("date"), slice_str(text));
}

static void put_framing(struct put *w, const struct h1_response_head *r)
{
    bool never = r->status < 200 || r->status == 204;   /* RFC 9110 s8.6, RFC 9112 s6.1 */
    switch (r->framing) {
    case BODY_NONE:
        if (r->has_length && !never)
            put_length(w, r->content_length);
        break;
    case BODY_LENGTH:
        put_length(w, r->content_length);
        break;
    case BODY_CHUNKED:
        put_slice(w, SLICE("transfer-encoding: chunked\r\n"));
        break;
    case BODY_UNTIL_CLOSE:
        break;
    case BODY_STREAM:
        assert(!"HTTP/2 has no HTTP/1.1 head");
    }
    if (r->close || r->framing == BODY_UNTIL_CLOSE)
        put_slice(w, SLICE("connection: close\r\n"));
}

enum status h1_write_response_head(const struct h1_response_head *r, struct bbuf *out)
{
    static const struct fields none;
    const struct fields *f = r->fields ? r->fields : &none;
    struct slice reason = slice_str(reason_phrase(r->status));
    size_t most = 192 + reason.len;
    assert(r->status >= 100 && r->status <= 599);
    for (size_t i = 0; i < f->count; i++)
        most += f->v[i].name.len + f->v[i].value.len + 4;
    struct put w = put_begin(out, most);
    if (w.p == NULL)
        return NO_MEMORY;
    put_slice(&w, SLICE("HTTP/1.1 "));
    put_number(&w, r->status, 10);
    put_slice(&w, SLICE(" "));
    put_slice(&w, reason);
    put_slice(&w, SLICE("\r\n"));
    if (r->status >= 200 && fields_count(f, SLICE("date")) == 0)
        put_date(&w, r->now_ms);
    for (size_t i = 0; i < f->count; i++)
        put_field(&w, f->v[i].name, f->v[i].value);
    put_framing(&w, r);
    put_slice(&w, SLICE("\r\n"));
    return put_end(&w, out);
}

enum status h1_write_continue(struct bbuf *out)
{
    return bbuf_put(out, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
}

enum status h1_write_chunk_size(uint64_t len, struct bbuf *out)
{
    struct put w = put_begin(out, H1_CHUNK_FRAMING);
    assert(len > 0);
    if (w.p == NULL)
        return NO_MEMORY;
    put_number(&w, len, 16);
    put_slice(&w, SLICE("\r\n"));
    return put_end(&w, out);
}

enum status h1_write_chunk_end(struct bbuf *out)
{
    return bbuf_put(out, SLICE("\r\n"));
}

enum status h1_write_chunk(struct slice data, struct bbuf *out)
{
    if (data.len == 0)
        return OK;
    if (data.len > bbuf_room(out))
        return FULL;
    struct put w = put_begin(out, data.len + H1_CHUNK_FRAMING);
    if (w.p == NULL)
        return NO_MEMORY;
    put_number(&w, data.len, 16);
    put_slice(&w, SLICE("\r\n"));
    put_slice(&w, data);
    put_slice(&w, SLICE("\r\n"));
    return put_end(&w, out);
}

enum status h1_write_last_chunk(const struct fields *trailers, struct bbuf *out)
{
    size_t most = 8;
    for (size_t i = 0; trailers != NULL && i < trailers->count; i++)
        most += trailers->v[i].name.len + trailers->v[i].value.len + 4;
    struct put w = put_begin(out, most);
    if (w.p == NULL)
        return NO_MEMORY;
    put_slice(&w, SLICE("0\r\n"));
    for (size_t i = 0; trailers != NULL && i < trailers->count; i++)
        if (forward_trailer_allowed(trailers->v[i].name))
            put_field(&w, trailers->v[i].name, trailers->v[i].value);
    put_slice(&w, SLICE("\r\n"));
    return put_end(&w, out);
}
