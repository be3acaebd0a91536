#include "proxy/exchange/external.h"

#include "proxy/base/clock.h"
#include "proxy/base/codec.h"
#include "proxy/base/log.h"
#include "proxy/exchange/conn.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

enum { ASKS = 256, PAYERS = 256, KEY_LEN = 32, TRIES = 3 };

/* One token at one tool, presented with one certificate. */
struct ask {
    struct worker *worker;
    unsigned char key[KEY_LEN];
    enum { ASK_FREE, ASK_OPEN, ASK_REFUSED, ASK_FAILED } state;
    int64_t until_ms;                 /* ASK_REFUSED: forgotten then */
    json_t *problem;
};

struct payer {                        /* who had tokens verified of late */
    unsigned char thumbprint[KEY_LEN];
    int64_t since_ms;
    unsigned count;
};

struct external_asks {
    struct ask v[ASKS];               /* by the first byte of the key: a later token takes the place of a refused one */
    struct payer payers[PAYERS];
};

static struct external_asks *asks_of(struct worker *w)
{
    if (w->external == NULL)
        w->external = calloc(1, sizeof *w->external);
    return w->external;
}

static void forget(struct ask *a)
{
    json_decref(a->problem);
    a->problem = NULL;
    a->state = ASK_FREE;
}

void external_forget(struct worker *w)
{
    for (size_t i = 0; w->external != NULL && i < ASKS; i++)
        if (w->external->v[i].state == ASK_REFUSED)
            forget(&w->external->v[i]);
}

void external_free_asks(struct external_asks *asks)
{
    for (size_t i = 0; asks != NULL && i < ASKS; i++)
        json_decref(asks->v[i].problem);
    free(asks);
}

static void key_of(const struct exchange *x, struct slice token, unsigned char key[KEY_LEN])
{
    unsigned char digest[KEY_LEN];
    sha256_one(token, digest);
    const struct slice pieces[] = { slice_of(digest, sizeof digest), slice_of(x->conn->identity.thumbprint, KEY_LEN), slice_str(x->tool->name) };
    sha256(pieces, sizeof pieces / sizeof *pieces, key);
}

/* A certificate's holder may have so many tokens verified within so much time, on this worker. */
static bool may_ask(struct external_asks *asks, const unsigned char thumbprint[KEY_LEN], int64_t now_ms)
{
    struct payer *p = &asks->payers[thumbprint[0]];
    if (memcmp(p->thumbprint, thumbprint, KEY_LEN) != 0 || now_ms - p->since_ms >= EXTERNAL_ASKS_MS) {
        memcpy(p->thumbprint, thumbprint, KEY_LEN);
        p->since_ms = now_ms;
        p->count = 0;
    }
    return p->count++ < EXTERNAL_ASKS;
}

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

/* A refusal for what it is, and not for the moment: those of the store are tried again at once. */
static bool lasts(const json_t *problem)
{
    json_int_t status = json_integer_value(json_object_get(problem, "status"));
    return status >= 400 && status < 500;
}

static void on_answer(void *arg, const json_t *answer, const int *fds, size_t fd_count)
{
    struct ask *a = arg;
    struct worker *w = a->worker;
    struct err err;
    bool ends = false;
    json_t *problem = json_object_get(answer, "problem"), *grant = json_object_get(answer, "grant");
    (void)fds;
    (void)fd_count;
    if (json_is_true(json_object_get(answer, "ok")) && access_event(w->access, grant, clock_wall_s(), &ends, &err) == OK) {
        a->state = ASK_FREE;
    } else if (lasts(problem)) {
        a->problem = json_incref(problem);
        a->state = ASK_REFUSED;
        a->until_ms = w->loop.now_ms + EXTERNAL_REFUSED_MS;
    } else {
        a->problem = json_incref(problem);
        a->state = ASK_FAILED;
    }
    worker_wake(w);
    if (a->state == ASK_FAILED)       /* those who waited were told */
        a->state = ASK_FREE;
}

static void reply_refused(struct exchange *x, const json_t *q)
{
    json_int_t status = json_integer_value(json_object_get(q, "status"));
    struct problem p = { .status = status >= 400 && status <= 599 ? (unsigned)status : 403, .type = text(q, "type"), .title = text(q, "title"),
                         .detail = text(q, "detail"), .next = text(q, "next") };
    reply_problem(x, &p);
}

static void reply_too_many(struct exchange *x)
{
    struct problem p = { .status = 429, .type = "too-many-tokens", .title = "Too many new tokens at once",
                         .detail = "Each token in Countersign-Grant that was not seen before has to be verified, and you sent too many of them of late.",
                         .next = "Wait ten seconds, then present the token that holds." };
    reply_problem(x, &p);
}

static void wait_for(struct exchange *x)
{
    x->external = true;
    exchange_enter(x, X_ASK);
    worker_wait(x->worker, &x->waiter);
}

static void ask(struct exchange *x, struct ask *a, const unsigned char key[KEY_LEN], struct slice token)
{
    forget(a);
    memcpy(a->key, key, KEY_LEN);
    a->worker = x->worker;
    json_t *m = json_pack("{s:s,s:o,s:s,s:s%}", "op", "grant.admit", "who", exchange_who(x), "tool", x->tool->name, "token", token.ptr, token.len);
    if (m == NULL || link_call(x->worker->link, m, NULL, 0, on_answer, a) == 0) {
        exchange_broken(x, 503, "authorization-unavailable", "The process that decides can't be reached, so nothing was sent.");
        return;
    }
    a->state = ASK_OPEN;
    wait_for(x);
}

void external_step(struct exchange *x, struct slice token)
{
    unsigned char key[KEY_LEN];
    struct external_asks *asks = asks_of(x->worker);
    int64_t now_ms = x->worker->loop.now_ms;
    if (asks == NULL) {
        exchange_broken(x, 503, "authorization-unavailable", "Memory is short, so nothing was sent.");
        return;
    }
    key_of(x, token, key);
    struct ask *a = &asks->v[key[0]];
    bool same = a->state != ASK_FREE && CRYPTO_memcmp(a->key, key, KEY_LEN) == 0;
    if (same && a->state == ASK_REFUSED && now_ms < a->until_ms)
        reply_refused(x, a->problem);
    else if (same && a->state == ASK_FAILED && a->problem != NULL)
        reply_refused(x, a->problem);
    else if (same && a->state == ASK_FAILED)
        exchange_broken(x, 503, "authorization-unavailable", "The process that decides did not answer, so nothing was sent.");
    else if (a->state == ASK_OPEN)    /* for this one, or one that has its place */
        wait_for(x);
    else if (x->external_tries++ >= TRIES)
        exchange_broken(x, 503, "authorization-unavailable", "The grant ended at the moment in which it began, so nothing was sent.");
    else if (!may_ask(asks, x->conn->identity.thumbprint, now_ms))
        reply_too_many(x);
    else
        ask(x, a, key, token);
}

void external_wake(struct exchange *x)
{
    x->external = false;
    exchange_enter(x, X_HEAD);
    stage_authorize(x);
}
