#include "proxy/dom/document.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static void add(struct fields *f, struct arena *a, const char *name, const char *value)
{
    if (value != NULL)
        assert_int_equal(fields_add(f, a, 16, slice_str(name), slice_str(value)), OK);
}

struct asked {
    const char *name, *method, *dest, *mode, *extra;
    bool want;
};

static const struct asked asked[] = {
    { "a page", "GET", "document", "navigate", NULL, true },
    { "a form's answer", "POST", "document", "navigate", NULL, true },
    { "a frame", "GET", "iframe", "navigate", NULL, true },
    { "an old frame", "GET", "frame", "navigate", NULL, true },
    { "HEAD", "HEAD", "document", "navigate", NULL, false },
    { "PUT", "PUT", "document", "navigate", NULL, false },
    { "a picture", "GET", "image", "no-cors", NULL, false },
    { "a script's question", "GET", "empty", "cors", NULL, false },
    { "a script that says document", "GET", "document", "cors", NULL, false },
    { "an object", "GET", "object", "navigate", NULL, false },
    { "no browser", "GET", NULL, NULL, NULL, false },
    { "a part", "GET", "document", "navigate", "range", false },
    { "a WebSocket", "GET", "document", "navigate", "upgrade", false },
};

static void test_asked(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        struct arena a;
        struct message m = { .method = slice_str(asked[i].method) };
        arena_init(&a, 4096);
        add(&m.fields, &a, "sec-fetch-dest", asked[i].dest);
        add(&m.fields, &a, "sec-fetch-mode", asked[i].mode);
        if (asked[i].extra != NULL)
            add(&m.fields, &a, asked[i].extra, "x");
        if (document_asked(&m) != asked[i].want)
            fail_msg("%s", asked[i].name);
        arena_done(&a);
    }
}

struct judged {
    const char *name;
    unsigned status;
    const char *type, *other, *value;
    enum document_verdict want;
    enum document_coding coding;
};

#define HTML "text/html; charset=utf-8"
static const struct judged judged[] = {
    { "a page", 200, HTML, NULL, NULL, DOCUMENT_GOES, DOCUMENT_PLAIN },
    { "an error page", 404, HTML, NULL, NULL, DOCUMENT_GOES, DOCUMENT_PLAIN },
    { "the tool's trouble", 500, HTML, NULL, NULL, DOCUMENT_GOES, DOCUMENT_PLAIN },
    { "a redirect", 302, HTML, NULL, NULL, DOCUMENT_OTHER, DOCUMENT_PLAIN },
    { "a part", 206, HTML, NULL, NULL, DOCUMENT_OTHER, DOCUMENT_PLAIN },
    { "a part that says 200", 200, HTML, "content-range", "bytes 0-1/2", DOCUMENT_REFUSED, DOCUMENT_PLAIN },
    { "nothing changed", 304, HTML, NULL, NULL, DOCUMENT_OTHER, DOCUMENT_PLAIN },
    { "data", 200, "application/json", NULL, NULL, DOCUMENT_OTHER, DOCUMENT_PLAIN },
    { "plain text", 200, "text/plain", NULL, NULL, DOCUMENT_OTHER, DOCUMENT_PLAIN },
    { "text/htmlx", 200, "text/htmlx", NULL, NULL, DOCUMENT_OTHER, DOCUMENT_PLAIN },
    { "XHTML", 200, "application/xhtml+xml", NULL, NULL, DOCUMENT_REFUSED, DOCUMENT_PLAIN },
    { "no type", 200, NULL, NULL, NULL, DOCUMENT_REFUSED, DOCUMENT_PLAIN },
    { "two types", 200, HTML, "content-type", "text/plain", DOCUMENT_REFUSED, DOCUMENT_PLAIN },
    { "capital", 200, "Text/HTML ;Charset=\"UTF-8\"", NULL, NULL, DOCUMENT_GOES, DOCUMENT_PLAIN },
    { "no charset", 200, "text/html", NULL, NULL, DOCUMENT_GOES, DOCUMENT_PLAIN },
    { "Latin-1", 200, "text/html; charset=ISO-8859-15", NULL, NULL, DOCUMENT_GOES, DOCUMENT_PLAIN },
    { "Japanese", 200, "text/html; charset=Shift_JIS", NULL, NULL, DOCUMENT_GOES, DOCUMENT_PLAIN },
    { "Japanese with escapes", 200, "text/html; charset=iso-2022-jp", NULL, NULL, DOCUMENT_REFUSED, DOCUMENT_PLAIN },
    { "UTF-16", 200, "text/html; charset=utf-16", NULL, NULL, DOCUMENT_REFUSED, DOCUMENT_PLAIN },
    { "UTF-7", 200, "text/html; charset=utf-7", NULL, NULL, DOCUMENT_REFUSED, DOCUMENT_PLAIN },
    { "unknown", 200, "text/html; charset=x-user-defined", NULL, NULL, DOCUMENT_REFUSED, DOCUMENT_PLAIN },
    { "two charsets", 200, "text/html; charset=utf-8; charset=utf-16", NULL, NULL, DOCUMENT_REFUSED, DOCUMENT_PLAIN },
    { "an escaped charset", 200, "text/html; charset=\"utf\\-8\"", NULL, NULL, DOCUMENT_REFUSED, DOCUMENT_PLAIN },
    { "a broken parameter", 200, "text/html; charset", NULL, NULL, DOCUMENT_REFUSED, DOCUMENT_PLAIN },
    { "gzip", 200, HTML, "content-encoding", "GZip", DOCUMENT_GOES, DOCUMENT_GZIP },
    { "identity", 200, HTML, "content-encoding", "identity", DOCUMENT_GOES, DOCUMENT_PLAIN },
    { "brotli", 200, HTML, "content-encoding", "br", DOCUMENT_REFUSED, DOCUMENT_PLAIN },
    { "twice coded", 200, HTML, "content-encoding", "gzip, gzip", DOCUMENT_REFUSED, DOCUMENT_PLAIN },
    { "a download", 200, HTML, "content-disposition", "attachment; filename=x.html", DOCUMENT_OTHER, DOCUMENT_PLAIN },
    { "shown", 200, HTML, "content-disposition", "inline; filename=x.html", DOCUMENT_GOES, DOCUMENT_PLAIN },
    { "not to be changed", 200, HTML, "cache-control", "private, No-Transform", DOCUMENT_REFUSED, DOCUMENT_PLAIN },
    { "a policy against it", 200, HTML, "content-security-policy", "default-src 'none'", DOCUMENT_REFUSED, DOCUMENT_PLAIN },
};

