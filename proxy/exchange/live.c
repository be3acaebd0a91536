#include "proxy/exchange/live.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

enum { TEXT_MAX = 128, ADDRESS_TEXT = 46 };

struct live_session {
    char grant_id[GRANT_ID_MAX + 1], tool[TOOL_NAME_MAX + 1];
    char person[TEXT_MAX], identity[TEXT_MAX], action[TEXT_MAX], source[ADDRESS_TEXT], issuer[TEXT_MAX];
    int64_t since_ms, last_ms, second;
    uint64_t requests, received, sent;
    uint32_t each_second[LIVE_RATE_S];   /* requests in that second, by second modulo */
    unsigned active, websockets;
    UT_hash_handle hh;
};

struct slot {
    pthread_mutex_t mutex;
    struct live_session *all;
    unsigned count;
};

struct live {
    _Atomic int64_t looked_ms;
    unsigned workers;
    struct slot slots[];
};

struct live *live_new(unsigned workers)
{
    struct live *l = calloc(1, sizeof *l + workers * sizeof l->slots[0]);
    if (l == NULL)
        return NULL;
    l->workers = workers;
    for (unsigned i = 0; i < workers; i++)
        pthread_mutex_init(&l->slots[i].mutex, NULL);
    return l;
}

static void drop(struct live_session **all, struct live_session *s)
{
    HASH_DEL(*all, s);
    free(s);
}

void live_free(struct live *l)
{
    struct live_session *s, *next;
    for (unsigned i = 0; l != NULL && i < l->workers; i++) {
        HASH_ITER(hh, l->slots[i].all, s, next)
            drop(&l->slots[i].all, s);
        pthread_mutex_destroy(&l->slots[i].mutex);
    }
    free(l);
}

static void forget_quiet(struct slot *slot, int64_t now_ms)
{
    struct live_session *s, *next;
    HASH_ITER(hh, slot->all, s, next)
        if (s->active == 0 && now_ms - s->last_ms > LIVE_QUIET_MS) {
            drop(&slot->all, s);
            slot->count--;
        }
}

/* No printf: two of these come with every request. */
static void copy(char *out, size_t max, const char *text)
{
    size_t len = text ? strnlen(text, max - 1) : 0;
    if (len > 0)
        memcpy(out, text, len);
    out[len] = 0;
}

static struct live_session *find_or_make(struct slot *slot, const struct live_what *w, int64_t now_ms)
{
    struct live_session *s = NULL;
    HASH_FIND_STR(slot->all, w->grant_id, s);
    if (s != NULL)
        return s;
    if (slot->count >= LIVE_SESSIONS_MAX)
        forget_quiet(slot, now_ms);
    if (slot->count >= LIVE_SESSIONS_MAX || (s = calloc(1, sizeof *s)) == NULL)
        return NULL;
    copy(s->grant_id, sizeof s->grant_id, w->grant_id);
    copy(s->tool, sizeof s->tool, w->tool);
    copy(s->person, sizeof s->person, w->person);
    copy(s->identity, sizeof s->identity, w->identity);
    copy(s->issuer, sizeof s->issuer, w->issuer);
    s->since_ms = now_ms;
    HASH_ADD_STR(slot->all, grant_id, s);
    slot->count++;
    return s;
}

/* The window moves on to this second: what it leaves behind counts no more. */
static void move_window(struct live_session *s, int64_t now_ms)
{
    int64_t second = now_ms / 1000;
    if (second - s->second >= LIVE_RATE_S || second < s->second)
        memset(s->each_second, 0, sizeof s->each_second);
    else
        while (s->second < second)
            s->each_second[++s->second % LIVE_RATE_S] = 0;
    s->second = second;
}

struct live_session *live_begin(struct live *l, unsigned worker, const struct live_what *what, int64_t now_ms)
{
    struct slot *slot = &l->slots[worker];
    pthread_mutex_lock(&slot->mutex);
    struct live_session *s = find_or_make(slot, what, now_ms);
    if (s != NULL) {
        move_window(s, now_ms);
        s->each_second[s->second % LIVE_RATE_S]++;
        s->requests++;
        s->active++;
        s->websockets += what->websocket;
        s->last_ms = now_ms;
        copy(s->action, sizeof s->action, what->action);
        copy(s->source, sizeof s->source, what->source);
    }
    pthread_mutex_unlock(&slot->mutex);
    return s;
}

void live_add(struct live *l, unsigned worker, struct live_session *s, uint64_t received, uint64_t sent, int64_t now_ms)
{
    if (s == NULL || (received == 0 && sent == 0))
        return;
    pthread_mutex_lock(&l->slots[worker].mutex);
    s->received += received;
    s->sent += sent;
    s->last_ms = now_ms;
    pthread_mutex_unlock(&l->slots[worker].mutex);
}

