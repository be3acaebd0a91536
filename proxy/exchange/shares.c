#include "proxy/exchange/shares.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

enum { NAME_KEPT = 65 };

struct share {
    char person[NAME_KEPT];
    unsigned connections;             /* under the mutex */
    atomic_uint exchanges, waits, dom_refused;
    _Atomic int64_t dom_paid_us;      /* by when what the DOM recorder sent is paid for, at its rate; monotonic */
    atomic_size_t bytes;
    UT_hash_handle hh;
};

struct shares {
    pthread_mutex_t mutex;
    struct share *all;                /* bounded by the people who are listed */
};

struct shares *shares_new(void)
{
    struct shares *s = calloc(1, sizeof *s);
    if (s != NULL)
        pthread_mutex_init(&s->mutex, NULL);
    return s;
}

void shares_free(struct shares *s)
{
    struct share *e, *next;
    if (s == NULL)
        return;
    HASH_ITER(hh, s->all, e, next) {
        HASH_DEL(s->all, e);
        free(e);
    }
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

static struct share *find_or_make(struct shares *s, const char *person)
{
    struct share *e = NULL;
    size_t len = strlen(person);
    if (len >= NAME_KEPT)
        return NULL;
    HASH_FIND(hh, s->all, person, len, e);
    if (e != NULL || (e = calloc(1, sizeof *e)) == NULL)
        return e;
    memcpy(e->person, person, len + 1);
    HASH_ADD_KEYPTR(hh, s->all, e->person, len, e);
    return e;
}

struct share *shares_enter(struct shares *s, const char *person, unsigned max)
{
    pthread_mutex_lock(&s->mutex);
    struct share *e = find_or_make(s, person);
    if (e != NULL && e->connections < max)
        e->connections++;
    else
        e = NULL;                     /* max is at least 1, so an entry without connections is never left */
    pthread_mutex_unlock(&s->mutex);
    return e;
}

void shares_leave(struct shares *s, struct share *e)
{
    if (e == NULL)
        return;
    pthread_mutex_lock(&s->mutex);
    if (--e->connections == 0 && atomic_load(&e->dom_paid_us) == 0) {   /* else it stays: closing connections gives no new allowance */
        HASH_DEL(s->all, e);
        free(e);
    }
    pthread_mutex_unlock(&s->mutex);
}

bool share_begin(struct share *e, unsigned max)
{
    if (atomic_fetch_add_explicit(&e->exchanges, 1, memory_order_relaxed) < max)
        return true;
    share_end(e);
    return false;
}

void share_end(struct share *e)
{
    atomic_fetch_sub_explicit(&e->exchanges, 1, memory_order_relaxed);
}

bool share_wait_begin(struct share *e, unsigned max)
{
    if (atomic_fetch_add_explicit(&e->waits, 1, memory_order_relaxed) < max)
        return true;
    share_wait_end(e);
    return false;
}

void share_wait_end(struct share *e)
{
    atomic_fetch_sub_explicit(&e->waits, 1, memory_order_relaxed);
}

void share_dom_refuse(struct share *e, unsigned n)
{
    atomic_fetch_add_explicit(&e->dom_refused, n, memory_order_relaxed);
}

/* The generic cell rate algorithm: one number says how far ahead of its rate somebody is. */
bool share_dom_take(struct share *e, size_t n, size_t rate, size_t burst, int64_t now_ms)
{
    int64_t now = now_ms * 1000, cost = (int64_t)((double)n * 1e6 / (double)rate), ahead = (int64_t)((double)burst * 1e6 / (double)rate);
    int64_t paid = atomic_load_explicit(&e->dom_paid_us, memory_order_relaxed), next;
    do {
        next = (paid > now ? paid : now) + cost;
        if (next - now > ahead) {
            share_dom_refuse(e, 1);
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&e->dom_paid_us, &paid, next, memory_order_relaxed, memory_order_relaxed));
    return true;
}

unsigned share_dom_refused(struct share *e)
{
    return atomic_exchange_explicit(&e->dom_refused, 0, memory_order_relaxed);
}

bool share_take(struct share *e, size_t n, size_t max)
{
    size_t had = atomic_fetch_add_explicit(&e->bytes, n, memory_order_relaxed);
    if (n <= max && had <= max - n)
        return true;
    share_give(e, n);
    return false;
}

void share_give(struct share *e, size_t n)
{
    atomic_fetch_sub_explicit(&e->bytes, n, memory_order_relaxed);
}
