/* Locks by rule (setting `lock_when`): somebody who runs into refusals again and again is not working, or not who we think. What the cross-origin guard refuses is never
 * reported: a page of another site must not be able to have somebody locked. The counts live in memory; the lock is a leaf like any other. */
#include "authz/approvals/internal.h"

enum { SLOTS = 10 };

struct window {
    int64_t slot;                     /* the newest one: time / its length */
    unsigned count[SLOTS];
};

struct watch {
    char subject[256];                /* a person, or one identity */
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

/* Whom a rule counts and stops: all of a person, or the identity at hand (setting `lock_when.stops`). */
static const char *subject_of(const struct service *s, const struct caller *who)
{
    return s->config->lock_when.identity ? who->identity : who->person->name;
}

static struct watch *watch_of(struct service *s, const char *subject)
{
    struct watch *w = NULL;
    HASH_FIND_STR(s->watched, subject, w);
    if (w != NULL || strlen(subject) >= sizeof w->subject)
        return w;
    w = calloc(1, sizeof *w);         /* bounded by the people of the config, and their identities */
    if (w == NULL)
        return NULL;
    memcpy(w->subject, subject, strlen(subject) + 1);
    HASH_ADD_STR(s->watched, subject, w);
    if (w->hh.tbl != NULL)
        return w;
    free(w);
    return NULL;
}

static void stop(struct service *s, const struct watch *w, const char *rule)
{
    memcpy(s->to_lock.value, w->subject, sizeof w->subject);
    snprintf(s->to_lock.rule, sizeof s->to_lock.rule, "%s", rule);
    s->to_lock.identity = s->config->lock_when.identity;
}

void watch_exhausted(struct service *s, const struct caller *who, int64_t now_ms)
{
    const struct lock_when *l = &s->config->lock_when;
    struct watch *w = l->exhausted ? watch_of(s, subject_of(s, who)) : NULL;
    if (w != NULL && count(&w->exhausted, now_ms, l->exhausted_within_ms, 1) >= l->exhausted)
        stop(s, w, "exhausted");
}

enum status op_refused(struct op *o)
{
    const struct lock_when *l = &o->s->config->lock_when;
    struct watch *w = l->refusals ? watch_of(o->s, subject_of(o->s, &o->who)) : NULL;
    if (w != NULL && count(&w->refusals, o->now_ms, l->refusals_within_ms, (unsigned)num(o->m, "count")) >= l->refusals)
        stop(o->s, w, "refusals");
    return OK;
}

static enum status lock_now(struct op *o, const struct to_lock *whom)
{
    char reason[160], by[80];
    const struct lock_when *l = &o->s->config->lock_when;
    const char *rule = whom->rule, *value = whom->value;
    bool refusals = strcmp(rule, "refusals") == 0;
    snprintf(reason, sizeof reason, "%u %s or more within %lld s; somebody has to look before this goes on", refusals ? l->refusals : l->exhausted,
             refusals ? "refused requests" : "requests past a budget", (long long)((refusals ? l->refusals_within_ms : l->exhausted_within_ms) / 1000));
    snprintf(by, sizeof by, "rule:%s", rule);
    const struct lock_subject on = { .person = whom->identity ? NULL : value, .identity = whom->identity ? value : NULL };
    return lock_on_hand(o->s, &on) ? OK : lock_make(o, whom->identity ? "identity" : "person", value, reason, by);
}

enum status watch_lock(struct service *s, struct err *err)
{
    struct op o;
    const struct to_lock whom = s->to_lock;
    if (whom.value[0] == 0)
        return OK;
    s->to_lock.value[0] = 0;
    enum status st = own_begin(s, &o, err);
    if (st == OK)
        st = lock_now(&o, &whom);
    log_warn("lock.by_rule", whom.identity ? "identity" : "person", whom.value, "rule", whom.rule);
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
