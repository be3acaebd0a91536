/* Where the DOM recorder's script goes in any bytes: the same place for every split, and nothing else of the document changes. */
#include "proxy/dom/insert.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static const struct slice mark = SLICE_INIT("<script></script>");

struct text {
    unsigned char *v;
    size_t len, max;
};

static void put(void *to, struct slice s)
{
    struct text *t = to;
    assert(s.len > 0 && s.len <= t->max - t->len);
    memcpy(t->v + t->len, s.ptr, s.len);
    t->len += s.len;
}

static struct insert run(struct slice in, size_t step, struct text *out)
{
    struct insert i;
    struct insert_out to = { put, out };
    out->len = 0;
    insert_init(&i, mark);
    for (size_t at = 0; at < in.len; at += step) {
        size_t n = in.len - at < step ? in.len - at : step, before = out->len;
        unsigned char *piece = malloc(n);   /* of exactly this length, so that reading past it is seen */
        if (piece == NULL)
            abort();
        memcpy(piece, in.ptr + at, n);
        insert_feed(&i, slice_of(piece, n), &to);
        assert(out->len - before <= n + mark.len + INSERT_HELD_MAX);
        free(piece);
    }
    insert_end(&i, &to);
    return i;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct slice in = slice_of(data, size);
    struct text one = { malloc(size + mark.len), 0, size + mark.len }, two = { malloc(size + mark.len), 0, size + mark.len };
    size_t step = size > 0 ? data[0] % 7 + 1 : 1;
    if (one.v == NULL || two.v == NULL)
        abort();
    struct insert a = run(in, size + 1, &one), b = run(in, step, &two);
    assert(a.outcome == b.outcome && a.outcome != INSERT_LOOKING && a.at == b.at && a.why == b.why);
    assert(slice_eq(slice_of(one.v, one.len), slice_of(two.v, two.len)));
    if (a.outcome == INSERT_DONE) {
        assert(a.at <= size && one.len == size + mark.len);
        assert(slice_eq(slice_of(one.v, (size_t)a.at), slice_of(data, (size_t)a.at)) && memcmp(one.v + a.at, mark.ptr, mark.len) == 0 && slice_eq(slice_of(one.v + a.at + mark.len, size - (size_t)a.at), slice_from(in, (size_t)a.at)));
    } else {
        assert(slice_eq(slice_of(one.v, one.len), in));
    }
    free(one.v);
    free(two.v);
    return 0;
}
