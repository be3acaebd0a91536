#include "proxy/base/bbuf.h"

#include "proxy/base/block.h"

#include <assert.h>

void bbuf_init(struct bbuf *b, size_t max_bytes)
{
    *b = (struct bbuf){ .max = max_bytes };
}

void bbuf_done(struct bbuf *b)
{
    block_free(b->data, b->cap);
    *b = (struct bbuf){ .max = b->max };
}

void bbuf_idle(struct bbuf *b)
{
    if (b->start == b->end)
        bbuf_done(b);
}

unsigned char *bbuf_reserve(struct bbuf *b, size_t want)
{
    assert(want <= bbuf_room(b));
    if (b->cap - b->end >= want && b->data != NULL)
        return b->data + b->end;
    size_t len = bbuf_len(b);
    if (b->cap - len >= want && b->data != NULL) {     /* enough once moved to the front */
        memmove(b->data, b->data + b->start, len);
    } else {
        size_t cap = b->cap ? b->cap : 512;
        while (cap < len + want)
            cap *= 2;
        if (cap > b->max)
            cap = b->max;
        unsigned char *data = block_new(cap ? cap : 1);
        if (data == NULL)
            return NULL;
        if (len)
            memcpy(data, b->data + b->start, len);
        block_free(b->data, b->cap);
        b->data = data;
        b->cap = cap;
    }
    b->start = 0;
    b->end = len;
    return b->data + len;
}

enum status bbuf_put(struct bbuf *b, struct slice s)
{
    if (s.len == 0)
        return OK;
    if (s.len > bbuf_room(b))
        return FULL;
    unsigned char *p = bbuf_reserve(b, s.len);
    if (p == NULL)
        return NO_MEMORY;
    memcpy(p, s.ptr, s.len);
    b->end += s.len;
    return OK;
}

void bbuf_drop(struct bbuf *b, size_t n)
{
    assert(n <= bbuf_len(b));
    b->start += n;
    if (b->start == b->end)
        b->start = b->end = 0;
}