void live_end(struct live *l, unsigned worker, struct live_session *s, bool websocket, uint64_t received, uint64_t sent, int64_t now_ms)
{
    if (s == NULL)
        return;
    pthread_mutex_lock(&l->slots[worker].mutex);
    s->active--;
    s->received += received;
    s->sent += sent;
    s->websockets -= websocket;
    s->last_ms = now_ms;
    pthread_mutex_unlock(&l->slots[worker].mutex);
}

bool live_watched(const struct live *l, int64_t now_ms)
{
    return now_ms - atomic_load_explicit(&l->looked_ms, memory_order_relaxed) < LIVE_WATCHED_MS;
}

/* ---- looking ---- */

static void add_up(struct live_session *sum, struct live_session *s, int64_t now_ms)
{
    move_window(s, now_ms);
    if (s->since_ms < sum->since_ms)
        sum->since_ms = s->since_ms;
    if (s->last_ms > sum->last_ms) {  /* what it did last, whichever worker saw it */
        sum->last_ms = s->last_ms;
        memcpy(sum->action, s->action, sizeof sum->action);
        memcpy(sum->source, s->source, sizeof sum->source);
    }
    for (unsigned i = 0; i < LIVE_RATE_S; i++)
        sum->each_second[i] += s->each_second[i];
    sum->requests += s->requests;
    sum->received += s->received;
    sum->sent += s->sent;
    sum->active += s->active;
    sum->websockets += s->websockets;
}

/* All workers' counts, added up by grant. false: no memory. */
static bool collect(struct live *l, int64_t now_ms, struct live_session **sums)
{
    bool whole = true;
    for (unsigned i = 0; i < l->workers; i++) {
        struct live_session *s, *next, *sum;
        pthread_mutex_lock(&l->slots[i].mutex);
        forget_quiet(&l->slots[i], now_ms);
        HASH_ITER(hh, l->slots[i].all, s, next) {
            HASH_FIND_STR(*sums, s->grant_id, sum);
            if (sum == NULL && (sum = calloc(1, sizeof *sum)) != NULL) {
                memcpy(sum->grant_id, s->grant_id, sizeof sum->grant_id);
                memcpy(sum->tool, s->tool, sizeof sum->tool);
                memcpy(sum->person, s->person, sizeof sum->person);
                memcpy(sum->identity, s->identity, sizeof sum->identity);
                memcpy(sum->issuer, s->issuer, sizeof sum->issuer);
                sum->since_ms = s->since_ms;
                HASH_ADD_STR(*sums, grant_id, sum);
            }
            if (sum != NULL)
                add_up(sum, s, now_ms);
            whole &= sum != NULL;
        }
        pthread_mutex_unlock(&l->slots[i].mutex);
    }
    return whole;
}

static double rate_of(const struct live_session *s)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < LIVE_RATE_S; i++)
        sum += s->each_second[i];
    return (double)sum / LIVE_RATE_S;
}

static int busier(const struct live_session *a, const struct live_session *b)
{
    double ra = rate_of(a), rb = rate_of(b);
    if (ra > rb || ra < rb)
        return ra > rb ? -1 : 1;
    return a->last_ms != b->last_ms ? (a->last_ms > b->last_ms ? -1 : 1) : strcmp(a->grant_id, b->grant_id);
}

static json_t *shown(const struct live_session *s)
{
    json_t *v = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:f,s:I,s:I,s:i,s:i}", "session", s->grant_id, "person", s->person, "identity", s->identity, "tool", s->tool,
                          "action", s->action, "source", s->source, "since_ms", (json_int_t)s->since_ms, "last_ms", (json_int_t)s->last_ms, "requests",
                          (json_int_t)s->requests, "requests_per_s", rate_of(s), "received", (json_int_t)s->received, "sent", (json_int_t)s->sent, "active",
                          (int)s->active, "websockets", (int)s->websockets);
    if (s->issuer[0] != 0) {
        json_object_set_new(v, "basis", json_string("external"));
        json_object_set_new(v, "issuer", json_string(s->issuer));
    }
    return v;
}

json_t *live_read(struct live *l, bool (*is_live)(const void *arg, const char *grant_id), const void *arg, int64_t now_ms)
{
    struct live_session *sums = NULL, *s, *next;
    atomic_store_explicit(&l->looked_ms, now_ms, memory_order_relaxed);
    json_t *out = collect(l, now_ms, &sums) ? json_array() : NULL;
    HASH_SORT(sums, busier);
    HASH_ITER(hh, sums, s, next) {
        if (out != NULL && is_live(arg, s->grant_id))
            json_array_append_new(out, shown(s));
        drop(&sums, s);
    }
    return out;
}
