/* spend: what a request takes from the budget of its grant, before it is forwarded. A worker spends what it has leased; only when that is not enough it asks
 * authz, once a few dozen requests, or for each value (a customer) that is new. No lock, and nothing to look up for a grant without a budget. */
#include "proxy/base/log.h"
#include "proxy/exchange/conn.h"
#include "proxy/exchange/exchange.h"
#include "proxy/exchange/spend.h"

#include <stdio.h>
#include <stdlib.h>

enum { ASKED_MAX = 8, BYTES_LOW = 256 * 1024, BYTES_AT_ONCE = 64 * 1024, FRAME_LEAST = 256 };

static struct purse *purse_of(struct exchange *x)
{
    const struct live_grant *g = exchange_grant(x);
    return g ? g->purse : NULL;
}

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

static enum status spend_of(const struct exchange *x, struct spend *out)
{
    struct slice path = x->request.path;
    out->value_count = 0;
    snprintf(out->action, sizeof out->action, "action:%s", x->verdict.action ? x->verdict.action->name : "");
    return budget_values(&x->tool->budget, path, x->query.v, x->query.count, out->values, &out->value_count);
}

/* The request may be another one than came in: a held one that is released. */
void spend_name(struct exchange *x)
{
    struct readings query = { 0 };
    char text[BUDGET_NAMES_MAX];
    x->names = (struct slice){ 0 };
    if (x->tool->budget.distinct_count == 0 || readings_query(x->request.query, &x->arena, &query) != OK)
        return;
    size_t n = budget_names(&x->tool->budget, x->request.path, query.v, query.count, text);
    x->names = arena_copy(&x->arena, slice_of(text, n));
}

static void refuse_many(struct exchange *x)
{
    struct problem p = { .status = 403, .type = "budget-exhausted", .title = "This request names too many things at once",
                         .detail = "More different values than one request may name are counted towards the budget of this tool.",
                         .next = "Ask for fewer at a time." };
    reply_problem(x, &p);
}

static void refuse_spent(struct exchange *x, const json_t *answer)
{
    const json_t *q = json_object_get(answer, "problem");
    json_int_t status = json_integer_value(json_object_get(q, "status"));
    char link[512];
    snprintf(link, sizeof link, "%s/?tool=%s", x->snap->console_origin, x->tool->name);
    if (q == NULL) {
        exchange_broken(x, 503, "authorization-unavailable", "The process that decides did not answer, so nothing was sent.");
        return;
    }
    struct problem p = { .status = status >= 400 && status <= 599 ? (unsigned)status : 403, .type = text(q, "type"), .title = text(q, "title"),
                         .detail = text(q, "detail"), .next = text(q, "next"), .link = link, .link_text = "Ask for more" };
    reply_problem(x, &p);
}

static json_t *lease_message(const struct exchange *x, json_t *wants)
{
    return json_pack("{s:s,s:o,s:s,s:s,s:O}", "op", "budget.lease", "who", exchange_who(x), "tool", x->tool->name, "grant_id", x->grant_id, "wants", wants);
}

/* Refused, but others of this worker, who asked at the same time, may have got more than they need. */
static bool covered(const struct exchange *x, const struct purse *p)
{
    struct spend s;
    json_t *wants = p != NULL && spend_of(x, &s) == OK ? purse_wants(p, &s, false) : json_null();
    json_decref(wants);
    return wants == NULL;
}

static void on_lease(void *arg, const json_t *answer, const int *fds, size_t fd_count)
{
    struct exchange *x = arg;
    struct purse *p = purse_of(x);
    (void)fds;
    (void)fd_count;
    x->call = 0;
    json_t *wants = x->wants;
    x->wants = NULL;
    if (!json_is_true(json_object_get(answer, "ok")) && covered(x, p))
        stage_spend(x);
    else if (!json_is_true(json_object_get(answer, "ok")))
        refuse_spent(x, answer);
    else if (p == NULL || !purse_put(p, wants, json_object_get(answer, "leased")))
        exchange_broken(x, 503, "authorization-unavailable", "The grant changed at this moment, so nothing was sent.");
    else
        stage_spend(x);
    json_decref(wants);
}

static void refuse_action(struct exchange *x, const struct action *a)
{
    char detail[256], link[512];
    snprintf(detail, sizeof detail, "Your grant is for some actions of '%s' only, and '%s' is not among them.", x->tool->name, a ? a->name : "");
    snprintf(link, sizeof link, "%s/?tool=%s", x->snap->console_origin, x->tool->name);
    struct problem p = { .status = 403, .type = "action-not-granted", .title = "Your grant does not cover this", .detail = detail,
                         .next = "If your work needs it, ask for it: another person approves it.", .link = link, .link_text = "Ask for more" };
    reply_problem(x, &p);
}

/* The action that the grant does not cover: also one that the tool may take a spelling of the path for. */
static bool is_granted(const struct exchange *x, const struct live_grant *g, const struct action **missing)
{
    const struct verdict *v = &x->verdict;
    *missing = v->action;
    if (v->action == NULL || !live_grant_allows(g, v->action->name))
        return false;
    for (size_t i = 0; i < POLICY_ALSO; i++)
        if (v->also[i] != NULL && !live_grant_allows(g, v->also[i]->name)) {
            *missing = v->also[i];
            return false;
        }
    return true;
}

