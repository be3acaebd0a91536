/* hold: a sensitive request waits until others sign off exactly it; and its release, once. */
#include "proxy/base/codec.h"
#include "proxy/base/log.h"
#include "proxy/exchange/conn.h"
#include "proxy/exchange/exchange.h"
#include "proxy/exchange/held.h"
#include "proxy/exchange/hold_wait.h"
#include "proxy/exchange/spend.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *text(const json_t *object, const char *name)
{
    const char *s = json_string_value(json_object_get(object, name));
    return s ? s : "";
}

/* authz's refusal, as it is. */
static void reply_refused(struct exchange *x, const json_t *answer)
{
    const json_t *q = json_object_get(answer, "problem");
    if (q == NULL) {
        exchange_broken(x, 503, "authorization-unavailable", "The process that decides did not answer, so nothing was sent.");
        return;
    }
    json_int_t status = json_integer_value(json_object_get(q, "status"));
    struct problem p = { .status = status >= 400 && status <= 599 ? (unsigned)status : 403, .type = text(q, "type"), .title = text(q, "title"),
                         .detail = text(q, "detail"), .next = text(q, "next") };
    reply_problem(x, &p);
}

static void reply_held(struct exchange *x, const json_t *item)
{
    char detail[512], next[512], link[512];
    const char *id = text(item, "id");
    snprintf(detail, sizeof detail, "'%s' on '%s' needs the sign-off of another person, for exactly this request. Nothing was sent to the tool; the request "
             "waits as `%s`.", x->verdict.action->name, x->tool->name, id);
    snprintf(next, sizeof next, "Ask an approver to run `countersign approve %s`. Once it is signed off, run it from the console, or send the same bytes again; "
             "it runs once.", id);
    snprintf(link, sizeof link, "%s/held/%s", x->snap->console_origin, id);
    struct problem p = { .status = 403, .type = "signoff-required", .title = "This request is held", .detail = detail, .next = next,
                         .extra_name = "held_id", .extra_value = id, .link = link, .link_text = "Watch and release it" };
    (void)!tape_note(x->worker->tape, &x->tape, "held", slice_str(id));
    reply_problem(x, &p);
}

void hold_reply(struct exchange *x, const char *item)
{
    json_t *o = json_pack("{s:s}", "id", item);
    hold_wait_end(x);
    reply_held(x, o);
    json_decref(o);
}

/* authz used a sign-off up: from now on exactly these bytes are the request, on a fresh connection. */
static bool take_release(struct exchange *x, const json_t *answer, int fd)
{
    struct err err;
    const char *id = text(json_object_get(answer, "item"), "id");
    x->held_id = arena_copy(&x->arena, slice_str(id));
    x->outcome_owed = x->held_id.ptr != NULL && x->held_id.len > 0;
    bbuf_done(&x->body);
    if (!x->outcome_owed || held_read(fd, &x->request, &x->body, x->snap->config->limits.held_bytes, &x->arena, &err) != OK) {
        log_error("held.unreadable", "id", id, "why", x->outcome_owed ? err.text : "no id");
        forward_outcome(x, "not-sent");
        return false;
    }
    x->fresh = x->durable = x->collected = x->request_done = true;
    x->untaped = bbuf_len(&x->body);
    x->uncredited = 0;
    return true;
}

static void go_forward(struct exchange *x)
{
    spend_meter(x);                   /* the rest of the budget was leased with the release */
    (void)!tape_note(x->worker->tape, &x->tape, "signoff", x->held_id);
    stage_forward(x);
}

static void on_hold(void *arg, const json_t *answer, const int *fds, size_t fd_count)
{
    struct exchange *x = arg;
    const json_t *item = json_object_get(answer, "item");
    bool runs = json_is_true(json_object_get(answer, "run")), good = json_is_true(json_object_get(answer, "ok"));
    x->call = 0;
    if (good && !runs && (hold_wait_item(x) != NULL || hold_wait_begin(x, text(item, "id"))))
        return;                       /* it waits, or goes on waiting */
    hold_wait_end(x);
    if (!good) {
        reply_refused(x, answer);
    } else if (!runs) {
        reply_held(x, item);
    } else if (fd_count != 1 || !take_release(x, answer, fds[0])) {
        exchange_broken(x, 503, "held-unreadable", "The held request could not be read back; it was not sent.");
    } else {
        x->untaped = 0;               /* the same bytes came in with this exchange and are on the tape */
        go_forward(x);
    }
}

static json_t *hold_message(struct exchange *x, const struct held_digests *d, json_t *spends)
{
    char digest[48], body[48];
    b64url_encode(slice_of(d->request, 32), digest);
    b64url_encode(slice_of(d->body, 32), body);
    struct slice type = fields_get(&x->request.fields, SLICE("content-type"));
    return json_pack("{s:s,s:o,s:s,s:s,s:s,s:s%,s:s%,s:s%,s:s,s:s%,s:I,s:s,s:s,s:o*,s:s*}", "op", "hold", "who", exchange_who(x), "tool", x->tool->name,
                     "action", x->verdict.action->name, "grant_id", x->grant_id, "method", x->request.method.ptr, x->request.method.len,
                     "authority", x->request.authority.ptr, x->request.authority.len, "target", x->request.target.ptr, x->request.target.len,
                     "digest", digest, "content_type", type.ptr ? (const char *)type.ptr : "", type.len, "body_len",
                     (json_int_t)bbuf_len(&x->body), "body_sha256", body, "requirement", "signoff", "spends", spends, "waits_for", hold_wait_item(x));
}

