#include "proxy/base/block.h"

#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define KEEPS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEPS 0
#endif
#endif
#ifndef KEEPS
#define KEEPS 1
#endif

enum { SIZES = 8 };                   /* 512 << 0 to 512 << 7 */
_Static_assert(BLOCK_MIN << (SIZES - 1) == BLOCK_MAX, "a list for each size");

struct kept {
    struct kept *next;
};

static _Thread_local struct {
    struct kept *first;
    size_t bytes;
} lists[SIZES];

/* The list of that size, or -1. */
static int list_of(size_t size)
{
    if (!KEEPS || size < BLOCK_MIN || size > BLOCK_MAX || (size & (size - 1)) != 0)
        return -1;
    return __builtin_ctzll(size) - __builtin_ctzll(BLOCK_MIN);
}

void *block_new(size_t size)
{
    int i = list_of(size);
    if (i < 0 || lists[i].first == NULL)
        return malloc(size);
    struct kept *k = lists[i].first;
    lists[i].first = k->next;
    lists[i].bytes -= size;
    return k;
}

void block_free(void *p, size_t size)
{
    int i = list_of(size);
    if (p == NULL || i < 0 || lists[i].bytes + size > BLOCK_KEEP) {
        free(p);
        return;
    }
    struct kept *k = p;
    k->next = lists[i].first;
    lists[i].first = k;
    lists[i].bytes += size;
}

void block_drop_kept(void)
{
    for (int i = 0; i < SIZES; i++) {
        for (struct kept *k = lists[i].first, *next; k != NULL; k = next) {
            next = k->next;
            free(k);
        }
        lists[i].first = NULL;
        lists[i].bytes = 0;
    }
}
