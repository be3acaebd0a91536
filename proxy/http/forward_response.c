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

/* Does the URL begin with this origin (scheme and host in any case), ending where an origin may end? */
static bool at_origin(struct slice url, struct slice origin)
{
    if (origin.len == 0 || url.len < origin.len || !slice_ieq(slice_of(url.ptr, origin.len), origin))
        return false;
    return url.len == origin.len || strchr("/?#", url.ptr[origin.len]) != NULL;
}

/* "http://host:80" as "http://host", which is what a tool writes; others as they are. */
static struct slice without_default_port(struct slice origin)
{
    const struct slice http = SLICE(":80"), https = SLICE(":443");
    struct slice port = slice_starts(origin, SLICE("https:")) ? https : http;
    if (origin.len > port.len && slice_eq(slice_from(origin, origin.len - port.len), port))
        origin.len -= port.len;
    return origin;
}

/* The origin that Location must lose, or len 0: the upstream's, or the public one with the scheme the tool itself is spoken to with. */
static size_t foreign_origin(struct slice url, const struct forward_response *f)
{
    struct slice plain = without_default_port(f->upstream_origin), https = SLICE("https://"), http = SLICE("http://");
    if (at_origin(url, f->upstream_origin))
        return f->upstream_origin.len;
    if (at_origin(url, plain))
        return plain.len;
    if (slice_starts(f->public_origin, https) && url.len > http.len && slice_ieq(slice_of(url.ptr, http.len), http)) {
        struct slice host = slice_from(f->public_origin, https.len);
        if (at_origin(slice_from(url, http.len), host))
            return http.len + host.len;
    }
    return 0;
}

static struct slice public_location(struct slice url, const struct forward_response *f, struct arena *arena)
{
    size_t n = foreign_origin(url, f);
    if (n == 0)
        return url;
    struct slice rest = slice_from(url, n);
    unsigned char *p = arena_alloc(arena, f->public_origin.len + rest.len + 1);
    if (p == NULL)
        return (struct slice){ 0 };
    memcpy(p, f->public_origin.ptr, f->public_origin.len);
    memcpy(p + f->public_origin.len, rest.ptr, rest.len);
    return slice_of(p, f->public_origin.len + rest.len);
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
        if (slice_eq(name, SLICE("set-cookie")))
            value = forward_set_cookie(value, arena);
        else if (slice_eq(name, SLICE("location")))
            value = public_location(value, f, arena);
        if (value.ptr == NULL)
            return NO_MEMORY;
        enum status st = fields_add(&kept, arena, in->count, name, value);
        if (st != OK)
            return st;
    }
    *out = kept;
    return OK;
}
