/* Which exchange answers a replayed page's request; behind recorded.h. */
#include "proxy/replay/recorded.h"

#include "proxy/replay/query_match.h"

static struct slice path_of(struct slice target)
{
    return slice_of(target.ptr, slice_find(target, '?'));
}

static struct slice query_of(struct slice target)
{
    size_t mark = slice_find(target, '?');
    return mark < target.len ? slice_from(target, mark + 1) : slice_of(target.ptr, 0);
}

/* How well an exchange answers a question; 0: not at all. */
enum { FIT_NONE, FIT_NEAR, FIT_REDACTED, FIT_TARGET, FIT_BODY };

static unsigned fit_target(const struct recorded_exchange *e, struct slice path, struct slice query, uint64_t hash)
{
    if (e->path_hash != hash || !slice_eq(e->path, path))
        return FIT_NONE;
    switch (query_compare(query, e->query)) {
    case QUERY_SAME:
        return FIT_TARGET;
    case QUERY_REDACTED:
        return FIT_REDACTED;
    case QUERY_NEAR:
        return FIT_NEAR;
    case QUERY_OTHER:
        break;
    }
    return FIT_NONE;
}

static unsigned fit(const struct recorded_exchange *e, const struct recorded_ask *ask, uint64_t hash)
{
    bool get = slice_eq(ask->method, SLICE("GET")) || slice_eq(ask->method, SLICE("HEAD"));
    if (!slice_eq(e->method, ask->method) && !(slice_eq(ask->method, SLICE("HEAD")) && slice_eq(e->method, SLICE("GET"))))
        return FIT_NONE;
    if (e->x->status < 200 || (e->x->status == 206 && !slice_eq(recorded_field(e->x->request_head, SLICE("range")), ask->range)))
        return FIT_NONE;
    unsigned f = fit_target(e, path_of(ask->target), query_of(ask->target), hash);
    if (f == FIT_NONE || get)
        return f;
    if (f == FIT_TARGET && slice_eq(e->x->request_body, ask->body))
        return FIT_BODY;
    return e->page == ask->page ? f : FIT_NONE;       /* another page's answer to other words is no answer */
}

static bool has_body(const struct recorded *r, size_t i)
{
    size_t body = recorded_body_of(r, i);
    return body != RECORDED_NONE && r->v[body].x->response_omitted == 0;
}

static int64_t apart_ms(const struct recorded *r, size_t a, size_t b)
{
    int64_t d = r->v[a].x->started_ms - r->v[b].x->started_ms;
    return d < 0 ? -d : d;
}

/* Those that fit best, by what is to be given first. */
struct choice {
    unsigned fit;
    size_t fresh, last, other;        /* the page's own, not given yet; the last of its own; the nearest of another page */
    size_t own;
};

static void consider(const struct recorded *r, struct choice *c, const struct recorded_ask *ask, size_t i, unsigned f)
{
    if (f > c->fit)
        *c = (struct choice){ f, RECORDED_NONE, RECORDED_NONE, RECORDED_NONE, 0 };
    if (r->v[i].page == ask->page) {
        if (c->fresh == RECORDED_NONE && r->v[i].served_to != ask->page)
            c->fresh = i;
        c->last = i;
        c->own++;
    } else if (c->other == RECORDED_NONE || apart_ms(r, i, ask->page) < apart_ms(r, c->other, ask->page)) {
        c->other = i;
    }
}

struct recorded_answer recorded_find(struct recorded *r, const struct recorded_ask *ask)
{
    struct choice c = { FIT_NONE, RECORDED_NONE, RECORDED_NONE, RECORDED_NONE, 0 };
    struct recorded_answer a = { .index = RECORDED_NONE, .why_not = "nobody asked for it in this session" };
    uint64_t hash = recorded_hash(path_of(ask->target));
    for (size_t i = 0; i < r->count; i++) {
        unsigned f = fit(&r->v[i], ask, hash);
        if (f == FIT_NONE || f < c.fit)
            continue;
        if (has_body(r, i))
            consider(r, &c, ask, i, f);
        else
            a.why_not = r->v[i].x->response_omitted > 0 ? "policy kept no bodies of this action"
                                                        : "the browser had it from before this session, and the tool said that nothing changed (304)";
    }
    if (c.fit == FIT_NONE)
        return a;
    a.near = c.fit == FIT_NEAR;
    a.again = c.own > 1 && c.fresh == RECORDED_NONE;
    a.poll = a.near && c.own > 1;
    a.hold = a.again && a.near;
    a.index = c.fresh != RECORDED_NONE ? c.fresh : c.last != RECORDED_NONE ? c.last : c.other;
    a.why_not = NULL;
    r->v[a.index].served_to = ask->page;
    return a;
}

size_t recorded_find_page(const struct recorded *r, size_t from_page, struct slice target)
{
    uint64_t hash = recorded_hash(path_of(target));
    size_t before = RECORDED_NONE;
    for (size_t i = 0; i < r->count; i++) {
        const struct recorded_exchange *e = &r->v[i];
        if ((e->kind != RECORDED_PAGE && e->kind != RECORDED_REDIRECT) || !slice_eq(e->method, SLICE("GET")))
            continue;
        if (fit_target(e, path_of(target), query_of(target), hash) < FIT_REDACTED)
            continue;
        if (i > from_page)
            return i;
        before = i;
    }
    return before;
}

size_t recorded_body_of(const struct recorded *r, size_t i)
{
    const struct recorded_exchange *e = &r->v[i];
    if (e->x->status != 304)
        return i;
    while (i-- > 0)
        if (r->v[i].path_hash == e->path_hash && r->v[i].x->status == 200 && slice_eq(r->v[i].target, e->target) && slice_eq(r->v[i].method, SLICE("GET"))
            && r->v[i].x->response_omitted == 0)
            return i;
    return RECORDED_NONE;
}
