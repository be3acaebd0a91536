/* The exchanges of a session that are not over: found by their number, and used again. */
#include "proxy/record/session.h"

#include <stdlib.h>

static void side_reset(struct record_side *side)
{
    *side = (struct record_side){ .v = side->v, .cap = side->cap };
}

/* Only the room it has stays. */
static void reset(struct record_exchange *x)
{
    for (unsigned i = 0; i < 2; i++) {
        side_reset(&x->side[i]);
        side_reset(&x->message[i].side);
        x->message[i] = (struct record_message){ .side = x->message[i].side };
    }
    x->messages = 0;
    x->sizes_only = x->action_changed = false;
    x->action[0] = 0;
    free(x->box);
    free(x->names);
    free(x->secrets);
    x->box = x->names = x->secrets = NULL;
    x->method[0] = 0;
    x->first_segment = 0;
    x->offset = x->removed = 0;
    json_decref(x->told);
    x->told = NULL;
    EVP_MD_CTX_free(x->sha256);
    x->sha256 = NULL;
    json_decref(x->notes);
    x->notes = NULL;
    x->next = x->prev = x->same = NULL;
}

struct record_exchange *record_exchange_new(struct record_pool *pool)
{
    struct record_exchange *x = pool ? pool->spare : NULL;
    if (x == NULL)
        return calloc(1, sizeof *x);
    pool->spare = x->next;
    pool->count--;
    x->next = NULL;
    return x;
}

/* What a large body left behind is given back. */
static bool worth_keeping(const struct record_exchange *x)
{
    enum { PIECES_MAX = 64 };
    return x->side[0].cap + x->side[1].cap + x->message[0].side.cap + x->message[1].side.cap <= PIECES_MAX;
}

void record_exchange_free(struct record_pool *pool, struct record_exchange *x)
{
    reset(x);
    if (pool != NULL && pool->count < POOL_MAX && worth_keeping(x)) {
        x->next = pool->spare;
        pool->spare = x;
        pool->count++;
        return;
    }
    for (unsigned i = 0; i < 2; i++) {
        free(x->side[i].v);
        free(x->message[i].side.v);
    }
    free(x->uri);
    free(x);
}

void record_pool_done(struct record_pool *pool)
{
    while (pool->spare != NULL) {
        struct record_exchange *x = pool->spare;
        pool->spare = x->next;
        record_exchange_free(NULL, x);
    }
    pool->count = 0;
}

void record_exchange_ids(struct record_exchange *x)
{
    warc_id(x->ring, x->id, RECORD_ID_REQUEST, 1, x->record_id[0]);
    warc_id(x->ring, x->id, RECORD_ID_RESPONSE, 1, x->record_id[1]);
}

enum status record_exchange_uri(struct record_exchange *x, struct slice host, struct slice target)
{
    static const char scheme[] = "https://";
    if (target.len == 0 || target.ptr[0] != '/')
        target = SLICE("/");
    if (target.len > RECORD_URI_MAX)
        target.len = RECORD_URI_MAX;
    size_t need = sizeof scheme + host.len + target.len;
    if (need > x->uri_cap) {
        char *uri = realloc(x->uri, need < 256 ? 256 : need);
        if (uri == NULL)
            return NO_MEMORY;
        x->uri = uri;
        x->uri_cap = need < 256 ? 256 : need;
    }
    char *p = x->uri + sizeof scheme - 1;
    memcpy(x->uri, scheme, sizeof scheme - 1);
    if (host.len)
        memcpy(p, host.ptr, host.len);
    memcpy(p + host.len, target.ptr, target.len);
    p[host.len + target.len] = 0;
    x->path_at = sizeof scheme - 1 + host.len;
    x->uri_len = x->path_at + target.len;
    return OK;
}

void record_exchange_action(struct record_exchange *x, struct slice name)
{
    size_t n = name.len < sizeof x->action ? name.len : sizeof x->action - 1;
    if (n)
        memcpy(x->action, name.ptr, n);
    x->action[n] = 0;
}

/* Numbers count up in each ring, so their low bits spread them evenly. */
static struct record_exchange **bucket_of(struct session *s, uint64_t id)
{
    return &s->bucket[id % SESSION_BUCKETS];
}

struct record_exchange *session_find(const struct session *s, uint64_t id)
{
    struct record_exchange *x = s->bucket[id % SESSION_BUCKETS];
    while (x != NULL && x->id != id)
        x = x->same;
    return x;
}

void session_add(struct session *s, struct record_exchange *x)
{
    struct record_exchange **bucket = bucket_of(s, x->id);
    x->same = *bucket;
    *bucket = x;
    x->next = s->exchanges;
    x->prev = NULL;
    if (x->next != NULL)
        x->next->prev = x;
    s->exchanges = x;
}

void session_drop(struct session *s, const struct session_context *c, struct record_exchange *x)
{
    struct record_exchange **at = bucket_of(s, x->id);
    while (*at != x)
        at = &(*at)->same;
    *at = x->same;
    if (x->prev != NULL)
        x->prev->next = x->next;
    else
        s->exchanges = x->next;
    if (x->next != NULL)
        x->next->prev = x->prev;
    record_exchange_free(c ? c->pool : NULL, x);
}
