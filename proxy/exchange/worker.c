#include "proxy/exchange/worker_internal.h"

#include "proxy/base/block.h"
#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/exchange/conn.h"
#include "proxy/exchange/cookies.h"
#include "proxy/exchange/h2_memory.h"
#include "proxy/exchange/hold_wait.h"
#include "proxy/exchange/external.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TICK_MS = 100, FRESH_MS = 1000, ACCEPT_AT_ONCE = 16 };

static void on_listener(uv_poll_t *p, int status, int events);

/* ---- waiting, mostly for the tape ---- */

void worker_wait(struct worker *w, struct waiter *x)
{
    if (x->next != NULL)
        return;
    x->prev = w->waiters.prev;
    x->next = &w->waiters;
    x->prev->next = x;
    w->waiters.prev = x;
}

void waiter_leave(struct waiter *x)
{
    if (x->next == NULL)
        return;
    x->prev->next = x->next;
    x->next->prev = x->prev;
    x->next = x->prev = NULL;
}

void worker_wake(struct worker *w)
{
    if (w->mark.next != NULL)         /* from within a waking, since the line to authz just broke: they are woken again while it is */
        return;
    worker_wait(w, &w->mark);         /* who waits again meanwhile comes behind it, and no waking can take it away */
    for (struct waiter *x; (x = w->waiters.next) != &w->mark;) {
        waiter_leave(x);
        x->wake(x);
    }
    waiter_leave(&w->mark);
}

static void on_wake(uv_poll_t *p, int status, int events)
{
    struct worker *w = p->data;
    uint64_t count;
    (void)status;
    (void)events;
    int fd;
    if (uv_fileno((uv_handle_t *)p, &fd) == 0 && read(fd, &count, sizeof count) > 0)
        worker_wake(w);
}

/* Connections wait in the kernel until there is somebody to decide, but not for long: then they are told so. */
void worker_start_accepting(struct worker *w)
{
    if (w->accepting || w->draining)
        return;
    w->accepting = true;
    metric_set(&w->metrics.accepting, 1);
    for (size_t i = 0; i < w->listener_count; i++)
        uv_poll_start(&w->listeners[i], UV_READABLE, on_listener);
}

/* ---- authz ---- */

static void on_connected(void *arg, const json_t *hello)
{
    struct worker *w = arg;
    struct err err;
    if (access_reset(w->access, hello, &err) != OK)
        log_error("authz.hello", "why", err.text);
}

static void on_event(void *arg, const json_t *event)
{
    struct worker *w = arg;
    struct err err;
    bool ends_live = false;
    const char *name = json_string_value(json_object_get(event, "event"));
    if (name != NULL && strcmp(name, "tick") == 0) {
        metric_set(&w->metrics.audit_waiting, (uint64_t)json_integer_value(json_object_get(event, "audit_waiting")));
        metric_set(&w->metrics.audit_lost, (uint64_t)json_integer_value(json_object_get(event, "audit_lost")));
    }
    if (access_event(w->access, event, clock_wall_s(), &ends_live, &err) != OK)
        log_error("authz.event", "event", name, "why", err.text);
    bool synced = name != NULL && strcmp(name, "synced") == 0;
    if (ends_live || synced)
        worker_sweep(w, false);
    if (synced) {
        worker_start_accepting(w);
        worker_wake(w);
        hold_wait_again(w);           /* what happened meanwhile was told to nobody */
    }
    if (name != NULL && strcmp(name, "item") == 0)
        hold_wait_event(w, json_string_value(json_object_get(event, "id")), json_string_value(json_object_get(event, "state")));
}

/* A sign-off was used up for a client that had gone: nothing of it is sent, and the history has to say so. */
static void on_stray(void *arg, const json_t *answer)
{
    struct worker *w = arg;
    const char *id = json_string_value(json_object_get(json_object_get(answer, "item"), "id"));
    if (!json_is_true(json_object_get(answer, "run")) || id == NULL)
        return;
    json_t *m = json_pack("{s:s,s:s,s:s,s:i}", "op", "outcome", "id", id, "outcome", "not-sent", "status", 0);
    if (link_call(w->link, m, NULL, 0, NULL, NULL) == 0)
        log_warn("outcome.untold", "held", id, "outcome", "not-sent");
}

bool worker_policy_agrees(const struct worker *w, int64_t now_ms)
{
    return access_policy_is(w->access, w->snap->config->policy_digest, now_ms, w->snap->config->max_staleness_ms);
}

bool worker_fresh(const struct worker *w)
{
    int64_t heard = link_heard_ms(w->link), now = clock_mono_ms();
    return heard > 0 && now - heard <= FRESH_MS && worker_policy_agrees(w, now);
}