void stage_spend(struct exchange *x)
{
    const struct action *missing;
    const struct live_grant *g = exchange_grant(x);
    struct purse *p = g ? g->purse : NULL;
    struct spend s;
    if (g == NULL) {                  /* ended while the body was read */
        exchange_broken(x, 503, "authorization-unavailable", "The grant ended at this moment, so nothing was sent.");
        return;
    }
    if (!is_granted(x, g, &missing)) {
        refuse_action(x, missing);
        return;
    }
    if (p == NULL) {
        stage_forward(x);
        return;
    }
    if (spend_of(x, &s) != OK) {
        refuse_many(x);
        return;
    }
    x->metered = purse_limits(p, "bytes_out");
    json_t *wants = purse_wants(p, &s, false);
    if (wants == NULL) {
        purse_spend(p, &s);
        stage_forward(x);
        return;
    }
    exchange_enter(x, X_ASK);
    x->wants = wants;
    x->call = x->leases++ < ASKED_MAX ? link_ask(x->worker->link, lease_message(x, wants), on_lease, x) : 0;
    if (x->call == 0)
        exchange_broken(x, 503, "authorization-unavailable", "The process that decides can't be reached, so nothing was sent.");
}

json_t *spend_wanted(struct exchange *x, bool *too_many)
{
    struct spend s;
    struct purse *p = purse_of(x);
    *too_many = p != NULL && spend_of(x, &s) != OK;
    return p == NULL || *too_many ? NULL : purse_wants(p, &s, true);
}

void spend_meter(struct exchange *x)
{
    x->metered = purse_limits(purse_of(x), "bytes_out");
}

/* ---- bytes to the person ---- */

struct bytes_ask {
    struct worker *worker;
    char grant_id[GRANT_ID_MAX + 1];
};

static void on_bytes(void *arg, const json_t *answer, const int *fds, size_t fd_count)
{
    struct bytes_ask *b = arg;
    const struct live_grant *g = access_grant_by_id(b->worker->access, b->grant_id);
    (void)fds;
    (void)fd_count;
    if (g != NULL && g->purse != NULL) {
        purse_set_asking(g->purse, false);
        if (json_is_true(json_object_get(answer, "ok")))
            (void)purse_put(g->purse, NULL, json_object_get(answer, "leased"));
    }
    worker_wake(b->worker);           /* who waits for bytes has some, or is cut off */
    free(b);
}

static void ask_bytes(struct exchange *x, struct purse *p)
{
    struct bytes_ask *b = purse_asking(p) ? NULL : calloc(1, sizeof *b);
    if (b == NULL)
        return;
    b->worker = x->worker;
    memcpy(b->grant_id, x->grant_id, sizeof b->grant_id);
    json_t *wants = json_pack("[{s:s, s:i}]", "name", "bytes_out", "amount", BYTES_AT_ONCE);
    if (wants != NULL && link_ask(x->worker->link, lease_message(x, wants), on_bytes, b) != 0)
        purse_set_asking(p, true);
    else
        free(b);
    json_decref(wants);
}

/* A frame's head and trailers go out as a whole. */
static bool enough(const struct exchange *x, int64_t left)
{
    int64_t least = x->state == X_TUNNEL ? FRAME_LEAST : 1;
    return left >= (x->trailers_len > (size_t)least ? (int64_t)x->trailers_len : least);
}

size_t spend_room(struct exchange *x, size_t room)
{
    struct purse *p = x->metered && x->from_tool ? purse_of(x) : NULL;
    if (p == NULL)
        return room;
    int64_t left = purse_bytes(p);
    if (left < BYTES_LOW && left < (int64_t)room + BYTES_AT_ONCE)
        ask_bytes(x, p);
    if (!enough(x, left)) {
        x->starved = true;
        exchange_wait(x);        /* woken by on_bytes */
    }
    return left < (int64_t)room ? (size_t)left : room;
}

void spend_bytes(struct exchange *x, size_t n)
{
    struct purse *p = x->metered && x->from_tool ? purse_of(x) : NULL;
    if (p != NULL)
        purse_take_bytes(p, n);
}

size_t spend_fields_len(const struct fields *f)
{
    size_t len = 0;
    for (size_t i = 0; i < f->count; i++)
        len += f->v[i].name.len + f->v[i].value.len + 4;
    return len;
}

bool spend_covers(struct exchange *x, size_t n)
{
    struct purse *p = x->metered ? purse_of(x) : NULL;
    if (p == NULL || purse_bytes(p) >= (int64_t)n)
        return true;
    ask_bytes(x, p);
    return false;
}

void spend_fields(struct exchange *x, size_t n)
{
    struct purse *p = x->metered ? purse_of(x) : NULL;
    x->response_bytes += n;
    if (p != NULL)
        purse_take_bytes(p, n);
}

bool spend_starved(struct exchange *x)
{
    struct purse *p = x->starved ? purse_of(x) : NULL;
    if (p == NULL || enough(x, purse_bytes(p)))
        x->starved = false;
    return x->starved && !purse_asking(p);
}
