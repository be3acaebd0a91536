/* What a worker looks at by itself: ten times a second at all that has a time of its own, and at every connection when something was locked, ended or reloaded. */
#include "proxy/exchange/worker_internal.h"

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/exchange/conn.h"
#include "proxy/exchange/crowd.h"
#include "proxy/exchange/external.h"
#include "proxy/exchange/hold_wait.h"
#include "proxy/exchange/websocket.h"

enum { ACCEPT_AFTER_MS = 3000, BACKLOG_MAX = 1024, STOP_AGAIN_MS = 1000, REST_AFTER_MS = 1000 };

/* ---- who may not go on ---- */

/* Why a connection must end, or NULL. Its exchanges may be over and their bytes still on the way. */
static const char *why_end(const struct worker *w, const struct conn *c, bool stale)
{
    if (access_locked_out(w->access, c->person->name, &c->identity) != NULL)
        return "locked";
    for (struct exchange *x = c->exchanges; x != NULL; x = x->next)
        if (!exchange_may_go_on(x, stale))
            return x->why;
    return c->served_grant[0] != 0 && conn_owes(c) ? access_ended(w->access, c->served_grant, c->served_tool, stale, clock_wall_s()) : NULL;
}

void worker_sweep(struct worker *w, bool stale)
{
    for (struct conn *c = w->conns, *next; c != NULL; c = next) {
        next = c->next;
        if (c->state == CONN_HANDSHAKE || c->state == CONN_GONE || c->cert != CERT_GOOD || c->person == NULL)
            continue;
        const char *why = why_end(w, c, stale);
        if (why == NULL)
            continue;
        for (struct exchange *x = c->exchanges; x != NULL; x = x->next)
            x->why = why;
        log_info("connection.ended", "identity", c->identity.name, "why", why);
        websocket_farewell(c, 1008);
        conn_close(c, false);         /* by reset: what the kernel still holds must not arrive (promise 7) */
    }
}

void worker_recheck(struct worker *w)
{
    for (struct conn *c = w->conns, *next; c != NULL; c = next) {
        next = c->next;
        (void)conn_recheck(c, w->snap);
    }
}

/* ---- time ---- */

static bool conn_overdue(const struct conn *c)
{
    if (c->state != CONN_OPEN || bbuf_len(&c->out) > 0 || c->protocol->idle(c))
        return true;                  /* the handshake, writing, or waiting for a request */
    for (const struct exchange *x = c->exchanges; x != NULL; x = x->next)
        if (x->state == X_HEAD || ((x->state == X_COLLECT || x->state == X_FORWARD) && !x->request_done && exchange_body_room(x) > 0))
            return true;              /* it is the client we wait for */
    return false;
}

static void check_deadlines(struct worker *w)
{
    for (struct conn *c = w->conns, *next; c != NULL; c = next) {
        next = c->next;
        if (c->state == CONN_OPEN && c->protocol->tick != NULL)
            c->protocol->tick(c);
        if (c->cert_field != NULL && c->exchanges == NULL && w->loop.now_ms - c->used_ms > REST_AFTER_MS)
            conn_rest(c);
        if (c->state == CONN_GONE || w->loop.now_ms < c->deadline_ms || (c->state == CONN_LINGER && conn_lingers_on(c)))
            continue;
        if (conn_overdue(c)) {
            for (struct exchange *x = c->exchanges; x != NULL; x = x->next)
                x->why = "client-too-slow";
            conn_close(c, c->state == CONN_OPEN && c->protocol->idle(c));
        }
    }
}

static void stop_all(struct worker *w)
{
    w->stop_again_ms = w->loop.now_ms + STOP_AGAIN_MS;
    for (struct conn *c = w->conns; c != NULL; c = c->next)
        if (c->state == CONN_OPEN)
            c->protocol->stop(c);
}

