/* forward: the request goes to the tool, written anew, and its response comes back. */
#include "proxy/http/forward.h"

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/exchange/conn.h"
#include "proxy/exchange/exchange.h"
#include "proxy/exchange/websocket.h"

#include <stdio.h>
#include <stdlib.h>

enum { CHUNK_OVERHEAD = 32, ASSERTION_SPARE_S = 60 };

static void forward_begin(struct exchange *x);

/* ---- what the request carries: the assertion ---- */

/* For this exchange. A new one is taken as it is: near the grant's end it has less to live than a kept one must have. */
static bool take_assertion(struct exchange *x, const char *token)
{
    x->assertion = token ? arena_copy(&x->arena, slice_str(token)) : (struct slice){ 0 };
    return x->assertion.len > 0;
}

static void on_assertion(void *arg, const json_t *answer, const int *fds, size_t fd_count)
{
    struct exchange *x = arg;
    const char *token = json_string_value(json_object_get(answer, "token"));
    (void)fds;
    (void)fd_count;
    x->call = 0;
    if (!json_is_true(json_object_get(answer, "ok")) || !take_assertion(x, token)) {
        forward_outcome(x, "not-sent");
        exchange_broken(x, 503, "authorization-unavailable", "The process that decides did not confirm who you are, so nothing was sent.");
        return;
    }
    access_keep_assertion(x->worker->access, x->grant_id, token, json_integer_value(json_object_get(answer, "exp")));
    forward_begin(x);
}

void stage_forward(struct exchange *x)
{
    if (take_assertion(x, access_assertion(x->worker->access, x->grant_id, clock_wall_s() + ASSERTION_SPARE_S))) {
        forward_begin(x);
        return;
    }
    exchange_enter(x, X_ASK);
    json_t *m = json_pack("{s:s,s:o,s:s,s:s}", "op", "assertion", "who", exchange_who(x), "tool", x->tool->name, "grant_id", x->grant_id);
    x->call = link_call(x->worker->link, m, NULL, 0, on_assertion, x);
    if (x->call == 0) {
        forward_outcome(x, "not-sent");
        exchange_broken(x, 503, "authorization-unavailable", "The process that decides can't be reached, so nothing was sent.");
    }
}

/* ---- the request ---- */

static bool has_body(const struct exchange *x)
{
    return x->request.framing != BODY_NONE;
}

static bool write_head(struct exchange *x)
{
    struct conn *c = x->conn;
    struct slice host = x->tool->upstream_host_field ? slice_str(x->tool->upstream_host_field) : x->request.authority;
    bool whole = x->request_done && x->untaped == 0;
    struct forward_request f = {
        .message = &x->request, .host = host, .client_address = slice_str(c->address), .public_host = x->request.authority,
        .assertion = x->assertion, .client_cert = slice_str(conn_cert_field(c)),
        .websocket = websocket_handshake(x), .has_body = has_body(x),
        .body_len = whole ? bbuf_len(&x->body) : x->request.content_length,
    };
    x->chunked = f.chunked = f.has_body && !whole && !x->request.has_length;
    if (forward_write_request(&f, upstream_out(x->up)) != OK) {
        upstream_abort(x->up);
        x->up = NULL;
        forward_outcome(x, "not-sent");
        exchange_broken(x, 503, "overloaded", "The request's head is too large to be forwarded.");
        return false;
    }
    x->head_written = true;
    return true;
}

static void put_piece(struct exchange *x, struct slice data)
{
    struct bbuf *out = upstream_out(x->up);
    char size[24];
    enum status st = OK;
    if (x->chunked)
        st = bbuf_put(out, slice_of(size, (size_t)snprintf(size, sizeof size, "%zx\r\n", data.len)));
    if (st == OK)
        st = bbuf_put(out, data);
    if (st == OK && x->chunked)
        st = bbuf_put(out, SLICE("\r\n"));
    if (st != OK)
        abort();                      /* room was checked; only out of memory leads here, in the middle of a message */
}

static bool put_end(struct exchange *x)
{
    if (!x->chunked)
        return true;
    return bbuf_put(upstream_out(x->up), SLICE("0\r\n\r\n")) == OK;
}

void forward_pump(struct exchange *x)
{
    if (x->ws != NULL) {              /* a handshake has no body */
        websocket_pump(x);
        return;
    }
    size_t ready = exchange_tape_body(x);
    if (x->up == NULL || !x->head_written || x->state == X_DONE) {
        if (x->up == NULL && x->state == X_RESPOND)
            exchange_took(x, ready);  /* the tool has answered in full and wants no more of it */
        return;
    }
    while (ready > 0) {
        size_t room = upstream_room(x->up);
        size_t n = room > CHUNK_OVERHEAD ? room - CHUNK_OVERHEAD : 0;
        if (n > ready)
            n = ready;
        if (n == 0)
            break;
        put_piece(x, slice_of(bbuf_slice(&x->body).ptr, n));
        exchange_took(x, n);
        ready -= n;
    }
    if (x->request_done && bbuf_len(&x->body) == 0 && upstream_room(x->up) >= CHUNK_OVERHEAD) {
        if (!x->request_sent && put_end(x)) {
            x->request_sent = true;
            upstream_sent(x->up);
        }
    } else {
        upstream_flush(x->up);
    }
}

static void on_connected(void *user)
{
    struct exchange *x = user;
    struct fields none = { 0 };
    if (!write_head(x))
        return;
    if (x->request.expect_continue && !x->sent_continue && !x->request_done) {
        x->sent_continue = true;
        x->front->interim(x, 100, &none);
    }
    x->front->took(x, 0);
    if (x->ws != NULL)
        upstream_sent(x->up);
    else
        forward_pump(x);
}

static void on_writable(void *user)
{
    forward_pump(user);
}

