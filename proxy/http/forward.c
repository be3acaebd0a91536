#include "proxy/http/forward.h"

#include "proxy/http/forward_internal.h"
#include "proxy/http/put.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

static bool in_table(struct slice name, const struct slice *table, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (slice_eq(name, table[i]))
            return true;
    return false;
}

bool forward_hop_by_hop(struct slice name)
{
    static const struct slice table[] = {
        SLICE_INIT("connection"), SLICE_INIT("keep-alive"), SLICE_INIT("te"), SLICE_INIT("trailer"), SLICE_INIT("transfer-encoding"),
        SLICE_INIT("upgrade"), SLICE_INIT("http2-settings"), SLICE_INIT("content-length"), SLICE_INIT("host"),
    };
    static const unsigned char firsts[256] = { ['c'] = 1, ['k'] = 1, ['t'] = 1, ['u'] = 1, ['h'] = 1, ['p'] = 1 };
    if (name.len == 0 || !firsts[name.ptr[0]])
        return false;
    return in_table(name, table, COUNT(table)) || slice_starts(name, SLICE("proxy-"));
}

bool forward_connection_names(const struct fields *f)
{
    for (size_t i = 0; i < f->count; i++)
        if (slice_eq(f->v[i].name, SLICE("connection")) && !slice_eq(f->v[i].value, SLICE("keep-alive")))
            return true;
    return false;
}

bool forward_named_by_connection(const struct fields *f, struct slice name)
{
    return fields_has_token(f, SLICE("connection"), name);
}

/* One entry for each family; the fields that tools take a person's identity, the client's address, or another target from. The last matters
 * as much as the first: with X-Original-URL a tool would run another path than the one the policy saw. */
bool forward_own_field(struct slice name)
{
    static const struct slice prefixes[] = {
        SLICE_INIT("countersign-"), SLICE_INIT("client-cert"), SLICE_INIT("x-client-cert"), SLICE_INIT("x-forwarded-"),
        SLICE_INIT("x-ssl-"), SLICE_INIT("ssl-client"), SLICE_INIT("x-remote-"), SLICE_INIT("x-webauth-"), SLICE_INIT("x-auth-request-"),
        SLICE_INIT("x-original-"), SLICE_INIT("x-rewrite-"),
    };
    static const struct slice names[] = {
        SLICE_INIT("forwarded"), SLICE_INIT("via"), SLICE_INIT("x-forwarded"), SLICE_INIT("x-real-ip"), SLICE_INIT("x-client-ip"),
        SLICE_INIT("client-ip"), SLICE_INIT("true-client-ip"), SLICE_INIT("x-cluster-client-ip"), SLICE_INIT("remote-user"),
        SLICE_INIT("remote-addr"), SLICE_INIT("x-authenticated-user"), SLICE_INIT("x-host"), SLICE_INIT("x-http-host-override"),
    };
    static const unsigned char firsts[256] = { ['c'] = 1, ['x'] = 1, ['s'] = 1, ['f'] = 1, ['v'] = 1, ['t'] = 1, ['r'] = 1 };
    if (name.len == 0 || !firsts[name.ptr[0]])
        return false;
    for (size_t i = 0; i < COUNT(prefixes); i++)
        if (name_looks_to_start(name, prefixes[i]))
            return true;
    for (size_t i = 0; i < COUNT(names); i++)
        if (name_looks_like(name, names[i]))
            return true;
    return false;
}

/* Naming a field in Connection has it removed. Done to what frames, types or identifies a request, it would change what the tool sees from what
 * was judged. */
static bool must_not_be_named(struct slice name)
{
    static const struct slice table[] = { SLICE_INIT("host"), SLICE_INIT("transfer-encoding"), SLICE_INIT("cookie"),
                                          SLICE_INIT("authorization"), SLICE_INIT("origin"), SLICE_INIT("expect"), SLICE_INIT("destination") };
    return in_table(name, table, COUNT(table)) || slice_starts(name, SLICE("content-")) || slice_starts(name, SLICE("sec-fetch-")) ||
           forward_own_field(name);
}