bool worker_cut_off(const struct worker *w)
{
    return link_cut_off(w->link);
}

/* ---- connections ---- */

static void accept_one(struct worker *w, int fd, const struct sockaddr_storage *sa, bool proxied)
{
    int one = 1;
    metric_add(&w->metrics.accepted, 1);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    conn_open(w, fd, sa, proxied);
}

/* Until the next tick. */
static void pause_accepting(struct worker *w)
{
    log_warn("accept.paused", "why", strerror(errno));
    w->accepting = false;
    for (size_t i = 0; i < w->listener_count; i++)
        uv_poll_stop(&w->listeners[i]);
}

void worker_accept(struct worker *w, size_t i, int budget)
{
    for (; budget > 0; budget--) {
        struct sockaddr_storage sa = { 0 };
        socklen_t len = sizeof sa;
        int fd = accept4(w->listen_fds[i], (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                pause_accepting(w);   /* others must close first; the listener stays readable meanwhile, so don't spin on it */
            return;
        }
        accept_one(w, fd, &sa, w->snap->config->listeners[i].proxied);   /* a reload keeps their order (config_needs_restart) */
    }
}

static void on_listener(uv_poll_t *p, int status, int events)
{
    struct worker *w = p->data;
    (void)status;
    (void)events;
    worker_accept(w, (size_t)(p - w->listeners), ACCEPT_AT_ONCE);
}

void worker_close_listeners(struct worker *w)
{
    for (size_t i = 0; i < w->listener_count; i++) {
        uv_poll_stop(&w->listeners[i]);
        uv_close((uv_handle_t *)&w->listeners[i], NULL);
        close(w->listen_fds[i]);
    }
    w->listener_count = 0;
}

/* ---- pools ---- */

static struct pool_entry *new_pool(struct worker *w, struct snapshot *s, const struct tool *tool)
{
    struct err err;
    struct pool_entry *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->pool = upstream_pool_new(&w->loop, tool, &s->config->limits, w->index == 0, &err);
    if (p->pool == NULL) {
        log_error("tool.pool", "tool", tool->name, "why", err.text);
        free(p);
        return NULL;
    }
    p->snap = snapshot_ref(s);
    p->tool = tool;
    p->next = w->pools;
    w->pools = p;
    w->old_pools |= s != w->snap;
    return p;
}

/* One for each tool of the snapshot in force, in the config's order: with thousands of tools a list would be looked through for every request. */
static struct pool_entry **slot(struct worker *w, const struct snapshot *s, const struct tool *tool)
{
    if (s != w->snap)
        return NULL;
    if (w->pool_of == NULL)
        w->pool_of = calloc(s->config->tool_count, sizeof *w->pool_of);
    return w->pool_of ? &w->pool_of[tool - s->config->tools] : NULL;
}

struct upstream_pool *worker_pool(struct worker *w, struct snapshot *s, const struct tool *tool)
{
    struct pool_entry **at = slot(w, s, tool), *p = at ? *at : NULL;
    for (struct pool_entry *q = p ? NULL : w->pools; q != NULL && p == NULL; q = q->next)
        if (q->snap == s && q->tool == tool)
            p = q;
    if (p == NULL)
        p = new_pool(w, s, tool);
    if (at != NULL)
        *at = p;
    return p ? p->pool : NULL;
}

/* The first worker looks at some tools before anybody needs them: names are resolved, health checks begin. */
static void open_pools(struct worker *w)
{
    const struct config *c = w->snap->config;
    for (size_t i = 0; i < c->tool_count && w->index == 0; i++)
        if (c->tools[i].health_path != NULL || !upstreams_are_numeric(&c->tools[i]))
            (void)worker_pool(w, w->snap, &c->tools[i]);
}

void worker_drop_pools(struct worker *w, const struct snapshot *keep)
{
    w->old_pools = false;
    for (struct pool_entry **at = &w->pools, *p; (p = *at) != NULL;) {
        unsigned idle, busy;
        upstream_pool_count(p->pool, &idle, &busy);
        if (p->snap == keep || (keep != NULL && busy > 0)) {
            w->old_pools |= p->snap != keep;
            at = &p->next;
            continue;
        }
        *at = p->next;
        upstream_pool_close(p->pool);
        snapshot_unref(p->snap);
        free(p);
    }
}

/* ---- orders of the main thread ---- */

static void take_snapshot(struct worker *w, struct snapshot *s)
{
    struct snapshot *old = w->snap;
    w->snap = s;
    w->crl_ran_out = false;
    access_forget_assertions(w->access);
    external_forget(w);
    worker_recheck(w);
    free(w->pool_of);
    w->pool_of = NULL;
    worker_drop_pools(w, s);
    open_pools(w);
    snapshot_unref(old);
}

static void on_command(uv_async_t *a)
{
    struct worker *w = a->data;
    struct snapshot *s = atomic_exchange(&w->next, NULL);
    loop_look_at_clocks(&w->loop);
    if (s != NULL)
        take_snapshot(w, s);
    if (atomic_load(&w->stopping) && !w->draining)
        worker_stop(w);
}

struct metrics *worker_metrics(struct worker *w)
{
    return &w->metrics;
}

void worker_reload(struct worker *w, struct snapshot *s)
{
    snapshot_unref(atomic_exchange(&w->next, s));
    uv_async_send(&w->command);
}

void worker_drain(struct worker *w, bool succeeded)
{
    atomic_store(&w->succeeded, succeeded);
    atomic_store(&w->stopping, true);
    uv_async_send(&w->command);
}

/* ---- life ---- */

static void worker_main(void *arg)
{
    struct worker *w = arg;
    char name[16];
    snprintf(name, sizeof name, "worker-%u", w->index % 1000);
    pthread_setname_np(pthread_self(), name);
    open_pools(w);
    uv_run(&w->loop.uv, UV_RUN_DEFAULT);
    free(w->pool_of);
    worker_drop_pools(w, NULL);
    link_close(w->link);
    worker_close_listeners(w);
    uv_close((uv_handle_t *)&w->wake_poll, NULL);
    uv_close((uv_handle_t *)&w->tick, NULL);
    uv_close((uv_handle_t *)&w->command, NULL);
    loop_done(&w->loop);
    access_log_done(&w->access_log);
    door_done(w);
    block_drop_kept();
    h2_memory_done();
    w->ended(w->ended_arg);
}

static void start_handles(struct worker *w, const struct worker_options *o)
{
    uv_timer_init(&w->loop.uv, &w->tick);
    w->tick.data = w;
    uv_timer_start(&w->tick, worker_tick, TICK_MS, TICK_MS);
    uv_async_init(&w->loop.uv, &w->command, on_command);
    w->command.data = w;
    uv_poll_init(&w->loop.uv, &w->wake_poll, o->wake_fd);
    w->wake_poll.data = w;
    uv_poll_start(&w->wake_poll, UV_READABLE, on_wake);
    for (size_t i = 0; i < o->listen_count && i < sizeof w->listeners / sizeof *w->listeners; i++) {
        w->listen_fds[i] = o->listen_fds[i];
        uv_poll_init(&w->loop.uv, &w->listeners[i], o->listen_fds[i]);
        w->listeners[i].data = w;
        w->listener_count++;
    }
}

enum status worker_start(const struct worker_options *o, struct worker **out, struct err *err)
{
    struct worker *w = calloc(1, sizeof *w);
    if (w == NULL)
        return fail(err, NO_MEMORY, "worker");
    loop_init(&w->loop);
    w->index = o->index;
    w->lost_ms = w->started_ms = clock_mono_ms();
    metric_set(&w->metrics.authz_heard_ms, (uint64_t)w->lost_ms);
    w->waiters.next = w->waiters.prev = &w->waiters;
    w->access = access_new();
    w->sources = o->sources;
    w->live = o->live;
    cookies_key(o->fingerprint_key, w->cookie_key);
    w->shares = o->shares;
    enum status st = w->access ? tape_open(o->ring, o->ring_size, o->wake_fd, o->fingerprint_key, &w->tape, err)
                                             : fail(err, NO_MEMORY, "worker");
    if (st != OK)
        return st;                    /* the process ends: nothing to tidy up for */
    w->snap = snapshot_ref(o->snap);
    w->ended = o->ended;
    w->ended_arg = o->arg;
    struct link_handlers h = { .event = on_event, .connected = on_connected, .stray = on_stray, .arg = w };
    w->link = link_new(&w->loop, o->authz_socket, &h);
    if (w->link == NULL)
        return fail(err, NO_MEMORY, "worker");
    start_handles(w, o);
    if (uv_thread_create(&w->thread, worker_main, w) != 0)
        return fail(err, IO_FAILED, "no thread can be started");
    *out = w;
    return OK;
}

void worker_join(struct worker *w)
{
    uv_thread_join(&w->thread);
    tape_free(w->tape);
    access_free(w->access);
    external_free_asks(w->external);
    snapshot_unref(atomic_exchange(&w->next, NULL));
    snapshot_unref(w->snap);
    free(w);
}
