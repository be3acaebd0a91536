/* A response head; the first byte chooses the request's method. What is accepted is written for the client and accepted again. */
#include "proxy/http/forward.h"
#include "proxy/http/h1.h"
#include "proxy/http/h1_write.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct h1_limits limits = { .fields = 64 };

static void write_and_read_again(const struct message *m, struct slice method, struct arena *arena)
{
    struct forward_response f = { .message = m, .upstream_origin = SLICE("http://127.0.0.1:8000"), .public_origin = SLICE("https://t.example") };
    struct fields kept;
    struct bbuf out;
    struct message again;
    struct refusal why;
    enum status st = forward_response_fields(&f, arena, &kept);
    assert(st == OK);
    struct h1_response_head head = { .status = m->status, .fields = &kept, .framing = m->framing, .has_length = m->has_length,
                                     .content_length = m->content_length, .close = !m->keep_alive };
    bbuf_init(&out, 256 * 1024);
    st = h1_write_response_head(&head, &out);
    assert(st == OK);
    const struct h1_limits more = { .fields = 128 };
    if (bbuf_len(&out) <= H1_HEAD_MAX) {
        enum parse p = h1_parse_response(bbuf_slice(&out), &more, method, arena, &again, &why);
        assert(p == PARSE_OK && again.status == m->status && again.framing == m->framing);
        assert(again.has_length == m->has_length && again.content_length == m->content_length);
    }
    bbuf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct message m;
    struct refusal why = { 0 };
    if (size == 0)
        return 0;
    struct slice head = { data + 1, size - 1 }, method = data[0] == '!' ? SLICE("HEAD") : SLICE("GET");
    arena_init(&arena, 1 << 20);
    enum parse p = h1_parse_response(head, &limits, method, &arena, &m, &why);
    assert(p == PARSE_OK || (p == PARSE_BAD && why.status == 502 && why.reason != NULL));
    if (p == PARSE_OK)
        write_and_read_again(&m, method, &arena);
    arena_done(&arena);
    return 0;
}
