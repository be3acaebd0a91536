#include "proxy/commands/html_text.h"
#include "proxy/commands/body_text.h"
#include "proxy/record/inflate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <zlib.h>
#include <cmocka.h>

static const struct row {
    const char *name;
    struct slice html;
    const char *text;
} rows[] = {
    { "words", SLICE_INIT("a <b>bold</b>\n  word"), "a bold word" },
    { "script, style, comment, doctype", SLICE_INIT("<!DOCTYPE html><!-- <p>x --><script>if (a < b) alert('</p>')</script><style>p{}</style>seen"), "seen" },
    { "script that never ends", SLICE_INIT("seen<script>hidden"), "seen" },
    { "script in odd case", SLICE_INIT("<SCRIPT>hidden</Script>seen"), "seen" },
    { "comment that never ends", SLICE_INIT("seen<!-- hidden"), "seen" },
    { "tag that never ends", SLICE_INIT("seen<a href=\"x"), "seen" },
    { "greater-than in an attribute", SLICE_INIT("<a title=\"a>b\">link</a>"), "link" },
    { "lonely quote in a tag", SLICE_INIT("<p don't>a</p>b"), "a\n\nb" },
    { "less-than that is none", SLICE_INIT("1 < 2 <3"), "1 < 2 <3" },
    { "entities", SLICE_INIT("&lt;b&gt; &amp;amp; &#65;&#x42; &nbsp;&bogus; &#0; &#xD800; &; & &#99999999999;"), "<b> &amp; AB &bogus; &#0; &#xD800; &; & &#99999999999;" },
    { "escape sequence by entity stays a byte for term.h", SLICE_INIT("&#27;[2J"), "\x1b[2J" },
    { "a table", SLICE_INIT("<table><tr><th>Name</th><th>Plan</th></tr><tr><td>Acme</td><td>gold</td></tr></table>"), "Name |Plan |\nAcme |gold |" },
    { "paragraphs and lists", SLICE_INIT("<h1>T</h1><p>a<p>b<ul><li>c<li>d</ul>"), "T\n\na\n\nb\n- c\n- d" },
    { "form fields", SLICE_INIT("<input type=hidden value=t><input value='a &amp; b'><input type=checkbox checked><input type=radio><input type=password value=x>"), "[a & b] [x] [ ] [***]" },
    { "attribute that looks like another", SLICE_INIT("<input data-value=no value=yes>"), "[yes]" },
    { "select", SLICE_INIT("<select><option>a<option selected>b</select>"), "( ) a (*) b" },
    { "image", SLICE_INIT("<img src=x alt=\"Chart\">"), "Chart" },
    { "nothing", SLICE_INIT(""), "" },
    { "NUL and controls pass to term.h", SLICE_INIT("a\0b"), "a" },
};

static void pages_become_what_people_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t len = 0;
        char *text = html_to_text(rows[i].html, 4096, &len);
        print_message("%s: '%s'\n", rows[i].name, text);
        assert_non_null(text);
        assert_string_equal(text, rows[i].text);
        free(text);
    }
}

static void output_is_bounded_at_every_size(void **state)
{
    (void)state;
    struct slice html = SLICE("<p>&euro;&euro;<td>x</td><input value=abcdef><li>z");
    for (size_t max = 0; max < 40; max++) {
        size_t len = 0;
        char *text = html_to_text(html, max, &len);
        assert_true(len <= max);
        assert_int_equal(text[len], 0);
        free(text);
    }
}

static char *printed(void (*print)(FILE *, const char *, const char *, struct slice, size_t, const char *), const char *type, const char *coding, struct slice body,
                     size_t shown)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    print(f, type, coding, body, shown, "| ");
    fclose(f);
    return text;
}

