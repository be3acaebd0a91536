/* Bodies, each read whole, byte by byte and in every pair of pieces: the verdict must not hang on packet sizes. */
#include "proxy/http/h1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include <stdio.h>

struct outcome {
    enum parse last;
    bool done;
    unsigned status;
    size_t used, data_len, trailers;
    unsigned char data[4096];
};

static void feed(struct h1_body *b, struct slice in, struct outcome *o)
{
    while (!b->done && o->last != PARSE_BAD) {
        size_t used = 0;
        struct slice data = { 0 };
        struct refusal why = { 0 };
        o->last = h1_body_read(b, in, &used, &data, &why);
        if (o->last == PARSE_BAD) {
            assert_non_null(why.reason);
            o->status = why.status;
            return;
        }
        assert_true(used <= in.len);
        assert_true(data.len == 0 || (data.ptr >= in.ptr && data.ptr + data.len <= in.ptr + in.len));
        memcpy(o->data + o->data_len, data.ptr, data.len);
        o->data_len += data.len;
        o->used += used;
        in = slice_from(in, used);
        if (o->last == PARSE_MORE) {
            assert_int_equal(in.len, 0);
            return;
        }
        assert_true(used > 0 || b->done);
    }
}

/* step 0: whole; else first `cut` bytes, then the rest in pieces of `step`. */
static void run(const struct message *m, struct slice text, size_t cut, size_t step, struct outcome *o)
{
    static struct h1_body b;
    struct arena arena;
    *o = (struct outcome){ .last = PARSE_OK };
    arena_init(&arena, 65536);
    h1_body_init(&b, m, &arena, 8);
    for (size_t at = 0; at < text.len && o->last != PARSE_BAD && !b.done;) {
        size_t n = at == 0 && cut ? cut : step ? step : text.len - at;
        if (n > text.len - at)
            n = text.len - at;
        unsigned char *exact = malloc(n);
        memcpy(exact, text.ptr + at, n);
        feed(&b, slice_of(exact, n), o);
        free(exact);
        at += n;
    }
    o->done = b.done;
    o->trailers = b.trailers.count;
    arena_done(&arena);
}

enum verdict { DONE, OPEN, BAD };

struct row {
    const char *name;
    struct slice text;
    enum verdict verdict;
    const char *data;
    size_t left_over, trailers;       /* bytes behind the end; trailer fields */
    unsigned status;                  /* of BAD; 0: 400 */
};
#define R(name, text, ...) { name, SLICE_INIT(text), __VA_ARGS__ }
#define X16 "xxxxxxxxxxxxxxxx"
#define X256 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16

