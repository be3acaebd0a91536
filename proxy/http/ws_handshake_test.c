/* Which requests ask for a WebSocket, and which 101 is believed. */
#include "proxy/http/forward.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="   /* RFC 6455 s1.3 */
#define UP "connection=Upgrade\nupgrade=websocket\n"
#define GOOD UP "sec-websocket-version=13\nsec-websocket-key=" KEY "\n"

/* "name=value" lines. */
static void add_fields(struct fields *f, struct arena *a, const char *text)
{
    struct slice rest = slice_str(text);
    while (rest.len > 0) {
        size_t end = slice_find(rest, '\n'), eq = slice_find(rest, '=');
        assert_true(eq < end && end < rest.len);
        assert_int_equal(fields_add(f, a, 100, slice_of(rest.ptr, eq), slice_of(rest.ptr + eq + 1, end - eq - 1)), OK);
        rest = slice_from(rest, end + 1);
    }
}

static const struct ask_row {
    const char *name, *method;
    unsigned version;
    bool connect;
    const char *fields;
    enum ws_asked asked;
    unsigned status;
    const char *extensions;
} asks[] = {
    { "plain", "GET", 11, false, GOOD, WS_ASKED, 0, "" },
    { "in capitals", "GET", 11, false, "connection=keep-alive, UPGRADE\nupgrade=WebSocket\nsec-websocket-version=13\nsec-websocket-key=" KEY "\n", WS_ASKED, 0, "" },
    { "with compression", "GET", 11, false, GOOD "sec-websocket-extensions=permessage-deflate; client_max_window_bits\n", WS_ASKED, 0,
      "permessage-deflate; client_max_window_bits" },
    { "with others too", "GET", 11, false, GOOD "sec-websocket-extensions=x-mux; a=\"permessage-deflate, b\", Permessage-Deflate\nsec-websocket-extensions=bbf\n",
      WS_ASKED, 0, "Permessage-Deflate" },
    { "HTTP/2", "GET", 20, true, "sec-websocket-version=13\n", WS_ASKED, 0, "" },
    { "HTTP/2 without a version", "GET", 20, true, "", WS_ASKED, 0, "" },
    { "nothing", "GET", 11, false, "", WS_NOT_ASKED, 0, NULL },
    { "POST", "POST", 11, false, GOOD, WS_NOT_ASKED, 0, NULL },
    { "HEAD", "HEAD", 11, false, GOOD, WS_NOT_ASKED, 0, NULL },
    { "HTTP/1.0", "GET", 10, false, GOOD, WS_NOT_ASKED, 0, NULL },
    { "HTTP/2 that is no CONNECT", "GET", 20, false, GOOD, WS_NOT_ASKED, 0, NULL },
    { "Connection without it", "GET", 11, false, "connection=close\nupgrade=websocket\n", WS_NOT_ASKED, 0, NULL },
    { "no Connection", "GET", 11, false, "upgrade=websocket\n", WS_NOT_ASKED, 0, NULL },
    { "h2c", "GET", 11, false, "connection=Upgrade, HTTP2-Settings\nupgrade=h2c\nhttp2-settings=AA\n", WS_NOT_ASKED, 0, NULL },
    { "two upgrades", "GET", 11, false, "upgrade=h2c\n" GOOD, WS_NOT_ASKED, 0, NULL },
    { "a list of upgrades", "GET", 11, false, "connection=Upgrade\nupgrade=websocket, h2c\n", WS_NOT_ASKED, 0, NULL },
    { "a version of the upgrade", "GET", 11, false, "connection=Upgrade\nupgrade=websocket/13\n", WS_NOT_ASKED, 0, NULL },
    { "version 8", "GET", 11, false, UP "sec-websocket-version=8\nsec-websocket-key=" KEY "\n", WS_ASKED_BADLY, 426, NULL },
    { "no version", "GET", 11, false, UP "sec-websocket-key=" KEY "\n", WS_ASKED_BADLY, 426, NULL },
    { "version twice", "GET", 11, false, GOOD "sec-websocket-version=13\n", WS_ASKED_BADLY, 426, NULL },
    { "HTTP/2, version 8", "GET", 20, true, "sec-websocket-version=8\n", WS_ASKED_BADLY, 426, NULL },
    { "no key", "GET", 11, false, UP "sec-websocket-version=13\n", WS_ASKED_BADLY, 400, NULL },
    { "key twice", "GET", 11, false, GOOD "sec-websocket-key=" KEY "\n", WS_ASKED_BADLY, 400, NULL },
    { "short key", "GET", 11, false, UP "sec-websocket-version=13\nsec-websocket-key=AAAA\n", WS_ASKED_BADLY, 400, NULL },
    { "empty key", "GET", 11, false, UP "sec-websocket-version=13\nsec-websocket-key=\n", WS_ASKED_BADLY, 400, NULL },
    { "key of 18 bytes", "GET", 11, false, UP "sec-websocket-version=13\nsec-websocket-key=dGhlIHNhbXBsZSBub25jZQAA\n", WS_ASKED_BADLY, 400, NULL },
    { "key with loose bits", "GET", 11, false, UP "sec-websocket-version=13\nsec-websocket-key=dGhlIHNhbXBsZSBub25jZR==\n", WS_ASKED_BADLY, 400, NULL },
    { "key with a space", "GET", 11, false, UP "sec-websocket-version=13\nsec-websocket-key=dGhlIHNh XBsZSBub25jZQ==\n", WS_ASKED_BADLY, 400, NULL },
};