void worker_stop(struct worker *w)
{
    /* Whom the kernel has let in already is still served; with a successor, by that one. */
    for (size_t i = 0; i < w->listener_count && !atomic_load(&w->succeeded); i++)
        worker_accept(w, i, BACKLOG_MAX);
    worker_close_listeners(w);
    w->draining = true;
    w->drain_until_ms = w->loop.now_ms + w->snap->config->limits.drain_ms;
    stop_all(w);
}

static void finish_stopping(struct worker *w)
{
    if (w->conns != NULL && w->loop.now_ms < w->drain_until_ms) {
        if (w->loop.now_ms >= w->stop_again_ms)
            stop_all(w);
        return;
    }
    for (struct conn *c = w->conns, *next; c != NULL; c = next) {
        next = c->next;
        for (struct exchange *x = c->exchanges; x != NULL; x = x->next)
            x->why = "drained";
        metric_add(&w->metrics.drained, c->state != CONN_GONE);
        conn_close(c, false);
    }
    if (w->conns == NULL)
        uv_stop(&w->loop.uv);
}

/* A revocation list that runs out while it is in force says nothing about anybody any more (promise 8). */
static void check_crl(struct worker *w)
{
    int64_t until = trust_crl_until(w->snap->trust);
    if (w->crl_ran_out || until == 0 || until > clock_wall_s())
        return;
    w->crl_ran_out = true;
    log_error("crl.stale", "next", "put a current revocation list in place; nobody it covers gets in before");
    worker_recheck(w);
}

/* Once a second: a certificate that ends ends its live connections too. */
static void end_expired(struct worker *w)
{
    int64_t now_s = clock_wall_s();
    if (now_s == w->expired_checked_s)
        return;
    w->expired_checked_s = now_s;
    for (struct conn *c = w->conns, *next; c != NULL; c = next) {
        next = c->next;
        if (c->cert == CERT_GOOD && c->identity.not_after_s <= now_s)
            (void)conn_recheck(c, w->snap);
    }
}

/* What is under way counts when it is over; while somebody looks, now. */
static void count_live(struct worker *w)
{
    if (!live_watched(w->live, loop_wall_ms(&w->loop)))
        return;
    for (struct conn *c = w->conns; c != NULL; c = c->next)
        for (struct exchange *x = c->exchanges; x != NULL; x = x->next)
            exchange_count(x);
}

void worker_tick(uv_timer_t *t)
{
    struct worker *w = t->data;
    loop_look_at_clocks(&w->loop);
    link_tick(w->link);
    refused_tick(w);
    door_tick(w);
    for (struct pool_entry *p = w->pools; p != NULL; p = p->next)
        upstream_pool_tick(p->pool);
    check_deadlines(w);
    crowd_tick(w);
    hold_wait_tick(w);
    end_expired(w);
    check_crl(w);
    count_live(w);
    access_log_flush(&w->access_log);
    int64_t heard = link_heard_ms(w->link), now = clock_mono_ms();
    bool stale = heard == 0 ? now - w->lost_ms > w->snap->config->max_staleness_ms : now - heard > w->snap->config->max_staleness_ms;
    bool agrees = worker_policy_agrees(w, now);
    stale |= !agrees;
    if (!agrees && !w->disagreed)
        log_error("policy.other", "why", "the policy that was read here is not the one that authz says counts, so nothing is let through", "next",
                  "send SIGHUP; if it stays, STATE/policy was changed by hand: restart the gateway");
    w->disagreed = !agrees;
    if (heard > 0)
        w->lost_ms = heard;
    metric_set(&w->metrics.authz_heard_ms, (uint64_t)w->lost_ms);
    metric_set(&w->metrics.recording_broken, tape_broken(w->tape));
    metric_set(&w->metrics.draining, w->draining);
    if (access_expire(w->access, clock_wall_s()) || stale)
        worker_sweep(w, stale);
    if (now - w->started_ms > ACCEPT_AFTER_MS)
        worker_start_accepting(w);
    if (w->old_pools)
        worker_drop_pools(w, w->snap);
    if (tape_broken(w->tape) || worker_cut_off(w))
        worker_wake(w);              /* nobody else would tell them */
    if (w->draining)
        finish_stopping(w);
}