static const struct row chunked[] = {
    R("one chunk", "5\r\nhello\r\n0\r\n\r\n", DONE, "hello", 0, 0, 0),
    R("two chunks", "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", DONE, "hello world", 0, 0, 0),
    R("no chunk", "0\r\n\r\n", DONE, "", 0, 0, 0),
    R("hex size", "A\r\n0123456789\r\n0\r\n\r\n", DONE, "0123456789", 0, 0, 0),
    R("hex size in lower case", "0a\r\n0123456789\r\n0\r\n\r\n", DONE, "0123456789", 0, 0, 0),
    R("leading zeros, sixteen digits", "0000000000000001\r\nx\r\n00\r\n\r\n", DONE, "x", 0, 0, 0),
    R("extension", "1;a\r\nx\r\n0;b=c\r\n\r\n", DONE, "x", 0, 0, 0),
    R("quoted extension", "1;a=\"; \\\" \"\r\nx\r\n0\r\n\r\n", DONE, "x", 0, 0, 0),
    R("two extensions", "1;a=b;c\r\nx\r\n0\r\n\r\n", DONE, "x", 0, 0, 0),
    R("trailer", "1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n", DONE, "x", 0, 1, 0),
    R("CRLF as data", "4\r\n\r\n\r\n\r\n0\r\n\r\n", DONE, "\r\n\r\n", 0, 0, 0),
    R("pipelined request behind it", "1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n", DONE, "x", 16, 0, 0),
    R("end missing", "1\r\nx\r\n0\r\n", OPEN, "x", 0, 0, 0),
    R("data missing", "5\r\nhel", OPEN, "hel", 0, 0, 0),
    R("size line missing", "5", OPEN, "", 0, 0, 0),

    R("empty size", "\r\nx\r\n0\r\n\r\n", BAD, "", 0, 0, 0),
    R("no size but extension", ";a\r\nx\r\n0\r\n\r\n", BAD, "", 0, 0, 0),
    R("negative size", "-1\r\nx\r\n0\r\n\r\n", BAD, "", 0, 0, 0),
    R("size with plus", "+1\r\nx\r\n0\r\n\r\n", BAD, "", 0, 0, 0),
    R("size with 0x", "0x1\r\nx\r\n0\r\n\r\n", BAD, "", 0, 0, 0),
    R("size with underscore", "1_0\r\nx\r\n0\r\n\r\n", BAD, "", 0, 0, 0),
    R("size not hex", "g\r\nx\r\n0\r\n\r\n", BAD, "", 0, 0, 0),
    R("space before size", " 1\r\nx\r\n0\r\n\r\n", BAD, "", 0, 0, 0),
    R("space after size", "1 \r\nx\r\n0\r\n\r\n", BAD, "", 0, 0, 0),
    R("tab after size", "1\t\r\nx\r\n0\r\n\r\n", BAD, "", 0, 0, 0),
    R("space before extension", "1 ;a\r\nx\r\n0\r\n\r\n", BAD, "", 0, 0, 0),
    R("two sizes", "1 1\r\nx\r\n0\r\n\r\n", BAD, "", 0, 0, 0),
    R("size past 2^63", "8000000000000000\r\nx", BAD, "", 0, 0, 413),
    R("size past 2^64", "10000000000000001\r\nx", BAD, "", 0, 0, 0),
    R("size of seventeen zeros", "00000000000000001\r\nx\r\n0\r\n\r\n", BAD, "", 0, 0, 0),
    R("bare LF after size", "1\nx\r\n0\r\n\r\n", BAD, "", 0, 0, 0),
    R("bare CR after size", "1\rx\r\n0\r\n\r\n", BAD, "", 0, 0, 0),
    R("bare LF after data", "1\r\nx\n0\r\n\r\n", BAD, "x", 0, 0, 0),
    R("bare CR after data", "1\r\nx\r0\r\n\r\n", BAD, "x", 0, 0, 0),
    R("data longer than size", "1\r\nxy\r\n0\r\n\r\n", BAD, "x", 0, 0, 0),
    R("bare LF at the end", "1\r\nx\r\n0\r\n\n", BAD, "x", 0, 0, 0),
    R("bare LF after last chunk", "1\r\nx\r\n0\n\r\n", BAD, "x", 0, 0, 0),
    R("LF in an extension", "1;a\nb\r\nx\r\n0\r\n\r\n", BAD, "", 0, 0, 0),
    R("CR in an extension", "1;a\rb\r\nx\r\n0\r\n\r\n", BAD, "", 0, 0, 0),
    R("LF in a quoted extension", "1;a=\"\nb\"\r\nx\r\n0\r\n\r\n", BAD, "", 0, 0, 0),
    R("NUL in an extension", "1;a\0\r\nx\r\n0\r\n\r\n", BAD, "", 0, 0, 0),
    R("open quote in an extension", "1;a=\"b\r\nx\r\n0\r\n\r\n", BAD, "", 0, 0, 0),
    R("extension without name", "1;\r\nx\r\n0\r\n\r\n", BAD, "", 0, 0, 0),
    R("extension without value", "1;a=\r\nx\r\n0\r\n\r\n", BAD, "", 0, 0, 0),
    R("extension of 257 bytes", "1;" X256 "\r\nx\r\n0\r\n\r\n", BAD, "", 0, 0, 0),
    R("extension without end", "1;" X256 X256, BAD, "", 0, 0, 0),
    R("trailer frames", "0\r\nContent-Length: 5\r\n\r\n", BAD, "", 0, 0, 0),
    R("trailer codes", "0\r\nTransfer-Encoding: chunked\r\n\r\n", BAD, "", 0, 0, 0),
    R("trailer routes", "0\r\nHost: b.example\r\n\r\n", BAD, "", 0, 0, 0),
    R("trailer forwards", "0\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n", BAD, "", 0, 0, 0),
    R("trailer connects", "0\r\nConnection: close\r\n\r\n", BAD, "", 0, 0, 0),
    R("trailer folded", "0\r\nA: b\r\n c\r\n\r\n", BAD, "", 0, 1, 0),
    R("trailer with space before colon", "0\r\nA : b\r\n\r\n", BAD, "", 0, 0, 0),
    R("trailer with CR", "0\r\nA: b\rc\r\n\r\n", BAD, "", 0, 0, 0),
    R("trailer with NUL", "0\r\nA: b\0\r\n\r\n", BAD, "", 0, 0, 0),
    R("trailer without name", "0\r\n: b\r\n\r\n", BAD, "", 0, 0, 0),
    R("too many trailers", "0\r\nA:1\r\nB:1\r\nC:1\r\nD:1\r\nE:1\r\nF:1\r\nG:1\r\nH:1\r\nI:1\r\n\r\n", BAD, "", 0, 8, 431),
    R("trailer line of 1026 bytes", "0\r\nA:" X256 X256 X256 X256 "\r\n\r\n", BAD, "", 0, 0, 431),
    R("request instead of a chunk", "GET / HTTP/1.1\r\n\r\n", BAD, "", 0, 0, 0),
};