static const char *connection_fault(struct slice value)
{
    struct slice element;
    while (list_next(&value, &element)) {
        unsigned char lower[64];
        if (element.len > sizeof lower)
            return "a Connection field that names something very long";
        for (size_t k = 0; k < element.len; k++)
            lower[k] = ascii_lower(element.ptr[k]);
        if (must_not_be_named(slice_of(lower, element.len)))
            return "a Connection field that names a field the gateway relies on";
    }
    return NULL;
}

/* Fields of which there is one (RFC 9110 s5.3): with two, the gateway might judge the first and the tool obey the last. */
static bool single(struct slice name)
{
    static const struct slice table[] = { SLICE_INIT("content-type"), SLICE_INIT("content-length"), SLICE_INIT("content-disposition"),
                                          SLICE_INIT("content-range"), SLICE_INIT("authorization"), SLICE_INIT("origin"),
                                          SLICE_INIT("referer"), SLICE_INIT("range"), SLICE_INIT("destination"), SLICE_INIT("service-worker"),
                                          SLICE_INIT("countersign-grant") };
    return in_table(name, table, COUNT(table)) || slice_starts(name, SLICE("sec-fetch-"));
}

const char *forward_refuses(const struct message *m)
{
    for (size_t i = 0; i < m->fields.count; i++) {
        struct slice name = m->fields.v[i].name;
        if (slice_eq(name, SLICE("connection"))) {
            const char *fault = m->version == 20 ? "a Connection field in HTTP/2" : connection_fault(m->fields.v[i].value);
            if (fault != NULL)
                return fault;
        }
        if (single(name) && fields_count(&m->fields, name) > 1)
            return "a field twice of which there is only one";
    }
    return NULL;
}

bool forward_passes(const struct message *m, struct slice name, bool has_connection)
{
    if (slice_find(name, '_') < name.len)         /* CGI and WSGI take it for the same name with '-' */
        return false;
    if (forward_hop_by_hop(name) || slice_eq(name, SLICE("expect")) || slice_eq(name, SLICE("cookie")) || forward_own_field(name))
        return false;
    return !has_connection || !forward_named_by_connection(&m->fields, name);
}

/* HTTP/2 may split cookies over fields (RFC 9113 s8.2.3); a tool expects one (RFC 6265 s5.4). */
static void put_cookies(struct put *w, const struct fields *f)
{
    const struct slice cookie = SLICE("cookie");
    bool first = true;
    for (size_t i = 0; i < f->count; i++) {
        if (!slice_eq(f->v[i].name, cookie) || f->v[i].value.len == 0)
            continue;
        put_slice(w, first ? SLICE("cookie: ") : SLICE("; "));
        put_slice(w, f->v[i].value);
        w->dirty |= !value_is_clean(f->v[i].value);
        first = false;
    }
    if (!first)
        put_slice(w, SLICE("\r\n"));
}

/* Forwarded (RFC 7239) and the X-Forwarded-* that most tools read instead. */
static void put_forwarded(struct put *w, const struct forward_request *f)
{
    bool v6 = slice_find(f->client_address, ':') < f->client_address.len;
    put_slice(w, f->message->version == 20 ? SLICE("Via: 2.0 countersign\r\nX-Forwarded-Proto: https\r\n")
                                           : f->message->version == 10 ? SLICE("Via: 1.0 countersign\r\nX-Forwarded-Proto: https\r\n")
                                                                       : SLICE("Via: 1.1 countersign\r\nX-Forwarded-Proto: https\r\n"));
    put_field(w, SLICE("X-Forwarded-For"), f->client_address);
    put_field(w, SLICE("X-Forwarded-Host"), f->public_host);
    put_slice(w, v6 ? SLICE("Forwarded: for=\"[") : SLICE("Forwarded: for="));
    put_slice(w, f->client_address);
    put_slice(w, v6 ? SLICE("]\";proto=https;host=\"") : SLICE(";proto=https;host=\""));
    put_slice(w, f->public_host);
    put_slice(w, SLICE("\"\r\n"));
}

