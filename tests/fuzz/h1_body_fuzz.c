/* A chunked body: whole, byte by byte and in pieces it is the same body, or refused with the same data before. The first byte is the size of
 * the pieces. */
#include "proxy/http/h1.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    enum parse last;
    bool done;
    size_t data_len, used, trailers;
    unsigned char *data;
};

static void run(struct slice text, size_t step, struct outcome *o)
{
    struct h1_body b;
    struct arena arena;
    struct message m = { .framing = BODY_CHUNKED };
    arena_init(&arena, 1 << 20);
    h1_body_init(&b, &m, &arena, 16);
    *o = (struct outcome){ .last = PARSE_OK, .data = malloc(text.len + 1) };
    if (o->data == NULL)
        abort();
    for (size_t at = 0; at < text.len && o->last != PARSE_BAD && !b.done;) {
        struct slice piece = { text.ptr + at, step < text.len - at ? step : text.len - at };
        at += piece.len;
        do {
            struct slice part;
            struct refusal why;
            size_t used;
            o->last = h1_body_read(&b, piece, &used, &part, &why);
            if (o->last == PARSE_BAD)
                break;
            assert(used <= piece.len && part.len <= used && (o->last == PARSE_OK || used == piece.len));
            assert(o->last == PARSE_MORE || used > 0);
            memcpy(o->data + o->data_len, part.ptr, part.len);
            o->data_len += part.len;
            o->used += used;
            piece = slice_from(piece, used);
        } while (o->last == PARSE_OK && !b.done);
    }
    o->done = b.done;
    o->trailers = b.trailers.count;
    arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole, other;
    if (size < 1 || size > 65536)
        return 0;
    struct slice text = { data + 1, size - 1 };
    run(text, text.len ? text.len : 1, &whole);
    for (size_t step = 1; step <= (size_t)data[0] + 1; step += data[0] ? data[0] : 1) {
        run(text, step, &other);
        assert(whole.done == other.done && (whole.last == PARSE_BAD) == (other.last == PARSE_BAD) && whole.trailers == other.trailers);
        assert(whole.data_len == other.data_len && memcmp(whole.data, other.data, whole.data_len) == 0);
        assert(!whole.done || whole.used == other.used);
        free(other.data);
    }
    free(whole.data);
    return 0;
}
