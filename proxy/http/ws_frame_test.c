/* Frames: what is taken, what is refused, and that it does not hang on how the bytes were cut. */
#include "proxy/http/ws_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#define M "\x01\x02\x03\x04"          /* a mask */

static const struct row {
    const char *name;
    bool client, deflate;
    struct slice in;
    enum parse last;                  /* OK: all of it was taken; MORE: some is left; BAD */
    const char *says;                 /* opcode letter and payload of each message, '/' between them; for BAD a part of the reason */
} rows[] = {
    { "text", false, false, SLICE_INIT("\x81\x05hello"), PARSE_OK, "t:hello/" },
    { "binary, masked", true, false, SLICE_INIT("\x82\x83" M "\x60\x60\x60"), PARSE_OK, "b:abc/" },
    { "empty", false, false, SLICE_INIT("\x81\x00"), PARSE_OK, "t:/" },
    { "empty, masked", true, false, SLICE_INIT("\x81\x80" M), PARSE_OK, "t:/" },
    { "in three frames", false, false, SLICE_INIT("\x01\x01" "a\x00\x01" "b\x80\x01" "c"), PARSE_OK, "t:abc/" },
    { "frames of nothing", false, false, SLICE_INIT("\x01\x00\x00\x00\x00\x00\x80\x00"), PARSE_OK, "t:/" },
    { "a ping between", false, false, SLICE_INIT("\x01\x01" "a\x89\x01" "p\x80\x01" "c"), PARSE_OK, "9:p/t:ac/" },
    { "two messages", false, false, SLICE_INIT("\x81\x01" "a\x82\x01" "b"), PARSE_OK, "t:a/b:b/" },
    { "close without a code", false, false, SLICE_INIT("\x88\x00"), PARSE_OK, "8:/" },
    { "close with a code", false, false, SLICE_INIT("\x88\x02\x03\xe8"), PARSE_OK, "8:\x03\xe8/" },
    { "close of an application", false, false, SLICE_INIT("\x88\x03\x13\x87x"), PARSE_OK, "8:\x13\x87x/" },
    { "compressed", false, true, SLICE_INIT("\xc1\x01z"), PARSE_OK, "T:z/" },
    { "compressed, in two", false, true, SLICE_INIT("\x41\x01y\x80\x01z"), PARSE_OK, "T:yz/" },
    { "not compressed where it may be", false, true, SLICE_INIT("\x81\x01z"), PARSE_OK, "t:z/" },
    { "half a head", false, false, SLICE_INIT("\x81"), PARSE_MORE, "" },
    { "half a length", false, false, SLICE_INIT("\x82\x7e\x01"), PARSE_MORE, "" },
    { "half a mask", true, false, SLICE_INIT("\x82\x85" "\x01\x02"), PARSE_MORE, "" },
    { "half a payload", false, false, SLICE_INIT("\x81\x05hel"), PARSE_OK, "t:hel" },
    { "half a ping", false, false, SLICE_INIT("\x89\x05hel"), PARSE_MORE, "" },
    { "the largest length", false, false, SLICE_INIT("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff" "a"), PARSE_OK, "b:a" },

    { "a client without a mask", true, false, SLICE_INIT("\x81\x05hello"), PARSE_BAD, "without a mask" },
    { "a client without a mask, second frame", true, false, SLICE_INIT("\x81\x80" M "\x81\x00"), PARSE_BAD, "without a mask" },
    { "a tool with a mask", false, false, SLICE_INIT("\x81\x85" M "hello"), PARSE_BAD, "with a mask" },
    { "a tool's ping with a mask", false, false, SLICE_INIT("\x89\x80" M), PARSE_BAD, "with a mask" },
    { "RSV1", false, false, SLICE_INIT("\xc1\x01z"), PARSE_BAD, "compressed" },
    { "RSV2", false, true, SLICE_INIT("\xa1\x01z"), PARSE_BAD, "reserved" },
    { "RSV3", false, true, SLICE_INIT("\x91\x01z"), PARSE_BAD, "reserved" },
    { "RSV1 and RSV3", false, true, SLICE_INIT("\xd1\x01z"), PARSE_BAD, "reserved" },
    { "RSV1 on a continuation", false, true, SLICE_INIT("\x01\x01z\xc0\x01z"), PARSE_BAD, "compressed" },
    { "RSV1 on a ping", false, true, SLICE_INIT("\xc9\x01z"), PARSE_BAD, "compressed" },
    { "RSV1 on a close", false, true, SLICE_INIT("\xc8\x00"), PARSE_BAD, "compressed" },
    { "opcode 3", false, false, SLICE_INIT("\x83\x00"), PARSE_BAD, "unknown" },
    { "opcode 7", false, false, SLICE_INIT("\x87\x00"), PARSE_BAD, "unknown" },
    { "opcode 11", false, false, SLICE_INIT("\x8b\x00"), PARSE_BAD, "unknown" },
    { "opcode 15", false, false, SLICE_INIT("\x8f\x00"), PARSE_BAD, "unknown" },
    { "opcode 3, told by one byte", false, false, SLICE_INIT("\x83"), PARSE_BAD, "unknown" },
    { "a continuation first", false, false, SLICE_INIT("\x80\x01z"), PARSE_BAD, "nothing" },
    { "a continuation after the end", false, false, SLICE_INIT("\x81\x01z\x80\x01z"), PARSE_BAD, "nothing" },
    { "a continuation after a ping", false, false, SLICE_INIT("\x89\x00\x80\x01z"), PARSE_BAD, "nothing" },
    { "text inside text", false, false, SLICE_INIT("\x01\x01z\x81\x01z"), PARSE_BAD, "inside" },
    { "binary inside text", false, false, SLICE_INIT("\x01\x01z\x02\x01z"), PARSE_BAD, "inside" },
    { "a ping in two", false, false, SLICE_INIT("\x09\x01z"), PARSE_BAD, "fragmented" },
    { "a close in two", false, false, SLICE_INIT("\x08\x00"), PARSE_BAD, "fragmented" },
    { "a ping of 126", false, false, SLICE_INIT("\x89\x7e\x00\x7e"), PARSE_BAD, "125" },
    { "a ping of 0 in eight bytes", false, false, SLICE_INIT("\x89\x7f\x00\x00\x00\x00\x00\x00\x00\x00"), PARSE_BAD, "125" },
    { "125 in two bytes", false, false, SLICE_INIT("\x82\x7e\x00\x7d"), PARSE_BAD, "more bytes" },
    { "0 in two bytes", false, false, SLICE_INIT("\x82\x7e\x00\x00"), PARSE_BAD, "more bytes" },
    { "65535 in eight bytes", false, false, SLICE_INIT("\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff"), PARSE_BAD, "more bytes" },
    { "2^63", false, false, SLICE_INIT("\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00"), PARSE_BAD, "2^63" },
    { "2^64-1", false, false, SLICE_INIT("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"), PARSE_BAD, "2^63" },
    { "close of one byte", false, false, SLICE_INIT("\x88\x01\x03"), PARSE_BAD, "half" },
    { "close 0", false, false, SLICE_INIT("\x88\x02\x00\x00"), PARSE_BAD, "code" },
    { "close 999", false, false, SLICE_INIT("\x88\x02\x03\xe7"), PARSE_BAD, "code" },
    { "close 1004", false, false, SLICE_INIT("\x88\x02\x03\xec"), PARSE_BAD, "code" },
    { "close 1005", false, false, SLICE_INIT("\x88\x02\x03\xed"), PARSE_BAD, "code" },
    { "close 1006", false, false, SLICE_INIT("\x88\x02\x03\xee"), PARSE_BAD, "code" },
    { "close 1015", false, false, SLICE_INIT("\x88\x02\x03\xf7"), PARSE_BAD, "code" },
    { "close 2999", false, false, SLICE_INIT("\x88\x02\x0b\xb7"), PARSE_BAD, "code" },
    { "close 5000", false, false, SLICE_INIT("\x88\x02\x13\x88"), PARSE_BAD, "code" },
    { "close 1005, masked", true, false, SLICE_INIT("\x88\x82" M "\x02\xef"), PARSE_BAD, "code" },
};

