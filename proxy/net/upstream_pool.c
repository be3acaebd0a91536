/* Which place an exchange goes to, and on which connection; who waits for one. */
#include "proxy/net/upstream_internal.h"

#include <stdlib.h>

enum { TRIES_MAX = 3 };               /* places tried for one exchange */

/* What start() did. */
enum started { STARTED, WAITS, FAILED };
struct failure {
    enum upstream_failure f;
    const char *reason;
};

/* ---- lists ---- */

void place_list(struct wire **list, struct wire *w)
{
    w->also_prev = NULL;
    w->also_next = *list;
    if (*list != NULL)
        (*list)->also_prev = w;
    *list = w;
    w->listed = true;
}

void place_unlist(struct wire *w)
{
    struct place *at = w->place;
    if (!w->listed)
        return;
    w->listed = false;
    if (w->also_prev != NULL)
        w->also_prev->also_next = w->also_next;
    else if (at->idle == w)
        at->idle = w->also_next;
    else
        at->h2 = w->also_next;
    if (w->also_next != NULL)
        w->also_next->also_prev = w->also_prev;
}

static void wait_in_line(struct upstream *u)
{
    struct upstream_pool *p = u->pool;
    u->waiting = true;
    u->next = NULL;
    u->link = p->waiting_end;
    *p->waiting_end = u;
    p->waiting_end = &u->next;
}

static void leave_line(struct upstream *u)
{
    if (!u->waiting)
        return;
    u->waiting = false;
    *u->link = u->next;
    if (u->next != NULL)
        u->next->link = u->link;
    if (u->pool->waiting_end == &u->next)
        u->pool->waiting_end = u->link;
    u->next = NULL;
}

/* ---- choosing ---- */

static bool tried(const struct upstream *u, const struct place *at)
{
    return u->tried & (UINT32_C(1) << (at - at->pool->place));
}

/* The fewest under way, among those that are in; equals take turns. */
static struct place *least_busy(struct upstream_pool *p, const struct upstream *u)
{
    struct place *best = NULL;
    unsigned first = p->turn++;
    for (unsigned i = 0; i < p->place_count; i++) {
        struct place *at = &p->place[(first + i) % p->place_count];
        if (tried(u, at) || !backend_well(at->backend) || (best != NULL && at->busy >= best->busy))
            continue;
        int64_t until = backend_out_until(at->backend);
        if (until != 0 && p->loop->now_ms < until)
            continue;
        if (until != 0 && backend_open(at->backend, p->loop->now_ms))
            return at;                /* its back-off is over: this one finds out */
        if (until == 0)
            best = at;
    }
    return best;
}

/* All of them are out: better the one that has been out longest than no answer. */
static struct place *least_out(struct upstream_pool *p, const struct upstream *u)
{
    struct place *best = NULL;
    for (unsigned i = 0; i < p->place_count; i++) {
        struct place *at = &p->place[i];
        if (!tried(u, at) && backend_well(at->backend) && (best == NULL || backend_out_until(at->backend) < backend_out_until(best->backend)))
            best = at;
    }
    return best;
}

static struct place *choose(struct upstream *u)
{
    struct upstream_pool *p = u->pool;
    if (u->want.place > 0)
        return tried(u, &p->place[u->want.place - 1]) ? NULL : &p->place[u->want.place - 1];
    if (p->place_count == 1)          /* nothing to choose; left out it never is, as there is no other */
        return !tried(u, &p->place[0]) && backend_well(p->place[0].backend) ? &p->place[0] : NULL;
    struct place *at = least_busy(p, u);
    return at != NULL ? at : least_out(p, u);
}

/* ---- starting ---- */

static bool speaks_h2(const struct place *at)
{
    const struct tool *t = at->pool->tool;
    return at->address->h2 || t->upstream_http == UPSTREAM_HTTP2 || (t->upstream_http == UPSTREAM_HTTP_AUTO && at->address->tls && !at->speaks_h1);
}

static struct wire *h2_with_room(const struct place *at, const struct upstream *u)
{
    for (struct wire *w = at->h2; w != NULL; w = w->also_next)
        if (h2_has_room(w, u))
            return w;
    return NULL;
}

/* The one that knows this client, else one that is nobody's. As a rule all are nobody's, and the first will do. */
static struct wire *kept_for(const struct upstream *u, const struct place *at)
{
    struct wire *anybodys = NULL;
    if (u->pool->owned == 0)
        return at->idle;
    for (struct wire *w = at->idle; w != NULL; w = w->also_next) {
        if (w->owner != 0 && w->owner == u->want.owner)
            return w;
        if (w->owner == 0 && anybodys == NULL)
            anybodys = w;
    }
    return anybodys;
}

