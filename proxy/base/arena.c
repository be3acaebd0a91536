#include "proxy/base/arena.h"

#include "proxy/base/block.h"

#include <stdarg.h>
#include <stdalign.h>
#include <stdio.h>

struct arena_block {
    struct arena_block *next;
    size_t used, cap;
    alignas(max_align_t) unsigned char data[];
};

enum { ARENA_BLOCK = 4096 - sizeof(struct arena_block) };

void arena_init(struct arena *a, size_t max_bytes)
{
    *a = (struct arena){ .max = max_bytes };
}

void arena_done(struct arena *a)
{
    while (a->head != NULL) {
        struct arena_block *b = a->head;
        a->head = b->next;
        block_free(b, sizeof *b + b->cap);
    }
    a->used = 0;
}

void *arena_alloc(struct arena *a, size_t len)
{
    if (len > a->max)
        return NULL;
    len = (len + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    struct arena_block *b = a->head;
    if (b == NULL || b->cap - b->used < len) {
        size_t cap = len > ARENA_BLOCK ? len : ARENA_BLOCK;
        if (cap > a->max - a->used && len <= a->max - a->used)
            cap = len;
        if (cap > a->max - a->used)
            return NULL;
        b = block_new(sizeof *b + cap);
        if (b == NULL)
            return NULL;
        *b = (struct arena_block){ .next = a->head, .cap = cap };
        a->head = b;
        a->used += cap;
    }
    void *p = b->data + b->used;
    b->used += len;
    return p;
}

void *arena_zalloc(struct arena *a, size_t len)
{
    void *p = arena_alloc(a, len);
    if (p != NULL)
        memset(p, 0, len);
    return p;
}

struct slice arena_copy(struct arena *a, struct slice s)
{
    unsigned char *p = arena_alloc(a, s.len + 1);
    if (p == NULL)
        return (struct slice){ 0 };
    if (s.len)
        memcpy(p, s.ptr, s.len);
    p[s.len] = 0;
    return slice_of(p, s.len);
}

struct slice arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (p == NULL)
        return (struct slice){ 0 };
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return slice_of(p, (size_t)n);
}
