/* forward: the request goes to the tool, written anew, and its response comes back. */
#include "proxy/http/forward.h"

#include "proxy/base/log.h"
#include "proxy/exchange/conn.h"
#include "proxy/exchange/cookies.h"
#include "proxy/exchange/cross_origin.h"
#include "proxy/exchange/dom.h"
#include "proxy/exchange/exchange.h"
#include "proxy/exchange/websocket.h"
#include "proxy/http/syntax.h"

#include <stdio.h>
#include <stdlib.h>

enum { ASSERTION_SPARE_S = 60, RESENDS_MAX = 2, HINTS_MAX = 16, KEPT_MAX = 16 * 1024 };

static void forward_begin(struct exchange *x);
static void take_upstream(struct exchange *x);

/* ---- what the request carries: the assertion ---- */

/* For this exchange. A new one is taken as it is: near the grant's end it has less to live than a kept one must have. */
static bool take_assertion(struct exchange *x, struct slice token)
{
    x->assertion = token.len > 0 ? arena_copy(&x->arena, token) : (struct slice){ 0 };
    return x->assertion.len > 0;
}

static void on_assertion(void *arg, const json_t *answer, const int *fds, size_t fd_count)
{
    struct exchange *x = arg;
    struct slice token = slice_str(json_string_value(json_object_get(answer, "token")));
    (void)fds;
    (void)fd_count;
    x->call = 0;
    if (!json_is_true(json_object_get(answer, "ok")) || !value_is_clean(token) || !take_assertion(x, token)) {
        forward_outcome(x, "not-sent");
        exchange_broken(x, 503, "authorization-unavailable", "The process that decides did not confirm who you are, so nothing was sent.");
        return;
    }
    access_keep_assertion(x->worker->access, x->grant_id, token, json_integer_value(json_object_get(answer, "exp")));
    forward_begin(x);
}

void stage_forward(struct exchange *x)
{
    if (take_assertion(x, live_grant_assertion(exchange_grant(x), loop_wall_ms(&x->worker->loop) / 1000 + ASSERTION_SPARE_S))) {
        forward_begin(x);
        return;
    }
    exchange_enter(x, X_ASK);
    json_t *m = json_pack("{s:s,s:o,s:s,s:s}", "op", "assertion", "who", exchange_who(x), "tool", x->tool->name, "grant_id", x->grant_id);
    x->call = link_ask(x->worker->link, m, on_assertion, x);
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
        .told_origin = slice_str(x->tool->upstream_origin ? x->tool->upstream_origin : ""), .assertion = x->assertion, .client_cert = slice_str(conn_cert_field(c)),
        .websocket = websocket_handshake(x), .has_body = has_body(x),
        .body_len = whole ? bbuf_len(&x->body) : x->request.content_length, .whole = dom_wants_whole(x),
    };
    if (x->destination.len > 0)       /* as the tool itself would be asked for it */
        f.destination_origin = arena_printf(&x->arena, "%s://%.*s", upstream_where(x->up)->tls ? "https" : "http", SLICE_ARG(host));
    f.chunked = f.has_body && !whole && !x->request.has_length;
    if (upstream_send_head(x->up, &f) != OK) {
        upstream_abort(x->up);
        x->up = NULL;
        forward_outcome(x, "not-sent");
        exchange_broken(x, 503, "overloaded", "The request's head is too large to be forwarded.");
        return false;
    }
    x->head_written = true;
    return true;
}

/* What of x->body the tool has not got yet; what it has may still be kept. */
static void put_body(struct exchange *x, size_t ready)
{
    while (ready > x->passed) {
        size_t room = upstream_room(x->up), n = ready - x->passed;
        if (n > room)
            n = room;
        if (n == 0)
            return;
        if (upstream_put(x->up, slice_of(bbuf_slice(&x->body).ptr + x->passed, n)) != OK)
            abort();                  /* room was checked; only out of memory leads here, in the middle of a message */
        if (x->keeps_body) {
            x->passed += n;
        } else {
            exchange_took(x, n);
            ready -= n;
        }
    }
}

static void stop_keeping(struct exchange *x)
{
    size_t n = x->passed;
    x->keeps_body = false;
    x->passed = 0;
    if (n > 0)
        exchange_took(x, n);
}

/* A body stays until the tool has begun its answer, since it may have to be sent again: a small one, or one that was here in full. */
static void keep_body(struct exchange *x)
{
    bool at_hand = x->untaped == 0 && x->request_bytes == bbuf_len(&x->body);
    if (x->state == X_FORWARD && at_hand && (x->request_done || x->request_bytes <= KEPT_MAX))
        x->keeps_body = true;
    else if (x->keeps_body)
        stop_keeping(x);
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
    size_t kept = bbuf_len(&x->body);
    keep_body(x);
    put_body(x, ready - (kept - bbuf_len(&x->body)));
    if (!x->request_done || bbuf_len(&x->body) > x->passed)
        upstream_flush(x->up);
    else if (!x->request_sent)
        x->request_sent = upstream_sent(x->up) == OK;
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
    if (x->ws == NULL)
        forward_pump(x);
    else if (upstream_sent(x->up) != OK)
        exchange_broken(x, 503, "overloaded", "The gateway is out of memory.");
}