static void bodies_are_shown_exactly(void **state)
{
    (void)state;
    static const struct {
        const char *name, *type, *coding;
        struct slice body;
        size_t shown;
        const char *out;
    } cases[] = {
        { "form", "application/x-www-form-urlencoded", "", SLICE_INIT("a=1+2&b=%3Cx%3E&c&d=%zz&=e&f%3Dg=h%3D"), 1000, "| a=1 2\n| b=<x>\n| c\n| d=%zz\n| =e\n| f%3Dg=h=\n" },
        { "form that draws a line", "application/x-www-form-urlencoded; charset=utf-8", "", SLICE_INIT("a=%0aok%1b[1m"), 1000, "| a=\\x0aok\\x1b[1m\n" },
        { "a name that comes twice, once spelled otherwise", "application/x-www-form-urlencoded", "", SLICE_INIT("to=a&amount=1&t%6f=b"), 1000,
          "| to=a\n| amount=1\n| to=b   [this name came before: tools differ in which one counts]\n" },
        { "a token is not shown", "application/x-www-form-urlencoded", "", SLICE_INIT("csrf_token=Ab9-_%3D"), 1000, "| csrf_token=(8 bytes, the page's own token, not shown)\n" },
        { "nothing hides under a token's name", "application/x-www-form-urlencoded", "", SLICE_INIT("_csrf=pay+eve;now"), 1000, "| _csrf=pay eve;now\n" },
        { "nor as the second of two", "application/x-www-form-urlencoded", "", SLICE_INIT("_csrf=a&_csrf=b"), 1000,
          "| _csrf=(1 bytes, the page's own token, not shown)\n| _csrf=b   [this name came before: tools differ in which one counts]\n" },
        { "encoded twice is shown decoded once", "application/x-www-form-urlencoded", "", SLICE_INIT("a=%2541"), 1000, "| a=%41\n" },
        { "another reading order", "application/x-www-form-urlencoded", "", SLICE_INIT("a=%E2%80%AE1"), 1000, "| a=\\u{202e}1\n" },
        { "UTF-7", "text/plain; charset=utf-7", "", SLICE_INIT("+ADw-"), 1000,
          "| [it says that it is in the character set 'utf-7'; read as UTF-8 here, so the tool may read something else]\n| +ADw-\n" },
        { "long form is cut aloud", "application/x-www-form-urlencoded", "", SLICE_INIT("a=1&b=2&c=3"), 4, "| a=1\n| [… 7 bytes more, not shown]\n" },
        { "json", "application/json", "", SLICE_INIT("{\"b\":[1,2]}"), 1000, "| {\n|   \"b\": [\n|     1,\n|     2\n|   ]\n| }\n" },
        { "json with duplicates as it came", "application/json", "", SLICE_INIT("{\"a\":1,\"a\":2}"), 1000,
          "| [not JSON that reads in one way (duplicate object key near '\"a\"'), so as it came:]\n| {\"a\":1,\"a\":2}\n" },
        { "text is cut between characters", "text/plain", "", SLICE_INIT("ab\xc3\xbc"), 3, "| ab\n| [… 2 bytes more, not shown]\n" },
        { "html stays source", "text/html", "", SLICE_INIT("<p>x"), 100, "| <p>x\n" },
        { "binary is hex", "image/png", "", SLICE_INIT("\x89PNG\0"), 100, "| 000000  89 50 4e 47 00                                   .PNG.\n" },
        { "unknown coding", "text/plain", "br", SLICE_INIT("\x01\x02"), 100,
          "| [coded as 'br', which this command does not read; the coded bytes:]\n| 000000  01 02                                            ..\n" },
        { "broken gzip", "text/plain", "gzip", SLICE_INIT("nope"), 100,
          "| [coded as 'gzip', which this command does not read; the coded bytes:]\n| 000000  6e 6f 70 65                                      nope\n" },
        { "empty", "text/plain", "gzip", SLICE_INIT(""), 100, "" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = printed(body_text_print, cases[i].type, cases[i].coding, cases[i].body, cases[i].shown);
        print_message("%s:\n%s", cases[i].name, text);
        assert_string_equal(text, cases[i].out);
        free(text);
    }
}

static void pages_are_text_and_assets_one_line(void **state)
{
    (void)state;
    char *text = printed(body_page_print, "text/html; charset=utf-8", "", SLICE("<h1>Hi</h1>\x1b"), 100);
    assert_string_equal(text, "| Hi\n| \n| \\x1b\n");
    free(text);
    text = printed(body_page_print, "image/png", "", SLICE("xxxx"), 100);
    assert_string_equal(text, "| [image/png, 4 bytes]\n");
    free(text);
}

static size_t gzip_of(const unsigned char *in, size_t len, int bits, unsigned char *out, size_t max)
{
    z_stream z = { .next_in = (Bytef *)(uintptr_t)in, .avail_in = (uInt)len, .next_out = out, .avail_out = (uInt)max };
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return max - z.avail_out;
}

static void codings_are_undone_and_bombs_stop(void **state)
{
    (void)state;
    static unsigned char zeros[1 << 20], packed[8192];
    memset(zeros, 'x', sizeof zeros);
    static const struct {
        const char *coding;
        int bits;
    } kinds[] = { { "gzip", 31 }, { "x-gzip", 31 }, { "deflate", 15 }, { "Deflate", -15 } };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct slice in = slice_of(packed, gzip_of(zeros, sizeof zeros, kinds[i].bits, packed, sizeof packed)), out;
        unsigned char *owned = NULL;
        bool cut = true;
        assert_int_equal(body_decode(in, kinds[i].coding, 2 << 20, &owned, &out, &cut), OK);
        assert_int_equal(out.len, sizeof zeros);
        assert_false(cut);
        free(owned);
        assert_int_equal(body_decode(in, kinds[i].coding, 100000, &owned, &out, &cut), OK);
        assert_int_equal(out.len, 100000);
        assert_true(cut);
        free(owned);
        assert_int_equal(body_decode(slice_of(packed, in.len / 2), kinds[i].coding, 2 << 20, &owned, &out, &cut), OK);
        assert_true(cut);
        free(owned);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_become_what_people_read), cmocka_unit_test(output_is_bounded_at_every_size), cmocka_unit_test(bodies_are_shown_exactly),
        cmocka_unit_test(pages_are_text_and_assets_one_line), cmocka_unit_test(codings_are_undone_and_bombs_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
