#include "proxy/exchange/cross_origin.h"

#include "proxy/exchange/conn.h"
#include "proxy/http/forward.h"
#include "proxy/http/syntax.h"

#include <stdlib.h>

enum { FIELDS_MAX = 300, ASKED_NAMES_MAX = 64 };

/* ---- who is named ---- */

static bool is_safe(struct slice method)
{
    return slice_eq(method, SLICE("GET")) || slice_eq(method, SLICE("HEAD")) || slice_eq(method, SLICE("OPTIONS"));
}

static bool is_ours(const struct exchange *x, struct slice origin)
{
    char *own = config_origin(x->snap->config, x->tool->host);
    bool same = own != NULL && slice_ieq(origin, slice_str(own));
    free(own);
    return same;
}

static bool listed(struct slice origin, char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (slice_ieq(origin, slice_str(names[i])))
            return true;
    return false;
}

static bool named_by_action(const struct action *a, struct slice origin)
{
    return a != NULL && listed(origin, a->cross_origin, a->cross_origin_count);
}

static bool named_by_some_action(const struct tool *t, struct slice origin)
{
    for (size_t i = 0; i < t->action_count; i++)
        if (named_by_action(&t->actions[i], origin))
            return true;
    return false;
}

/* Is the origin named at all, and if so: only by an action? */
static bool is_named(const struct tool *t, struct slice origin, bool *only_by_action)
{
    *only_by_action = false;
    if (!t->names_origins)
        return false;
    if (listed(origin, t->cross_origin, t->cross_origin_count))
        return true;
    *only_by_action = named_by_some_action(t, origin);
    return *only_by_action;
}

/* ---- the guard ---- */

static bool is_top_level_navigation(const struct exchange *x)
{
    const struct fields *f = &x->request.fields;
    return slice_eq(fields_get(f, SLICE("sec-fetch-mode")), SLICE("navigate")) && slice_eq(fields_get(f, SLICE("sec-fetch-dest")), SLICE("document")) &&
           is_safe(x->request.method);
}

bool cross_origin_refuses(struct exchange *x)
{
    const struct fields *f = &x->request.fields;
    struct slice site = fields_get(f, SLICE("sec-fetch-site")), origin = fields_get(f, SLICE("origin"));
    bool upgrades = x->request.connect || fields_count(f, SLICE("upgrade")) > 0;
    x->reader = (struct slice){ 0 };
    x->reader_needs_action = false;
    if (origin.ptr != NULL && is_named(x->tool, origin, &x->reader_needs_action)) {
        x->reader = origin;
        return false;
    }
    /* A WebSocket is bound by no same-origin policy: browsers leave it to the Origin, which they always send (RFC 6455 s10.2). */
    if (upgrades && (origin.ptr != NULL || site.ptr != NULL))
        return origin.ptr == NULL || !is_ours(x, origin);
    if (site.ptr != NULL)
        return !slice_eq(site, SLICE("same-origin")) && !slice_eq(site, SLICE("none")) && !is_top_level_navigation(x);
    /* Neither Sec-Fetch-Site nor Origin: no browser, so no page can make it act. */
    return origin.ptr != NULL && !is_ours(x, origin);
}

bool cross_origin_refuses_action(struct exchange *x)
{
    if (!x->reader_needs_action || named_by_action(x->verdict.action, x->reader))
        return false;
    x->reader = (struct slice){ 0 };
    return true;
}

void cross_origin_refuse(struct exchange *x)
{
    struct problem p = { .status = 403, .type = "cross-origin", .title = "This request came from another site",
                         .detail = "A page of another origin may not act here in your name.",
                         .next = "Open the tool itself and do it there. If the other page is meant to do this, an operator can name its origin for this tool (cross_origin)." };
    reply_problem(x, &p);
}

/* ---- preflights ---- */

bool cross_origin_is_preflight(const struct message *m)
{
    return slice_eq(m->method, SLICE("OPTIONS")) && fields_get(&m->fields, SLICE("origin")).ptr != NULL &&
           fields_get(&m->fields, SLICE("access-control-request-method")).ptr != NULL;
}

/* Would the policy let this origin send that method to that path, with some body? The request itself is judged in full when it comes. */
static bool policy_allows(struct exchange *x, struct slice origin, struct slice method)
{
    bool only_by_action;
    if (!is_token(method) || fields_count(&x->request.fields, SLICE("origin")) != 1 ||
        fields_count(&x->request.fields, SLICE("access-control-request-method")) != 1)
        return false;
    if (!is_ours(x, origin) && !is_named(x->tool, origin, &only_by_action))
        return false;
    else if (is_ours(x, origin))
        only_by_action = false;
    if (readings_query(x->request.query, &x->arena, &x->query) != OK)
        return false;
    struct policy_request r = { .methods = &method, .method_count = 1, .path = x->request.path, .query = x->query.v, .query_count = x->query.count };
    struct verdict v = policy_judge(x->tool, &r);
    if (v.requirement == NEED_DENY && !v.wants_body)
        return false;
    return !only_by_action || named_by_action(v.action, origin) || v.wants_body;
}

/* The asked names that would reach the tool; none of the gateway's own, nor what it drops anyway. */
static struct slice allowed_names(struct exchange *x)
{
    struct slice rest = fields_get(&x->request.fields, SLICE("access-control-request-headers")), name;
    unsigned char *out = arena_alloc(&x->arena, rest.len + 1);
    size_t n = 0, count = 0;
    if (out == NULL || rest.len == 0)
        return (struct slice){ 0 };
    while (list_next(&rest, &name)) {
        if (!is_token(name) || ++count > ASKED_NAMES_MAX)
            continue;
        size_t at = n > 0 ? n + 1 : 0;
        for (size_t i = 0; i < name.len; i++)
            out[at + i] = ascii_lower(name.ptr[i]);
        if (forward_own_field(slice_of(out + at, name.len)) || slice_find(name, '_') < name.len)
            continue;
        if (n > 0)
            out[n] = ',';
        n = at + name.len;
    }
    return slice_of(out, n);
}

static void add(struct exchange *x, struct fields *out, struct slice name, struct slice value)
{
    if (value.len > 0)
        (void)!fields_add(out, &x->arena, FIELDS_MAX, name, value);
}

void cross_origin_preflight(struct exchange *x)
{
    const struct fields *f = &x->request.fields;
    struct slice origin = fields_get(f, SLICE("origin")), method = fields_get(f, SLICE("access-control-request-method"));
    struct fields more = { 0 };
    if (!policy_allows(x, origin, method)) {
        cross_origin_refuse(x);
        return;
    }
    x->why = "preflight";
    x->reader = origin;
    add(x, &more, SLICE("access-control-allow-methods"), method);
    add(x, &more, SLICE("access-control-allow-headers"), allowed_names(x));
    add(x, &more, SLICE("access-control-max-age"), SLICE("600"));
    if (slice_eq(fields_get(f, SLICE("access-control-request-private-network")), SLICE("true")))
        add(x, &more, SLICE("access-control-allow-private-network"), SLICE("true"));
    reply_bytes(x, 204, NULL, (struct slice){ 0 }, &more);
}

/* ---- answers ---- */

void cross_origin_fields(struct exchange *x, struct fields *out)
{
    if (x->tool == NULL || !x->tool->names_origins)
        return;
    add(x, out, SLICE("vary"), SLICE("Origin"));
    if (x->reader.len == 0)
        return;
    add(x, out, SLICE("access-control-allow-origin"), x->reader);
    add(x, out, SLICE("access-control-allow-credentials"), SLICE("true"));
}