/* What was said: data messages are joined at the end of the text, control frames stand before. */
struct heard {
    unsigned char control[256], data[256];
    size_t control_len, data_len;
};

static void hear(struct heard *h, const struct ws_piece *p)
{
    bool control = p->opcode >= WS_CLOSE;
    unsigned char *to = control ? h->control : h->data, plain[128];
    size_t *n = control ? &h->control_len : &h->data_len;
    assert_true(p->payload.len <= sizeof plain && p->opcode != WS_CONTINUATION);
    ws_unmask(plain, p->payload, p->masked ? p->mask : (const unsigned char[4]){ 0 }, p->mask_at);
    if (p->first) {
        to[(*n)++] = (unsigned char)(control ? '0' + p->opcode : p->opcode == WS_TEXT ? (p->compressed ? 'T' : 't') : p->compressed ? 'B' : 'b');
        to[(*n)++] = ':';
    }
    memcpy(to + *n, plain, p->payload.len);
    *n += p->payload.len;
    if (p->last)
        to[(*n)++] = '/';
}

/* In pieces of `step` bytes. */
static enum parse run(const struct row *r, size_t step, struct heard *h, const char **reason)
{
    struct ws_reader reader = { .client = r->client, .deflate = r->deflate };
    size_t at = 0, there = 0;
    *h = (struct heard){ 0 };
    while (there < r->in.len || at < there) {
        struct ws_piece p;
        if (there < r->in.len)
            there = r->in.len - there < step ? r->in.len : there + step;
        struct slice in = slice_of(r->in.ptr + at, there - at);
        enum parse got = ws_read(&reader, in, &p, reason);
        if (got == PARSE_BAD)
            return got;
        if (got == PARSE_MORE && there == r->in.len)
            return got;
        if (got == PARSE_OK) {
            assert_true(p.used <= in.len && p.used > 0);
            hear(h, &p);
            at += p.used;
        }
    }
    return PARSE_OK;
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t step = 1; step <= rows[i].in.len; step++) {
            struct heard h;
            const char *reason = "";
            enum parse got = run(&rows[i], step, &h, &reason);
            print_message("%s, by %zu: %s\n", rows[i].name, step, reason);
            assert_int_equal(got, rows[i].last);
            if (got == PARSE_BAD) {
                assert_non_null(strstr(reason, rows[i].says));
                continue;
            }
            memcpy(h.control + h.control_len, h.data, h.data_len);
            assert_int_equal(h.control_len + h.data_len, strlen(rows[i].says));
            assert_memory_equal(h.control, rows[i].says, strlen(rows[i].says));
        }
    }
}

