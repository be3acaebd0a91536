/* Frames, whole and in pieces of another size: the same messages, or refused for the same reason after the same ones. The first byte: bit 0 client, bit 1 compression agreed,
 * the rest the size of the pieces. */
#include "proxy/http/ws_frame.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    const char *reason;
    size_t used, len;
    unsigned char *said;              /* opcode and what, then payload; the pieces of a message joined */
};

static void say(struct outcome *o, const struct ws_piece *p, const struct ws_reader *r)
{
    bool control = p->opcode >= WS_CLOSE;
    assert(p->opcode == WS_TEXT || p->opcode == WS_BINARY || (control && p->opcode <= WS_PONG));
    assert(!control || (p->first && p->last && p->payload.len <= WS_CONTROL_MAX && !p->compressed && ws_between_frames(r)));
    assert(p->masked == r->client && (!p->compressed || r->deflate));
    if (p->first)
        o->said[o->len++] = (unsigned char)(p->opcode | (p->compressed ? 0x40 : 0));
    ws_unmask(o->said + o->len, p->payload, p->masked ? p->mask : (const unsigned char[4]){ 0 }, p->mask_at);
    o->len += p->payload.len;
    if (p->last)
        o->said[o->len++] = 0x80;
}

static void run(struct slice text, size_t step, unsigned how, struct outcome *o)
{
    struct ws_reader r = { .client = how & 1, .deflate = how & 2 };
    size_t there = 0;
    *o = (struct outcome){ .said = malloc(3 * text.len + 1) };
    if (o->said == NULL)
        abort();
    while (o->reason == NULL) {
        struct ws_reader next = r;
        struct ws_piece p;
        struct slice in = slice_of(text.ptr + o->used, there - o->used);
        enum parse got = ws_read(&next, in, &p, &o->reason);
        if (got == PARSE_OK) {
            assert(p.used > 0 && p.used <= in.len && p.payload.len <= p.used);
            assert(p.payload.len == 0 || (p.payload.ptr >= in.ptr && p.payload.ptr + p.payload.len <= in.ptr + p.used));
            r = next;
            say(o, &p, &r);
            o->used += p.used;
            continue;
        }
        assert(got == PARSE_BAD ? o->reason != NULL : in.len < WS_HEAD_MAX + WS_CONTROL_MAX);
        if (there == text.len)
            break;
        there = text.len - there < step ? text.len : there + step;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole, other;
    if (size < 1 || size > 65536)
        return 0;
    struct slice text = { data + 1, size - 1 };
    run(text, text.len ? text.len : 1, data[0], &whole);
    run(text, (size_t)(data[0] >> 2) + 1, data[0], &other);
    assert(whole.reason == other.reason && whole.len == other.len && whole.used == other.used && memcmp(whole.said, other.said, whole.len) == 0);
    free(whole.said);
    free(other.said);
    return 0;
}
