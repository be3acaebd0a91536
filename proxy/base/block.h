/* block: memory of a few sizes that comes and goes all the time: buffers of connections, arenas, exchanges. What is given back is kept for the next one of the same
 * size, the newest first, since that is the one still in the cache. malloc would return 64 KiB to the system each time, and the system would clear the pages anew.
 *
 * Each thread keeps its own, at most BLOCK_KEEP bytes of a size. With AddressSanitizer nothing is kept, so that a use after free is seen. */
#ifndef COUNTERSIGN_BLOCK_H
#define COUNTERSIGN_BLOCK_H

#include <stddef.h>

enum { BLOCK_MIN = 512, BLOCK_MAX = 64 * 1024, BLOCK_KEEP = 1024 * 1024 };

/* Not cleared, aligned for any type; block_free it with the same size. NULL: no memory. Powers of two from BLOCK_MIN to BLOCK_MAX are kept; other sizes are just malloc's. */
void *block_new(size_t size);
void block_free(void *p, size_t size);   /* NULL is fine */
/* Give back what this thread keeps: before it ends. */
void block_drop_kept(void);

#endif