static void check(const struct row *r, const struct outcome *o, size_t cut, size_t step, unsigned bad_status)
{
    enum verdict v = o->last == PARSE_BAD ? BAD : o->done ? DONE : OPEN;
    if (v != r->verdict)
        fail_msg("row '%s' cut %zu step %zu: verdict %d, expected %d", r->name, cut, step, (int)v, (int)r->verdict);
    if (v == BAD && o->status != bad_status)
        fail_msg("row '%s': status %u, expected %u", r->name, o->status, bad_status);
    if (!slice_eq(slice_of(o->data, o->data_len), slice_str(r->data)))
        fail_msg("row '%s' cut %zu step %zu: data '%.*s'", r->name, cut, step, (int)o->data_len, (const char *)o->data);
    if (v == DONE && (o->trailers != r->trailers || (cut == 0 && step == 0 && r->text.len - o->used != r->left_over)))
        fail_msg("row '%s': %zu trailers, %zu bytes left over", r->name, o->trailers, r->text.len - o->used);
}

static void test_chunked(void **state)
{
    static struct outcome o;
    struct message request = { .framing = BODY_CHUNKED }, response = { .framing = BODY_CHUNKED, .status = 200 };
    (void)state;
    for (size_t i = 0; i < sizeof chunked / sizeof *chunked; i++) {
        const struct row *r = &chunked[i];
        unsigned status = r->status ? r->status : 400;
        run(&request, r->text, 0, 0, &o);
        check(r, &o, 0, 0, status);
        run(&response, r->text, 0, 0, &o);
        check(r, &o, 0, 0, 502);
        run(&request, r->text, 0, 1, &o);
        check(r, &o, 0, 1, status);
        for (size_t cut = 1; cut < r->text.len; cut++) {
            run(&request, r->text, cut, 0, &o);
            check(r, &o, cut, 0, status);
        }
    }
}

static void test_length(void **state)
{
    static struct outcome o;
    (void)state;
    struct message m = { .framing = BODY_LENGTH, .has_length = true, .content_length = 5 };
    for (size_t step = 0; step < 7; step++) {
        run(&m, SLICE("helloGET /"), 0, step, &o);
        assert_true(o.done && o.data_len == 5 && o.used == 5);
        run(&m, SLICE("hell"), 0, step, &o);
        assert_true(!o.done && o.data_len == 4);
    }
    m = (struct message){ .framing = BODY_NONE };
    run(&m, SLICE("GET /"), 0, 0, &o);
    assert_true(o.done && o.used == 0);
    m = (struct message){ .framing = BODY_UNTIL_CLOSE, .status = 200 };
    run(&m, SLICE("anything"), 0, 3, &o);
    assert_true(!o.done && o.data_len == 8);
}

/* Trailers as they are kept, and the bound on a trailer section. */
static void test_trailers(void **state)
{
    static struct h1_body b;
    static unsigned char lines[64 * 1024];
    static struct outcome o;
    struct arena arena;
    struct message m = { .framing = BODY_CHUNKED };
    (void)state;
    arena_init(&arena, 1 << 20);
    h1_body_init(&b, &m, &arena, 100);
    o = (struct outcome){ .last = PARSE_OK };
    feed(&b, SLICE("0\r\nX-SUM:  a b \t\r\nx-sum:\r\n\r\n"), &o);
    assert_true(b.done && b.trailers.count == 2);
    assert_true(slice_eq(b.trailers.v[0].name, SLICE("x-sum")) && slice_eq(b.trailers.v[0].value, SLICE("a b")));
    assert_non_null(b.trailers.v[1].value.ptr);

    size_t n = 3;
    memcpy(lines, "0\r\n", 3);
    for (unsigned i = 0; i < 40; i++) {
        memset(lines + n, 'a', 1000);
        lines[n + 1] = ':';
        memcpy(lines + n + 998, "\r\n", 2);
        n += 1000;
    }
    h1_body_init(&b, &m, &arena, 100);
    o = (struct outcome){ .last = PARSE_OK };
    feed(&b, slice_of(lines, n), &o);
    assert_int_equal(o.last, PARSE_BAD);
    assert_int_equal(o.status, 431);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_chunked), cmocka_unit_test(test_length), cmocka_unit_test(test_trailers) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
