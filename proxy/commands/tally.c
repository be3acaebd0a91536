#include "proxy/commands/tally.h"

#include <stdlib.h>

static struct tally *add(struct tally **all, struct slice name, size_t number, const struct archive_exchange *x)
{
    struct tally *t = calloc(1, sizeof *t);
    if (t == NULL || (t->name = strndup((const char *)name.ptr, name.len)) == NULL) {
        free(t);
        return NULL;
    }
    t->first = x;
    t->number = number;
    HASH_ADD_KEYPTR(hh, *all, t->name, name.len, t);
    if (t->hh.tbl != NULL)
        return t;
    free(t->name);
    free(t);
    return NULL;
}

bool tally_count(struct tally **all, struct slice name, size_t number, const struct archive_exchange *x)
{
    struct tally *t = NULL;
    HASH_FIND(hh, *all, name.ptr, name.len, t);
    if (t == NULL && (t = add(all, name, number, x)) == NULL)
        return false;
    t->count++;
    t->request_bytes += x->request_bytes + x->request_omitted;
    t->response_bytes += x->response_bytes + x->response_omitted;
    if (x->started_ms > t->last_ms)
        t->last_ms = x->started_ms;
    return true;
}

void tally_free(struct tally **all)
{
    struct tally *t, *next;
    HASH_ITER(hh, *all, t, next) {
        HASH_DEL(*all, t);
        free(t->name);
        free(t);
    }
}
