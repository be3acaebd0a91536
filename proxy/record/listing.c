#include "proxy/record/listing.h"

#include "proxy/record/comment.h"

#include <stdlib.h>

static enum status add_member(struct listing *l, const struct tar_member *m)
{
    if (l->count == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        struct listing_member *v = realloc(l->v, cap * sizeof *v);
        if (v == NULL)
            return NO_MEMORY;
        l->v = v;
        l->cap = cap;
    }
    l->v[l->count++] = (struct listing_member){
        .start = m->start, .content = m->content, .content_len = m->content_len, .end = m->end, .number = m->number, .kind = m->kind, .sealed = m->sealed,
        .cover = m->kind == TAR_INDEX ? comment_cover(m->comment) : (struct index_cover){ 0 },
    };
    return OK;
}

enum status listing_walk(int fd, uint64_t size, struct listing *l, struct err *err)
{
    for (;;) {
        struct tar_member m = { 0 };
        enum status st = tar_read_member(fd, l->end, size, &m, err);
        if (st == CLOSED || (st == BAD_INPUT && tar_was_growing(fd, l->end, size)))
            return OK;
        if (st == OK)
            st = add_member(l, &m);
        free(m.comment);
        if (st != OK)
            return st == NO_MEMORY ? fail(err, st, "recording") : st;
        l->end = m.end;
    }
}

void listing_done(struct listing *l)
{
    free(l->v);
    *l = (struct listing){ 0 };
}

/* ---- sets ---- */

enum status listing_set_make(struct listing_set *s, unsigned max)
{
    *s = (struct listing_set){ calloc(max / 8 + 1, 1), max };
    return s->bits ? OK : NO_MEMORY;
}

void listing_set_add(struct listing_set *s, unsigned from, unsigned to)
{
    for (unsigned n = from; n > 0 && n <= to && n <= s->max; n++)
        s->bits[n / 8] |= (unsigned char)(1u << n % 8);
}

bool listing_set_has(const struct listing_set *s, unsigned number)
{
    return number <= s->max && (s->bits[number / 8] >> number % 8 & 1);
}

void listing_set_done(struct listing_set *s)
{
    free(s->bits);
    *s = (struct listing_set){ 0 };
}

/* ---- stretches ---- */

enum status listing_stretches(const struct listing *l, uint64_t size, struct stretch_of_file **out, size_t *count_out)
{
    struct stretch_of_file *v = calloc(l->count + 1, sizeof *v);
    struct listing_set covered = { 0 };
    size_t n = 0;
    if (v == NULL || listing_set_make(&covered, TAR_NUMBER_MAX) != OK) {
        free(v);
        return NO_MEMORY;
    }
    for (size_t i = 0; i < l->count; i++)
        if (l->v[i].kind == TAR_INDEX && l->v[i].cover.to < l->v[i].number)
            listing_set_add(&covered, l->v[i].cover.from, l->v[i].cover.to);
    for (size_t i = 0; i < l->count; i++) {
        const struct listing_member *m = &l->v[i];
        if (m->kind == TAR_RECORDS && listing_set_has(&covered, m->number))
            continue;
        if (n > 0 && v[n - 1].from + v[n - 1].len == m->start)
            v[n - 1].len += m->end - m->start;
        else
            v[n++] = (struct stretch_of_file){ m->start, m->end - m->start };
    }
    uint64_t rest = size > l->end ? size - l->end : 0;   /* its end; and if it has grown meanwhile, what a reader takes for that */
    v[n++] = (struct stretch_of_file){ l->end, rest < TAR_END ? rest : TAR_END };
    listing_set_done(&covered);
    *out = v;
    *count_out = n;
    return OK;
}
