/* A request for an HTTP/2 tool: the same decisions as forward.c, as a list of fields. */
#include "proxy/http/forward.h"

#include "proxy/http/forward_internal.h"
#include "proxy/http/syntax.h"

enum { FIELDS_MAX = 1100 };           /* limits.fields may be 1000 */

struct list {
    struct arena *arena;
    struct fields *to;
    enum status st;
};

static void add(struct list *l, struct slice name, struct slice value)
{
    if (l->st == OK && (!value_is_clean(value) || value.ptr == NULL))
        l->st = value.ptr == NULL ? NO_MEMORY : BAD_INPUT;
    if (l->st == OK)
        l->st = fields_add(l->to, l->arena, FIELDS_MAX, name, value);
}

static void add_pseudo(struct list *l, const struct forward_request *f, struct slice scheme)
{
    const struct message *m = f->message;
    add(l, SLICE(":method"), f->websocket ? SLICE("CONNECT") : m->method);
    if (f->websocket != NULL)
        add(l, SLICE(":protocol"), SLICE("websocket"));
    add(l, SLICE(":scheme"), scheme);
    add(l, SLICE(":authority"), f->host);
    add(l, SLICE(":path"), m->target);
}

/* Forwarded (RFC 7239) and the X-Forwarded-* that most tools read instead. */
static void add_forwarded(struct list *l, const struct forward_request *f)
{
    static const struct slice via[] = { SLICE_INIT("1.1 countersign"), SLICE_INIT("2.0 countersign"), SLICE_INIT("1.0 countersign") };
    bool v6 = slice_find(f->client_address, ':') < f->client_address.len;
    unsigned version = f->message->version;
    add(l, SLICE("via"), via[version == 20 ? 1 : version == 10 ? 2 : 0]);
    add(l, SLICE("x-forwarded-proto"), SLICE("https"));
    add(l, SLICE("x-forwarded-for"), f->client_address);
    add(l, SLICE("x-forwarded-host"), f->public_host);
    add(l, SLICE("forwarded"), arena_printf(l->arena, "for=%s%.*s%s;proto=https;host=\"%.*s\"", v6 ? "\"[" : "", (int)f->client_address.len, (const char *)f->client_address.ptr,
                                            v6 ? "]\"" : "", (int)f->public_host.len, (const char *)f->public_host.ptr));
}

static void add_length(struct list *l, const struct forward_request *f)
{
    const struct slice method = f->message->method;
    bool expected = slice_eq(method, SLICE("POST")) || slice_eq(method, SLICE("PUT")) || slice_eq(method, SLICE("PATCH"));
    if (f->has_body && f->chunked)
        return;
    if (f->has_body || expected)
        add(l, SLICE("content-length"), arena_printf(l->arena, "%llu", (unsigned long long)(f->has_body ? f->body_len : 0)));
}

static struct slice told_value(const struct forward_request *f, const struct field *e, struct arena *arena)
{
    struct slice rest, told = forward_told(f, e, &rest);
    return told.len > 0 ? arena_printf(arena, "%.*s%.*s", SLICE_ARG(told), SLICE_ARG(rest)) : e->value;
}

enum status forward_request_fields(const struct forward_request *f, struct slice scheme, struct arena *arena, struct fields *out)
{
    const struct message *m = f->message;
    bool has_connection = forward_connection_names(&m->fields);
    struct fields made = { 0 };
    struct list l = { arena, &made, OK };
    if (!is_token(m->method) || m->target.len == 0)
        return BAD_INPUT;
    add_pseudo(&l, f, scheme);
    for (size_t i = 0; i < m->fields.count; i++) {
        const struct field *e = &m->fields.v[i];
        bool cookie = slice_eq(e->name, SLICE("cookie"));   /* as many as came: a recipient joins them (RFC 9113 s8.2.3) */
        if (cookie || forward_sends(f, e->name, has_connection))
            add(&l, e->name, told_value(f, e, arena));
    }
    if (f->whole)
        add(&l, SLICE("accept-encoding"), SLICE("identity"));
    if (!f->own)
        add_forwarded(&l, f);
    if (f->client_cert.len > 0)
        add(&l, SLICE("client-cert"), f->client_cert);
    if (f->assertion.len > 0)
        add(&l, SLICE("countersign-assertion"), f->assertion);
    if (f->websocket != NULL) {
        add(&l, SLICE("sec-websocket-version"), SLICE("13"));
        if (f->websocket->extensions.len > 0)
            add(&l, SLICE("sec-websocket-extensions"), f->websocket->extensions);
    } else {
        add_length(&l, f);
        if (fields_has_token(&m->fields, SLICE("te"), SLICE("trailers")))
            add(&l, SLICE("te"), SLICE("trailers"));
    }
    if (l.st == OK)
        *out = made;
    return l.st;
}
