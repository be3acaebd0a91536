#include "proxy/courier/key_fetch.h"

#include "proxy/base/log.h"
#include "proxy/base/msg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BODY_MAX = 48 * 1024, CONNECT_MS = 5000, TOTAL_MS = 15000, ASK_MAX = 40, QUESTIONS_A_TURN = 16 };

struct key_fetch {
    int lane;
    struct fetcher *fetcher;
};

struct question {
    struct key_fetch *k;
    char ask[ASK_MAX + 1];
};

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

/* Takes the message. What cannot be sent is asked for again. */
static void answer(const struct key_fetch *k, json_t *m)
{
    struct err err = { .text = "" };
    enum status st = m ? msg_send(k->lane, m, NULL, 0, &err) : NO_MEMORY;
    if (st != OK)
        log_warn("issuer_keys.unsent", "why", st == AGAIN ? "authz does not read" : err.text);
    json_decref(m);
}

static void say_why(const struct key_fetch *k, const char *ask, const char *why)
{
    answer(k, json_pack("{s:s, s:s}", "ask", ask, "why", why));
}

static void on_fetched(void *arg, const struct fetch_result *r)
{
    struct question *q = arg;
    char why[64];
    json_t *m = NULL;
    if (r->status == OK && r->code == 200)   /* NULL: it is no UTF-8 */
        m = json_pack("{s:s, s:s%}", "ask", q->ask, "body", r->body.len ? (const char *)r->body.ptr : "", r->body.len);
    snprintf(why, sizeof why, "the server answered %u%s", r->code, r->code >= 300 && r->code < 400 ? " (redirects are not followed)" : "");
    if (m != NULL && json_dumpb(m, NULL, 0, JSON_COMPACT) <= MSG_MAX) {
        answer(q->k, m);
    } else {
        say_why(q->k, q->ask, r->status != OK ? r->why : r->code != 200 ? why : m == NULL ? "what the server answered is no text" : "what the server answered is too long");
        json_decref(m);
    }
    free(q);
}

static void begin(struct key_fetch *k, const json_t *m)
{
    static const char *const fields[] = { "Accept: application/jwk-set+json, application/json", NULL };
    struct err err = { .text = "" };
    const char *ask = text(m, "ask"), *ca = text(m, "ca_file");
    struct question *q = strlen(ask) <= ASK_MAX && strcmp(text(m, "what"), "issuer-keys") == 0 ? calloc(1, sizeof *q) : NULL;
    if (q == NULL)
        return;
    q->k = k;
    memcpy(q->ask, ask, strlen(ask) + 1);
    struct fetch_order o = { .url = text(m, "url"), .ca_file = ca[0] ? ca : NULL, .fields = fields, .max_bytes = BODY_MAX, .connect_ms = CONNECT_MS, .total_ms = TOTAL_MS };
    enum status st = strncmp(o.url, "https://", 8) == 0 ? fetch_start(k->fetcher, &o, on_fetched, q, &err) : fail(&err, BAD_INPUT, "the URL is not https://");
    if (st == OK)
        return;
    say_why(k, ask, err.text);
    free(q);
}

void key_fetch_step(struct key_fetch *k)
{
    for (int n = 0; n < QUESTIONS_A_TURN && k->lane >= 0; n++) {
        struct err err;
        json_t *m = NULL;
        int fds[MSG_FDS_MAX];
        size_t count = 0;
        enum status st = msg_recv(k->lane, &m, fds, &count, &err);
        if (st == CLOSED)
            k->lane = -1;
        if (st == AGAIN || st == CLOSED)
            return;
        while (st == OK && count > 0)
            close(fds[--count]);
        if (st == OK)
            begin(k, m);
        json_decref(m);
    }
}

enum status key_fetch_new(int lane, struct fetcher *f, struct key_fetch **out, struct err *err)
{
    struct key_fetch *k = calloc(1, sizeof *k);
    if (k == NULL)
        return fail(err, NO_MEMORY, "key fetch");
    k->lane = lane;
    k->fetcher = f;
    *out = k;
    return OK;
}

void key_fetch_free(struct key_fetch *k)
{
    free(k);
}