static void on_writable(void *user)
{
    forward_pump(user);
}

/* ---- the response ---- */

static bool names_address(const struct message *m)
{
    for (size_t i = 0; i < m->fields.count; i++)
        if (forward_names_address(m->fields.v[i].name))
            return true;
    return false;
}

/* "http://host:port" of where the tool was spoken to; empty for a Unix socket. */
static void origin_of(const struct upstream_address *where, char out[300])
{
    if (where == NULL || where->host == NULL)
        return;
    bool v6 = strchr(where->host, ':') != NULL;
    snprintf(out, 300, "%s://%s%s%s:%u", where->tls ? "https" : "http", v6 ? "[" : "", where->host, v6 ? "]" : "", where->port);
}

static void public_fields(struct exchange *x, const struct message *m, struct fields *out)
{
    char upstream[300] = "", *origin = NULL;
    const char *told = x->tool->upstream_host_field;
    if (names_address(m)) {           /* the only ones that these are for */
        origin = config_origin(x->snap->config, x->tool->host);
        origin_of(x->up ? upstream_where(x->up) : NULL, upstream);
    }
    struct forward_response f = { .message = m, .upstream_origin = slice_str(upstream), .public_origin = slice_str(origin ? origin : ""),
                                  .sent_host = slice_str(told ? told : ""),
                                  .allow_service_worker = x->tool->allow_service_worker, .other_origin_reads = x->reader.len > 0 };
    *out = (struct fields){ 0 };
    if (forward_response_fields(&f, &x->arena, out) != OK || cookies_set(x, out) != OK)
        x->why = "response-fields-cut";
    cross_origin_fields(x, out);
    free(origin);
}

