#include "proxy/exchange/sources.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uthash.h>
#include <utlist.h>

/* A source without connections is kept for a moment: closing them must not give it a new allowance. */
enum { KEPT_MS = 2000, KEPT_MAX = 4096 };

struct source {
    unsigned char key[16];
    unsigned count;
    atomic_uint young, strangers;     /* changed under the mutex, read without */
    unsigned allowance;               /* handshakes it may begin now, in thousandths */
    int64_t counted_ms;               /* when the allowance was last brought up to date */
    int64_t left_ms;                  /* since when it has no connection */
    struct source *next, *prev;       /* those without, the oldest first */
    UT_hash_handle hh;
};

struct sources {
    pthread_mutex_t mutex;
    struct source *all;               /* bounded by the connections that are open, and KEPT_MAX */
    struct source *empty;
    struct source_counts n;
    unsigned kept;
};

struct sources *sources_new(void)
{
    struct sources *s = calloc(1, sizeof *s);
    if (s != NULL)
        pthread_mutex_init(&s->mutex, NULL);
    return s;
}

void sources_free(struct sources *s)
{
    struct source *e, *next;
    if (s == NULL)
        return;
    HASH_ITER(hh, s->all, e, next) {
        HASH_DEL(s->all, e);
        free(e);
    }
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

void source_key(const struct sockaddr_storage *sa, unsigned char key[16], char *text, unsigned text_max)
{
    memset(key, 0, 16);
    if (sa->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
        key[10] = key[11] = 0xff;
        memcpy(key + 12, &in->sin_addr, 4);
        inet_ntop(AF_INET, &in->sin_addr, text, text_max);
    } else if (sa->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;
        memcpy(key, &in6->sin6_addr, IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) ? 16 : 8);
        inet_ntop(AF_INET6, &in6->sin6_addr, text, text_max);
    } else {
        text[0] = 0;
    }
}

static void forget(struct sources *s, struct source *e)
{
    DL_DELETE(s->empty, e);
    s->kept--;
    HASH_DEL(s->all, e);
    free(e);
}

static struct source *find_or_make(struct sources *s, const unsigned char key[16], const struct limits *l, int64_t now_ms)
{
    struct source *e = NULL;
    while (s->empty != NULL && (s->kept > KEPT_MAX || now_ms - s->empty->left_ms > KEPT_MS))
        forget(s, s->empty);
    HASH_FIND(hh, s->all, key, 16, e);
    if (e != NULL)
        return e;
    e = calloc(1, sizeof *e);
    if (e == NULL)
        return NULL;
    memcpy(e->key, key, 16);
    e->allowance = 2000 * l->handshakes_per_second;
    e->counted_ms = e->left_ms = now_ms;
    HASH_ADD(hh, s->all, key, 16, e);
    DL_APPEND(s->empty, e);
    s->kept++;
    return e;
}

static bool may_begin(struct source *e, unsigned per_second, int64_t now_ms)
{
    int64_t passed = now_ms - e->counted_ms;
    if (passed > 0) {
        uint64_t more = (uint64_t)(passed < KEPT_MS ? passed : KEPT_MS) * per_second + e->allowance;
        e->allowance = more < 2000ull * per_second ? (unsigned)more : 2000 * per_second;
        e->counted_ms = now_ms;
    }
    if (e->allowance < 1000)
        return false;
    e->allowance -= 1000;
    return true;
}

struct source *sources_enter(struct sources *s, const unsigned char key[16], const struct limits *l, int64_t now_ms)
{
    pthread_mutex_lock(&s->mutex);
    struct source *e = find_or_make(s, key, l, now_ms);
    if (e != NULL && e->count < l->connections_per_source && e->young < l->handshakes_per_source && may_begin(e, l->handshakes_per_second, now_ms)) {
        if (e->count == 0) {
            DL_DELETE(s->empty, e);
            s->kept--;
        }
        e->count++;
        e->young++;
        e->strangers++;
        s->n.total++;
        s->n.strangers++;
        s->n.young++;
    } else {
        e = NULL;
    }
    pthread_mutex_unlock(&s->mutex);
    return e;
}

void sources_settle(struct sources *s, struct source *e)
{
    pthread_mutex_lock(&s->mutex);
    e->young--;
    s->n.young--;
    pthread_mutex_unlock(&s->mutex);
}

void sources_stranger(struct sources *s, struct source *e, bool is_one)
{
    pthread_mutex_lock(&s->mutex);
    e->strangers += is_one ? 1 : -1u;
    s->n.strangers += is_one ? 1 : -1u;
    pthread_mutex_unlock(&s->mutex);
}

void sources_leave(struct sources *s, struct source *e, bool young, bool stranger, int64_t now_ms)
{
    pthread_mutex_lock(&s->mutex);
    s->n.total--;
    s->n.young -= young;
    s->n.strangers -= stranger;
    e->young -= young;
    e->strangers -= stranger;
    if (--e->count == 0) {
        e->left_ms = now_ms;
        DL_APPEND(s->empty, e);
        s->kept++;
    }
    pthread_mutex_unlock(&s->mutex);
}

struct source_counts sources_count(struct sources *s)
{
    pthread_mutex_lock(&s->mutex);
    struct source_counts n = s->n;
    pthread_mutex_unlock(&s->mutex);
    return n;
}

unsigned source_strangers(const struct source *e)
{
    return atomic_load_explicit(&e->strangers, memory_order_relaxed);
}

unsigned source_young(const struct source *e)
{
    return atomic_load_explicit(&e->young, memory_order_relaxed);
}