static void test_asks(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
        const struct ask_row *r = &asks[i];
        struct arena a;
        struct ws_ask ask;
        struct refusal why = { 0 };
        struct message m = { .version = r->version, .method = slice_str(r->method), .connect = r->connect };
        arena_init(&a, 65536);
        add_fields(&m.fields, &a, r->fields);
        print_message("%s\n", r->name);
        assert_int_equal(websocket_asked(&m, &a, &ask, &why), r->asked);
        assert_int_equal(why.status, r->status);
        if (r->asked == WS_ASKED) {
            assert_true(slice_eq(ask.extensions, slice_str(r->extensions)));
            assert_int_equal(strlen(ask.key), WS_KEY_LEN);
            assert_int_equal(strcmp(ask.key, KEY) == 0, !r->connect);
        }
        arena_done(&a);
    }
}

static const struct answer_row {
    const char *name;
    bool offered;
    const char *fields;
    bool good, deflate;
} answers[] = {
    { "plain", false, UP "sec-websocket-accept=" ACCEPT "\n", true, false },
    { "compression", true, UP "sec-websocket-accept=" ACCEPT "\nsec-websocket-extensions=permessage-deflate; server_no_context_takeover\n", true, true },
    { "compression declined", true, UP "sec-websocket-accept=" ACCEPT "\n", true, false },
    { "no accept", false, UP, false, false },
    { "a wrong accept", false, UP "sec-websocket-accept=t3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n", false, false },
    { "accept in other case", false, UP "sec-websocket-accept=S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n", false, false },
    { "accept and more", false, UP "sec-websocket-accept=" ACCEPT "=\n", false, false },
    { "accept twice", false, UP "sec-websocket-accept=" ACCEPT "\nsec-websocket-accept=" ACCEPT "\n", false, false },
    { "no upgrade", false, "connection=Upgrade\nsec-websocket-accept=" ACCEPT "\n", false, false },
    { "another upgrade", false, "connection=Upgrade\nupgrade=h2c\nsec-websocket-accept=" ACCEPT "\n", false, false },
    { "no connection", false, "upgrade=websocket\nsec-websocket-accept=" ACCEPT "\n", false, false },
    { "compression that was not offered", false, UP "sec-websocket-accept=" ACCEPT "\nsec-websocket-extensions=permessage-deflate\n", false, false },
    { "compression twice", true, UP "sec-websocket-accept=" ACCEPT "\nsec-websocket-extensions=permessage-deflate, permessage-deflate\n", false, false },
    { "another extension", true, UP "sec-websocket-accept=" ACCEPT "\nsec-websocket-extensions=x-mux\n", false, false },
    { "another extension beside", true, UP "sec-websocket-accept=" ACCEPT "\nsec-websocket-extensions=permessage-deflate\nsec-websocket-extensions=x-mux\n", false, false },
};

static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        const struct answer_row *r = &answers[i];
        struct arena a;
        struct ws_ask ask = { .key = KEY, .extensions = r->offered ? SLICE("permessage-deflate") : SLICE("") };
        struct message m = { .version = 11, .status = 101 };
        bool deflate = false;
        arena_init(&a, 65536);
        add_fields(&m.fields, &a, r->fields);
        print_message("%s\n", r->name);
        assert_int_equal(websocket_answer_fault(&m, &ask, &deflate) == NULL, r->good);
        assert_int_equal(deflate, r->deflate);
        arena_done(&a);
    }
}

static void test_accept_of_the_rfc(void **state)
{
    char out[WS_ACCEPT_LEN + 1];
    (void)state;
    websocket_accept(KEY, out);
    assert_string_equal(out, ACCEPT);
}

/* The tool gets one handshake, the gateway's; without one asked for, nothing of an upgrade. */
static void test_written_anew(void **state)
{
    static const char with[] = GOOD "sec-websocket-extensions=x-mux, permessage-deflate\nsec-websocket-accept=x\nsec-websocket-protocol=chat\n";
    (void)state;
    for (unsigned asked = 0; asked < 2; asked++) {
        struct arena a;
        struct bbuf out;
        struct ws_ask ask = { .key = KEY, .extensions = SLICE("permessage-deflate") };
        struct message m = { .version = 11, .method = SLICE("GET"), .target = SLICE("/x"), .authority = SLICE("a.example") };
        struct forward_request f = { .message = &m, .host = m.authority, .client_address = SLICE("127.0.0.1"), .public_host = m.authority,
                                     .websocket = asked ? &ask : NULL };
        arena_init(&a, 65536);
        bbuf_init(&out, 65536);
        add_fields(&m.fields, &a, with);
        assert_int_equal(forward_write_request(&f, &out), OK);
        assert_int_equal(bbuf_put(&out, SLICE("\0")), OK);
        const char *text = (const char *)bbuf_slice(&out).ptr;
        assert_int_equal(strstr(text, "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " KEY
                                "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n") != NULL, asked == 1);
        assert_null(strstr(text, "upgrade:"));
        assert_null(strstr(text, "connection:"));
        assert_int_equal(strstr(text, "x-mux") == NULL, asked == 1);
        assert_int_equal(strstr(text, "sec-websocket-accept") == NULL, asked == 1);
        assert_non_null(strstr(text, "sec-websocket-protocol: chat\r\n"));
        bbuf_done(&out);
        arena_done(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_asks), cmocka_unit_test(test_answers), cmocka_unit_test(test_accept_of_the_rfc),
                                        cmocka_unit_test(test_written_anew) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
