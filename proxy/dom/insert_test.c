#include "proxy/dom/insert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define BOM "\xef\xbb\xbf"

/* '@' marks where the text must go; none: nowhere. */
struct row {
    const char *name, *want;
};

static const struct row rows[] = {
    { "plain", "<!doctype html><html><head>@<title>x</title></head>" },
    { "capital", "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\"><HTML><HEAD>@<TITLE>" },
    { "attributes", "<html lang=en data-x='>'><head data-y=\">\" prefix=og>@<meta>" },
    { "a quote in a bare value ends nothing", "<html a=b'c><head>@<p title='<head>'>" },
    { "a quote in a name is part of the name", "<html a'b><head c\"d>@<p>" },
    { "a quote after a value begins a name", "<head a='1''>@'2'>" },
    { "no value", "<head a=>@x" },
    { "a slash", "<html/><head/>@<p>" },
    { "a slash in a bare value", "<html a=/b/><head>@" "<p>" },
    { "an equals sign begins a name", "<html =x='>'><head ='>@'>" },
    { "no head: before the first element", "<!doctype html>@<title>x</title>" },
    { "no head in html", "<!doctype html>\n<html>\n@<body>" },
    { "no doctype", "@<p>text" },
    { "text only", "@hello" },
    { "space and then text", " \t\r\n\f@hello" },
    { "header is not head", "<html>@<header><head>" },
    { "headx", "@<headx>" },
    { "heads without an end", "@<heads" },
    { "htmlx", "@<htmlx><head>" },
    { "hea", "@<hea><head>" },
    { "an end tag", "<html>@</head><head>" },
    { "comment", "<!-- <head> --><!doctype html><!--x--><head>@x" },
    { "comment with dashes", "<!-- a -- b --- ><head> --><head>@x" },
    { "comment that ends at once", "<!--><head>@--><p>" },
    { "comment that ends at once, one dash", "<!---><head>@--><p>" },
    { "comment that ends with a bang", "<!-- x --!><head>@--><p>" },
    { "comment with a bang that ends nothing", "<!-- x --!y --><head>@<p>" },
    { "comment in a comment", "<!-- <!-- --><head>@--><p>" },
    { "comment in a comment that ends at once", "<!-- <!--><head>@--><p>" },
    { "comment never ended", "<!-- <head> " },
    { "bogus comment", "<!x <head><head>@x" },
    { "bogus comment, one dash", "<!- <head><head>@x" },
    { "bogus comment, part of the doctype", "<!doctyp <head><head>@x" },
    { "bogus comment, at once", "<!><head>@x" },
    { "bogus comment, cdata", "<![CDATA[<head>@]]><head>" },
    { "xml declaration", "<?xml version=\"1.0\"?><!doctype html><head>@x" },
    { "xml declaration with a bracket", "<?xml a=\">@\"?><head>" },
    { "doctype with a bracket in quotes ends there", "<!doctype html \"x>@\"><head>" },
    { "two doctypes", "<!doctype html><!doctype html><head>@" "x" },
    { "html twice", "<html a><html b><head>@x" },
    { "byte order mark", BOM "<!doctype html><head>@x" },
    { "byte order mark and text", BOM "@x" },
    { "two byte order marks", BOM "@" BOM "<head>" },
    { "half a byte order mark", "@\xef\xbbx<head>" },
    { "one byte of it", "@\xef<head>" },
    { "UTF-16, big end first", "\xfe\xff<head>" },
    { "UTF-16, small end first", "\xff\xfe<head>" },
    { "other bytes", "@\x80<head>" },
    { "an escape", "@\x1b$B<head>" },
    { "empty", "" },
    { "space only", "  " },
    { "ends in a tag", "<html lang" },
    { "ends in what may be a tag", "<!doctype html><hea" },
    { "ends at the bracket", "<" },
    { "nothing after head", "<head>@" },
    { "less than", "@< html><head>" },
    { "less than twice", "@<<head>" },
    { "a tag in a name", "<html <head>@x" },
    { "frameset", "<!doctype html><html>@<frameset><frame src=/></frameset></html>" },
};

