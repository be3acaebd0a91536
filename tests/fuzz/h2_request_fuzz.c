/* The fields of an HTTP/2 request, as nghttp2 hands them over: what is accepted is written as HTTP/1.1 and read again, saying the same.
 * Input: a byte of flags (1: a body follows), then fields: a byte of flags (1: trailer, the rest the name's length), the name, a byte with the value's length, the value. */
#include "proxy/http/forward.h"
#include "proxy/http/h1.h"
#include "proxy/http/h2_request.h"
#include "proxy/http/target.h"

#include <assert.h>
#include <nghttp2/nghttp2.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice take(struct slice *in, size_t len)
{
    struct slice s = slice_of(in->ptr, len < in->len ? len : in->len);
    *in = slice_from(*in, s.len);
    return s;
}

static unsigned take_byte(struct slice *in)
{
    struct slice s = take(in, 1);
    return s.len ? s.ptr[0] : 0;
}

/* nghttp2 passes on no others (RFC 9113 s8.2.1). */
static bool passes(struct slice name, struct slice value)
{
    bool pseudo = name.len > 1 && name.ptr[0] == ':';
    struct slice bare = pseudo ? slice_from(name, 1) : name;
    return bare.len > 0 && nghttp2_check_header_name(bare.ptr, bare.len) && nghttp2_check_header_value_rfc9113(value.ptr, value.len);
}

static void write_and_read(const struct message *m, struct arena *arena)
{
    const struct h1_limits limits = { .fields = 256 };
    struct forward_request f = { .message = m, .host = m->authority, .client_address = SLICE("::1"), .public_host = m->authority };
    struct bbuf out;
    struct message again;
    struct refusal why;
    f.has_body = m->framing != BODY_NONE;
    f.chunked = f.has_body && !m->has_length;   /* a stream of unknown length */
    f.body_len = m->content_length;
    bbuf_init(&out, 256 * 1024);
    enum status st = forward_write_request(&f, &out);
    assert(st == OK);
    enum parse p = h1_parse_request(bbuf_slice(&out), &limits, arena, &again, &why);
    assert(p == PARSE_OK || why.status == 501);   /* a method that HTTP/1.1's parser does not know */
    if (p != PARSE_OK) {
        bbuf_done(&out);
        return;
    }
    assert(slice_eq(again.method, m->method) && slice_eq(again.raw_target, m->target) && slice_eq(again.authority, m->authority));
    assert(again.framing == (f.chunked ? BODY_CHUNKED : f.has_body && f.body_len > 0 ? BODY_LENGTH : BODY_NONE));
    assert(again.framing != BODY_LENGTH || again.content_length == m->content_length);
    bbuf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = { data, size };
    struct arena arena;
    struct h2_request r;
    struct message m;
    struct refusal why = { 0 };
    bool has_body = take_byte(&in) & 1;
    arena_init(&arena, 1 << 20);
    h2_request_init(&r, &arena, 64, 16 * 1024);
    while (in.len > 0) {
        unsigned head = take_byte(&in);
        struct slice name = take(&in, head >> 1), value = take(&in, take_byte(&in));
        if (passes(name, value)) {
            bool kept = head & 1 ? h2_request_trailer(&r, name, value) : h2_request_field(&r, name, value);
            assert(kept);
        }
    }
    enum parse p = h2_request_finish(&r, has_body, &m, &why);
    assert(p == PARSE_OK || (p == PARSE_BAD && why.status >= 400 && why.reason != NULL));
    if (p == PARSE_OK && forward_refuses(&m) == NULL && target_normalise(&m, 0, &arena, &why) == PARSE_OK)
        write_and_read(&m, &arena);
    arena_done(&arena);
    return 0;
}
