#include "proxy/http/h1_write.h"

#include "proxy/http/h1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include <stdio.h>

#define DATE "date: Sat, 31 Jan 2026 12:00:00 GMT\r\n"
enum { NOON_S = 1769860800 };

static struct field some[] = { { SLICE_INIT("x-a"), SLICE_INIT("1") } };
static struct field dated[] = { { SLICE_INIT("date"), SLICE_INIT("then") } };
static const struct fields some_fields = { some, 1, 1 }, dated_fields = { dated, 1, 1 };

static const struct {
    const char *name;
    struct h1_response_head head;
    const char *expected;
} rows[] = {
    { "length", { .status = 200, .fields = &some_fields, .framing = BODY_LENGTH, .content_length = 5 },
      "HTTP/1.1 200 OK\r\n" DATE "x-a: 1\r\nContent-Length: 5\r\n\r\n" },
    { "own date kept", { .status = 404, .fields = &dated_fields, .framing = BODY_NONE, .has_length = true },
      "HTTP/1.1 404 Not Found\r\ndate: then\r\nContent-Length: 0\r\n\r\n" },
    { "chunked", { .status = 200, .framing = BODY_CHUNKED }, "HTTP/1.1 200 OK\r\n" DATE "transfer-encoding: chunked\r\n\r\n" },
    { "until close", { .status = 200, .framing = BODY_UNTIL_CLOSE }, "HTTP/1.1 200 OK\r\n" DATE "connection: close\r\n\r\n" },
    { "close", { .status = 503, .framing = BODY_LENGTH, .content_length = 1, .close = true },
      "HTTP/1.1 503 Service Unavailable\r\n" DATE "Content-Length: 1\r\nconnection: close\r\n\r\n" },
    { "no content", { .status = 204, .framing = BODY_NONE, .has_length = true }, "HTTP/1.1 204 No Content\r\n" DATE "\r\n" },
    { "HEAD", { .status = 200, .framing = BODY_NONE, .has_length = true, .content_length = 7 },
      "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 7\r\n\r\n" },
    { "early hints", { .status = 103, .fields = &some_fields, .framing = BODY_NONE }, "HTTP/1.1 103 Early Hints\r\nx-a: 1\r\n\r\n" },
    { "unknown status", { .status = 299, .framing = BODY_NONE, .has_length = true },
      "HTTP/1.1 299 Unknown\r\n" DATE "Content-Length: 0\r\n\r\n" },
};

static void test_heads(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct h1_response_head head = rows[i].head;
        struct arena arena;
        struct message m;
        struct refusal why = { 0 };
        struct bbuf out;
        head.now_ms = NOON_S * INT64_C(1000);
        bbuf_init(&out, 4096);
        arena_init(&arena, 65536);
        assert_int_equal(h1_write_response_head(&head, &out), OK);
        struct slice got = bbuf_slice(&out);
        if (!slice_eq(got, slice_str(rows[i].expected)))
            fail_msg("row '%s': %.*s", rows[i].name, SLICE_ARG(got));
        /* What we write, we would take. */
        const struct h1_limits limits = { .fields = 10 };
        if (h1_parse_response(got, &limits, SLICE("GET"), &arena, &m, &why) != PARSE_OK)
            fail_msg("row '%s': %s", rows[i].name, why.reason);
        for (size_t room = 0; room < got.len; room++) {
            struct bbuf small;
            bbuf_init(&small, room);
            assert_int_equal(h1_write_response_head(&head, &small), FULL);
            assert_int_equal(bbuf_len(&small), 0);
            bbuf_done(&small);
        }
        bbuf_done(&out);
        arena_done(&arena);
    }
}

static void test_dirty(void **state)
{
    struct field bad = { SLICE("x-a"), SLICE("1\r\nSet-Cookie: x") };
    const struct fields f = { &bad, 1, 1 };
    const struct h1_response_head head = { .status = 200, .fields = &f, .framing = BODY_CHUNKED };
    struct bbuf out;
    (void)state;
    bbuf_init(&out, 4096);
    assert_int_equal(h1_write_response_head(&head, &out), BAD_INPUT);
    assert_int_equal(bbuf_len(&out), 0);
    bbuf_done(&out);
}

static void test_chunks(void **state)
{
    struct field v[] = { { SLICE_INIT("x-sum"), SLICE_INIT("1") }, { SLICE_INIT("set-cookie"), SLICE_INIT("a=b") } };
    const struct fields trailers = { v, 2, 2 };
    struct bbuf out;
    (void)state;
    bbuf_init(&out, 4096);
    assert_int_equal(h1_write_chunk(SLICE("0123456789abcdef!"), &out), OK);
    assert_int_equal(h1_write_chunk(SLICE(""), &out), OK);
    assert_int_equal(h1_write_chunk_size(UINT64_MAX, &out), OK);
    assert_int_equal(h1_write_chunk_end(&out), OK);
    assert_int_equal(h1_write_last_chunk(NULL, &out), OK);
    assert_int_equal(h1_write_last_chunk(&trailers, &out), OK);
    assert_true(slice_eq(bbuf_slice(&out), SLICE("11\r\n0123456789abcdef!\r\nffffffffffffffff\r\n\r\n0\r\n\r\n0\r\nx-sum: 1\r\n\r\n")));
    bbuf_done(&out);
    bbuf_init(&out, 8);
    assert_int_equal(h1_write_chunk(SLICE("0123"), &out), FULL);
    assert_int_equal(h1_write_chunk(SLICE("012345678"), &out), FULL);
    assert_int_equal(bbuf_len(&out), 0);
    assert_int_equal(h1_write_chunk(SLICE("012"), &out), OK);
    bbuf_done(&out);
}

static void test_reasons(void **state)
{
    (void)state;
    assert_string_equal(reason_phrase(421), "Misdirected Request");
    assert_string_equal(reason_phrase(0), "Unknown");
    assert_string_equal(reason_phrase(599), "Unknown");
    assert_string_equal(reason_phrase(4000000000u), "Unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads), cmocka_unit_test(test_dirty), cmocka_unit_test(test_chunks), cmocka_unit_test(test_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
