#include "proxy/exchange/exchange.h"

#include "proxy/base/block.h"
#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/exchange/access_log.h"
#include "proxy/exchange/conn.h"
#include "proxy/exchange/dom.h"
#include "proxy/exchange/hold_wait.h"
#include "proxy/exchange/external.h"
#include "proxy/exchange/shares.h"
#include "proxy/exchange/spend.h"
#include "proxy/exchange/websocket.h"
#include "proxy/record/entry.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TO(s) (1u << (s))
static const unsigned may_go[X_STATE_COUNT] = {
    [X_HEAD]    = TO(X_TAPE) | TO(X_COLLECT) | TO(X_ASK) | TO(X_REPLY),
    [X_TAPE]    = TO(X_COLLECT) | TO(X_ASK) | TO(X_FORWARD) | TO(X_REPLY),   /* FORWARD: stage_judge said that a grant is enough */
    [X_COLLECT] = TO(X_ASK) | TO(X_FORWARD) | TO(X_REPLY) | TO(X_TAPE),
    [X_ASK]     = TO(X_FORWARD) | TO(X_REPLY) | TO(X_ASK) | TO(X_TAPE) | TO(X_HEAD),   /* FORWARD: authz gave an assertion, or used a sign-off up; HEAD: it said
                                                                                        * something about a token, so all is judged from the start */
    [X_FORWARD] = TO(X_RESPOND) | TO(X_TUNNEL) | TO(X_REPLY) | TO(X_DONE),                   /* REPLY: the tool failed before it answered */
    [X_RESPOND] = TO(X_DONE),
    [X_TUNNEL]  = TO(X_DONE),
    [X_REPLY]   = TO(X_DONE),
};

enum { EXCHANGE_BLOCK = 2048 };
static_assert(sizeof(struct exchange) <= EXCHANGE_BLOCK, "a size that is kept (block.h)");

void exchange_enter(struct exchange *x, enum exchange_state to)
{
    assert(may_go[x->state] & TO(to));
    x->state = to;
}

static void exchange_wake(struct waiter *w);

struct exchange *exchange_new(struct conn *c, const struct front *front, void *stream)
{
    struct exchange *x = block_new(EXCHANGE_BLOCK);
    if (x == NULL)
        return NULL;
    memset(x, 0, sizeof *x);
    x->conn = c;
    x->worker = c->worker;
    x->snap = c->snap;
    x->front = front;
    x->stream = stream;
    x->started_ms = loop_wall_ms(&c->worker->loop);
    x->begun_ms = c->worker->loop.now_ms;
    metric_add(&c->worker->metrics.active_requests, 1);
    x->reply_fd = -1;
    x->waiter.wake = exchange_wake;
    arena_init(&x->arena, EXCHANGE_ARENA_MAX);
    bbuf_init(&x->body, REQUEST_BUFFER);
    bbuf_init(&x->unsure, REQUEST_BUFFER);
    x->next = c->exchanges;
    if (c->exchanges != NULL)
        c->exchanges->prev = x;
    c->exchanges = x;
    return x;
}

void exchange_keep_snapshot(struct exchange *x)
{
    if (!x->holds_snap)
        x->snap = snapshot_ref(x->snap);
    x->holds_snap = true;
}

void exchange_count(struct exchange *x)
{
    live_add(x->worker->live, x->worker->index, x->live, x->request_bytes - x->live_received, x->response_bytes - x->live_sent, loop_wall_ms(&x->worker->loop));
    x->live_received = x->request_bytes;
    x->live_sent = x->response_bytes;
}

