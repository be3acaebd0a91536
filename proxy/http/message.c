#include "proxy/http/message.h"

#include "proxy/http/syntax.h"

enum { FIELDS_FIRST = 16 };

static enum status grow(struct fields *f, struct arena *a, size_t max)
{
    size_t cap = f->cap ? f->cap * 2 : FIELDS_FIRST;
    if (cap > max)
        cap = max;
    struct field *v = arena_alloc(a, cap * sizeof *v);
    if (v == NULL)
        return NO_MEMORY;
    if (f->count)
        memcpy(v, f->v, f->count * sizeof *v);
    f->v = v;
    f->cap = cap;
    return OK;
}

enum status fields_add(struct fields *f, struct arena *a, size_t max, struct slice name, struct slice value)
{
    if (f->count >= max)
        return FULL;
    if (f->count == f->cap) {
        enum status st = grow(f, a, max);
        if (st != OK)
            return st;
    }
    f->v[f->count++] = (struct field){ name, value };
    return OK;
}

struct slice fields_get(const struct fields *f, struct slice name)
{
    for (size_t i = 0; i < f->count; i++)
        if (slice_eq(f->v[i].name, name))
            return f->v[i].value;
    return (struct slice){ 0 };
}

size_t fields_count(const struct fields *f, struct slice name)
{
    size_t n = 0;
    for (size_t i = 0; i < f->count; i++)
        n += slice_eq(f->v[i].name, name);
    return n;
}

bool fields_has_token(const struct fields *f, struct slice name, struct slice token)
{
    for (size_t i = 0; i < f->count; i++) {
        struct slice rest = f->v[i].value, element;
        if (!slice_eq(f->v[i].name, name))
            continue;
        while (list_next(&rest, &element))
            if (slice_ieq(element, token))
                return true;
    }
    return false;
}
