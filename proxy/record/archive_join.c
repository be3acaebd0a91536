/* One session's recordings of several nodes as one archive; and a look at a few segments of one. */
#include "proxy/record/archive_read.h"

#include "proxy/record/listing.h"

#include <stdlib.h>

/* ---- several as one ---- */

static void mark(struct archive_exchange *x, const struct archive_part *p)
{
    x->node = p->node;
    x->leaf = x->first_segment < p->leaf_count ? p->leaves[x->first_segment] : 0;
}

/* The exchanges themselves stay where they are: only what points at them is gathered. */
static void take_exchanges(struct archive *a, const struct archive_part *p)
{
    struct archive *from = p->archive;
    for (size_t i = 0; i < from->row_count; i++)
        mark(&from->rows[i], p);
    for (struct archive_item *x = from->items; x != NULL; x = x->hh.next)
        mark(&x->pub, p);
    for (size_t i = 0; i < from->sorted_count; i++)
        a->sorted[a->sorted_count++] = from->sorted[i];
    a->unindexed += from->unindexed;
    a->bad_indexes += from->bad_indexes;
    a->untold += from->untold;
}

static enum status take_damage(struct archive *a, const struct archive_part *p)
{
    enum status st = OK;
    char *text = NULL;
    size_t count = p->archive != NULL ? p->archive->bad_count : 1;
    for (size_t i = 0; i < count && st == OK; i++) {
        const struct archive_bad *bad = p->archive != NULL ? &p->archive->bad[i] : NULL;
        if (asprintf(&text, "on %s: %s", p->node, bad != NULL ? bad->text : p->why_not) < 0)
            return NO_MEMORY;
        st = archive_add_bad(a, bad != NULL ? bad->number : 0, text);
        free(text);
    }
    return st;
}

enum status archive_join(const struct archive_part *parts, size_t count, struct archive **out, struct err *err)
{
    struct archive *a = calloc(1, sizeof *a);
    size_t most = 0;
    if (a == NULL || (a->parts = calloc(count + 1, sizeof *a->parts)) == NULL) {
        free(a);
        for (size_t i = 0; i < count; i++)
            archive_free(parts[i].archive);
        return fail(err, NO_MEMORY, "recordings");
    }
    for (size_t i = 0; i < count; i++)
        if (parts[i].archive != NULL) {
            a->parts[a->part_count++] = parts[i].archive;
            most += parts[i].archive->sorted_count;
        }
    a->sorted = malloc((most ? most : 1) * sizeof *a->sorted);
    enum status st = a->sorted != NULL ? OK : NO_MEMORY;
    for (size_t i = 0; i < count && st == OK; i++) {
        if (parts[i].archive != NULL)
            take_exchanges(a, &parts[i]);
        st = take_damage(a, &parts[i]);
    }
    if (st != OK) {
        archive_free(a);
        return fail(err, st, "recordings");
    }
    archive_sort(a);
    *out = a;
    return OK;
}

void archive_parts_free(struct archive *a)
{
    for (size_t i = 0; i < a->part_count; i++)
        archive_free(a->parts[i]);
    free(a->parts);
}

/* ---- a few segments ---- */

enum { SAMPLE_FIRST = 4, SAMPLE_LAST = 4 };

static enum status read_some(struct archive *a, const struct age_keys *keys, int fd, uint64_t size, struct err *err)
{
    struct listing l = { 0 };
    struct err why = { "" };
    size_t records = 0, at = 0;
    enum status st = listing_walk(fd, size, &l, &why);
    if (st == BAD_INPUT)              /* what stands before the damage is enough here */
        st = OK;
    if (st != OK)
        (void)fail(err, st, "%s", why.text);
    for (size_t i = 0; i < l.count; i++)
        records += l.v[i].kind == TAR_RECORDS;
    for (size_t i = 0; i < l.count && st == OK; i++) {
        const struct listing_member *m = &l.v[i];
        const struct tar_member whole = { .start = m->start, .content = m->content, .end = m->end, .content_len = m->content_len, .number = m->number, .sealed = m->sealed };
        if (m->kind != TAR_RECORDS)
            continue;
        if (at < SAMPLE_FIRST || at + SAMPLE_LAST >= records)
            st = archive_read_segment(a, keys, fd, &whole, err);
        at++;
    }
    listing_done(&l);
    return st;
}

enum status archive_sample(const char *path, const struct age_keys *keys, struct archive **out, struct err *err)
{
    return archive_open_by(path, keys, read_some, out, err);
}
