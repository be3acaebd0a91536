/* What a recorded page and its requests make a replay read: HTML up to where our script goes, titles, queries, page hosts, event streams, compressed WebSocket messages. */
#include "proxy/replay/content.h"
#include "proxy/replay/inject.h"
#include "proxy/replay/messages.h"
#include "proxy/replay/query_match.h"
#include "proxy/replay/title.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void inflate(struct slice all)
{
    size_t half = all.len / 2;
    struct archive_ws_message m[2] = { { .from = SLICE("tool"), .opcode = SLICE("text"), .data = slice_of(all.ptr, half), .length = half, .compressed = true },
                                       { .from = SLICE("tool"), .opcode = SLICE("text"), .data = slice_from(all, half), .length = all.len - half, .compressed = true } };
    struct archive_exchange x = { .messages = m, .message_count = 2 };
    struct messages texts;
    if (messages_init(&texts, &x) != OK)
        return;
    assert(texts.v[0].data.len <= MESSAGE_TEXT_MAX && texts.v[1].data.len <= MESSAGE_TEXT_MAX);
    messages_done(&texts);
}

/* The input is cut at its first line: a query and another, a host, and the rest. */
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct slice all = slice_of(data, size), first = slice_of(data, slice_find(all, '\n')), rest = slice_from(all, first.len < size ? first.len + 1 : size);
    struct recorded r = { .count = 99 };
    struct content c = { .recorded = &r, .token = "0123456789abcdef0123456789abcdef", .port = 4712 };
    size_t index = 0;
    bool scripts = false;
    assert(inject_position(all) <= size + 1);
    assert(query_compare(all, all) == QUERY_SAME || size == 0);
    (void)query_compare(first, rest);
    if (content_read_host(&c, first, &index, &scripts))
        assert(index < r.count);
    (void)messages_count_events(all);
    struct archive_exchange x = { .response_body = all, .response_head = first };
    json_decref(page_title(&x));
    (void)recorded_field(all, SLICE("content-type"));
    assert(utf8_whole(all).len <= size);
    inflate(all);
    return 0;
}
