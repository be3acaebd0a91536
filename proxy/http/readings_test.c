/* No spelling of a field may hide it, and what cannot be read in full must say so. */
#include "proxy/http/readings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include <stdio.h>

#define FORM "application/x-www-form-urlencoded"
#define JSON "application/json"
#define PART "multipart/form-data; boundary=B"

struct row {
    const char *name, *type;          /* type NULL: a query */
    struct slice text;
    bool readable;
    const char *want[6];              /* "name=value" that must be among the readings */
};
#define R(name, type, text, readable, ...) { name, type, SLICE_INIT(text), readable, { __VA_ARGS__ } }
#define YES(name, type, text, ...) R(name, type, text, true, __VA_ARGS__)
#define NO(name, type, text) R(name, type, text, false, NULL)
#define CD(name) "Content-Disposition: form-data; name=\"" name "\"\r\n"

static const struct row rows[] = {
    YES("pairs", NULL, "a=1&b=2", "a=1", "b=2"),
    YES("duplicates", NULL, "a=1&a=2", "a=1", "a=2"),
    YES("encoded name", NULL, "%61ction=e%78port", "action=export"),
    YES("decoded once", NULL, "a=%2565", "a=%65"),
    YES("plus both ways", NULL, "a=b+c", "a=b c", "a=b+c"),
    YES("plus in a name", NULL, "a+b=c", "a b=c", "a+b=c", "a_b=c"),
    YES("semicolons too", NULL, "a=1;b=2&c=3", "a=1;b=2", "b=2", "c=3", "b=2&c=3", "a=1"),
    YES("brackets", NULL, "ids[]=1", "ids[]=1", "ids=1"),
    YES("encoded brackets", NULL, "ids%5B%5D=1", "ids=1"),
    YES("nested brackets", NULL, "a[b][0][c]=1", "a.b.c=1"),
    YES("brackets that do not pair", NULL, "a[b=1", "a[b=1", "a_b=1"),
    YES("a name in brackets, as Rack and qs read it", NULL, "[export]=1", "export=1"),
    YES("a bracket behind a name, as Rack reads it", NULL, "export]=1", "export=1"),
    YES("text behind brackets, as PHP reads it", NULL, "a[b]c=1", "a.b=1"),
    YES("text behind brackets, as Rack reads it", NULL, "a[b]c=1", "a.b.c=1"),
    YES("a dot behind an index", NULL, "a[0].b=1", "a.b=1"),
    YES("what holds others is there", NULL, "a[b][c]=1", "a=", "a.b=", "a.b.c=1"),
    YES("dots as PHP reads them", NULL, "a.b=1", "a.b=1", "a_b=1"),
    YES("leading spaces as PHP drops them", NULL, "%20%20a=1", "a=1"),
    YES("no value", NULL, "a&b=", "a=", "b="),
    YES("two equals signs", NULL, "a=b=c", "a=b=c"),
    YES("empty pairs", NULL, "&&a=1&", "a=1"),
    YES("empty", NULL, "", NULL),
    NO("NUL in a query", NULL, "a=b%00c"),
    NO("broken escape in a query", NULL, "a=%zz"),
    NO("escape cut off", NULL, "a=%4"),

    YES("form", FORM, "a=1&b=%32", "a=1", "b=2"),
    YES("form with charset", FORM "; charset=UTF-8", "a=1", "a=1"),
    YES("form in capitals", "Application/X-WWW-Form-Urlencoded", "a=1", "a=1"),
    YES("raw UTF-8 in a form", FORM, "a=\xc3\xa9", "a=\xc3\xa9"),
    YES("JSON called a form", FORM, "{\"action\":\"export\"}", "action=export"),
    NO("form with another charset", FORM "; charset=utf-16", "a=1"),
    NO("form with IBM charset", FORM "; charset=ibm037", "a=1"),
    NO("form with two charsets", FORM "; charset=utf-8; charset=utf-8", "a=1"),
    NO("form with a newline", FORM, "a=1\r\n"),
    NO("form with NUL", FORM, "a=1\0"),
    NO("form with broken escape", FORM, "a=%"),
    NO("half JSON called a form", FORM, "{\"action\":\"export\"}="),

    YES("JSON members", JSON, "{\"a\":1,\"b\":{\"c\":\"d\"}}", "a=1", "b.c=d", "b="),
    YES("JSON duplicates", JSON, "{\"a\":1,\"a\":2}", "a=1", "a=2"),
    YES("JSON escapes", JSON, "{\"\\u0061ction\":\"e\\u0078port\"}", "action=export"),
    YES("JSON other escapes", JSON, "{\"a\":\"\\\"\\\\\\/\\n\\t\"}", "a=\"\\/\n\t"),
    YES("JSON surrogates", JSON, "{\"a\":\"\\ud83d\\ude00\"}", "a=\xf0\x9f\x98\x80"),
    YES("JSON array members", JSON, "{\"a\":[{\"b\":1},{\"b\":2},3]}", "a.b=1", "a.b=2", "a=3"),
    YES("JSON batch", JSON, "[{\"a\":1},{\"a\":2}]", "a=1", "a=2"),
    YES("JSON words", JSON, " { \"a\" : true , \"b\" : false , \"c\" : null } ", "a=true", "b=false", "c=null"),
    YES("JSON number spellings", JSON, "{\"a\":1.0,\"b\":1e2,\"c\":-0,\"d\":1.5}", "a=1.0", "a=1", "b=100", "c=0", "d=1.5"),
    YES("JSON empty containers count", JSON, "{\"export\":{},\"all\":[]}", "export=", "all="),
    YES("JSON scalar", JSON, "\"x\"", "=x"),
    YES("JSON by suffix", "application/vnd.api+json", "{\"a\":1}", "a=1"),
    NO("JSON trailing comma", JSON, "{\"a\":1,}"),
    NO("JSON array trailing comma", JSON, "[1,]"),
    NO("JSON comment", JSON, "{\"a\":1/**/}"),
    NO("JSON single quotes", JSON, "{'a':1}"),
    NO("JSON bare name", JSON, "{a:1}"),
    NO("JSON twice", JSON, "{\"a\":1}{\"a\":2}"),
    NO("JSON cut off", JSON, "{\"a\":1"),
    NO("JSON string cut off", JSON, "{\"a\":\"b"),
    NO("JSON string cut off behind a backslash", JSON, "\"\\"),
    NO("JSON control byte", JSON, "{\"a\":\"b\nc\"}"),
    NO("JSON NUL", JSON, "{\"a\":\"b\\u0000\"}"),
    NO("JSON lone high surrogate", JSON, "{\"a\":\"\\ud83d\"}"),
    NO("JSON lone low surrogate", JSON, "{\"a\":\"\\ude00\"}"),
    NO("JSON high surrogate twice", JSON, "{\"a\":\"\\ud83d\\ud83d\"}"),
    NO("JSON bad escape", JSON, "{\"a\":\"\\x41\"}"),
    NO("JSON bad UTF-8", JSON, "{\"a\":\"\xff\"}"),
    NO("JSON overlong UTF-8", JSON, "{\"a\":\"\xc0\xae\"}"),
    NO("JSON surrogate in UTF-8", JSON, "{\"a\":\"\xed\xa0\x80\"}"),
    NO("JSON UTF-8 cut off", JSON, "\"\xf0\x9f\""),
    NO("JSON byte order mark", JSON, "\xef\xbb\xbf{\"a\":1}"),
    NO("JSON in UTF-16", JSON, "{\0\"\0a\0\"\0:\0001\0}\0"),
    NO("JSON leading zero", JSON, "{\"a\":01}"),
    NO("JSON plus", JSON, "{\"a\":+1}"),
    NO("JSON no fraction", JSON, "{\"a\":1.}"),
    NO("JSON no exponent", JSON, "{\"a\":1e}"),
    NO("JSON NaN", JSON, "{\"a\":NaN}"),
    NO("JSON hex", JSON, "{\"a\":0x10}"),
    NO("JSON word cut off", JSON, "tru"),
    NO("JSON word goes on", JSON, "truer"),
    NO("JSON with another charset", JSON "; charset=utf-7", "{}"),
    NO("JSON lines", "application/x-ndjson", "{\"a\":1}\n{\"a\":2}\n"),

    YES("parts", PART, "--B\r\n" CD("a") "\r\n1\r\n--B\r\n" CD("a") "\r\n2\r\n--B--\r\n", "a=1", "a=2"),
    YES("no CRLF at the end", PART, "--B\r\n" CD("a") "\r\n1\r\n--B--", "a=1"),
    YES("no parts", PART, "--B--\r\n", NULL),
    YES("empty value", PART, "--B\r\n" CD("a") "\r\n\r\n--B--", "a="),
    YES("value with CRLF", PART, "--B\r\n" CD("a") "\r\n1\r\n2\r\n--B--", "a=1\r\n2"),
    YES("file", PART, "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"C:\\x.csv\"\r\nContent-Type: text/csv\r\n\r\na,b\r\n--B--",
        "f=a,b"),
    YES("quoted boundary", "multipart/form-data; boundary=\"B\"", "--B\r\n" CD("a") "\r\n1\r\n--B--", "a=1"),
    YES("brackets in a part", PART, "--B\r\n" CD("ids[]") "\r\n1\r\n--B--", "ids=1"),
    YES("escaped name in a part", PART, "--B\r\n" CD("%61ction") "\r\n1\r\n--B--", "%61ction=1", "action=1"),
    YES("token name", PART, "--B\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--B--", "a=1"),
    YES("JSON part", PART, "--B\r\n" CD("p") "Content-Type: application/json\r\n\r\n{\"a\":1}\r\n--B--", "p.a=1"),
    NO("no boundary", "multipart/form-data", "--B--"),
    NO("two boundaries", PART "; boundary=C", "--B--"),
    NO("boundary in pieces", "multipart/form-data; boundary*0=B", "--B--"),
    NO("empty boundary", "multipart/form-data; boundary=\"\"", "--\r\n----"),
    NO("preamble", PART, "x\r\n--B\r\n" CD("a") "\r\n1\r\n--B--"),
    NO("CRLF before the first boundary", PART, "\r\n--B\r\n" CD("a") "\r\n1\r\n--B--"),
    NO("epilogue", PART, "--B\r\n" CD("a") "\r\n1\r\n--B--\r\n--B\r\n" CD("b") "\r\n2\r\n--B--"),
    NO("boundary goes on", PART, "--B\r\n" CD("a") "\r\n1\r\n--Bx\r\n" CD("b") "\r\n2\r\n--B--"),
    NO("boundary padded", PART, "--B \r\n" CD("a") "\r\n1\r\n--B--"),
    NO("boundary after a bare LF", PART, "--B\r\n" CD("a") "\r\n1\n--B\r\n" CD("b") "\r\n2\r\n--B--"),
    NO("boundary inside a value", PART, "--B\r\n" CD("a") "\r\nx--B\r\n--B--"),
    NO("not closed", PART, "--B\r\n" CD("a") "\r\n1\r\n"),
    NO("closed in the wrong way", PART, "--B\r\n" CD("a") "\r\n1\r\n--B-"),
    NO("no empty line", PART, "--B\r\n" CD("a") "1\r\n--B--"),
    NO("no disposition", PART, "--B\r\nContent-Type: text/plain\r\n\r\n1\r\n--B--"),
    NO("two dispositions", PART, "--B\r\n" CD("a") CD("b") "\r\n1\r\n--B--"),
    NO("two names", PART, "--B\r\nContent-Disposition: form-data; name=\"a\"; name=\"b\"\r\n\r\n1\r\n--B--"),
    NO("extended name", PART, "--B\r\nContent-Disposition: form-data; name*=utf-8''a; name=\"b\"\r\n\r\n1\r\n--B--"),
    NO("escaped quote in a name", PART, "--B\r\nContent-Disposition: form-data; name=\"a\\\"b\"\r\n\r\n1\r\n--B--"),
    NO("escaped quote in a filename", PART,
       "--B\r\nContent-Disposition: form-data; filename=\"x\\\"; name=\"a\"; name=\"b\"\r\n\r\n1\r\n--B--"),
    NO("attachment", PART, "--B\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\n1\r\n--B--"),
    NO("base64 part", PART, "--B\r\n" CD("a") "Content-Transfer-Encoding: base64\r\n\r\nMQ==\r\n--B--"),
    NO("part in UTF-16", PART, "--B\r\n" CD("a") "Content-Type: text/plain; charset=utf-16\r\n\r\n1\r\n--B--"),
    NO("nested multipart", PART, "--B\r\n" CD("a") "Content-Type: multipart/mixed; boundary=C\r\n\r\n--C--\r\n--B--"),
    NO("charset of all values", PART, "--B\r\n" CD("_charset_") "\r\nutf-7\r\n--B--"),
    NO("NUL in a value", PART, "--B\r\n" CD("a") "\r\n1\0\r\n--B--"),
    NO("folded part field", PART, "--B\r\nContent-Disposition: form-data;\r\n name=\"a\"\r\n\r\n1\r\n--B--"),
    NO("bare LF in a part field", PART, "--B\r\nContent-Disposition: form-data; name=\"a\"\n\r\n1\r\n--B--"),
    NO("broken JSON part", PART, "--B\r\n" CD("p") "Content-Type: application/json\r\n\r\n{\r\n--B--"),

    NO("text", "text/plain", "a=1"),
    NO("XML", "application/xml", "<a/>"),
    NO("binary", "application/octet-stream", "a=1"),
    NO("no subtype", "application", "a=1"),
    NO("empty type", "", "a=1"),
    NO("two types in one", JSON ", " FORM, "a=1"),
    NO("broken parameter", FORM "; charset", "a=1"),
};