void exchange_free(struct exchange *x)
{
    struct conn *c = x->conn;
    bool gone = x->state != X_DONE && x->why == NULL;
    if (gone && !websocket_closed(x))
        x->why = "client-gone";
    websocket_done(x, gone);
    upstream_abort(x->up);
    x->up = NULL;
    link_cancel(x->worker->link, x->call);
    hold_wait_end(x);
    forward_outcome(x, NULL);
    waiter_leave(&x->waiter);
    if (x->tape.open)
        tape_close(x->worker->tape, &x->tape, x->why || websocket_closed(x) ? x->why : "cut");
    if (x->live != NULL)
        live_end(x->worker->live, x->worker->index, x->live, x->ws != NULL, x->request_bytes - x->live_received, x->response_bytes - x->live_sent, loop_wall_ms(&x->worker->loop));
    metric_add(&x->worker->metrics.active_requests, (uint64_t)-1);
    if (x->request.method.len > 0) {
        access_log_put(&x->worker->access_log, x);
        metrics_exchange(&x->worker->metrics, c->protocol == &protocol_h2, x->head_sent ? x->response.status : 0,
                         c->worker->loop.now_ms > x->begun_ms ? (uint64_t)(c->worker->loop.now_ms - x->begun_ms) : 0, x->request_bytes, x->response_bytes, x->refusal);
        if (c->person != NULL && refusal_counts(x->refusal))
            refused_add(x->worker, &c->identity);
    }
    if (x->prev != NULL)
        x->prev->next = x->next;
    else
        c->exchanges = x->next;
    if (x->next != NULL)
        x->next->prev = x->prev;
    console_done(x);
    dom_done(x);
    json_decref(x->wants);
    if (x->shared) {
        share_give(c->share, x->kept);
        share_end(c->share);
    }
    bbuf_done(&x->body);
    bbuf_done(&x->unsure);
    free(x->reply_owned);
    if (x->reply_fd >= 0)
        close(x->reply_fd);
    arena_done(&x->arena);
    if (x->holds_snap)
        snapshot_unref(x->snap);
    block_free(x, EXCHANGE_BLOCK);
}

void exchange_start(struct exchange *x, bool has_body)
{
    struct conn *c = x->conn;
    x->request_done = !has_body;
    c->used_ms = c->worker->loop.now_ms;
    c->ticket_due |= c->served == 1;  /* a client with two requests will be back with more; one with a connection a request keeps no tickets */
    if (c->served < 2)
        c->served++;
    stage_identify(x);
}

/* ---- request body ---- */

size_t exchange_body_room(const struct exchange *x)
{
    if (x->state == X_DONE || x->state == X_REPLY)
        return REQUEST_BUFFER;        /* nobody wants it: thrown away */
    if (x->state == X_HEAD || x->state == X_TAPE || x->state == X_ASK)
        return 0;
    return bbuf_room(&x->body);
}

size_t exchange_tape_body(struct exchange *x)
{
    size_t len = bbuf_len(&x->body);
    if (x->tool == NULL)
        x->untaped = 0;               /* the console is no session: authz's log keeps what was decided there */
    else if (!x->tape.open)
        return 0;
    while (x->untaped > 0) {
        size_t n = tape_room(x->worker->tape);
        if (n > x->untaped)
            n = x->untaped;
        struct slice next = slice_of(bbuf_slice(&x->body).ptr + len - x->untaped, n);
        if (n == 0 || tape_body(x->worker->tape, &x->tape, TAPE_REQUEST, next) != OK) {
            exchange_wait(x);
            break;
        }
        x->untaped -= n;
    }
    return len - x->untaped;
}

static void credit(struct exchange *x, size_t keep)
{
    if (x->uncredited <= keep)
        return;
    size_t n = x->uncredited - keep;
    x->uncredited = keep;
    x->front->took(x, n);
}

void exchange_took(struct exchange *x, size_t n)
{
    bbuf_drop(&x->body, n);
    credit(x, bbuf_len(&x->body));
}

/* What is read to be judged stays in memory: many streams of one person must not fill it. */
static bool may_keep(struct exchange *x)
{
    size_t more = bbuf_len(&x->body) - x->kept;
    if (!share_take(x->conn->share, more, x->snap->config->limits.body_bytes_per_person))
        return false;
    x->kept += more;
    return true;
}

