/* What goes on, what stays here, and that nothing of a message can become two. */
#include "proxy/http/forward.h"

#include "proxy/http/forward_internal.h"
#include "proxy/http/h1.h"
#include "proxy/http/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include <stdio.h>

static const struct h1_limits limits = { .fields = 100 };

struct fixture {
    struct arena arena;
    struct message m;
    struct bbuf out;
};

static void setup(struct fixture *x, const char *fields)
{
    struct refusal why = { 0 };
    char head[4096];
    arena_init(&x->arena, 1 << 20);
    bbuf_init(&x->out, 65536);
    snprintf(head, sizeof head, "POST /a%%20b?c HTTP/1.1\r\nHost: t.example:8443\r\n%s\r\n", fields);
    if (h1_parse_request(slice_str(head), &limits, &x->arena, &x->m, &why) != PARSE_OK)
        fail_msg("%s", why.reason);
    assert_int_equal(target_normalise(&x->m, 0, &x->arena, &why), PARSE_OK);
}

static void teardown(struct fixture *x)
{
    arena_done(&x->arena);
    bbuf_done(&x->out);
}

static struct forward_request request_of(const struct fixture *x)
{
    return (struct forward_request){
        .message = &x->m, .host = SLICE("t.example:8443"), .client_address = SLICE("127.0.0.1"), .public_host = SLICE("t.example:8443"),
    };
}

static void test_whole_request(void **state)
{
    static const char expected[] = "POST /a%20b?c HTTP/1.1\r\nHost: t.example:8443\r\naccept: */*\r\nx-a: 1\r\ncookie: a=b; c=d\r\n"
                                   "Via: 1.1 countersign\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 127.0.0.1\r\n"
                                   "X-Forwarded-Host: t.example:8443\r\n"
                                   "Forwarded: for=127.0.0.1;proto=https;host=\"t.example:8443\"\r\n"
                                   "Client-Cert: :AA==:\r\nCountersign-Assertion: x.y.z\r\nContent-Length: 5\r\n\r\n";
    struct fixture x;
    (void)state;
    setup(&x, "Accept: */*\r\nCookie: a=b\r\nX-A: 1\r\nCookie: c=d\r\nContent-Length: 5\r\nExpect: 100-continue\r\n");
    struct forward_request f = request_of(&x);
    f.assertion = SLICE("x.y.z");
    f.client_cert = SLICE(":AA==:");
    f.has_body = true;
    f.body_len = 5;
    assert_int_equal(forward_write_request(&f, &x.out), OK);
    struct slice got = bbuf_slice(&x.out);
    if (!slice_eq(got, slice_str(expected)))
        fail_msg("%.*s", SLICE_ARG(got));
    teardown(&x);
}

static bool sent(const char *fields, const char *text, const struct forward_request *with)
{
    struct fixture x;
    setup(&x, fields);
    struct forward_request f = with ? *with : request_of(&x);
    f.message = &x.m;
    assert_int_equal(forward_write_request(&f, &x.out), OK);
    bool found = memmem(bbuf_slice(&x.out).ptr, bbuf_len(&x.out), text, strlen(text)) != NULL;
    teardown(&x);
    return found;
}

/* Every one carries the value "evil", which must not come through. */
static const char *const stopped[] = {
    "Connection: evil\r\nEvil: evil\r\n", "Connection: close, x-a\r\nX-A: evil\r\n", "Keep-Alive: evil\r\n", "Upgrade: evil\r\n",
    "HTTP2-Settings: evil\r\n", "Trailer: evil\r\n", "Proxy-Authorization: evil\r\n", "Proxy-Connection: evil\r\n", "Via: evil\r\n",
    "Forwarded: for=evil\r\n", "X-Forwarded-For: evil\r\n", "X-Forwarded-Anything: evil\r\n", "X-Forwarded: evil\r\n", "X-Real-IP: evil\r\n",
    "X-Forwarded_For: evil\r\n", "X_Forwarded_For: evil\r\n", "X.Forwarded.For: evil\r\n", "X!Forwarded~For: evil\r\n",
    "Countersign-Assertion: evil\r\n", "COUNTERSIGN-ASSERTION: evil\r\n", "Countersign-Grant: evil\r\n", "Countersign.Assertion: evil\r\n",
    "Countersign_Assertion: evil\r\n", "Client-Cert: evil\r\n", "Client-Cert-Chain: evil\r\n", "Client.Cert: evil\r\n",
    "X-Client-Cert: evil\r\n", "X-SSL-Client-Verify: evil\r\n", "Remote-User: evil\r\n", "Remote_User: evil\r\n", "X-Remote-User: evil\r\n",
    "X-WebAuth-User: evil\r\n", "X-Original-URL: evil\r\n", "X-Rewrite-URL: evil\r\n", "X-Host: evil\r\n", "any_name: evil\r\n",
};