static bool among(const struct readings *r, const char *pair)
{
    struct slice s = slice_str(pair), name = slice_of(s.ptr, slice_find(s, '=')), value = slice_from(s, name.len + 1);
    for (size_t i = 0; i < r->count; i++)
        if (slice_eq(r->v[i].name, name) && slice_eq(r->v[i].value, value))
            return true;
    return false;
}

static enum status read_row(const struct row *r, struct slice text, struct arena *arena, struct readings *out)
{
    struct message m = { 0 };
    if (r->type == NULL)
        return readings_query(text, arena, out);
    assert_int_equal(fields_add(&m.fields, arena, 4, SLICE("content-type"), slice_str(r->type)), OK);
    return readings_body(&m, text, arena, out);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        struct arena arena;
        struct readings out = { 0 };
        arena_init(&arena, 1 << 20);
        unsigned char *exact = malloc(r->text.len ? r->text.len : 1);
        memcpy(exact, r->text.ptr, r->text.len);
        enum status st = read_row(r, slice_of(exact, r->text.len), &arena, &out);
        if (st != (r->readable ? OK : BAD_INPUT))
            fail_msg("row '%s': %s", r->name, status_name(st));
        for (size_t k = 0; k < 6 && r->want[k] != NULL; k++)
            if (!among(&out, r->want[k]))
                fail_msg("row '%s': no reading '%s'", r->name, r->want[k]);
        free(exact);
        arena_done(&arena);
    }
}

