#include "proxy/replay/replay_test.h"

#include "proxy/replay/content.h"
#include "proxy/replay/inject.h"
#include "proxy/replay/messages.h"
#include "proxy/replay/title.h"

static const struct test_row rows[] = {
    /* 0 */ { "GET /", DOCUMENT, NULL, 200,
              HTML "set-cookie: a=b\r\ncontent-security-policy: default-src *\r\nrefresh: 0;url=https://evil.example/\r\nclear-site-data: \"*\"\r\nlink: <https://evil.example>; rel=preconnect\r\n"
                   "strict-transport-security: max-age=1\r\nx-frame-options: DENY\r\nx-total: 3\r\naccess-control-allow-origin: *\r\nservice-worker-allowed: /\r\n",
              "<!doctype html><head><title>T</title>x" },
    /* 1 */ { "GET /a.js", "sec-fetch-dest: script\r\n", NULL, 200, "content-type: text/javascript\r\n", "1" },
    /* 2 */ { "GET /out", "sec-fetch-dest: empty\r\n", NULL, 302, "location: https://evil.example/x\r\n", "" },
    /* 3 */ { "GET /in", "sec-fetch-dest: empty\r\n", NULL, 302, "location: https://tool.example:8443/a.js\r\n", "" },
    /* 4 */ { "POST /form", "sec-fetch-dest: empty\r\n", "a=1", 200, HTML, "ok" },
    /* 5 */ { "GET /next", DOCUMENT, NULL, 200, HTML, "next" },
    /* 6 */ { "GET /round", "sec-fetch-dest: empty\r\nreferer: https://tool.example:8443/\r\n", NULL, 302, "location: /round\r\n", "" },
};

struct desk {
    struct test_recording t;
    struct content c;
    struct arena arena;
    struct httpd_answer a;
    struct message m;
};

static void setup(struct desk *d)
{
    test_recording_make(&d->t, rows, sizeof rows / sizeof *rows);
    assert_int_equal(content_init(&d->c, &d->t.r), OK);
    d->c.port = 4712;
    d->c.viewer_port = 4711;
    d->a.owned = NULL;
    arena_init(&d->arena, 1 << 20);
}

static void teardown(struct desk *d)
{
    free(d->a.owned);
    arena_done(&d->arena);
    content_done(&d->c);
    recorded_done(&d->t.r);
}

/* dest NULL: a browser that does not say. */
static void request(struct desk *d, const char *host, const char *method, const char *target, const char *dest, const char *mode, const char *more, const char *value)
{
    struct httpd_request q = { &d->m, slice_of(NULL, 0) };
    free(d->a.owned);
    d->a = (struct httpd_answer){ .arena = &d->arena };
    d->m = (struct message){ .method = slice_str(method), .authority = slice_str(host), .target = slice_str(target) };
    size_t mark = slice_find(d->m.target, '?');
    d->m.path = slice_of(d->m.target.ptr, mark);
    d->m.query = mark < d->m.target.len ? slice_from(d->m.target, mark + 1) : slice_of(NULL, 0);
    const char *fields[][2] = { { "sec-fetch-dest", dest }, { "sec-fetch-mode", mode }, { more, value } };
    for (size_t i = 0; i < 3; i++)
        if (fields[i][0] != NULL && fields[i][1] != NULL)
            assert_int_equal(fields_add(&d->m.fields, &d->arena, 10, slice_str(fields[i][0]), slice_str(fields[i][1])), OK);
    content_handle(&d->c, &q, &d->a);
}

static const char *host_of(struct desk *d, size_t index, bool scripts)
{
    static char origin[CONTENT_ORIGIN_MAX];
    return content_origin(&d->c, index, scripts, origin) + strlen("http://");
}

static bool field_has(const struct desk *d, const char *name, const char *what)
{
    struct slice v = fields_get(&d->a.fields, slice_str(name));
    return v.ptr != NULL && memmem(v.ptr, v.len, what, strlen(what)) != NULL;
}

static void a_page_is_safe_to_give(void **state)
{
    (void)state;
    static const char *const never[] = { "set-cookie", "refresh", "clear-site-data", "link", "strict-transport-security", "x-frame-options", "access-control-allow-origin", "service-worker-allowed" };
    struct desk d;
    setup(&d);
    request(&d, host_of(&d, 0, true), "GET", "/", "iframe", "navigate", NULL, NULL);
    assert_int_equal(d.a.status, 200);
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (fields_get(&d.a.fields, slice_str(never[i])).ptr != NULL)
            fail_msg("%s", never[i]);
    assert_int_equal(fields_count(&d.a.fields, SLICE("content-security-policy")), 1);
    assert_true(field_has(&d, "x-total", "3") && field_has(&d, "content-security-policy", "default-src 'none'") && field_has(&d, "content-security-policy", "form-action 'none'")
                && field_has(&d, "content-security-policy", "frame-ancestors http://127.0.0.1:4711 ") && field_has(&d, "content-security-policy", "sandbox allow-scripts allow-same-origin")
                && !field_has(&d, "content-security-policy", "*") && field_has(&d, "cache-control", "no-store") && field_has(&d, "cross-origin-resource-policy", "same-origin"));
    assert_non_null(memmem(d.a.body.ptr, d.a.body.len, "<head><script src=\"/.countersign/replay.js\" data-host=\"tool.example:8443\"", 73));
    request(&d, host_of(&d, 0, false), "GET", "/", "iframe", "navigate", NULL, NULL);
    assert_true(field_has(&d, "content-security-policy", "script-src 'none'") && !field_has(&d, "content-security-policy", "allow-same-origin"));
    assert_null(memmem(d.a.body.ptr, d.a.body.len, "replay.js", 9));
    teardown(&d);
}