/* The fields of a handshake that are the gateway's to say; Sec-WebSocket-Protocol passes as it came. */
bool forward_of_handshake(struct slice name)
{
    static const struct slice table[] = { SLICE_INIT("sec-websocket-key"), SLICE_INIT("sec-websocket-version"),
                                          SLICE_INIT("sec-websocket-extensions"), SLICE_INIT("sec-websocket-accept") };
    return in_table(name, table, COUNT(table));
}

/* What would bring an answer in a coding, or none at all (RFC 9110 s12.5.3, s13.1). */
static bool asks_for_less(struct slice name)
{
    static const struct slice table[] = { SLICE_INIT("accept-encoding"), SLICE_INIT("if-none-match"), SLICE_INIT("if-modified-since") };
    return in_table(name, table, COUNT(table));
}

bool forward_sends(const struct forward_request *f, struct slice name, bool has_connection)
{
    if (!forward_passes(f->message, name, has_connection) || (f->whole && asks_for_less(name)))
        return false;
    return f->websocket == NULL || !forward_of_handshake(name);
}

/* The public origin ends where one may end: "https://tool.example" is not "https://tool.example.evil". */
struct slice forward_told(const struct forward_request *f, const struct field *e, struct slice *rest)
{
    const struct slice https = SLICE("https://");
    size_t n = https.len + f->public_host.len;
    *rest = e->value;
    if (f->destination_origin.len > 0 && slice_eq(e->name, SLICE("destination")) && e->value.len > 0 && e->value.ptr[0] == '/')
        return f->destination_origin;
    if (f->told_origin.len == 0 || !(slice_eq(e->name, SLICE("origin")) || slice_eq(e->name, SLICE("referer"))))
        return (struct slice){ 0 };
    if (e->value.len < n || !slice_ieq(slice_of(e->value.ptr, https.len), https) || !slice_ieq(slice_of(e->value.ptr + https.len, f->public_host.len), f->public_host) ||
        (e->value.len > n && strchr("/?#", e->value.ptr[n]) == NULL))
        return (struct slice){ 0 };
    *rest = slice_from(e->value, n);
    return f->told_origin;
}

static void put_passed(struct put *w, const struct forward_request *f, const struct field *e)
{
    struct slice rest, told = forward_told(f, e, &rest);
    if (told.len == 0) {
        put_field(w, e->name, e->value);
        return;
    }
    put_slice(w, e->name);
    put_slice(w, SLICE(": "));
    put_slice(w, told);
    put_slice(w, rest);
    put_slice(w, SLICE("\r\n"));
    w->dirty |= !value_is_clean(told) || !value_is_clean(rest);
}

static void put_handshake(struct put *w, const struct ws_ask *ask)
{
    put_slice(w, SLICE("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"));
    put_field(w, SLICE("Sec-WebSocket-Key"), slice_of(ask->key, WS_KEY_LEN));
    if (ask->extensions.len > 0)
        put_field(w, SLICE("Sec-WebSocket-Extensions"), ask->extensions);
}

static void put_framing(struct put *w, const struct forward_request *f)
{
    const struct slice method = f->message->method;
    if (f->has_body && f->chunked)
        put_slice(w, SLICE("Transfer-Encoding: chunked\r\n"));
    else if (f->has_body)
        put_length(w, f->body_len);
    else if (slice_eq(method, SLICE("POST")) || slice_eq(method, SLICE("PUT")) || slice_eq(method, SLICE("PATCH")))
        put_length(w, 0);             /* content would be expected: say there is none (RFC 9110 s8.6) */
}

/* Of the gateway's own making, and looked at then: the two are a KiB and a half of each request. */
static void put_own(struct put *w, struct slice start, struct slice value)
{
    if (value.len == 0)
        return;
    put_slice(w, start);
    put_slice(w, value);
    put_slice(w, SLICE("\r\n"));
}