static void test_stopped(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof stopped / sizeof *stopped; i++)
        if (sent(stopped[i], "evil", NULL))
            fail_msg("came through: %s", stopped[i]);
    assert_true(sent("Authorization: kept\r\n", "authorization: kept\r\n", NULL));
    assert_true(sent("X-Custom.Name: kept\r\n", "x-custom.name: kept\r\n", NULL));
    assert_true(sent("Connection: x-a\r\nX-B: kept\r\n", "x-b: kept\r\n", NULL));
}

/* told: the tool takes http://localhost:9091 for its own origin. The fixture's public host is t.example:8443. */
static const struct {
    const char *fields, *told;
} told_rows[] = {
    { "Origin: https://t.example:8443\r\n", "origin: http://localhost:9091\r\n" },
    { "Origin: https://T.Example:8443\r\n", "origin: http://localhost:9091\r\n" },
    { "Referer: https://t.example:8443/a?b\r\n", "referer: http://localhost:9091/a?b\r\n" },
    { "Destination: /a%20b\r\n", "destination: http://tool.internal:81/a%20b\r\n" }, { "Destination: an-id\r\n", "destination: an-id\r\n" },
    { "Origin: null\r\n", "origin: null\r\n" },
    { "Origin: https://t.example\r\n", "origin: https://t.example\r\n" },
    { "Origin: http://t.example:8443\r\n", "origin: http://t.example:8443\r\n" },
    { "Origin: https://t.example:84430\r\n", "origin: https://t.example:84430\r\n" },
    { "Referer: https://t.example:8443.evil/\r\n", "referer: https://t.example:8443.evil/\r\n" },
    { "Referer: https://t.example:8443@evil/\r\n", "referer: https://t.example:8443@evil/\r\n" },
    { "X-Origin: https://t.example:8443\r\n", "x-origin: https://t.example:8443\r\n" },
};

static void test_told_origin(void **state)
{
    struct fixture x = { 0 };
    (void)state;
    for (size_t i = 0; i < sizeof told_rows / sizeof *told_rows; i++) {
        struct forward_request f = request_of(&x);
        f.told_origin = SLICE("http://localhost:9091");
        f.destination_origin = SLICE("http://tool.internal:81");
        if (!sent(told_rows[i].fields, told_rows[i].told, &f))
            fail_msg("not told: %s", told_rows[i].told);
    }
    assert_true(sent("Origin: https://t.example:8443\r\n", "origin: https://t.example:8443\r\n", NULL));
}

static void test_framing(void **state)
{
    struct fixture x;
    (void)state;
    setup(&x, "");
    struct forward_request f = request_of(&x);
    assert_true(sent("", "Content-Length: 0\r\n", &f));                 /* a POST without content says so */
    f.has_body = true;
    f.chunked = true;
    assert_true(sent("Content-Length: 7\r\n", "Transfer-Encoding: chunked\r\n", &f));
    assert_false(sent("Content-Length: 7\r\n", "ength: 7", &f));
    f.chunked = false;
    f.body_len = 18446744073709551615u;
    assert_true(sent("", "Content-Length: 18446744073709551615\r\n", &f));
    f.client_address = SLICE("2001:db8::1");
    assert_true(sent("", "Forwarded: for=\"[2001:db8::1]\";proto=https;", &f));
    assert_true(sent("", "X-Forwarded-For: 2001:db8::1\r\n", &f));
    teardown(&x);
}