/* One that waits for a client which may never come back makes room for who is here. */
static bool drop_owned(struct upstream_pool *p)
{
    for (unsigned i = 0; p->owned > 0 && i < p->place_count; i++)
        for (struct wire *w = p->place[i].idle; w != NULL; w = w->also_next)
            if (w->owner != 0) {
                wire_drop(w, false);
                return true;
            }
    return false;
}

/* A tool that overlooked the content of the request before reads it as a request of its own, and answers that: to nobody. Only after content, since it costs a call. */
static bool has_spoken(const struct wire *w)
{
    return w->state == WIRE_IDLE && w->content && stream_has_input(&w->stream);
}

/* A kept connection; or one whose user left while it was being made. */
static bool take_kept(struct upstream *u, struct place *at)
{
    if (u->want.fresh || u->want.websocket)
        return false;
    struct wire *w = kept_for(u, at);
    for (; w != NULL && has_spoken(w); w = kept_for(u, at))
        wire_drop(w, false);
    if (w == NULL)
        return false;
    place_unlist(w);
    u->pool->idle--;
    u->wire = w;
    if (w->state == WIRE_IDLE)
        h1_begin(w, u);
    else
        w->use = u;
    return true;
}

static enum started open_new(struct upstream *u, struct place *at, bool h2, struct failure *why)
{
    if (u->pool->wires >= u->pool->limits.upstream_connections && !drop_owned(u->pool)) {
        *why = (struct failure){ UPSTREAM_FULL, "limits.upstream_connections are open" };
        return FAILED;
    }
    struct wire *w = wire_open(at, u, &why->reason);
    if (w == NULL) {
        why->f = UPSTREAM_NOT_SENT;
        return FAILED;
    }
    u->wire = w;
    w->shared = h2 && !u->want.fresh && !(u->want.websocket && !at->address->h2 && u->pool->tool->upstream_http != UPSTREAM_HTTP2);
    w->opening = w->shared;
    at->opening += w->opening;
    return STARTED;
}

static enum started start_at(struct upstream *u, struct place *at, struct failure *why)
{
    bool h2 = speaks_h2(at);
    struct wire *w = h2 && !u->want.fresh ? h2_with_room(at, u) : NULL;
    if (w != NULL) {
        h2_attach(w, u);
        return STARTED;
    }
    if (take_kept(u, at))
        return STARTED;
    if (h2 && !u->want.fresh && !u->want.websocket && (at->opening > 0 || at->h2_count >= H2_WIRES_MAX))
        return WAITS;
    enum resolved r = resolver_ask(&at->name);
    if (r == RESOLVING)
        return WAITS;
    if (r == UNRESOLVED) {
        *why = (struct failure){ UPSTREAM_NOT_SENT, "the tool's host name can't be resolved" };
        return FAILED;
    }
    return open_new(u, at, h2, why);
}

static void assign(struct upstream *u, struct place *at)
{
    u->place = at;
    u->addresses_tried = 0;
    u->deadline_ms = u->pool->loop->now_ms + u->pool->limits.upstream_connect_ms;
    at->busy++;
    at->requests++;
}

static void unassign(struct upstream *u)
{
    if (u->place != NULL)
        u->place->busy--;
    u->place = NULL;
}

static enum started start(struct upstream *u, struct failure *why)
{
    for (;;) {
        struct place *at = u->place ? u->place : choose(u);
        if (at == NULL && why->reason == NULL)
            *why = (struct failure){ UPSTREAM_UNWELL, "no upstream passes its health checks" };
        if (at == NULL)
            return FAILED;
        if (u->place == NULL)
            assign(u, at);
        enum started s = start_at(u, at, why);
        if (s != FAILED)
            return s;
        if (why->f != UPSTREAM_FULL)
            backend_failed(at->backend, u->pool->tool, u->pool->loop->now_ms, why->reason);
        u->tried |= UINT32_C(1) << (at - u->pool->place);
        unassign(u);
        if (why->f == UPSTREAM_FULL)
            return FAILED;
    }
}

