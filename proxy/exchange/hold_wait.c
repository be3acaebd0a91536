#include "proxy/exchange/hold_wait.h"

#include "proxy/base/clock.h"
#include "proxy/exchange/conn.h"
#include "proxy/exchange/shares.h"
#include "proxy/http/prefer.h"

#include <poll.h>
#include <stdio.h>
#include <utlist.h>

enum { ITEM_MAX = 32, FIELDS_MAX = 256 };

struct hold_wait {                    /* in the exchange's arena */
    struct hold_wait *next, *prev;    /* of the worker, while it waits */
    struct exchange *x;
    char item[ITEM_MAX + 1];
    unsigned seconds;                 /* as promised in Preference-Applied */
    int64_t until_ms;
    bool waits;
};

bool hold_wait_begin(struct exchange *x, const char *item)
{
    struct worker *w = x->worker;
    const struct limits *l = &x->snap->config->limits;
    uint32_t wished = 0, most = (uint32_t)(l->signoff_wait_ms / 1000);
    if (x->wait != NULL || !prefer_wait(&x->request.fields, &wished) || strlen(item) > ITEM_MAX)
        return false;
    wished = wished < most ? wished : most;
    if (wished == 0 || w->draining || x->conn->share == NULL || !share_wait_begin(x->conn->share, l->signoff_waits_per_person))
        return false;
    struct hold_wait *h = arena_zalloc(&x->arena, sizeof *h);
    if (h == NULL) {
        share_wait_end(x->conn->share);
        return false;
    }
    h->x = x;
    memcpy(h->item, item, strlen(item) + 1);
    h->seconds = wished;
    h->until_ms = clock_mono_ms() + (int64_t)wished * 1000;
    h->waits = true;
    x->wait = h;
    DL_APPEND(w->holding, h);
    x->front->took(x, 0);             /* HTTP/1.1: the body is read, and nothing else would show that the client leaves */
    return true;
}

const char *hold_wait_item(const struct exchange *x)
{
    return x->wait != NULL && x->wait->waits ? x->wait->item : NULL;
}

void hold_wait_end(struct exchange *x)
{
    struct hold_wait *h = x->wait;
    if (h == NULL || !h->waits)
        return;
    h->waits = false;
    DL_DELETE(x->worker->holding, h);
    share_wait_end(x->conn->share);
}

void hold_wait_applied(struct exchange *x)
{
    if (x->wait == NULL)
        return;
    struct slice value = arena_printf(&x->arena, "wait=%u", x->wait->seconds);
    if (value.ptr != NULL)
        (void)!fields_add(&x->response_fields, &x->arena, FIELDS_MAX, SLICE("preference-applied"), value);
}

/* Has the client closed its side? What it sent behind this request may keep us from reading, and so from seeing that. */
static bool client_left(const struct conn *c)
{
    struct pollfd p = { .fd = c->stream.fd, .events = POLLRDHUP };
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

static void ask_or_leave(struct hold_wait *h)
{
    if (client_left(h->x->conn))
        conn_close(h->x->conn, false);
    else if (h->x->call == 0)
        hold_ask(h->x);
}

/* Closing a connection ends all that wait on it, so nothing of the list is kept over a step. */
static struct hold_wait *next_of(struct worker *w, const char *item, unsigned skip)
{
    struct hold_wait *h = w->holding;
    for (; h != NULL; h = h->next)
        if ((item == NULL || strcmp(h->item, item) == 0) && skip-- == 0)
            return h;
    return NULL;
}

static void ask_all(struct worker *w, const char *item)
{
    unsigned skip = 0;
    for (struct hold_wait *h; (h = next_of(w, item, skip)) != NULL;) {
        ask_or_leave(h);
        skip += next_of(w, item, skip) == h;   /* still there: it asks */
    }
}

void hold_wait_event(struct worker *w, const char *item, const char *state)
{
    if (w->holding != NULL && item != NULL && state != NULL && strcmp(state, "pending") != 0)
        ask_all(w, item);
}

void hold_wait_again(struct worker *w)
{
    ask_all(w, NULL);
}

void hold_wait_tick(struct worker *w)
{
    unsigned skip = 0;
    for (struct hold_wait *h; (h = next_of(w, NULL, skip)) != NULL;) {
        bool over = h->x->call == 0 && (w->draining || clock_mono_ms() >= h->until_ms);
        if (client_left(h->x->conn))
            conn_close(h->x->conn, false);
        else if (over)
            hold_reply(h->x, h->item);
        else
            skip++;
    }
}