static void test_writing_fails_whole(void **state)
{
    struct fixture x;
    (void)state;
    setup(&x, "X-A: 1\r\n");
    struct forward_request f = request_of(&x);
    assert_int_equal(forward_write_request(&f, &x.out), OK);
    size_t need = bbuf_len(&x.out);
    for (size_t room = 0; room <= need; room++) {
        struct bbuf b;
        bbuf_init(&b, room + 2);
        assert_int_equal(bbuf_put(&b, SLICE("ab")), OK);
        assert_int_equal(forward_write_request(&f, &b), room < need ? FULL : OK);
        assert_int_equal(bbuf_len(&b), room < need ? 2 : need + 2);
        bbuf_done(&b);
    }
    /* Parsers refuse these; the writer does once more, for a message that came another way. */
    static const struct slice values[] = { SLICE_INIT("a\r\nX: y"), SLICE_INIT("a\nb"), SLICE_INIT("a\0b") };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct field bad = { SLICE("x-b"), values[i] };
        x.m.fields = (struct fields){ &bad, 1, 1 };
        assert_int_equal(forward_write_request(&f, &x.out), BAD_INPUT);
        bad.name = SLICE("cookie");
        assert_int_equal(forward_write_request(&f, &x.out), BAD_INPUT);
    }
    assert_int_equal(bbuf_len(&x.out), need);
    static const struct slice names[] = { SLICE_INIT(""), SLICE_INIT("a b"), SLICE_INIT("a:"), SLICE_INIT("a\r\nX") };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct field bad = { names[i], SLICE("1") };
        x.m.fields = (struct fields){ &bad, 1, 1 };
        assert_int_equal(forward_write_request(&f, &x.out), BAD_INPUT);
    }
    x.m.fields = (struct fields){ 0 };
    x.m.target = SLICE("/ HTTP/1.1\r\nX:");
    assert_int_equal(forward_write_request(&f, &x.out), BAD_INPUT);
    x.m.target = SLICE("/");
    x.m.method = SLICE("GET /x HTTP/1.1\r\nA:");
    assert_int_equal(forward_write_request(&f, &x.out), BAD_INPUT);
    teardown(&x);
}

static void test_refuses(void **state)
{
    static const struct { const char *fields; bool refused; } rows[] = {
        { "Connection: close\r\n", false }, { "Connection: keep-alive, Upgrade, TE, X-Mine\r\n", false }, { "", false },
        { "Connection: X-Forwarded-For\r\n", true }, { "Connection: close, Countersign-Assertion\r\n", true },
        { "Connection: Host\r\n", true }, { "Connection: Content-Length\r\n", true }, { "Connection: Transfer-Encoding\r\n", true },
        { "Connection: content-type\r\n", true }, { "Connection: Cookie\r\n", true }, { "Connection: AUTHORIZATION\r\n", true },
        { "Connection: Client-Cert\r\n", true }, { "Connection: Via\r\n", true }, { "Connection: Sec-Fetch-Site\r\n", true },
        { "Connection: close\r\nConnection: Forwarded\r\n", true }, { "Content-Type: a/b\r\nContent-Type: c/d\r\n", true },
        { "Sec-Fetch-Site: same-origin\r\nsec-fetch-site: cross-site\r\n", true }, { "Origin: https://a\r\nOrigin: https://b\r\n", true },
        { "Authorization: a\r\nAuthorization: a\r\n", true }, { "Accept: a/b\r\nAccept: c/d\r\nCookie: a=b\r\nCookie: c=d\r\n", false },
        { "Connection: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", true },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture x;
        setup(&x, rows[i].fields);
        if ((forward_refuses(&x.m) != NULL) != rows[i].refused)
            fail_msg("row '%s'", rows[i].fields);
        teardown(&x);
    }
    struct field close = { SLICE("connection"), SLICE("close") };
    struct message h2 = { .version = 20, .fields = { &close, 1, 1 } };
    assert_non_null(forward_refuses(&h2));
}

