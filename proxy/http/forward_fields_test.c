/* A request for an HTTP/2 tool holds the same as one for HTTP/1.1, in HTTP/2's words. */
#include "proxy/http/forward.h"

#include "proxy/http/h1.h"
#include "proxy/http/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static const struct h1_limits limits = { .fields = 100 };

/* "name: value" lines of what is sent for a request with these fields. */
static enum status sent(const char *method, const char *fields, struct forward_request f, char *text, size_t max)
{
    struct refusal why = { 0 };
    struct arena arena;
    struct message m;
    struct fields out = { 0 };
    char head[4096];
    size_t n = 0;
    arena_init(&arena, 1 << 20);
    snprintf(head, sizeof head, "%s /a%%20b?c HTTP/1.1\r\nHost: t.example:8443\r\n%s\r\n", method, fields);
    if (h1_parse_request(slice_str(head), &limits, &arena, &m, &why) != PARSE_OK)
        fail_msg("%s", why.reason);
    assert_int_equal(target_normalise(&m, 0, &arena, &why), PARSE_OK);
    f.message = &m;
    enum status st = forward_request_fields(&f, SLICE("http"), &arena, &out);
    text[0] = 0;
    for (size_t i = 0; i < out.count; i++)
        n += (size_t)snprintf(text + n, max - n, "%.*s: %.*s\n", (int)out.v[i].name.len, (const char *)out.v[i].name.ptr, (int)out.v[i].value.len,
                              (const char *)out.v[i].value.ptr);
    arena_done(&arena);
    return st;
}

static const struct forward_request plain = { .host = SLICE_INIT("t.example"), .client_address = SLICE_INIT("127.0.0.1"), .public_host = SLICE_INIT("t.example:8443") };

static void test_whole(void **state)
{
    char text[4096];
    struct forward_request f = plain;
    (void)state;
    f.assertion = SLICE("x.y.z");
    f.client_cert = SLICE(":AA==:");
    f.has_body = true;
    f.body_len = 5;
    assert_int_equal(sent("POST", "Accept: */*\r\nCookie: a=b\r\nConnection: X-Hop, TE\r\nX-Hop: 1\r\nTE: trailers\r\nKeep-Alive: 5\r\nCountersign-Assertion: spoof\r\n"
                                  "X_Under: 1\r\nVia: 1.1 liar\r\nContent-Length: 5\r\nExpect: 100-continue\r\n", f, text, sizeof text), OK);
    assert_string_equal(text, ":method: POST\n:scheme: http\n:authority: t.example\n:path: /a%20b?c\naccept: */*\ncookie: a=b\nvia: 1.1 countersign\nx-forwarded-proto: https\n"
                              "x-forwarded-for: 127.0.0.1\nx-forwarded-host: t.example:8443\nforwarded: for=127.0.0.1;proto=https;host=\"t.example:8443\"\n"
                              "client-cert: :AA==:\ncountersign-assertion: x.y.z\ncontent-length: 5\nte: trailers\n");
}

static void test_lengths(void **state)
{
    char text[4096];
    (void)state;
    struct forward_request f = plain;
    assert_int_equal(sent("GET", "", f, text, sizeof text), OK);
    assert_null(strstr(text, "content-length"));
    assert_int_equal(sent("POST", "", f, text, sizeof text), OK);
    assert_non_null(strstr(text, "content-length: 0\n"));
    f.has_body = f.chunked = true;
    assert_int_equal(sent("POST", "Transfer-Encoding: chunked\r\n", f, text, sizeof text), OK);
    assert_null(strstr(text, "content-length"));
    assert_null(strstr(text, "transfer-encoding"));
}

static void test_websocket(void **state)
{
    char text[4096];
    struct ws_ask ask = { .key = "dGhlIHNhbXBsZSBub25jZQ==", .extensions = SLICE("permessage-deflate") };
    struct forward_request f = plain;
    (void)state;
    f.websocket = &ask;
    assert_int_equal(sent("GET", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat\r\n"
                                 "Sec-WebSocket-Extensions: permessage-deflate, x-other\r\nSec-WebSocket-Version: 13\r\n", f, text, sizeof text), OK);
    assert_non_null(strstr(text, ":method: CONNECT\n:protocol: websocket\n:scheme: http\n"));
    assert_non_null(strstr(text, "sec-websocket-protocol: chat\n"));
    assert_non_null(strstr(text, "sec-websocket-version: 13\nsec-websocket-extensions: permessage-deflate\n"));
    assert_null(strstr(text, "upgrade"));
    assert_null(strstr(text, "sec-websocket-key"));
    assert_null(strstr(text, "connection"));
}

/* The gateway's own questions are on nobody's behalf. */
static void test_own(void **state)
{
    char text[4096];
    struct forward_request f = { .host = SLICE("t.example"), .own = true };
    (void)state;
    assert_int_equal(sent("GET", "", f, text, sizeof text), OK);
    assert_string_equal(text, ":method: GET\n:scheme: http\n:authority: t.example\n:path: /a%20b?c\n");
}

static void test_told_origin(void **state)
{
    char text[4096];
    struct forward_request f = plain;
    (void)state;
    f.told_origin = SLICE("http://localhost:9091");
    assert_int_equal(sent("GET", "Origin: https://t.example:8443\r\nReferer: https://t.example:8443/a\r\nX-A: https://t.example:8443\r\n", f, text, sizeof text), OK);
    assert_non_null(strstr(text, "origin: http://localhost:9091\nreferer: http://localhost:9091/a\nx-a: https://t.example:8443\n"));
}

static void test_hostile(void **state)
{
    char text[4096];
    struct forward_request f = plain;
    (void)state;
    f.assertion = SLICE("x\r\ny");
    assert_int_equal(sent("GET", "", f, text, sizeof text), BAD_INPUT);
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole), cmocka_unit_test(test_lengths), cmocka_unit_test(test_websocket), cmocka_unit_test(test_own), cmocka_unit_test(test_told_origin), cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