struct text {
    char v[256 * 1024];
    size_t len;
};

static void put(void *to, struct slice s)
{
    struct text *t = to;
    assert_true(s.len > 0 && t->len + s.len <= sizeof t->v);
    memcpy(t->v + t->len, s.ptr, s.len);
    t->len += s.len;
}

static struct text got;

static struct insert run(struct slice in, size_t first, size_t step, const char *text)
{
    struct insert i;
    struct insert_out out = { put, &got };
    got.len = 0;
    insert_init(&i, slice_str(text));
    insert_feed(&i, slice_of(in.ptr, first), &out);
    for (size_t at = first; at < in.len; at += step)
        insert_feed(&i, slice_of(in.ptr + at, in.len - at < step ? in.len - at : step), &out);
    insert_end(&i, &out);
    return i;
}

static void check(const struct row *r, size_t first, size_t step)
{
    char in[512];
    size_t len = 0, at = strcspn(r->want, "@");
    bool goes = r->want[at] == '@';
    for (const char *p = r->want; *p != 0; p++)
        if (*p != '@')
            in[len++] = *p;
    if (first > len)
        return;
    struct insert i = run(slice_of(in, len), first, step, "@");
    if (!slice_eq(slice_of(got.v, got.len), slice_str(r->want)))
        fail_msg("%s (%zu, %zu): \"%.*s\"", r->name, first, step, (int)got.len, got.v);
    if (i.outcome != (goes ? INSERT_DONE : INSERT_NONE) || (goes && i.at != at) || (!goes && i.why == NULL))
        fail_msg("%s (%zu, %zu): outcome %u at %llu", r->name, first, step, (unsigned)i.outcome, (unsigned long long)i.at);
}

/* In one piece, byte by byte, and in two at every place. */
static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        check(&rows[i], 0, 1);
        check(&rows[i], 0, 3);
        for (size_t first = 0; first < strlen(rows[i].want) + 1; first++)
            check(&rows[i], first, 4096);
    }
}

static void test_nul(void **state)
{
    static const unsigned char wide[] = "<\0h\0e\0a\0d\0>\0", later[] = "<!doctype html><head\0>x", after[] = "<head>@\0";
    (void)state;
    struct insert i = run(slice_of(wide, sizeof wide - 1), 0, 1, "@");
    assert_int_equal(i.outcome, INSERT_NONE);
    assert_memory_equal(got.v, wide, sizeof wide - 1);
    i = run(slice_of(later, sizeof later - 1), 3, 4, "@");
    assert_int_equal(i.outcome, INSERT_NONE);
    assert_memory_equal(got.v, later, sizeof later - 1);
    i = run(slice_of("<head>\0", 7), 0, 2, "@");
    assert_int_equal(i.outcome, INSERT_DONE);
    assert_memory_equal(got.v, after, 8);
}

/* It looks so far and no further; what it gives up goes on as it is. */
static void test_limit(void **state)
{
    static char long_one[INSERT_LOOK_MAX + 100];
    (void)state;
    memset(long_one, ' ', sizeof long_one);
    memcpy(long_one + INSERT_LOOK_MAX - 20, "<head>x", 7);
    struct insert i = run(slice_of(long_one, sizeof long_one), 1, 4096, "@");
    assert_int_equal(i.outcome, INSERT_DONE);
    assert_int_equal(got.len, sizeof long_one + 1);
    memset(long_one, ' ', sizeof long_one);
    for (size_t at = INSERT_LOOK_MAX - 12; at < INSERT_LOOK_MAX + 3; at++) {
        memset(long_one, ' ', sizeof long_one);
        memcpy(long_one + at, "<!doctype html>", 15);
        for (size_t step = 1; step < 9000; step = step * 3 + 1) {
            i = run(slice_of(long_one, sizeof long_one), 7, step, "@");
            assert_int_equal(i.outcome, INSERT_NONE);
            assert_int_equal(got.len, sizeof long_one);
            assert_memory_equal(got.v, long_one, sizeof long_one);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_nul), cmocka_unit_test(test_limit) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
