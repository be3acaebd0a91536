#include "proxy/exchange/sources.h"

#include <arpa/inet.h>
#include <netinet/in.h>
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
    struct source *all;               /* bounded by the connections that are open */
};

struct sources *sources_new(void)
{
    return calloc(1, sizeof(struct sources));
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

bool sources_enter(struct sources *s, const unsigned char key[16], unsigned max)
{
    struct source *e = NULL;
    HASH_FIND(hh, s->all, key, 16, e);
    if (e == NULL) {
        e = calloc(1, sizeof *e);
        if (e == NULL)
            return false;
        memcpy(e->key, key, 16);
        HASH_ADD(hh, s->all, key, 16, e);
    }
    if (e->count >= max)
        return false;
    e->count++;
    return true;
}

void sources_leave(struct sources *s, const unsigned char key[16])
{
    struct source *e = NULL;
    HASH_FIND(hh, s->all, key, 16, e);
    if (e == NULL || --e->count > 0)
        return;
    HASH_DEL(s->all, e);
    free(e);
}
