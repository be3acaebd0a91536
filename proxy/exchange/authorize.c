/* authorize: a live grant for this certificate and this tool, and the policy's word on this request. Default deny. */
#include "authz/external.h"
#include "proxy/base/clock.h"
#include "proxy/base/codec.h"
#include "proxy/exchange/conn.h"
#include "proxy/exchange/cookies.h"
#include "proxy/exchange/cross_origin.h"
#include "proxy/exchange/destination.h"
#include "proxy/exchange/dom.h"
#include "proxy/exchange/exchange.h"
#include "proxy/exchange/external.h"
#include "proxy/exchange/websocket.h"
#include "proxy/http/forward.h"
#include "proxy/http/syntax.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

static bool refuse_early(struct exchange *x)
{
    const char *reason = forward_refuses(&x->request);
    struct problem p = { .status = 400, .type = "bad-field", .title = "This request has a field it must not have", .detail = reason,
                         .next = "Send it again without that field." };
    if (reason == NULL && cross_origin_refuses(x)) {
        cross_origin_refuse(x);
        return true;
    }
    if (reason == NULL && !x->tool->allow_service_worker &&
             slice_eq(fields_get(&x->request.fields, SLICE("service-worker")), SLICE("script")))
        p = (struct problem){ .status = 403, .type = "service-worker", .title = "Service workers are not allowed here",
                              .detail = "A service worker would keep answering after the session ended.",
                              .next = "Most tools work without it. If this one does not, an operator can allow it (allow_service_worker = true)." };
    else if (reason == NULL)
        return false;
    reply_problem(x, &p);
    return true;
}

static void refuse_grant(struct exchange *x)
{
    char detail[256], next[512], link[512];
    bool may_ask = policy_may_ask(x->tool, x->conn->person);
    snprintf(detail, sizeof detail, may_ask ? "You have no approved access to '%s' at the moment."
             : "You have no access to '%s', and none of your groups may ask for it.", x->tool->name);
    snprintf(next, sizeof next, "Ask for it, with a reason: `countersign request %s --reason \"…\" --for 30m`, or on the console at %s. "
             "Another person approves it.", x->tool->name, x->snap->console_origin);
    if (!may_ask)
        snprintf(next, sizeof next, "If your work needs it, ask the people who keep the policy of this tool. The console shows what you may ask for.");
    snprintf(link, sizeof link, "%s/?tool=%s", x->snap->console_origin, x->tool->name);
    struct problem p = { .status = 403, .type = "grant-required", .title = "You need a grant for this tool", .detail = detail, .next = next,
                         .link = link, .link_text = may_ask ? "Ask for access" : "Open the console" };
    reply_problem(x, &p);
}

static void refuse_stale(struct exchange *x)
{
    struct problem p = { .status = 503, .type = "authorization-unavailable", .title = "Nothing can be authorized at the moment",
                         .detail = "The process that decides is silent, so the answer is no.",
                         .next = "Try again in a moment; if it stays so, tell the people who run this gateway." };
    reply_problem(x, &p);
}

/* authz and this process have read different configs, as for a moment during a reload: neither's rules are the ones that were approved. */
static bool judged_by_others(struct exchange *x, const struct live_grant *g)
{
    if (memcmp(g->policy, x->snap->policies[x->tool - x->snap->config->tools], sizeof g->policy) == 0)
        return false;
    struct problem p = { .status = 503, .type = "policy-differs", .title = "The rules of this tool are being changed",
                         .detail = "Your grant was approved under other rules than those this process has read, so nothing is judged by either.",
                         .next = "Try again in a moment; if it stays so, tell the people who run this gateway to reload or restart it." };
    reply_problem(x, &p);
    return true;
}

static void refuse_locked(struct exchange *x, const char *why)
{
    char detail[512];
    snprintf(detail, sizeof detail, "An operator has stopped this%s%s", why[0] ? ": " : "", why);
    struct problem p = { .status = 403, .type = "locked", .title = "This is locked", .detail = detail,
                         .next = "Talk to your operator or security team: only they can lift the lock." };
    reply_problem(x, &p);
}

static void refuse_token(struct exchange *x, enum status st, const char *why)
{
    char detail[600];
    snprintf(detail, sizeof detail, "The grant in Countersign-Grant is refused: %s.", why);
    struct problem p = { .status = 401, .type = "grant-mismatch", .title = "This grant does not fit", .detail = detail,
                         .next = "Leave the field out: the certificate finds its grant. Or present the newest token." };
    if (st == BAD_TOKEN) {
        p.type = "grant-invalid";
        p.title = "This is not a grant of this gateway";
    } else if (st == EXPIRED) {
        p.type = "grant-expired";
        p.title = "This grant has expired";
        p.next = "Ask for access again: `countersign request`.";
    }
    reply_problem(x, &p);
}