/* 65536 in eight bytes and 126 in two are right. */
static void test_lengths(void **state)
{
    static const struct { size_t head; unsigned char bytes[10]; uint64_t left; } good[] = {
        { 2, { 0x82, 125 }, 125 },
        { 4, { 0x82, 126, 0, 126 }, 126 },
        { 4, { 0x82, 126, 255, 255 }, 65535 },
        { 10, { 0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0 }, 65536 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct ws_reader r = { 0 };
        struct ws_piece p;
        const char *reason = NULL;
        assert_int_equal(ws_read(&r, slice_of(good[i].bytes, good[i].head), &p, &reason), PARSE_OK);
        assert_true(p.used == good[i].head && p.payload.len == 0 && p.first && !p.last && r.left == good[i].left && !ws_between_frames(&r));
    }
}

static void test_own_close(void **state)
{
    unsigned char out[WS_CLOSE_LEN];
    struct ws_reader r = { 0 };
    struct ws_piece p;
    const char *reason = NULL;
    (void)state;
    ws_close_frame(1008, out);
    assert_int_equal(ws_read(&r, slice_of(out, sizeof out), &p, &reason), PARSE_OK);
    assert_true(p.opcode == WS_CLOSE && p.used == sizeof out && p.payload.ptr[0] == 0x03 && p.payload.ptr[1] == 0xf0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_lengths), cmocka_unit_test(test_own_close) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
