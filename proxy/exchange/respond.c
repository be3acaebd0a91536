/* What goes to the client: recorded first, then (durable actions) fsynced, then delivered. */
#include "proxy/base/log.h"
#include "proxy/exchange/conn.h"
#include "proxy/exchange/dom.h"
#include "proxy/exchange/exchange.h"
#include "proxy/exchange/hold_wait.h"
#include "proxy/exchange/spend.h"
#include "proxy/exchange/websocket.h"

#include <stdio.h>

static bool on_tape(const struct exchange *x)
{
    return x->tape.open;
}

void respond_head(struct exchange *x, bool from_tool)
{
    x->from_tool = from_tool;
    x->head_pending = true;
    respond_step(x);
}

/* What is only a hint may be left out: when there is no room for it on the tape or in the budget. */
void respond_interim(struct exchange *x, const struct message *m, const struct fields *fields)
{
    size_t len = spend_fields_len(fields);
    if (!spend_covers(x, len) || (on_tape(x) && tape_response(x->worker->tape, &x->tape, m, true) != OK))
        return;
    spend_fields(x, len);
    x->front->interim(x, m->status, fields);
}

static bool durable_now(struct exchange *x)
{
    if (!x->durable || x->durable_at == 0 || tape_durable(x->worker->tape) >= x->durable_at)
        return true;
    exchange_wait(x);
    return false;
}

static void demand(struct exchange *x)
{
    if (!x->durable)
        return;
    x->durable_at = tape_position(x->worker->tape);
    tape_demand(x->worker->tape);
}

/* The head, once it is recorded (and safe). */
static bool step_head(struct exchange *x)
{
    if (x->head_pending) {
        enum status st = exchange_tape_refusal(x);
        if (st == OK && on_tape(x))
            st = tape_response(x->worker->tape, &x->tape, &x->response, x->from_tool);
        if (st == FULL)
            exchange_wait(x);
        else if (st != OK)
            respond_cut(x, "recording-unavailable");   /* it will never fit */
        if (st != OK)
            return false;
        x->head_pending = false;
        if (x->state == X_TUNNEL) {   /* both messages are whole; what follows is recorded as messages of another kind */
            (void)!tape_finish(x->worker->tape, &x->tape, TAPE_REQUEST, TAPE_COMPLETE);
            (void)!tape_finish(x->worker->tape, &x->tape, TAPE_RESPONSE, TAPE_COMPLETE);
        }
        demand(x);
    }
    if (x->head_sent)
        return true;
    if (!dom_said(x) || !durable_now(x))
        return false;
    x->head_sent = true;
    if (x->from_tool && strcmp(x->conn->served_grant, x->grant_id) != 0) {
        memcpy(x->conn->served_grant, x->grant_id, sizeof x->grant_id);
        snprintf(x->conn->served_tool, sizeof x->conn->served_tool, "%s", x->tool->name);
    }
    x->answered_ms = x->worker->loop.now_ms;
    hold_wait_applied(x);
    x->front->head(x, x->response.status, &x->response_fields, x->response.has_length ? (int64_t)x->response.content_length : -1,
                   x->no_body);
    return true;
}

static void step_unsure(struct exchange *x)
{
    if (bbuf_len(&x->unsure) == 0 || !durable_now(x))
        return;
    size_t n = x->front->room(x);
    if (n > bbuf_len(&x->unsure))
        n = bbuf_len(&x->unsure);
    if (n == 0)
        return;
    x->front->body(x, slice_of(bbuf_slice(&x->unsure).ptr, n));
    bbuf_drop(&x->unsure, n);
}

/* Trailers go out with the end: recorded, and with room for them. False: not now, or never. */
static bool step_trailers(struct exchange *x)
{
    if (x->response_trailers.count == 0)
        return true;
    x->trailers_len = spend_fields_len(&x->response_trailers);
    if (!x->trailers_counted && !spend_covers(x, x->trailers_len)) {
        x->starved = true;
        exchange_wait(x);        /* woken when the budget is known */
        return false;
    }
    if (on_tape(x) && !x->trailers_taped) {
        enum status st = tape_trailers(x->worker->tape, &x->tape, &x->response_trailers);
        if (st == FULL)
            exchange_wait(x);
        else if (st != OK)
            respond_cut(x, "trailers-too-large");
        if (st != OK)
            return false;
        x->trailers_taped = true;
    }
    if (!x->trailers_counted)
        spend_fields(x, x->trailers_len);
    x->trailers_counted = true;
    return x->front->room(x) >= x->trailers_len;   /* else exchange_writable comes */
}

static void step_end(struct exchange *x)
{
    if (!step_trailers(x))
        return;
    if (on_tape(x)) {
        tape_end(x->worker->tape, &x->tape, x->request_done && x->untaped == 0, x->why);
        demand(x);
    }
    if (!durable_now(x))
        return;
    x->end_pending = false;
    exchange_enter(x, X_DONE);
    x->front->end(x);
}

void respond_step(struct exchange *x)
{
    if ((x->state != X_RESPOND && x->state != X_TUNNEL && x->state != X_REPLY) || !step_head(x))
        return;
    step_unsure(x);
    if (x->starved && spend_starved(x)) {
        respond_cut(x, "budget-exhausted");
        return;
    }
    if (x->state == X_TUNNEL && !x->end_pending)
        websocket_pump(x);
    if (x->state == X_REPLY && !x->end_pending)
        reply_pump(x);
    if (x->dom != NULL && !x->end_pending)
        dom_pump(x);
    if (x->state == X_DONE)
        return;
    if (x->end_pending && bbuf_len(&x->unsure) == 0)
        step_end(x);
    else if (x->up != NULL && respond_room(x) > 0)
        upstream_resume(x->up);
}

size_t respond_room(struct exchange *x)
{
    if (!x->head_sent && !x->durable)
        return 0;
    size_t room = x->durable ? bbuf_room(&x->unsure) : x->front->room(x);
    if (on_tape(x) && room > 0) {
        size_t tape = tape_room(x->worker->tape);
        if (tape < room)
            room = tape;
        if (room == 0)
            exchange_wait(x);
    }
    return x->metered ? spend_room(x, room) : room;
}

void respond_body(struct exchange *x, struct slice data)
{
    if (on_tape(x) && tape_body(x->worker->tape, &x->tape, TAPE_RESPONSE, data) != OK) {
        respond_cut(x, "recording-unavailable");
        return;
    }
    respond_pass(x, data);
}

void respond_pass(struct exchange *x, struct slice data)
{
    x->response_bytes += data.len;
    if (x->metered)
        spend_bytes(x, data.len);
    if (!x->durable) {
        x->front->body(x, data);
        return;
    }
    if (bbuf_put(&x->unsure, data) != OK) {
        respond_cut(x, "overloaded");
        return;
    }
    demand(x);
    exchange_wait(x);
}

void respond_end(struct exchange *x)
{
    x->end_pending = true;
    respond_step(x);
}

void respond_cut(struct exchange *x, const char *why)
{
    if (x->state == X_DONE)
        return;
    x->why = why;
    upstream_abort(x->up);
    x->up = NULL;
    if (on_tape(x))
        tape_close(x->worker->tape, &x->tape, why);
    exchange_enter(x, X_DONE);
    forward_outcome(x, NULL);
    x->front->cut(x);
}