struct response_row {
    const char *name, *value, *expected;          /* NULL: removed */
};
static const struct response_row response_rows[] = {
    { "content-type", "text/html", "text/html" }, { "content-encoding", "gzip", "gzip" }, { "via", "1.1 x", "1.1 x" },
    { "connection", "x-named", NULL }, { "x-named", "1", NULL }, { "keep-alive", "1", NULL }, { "transfer-encoding", "chunked", NULL },
    { "content-length", "5", NULL }, { "upgrade", "h2", NULL }, { "trailer", "a", NULL }, { "proxy-authenticate", "Basic", NULL },
    { "alt-svc", "h3=\":443\"", NULL }, { "nel", "{}", NULL }, { "report-to", "{}", NULL }, { "reporting-endpoints", "a=\"/\"", NULL },
    { "access-control-allow-origin", "*", NULL }, { "access-control-allow-credentials", "true", NULL }, { "access-control-allow-methods", "PUT", NULL },
    { "access-control-allow-headers", "x", NULL }, { "access-control-max-age", "9", NULL }, { "access-control-expose-headers", "X-Total", NULL },
    { "access-control-allow-private-network", "true", NULL },
    { "service-worker-allowed", "/", NULL }, { "strict-transport-security", "max-age=0", NULL }, { "countersign-grant", "x", NULL },
    { "location", "/a", "/a" }, { "location", "http://127.0.0.1:8000/a?b", "https://t.example:8443/a?b" },
    { "location", "HTTP://127.0.0.1:8000", "https://t.example:8443" }, { "location", "http://127.0.0.1:8000#x", "https://t.example:8443#x" },
    { "location", "http://127.0.0.1:80001/", "http://127.0.0.1:80001/" }, { "location", "http://127.0.0.1:8000@evil/", "http://127.0.0.1:8000@evil/" },
    { "location", "http://127.0.0.1:8000.evil/", "http://127.0.0.1:8000.evil/" }, { "location", "http://t.example:8443/a", "https://t.example:8443/a" },
    { "location", "https://other.example/", "https://other.example/" },
    { "location", "//127.0.0.1:8000/a", "https://t.example:8443/a" }, { "location", "//t.example/a", "https://t.example:8443/a" },
    { "location", "http://t.example/a", "https://t.example:8443/a" }, { "location", "http://t.example:80/a", "https://t.example:8443/a" },
    { "location", "http://t.example:8000/a/?b", "https://t.example:8443/a/?b" }, { "location", "https://T.example/a", "https://t.example:8443/a" },
    { "location", "https://t.example:8443/a", "https://t.example:8443/a" }, { "location", "http://t.example:9000/a", "http://t.example:9000/a" },
    { "location", "http://t.example.evil/a", "http://t.example.evil/a" }, { "location", "http://t.example@evil/a", "http://t.example@evil/a" },
    { "location", "http://t.example:8000@evil/a", "http://t.example:8000@evil/a" }, { "location", "http://t.example\\@evil/", "http://t.example\\@evil/" },
    { "location", "https://127.0.0.1:8000/a", "https://127.0.0.1:8000/a" }, { "location", "http://127.0.0.1/a", "http://127.0.0.1/a" },
    { "location", "http://told.internal:81/a", "https://t.example:8443/a" }, { "location", "https://Told.internal:81", "https://t.example:8443" },
    { "location", "http://told.internal/a", "http://told.internal/a" }, { "location", "http:a", "http:a" }, { "location", "http:/a", "http:/a" },
    { "location", "///evil", "///evil" }, { "location", "http://", "http://" }, { "location", "ftp://t.example/", "ftp://t.example/" }, { "location", "", "" },
    { "content-location", "http://127.0.0.1:8000/a.html", "https://t.example:8443/a.html" },
    { "refresh", "5", "5" }, { "refresh", "0; url=/a;b", "0; url=/a;b" }, { "refresh", "0; url=http://127.0.0.1:8000/a;b", "0; url=https://t.example:8443/a;b" },
    { "refresh", "0;URL='http://t.example/a'", "0;URL='https://t.example:8443/a'" }, { "refresh", "1; http://t.example:8000/", "1; https://t.example:8443/" },
    { "refresh", "1; url=http://other.example/", "1; url=http://other.example/" }, { "refresh", "1;", "1;" }, { "refresh", "1; url=", "1; url=" },
    { "set-cookie", "a=b", "a=b" }, { "set-cookie", "a=b; Domain=example", "a=b" },
    { "set-cookie", "a=b; Path=/; domain = .example ;Secure", "a=b; Path=/;Secure" }, { "set-cookie", "a=b;DOMAIN;Secure", "a=b;Secure" },
    { "set-cookie", "domain=b; Secure", "domain=b; Secure" }, { "set-cookie", "a=b;Domain=x;Domain=y;", "a=b;" },
    { "set-cookie", "a=\"x;Domain=y\"", "a=\"x" },     /* quotes do not hide a ';' from browsers either (RFC 6265 s5.2) */
    { "set-cookie", "", "" }, { "set-cookie", ";Domain=x", "" }, { "set-cookie", "a=b; Domainx=1", "a=b; Domainx=1" },
};

