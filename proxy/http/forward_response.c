#include "proxy/http/forward.h"

#include "proxy/http/forward_internal.h"
#include "proxy/http/syntax.h"

struct slice forward_set_cookie(struct slice value, struct arena *arena)
{
    unsigned char *out = arena_alloc(arena, value.len + 1);
    size_t n = 0;
    if (out == NULL)
        return (struct slice){ 0 };
    for (size_t from = 0, i = 0; i <= value.len; i++) {
        if (i < value.len && value.ptr[i] != ';')
            continue;
        struct slice part = slice_of(value.ptr + from, i - from), name = slice_of(part.ptr, slice_find(part, '='));
        /* The first part is the cookie itself, which may well be called "domain". */
        if (from == 0 || !slice_ieq(slice_trim(name), SLICE("domain"))) {
            if (from > 0)
                out[n++] = ';';
            memcpy(out + n, part.ptr, part.len);
            n += part.len;
        }
        from = i + 1;
    }
    return slice_of(out, n);
}

/* Fields that would take the browser past the gateway, outlive the session, or speak in the gateway's name. */
static bool stopped(struct slice name, const struct forward_response *f)
{
    static const struct slice table[] = { SLICE_INIT("alt-svc"), SLICE_INIT("nel"), SLICE_INIT("report-to"),
                                          SLICE_INIT("reporting-endpoints"), SLICE_INIT("strict-transport-security") };
    static const unsigned char firsts[256] = { ['a'] = 1, ['n'] = 1, ['r'] = 1, ['s'] = 1, ['c'] = 1 };
    if (name.len == 0 || !firsts[name.ptr[0]])
        return false;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (slice_eq(name, table[i]))
            return true;
    if (slice_eq(name, SLICE("service-worker-allowed")))
        return !f->allow_service_worker;
    if (slice_starts(name, SLICE("access-control-")))
        return !f->other_origin_reads || !slice_eq(name, SLICE("access-control-expose-headers"));
    return slice_starts(name, SLICE("countersign-"));
}

/* host[:port] apart; port is empty when there is none. */
static struct slice host_of(struct slice authority, struct slice *port_out)
{
    struct slice host = authority_host(authority);
    *port_out = host.len < authority.len ? slice_from(authority, host.len + 1) : slice_of(authority.ptr, 0);
    return host;
}

static bool is_default(struct slice port, bool https)
{
    return slice_eq(port, https ? SLICE("443") : SLICE("80"));
}

static bool same_port(struct slice a, struct slice b, bool https)
{
    return slice_eq(a, b) || (a.len == 0 && is_default(b, https)) || (b.len == 0 && is_default(a, https));
}

/* [ "http:" / "https:" ] "//" authority, and where it ends: at '/', '?', '#', or the end. */
struct origin {
    bool https, any;                  /* any: no scheme is said */
    struct slice authority;
    size_t len;                       /* 0: the URL has no origin of its own */
};

static struct origin take_origin(struct slice url)
{
    const struct slice http = SLICE("http:"), https = SLICE("https:");
    struct origin o = { 0 };
    size_t at = 0;
    if (url.len > http.len && slice_ieq(slice_of(url.ptr, http.len), http))
        at = http.len;
    else if (url.len > https.len && slice_ieq(slice_of(url.ptr, https.len), https))
        at = https.len;
    if (url.len < at + 3 || url.ptr[at] != '/' || url.ptr[at + 1] != '/')
        return o;
    size_t end = at + 2;
    while (end < url.len && strchr("/?#", url.ptr[end]) == NULL)
        end++;
    o = (struct origin){ at == https.len, at == 0, slice_of(url.ptr + at + 2, end - at - 2), end };
    return o;
}

/* The address the tool is spoken to at, or the Host it is told: what it knows of itself. */
static bool is_upstream(const struct origin *o, const struct forward_response *f, struct origin up)
{
    struct slice port, up_port;
    struct slice host = host_of(o->authority, &port), up_host = host_of(up.authority, &up_port);
    if (f->sent_host.len > 0 && slice_ieq(o->authority, f->sent_host))
        return true;
    return up.len > 0 && slice_ieq(host, up_host) && (o->any || o->https == up.https) && same_port(port, up_port, up.https);
}