static size_t most_bytes(const struct forward_request *f)
{
    const struct message *m = f->message;
    size_t n = 832 + m->method.len + m->target.len + f->host.len + 2 * (f->client_address.len + f->public_host.len) + f->assertion.len +
               f->client_cert.len + 2 * f->told_origin.len +
               f->destination_origin.len;
    for (size_t i = 0; i < m->fields.count; i++)
        n += m->fields.v[i].name.len + m->fields.v[i].value.len + 4;
    return n;
}

/* Normal forms always are; looked at once more, as a space or CR here would be another request line. */
static bool target_is_clean(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] <= 0x20 || s.ptr[i] >= 0x7f)
            return false;
    return s.len > 0;
}

enum status forward_write_request(const struct forward_request *f, struct bbuf *out)
{
    const struct message *m = f->message;
    bool has_connection = forward_connection_names(&m->fields);
    if (!is_token(m->method) || !target_is_clean(m->target))
        return BAD_INPUT;
    struct put w = put_begin(out, most_bytes(f));
    if (w.p == NULL)
        return NO_MEMORY;
    put_slice(&w, m->method);
    put_slice(&w, SLICE(" "));
    put_slice(&w, m->target);
    put_slice(&w, SLICE(" HTTP/1.1\r\n"));
    put_field(&w, SLICE("Host"), f->host);
    for (size_t i = 0; i < m->fields.count; i++)
        if (forward_sends(f, m->fields.v[i].name, has_connection))
            put_passed(&w, f, &m->fields.v[i]);
    if (f->whole)
        put_slice(&w, SLICE("Accept-Encoding: identity\r\n"));
    put_cookies(&w, &m->fields);
    if (!f->own)
        put_forwarded(&w, f);
    put_own(&w, SLICE("Client-Cert: "), f->client_cert);
    put_own(&w, SLICE("Countersign-Assertion: "), f->assertion);
    put_framing(&w, f);
    if (f->websocket != NULL)
        put_handshake(&w, f->websocket);
    else if (fields_has_token(&m->fields, SLICE("te"), SLICE("trailers")))
        put_slice(&w, SLICE("TE: trailers\r\nConnection: TE\r\n"));
    put_slice(&w, SLICE("\r\n"));
    return put_end(&w, out);
}

bool forward_trailer_allowed(struct slice name)
{
    static const struct slice table[] = {
        SLICE_INIT("authorization"), SLICE_INIT("cookie"), SLICE_INIT("set-cookie"), SLICE_INIT("www-authenticate"),
        SLICE_INIT("authentication-info"), SLICE_INIT("age"), SLICE_INIT("cache-control"), SLICE_INIT("expires"), SLICE_INIT("date"),
        SLICE_INIT("location"), SLICE_INIT("retry-after"), SLICE_INIT("vary"), SLICE_INIT("warning"), SLICE_INIT("pragma"),
        SLICE_INIT("range"), SLICE_INIT("expect"), SLICE_INIT("max-forwards"), SLICE_INIT("alt-svc"), SLICE_INIT("nel"),
        SLICE_INIT("report-to"), SLICE_INIT("reporting-endpoints"), SLICE_INIT("service-worker-allowed"),
        SLICE_INIT("strict-transport-security"), SLICE_INIT("clear-site-data"), SLICE_INIT("refresh"), SLICE_INIT("origin"),
        SLICE_INIT("referer"), SLICE_INIT("link"),
    };
    static const struct slice prefixes[] = { SLICE_INIT("content-"), SLICE_INIT("if-"), SLICE_INIT("access-control-"), SLICE_INIT("sec-"),
                                             SLICE_INIT("x-http-method"), SLICE_INIT("x-method") };
    if (name.len == 0 || name.ptr[0] == ':' || slice_find(name, '_') < name.len || forward_hop_by_hop(name) || forward_own_field(name))
        return false;
    for (size_t i = 0; i < COUNT(prefixes); i++)
        if (name_looks_to_start(name, prefixes[i]))
            return false;
    return !in_table(name, table, COUNT(table));
}
