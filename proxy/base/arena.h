/* arena: memory that goes all at once. What lives exactly as long as an exchange comes from its arena.
 * Bounded at birth: past max_bytes every call answers NULL, so a peer cannot make one grow. */
#ifndef COUNTERSIGN_ARENA_H
#define COUNTERSIGN_ARENA_H

#include "proxy/base/slice.h"

struct arena_block;
struct arena {
    struct arena_block *head;
    size_t used, max;      /* bytes asked of malloc so far, and at most */
};

/* An empty arena; takes no memory until the first call. */
void arena_init(struct arena *a, size_t max_bytes);
void arena_done(struct arena *a);
/* len bytes, aligned for any type, not cleared. NULL when full or out of memory. */
void *arena_alloc(struct arena *a, size_t len);
/* The same, cleared. */
void *arena_zalloc(struct arena *a, size_t len);
/* A copy of s, with a NUL after it. ptr is NULL on failure. */
struct slice arena_copy(struct arena *a, struct slice s);
/* printf into the arena; ptr is NULL on failure. */
struct slice arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
