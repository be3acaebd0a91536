#include "proxy/exchange/h2_memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, FRAME_LEAST = 16 * 1024, FRAME_MOST = 5 * PAGE, SLOT = FRAME_MOST + PAGE, SLOTS = 64, WARM = 16 };

/* A thread's slabs, each of SLOTS slots; and the slots that nobody uses: the last WARM of them were used before and still have their pages. */
static _Thread_local struct {
    unsigned char **slabs, **spare;
    size_t slab_count, spare_count;
} own;

/* Where a page is something else than 4 KiB, what is kept apart would be more than what is saved. */
static bool may_use(void)
{
    static _Thread_local int known;
    if (known == 0)
        known = sysconf(_SC_PAGESIZE) == PAGE ? 1 : -1;
    return known > 0;
}

static bool more_slots(void)
{
    unsigned char **slabs = realloc(own.slabs, (own.slab_count + 1) * sizeof *slabs);
    if (slabs != NULL)
        own.slabs = slabs;
    unsigned char **spare = realloc(own.spare, (own.slab_count + 1) * SLOTS * sizeof *spare);   /* room for all to come back */
    if (spare != NULL)
        own.spare = spare;
    if (slabs == NULL || spare == NULL)
        return false;
    unsigned char *slab = mmap(NULL, (size_t)SLOTS * SLOT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slab == MAP_FAILED)
        return false;
    own.slabs[own.slab_count++] = slab;
    for (size_t i = SLOTS; i-- > 0;)
        own.spare[own.spare_count++] = slab + i * SLOT;
    return true;
}

static bool take_slot(struct h2_memory *m)
{
    if (m->pages == NULL && may_use() && (own.spare_count > 0 || more_slots()))
        m->pages = own.spare[--own.spare_count];
    return m->pages != NULL;
}

static void give_slot(struct h2_memory *m)
{
    if (own.spare_count >= WARM)
        madvise(own.spare[own.spare_count - WARM], SLOT, MADV_DONTNEED);
    own.spare[own.spare_count++] = m->pages;
    m->pages = NULL;
}

static unsigned char *table_of(const struct h2_memory *m)
{
    return m->pages + FRAME_MOST;
}

static void *take(size_t size, void *user)
{
    struct h2_memory *m = user;
    if (size >= FRAME_LEAST && size <= FRAME_MOST && !m->frame && take_slot(m)) {
        m->frame = true;
        return m->pages;
    }
    return malloc(size);
}

static void *take_zeroed(size_t count, size_t size, void *user)
{
    struct h2_memory *m = user;
    if (size > 0 && count == PAGE / size && count * size == PAGE && !m->table && take_slot(m)) {
        m->table = true;
        return memset(table_of(m), 0, PAGE);
    }
    return calloc(count, size);
}

static void give(void *p, void *user)
{
    struct h2_memory *m = user;
    if (p == NULL || m->pages == NULL || (p != m->pages && p != table_of(m))) {
        free(p);
        return;
    }
    *(p == m->pages ? &m->frame : &m->table) = false;
    if (!m->frame && !m->table)
        give_slot(m);
}

static void *take_again(void *p, size_t size, void *user)
{
    struct h2_memory *m = user;
    if (p == NULL)                    /* as nghttp2 makes its buffers */
        return take(size, m);
    if (m->pages == NULL || (p != m->pages && p != table_of(m)))
        return realloc(p, size);
    size_t had = p == m->pages ? FRAME_MOST : PAGE;
    void *fresh = malloc(size);
    if (fresh == NULL)
        return NULL;
    memcpy(fresh, p, had < size ? had : size);
    give(p, m);
    return fresh;
}

nghttp2_mem h2_memory_of(struct h2_memory *m)
{
    return (nghttp2_mem){ m, take, give, take_zeroed, take_again };
}

static bool is_zero(const unsigned char *page)
{
    return page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0;
}

void h2_memory_rest(struct h2_memory *m)
{
    if (m->pages == NULL)
        return;
    bool table = !m->table || is_zero(table_of(m));   /* without a stream it is, and then it may go: it comes back as it was */
    madvise(m->pages, table ? SLOT : FRAME_MOST, MADV_DONTNEED);
}

void h2_memory_done(void)
{
    for (size_t i = 0; i < own.slab_count; i++)
        munmap(own.slabs[i], (size_t)SLOTS * SLOT);
    free(own.slabs);
    free(own.spare);
    own.slabs = own.spare = NULL;
    own.slab_count = own.spare_count = 0;
}
