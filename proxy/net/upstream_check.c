/* Active health checks: one worker asks each place of a tool for its health_path, over a connection of its own. */
#include "proxy/net/upstream_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum { ARENA_MAX = 256 * 1024 };

struct health_check {
    struct place *at;
    struct arena arena;               /* of the question under way */
    struct upstream *up;              /* NULL: none is */
    int64_t next_ms;
    struct task clean;                /* the upstream lives in the arena: that goes only when nobody is inside a call of it */
};

static void done(struct health_check *c, bool well, const char *why)
{
    c->up = NULL;
    backend_checked(c->at->backend, c->at->pool->tool, well, why);
    task_soon(c->at->pool->loop, &c->clean);
}

static void clean(struct task *t)
{
    struct health_check *c = (struct health_check *)((char *)t - offsetof(struct health_check, clean));
    if (c->up != NULL)
        return;
    arena_done(&c->arena);
    arena_init(&c->arena, ARENA_MAX);
}

static void on_connected(void *user)
{
    struct health_check *c = user;
    const struct tool *t = c->at->pool->tool;
    const char *host = t->upstream_host_field ? t->upstream_host_field : c->at->address->host ? c->at->address->host : t->host;
    struct field agent = { SLICE("user-agent"), SLICE("countersign-health") };
    struct message m = { .version = 11, .method = SLICE("GET"), .target = slice_str(t->health_path), .fields = { &agent, 1, 1 } };
    struct forward_request f = { .message = &m, .host = slice_str(host), .own = true };
    if (upstream_send_head(c->up, &f) == OK && upstream_sent(c->up) == OK)
        return;
    upstream_abort(c->up);
    done(c, false, "out of memory");
}

static void on_writable(void *user)
{
    (void)user;
}

static void on_head(void *user, const struct message *m)
{
    struct health_check *c = user;
    const struct tool *t = c->at->pool->tool;
    char why[96];
    if (m->status < 200)
        return;
    snprintf(why, sizeof why, "its health_path answers %u, not %u", m->status, t->health_status);
    upstream_abort(c->up);            /* what comes after the head says nothing more */
    done(c, m->status == t->health_status, why);
}

static size_t on_room(void *user)
{
    (void)user;
    return 0;
}

static void on_body(void *user, struct slice data)
{
    (void)user;
    (void)data;
}

static void on_end(void *user, const struct fields *trailers)
{
    (void)trailers;
    done(user, false, "no answer");   /* never without a head; then it is over already */
}

static void on_failed(void *user, enum upstream_failure f, const char *reason)
{
    (void)f;
    done(user, false, reason);
}

static const struct upstream_ops ops = { on_connected, on_writable, on_head, on_room, on_body, on_end, on_failed };

static void ask(struct health_check *c)
{
    struct upstream_pool *p = c->at->pool;
    enum upstream_failure why;
    struct upstream_want want = { .method = SLICE("GET"), .arena = &c->arena, .fresh = true, .place = (unsigned)(c->at - p->place) + 1 };
    c->up = upstream_take(p, &want, &ops, c, &why);
    if (c->up == NULL && why != UPSTREAM_FULL)
        done(c, false, "no connection can be made");
}

void check_tick(struct place *at, int64_t now_ms)
{
    struct health_check *c = at->check;
    if (c == NULL) {
        c = at->check = calloc(1, sizeof *c);
        if (c == NULL)
            return;
        c->at = at;
        c->clean.run = clean;
        arena_init(&c->arena, ARENA_MAX);
    }
    if (c->up != NULL || now_ms < c->next_ms || c->clean.next != NULL)
        return;
    c->next_ms = now_ms + at->pool->tool->health_interval_ms;
    ask(c);
}

void check_stop(struct place *at)
{
    struct health_check *c = at->check;
    if (c == NULL)
        return;
    at->check = NULL;
    upstream_abort(c->up);
    task_cancel(&c->clean);
    arena_done(&c->arena);
    free(c);
}
