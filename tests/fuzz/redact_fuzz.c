/* Bodies of any bytes through each redactor: the same for every split, and never longer than promised. The first byte chooses the grammar (from 128 on text), the second the piece. */
#include "proxy/record/redact_body.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sink {
    unsigned char *data;
    size_t len, cap;
};

static void put(void *to, struct slice s)
{
    struct sink *k = to;
    if (s.len > k->cap - k->len)
        abort();
    memcpy(k->data + k->len, s.ptr, s.len);
    k->len += s.len;
}

static size_t redact(enum body_kind kind, const struct secret_names *names, struct slice body, size_t piece, struct sink *k)
{
    struct body_redactor *r = malloc(sizeof *r);
    struct redact_out out = { put, k };
    size_t at = 0;
    k->len = 0;
    if (r == NULL)
        return 0;
    body_redactor_init(r, kind, names, SLICE("b"));
    while (at < body.len) {
        size_t n = body.len - at < piece ? body.len - at : piece, taken, before = k->len;
        enum status st = body_redactor_feed(r, slice_of(body.ptr + at, n), &out, &taken);
        if (k->len - before > 3 * n + BODY_REDACT_SLACK)
            abort();
        at += taken;
        if (st != OK)
            break;
    }
    free(r);
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char password[] = "password", p[] = "p";
    char *const words[] = { password, p };
    struct secret_names names;
    struct arena arena;
    static const enum body_kind kinds[] = { BODY_FORM, BODY_JSON, BODY_MULTIPART };
    arena_init(&arena, 4096);
    if (size < 2 || secret_names_copy(words, 2, &arena, &names) != OK) {
        arena_done(&arena);
        return 0;
    }
    struct slice body = slice_of(data + 2, size - 2);
    struct sink a = { .cap = 12 * body.len + 10 * BODY_REDACT_SLACK }, b = { .cap = a.cap };
    a.data = malloc(a.cap);
    b.data = malloc(b.cap);
    if (a.data != NULL && b.data != NULL && body.len > 0) {
        enum body_kind kind = data[0] >= 128 ? BODY_TEXT : kinds[data[0] % 3];
        size_t x = redact(kind, &names, body, body.len, &a), y = redact(kind, &names, body, (size_t)data[1] % 17 + 1, &b);
        if (x != y || a.len != b.len || memcmp(a.data, b.data, a.len) != 0)
            abort();
    }
    free(a.data);
    free(b.data);
    arena_done(&arena);
    return 0;
}