/* Every prefix of a readable body is read or refused, never past its end. */
static void test_prefixes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t n = 0; n < rows[i].text.len; n++) {
            struct arena arena;
            struct readings out = { 0 };
            unsigned char *exact = malloc(n ? n : 1);
            memcpy(exact, rows[i].text.ptr, n);
            arena_init(&arena, 1 << 20);
            enum status st = read_row(&rows[i], slice_of(exact, n), &arena, &out);
            assert_true(st == OK || st == BAD_INPUT);
            free(exact);
            arena_done(&arena);
        }
}

static void test_heads(void **state)
{
    struct arena arena;
    struct readings out;
    struct message m = { 0 };
    (void)state;
    arena_init(&arena, 65536);
    assert_int_equal(readings_body(&m, SLICE(""), &arena, &out), OK);
    assert_int_equal(readings_body(&m, SLICE("a=1"), &arena, &out), BAD_INPUT);          /* no type */
    assert_int_equal(fields_add(&m.fields, &arena, 4, SLICE("content-type"), SLICE(FORM)), OK);
    assert_int_equal(readings_body(&m, SLICE("a=1"), &arena, &out), OK);
    assert_int_equal(fields_add(&m.fields, &arena, 4, SLICE("content-encoding"), SLICE("gzip")), OK);
    assert_int_equal(readings_body(&m, SLICE("a=1"), &arena, &out), BAD_INPUT);          /* coded */
    m.fields.v[1] = (struct field){ SLICE("content-type"), SLICE(FORM) };
    assert_int_equal(readings_body(&m, SLICE("a=1"), &arena, &out), BAD_INPUT);          /* two types */
    arena_done(&arena);
}