static void on_head(void *user, const struct message *m)
{
    struct exchange *x = user;
    stop_keeping(x);                  /* the tool has begun: it is not sent again */
    if (m->status < 200 && m->status != 101) {
        struct fields hints;
        if (m->status != 103 || x->hints++ >= HINTS_MAX)
            return;                   /* an interim response may be left out */
        public_fields(x, m, &hints);
        respond_interim(x, m, &hints);
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
    dom_begin(x);
    exchange_enter(x, X_RESPOND);
    respond_head(x, true);
}

static size_t on_room(void *user)
{
    struct exchange *x = user;
    if (x->dom != NULL)
        return dom_room(x);
    return x->state == X_TUNNEL ? websocket_tool_room(x) : respond_room(x);
}

static void on_body(void *user, struct slice data)
{
    struct exchange *x = user;
    if (x->state == X_TUNNEL)
        websocket_from_tool(x, data);
    else if (x->dom != NULL)
        dom_body(x, data);
    else
        respond_body(x, data);
}

/* Those that may pass, recorded as the rest is, and then passed on: RFC 9110 s6.5.1. */
static void keep_trailers(struct exchange *x, const struct fields *trailers)
{
    for (size_t i = 0; i < trailers->count; i++)
        if (forward_trailer_allowed(trailers->v[i].name) && !dom_drops(x, trailers->v[i].name))
            (void)!fields_add(&x->response_trailers, &x->arena, trailers->count, trailers->v[i].name, trailers->v[i].value);
}

static void on_end(void *user, const struct fields *trailers)
{
    struct exchange *x = user;
    x->up = NULL;
    if (x->state == X_TUNNEL) {
        websocket_tool_ended(x);
        return;
    }
    keep_trailers(x, trailers);
    forward_outcome(x, "answered");   /* now, and not when the last byte is delivered: the client may leave before that */
    forward_pump(x);
    if (x->dom != NULL)
        dom_end(x);
    else
        respond_end(x);
}

/* ---- when it went wrong ---- */

static bool idempotent(struct slice method)
{
    static const struct slice methods[] = { SLICE_INIT("GET"), SLICE_INIT("HEAD"), SLICE_INIT("OPTIONS"), SLICE_INIT("PUT"), SLICE_INIT("DELETE") };
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (slice_eq(method, methods[i]))
            return true;
    return false;
}

/* RFC 9110 s9.2.2, RFC 9113 s8.7. Never what was signed off: that has a connection of its own, and runs at most once. */
static bool may_send_again(const struct exchange *x, enum upstream_failure f)
{
    bool at_hand = !has_body(x) || !x->head_written || x->keeps_body;
    if (x->fresh || x->held_id.len > 0 || x->ws != NULL || x->state != X_FORWARD || x->resends >= RESENDS_MAX || !at_hand)
        return false;
    return f == UPSTREAM_REFUSED || f == UPSTREAM_CLOSED || (f == UPSTREAM_STALE && idempotent(x->request.method));
}

/* The recording says so: the tool may have seen the request more than once. */
static void note_resend(struct exchange *x, enum upstream_failure f)
{
    struct slice text = arena_printf(&x->arena, "%s; sent again (%u)", f == UPSTREAM_STALE ? "the connection to the tool ended before an answer" : "the tool took nothing of it",
                                     x->resends);
    log_info("tool.resend", "tool", x->tool->name, "why", f == UPSTREAM_STALE ? "stale" : "refused");
    if (x->tape.open && text.ptr != NULL)
        (void)!tape_note(x->worker->tape, &x->tape, "resend", text);
}

static void send_again(struct exchange *x, enum upstream_failure f)
{
    x->resends++;
    note_resend(x, f);
    x->passed = 0;
    x->head_written = x->request_sent = false;
    take_upstream(x);
}

struct failure_text {
    unsigned status;
    const char *type, *detail;
};
static const struct failure_text failure_texts[] = {
    [UPSTREAM_NOT_SENT] = { 502, "tool-unreachable", "The tool could not be reached; the request was not sent." },
    [UPSTREAM_UNTRUSTED] = { 502, "tool-untrusted", NULL },
    [UPSTREAM_FULL] = { 503, "tool-busy", "So many requests to this tool are under way that no more are let through; this one was not sent." },
    [UPSTREAM_UNWELL] = { 503, "tool-unreachable", "The tool does not answer its health checks; the request was not sent." },
    [UPSTREAM_CLOSED] = { 502, "tool-unreachable", "The tool closed the connection just as the request was to go out on it; the request was not sent." },
    [UPSTREAM_REFUSED] = { 503, "tool-busy", "The tool refused the request before it did anything with it." },
    [UPSTREAM_STALE] = { 502, "tool-broke-off", "The tool closed the connection before it answered." },
    [UPSTREAM_CUT] = { 502, "tool-broke-off", "The tool broke off, or did not answer in well-formed HTTP." },
    [UPSTREAM_GARBAGE] = { 502, "tool-answer-invalid", "The tool broke off, or did not answer in well-formed HTTP." },
    [UPSTREAM_TIMEOUT] = { 504, "tool-timeout", "The tool took the request and fell silent." },
};

static bool was_not_sent(enum upstream_failure f)
{
    return f <= UPSTREAM_CLOSED;
}

static void give_up(struct exchange *x, enum upstream_failure f, const char *reason)
{
    const struct failure_text *t = &failure_texts[f];
    const char *detail = t->detail;
    if (detail == NULL)               /* of the certificate: who runs the gateway has to see which rule it broke */
        detail = (const char *)arena_printf(&x->arena, "The tool can't be trusted, so nothing was sent: %s.", reason).ptr;
    log_warn("tool.failed", "tool", x->tool->name, "why", reason, "type", t->type);
    forward_outcome(x, was_not_sent(f) ? "not-sent" : "outcome-unknown");
    exchange_broken(x, t->status, t->type, detail ? detail : "The tool's certificate can't be trusted.");
}

static void on_failed(void *user, enum upstream_failure f, const char *reason)
{
    struct exchange *x = user;
    x->up = NULL;
    if (x->state == X_TUNNEL) {
        if (f == UPSTREAM_TIMEOUT)
            websocket_end(x, 1001, "websocket-quiet");
        else
            websocket_tool_ended(x);
        return;
    }
    if (may_send_again(x, f))
        send_again(x, f);
    else
        give_up(x, f, reason);
}

static const struct upstream_ops ops = { on_connected, on_writable, on_head, on_room, on_body, on_end, on_failed };

/* With these schemes a tool takes not the request but the connection for somebody (RFC 4559, MS-NTHT): shared, it would take the next person for this one. */
static bool binds_connection(const struct exchange *x)
{
    static const struct slice schemes[] = { SLICE_INIT("ntlm"), SLICE_INIT("negotiate") };
    struct slice v = fields_get(&x->request.fields, SLICE("authorization"));
    v.len = slice_find(v, ' ');
    return slice_ieq(v, schemes[0]) || slice_ieq(v, schemes[1]);
}

static void take_upstream(struct exchange *x)
{
    enum upstream_failure why = UPSTREAM_FULL;
    struct upstream_want want = { .method = x->request.method, .arena = &x->arena, .fresh = x->fresh && x->ws == NULL,
                                  .websocket = x->ws != NULL, .owner = x->conn->serial, .binds = binds_connection(x), .quiet_ms = x->snap->config->limits.websocket_idle_ms };
    struct upstream_pool *pool = worker_pool(x->worker, x->snap, x->tool);
    x->up = pool ? upstream_take(pool, &want, &ops, x, &why) : NULL;
    if (x->up == NULL)
        give_up(x, pool ? why : UPSTREAM_NOT_SENT, "no connection could be made");
}

static void begin_live(struct exchange *x)
{
    const struct live_grant *g = exchange_grant(x);
    const struct live_what what = { x->grant_id, x->conn->person->name, x->conn->identity.name, x->tool->name, x->verdict.action ? x->verdict.action->name : NULL,
                                    x->conn->address, x->ws != NULL, g ? g->issuer : NULL };
    x->live = live_begin(x->worker->live, x->worker->index, &what, loop_wall_ms(&x->worker->loop));
}

static void forward_begin(struct exchange *x)
{
    exchange_enter(x, X_FORWARD);
    begin_live(x);
    take_upstream(x);
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