/* A client may present the grant's token; then it must be that of this certificate and tool, and it is told what is wrong with another one. */
static bool presents_another(struct exchange *x, const struct live_grant *g)
{
    struct slice token = fields_get(&x->request.fields, SLICE("countersign-grant"));   /* two are refused before (forward_refuses) */
    unsigned char digest[32];
    struct err why = { .text = "" };
    if (token.ptr == NULL)
        return false;
    sha256_one(token, digest);
    if (g != NULL && (CRYPTO_memcmp(digest, g->token_sha256, sizeof digest) == 0
                      || (g->issuer[0] != 0 && CRYPTO_memcmp(digest, g->external_sha256, sizeof digest) == 0)))
        return false;
    if (external_claimed(x->snap->config, token) != NULL) {
        external_step(x, token);
        return true;
    }
    enum status st = access_token_fault(x->worker->access, token, x->conn->identity.thumbprint, x->tool->name, clock_wall_s(), &why);
    refuse_token(x, st, why.text);
    return true;
}

/* Before the first page of a tool, the person is told that the session is recorded. */
static bool shows_notice(struct exchange *x)
{
    struct slice mode = fields_get(&x->request.fields, SLICE("sec-fetch-mode"));
    bool navigates = mode.ptr ? slice_eq(mode, SLICE("navigate")) : prefers_html(x);
    if (x->noticed || !navigates || !slice_eq(x->request.method, SLICE("GET")))
        return false;
    struct slice to = arena_printf(&x->arena, "%s/notice/%s?to=", x->snap->console_origin, x->grant_id);
    char *where = to.ptr ? malloc(to.len + x->request.target.len * 3 + 1) : NULL;
    if (where == NULL)
        return false;
    size_t n = to.len;
    memcpy(where, to.ptr, to.len);
    for (size_t i = 0; i < x->request.target.len; i++) {
        unsigned char c = x->request.target.ptr[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' || c == '-' || c == '_' || c == '.')
            where[n++] = (char)c;
        else
            n += (size_t)snprintf(where + n, 4, "%%%02X", c);
    }
    where[n] = 0;
    reply_redirect(x, where);
    free(where);
    return true;
}

/* OPTIONS * asks about this server, and no tool (RFC 9110 s9.3.7). false: it was answered here. */
static bool asks_a_tool(struct exchange *x)
{
    if (!slice_eq(x->request.path, SLICE("*")))
        return true;
    reply_bytes(x, 204, NULL, SLICE(""), NULL);
    return false;
}

/* Of OPTIONS each intermediary takes one from Max-Forwards, and is its end at 0 (RFC 9110 s7.6.2). false: it was answered here. */
static bool count_forward(struct exchange *x)
{
    struct fields *f = &x->request.fields;
    for (size_t i = 0; i < f->count && slice_eq(x->request.method, SLICE("OPTIONS")); i++) {
        struct slice v = f->v[i].value;
        uint64_t n = 0;
        if (!slice_eq(f->v[i].name, SLICE("max-forwards")))
            continue;
        if (content_length_parse(v, &n) != PARSE_OK) {
            struct problem p = { .status = 400, .type = "bad-field", .title = "This request has a field it must not have", .detail = "Max-Forwards is no number.",
                                 .next = "Send it again without that field." };
            reply_problem(x, &p);
            return false;
        }
        if (n == 0) {
            reply_bytes(x, 204, NULL, SLICE(""), NULL);
            return false;
        }
        f->v[i].value = arena_printf(&x->arena, "%llu", (unsigned long long)(n - 1));
    }
    return true;
}

void stage_authorize(struct exchange *x)
{
    struct conn *c = x->conn;
    const struct access *access = x->worker->access;
    struct slice release = SLICE("/.countersign/release/");
    if (!worker_fresh(x->worker)) {
        refuse_stale(x);
        return;
    }
    const struct live_grant *g = access_grant_kept(access, &c->grant, c->identity.thumbprint, x->tool->name, loop_wall_ms(&x->worker->loop) / 1000);
    const char *locked = access_locked(access, &(struct access_subject){ .tool = x->tool->name, .grant_id = g ? g->grant_id : NULL });
    if (locked != NULL) {
        refuse_locked(x, locked);
        return;
    }
    if (refuse_early(x))
        return;
    if (presents_another(x, g))
        return;
    if (g == NULL || !policy_may_ask(x->tool, c->person)) {
        refuse_grant(x);
        return;
    }
    if (judged_by_others(x, g))
        return;
    memcpy(x->grant_id, g->grant_id, sizeof x->grant_id);
    x->grant = c->grant;
    x->noticed = g->noticed;
    if (!cookies_take(x))
        return;
    if (slice_starts(x->request.path, release)) {
        stage_release(x, slice_from(x->request.path, release.len));
        return;
    }
    if (dom_serves(x))
        return;
    if (slice_starts(x->request.path, SLICE("/.countersign/"))) {
        struct problem p = { .status = 404, .type = "not-found", .title = "There is nothing here",
                             .detail = "Paths under /.countersign/ belong to the gateway.", .next = "Go back to the tool." };
        reply_problem(x, &p);
        return;
    }
    if (readings_query(x->request.query, &x->arena, &x->query) != OK) {
        struct problem p = { .status = 400, .type = "bad-query", .title = "The query can't be read",
                             .detail = "It has too many parts or is malformed.", .next = "Send a shorter, well-formed query." };
        reply_problem(x, &p);
        return;
    }
    if (!asks_a_tool(x) || !destination_take(x) || !websocket_ask(x) || !count_forward(x))
        return;
    if (x->ws != NULL || !shows_notice(x))
        stage_judge(x);
}

static struct verdict judge(struct exchange *x)
{
    struct slice methods[8];
    bool has_body = x->ws == NULL && (!x->request_done || bbuf_len(&x->body) > 0);   /* frames sent in hope are none */
    bool unreadable = x->too_large;
    if (x->collected)
        unreadable = readings_body(&x->request, bbuf_slice(&x->body), &x->arena, &x->form) != OK;
    struct policy_request r = {
        .methods = methods, .method_count = readings_methods(&x->request, &x->query, &x->form, &x->arena, methods),
        .path = x->request.path, .query = x->query.v, .query_count = x->query.count, .body = x->form.v, .body_count = x->form.count,
        .body_seen = (x->collected || !has_body) && !unreadable, .body_unreadable = unreadable,
    };
    return destination_judge(x, &r, policy_judge(x->tool, &r));
}

static void refuse_denied(struct exchange *x)
{
    char detail[384];
    if (x->verdict.action != NULL && x->verdict.action->requirement == NEED_SIGNOFF)
        snprintf(detail, sizeof detail, "The action '%s' of '%s' needs a sign-off, which covers one address; this request has two.", x->verdict.action->name, x->tool->name);
    else if (x->verdict.action != NULL)
        snprintf(detail, sizeof detail, "The policy of '%s' denies the action '%s'.", x->tool->name, x->verdict.action->name);
    else
        snprintf(detail, sizeof detail, "No action of '%s' allows this method and path.", x->tool->name);
    struct problem p = { .status = 403, .type = "not-allowed", .title = "The policy does not allow this", .detail = detail,
                         .next = "If your work needs it, ask the people who keep the policy of this tool." };
    reply_problem(x, &p);
}

static void act(struct exchange *x)
{
    const struct limits *l = &x->snap->config->limits;
    if (x->verdict.wants_body && !x->collected && !x->too_large)
        exchange_collect(x, l->body_read_bytes > l->held_bytes ? l->body_read_bytes : l->held_bytes, stage_judge);
    else if (cross_origin_refuses_action(x))
        cross_origin_refuse(x);
    else if (x->verdict.requirement == NEED_GRANT)
        stage_spend(x);
    else if (x->verdict.requirement == NEED_DENY)
        refuse_denied(x);
    else if (x->ws != NULL)
        websocket_refuse_signoff(x);
    else if (x->collected || x->too_large)
        stage_hold(x);
    else
        exchange_collect(x, l->held_bytes, stage_judge);
}

/* What is no plain request for a file is never left out: a body, a WebSocket. */
static enum record_mode kept(const struct exchange *x)
{
    enum record_mode mode = policy_record(&x->verdict);
    bool has_body = !x->request_done || bbuf_len(&x->body) > 0;
    return mode == RECORD_OFF && (has_body || x->ws != NULL) ? RECORD_FULL : mode;
}

void stage_judge(struct exchange *x)
{
    const struct action *before = x->verdict.action;
    x->verdict = judge(x);
    x->durable = policy_durable(&x->verdict) || x->verdict.requirement == NEED_SIGNOFF;
    if (!x->tape.open) {
        x->record = kept(x);
        exchange_begin_tape(x, act);
        return;
    }
    if (x->verdict.action != before)   /* the body made it another action: that is the one an auditor must see */
        (void)!tape_note(x->worker->tape, &x->tape, "action", slice_str(x->verdict.action ? x->verdict.action->name : ""));
    act(x);
}