struct upstream *upstream_take(struct upstream_pool *p, const struct upstream_want *want, const struct upstream_ops *ops, void *user,
                               enum upstream_failure *why_out)
{
    struct failure why = { UPSTREAM_FULL, NULL };
    struct upstream *u = arena_zalloc(want->arena, sizeof *u);
    *why_out = UPSTREAM_FULL;
    if (u == NULL)
        return NULL;
    u->pool = p;
    u->ops = ops;
    u->user = user;
    u->want = *want;
    enum started s = start(u, &why);
    if (s == FAILED) {
        *why_out = why.f;
        return NULL;
    }
    p->busy++;
    if (s == WAITS)
        wait_in_line(u);
    return u;
}

void upstream_leave(struct upstream *u)
{
    leave_line(u);
    unassign(u);
    u->pool->busy--;
    u->ops = NULL;
    u->wire = NULL;
}

static void fails(struct upstream *u, enum upstream_failure f, const char *reason)
{
    const struct upstream_ops *ops = u->ops;
    void *user = u->user;
    upstream_leave(u);
    ops->failed(user, f, reason);
}

void upstream_elsewhere(struct upstream *u, enum upstream_failure f, const char *reason)
{
    struct failure why = { f, reason };
    leave_line(u);
    u->wire = NULL;
    u->tried |= UINT32_C(1) << (u->place - u->pool->place);
    unsigned count = (unsigned)__builtin_popcount(u->tried);
    unassign(u);
    enum started s = count < TRIES_MAX ? start(u, &why) : FAILED;
    if (s == WAITS)
        wait_in_line(u);
    else if (s == FAILED)
        fails(u, why.f, why.reason);
}

/* ---- those who wait ---- */

void pool_serve(struct upstream_pool *p)
{
    struct upstream *line = p->waiting;
    p->waiting = NULL;
    p->waiting_end = &p->waiting;
    if (line != NULL)
        line->link = &line;
    while (line != NULL) {            /* each stays in the old line until it is its turn, as calling one may make others leave */
        struct upstream *u = line;
        struct failure why = { UPSTREAM_NOT_SENT, NULL };
        line = u->next;
        if (line != NULL)
            line->link = &line;
        u->waiting = false;
        enum started s = start(u, &why);
        if (s == WAITS)
            wait_in_line(u);
        else if (s == FAILED)
            fails(u, why.f, why.reason);
    }
}

void place_failed(struct place *at, enum upstream_failure f, const char *reason)
{
    struct upstream_pool *p = at->pool;
    for (;;) {
        struct upstream *u = p->waiting;
        while (u != NULL && (u->place != at || tried(u, at)))
            u = u->next;
        if (u == NULL)
            return;
        upstream_elsewhere(u, f, reason);
    }
}

static void on_resolved(struct resolver *r)
{
    struct place *at = (struct place *)((char *)r - offsetof(struct place, name));
    pool_serve(at->pool);
}

/* ---- what its user calls: on to the protocol ---- */

static bool over_h2(const struct upstream *u)
{
    return u->wire->h2 != NULL;
}

enum status upstream_send_head(struct upstream *u, const struct forward_request *f)
{
    return over_h2(u) ? h2_send_head(u, f) : h1_send_head(u, f);
}

size_t upstream_room(const struct upstream *u)
{
    return over_h2(u) ? h2_room(u) : h1_room(u);
}

enum status upstream_put(struct upstream *u, struct slice data)
{
    return over_h2(u) ? h2_put(u, data) : h1_put(u, data);
}

void upstream_flush(struct upstream *u)
{
    if (over_h2(u))
        h2_flush(u);
    else
        h1_flush(u);
}

enum status upstream_sent(struct upstream *u)
{
    return over_h2(u) ? h2_sent(u) : h1_sent(u);
}

void upstream_resume(struct upstream *u)
{
    if (u->wire == NULL)
        return;
    if (over_h2(u))
        h2_resume(u);
    else
        h1_resume(u);
}

const struct upstream_address *upstream_where(const struct upstream *u)
{
    return u->place ? u->place->address : NULL;
}

/* Its connection is not made yet. What many may share is made all the same, and serves whoever comes next: else a client that comes and goes would have
 * us connect each time. */
static void leave_unmade(struct upstream *u)
{
    struct wire *w = u->wire;
    upstream_leave(u);
    w->use = NULL;
    if (u->want.fresh || u->want.websocket) {
        wire_drop(w, false);
        return;
    }
    place_list(&w->place->idle, w);
    u->pool->idle++;
}

static void leave(struct upstream *u, bool friendly)
{
    if (u == NULL || u->ops == NULL)
        return;
    if (u->wire == NULL)
        upstream_leave(u);
    else if (u->wire->state < WIRE_IDLE)
        leave_unmade(u);
    else if (over_h2(u))
        h2_leave(u, friendly);
    else
        h1_leave(u, friendly);
}

