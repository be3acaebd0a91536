#include "proxy/exchange/crowd.h"

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/exchange/conn.h"
#include "proxy/exchange/sources.h"

#include <utlist.h>

/* LOOK_AT: so many of the oldest are compared. Who is honest and new is not among them, and a look costs a few microseconds however many there are. UNNAMED_MAX: of whom a
 * load balancer has not said yet whose they are, and those who are closing. */
enum { LOOK_AT = 64, A_HANDFUL = 8, STAY_MS = 1000, UNNAMED_MAX = 512, SAY_AGAIN_MS = 10000 };

/* From here on a newcomer displaces somebody. Of the rest up to the limit a worker lives that has no stranger but the newcomer, until the others have made room. */
static unsigned full(const struct limits *l)
{
    return l->connections - l->connections / 32;
}

static void displace(struct conn *victim, const char *limit)
{
    struct worker *w = victim->worker;
    if (w->loop.now_ms >= w->crowd_said_ms) {
        w->crowd_said_ms = w->loop.now_ms + SAY_AGAIN_MS;
        log_warn("connections.crowded", "limit", limit, "source", victim->address, "why",
                 "too many connections of which nobody known stands behind; the oldest of those who have most make room");
    }
    metric_add(&w->metrics.displaced, 1);
    conn_close(victim, false);
}

/* How much a source weighs by so many connections: a handful (a browser, an office behind one address) is nothing unusual. 0: not counted yet, so that its going makes no room. */
static unsigned weight(const struct conn *c, bool young)
{
    return c->source == NULL ? 0 : 1 + (young ? source_young(c->source) : source_strangers(c->source)) / A_HANDFUL;
}

/* The first of those that weigh most; a newcomer that weighs more than all of them; NULL: there is none but the newcomer. */
static struct conn *heaviest_stranger(const struct worker *w, struct conn *newcomer)
{
    struct conn *found = NULL;
    unsigned most = 0, looked = 0;
    for (struct conn *c = w->strangers; c != NULL && looked < LOOK_AT; c = c->stranger_next, looked++)
        if (c != newcomer && weight(c, false) > most) {
            found = c;
            most = weight(c, false);
        }
    return newcomer != NULL && found != NULL && weight(newcomer, false) > most ? newcomer : found;
}

static struct conn *heaviest_young(const struct worker *w, struct conn *newcomer)
{
    struct conn *found = NULL;
    unsigned most = 0, looked = 0;
    for (struct conn *c = w->young; c != NULL && looked < LOOK_AT; c = c->young_next, looked++)
        if (c != newcomer && weight(c, true) > most) {
            found = c;
            most = weight(c, true);
        }
    return found != NULL && weight(newcomer, true) > most ? newcomer : found;
}

bool crowd_count(struct conn *c, const struct sockaddr_storage *source)
{
    unsigned char key[16];
    source_key(source, key, c->address, sizeof c->address);
    c->source = sources_enter(c->worker->sources, key, &c->worker->snap->config->limits, clock_mono_ms());
    metric_add(&c->worker->metrics.refused, c->source == NULL);
    return c->source != NULL;
}

void crowd_join(struct conn *c)
{
    struct worker *w = c->worker;
    c->came_ms = w->loop.now_ms;
    c->young = c->stranger = true;
    DL_APPEND2(w->young, c, young_prev, young_next);
    DL_APPEND2(w->strangers, c, stranger_prev, stranger_next);
    w->stranger_count++;
}

void crowd_press(struct conn *c)
{
    struct worker *w = c->worker;
    const struct limits *l = &w->snap->config->limits;
    struct source_counts n = sources_count(w->sources);
    bool outgrown = w->conn_count > l->connections + UNNAMED_MAX;   /* those whom no source is known of yet are counted here only */
    struct conn *victim = n.young > l->handshakes ? heaviest_young(w, c) : NULL;
    if (victim == NULL && n.total > full(l) && c->source != NULL)
        victim = heaviest_stranger(w, c);
    if (victim != NULL) {
        displace(victim, n.young > l->handshakes ? "handshakes" : "connections");
    } else if (n.total > l->connections || outgrown) {
        metric_add(&w->metrics.refused, 1);
        conn_close(c, false);
    }
}

static void grown(struct conn *c)
{
    if (c->young)
        DL_DELETE2(c->worker->young, c, young_prev, young_next);
    c->young = false;
}

static void known(struct conn *c)
{
    if (!c->stranger)
        return;
    DL_DELETE2(c->worker->strangers, c, stranger_prev, stranger_next);
    c->worker->stranger_count--;
    c->stranger = false;
}

void crowd_settle(struct conn *c)
{
    grown(c);
    sources_settle(c->worker->sources, c->source);
}

void crowd_look_again(struct conn *c)
{
    bool stranger = c->share == NULL || c->person == NULL || c->cert != CERT_GOOD;
    if (c->state == CONN_GONE || stranger == c->stranger)
        return;
    if (stranger) {
        c->stranger = true;
        DL_APPEND2(c->worker->strangers, c, stranger_prev, stranger_next);
        c->worker->stranger_count++;
    } else {
        known(c);
    }
    sources_stranger(c->worker->sources, c->source, stranger);
}

void crowd_leave(struct conn *c)
{
    if (c->source != NULL)
        sources_leave(c->worker->sources, c->source, c->young, c->stranger, clock_mono_ms());
    c->source = NULL;
    grown(c);
    known(c);
}

/* Of so many too many this worker's part, by the strangers it has; not rounded up when that would make a newcomer go who is alone here. */
static unsigned part(const struct worker *w, const struct source_counts *n, unsigned most, bool up)
{
    if (n->total <= most || n->strangers == 0)
        return 0;
    return (unsigned)(((uint64_t)(n->total - most) * w->stranger_count + (up ? n->strangers - 1 : 0)) / n->strangers);
}

void crowd_tick(struct worker *w)
{
    const struct limits *l = &w->snap->config->limits;
    const struct source_counts n = sources_count(w->sources);
    unsigned now = part(w, &n, full(l), false), old = part(w, &n, l->connections - l->connections / 16, true);
    for (unsigned i = 0; i < now || i < old; i++) {
        struct conn *victim = heaviest_stranger(w, NULL);
        if (victim == NULL || (i >= now && w->loop.now_ms - victim->came_ms < STAY_MS))
            return;
        displace(victim, "connections");
    }
}