void stage_hold(struct exchange *x)
{
    struct held_digests digests;
    struct err err;
    int fd = -1;
    if (x->too_large || bbuf_len(&x->body) > x->snap->config->limits.held_bytes) {
        struct problem p = { .status = 413, .type = "held-too-large", .title = "Too large to be held",
                             .detail = "This action needs a sign-off, and its body is larger than what can be held for one.",
                             .next = "Split it into smaller requests, or ask an operator to raise limits.held_bytes." };
        reply_problem(x, &p);
        return;
    }
    if (held_make(&x->request, bbuf_slice(&x->body), &fd, &digests, &err) != OK) {
        struct problem p = { .status = 400, .type = "cannot-be-held", .title = "This request can't be held", .detail = err.text,
                             .next = "Send it with plain text fields." };
        reply_problem(x, &p);
        return;
    }
    bool too_many = false;
    json_t *spends = spend_wanted(x, &too_many);
    if (too_many) {
        close(fd);
        struct problem p = { .status = 403, .type = "cannot-be-held", .title = "This request can't be held",
                             .detail = "It names more different values than one request may.", .next = "Ask for fewer at a time." };
        reply_problem(x, &p);
        return;
    }
    exchange_enter(x, X_ASK);
    x->call = link_call(x->worker->link, hold_message(x, &digests, spends), &fd, 1, on_hold, x);
    close(fd);
    if (x->call == 0) {
        hold_wait_end(x);
        exchange_broken(x, 503, "authorization-unavailable", "The process that decides can't be reached, so nothing was sent.");
    }
}

/* The bytes are all here still: what is asked again is the same message. */
void hold_ask(struct exchange *x)
{
    stage_hold(x);
}

/* ---- release by the one-time link: GET /.countersign/release/CODE on the tool's host ---- */

static void after_release_taped(struct exchange *x)
{
    struct limits *l = &x->snap->config->limits;
    exchange_collect(x, l->held_bytes, go_forward);   /* the held body, onto the tape */
}

static void on_release(void *arg, const json_t *answer, const int *fds, size_t fd_count)
{
    struct exchange *x = arg;
    x->call = 0;
    if (!json_is_true(json_object_get(answer, "ok"))) {
        reply_refused(x, answer);
        return;
    }
    if (fd_count != 1 || !take_release(x, answer, fds[0])) {
        exchange_broken(x, 503, "held-unreadable", "The held request could not be read back; it was not sent.");
        return;
    }
    const char *action = text(json_object_get(answer, "item"), "action");
    if (strcmp(text(json_object_get(answer, "item"), "tool"), x->tool->name) != 0 ||
        strcmp(text(json_object_get(answer, "item"), "grant_id"), x->grant_id) != 0) {
        forward_outcome(x, "not-sent");   /* authz refuses this already; what was signed off goes to its own tool or nowhere */
        exchange_broken(x, 503, "held-unreadable", "The held request belongs to another tool or grant; it was not sent.");
        return;
    }
    for (size_t i = 0; i < x->tool->action_count; i++)
        if (strcmp(x->tool->actions[i].name, action) == 0)
            x->verdict = (struct verdict){ .requirement = NEED_SIGNOFF, .action = &x->tool->actions[i] };
    exchange_begin_tape(x, after_release_taped);
}

/* The console sends the browser here, which is a navigation from another origin. A script of the tool, which shares this origin, must not release. */
static bool comes_from_the_console(const struct exchange *x)
{
    struct slice site = fields_get(&x->request.fields, SLICE("sec-fetch-site")), mode = fields_get(&x->request.fields, SLICE("sec-fetch-mode"));
    return (site.ptr == NULL || !slice_eq(site, SLICE("same-origin"))) && (mode.ptr == NULL || slice_eq(mode, SLICE("navigate")));
}

void stage_release(struct exchange *x, struct slice code)
{
    bool navigates = slice_eq(x->request.method, SLICE("GET")) && comes_from_the_console(x);
    if (!navigates || code.len == 0 || code.len > 64 || !x->request_done) {
        struct problem p = { .status = 405, .type = "bad-release", .title = "This is no release link", .detail = "A release link is opened by the console, with GET.",
                             .next = "Use the button on the held request's page of the console." };
        reply_problem(x, &p);
        return;
    }
    exchange_enter(x, X_ASK);
    json_t *m = json_pack("{s:s,s:o,s:s,s:s%}", "op", "release.use", "who", exchange_who(x), "tool", x->tool->name, "code", code.ptr, code.len);
    x->call = link_call(x->worker->link, m, NULL, 0, on_release, x);
    if (x->call == 0)
        exchange_broken(x, 503, "authorization-unavailable", "The process that decides can't be reached, so nothing was sent.");
}