void upstream_abort(struct upstream *u)
{
    leave(u, false);
}

void upstream_hang_up(struct upstream *u)
{
    leave(u, true);
}

/* ---- life ---- */

bool upstreams_are_numeric(const struct tool *tool)
{
    for (size_t i = 0; i < tool->upstream_count; i++)
        if (tool->upstreams[i].host != NULL && !resolve_numeric(tool->upstreams[i].host))
            return false;
    return true;
}

static bool make_places(struct upstream_pool *p)
{
    p->place = calloc(p->tool->upstream_count, sizeof *p->place);
    if (p->place == NULL)
        return false;
    for (unsigned i = 0; i < p->tool->upstream_count; i++) {
        struct place *at = &p->place[p->place_count++];
        at->pool = p;
        at->address = &p->tool->upstreams[i];
        resolver_init(&at->name, p->loop, p->tool->name, at->address, on_resolved);
        at->backend = backend_get(p->tool, at->address);
        if (at->backend == NULL)
            return false;
        (void)resolver_ask(&at->name);   /* a name that is wrong is said so before anybody needs it */
    }
    return true;
}

void pool_free_if_done(struct upstream_pool *p)
{
    if (!p->closing || p->all != NULL || p->busy > 0)
        return;
    for (unsigned i = 0; i < p->place_count; i++) {
        check_stop(&p->place[i]);
        resolver_done(&p->place[i].name);
        backend_put(p->place[i].backend);
    }
    SSL_CTX_free(p->tls);
    free(p->place);
    free(p);
}

struct upstream_pool *upstream_pool_new(struct loop *l, const struct tool *tool, const struct limits *limits, bool checks, struct err *err)
{
    struct upstream_pool *p = calloc(1, sizeof *p);
    enum status st = OK;
    if (p != NULL) {
        *p = (struct upstream_pool){ .loop = l, .tool = tool, .limits = *limits, .checks = checks && tool->health_path != NULL };
        p->waiting_end = &p->waiting;
        if (tool->upstreams[0].tls)
            st = upstream_tls_context(tool, &p->tls, err);
    }
    if (p == NULL || (st == OK && !make_places(p)))
        st = fail(err, NO_MEMORY, "pool for tool '%s'", tool->name);
    if (st == OK)
        return p;
    if (p != NULL) {
        p->closing = true;
        pool_free_if_done(p);
    }
    return NULL;
}

void upstream_pool_close(struct upstream_pool *p)
{
    if (p == NULL)
        return;
    p->closing = true;
    p->checks = false;
    for (unsigned i = 0; i < p->place_count; i++) {
        check_stop(&p->place[i]);
        resolver_done(&p->place[i].name);   /* an answer now would be told in the words of a config that may be gone before the last connection is */
    }
    for (struct wire *w = p->all, *next; w != NULL; w = next) {
        next = w->next;
        if (w->state == WIRE_H2 && h2_in_use(w))
            h2_retire(w);
        else if (w->use == NULL)
            wire_drop(w, false);
    }
    pool_free_if_done(p);
}

static void wire_tick(struct wire *w, int64_t now_ms)
{
    if (w->state == WIRE_H2)
        h2_tick(w, now_ms);
    else if (w->state != WIRE_GONE && now_ms >= w->deadline_ms)
        h1_tick(w, now_ms);
}

static void tick_waiting(struct upstream_pool *p, int64_t now_ms)
{
    for (struct upstream *u = p->waiting; u != NULL;) {
        if (now_ms < u->deadline_ms) {
            u = u->next;
            continue;
        }
        fails(u, UPSTREAM_NOT_SENT, "no connection to the tool became free in time");
        u = p->waiting;
    }
}

void upstream_pool_tick(struct upstream_pool *p)
{
    int64_t now = p->loop->now_ms;
    for (struct wire *w = p->all, *next; w != NULL; w = next) {
        next = w->next;
        wire_tick(w, now);
    }
    tick_waiting(p, now);
    for (unsigned i = 0; i < p->place_count; i++) {
        struct place *at = &p->place[i];
        if (at->requests > 0 || at->connections > 0)
            backend_count(at->backend, at->requests, at->connections);
        at->requests = at->connections = 0;
        if (p->checks)
            check_tick(at, now);
    }
}

void upstream_pool_count(const struct upstream_pool *p, unsigned *idle_out, unsigned *busy_out)
{
    *idle_out = p->idle;
    *busy_out = p->busy;
}