/* Nothing of it will be passed on; what it took is the person's again. */
static void forget_body(struct exchange *x)
{
    credit(x, 0);
    bbuf_done(&x->body);
    bbuf_init(&x->body, REQUEST_BUFFER);
    x->untaped = 0;
    share_give(x->conn->share, x->kept);
    x->kept = 0;
}

static void collect_step(struct exchange *x)
{
    if (x->drains)
        exchange_took(x, exchange_tape_body(x));
    if (!may_keep(x)) {
        forget_body(x);
        exchange_broken(x, 429, "too-much-body", "Your other requests under way take all the memory that is kept for the bodies of one person's requests.");
        return;
    }
    exchange_tape_body(x);
    if (x->untaped > 0)
        return;                       /* woken when there is room on the tape */
    credit(x, 0);
    if (bbuf_len(&x->body) > x->collect_max)
        x->too_large = true;
    else if (x->request_done)
        x->collected = true;
    else
        return;
    x->after_tape(x);
}

void exchange_body(struct exchange *x, struct slice data)
{
    x->request_bytes += data.len;
    if (x->state == X_DONE || x->state == X_REPLY) {
        x->front->took(x, data.len);
        return;
    }
    if (bbuf_put(&x->body, data) != OK) {
        exchange_broken(x, 503, "overloaded", "The gateway is out of memory.");
        return;
    }
    x->uncredited += data.len;
    if (x->state == X_TUNNEL) {
        websocket_pump(x);
        return;
    }
    x->untaped += data.len;
    if (x->state == X_COLLECT)
        collect_step(x);
    else if (x->state == X_FORWARD || x->state == X_RESPOND)
        forward_pump(x);
}

void exchange_body_end(struct exchange *x, const struct fields *trailers)
{
    x->request_done = true;
    if (x->ws != NULL) {
        websocket_client_ended(x);
        return;
    }
    if (trailers != NULL)
        x->request_trailers = *trailers;
    if (x->state == X_COLLECT)
        collect_step(x);
    else if (x->state == X_FORWARD || x->state == X_RESPOND)
        forward_pump(x);
}

void exchange_collect(struct exchange *x, size_t max, void (*next)(struct exchange *x))
{
    struct fields none = { 0 };
    if (x->request.has_length && x->request.content_length > max) {
        x->too_large = true;
        next(x);
        return;
    }
    if (x->state != X_COLLECT)
        exchange_enter(x, X_COLLECT);
    x->collect_max = max;
    x->after_tape = next;
    x->body.max = (x->drains ? 0 : max) + REQUEST_BUFFER;
    if (x->request.expect_continue && !x->sent_continue && !x->request_done) {
        x->sent_continue = true;
        x->front->interim(x, 100, &none);
    }
    if (!x->request_done)
        x->front->took(x, 0);         /* there is room now */
    collect_step(x);
}

void exchange_drain(struct exchange *x, void (*next)(struct exchange *x))
{
    x->drains = true;
    exchange_collect(x, SIZE_MAX / 2, next);
}

/* ---- recording ---- */

void exchange_wait(struct exchange *x)
{
    worker_wait(x->worker, &x->waiter);
}

static enum status begin_tape(struct exchange *x, enum record_mode mode)
{
    struct conn *c = x->conn;
    struct tape_session s = {
        .id = slice_str(x->grant_id), .identity = slice_str(c->identity.name), .person = slice_str(c->person->name),
        .tool = slice_str(x->tool->name), .host = slice_str(x->tool->host), .x5t = slice_str(c->identity.x5t),
    };
    const char *action = x->dom_events ? ACTION_BROWSER_CLAIM : x->verdict.action ? x->verdict.action->name : "";
    struct tape_keep keep = { .action = slice_str(action), .touched = x->names, .mode = mode,
                              .names = &x->snap->secrets[x->tool - x->snap->config->tools] };
    enum status st = tape_begin(x->worker->tape, &x->tape, &s, &x->request, &keep, &x->arena);
    if (st == FULL)
        exchange_wait(x);
    return st;
}

