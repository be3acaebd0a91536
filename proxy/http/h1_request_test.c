/* Requests that must be read in one way or refused (RFC 9112, RFC 9110). Most rows are hostile. */
#include "proxy/http/h1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include <stdio.h>

#define H "Host: a.example\r\n"
#define E "\r\n"

struct row {
    const char *name;
    struct slice head;
    unsigned status;                  /* 0: accepted */
};

#define ROW(name, text, status) { name, SLICE_INIT(text), status }

static const struct row rows[] = {
    ROW("plain", "GET / HTTP/1.1\r\n" H E, 0),
    ROW("no reason to refuse", "POST /a?b HTTP/1.1\r\n" H "Content-Length: 3\r\nX-Y: z\r\n" E, 0),
    ROW("empty value", "GET / HTTP/1.1\r\n" H "X-Empty:\r\nX-Next: 1\r\n" E, 0),
    ROW("value of spaces", "GET / HTTP/1.1\r\n" H "X-Empty:   \t \r\nX-Next: 1\r\n" E, 0),
    ROW("no space after colon", "GET / HTTP/1.1\r\nHost:a.example\r\n" E, 0),
    ROW("obs-text in a value", "GET / HTTP/1.1\r\n" H "X-Name: caf\xc3\xa9\r\n" E, 0),
    ROW("tab in a value", "GET / HTTP/1.1\r\n" H "X-Name: a\tb\r\n" E, 0),
    ROW("odd but valid field name", "GET / HTTP/1.1\r\n" H "!#$%&'*+-.^_`|~0: 1\r\n" E, 0),
    ROW("webdav method", "PROPFIND / HTTP/1.1\r\n" H E, 0),
    ROW("options asterisk", "OPTIONS * HTTP/1.1\r\n" H E, 0),
    ROW("HTTP/1.0 with Host", "GET / HTTP/1.0\r\n" H E, 0),
    ROW("chunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n" E, 0),
    ROW("chunked in capitals", "POST / HTTP/1.1\r\n" H "TRANSFER-ENCODING: Chunked\r\n" E, 0),
    ROW("te gzip", "GET / HTTP/1.1\r\n" H "TE: gzip\r\n" E, 0),
    ROW("te list", "GET / HTTP/1.1\r\n" H "TE: trailers, deflate;q=0.5\r\nTE: gzip ; q=1\r\n" E, 0),
    ROW("te empty", "GET / HTTP/1.1\r\n" H "TE:\r\n" E, 0),
    ROW("te trailers", "GET / HTTP/1.1\r\n" H "TE: trailers\r\nConnection: TE\r\n" E, 0),
    ROW("absolute form", "GET https://a.example/x HTTP/1.1\r\n" H E, 0),
    ROW("absolute form in capitals", "GET HTTPS://A.example/x HTTP/1.1\r\n" H E, 0),
    ROW("IPv6 host", "GET / HTTP/1.1\r\nHost: [::1]:8443\r\n" E, 0),

    ROW("empty", "", 400),
    ROW("only an empty line", "\r\n\r\n", 400),
    ROW("HTTP/0.9", "GET /\r\n" E, 400),
    ROW("no target", "GET  HTTP/1.1\r\n" H E, 400),
    ROW("two spaces", "GET  / HTTP/1.1\r\n" H E, 400),
    ROW("two spaces before the version", "GET /  HTTP/1.1\r\n" H E, 400),
    ROW("space after the version", "GET / HTTP/1.1 \r\n" H E, 400),
    ROW("tab for space", "GET\t/\tHTTP/1.1\r\n" H E, 400),
    ROW("space in the target", "GET /a b HTTP/1.1\r\n" H E, 400),
    ROW("leading space", " GET / HTTP/1.1\r\n" H E, 400),
    ROW("broken method", "GE(T / HTTP/1.1\r\n" H E, 400),
    ROW("method with NUL", "GE\0T / HTTP/1.1\r\n" H E, 400),
    ROW("unknown method", "EXPORT / HTTP/1.1\r\n" H E, 501),
    ROW("method in lower case", "get / HTTP/1.1\r\n" H E, 501),
    ROW("CONNECT", "CONNECT a.example:443 HTTP/1.1\r\n" H E, 501),
    ROW("TRACE", "TRACE / HTTP/1.1\r\n" H E, 501),
    ROW("version in lower case", "GET / http/1.1\r\n" H E, 400),
    ROW("version without minor", "GET / HTTP/1\r\n" H E, 400),
    ROW("version 1.10", "GET / HTTP/1.10\r\n" H E, 400),
    ROW("version 1.2", "GET / HTTP/1.2\r\n" H E, 505),
    ROW("version 2.0", "GET / HTTP/2.0\r\n" H E, 505),
    ROW("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\n", 505),
    ROW("version 0.9", "GET / HTTP/0.9\r\n" H E, 505),
    ROW("NUL in the target", "GET /\0 HTTP/1.1\r\n" H E, 400),
    ROW("non-ASCII target", "GET /\xc3\xa9 HTTP/1.1\r\n" H E, 400),
    ROW("DEL in the target", "GET /\x7f HTTP/1.1\r\n" H E, 400),
    ROW("target without slash", "GET a HTTP/1.1\r\n" H E, 400),
    ROW("asterisk with GET", "GET * HTTP/1.1\r\n" H E, 400),
    ROW("authority form", "GET a.example:443 HTTP/1.1\r\n" H E, 400),
    ROW("absolute form, http", "GET http://a.example/ HTTP/1.1\r\n" H E, 400),
    ROW("absolute form, other host", "GET https://b.example/ HTTP/1.1\r\n" H E, 400),
    ROW("absolute form, other port", "GET https://a.example:444/ HTTP/1.1\r\n" H E, 400),
    ROW("absolute form, userinfo", "GET https://u@a.example/ HTTP/1.1\r\n" H E, 400),
    ROW("absolute form, host then userinfo", "GET https://a.example@b.example/ HTTP/1.1\r\n" H E, 400),
    ROW("absolute form, fragment", "GET https://a.example#x HTTP/1.1\r\n" H E, 400),
    ROW("another scheme", "GET file:///etc/passwd HTTP/1.1\r\n" H E, 400),

    ROW("bare LF after the request line", "GET / HTTP/1.1\n" H E, 400),
    ROW("bare LF after a field", "GET / HTTP/1.1\r\nHost: a.example\n" E, 400),
    ROW("bare LF hides a field", "GET / HTTP/1.1\r\n" H "X: a\nTransfer-Encoding: chunked\r\n" E, 400),
    ROW("bare CR in a value", "GET / HTTP/1.1\r\n" H "X: a\rTransfer-Encoding: chunked\r\n" E, 400),
    ROW("bare CR after a colon", "GET / HTTP/1.1\r\n" H "X:\rTransfer-Encoding: chunked\r\n" E, 400),
    ROW("CR CR LF", "GET / HTTP/1.1\r\n" H "X: a\r\r\n" E, 400),
    ROW("NUL in a value", "GET / HTTP/1.1\r\n" H "X: a\0b\r\n" E, 400),
    ROW("vertical tab in a value", "GET / HTTP/1.1\r\n" H "X: \x0b" "b\r\n" E, 400),
    ROW("DEL in a value", "GET / HTTP/1.1\r\n" H "X: 12345678\x7f\r\n" E, 400),
    ROW("folded line", "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n" E, 400),
    ROW("folded with tab", "GET / HTTP/1.1\r\n" H "X: a\r\n\tb\r\n" E, 400),
    ROW("folded first field", "GET / HTTP/1.1\r\n Host: a.example\r\n" E, 400),
    ROW("space before the colon", "GET / HTTP/1.1\r\nHost : a.example\r\n" E, 400),
    ROW("space before TE's colon", "POST / HTTP/1.1\r\n" H "Transfer-Encoding : chunked\r\n" E, 400),
    ROW("empty name", "GET / HTTP/1.1\r\n" H ": a\r\n" E, 400),
    ROW("no colon", "GET / HTTP/1.1\r\n" H "nonsense\r\n" E, 400),
    ROW("non-ASCII name", "GET / HTTP/1.1\r\n" H "X\xc3\xa9: 1\r\n" E, 400),
    ROW("quoted name", "GET / HTTP/1.1\r\n" H "\"X\": 1\r\n" E, 400),
    ROW("empty line in the middle", "GET / HTTP/1.1\r\n\r\n" H E, 400),
    ROW("bytes behind the head", "GET / HTTP/1.1\r\n" H E "GET ", 400),
    ROW("head without its end", "GET / HTTP/1.1\r\n" H, 400),

    ROW("no Host", "GET / HTTP/1.1\r\nX: 1\r\n" E, 400),
    ROW("no Host in HTTP/1.0", "GET / HTTP/1.0\r\nX: 1\r\n" E, 400),
    ROW("Host twice", "GET / HTTP/1.1\r\n" H H E, 400),
    ROW("Host twice, other", "GET / HTTP/1.1\r\n" H "host: b.example\r\n" E, 400),
    ROW("empty Host", "GET / HTTP/1.1\r\nHost: \r\n" E, 400),
    ROW("Host list", "GET / HTTP/1.1\r\nHost: a.example, b.example\r\n" E, 400),
    ROW("Host with userinfo", "GET / HTTP/1.1\r\nHost: u@a.example\r\n" E, 400),
    ROW("Host with path", "GET / HTTP/1.1\r\nHost: a.example/x\r\n" E, 400),
    ROW("Host with escapes", "GET / HTTP/1.1\r\nHost: a%2eexample\r\n" E, 400),
    ROW("Host with empty port", "GET / HTTP/1.1\r\nHost: a.example:\r\n" E, 400),
    ROW("Host with port 0", "GET / HTTP/1.1\r\nHost: a.example:0\r\n" E, 400),
    ROW("Host with padded port", "GET / HTTP/1.1\r\nHost: a.example:0443\r\n" E, 400),
    ROW("Host with large port", "GET / HTTP/1.1\r\nHost: a.example:65536\r\n" E, 400),
    ROW("Host with two ports", "GET / HTTP/1.1\r\nHost: a.example:1:2\r\n" E, 400),
    ROW("Host with trailing dot", "GET / HTTP/1.1\r\nHost: a.example.\r\n" E, 400),
    ROW("Host with two dots", "GET / HTTP/1.1\r\nHost: a..example\r\n" E, 400),
    ROW("Host with open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n" E, 400),
    ROW("Host with text behind a bracket", "GET / HTTP/1.1\r\nHost: [::1]a\r\n" E, 400),
    ROW("Host with zone", "GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n" E, 400),

    ROW("length and chunked", "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n" E, 400),
    ROW("chunked and length", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n" E, 400),
    ROW("length twice, equal", "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 3\r\n" E, 400),
    ROW("length twice, other", "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 4\r\n" E, 400),
    ROW("length list", "POST / HTTP/1.1\r\n" H "Content-Length: 3, 3\r\n" E, 400),
    ROW("length with sign", "POST / HTTP/1.1\r\n" H "Content-Length: +3\r\n" E, 400),
    ROW("length negative", "POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n" E, 400),
    ROW("length in hex", "POST / HTTP/1.1\r\n" H "Content-Length: 0x3\r\n" E, 400),
    ROW("length with inner space", "POST / HTTP/1.1\r\n" H "Content-Length: 1 2\r\n" E, 400),
    ROW("length empty", "POST / HTTP/1.1\r\n" H "Content-Length: \r\n" E, 400),
    ROW("length past 2^63", "POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775808\r\n" E, 400),
    ROW("length past 2^64", "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551617\r\n" E, 400),
    ROW("TE in HTTP/1.0", "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n" E, 400),
    ROW("TE twice", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" E, 400),
    ROW("TE twice, identity", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n" E, 400),
    ROW("TE chunked twice", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n" E, 400),
    ROW("TE identity", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n" E, 400),
    ROW("TE unknown", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n" E, 400),
    ROW("TE empty", "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n" E, 400),
    ROW("TE chunked with parameter", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked;a=b\r\n" E, 400),
    ROW("TE quoted", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \"chunked\"\r\n" E, 400),
    ROW("TE with empty element", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: ,chunked\r\n" E, 400),
    ROW("TE chunked then gzip", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, gzip\r\n" E, 400),
    ROW("TE gzip, chunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n" E, 501),
    ROW("TE gzip", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n" E, 501),
    ROW("te chunked", "GET / HTTP/1.1\r\n" H "TE: chunked\r\n" E, 400),
    ROW("te chunked behind another", "GET / HTTP/1.1\r\n" H "TE: trailers, Chunked ;q=0.5\r\n" E, 400),
    ROW("te chunked in a second field", "GET / HTTP/1.1\r\n" H "TE: chunked\r\nTE: trailers\r\n" E, 400),
    ROW("te no token", "GET / HTTP/1.1\r\n" H "TE: gzip deflate\r\n" E, 400),
    ROW("expectation", "POST / HTTP/1.1\r\n" H "Expect: 200-ok\r\nContent-Length: 1\r\n" E, 417),
    ROW("expectation twice", "POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\nExpect: x\r\nContent-Length: 1\r\n" E, 417),
    ROW("broken Connection", "GET / HTTP/1.1\r\n" H "Connection: close keep-alive\r\n" E, 400),
    ROW("upgrade with content", "POST / HTTP/1.1\r\n" H "Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n" E, 400),
};

static const struct h1_limits limits = { .fields = 100 };

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena;
        struct message m;
        struct refusal why = { 0 };
        arena_init(&arena, 65536);
        /* Exactly as long as the head, so that ASan sees a read past its end. */
        unsigned char *exact = malloc(rows[i].head.len ? rows[i].head.len : 1);
        memcpy(exact, rows[i].head.ptr, rows[i].head.len);
        enum parse p = h1_parse_request(slice_of(exact, rows[i].head.len), &limits, &arena, &m, &why);
        free(exact);
        unsigned got = p == PARSE_OK ? 0 : why.status;
        if (got != rows[i].status || p == PARSE_MORE || (p == PARSE_BAD && why.reason == NULL))
            fail_msg("row '%s': got %u (%s), expected %u", rows[i].name, got, why.reason ? why.reason : "accepted", rows[i].status);
        arena_done(&arena);
    }
}

static struct message parse(struct arena *arena, struct slice head)
{
    struct message m;
    struct refusal why = { 0 };
    if (h1_parse_request(head, &limits, arena, &m, &why) != PARSE_OK)
        fail_msg("refused: %s", why.reason);
    return m;
}

#define assert_slice(s, lit) \
    do { \
        struct slice s_ = (s); \
        if (!slice_eq(s_, SLICE(lit))) \
            fail_msg("got '%.*s', expected '%s'", SLICE_ARG(s_), lit); \
    } while (0)

static void test_parts(void **state)
{
    struct arena arena;
    (void)state;
    arena_init(&arena, 65536);
    struct message m = parse(&arena, SLICE("POST /a/B?c=D HTTP/1.1\r\nX-One:  1 2\t \r\nHOST: A.Example:8443\r\nContent-Length: 12\r\n"
                                           "Expect: 100-Continue\r\nX-one: 3\r\nX-Empty:\r\n\r\n"));
    assert_slice(m.method, "POST");
    assert_slice(m.raw_target, "/a/B?c=D");
    assert_slice(m.authority, "a.example:8443");
    assert_slice(m.scheme, "https");
    assert_int_equal(m.version, 11);
    assert_int_equal(m.fields.count, 5);
    assert_slice(fields_get(&m.fields, SLICE("x-one")), "1 2");
    assert_int_equal(fields_count(&m.fields, SLICE("x-one")), 2);
    assert_null(fields_get(&m.fields, SLICE("host")).ptr);
    assert_non_null(fields_get(&m.fields, SLICE("x-empty")).ptr);
    assert_int_equal(m.framing, BODY_LENGTH);
    assert_true(m.has_length && m.content_length == 12 && m.expect_continue && m.keep_alive);
    arena_done(&arena);
}

static void test_connection(void **state)
{
    struct arena arena;
    (void)state;
    arena_init(&arena, 65536);
    assert_true(parse(&arena, SLICE("GET / HTTP/1.1\r\n" H E)).keep_alive);
    assert_false(parse(&arena, SLICE("GET / HTTP/1.1\r\n" H "Connection: a, CLOSE\r\n" E)).keep_alive);
    assert_false(parse(&arena, SLICE("GET / HTTP/1.1\r\n" H "Connection: a\r\nConnection: ,close,\r\n" E)).keep_alive);
    assert_false(parse(&arena, SLICE("GET / HTTP/1.0\r\n" H "Connection: keep-alive\r\n" E)).keep_alive);
    /* Nothing to continue, or a client that cannot mean it. */
    assert_false(parse(&arena, SLICE("GET / HTTP/1.1\r\n" H "Expect: 100-continue\r\n" E)).expect_continue);
    assert_false(parse(&arena, SLICE("POST / HTTP/1.0\r\n" H "Content-Length: 1\r\nExpect: 100-continue\r\n" E)).expect_continue);
    arena_done(&arena);
}

static void test_framing(void **state)
{
    struct arena arena;
    (void)state;
    arena_init(&arena, 65536);
    struct message m = parse(&arena, SLICE("POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n" E));
    assert_true(m.framing == BODY_NONE && m.has_length && m.content_length == 0);
    m = parse(&arena, SLICE("POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775807\r\n" E));
    assert_true(m.framing == BODY_LENGTH && m.content_length == INT64_MAX);
    m = parse(&arena, SLICE("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n" E));
    assert_true(m.framing == BODY_CHUNKED && !m.has_length);
    m = parse(&arena, SLICE("POST / HTTP/1.1\r\n" H E));
    assert_true(m.framing == BODY_NONE && !m.has_length);
    arena_done(&arena);
}

static void test_absolute_form(void **state)
{
    struct arena arena;
    (void)state;
    arena_init(&arena, 65536);
    assert_slice(parse(&arena, SLICE("GET https://a.example HTTP/1.1\r\n" H E)).raw_target, "/");
    assert_slice(parse(&arena, SLICE("GET https://a.example?q HTTP/1.1\r\n" H E)).raw_target, "/?q");
    assert_slice(parse(&arena, SLICE("GET https://a.example/x?q HTTP/1.1\r\n" H E)).raw_target, "/x?q");
    assert_slice(parse(&arena, SLICE("OPTIONS https://a.example HTTP/1.1\r\n" H E)).raw_target, "*");
    arena_done(&arena);
}

static void test_limits(void **state)
{
    static unsigned char big[H1_HEAD_MAX + 64];
    struct arena arena;
    struct message m;
    struct refusal why;
    (void)state;
    arena_init(&arena, 1 << 20);
    struct h1_limits two = { .fields = 2 };
    assert_int_equal(h1_parse_request(SLICE("GET / HTTP/1.1\r\n" H "A: 1\r\n" E), &two, &arena, &m, &why), PARSE_OK);
    assert_int_equal(h1_parse_request(SLICE("GET / HTTP/1.1\r\n" H "A: 1\r\nB: 2\r\n" E), &two, &arena, &m, &why), PARSE_BAD);
    assert_int_equal(why.status, 431);
    memset(big, 'a', sizeof big);
    memcpy(big, "GET / HTTP/1.1\r\nHost: a.example\r\nX: ", 36);
    memcpy(big + sizeof big - 4, "\r\n\r\n", 4);
    assert_int_equal(h1_parse_request(slice_of(big, sizeof big), &limits, &arena, &m, &why), PARSE_BAD);
    assert_int_equal(why.status, 431);
    arena_done(&arena);
    arena_init(&arena, 64);           /* an exchange whose memory is used up */
    assert_int_equal(h1_parse_request(SLICE("GET / HTTP/1.1\r\n" H "Abcdefgh: 12345678\r\n" E), &limits, &arena, &m, &why), PARSE_BAD);
    assert_int_equal(why.status, 431);
    arena_done(&arena);
}

static void test_head_length(void **state)
{
    static const struct slice whole = SLICE_INIT("GET / HTTP/1.1\r\nHost: a\r\n\r\nrest");
    static const struct row broken[] = {
        ROW("bare LF at once", "\n", 1), ROW("empty start", "\r\n", 1), ROW("bare LF", "GET / HTTP/1.1\nHost", 1),
        ROW("two bare LF", "GET / HTTP/1.1\n\n", 1), ROW("LF after CRLF", "GET / HTTP/1.1\r\n\n", 1), ROW("TLS", "\x16\x03\x01\x02\n", 1),
    };
    size_t len = 0;
    (void)state;
    for (size_t cut = 0; cut < whole.len; cut++) {
        enum parse p = h1_head_length(slice_of(whole.ptr, cut), 0, &len);
        assert_int_equal(p, cut < whole.len - 4 ? PARSE_MORE : PARSE_OK);
        /* Going on where the last call ended gives the same as one call. */
        if (p == PARSE_MORE)
            assert_int_equal(h1_head_length(whole, cut, &len), PARSE_OK);
        assert_int_equal(len, whole.len - 4);
    }
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        if (h1_head_length(broken[i].head, 0, &len) != PARSE_BAD)
            fail_msg("row '%s' was not refused", broken[i].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows), cmocka_unit_test(test_parts), cmocka_unit_test(test_connection), cmocka_unit_test(test_framing),
        cmocka_unit_test(test_absolute_form), cmocka_unit_test(test_limits), cmocka_unit_test(test_head_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
