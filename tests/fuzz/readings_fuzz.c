/* A query or a body; the first line is the Content-Type ("-" for a query). */
#include "proxy/http/readings.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = { data, size };
    size_t n = size ? slice_find(all, '\n') : 0;
    if (n == size)
        return 0;
    struct field type = { SLICE("content-type"), slice_of(data, n) };
    struct message m = { .method = SLICE("POST"), .fields = { &type, 1, 1 } };
    struct slice text = slice_from(all, n + 1), methods[8];
    struct readings r = { 0 };
    struct arena arena;
    arena_init(&arena, 4 << 20);
    enum status st = n == 1 && data[0] == '-' ? readings_query(text, &arena, &r) : readings_body(&m, text, &arena, &r);
    assert(st == OK || st == BAD_INPUT || st == FULL || st == NO_MEMORY);
    assert(st == OK || r.count == 0);
    size_t touched = 0;
    for (size_t i = 0; i < r.count; i++)
        for (size_t k = 0; k < r.v[i].name.len; k++)
            touched += r.v[i].name.ptr[k];
    assert(touched <= SIZE_MAX / 2);
    if (st == OK)
        assert(readings_methods(&m, &r, NULL, &arena, methods) <= 8);
    arena_done(&arena);
    return 0;
}