static const struct csp_place place = { SLICE_INIT("support.example.com"), 443, SLICE_INIT("/.countersign/recorder/x.js"), SLICE_INIT(DOM_EVENTS) };

static void test_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof judged / sizeof *judged; i++) {
        const struct judged *r = &judged[i];
        struct arena a;
        struct message m = { .status = r->status, .framing = BODY_CHUNKED };
        struct csp_pass pass;
        enum document_coding coding = DOCUMENT_PLAIN;
        const char *why = NULL;
        arena_init(&a, 4096);
        add(&m.fields, &a, "content-type", r->type);
        if (r->other != NULL)
            add(&m.fields, &a, r->other, r->value);
        enum document_verdict got = document_judge(&m, &place, &coding, &pass, &why);
        if (got != r->want || (got == DOCUMENT_GOES && coding != r->coding) || (got == DOCUMENT_REFUSED && why == NULL))
            fail_msg("%s: %u, %s", r->name, (unsigned)got, why ? why : "-");
        m.framing = BODY_NONE;
        assert_int_equal(document_judge(&m, &place, &coding, &pass, &why), DOCUMENT_OTHER);
        arena_done(&a);
    }
}

static void test_fields(void **state)
{
    struct arena a;
    struct fields f = { 0 }, out;
    static const char *const dropped[] = { "content-length", "etag", "content-md5", "content-digest", "repr-digest", "digest", "accept-ranges", "content-encoding" };
    (void)state;
    arena_init(&a, 8192);
    for (size_t i = 0; i < sizeof dropped / sizeof *dropped; i++)
        add(&f, &a, dropped[i], "x");
    add(&f, &a, "last-modified", "x");
    add(&f, &a, "content-type", HTML);
    assert_int_equal(document_fields(&f, DOCUMENT_GZIP, &a, &out), OK);
    assert_int_equal(out.count, 2);
    assert_int_equal(document_fields(&f, DOCUMENT_PLAIN, &a, &out), OK);
    assert_int_equal(out.count, 3);
    assert_true(fields_get(&out, SLICE("content-encoding")).ptr != NULL);
    arena_done(&a);
}

static void test_tag(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, 4096);
    struct csp_pass pass = { SLICE("ab+/=="), false };
    assert_true(slice_eq(document_tag(&place, &pass, 42, &a),
                         SLICE("<script src=\"/.countersign/recorder/x.js\" nonce=\"ab+/==\" data-countersign=\"42\"></script>")));
    pass.nonce = (struct slice){ 0 };
    assert_true(slice_eq(document_tag(&place, &pass, 7, &a), SLICE("<script src=\"/.countersign/recorder/x.js\" data-countersign=\"7\"></script>")));
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_asked), cmocka_unit_test(test_judged), cmocka_unit_test(test_fields), cmocka_unit_test(test_tag) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