static void what_is_refused(void **state)
{
    (void)state;
    struct desk d;
    char token[CONTENT_TOKEN_LEN + 1], good[CONTENT_ORIGIN_MAX], hosts[9][CONTENT_ORIGIN_MAX + 16];
    setup(&d);
    snprintf(token, sizeof token, "%s", d.c.token);
    snprintf(good, sizeof good, "%s", host_of(&d, 0, true));
    snprintf(hosts[0], sizeof hosts[0], "127.0.0.1:4712");
    snprintf(hosts[1], sizeof hosts[1], "e1-%s.localhost:4711", token);
    snprintf(hosts[2], sizeof hosts[2], "e1-%s.localhost", token);
    snprintf(hosts[3], sizeof hosts[3], "e0-%s.localhost:4712", token);
    snprintf(hosts[4], sizeof hosts[4], "e8-%s.localhost:4712", token);
    snprintf(hosts[5], sizeof hosts[5], "e01-%s.localhost:4712", token);
    snprintf(hosts[6], sizeof hosts[6], "x1-%s.localhost:4712", token);
    snprintf(hosts[7], sizeof hosts[7], "e1-%s.localhost.evil.example:4712", token);
    token[0] = token[0] == '0' ? '1' : '0';
    snprintf(hosts[8], sizeof hosts[8], "e1-%s.localhost:4712", token);
    for (size_t i = 0; i < 9; i++) {
        request(&d, hosts[i], "GET", "/", "iframe", "navigate", NULL, NULL);
        if (d.a.status != 421)
            fail_msg("%s: %u", hosts[i], d.a.status);
    }
    static const struct { const char *name, *target, *dest, *mode, *more, *value; unsigned status; } cases[] = {
        { "in a tab", "/", "document", "navigate", NULL, NULL, 403 }, { "a browser that does not say", "/", NULL, NULL, NULL, NULL, 403 },
        { "a service worker", "/a.js", "serviceworker", "same-origin", NULL, NULL, 403 }, { "a service worker, by its own field", "/a.js", "script", "same-origin", "service-worker", "script", 403 },
        { "a link to what nobody opened", "/nowhere", "iframe", "navigate", NULL, NULL, 404 }, { "a part that is not there", "/b.js", "script", "no-cors", NULL, NULL, 404 },
        { "a redirect elsewhere", "/out", "empty", "cors", NULL, NULL, 404 }, { "ours that is none", "/.countersign/x", "script", "no-cors", NULL, NULL, 404 },
        { "a redirect in circles", "/round", "empty", "cors", NULL, NULL, 302 }, { "a redirect within", "/in", "empty", "cors", NULL, NULL, 200 },
        { "a part", "/a.js", "script", "no-cors", NULL, NULL, 200 }, { "a link", "/next", "iframe", "navigate", NULL, NULL, 200 }, { "our script", "/.countersign/replay.js", "script", "no-cors", NULL, NULL, 200 },
        { "no such socket", "/.countersign/replay/socket?target=%2Fx", "empty", "cors", NULL, NULL, 200 }, { "a broken target", "/.countersign/replay/socket?target=%2", "empty", "cors", NULL, NULL, 200 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        request(&d, good, "GET", cases[i].target, cases[i].dest, cases[i].mode, cases[i].more, cases[i].value);
        if (d.a.status != cases[i].status || fields_get(&d.a.fields, SLICE("content-security-policy")).ptr == NULL)
            fail_msg("%s: %u", cases[i].name, d.a.status);
    }
    teardown(&d);
}

/* HTML that a script asked for stays as it was: our script is for documents. */
static void links_forms_and_what_is_missing(void **state)
{
    (void)state;
    struct desk d;
    setup(&d);
    request(&d, host_of(&d, 0, true), "GET", "/", "iframe", "navigate", NULL, NULL);
    assert_true(d.c.shown == 0 && d.c.opens == RECORDED_NONE);
    request(&d, host_of(&d, 0, true), "POST", "/form", "empty", "cors", NULL, NULL);
    assert_true(d.a.status == 200 && slice_eq(d.a.body, SLICE("ok")));
    request(&d, host_of(&d, 0, true), "GET", "/b.js", "script", "no-cors", NULL, NULL);
    request(&d, host_of(&d, 0, true), "GET", "/b.js", "script", "no-cors", NULL, NULL);
    assert_int_equal(json_array_size(d.c.missing), 1);
    request(&d, host_of(&d, 0, true), "POST", "/next", "iframe", "navigate", NULL, NULL);
    assert_int_equal(d.a.status, 404);
    request(&d, host_of(&d, 0, true), "GET", "/next", "iframe", "navigate", NULL, NULL);
    assert_true(d.c.opens == 5 && d.c.shown == 0);
    request(&d, host_of(&d, 0, true), "GET", "/<script>alert(1)</script>", "iframe", "navigate", NULL, NULL);
    assert_null(memmem(d.a.body.ptr, d.a.body.len, "<script>", 8));
    teardown(&d);
}

static void where_our_script_goes(void **state)
{
    (void)state;
    static const struct { const char *before, *after; } cases[] = {
        { "<!doctype html><html lang=\"a>b\"><head>", "<title>" }, { "<head data-x='>'>", "x" }, { "", "<header>x" }, { "<!doctype html>", "<p>x" }, { "\xef\xbb\xbf <!-- <head> --> <HEAD>", "x" }, { "", "" }, { "", "text" },
        { "<!-->", "<p>" }, { "<!-- never ends", "" }, { "<!DOCTYPE html><!-- a --><html>\n", "<body>" }, { "<?xml version='1.0'?><html><head>", "<x/>" }, { "<head", "" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char all[200];
        snprintf(all, sizeof all, "%s%s", cases[i].before, cases[i].after);
        size_t wanted = strcmp(cases[i].before, "<head") == 0 ? 0 : strlen(cases[i].before);
        if (inject_position(slice_str(all)) != wanted)
            fail_msg("%s: %zu", all, inject_position(slice_str(all)));
    }
    assert_int_equal(inject_position(slice_of("\xff\xfe<\0h\0", 6)), 7);
}

static void messages_are_inflated(void **state)
{
    (void)state;
    /* "Hello" twice, with context takeover: RFC 7692 s7.2.3.2 */
    static const unsigned char first[] = { 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00 }, second[] = { 0xf2, 0x00, 0x11, 0x00, 0x00 };
    struct archive_ws_message m[3] = { { .from = SLICE("tool"), .opcode = SLICE("text"), .data = slice_of(first, sizeof first), .length = sizeof first, .compressed = true },
                                       { .from = SLICE("client"), .opcode = SLICE("text"), .data = SLICE("plain"), .length = 5 },
                                       { .from = SLICE("tool"), .opcode = SLICE("text"), .data = slice_of(second, sizeof second), .length = sizeof second, .compressed = true } };
    struct archive_exchange x = { .messages = m, .message_count = 3 };
    struct messages texts;
    assert_int_equal(messages_init(&texts, &x), OK);
    assert_true(slice_eq(texts.v[0].data, SLICE("Hello")) && slice_eq(texts.v[1].data, SLICE("plain")) && slice_eq(texts.v[2].data, SLICE("Hello")));
    messages_done(&texts);
    m[0].data.ptr = (const unsigned char *)"\xff\xff\xff\xff\xff\xff\xff";     /* damaged: what builds on it can't be read either */
    assert_int_equal(messages_init(&texts, &x), OK);
    assert_true(texts.v[0].unreadable && !texts.v[1].unreadable && texts.v[2].unreadable);
    messages_done(&texts);
    assert_int_equal(messages_count_events(SLICE("data: 1\r\n\r\nevent: x\ndata: 2\n\n: comment\n\ndata: cut")), 2);
}

static void titles(void **state)
{
    (void)state;
    static const struct { const char *html, *wanted; } cases[] = { { "<title>a b</title>", "a b" }, { "<TITLE lang=en>\xc3\xbc</title>", "\xc3\xbc" }, { "<title>\xfc</title>", "\xc3\xbc" }, { "no", NULL }, { "<title", NULL }, { "<title></title>", NULL } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct archive_exchange x = { .response_body = slice_str(cases[i].html) };
        json_t *t = page_title(&x);
        if ((t == NULL) != (cases[i].wanted == NULL) || (t != NULL && strcmp(json_string_value(t), cases[i].wanted) != 0))
            fail_msg("%s", cases[i].html);
        json_decref(t);
    }
    assert_true(slice_eq(utf8_whole(slice_of("a\xe2\x82", 3)), SLICE("a")) && slice_eq(utf8_whole(SLICE("a\xc3\xbc")), SLICE("a\xc3\xbc")));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_page_is_safe_to_give), cmocka_unit_test(what_is_refused), cmocka_unit_test(links_forms_and_what_is_missing),
                                        cmocka_unit_test(where_our_script_goes), cmocka_unit_test(messages_are_inflated), cmocka_unit_test(titles) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
