/* A request head: what is accepted is written anew and then accepted again, saying the same. */
#include "proxy/http/forward.h"
#include "proxy/http/h1.h"
#include "proxy/http/target.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct h1_limits limits = { .fields = 64 };

static void check_length(struct slice head)
{
    size_t whole = 0, parts = 0;
    enum parse p = h1_head_length(head, 0, &whole);
    for (size_t cut = 0; cut <= head.len; cut++) {
        if (h1_head_length(slice_of(head.ptr, cut), 0, &parts) == PARSE_OK)
            break;
        enum parse q = h1_head_length(head, cut, &parts);
        assert(p != PARSE_OK || (q == PARSE_OK && parts == whole));
    }
}

static void write_and_read_again(const struct message *m, struct arena *arena)
{
    struct forward_request f = { .message = m, .host = m->authority, .client_address = SLICE("::1"), .public_host = m->authority };
    struct bbuf out;
    struct message again;
    struct refusal why;
    f.has_body = m->framing != BODY_NONE;
    f.chunked = m->framing == BODY_CHUNKED;
    f.body_len = m->content_length;
    bbuf_init(&out, 256 * 1024);
    enum status st = forward_write_request(&f, &out);
    assert(st == OK);
    const struct h1_limits more = { .fields = 128 };
    if (bbuf_len(&out) <= H1_HEAD_MAX) {
        enum parse p = h1_parse_request(bbuf_slice(&out), &more, arena, &again, &why);
        assert(p == PARSE_OK);
        assert(slice_eq(again.method, m->method) && slice_eq(again.raw_target, m->target) && slice_eq(again.authority, m->authority));
        assert(again.framing == m->framing && again.content_length == m->content_length);
        /* Connection is the gateway's own, for the TE that a client sent. */
        bool te = fields_has_token(&m->fields, SLICE("te"), SLICE("trailers"));
        assert(fields_count(&again.fields, SLICE("countersign-assertion")) == 0 && fields_count(&again.fields, SLICE("connection")) == te);
        assert(!te || slice_eq(fields_get(&again.fields, SLICE("connection")), SLICE("TE")));
    }
    bbuf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice head = { data, size };
    struct arena arena;
    struct message m;
    struct refusal why = { 0 };
    if (size < 2048)
        check_length(head);
    arena_init(&arena, 1 << 20);
    enum parse p = h1_parse_request(head, &limits, &arena, &m, &why);
    assert(p == PARSE_OK || (p == PARSE_BAD && why.status >= 400 && why.reason != NULL));
    if (p == PARSE_OK) {
        for (size_t i = 0; i < m.fields.count; i++)
            assert(m.fields.v[i].name.len > 0 && m.fields.v[i].value.ptr != NULL);
        if (forward_refuses(&m) == NULL && target_normalise(&m, 0, &arena, &why) == PARSE_OK)
            write_and_read_again(&m, &arena);
    }
    arena_done(&arena);
    return 0;
}