/* The tool's public host with the port that people use, that it itself listens on, or none: tools put them together from what they know. On that host there is nothing else. */
static bool is_public(const struct origin *o, struct origin public, struct origin up)
{
    struct slice port, public_port, up_port;
    struct slice host = host_of(o->authority, &port), public_host = host_of(public.authority, &public_port);
    (void)host_of(up.authority, &up_port);
    return slice_ieq(host, public_host) && (port.len == 0 || is_default(port, o->https) || slice_eq(port, public_port) || (up.len > 0 && slice_eq(port, up_port)));
}

/* The same URL at the public origin, if it is the tool's own. */
static struct slice public_url(struct slice url, const struct forward_response *f, struct arena *arena)
{
    struct origin o = take_origin(url), up = take_origin(f->upstream_origin), public = take_origin(f->public_origin);
    if (o.len == 0 || public.len == 0 || !(is_upstream(&o, f, up) || is_public(&o, public, up)))
        return url;
    struct slice rest = slice_from(url, o.len);
    unsigned char *p = arena_alloc(arena, f->public_origin.len + rest.len + 1);
    if (p == NULL)
        return (struct slice){ 0 };
    memcpy(p, f->public_origin.ptr, f->public_origin.len);
    memcpy(p + f->public_origin.len, rest.ptr, rest.len);
    return slice_of(p, f->public_origin.len + rest.len);
}

/* Refresh: seconds ";" "url=" URL (HTML s4.2.5.3), as browsers read it: spaces, quotes and capitals as one likes. */
static struct slice public_refresh(struct slice value, const struct forward_response *f, struct arena *arena)
{
    const struct slice name = SLICE("url=");
    size_t at = slice_find(value, ';');
    if (at == value.len)
        return value;
    while (++at < value.len && (value.ptr[at] == ' ' || value.ptr[at] == '\t'))
        ;
    if (value.len - at > name.len && slice_ieq(slice_of(value.ptr + at, name.len), name))
        at += name.len;
    while (at < value.len && strchr(" \t\"'", value.ptr[at]) != NULL)
        at++;
    struct slice url = slice_from(value, at), to = public_url(url, f, arena);
    if (to.ptr == NULL || slice_eq(to, url))
        return to.ptr == NULL ? to : value;
    return arena_printf(arena, "%.*s%.*s", (int)at, (const char *)value.ptr, SLICE_ARG(to));
}

bool forward_names_address(struct slice name)
{
    return slice_eq(name, SLICE("location")) || slice_eq(name, SLICE("content-location")) || slice_eq(name, SLICE("refresh"));
}

static struct slice public_value(struct slice name, struct slice value, const struct forward_response *f, struct arena *arena)
{
    if (slice_eq(name, SLICE("set-cookie")))
        return forward_set_cookie(value, arena);
    if (!forward_names_address(name))
        return value;
    return slice_eq(name, SLICE("refresh")) ? public_refresh(value, f, arena) : public_url(value, f, arena);
}

enum status forward_response_fields(const struct forward_response *f, struct arena *arena, struct fields *out)
{
    const struct fields *in = &f->message->fields;
    struct fields kept = { 0 };
    bool has_connection = forward_connection_names(in);
    for (size_t i = 0; i < in->count; i++) {
        struct slice name = in->v[i].name, value = in->v[i].value;
        if (forward_hop_by_hop(name) || stopped(name, f) ||
            (has_connection && forward_named_by_connection(in, name)))
            continue;
        value = public_value(name, value, f, arena);
        if (value.ptr == NULL)
            return NO_MEMORY;
        enum status st = fields_add(&kept, arena, in->count, name, value);
        if (st != OK)
            return st;
    }
    *out = kept;
    return OK;
}
