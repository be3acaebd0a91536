/* HTTP/2 heads as nghttp2 would hand them over, and some it would not. */
#include "proxy/http/h2_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include <stdio.h>

#define P ":method=GET\n:scheme=https\n:authority=a.example\n:path=/x\n"

struct row {
    const char *name, *fields;        /* "name=value" lines */
    bool has_body;
    unsigned status;                  /* 0: accepted */
};

static const struct row rows[] = {
    { "plain", P "accept=*/*\n", false, 0 },
    { "with a body", P "content-length=5\n", true, 0 },
    { "body of unknown length", P, true, 0 },
    { "length zero", P "content-length=0\n", false, 0 },
    { "te trailers", P "te=trailers\n", false, 0 },
    { "host says the same", P "host=A.example\n", false, 0 },
    { "host alone", ":method=GET\n:scheme=https\n:path=/x\nhost=a.example\n", false, 0 },
    { "options asterisk", ":method=OPTIONS\n:scheme=https\n:authority=a.example\n:path=*\n", false, 0 },
    { "nothing", "", false, 400 },
    { "no method", ":scheme=https\n:authority=a.example\n:path=/x\n", false, 400 },
    { "no path", ":method=GET\n:scheme=https\n:authority=a.example\n", false, 400 },
    { "no scheme", ":method=GET\n:authority=a.example\n:path=/x\n", false, 400 },
    { "no authority", ":method=GET\n:scheme=https\n:path=/x\n", false, 400 },
    { "empty path", ":method=GET\n:scheme=https\n:authority=a.example\n:path=\n", false, 400 },
    { "path without slash", ":method=GET\n:scheme=https\n:authority=a.example\n:path=x\n", false, 400 },
    { "path that is a URL", ":method=GET\n:scheme=https\n:authority=a.example\n:path=https://a.example/\n", false, 400 },
    { "asterisk with GET", ":method=GET\n:scheme=https\n:authority=a.example\n:path=*\n", false, 400 },
    { "scheme http", ":method=GET\n:scheme=http\n:authority=a.example\n:path=/x\n", false, 400 },
    { "method with space", ":method=GET /y\n:scheme=https\n:authority=a.example\n:path=/x\n", false, 400 },
    { "CONNECT", ":method=CONNECT\n:scheme=https\n:authority=a.example\n:path=/x\n", false, 501 },
    { "TRACE", ":method=TRACE\n:scheme=https\n:authority=a.example\n:path=/x\n", false, 501 },
    { "path twice", P ":path=/y\n", false, 400 },
    { "unknown pseudo-field", P ":status=200\n", false, 400 },
    { "GET with a protocol", P ":protocol=websocket\n", false, 400 },
    { "WebSocket that is closed already", ":method=CONNECT\n:protocol=websocket\n:scheme=https\n:authority=a.example\n:path=/x\n", false, 400 },
    { "WebSocket with a length", ":method=CONNECT\n:protocol=websocket\n:scheme=https\n:authority=a.example\n:path=/x\ncontent-length=5\n", true, 400 },
    { "WebSocket without a path", ":method=CONNECT\n:protocol=websocket\n:scheme=https\n:authority=a.example\n", true, 400 },
    { "CONNECT of another protocol", ":method=CONNECT\n:protocol=connect-udp\n:scheme=https\n:authority=a.example\n:path=/x\n", true, 501 },
    { "protocol in capitals", ":method=CONNECT\n:protocol=WebSocket\n:scheme=https\n:authority=a.example\n:path=/x\n", true, 501 },
    { "protocol twice", ":method=CONNECT\n:protocol=websocket\n:protocol=websocket\n:scheme=https\n:authority=a.example\n:path=/x\n", true, 400 },
    { "authority with userinfo", ":method=GET\n:scheme=https\n:authority=u@a.example\n:path=/x\n", false, 400 },
    { "authority with empty port", ":method=GET\n:scheme=https\n:authority=a.example:\n:path=/x\n", false, 400 },
    { "another host", P "host=b.example\n", false, 400 },
    { "another port in host", P "host=a.example:443\n", false, 400 },
    { "host twice", P "host=a.example\nhost=a.example\n", false, 400 },
    { "connection", P "connection=close\n", false, 400 },
    { "keep-alive", P "keep-alive=5\n", false, 400 },
    { "proxy-connection", P "proxy-connection=close\n", false, 400 },
    { "transfer-encoding", P "transfer-encoding=chunked\n", true, 400 },
    { "upgrade", P "upgrade=h2c\n", false, 400 },
    { "te gzip", P "te=gzip\n", false, 400 },
    { "expectation", P "expect=100-continue\ncontent-length=5\n", true, 0 },
    { "another expectation", P "expect=200-ok\ncontent-length=5\n", true, 417 },
    { "expectation twice", P "expect=100-continue\nexpect=100-continue\ncontent-length=5\n", true, 417 },
    { "length twice", P "content-length=5\ncontent-length=5\n", true, 400 },
    { "length list", P "content-length=5,5\n", true, 400 },
    { "length with sign", P "content-length=+5\n", true, 400 },
    { "length without a body", P "content-length=5\n", false, 400 },
    { "CR in a value", P "x=a\rb\n", false, 400 },
    { "space in a name", P "x y=a\n", false, 400 },
    { "many cookies, a field each", P "cookie=a\ncookie=b\ncookie=c\ncookie=d\ncookie=e\na=\na=\na=\na=\n", false, 0 },
    { "too many fields beside a cookie", P "cookie=a\na=\na=\na=\na=\na=\na=\na=\na=\n", false, 431 },
    { "cookies of too many bytes", P "cookie=a\ncookie=a\ncookie=a\ncookie=a\ncookie=a\ncookie=a\ncookie=a\ncookie=a\ncookie=a\ncookie=a\ncookie=a\n", false, 431 },
    { "too many fields", P "a=\na=\na=\na=\na=\na=\na=\na=\na=\n", false, 431 },
    { "too many bytes", P "a=" "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
      "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\n"
      "b=" "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
      "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
      "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
      "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\n", false, 431 },
};