enum status exchange_tape_refusal(struct exchange *x)
{
    if (x->tape.open || x->record != RECORD_OFF || x->refusal == NULL || tape_broken(x->worker->tape))
        return OK;
    enum status st = begin_tape(x, RECORD_METADATA);
    if (st == OK)
        x->record = RECORD_METADATA;
    return st;
}

static void try_begin(struct exchange *x)
{
    if (tape_broken(x->worker->tape)) {
        exchange_broken(x, 503, "recording-unavailable",
                        "The recording of this session can't be kept at the moment, so nothing is passed on.");
        return;
    }
    enum status st = begin_tape(x, x->record);
    if (st != OK && st != FULL)
        exchange_broken(x, 503, "recording-unavailable", "This request can't be recorded, so it is not passed on.");
    else if (st == OK)
        x->after_tape(x);
}

void exchange_begin_tape(struct exchange *x, void (*next)(struct exchange *x))
{
    exchange_enter(x, X_TAPE);
    x->after_tape = next;
    if (x->record == RECORD_OFF) {
        next(x);
        return;
    }
    spend_name(x);
    try_begin(x);
}

static void exchange_wake(struct waiter *w)
{
    struct exchange *x = (struct exchange *)((char *)w - offsetof(struct exchange, waiter));
    if (x->state == X_HEAD) {
        stage_identify(x);
    } else if (x->state == X_TAPE) {
        try_begin(x);
    } else if (x->external) {
        external_wake(x);
    } else if (tape_broken(x->worker->tape)) {
        exchange_broken(x, 503, "recording-unavailable", "The recording can't be kept at the moment.");
    } else if (x->state == X_COLLECT) {
        collect_step(x);
    } else {
        if (x->state == X_FORWARD || x->state == X_RESPOND)
            forward_pump(x);
        if (x->state != X_DONE)
            respond_step(x);
    }
}

/* ---- the rest ---- */

void exchange_writable(struct exchange *x)
{
    if (x->state == X_RESPOND || x->state == X_TUNNEL || x->state == X_REPLY)
        respond_step(x);
}

void exchange_broken(struct exchange *x, unsigned status, const char *type, const char *detail)
{
    x->why = type;
    upstream_abort(x->up);
    x->up = NULL;
    link_cancel(x->worker->link, x->call);   /* an answer must not go on with what ends here */
    x->call = 0;
    hold_wait_end(x);
    if (x->state == X_DONE)
        return;
    if (x->state == X_RESPOND || x->state == X_TUNNEL || x->state == X_REPLY) {
        respond_cut(x, type);
        return;
    }
    struct problem p = { .status = status, .type = type, .title = status == 504 ? "The tool did not answer in time"
                         : status == 502 ? "The tool's answer can't be used" : "Not available at the moment",
                         .detail = detail, .next = "Try again in a moment; if it stays so, tell the people who run this gateway." };
    reply_problem(x, &p);
}

bool exchange_may_go_on(struct exchange *x, bool authz_stale)
{
    if (x->tool == NULL || x->grant_id[0] == 0)   /* done or not: over HTTP/2 its last bytes wait for the client's window */
        return true;
    const char *why = access_ended(x->worker->access, x->grant_id, x->tool->name, authz_stale, clock_wall_s());
    if (why != NULL)
        x->why = why;
    return why == NULL;
}

const struct live_grant *exchange_grant(struct exchange *x)
{
    return access_by_id_kept(x->worker->access, &x->grant, x->grant_id);
}

json_t *exchange_who(const struct exchange *x)
{
    const struct identity *id = &x->conn->identity;
    return json_pack("{s:s,s:s,s:I}", "identity", id->name, "x5t", id->x5t, "not_after", (json_int_t)id->not_after_s);
}
