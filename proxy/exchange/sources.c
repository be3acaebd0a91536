#include "proxy/exchange/sources.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uthash.h>

struct source {
    unsigned char key[16];
    unsigned count;
    UT_hash_handle hh;
};

struct sources {
    pthread_mutex_t mutex;
    struct source *all;               /* bounded by the connections that are open */
    unsigned total;
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

static struct source *find_or_make(struct sources *s, const unsigned char key[16])
{
    struct source *e = NULL;
    HASH_FIND(hh, s->all, key, 16, e);
    if (e != NULL)
        return e;
    e = calloc(1, sizeof *e);
    if (e == NULL)
        return NULL;
    memcpy(e->key, key, 16);
    HASH_ADD(hh, s->all, key, 16, e);
    return e;
}

bool sources_enter(struct sources *s, const unsigned char key[16], unsigned max_source, unsigned max_total)
{
    bool may = false;
    pthread_mutex_lock(&s->mutex);
    struct source *e = s->total < max_total ? find_or_make(s, key) : NULL;
    if (e != NULL && e->count < max_source) {
        e->count++;
        s->total++;
        may = true;
    } else if (e != NULL && e->count == 0) {
        HASH_DEL(s->all, e);
        free(e);
    }
    pthread_mutex_unlock(&s->mutex);
    return may;
}

void sources_leave(struct sources *s, const unsigned char key[16])
{
    struct source *e = NULL;
    pthread_mutex_lock(&s->mutex);
    HASH_FIND(hh, s->all, key, 16, e);
    if (e != NULL) {
        s->total--;
        if (--e->count == 0) {
            HASH_DEL(s->all, e);
            free(e);
        }
    }
    pthread_mutex_unlock(&s->mutex);
}