static void fill(struct h2_request *r, struct arena *arena, const char *fields)
{
    h2_request_init(r, arena, 8, 256);
    while (*fields) {
        struct slice line = slice_of(fields, strcspn(fields, "\n"));
        size_t n = 1;                 /* a pseudo-field's colon is part of its name */
        while (line.ptr[n] != '=')
            n++;
        assert_true(h2_request_field(r, slice_of(line.ptr, n), slice_from(line, n + 1)));
        fields += line.len + 1;
    }
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct h2_request r;
        struct arena arena;
        struct message m;
        struct refusal why = { 0 };
        arena_init(&arena, 65536);
        fill(&r, &arena, rows[i].fields);
        enum parse p = h2_request_finish(&r, rows[i].has_body, &m, &why);
        unsigned got = p == PARSE_OK ? 0 : why.status;
        if (got != rows[i].status)
            fail_msg("row '%s': got %u (%s), expected %u", rows[i].name, got, why.reason ? why.reason : "accepted", rows[i].status);
        if (p == PARSE_OK && (m.version != 20 || m.framing != (rows[i].has_body ? BODY_STREAM : BODY_NONE) ||
                              !slice_eq(m.authority, SLICE("a.example")) || fields_count(&m.fields, SLICE("host")) != 0))
            fail_msg("row '%s': the message is wrong", rows[i].name);
        arena_done(&arena);
    }
}

static void test_trailers(void **state)
{
    struct h2_request r;
    struct arena arena;
    (void)state;
    arena_init(&arena, 65536);
    fill(&r, &arena, P);
    assert_true(h2_request_trailer(&r, SLICE("x-sum"), SLICE(" 1 ")));
    assert_true(h2_request_trailer(&r, SLICE("content-length"), SLICE("5")));
    assert_true(h2_request_trailer(&r, SLICE("countersign-assertion"), SLICE("x")));
    assert_true(h2_request_trailer(&r, SLICE(":path"), SLICE("/y")));
    assert_int_equal(r.trailers.count, 1);
    assert_true(slice_eq(r.trailers.v[0].value, SLICE("1")) && slice_eq(r.path, SLICE("/x")));
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_trailers) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