static void test_limits(void **state)
{
    static unsigned char many[2 * (READINGS_MAX + 1)], deep[200];
    struct arena arena;
    struct readings out;
    (void)state;
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < sizeof many; i += 2)
        memcpy(many + i, "a&", 2);
    assert_int_equal(readings_query(slice_of(many, sizeof many - 2), &arena, &out), OK);
    assert_int_equal(out.count, READINGS_MAX);
    assert_int_equal(readings_query(slice_of(many, sizeof many), &arena, &out), FULL);
    struct message m = { 0 };
    assert_int_equal(fields_add(&m.fields, &arena, 4, SLICE("content-type"), SLICE(JSON)), OK);
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    assert_int_equal(readings_body(&m, slice_of(deep, 200), &arena, &out), BAD_INPUT);
    assert_int_equal(readings_body(&m, slice_of(deep + 40, 120), &arena, &out), OK);
    arena_done(&arena);
    arena_init(&arena, 100);
    assert_int_equal(readings_query(slice_of(many, 64), &arena, &out), NO_MEMORY);
    arena_done(&arena);
}

static void test_methods(void **state)
{
    struct arena arena;
    struct readings query, body;
    struct slice out[8];
    struct message m = { .method = SLICE("POST") };
    (void)state;
    arena_init(&arena, 65536);
    assert_int_equal(readings_methods(&m, NULL, NULL, &arena, out), 1);
    assert_int_equal(fields_add(&m.fields, &arena, 9, SLICE("x-http-method-override"), SLICE("delete, post")), OK);
    assert_int_equal(fields_add(&m.fields, &arena, 9, SLICE("x_http_method"), SLICE("put")), OK);
    assert_int_equal(fields_add(&m.fields, &arena, 9, SLICE("x-method-override"), SLICE("DELETE")), OK);
    assert_int_equal(fields_add(&m.fields, &arena, 9, SLICE("x-method-override"), SLICE("not a method")), OK);
    assert_int_equal(readings_query(SLICE("_method=patch&_METHOD=get"), &arena, &query), OK);
    assert_int_equal(readings_query(SLICE("_method=purge"), &arena, &body), OK);
    assert_int_equal(readings_methods(&m, &query, &body, &arena, out), 6);
    assert_true(slice_eq(out[0], SLICE("POST")) && slice_eq(out[1], SLICE("DELETE")) && slice_eq(out[2], SLICE("PUT")));
    assert_true(slice_eq(out[3], SLICE("PATCH")) && slice_eq(out[4], SLICE("GET")) && slice_eq(out[5], SLICE("PURGE")));
    /* More than the caller can look at: none may stay unseen. */
    assert_int_equal(readings_query(SLICE("_method=a&_method=b&_method=c"), &arena, &body), OK);
    assert_int_equal(readings_methods(&m, &query, &body, &arena, out), 8);
    assert_int_equal(readings_query(SLICE("_method=a&_method=b&_method=c&_method=d"), &arena, &body), OK);
    assert_int_equal(readings_methods(&m, &query, &body, &arena, out), 0);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows), cmocka_unit_test(test_prefixes), cmocka_unit_test(test_heads), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_methods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