/* ---- the response ---- */

static void public_fields(struct exchange *x, const struct message *m, struct fields *out)
{
    char upstream[300] = "", *origin = NULL;
    if (fields_get(&m->fields, SLICE("location")).ptr != NULL) {   /* the only field that they stand in */
        origin = config_origin(x->snap->config, x->tool->host);
        snprintf(upstream, sizeof upstream, "%s://%s:%u", x->tool->upstream_tls ? "https" : "http", x->tool->upstream_host,
                 x->tool->upstream_port);
    }
    struct forward_response f = { .message = m, .upstream_origin = slice_str(upstream), .public_origin = slice_str(origin ? origin : ""),
                                  .allow_service_worker = x->tool->allow_service_worker };
    *out = (struct fields){ 0 };
    if (forward_response_fields(&f, &x->arena, out) != OK)
        x->why = "response-fields-cut";
    free(origin);
}

static void on_head(void *user, const struct message *m)
{
    struct exchange *x = user;
    if (m->status < 200 && m->status != 101) {
        struct fields hints;
        if (m->status != 103 || (x->tape.open && tape_response(x->worker->tape, &x->tape, m, true) != OK))
            return;                   /* an interim response may be left out */
        public_fields(x, m, &hints);
        x->front->interim(x, m->status, &hints);
        return;
    }
    x->response = *m;
    public_fields(x, m, &x->response_fields);
    if (x->why != NULL) {
        x->why = NULL;
        forward_outcome(x, "outcome-unknown");
        exchange_broken(x, 502, "tool-answer-invalid", "The tool's answer has too many fields.");
        return;
    }
    (void)!fields_add(&x->response_fields, &x->arena, 256, SLICE("strict-transport-security"), slice_str(x->snap->hsts));
    if (m->status == 101) {
        websocket_opened(x, m);
        return;
    }
    if (x->ws != NULL && !websocket_declined(x, m))
        return;
    x->no_body = m->framing == BODY_NONE;
    exchange_enter(x, X_RESPOND);
    respond_head(x, true);
}

static size_t on_room(void *user)
{
    struct exchange *x = user;
    return x->state == X_TUNNEL ? websocket_tool_room(x) : respond_room(x);
}

static void on_body(void *user, struct slice data)
{
    struct exchange *x = user;
    if (x->state == X_TUNNEL)
        websocket_from_tool(x, data);
    else
        respond_body(x, data);
}

/* A tool's trailers end here (RFC 9110 s6.5.1 allows it): the recording has no place for them, and what is not recorded is not delivered. */
static void on_end(void *user, const struct fields *trailers)
{
    struct exchange *x = user;
    (void)trailers;
    x->up = NULL;
    if (x->state == X_TUNNEL) {
        websocket_tool_ended(x);
        return;
    }
    forward_outcome(x, "answered");   /* now, and not when the last byte is delivered: the client may leave before that */
    forward_pump(x);
    respond_end(x);
}

static void on_failed(void *user, enum upstream_failure f, const char *reason)
{
    static const struct { unsigned status; const char *type; } as[] = {
        [UPSTREAM_NOT_SENT] = { 502, "tool-unreachable" }, [UPSTREAM_CUT] = { 502, "tool-broke-off" },
        [UPSTREAM_GARBAGE] = { 502, "tool-answer-invalid" }, [UPSTREAM_TIMEOUT] = { 504, "tool-timeout" },
    };
    struct exchange *x = user;
    x->up = NULL;
    if (x->state == X_TUNNEL) {
        if (f == UPSTREAM_TIMEOUT)
            websocket_end(x, 1001, "websocket-quiet");
        else
            websocket_tool_ended(x);
        return;
    }
    log_warn("tool.failed", "tool", x->tool->name, "why", reason, "type", as[f].type);
    forward_outcome(x, f == UPSTREAM_NOT_SENT ? "not-sent" : "outcome-unknown");
    exchange_broken(x, as[f].status, as[f].type, f == UPSTREAM_NOT_SENT ? "The tool could not be reached; the request was not sent."
                    : f == UPSTREAM_TIMEOUT ? "The tool took the request and fell silent."
                    : "The tool broke off, or did not answer in well-formed HTTP.");
}

static const struct upstream_ops ops = { on_connected, on_writable, on_head, on_room, on_body, on_end, on_failed };

static void forward_begin(struct exchange *x)
{
    exchange_enter(x, X_FORWARD);
    struct upstream_pool *pool = worker_pool(x->worker, x->snap, x->tool);
    x->up = pool ? upstream_take(pool, x->fresh, &ops, x) : NULL;
    if (x->up == NULL) {
        forward_outcome(x, "not-sent");
        exchange_broken(x, 502, "tool-unreachable", "The tool could not be reached; the request was not sent.");
        return;
    }
    upstream_expect(x->up, x->request.method, &x->arena);
    if (x->ws != NULL)
        upstream_may_switch(x->up, x->snap->config->limits.websocket_idle_ms);
}

void forward_outcome(struct exchange *x, const char *outcome)
{
    if (!x->outcome_owed)
        return;
    x->outcome_owed = false;
    if (outcome == NULL)
        outcome = x->head_written ? "outcome-unknown" : "not-sent";
    json_t *m = json_pack("{s:s,s:s%,s:s,s:i}", "op", "outcome", "id", x->held_id.ptr, x->held_id.len, "outcome", outcome, "status",
                          x->from_tool ? (int)x->response.status : 0);
    if (link_call(x->worker->link, m, NULL, 0, NULL, NULL) == 0)
        log_warn("outcome.untold", "held", (const char *)x->held_id.ptr, "outcome", outcome);
    if (x->tape.open)
        (void)!tape_note(x->worker->tape, &x->tape, "outcome", slice_str(outcome));
}
