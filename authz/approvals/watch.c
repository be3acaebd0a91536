/* Locks by rule (setting `lock_when`): somebody who runs into refusals again and again is not working, or not who we think. What the cross-origin guard refuses is never
 * reported: a page of another site must not be able to have somebody locked. The counts live in memory; the lock is a leaf like any other. */
#include "authz/approvals/internal.h"

enum { SLOTS = 10 };

struct window {
    int64_t slot;                     /* the newest one: time / its length */
    unsigned count[SLOTS];
};

struct watch {
    char person[65];
    struct window refusals, exhausted;
    UT_hash_handle hh;
};

/* Count, in steps of a tenth of the window; the sum of the last ten. */
static unsigned count(struct window *w, int64_t now_ms, int64_t within_ms, unsigned n)
{
    int64_t slot = now_ms / (within_ms / SLOTS > 0 ? within_ms / SLOTS : 1);
    unsigned sum = 0;
    if (slot - w->slot >= SLOTS || slot < w->slot)
        memset(w->count, 0, sizeof w->count);
    for (int64_t s = w->slot + 1; s <= slot && s - w->slot < SLOTS; s++)
        w->count[s % SLOTS] = 0;
    w->slot = slot;
    w->count[slot % SLOTS] += n;
    for (size_t i = 0; i < SLOTS; i++)
        sum += w->count[i];
    return sum;
}

static struct watch *watch_of(struct service *s, const char *person)
{
    struct watch *w = NULL;
    HASH_FIND_STR(s->watched, person, w);
    if (w != NULL || strlen(person) >= sizeof w->person)
        return w;
    w = calloc(1, sizeof *w);         /* bounded by the people of the config */
    if (w == NULL)
        return NULL;
    memcpy(w->person, person, strlen(person) + 1);
    HASH_ADD_STR(s->watched, person, w);
    if (w->hh.tbl != NULL)
        return w;
    free(w);
    return NULL;
}

static void stop(struct service *s, const char *person, const char *rule)
{
    snprintf(s->to_lock[0], sizeof s->to_lock[0], "%s", person);
    snprintf(s->to_lock[1], sizeof s->to_lock[1], "%s", rule);
}

void watch_exhausted(struct service *s, const char *person, int64_t now_ms)
{
    const struct lock_when *l = &s->config->lock_when;
    struct watch *w = l->exhausted ? watch_of(s, person) : NULL;
    if (w != NULL && count(&w->exhausted, now_ms, l->exhausted_within_ms, 1) >= l->exhausted)
        stop(s, person, "exhausted");
}

enum status op_refused(struct op *o)
{
    const struct lock_when *l = &o->s->config->lock_when;
    struct watch *w = l->refusals ? watch_of(o->s, o->who.person->name) : NULL;
    if (w != NULL && count(&w->refusals, o->now_ms, l->refusals_within_ms, (unsigned)num(o->m, "count")) >= l->refusals)
        stop(o->s, o->who.person->name, "refusals");
    return OK;
}

static enum status lock_now(struct op *o, const char *person, const char *rule)
{
    char reason[160], by[80];
    const struct lock_when *l = &o->s->config->lock_when;
    bool refusals = strcmp(rule, "refusals") == 0;
    snprintf(reason, sizeof reason, "%u %s or more within %lld s; somebody has to look before this goes on", refusals ? l->refusals : l->exhausted,
             refusals ? "refused requests" : "requests past a budget", (long long)((refusals ? l->refusals_within_ms : l->exhausted_within_ms) / 1000));
    snprintf(by, sizeof by, "rule:%s", rule);
    return lock_on_person(o->s, person, NULL) ? OK : lock_make(o, "person", person, reason, by);
}

enum status watch_lock(struct service *s, struct err *err)
{
    struct op o;
    char person[72], rule[72];
    if (s->to_lock[0][0] == 0)
        return OK;
    memcpy(person, s->to_lock[0], sizeof person);
    memcpy(rule, s->to_lock[1], sizeof rule);
    s->to_lock[0][0] = 0;
    enum status st = own_begin(s, &o, err);
    if (st == OK)
        st = lock_now(&o, person, rule);
    log_warn("lock.by_rule", "person", person, "rule", rule);
    return own_end(&o, st, err);
}

void watch_free(struct service *s)
{
    struct watch *w, *next;
    HASH_ITER(hh, s->watched, w, next)
    {
        HASH_DEL(s->watched, w);
        free(w);
    }
}