static void test_response(void **state)
{
    struct field v[128];
    struct message m = { .version = 11, .status = 200, .fields = { v, 0, 128 } };
    struct arena arena;
    struct fields out;
    (void)state;
    arena_init(&arena, 65536);
    const size_t rows = sizeof response_rows / sizeof *response_rows;
    for (size_t i = 0; i < rows; i++)
        v[m.fields.count++] = (struct field){ slice_str(response_rows[i].name), slice_str(response_rows[i].value) };
    struct forward_response f = { .message = &m, .upstream_origin = SLICE("http://127.0.0.1:8000"), .public_origin = SLICE("https://t.example:8443"),
                                  .sent_host = SLICE("told.internal:81") };
    assert_int_equal(forward_response_fields(&f, &arena, &out), OK);
    size_t k = 0;
    for (size_t i = 0; i < rows; i++) {
        const struct response_row *r = &response_rows[i];
        if (r->expected == NULL)
            continue;
        assert_true(k < out.count);
        if (!slice_eq(out.v[k].name, slice_str(r->name)) || !slice_eq(out.v[k].value, slice_str(r->expected)))
            fail_msg("row '%s: %s': got '%.*s: %.*s'", r->name, r->value, SLICE_ARG(out.v[k].name), SLICE_ARG(out.v[k].value));
        k++;
    }
    assert_int_equal(k, out.count);
    f.allow_service_worker = true;
    assert_int_equal(forward_response_fields(&f, &arena, &out), OK);
    assert_int_equal(out.count, k + 1);
    f.other_origin_reads = true;
    assert_int_equal(forward_response_fields(&f, &arena, &out), OK);
    assert_int_equal(out.count, k + 2);
    assert_true(slice_eq(fields_get(&out, SLICE("access-control-expose-headers")), SLICE("X-Total")));
    m.fields.count = 1;
    v[0] = (struct field){ SLICE("location"), SLICE("http://tool.example/x") };
    f.upstream_origin = SLICE("http://tool.example:80");
    assert_int_equal(forward_response_fields(&f, &arena, &out), OK);
    assert_true(slice_eq(out.v[0].value, SLICE("https://t.example:8443/x")));
    v[0].value = SLICE("http://[::1]:9000/x");
    f.upstream_origin = SLICE("http://[::1]:9000");
    assert_int_equal(forward_response_fields(&f, &arena, &out), OK);
    assert_true(slice_eq(out.v[0].value, SLICE("https://t.example:8443/x")));
    v[0].value = SLICE("http://t.example/x");
    f.upstream_origin = SLICE("");    /* a Unix socket */
    assert_int_equal(forward_response_fields(&f, &arena, &out), OK);
    assert_true(slice_eq(out.v[0].value, SLICE("https://t.example:8443/x")));
    arena_done(&arena);
    arena_init(&arena, 8);
    assert_int_equal(forward_response_fields(&f, &arena, &out), NO_MEMORY);
    arena_done(&arena);
}

static void test_trailers(void **state)
{
    static const char *const good[] = { "x-sum", "server-timing", "grpc-status", "digest", "etag" };
    static const char *const bad[] = { "content-length", "transfer-encoding", "host", "content-type", "content-encoding", "authorization",
                                       "set-cookie", "cookie", "countersign-assertion", "x-forwarded-for", "client-cert", "location",
                                       "x_y", "", ":status", "if-match", "cache-control", "via", "x-http-method-override", "trailer" };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!forward_trailer_allowed(slice_str(good[i])))
            fail_msg("stopped: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (forward_trailer_allowed(slice_str(bad[i])))
            fail_msg("let through: %s", bad[i]);
}

/* Only a client that can take trailers says so, and then it is a field of the connection (RFC 9110 s10.1.4). */
static void test_te(void **state)
{
    (void)state;
    static const struct { const char *fields; bool said; } rows[] = { { "", false }, { "TE: trailers\r\nConnection: TE\r\n", true }, { "TE: trailers\r\n", true } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture x;
        setup(&x, rows[i].fields);
        struct forward_request f = request_of(&x);
        assert_int_equal(forward_write_request(&f, &x.out), OK);
        assert_int_equal(bbuf_put(&x.out, SLICE("\0")), OK);
        assert_int_equal(strstr((const char *)bbuf_slice(&x.out).ptr, "TE: trailers\r\nConnection: TE\r\n") != NULL, rows[i].said);
        teardown(&x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_te),
        cmocka_unit_test(test_whole_request), cmocka_unit_test(test_stopped), cmocka_unit_test(test_told_origin), cmocka_unit_test(test_framing),
        cmocka_unit_test(test_writing_fails_whole), cmocka_unit_test(test_refuses), cmocka_unit_test(test_response),
        cmocka_unit_test(test_trailers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
