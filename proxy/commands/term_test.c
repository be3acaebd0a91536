#include "proxy/commands/term.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const struct row {
    const char *name;
    struct slice in;
    const char *out;
} rows[] = {
    { "plain", SLICE_INIT("export audience 7"), "export audience 7" },
    { "umlauts and emoji pass", SLICE_INIT("Z\xc3\xbcrich \xf0\x9f\x98\x80"), "Z\xc3\xbcrich \xf0\x9f\x98\x80" },
    { "escape sequence", SLICE_INIT("\x1b[2J\x1b]0;x\x07"), "\\x1b[2J\\x1b]0;x\\x07" },
    { "a line of ours", SLICE_INIT("ok\nApproved by bob\r"), "ok\\x0aApproved by bob\\x0d" },
    { "tab", SLICE_INIT("a\tb"), "a\\x09b" },
    { "NUL", SLICE_INIT("a\0b"), "a\\x00b" },
    { "DEL", SLICE_INIT("\x7f"), "\\x7f" },
    { "C1 CSI as UTF-8", SLICE_INIT("\xc2\x9b" "31m"), "\\x9b31m" },
    { "C1 CSI as a byte", SLICE_INIT("\x9b" "31m"), "\\x9b31m" },
    { "right-to-left override", SLICE_INIT("a\xe2\x80\xae" "b"), "a\\u{202e}b" },
    { "isolates", SLICE_INIT("\xe2\x81\xa6"), "\\u{2066}" },
    { "zero width space", SLICE_INIT("a\xe2\x80\x8b"), "a\\u{200b}" },
    { "line separator", SLICE_INIT("\xe2\x80\xa8"), "\\u{2028}" },
    { "byte order mark", SLICE_INIT("\xef\xbb\xbf"), "\\u{feff}" },
    { "tag characters", SLICE_INIT("\xf3\xa0\x81\xa1"), "\\u{e0061}" },
    { "overlong slash", SLICE_INIT("\xc0\xaf"), "\\xc0\\xaf" },
    { "overlong three", SLICE_INIT("\xe0\x80\xaf"), "\\xe0\\x80\\xaf" },
    { "surrogate", SLICE_INIT("\xed\xa0\x80"), "\\xed\\xa0\\x80" },
    { "past the last", SLICE_INIT("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80" },
    { "cut in the middle", SLICE_INIT("\xe2\x80"), "\\xe2\\x80" },
    { "lone continuation", SLICE_INIT("\x80"), "\\x80" },
};

static void escapes_what_could_drive_a_terminal(void **state)
{
    (void)state;
    char out[256];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("%s\n", rows[i].name);
        assert_string_equal(term_escape(rows[i].in, out, sizeof out), rows[i].out);
    }
}

static void cuts_before_an_escape_that_does_not_fit(void **state)
{
    (void)state;
    char out[6];
    assert_string_equal(term_escape(SLICE("ab\x1b"), out, sizeof out), "ab");
    assert_string_equal(term_escape(SLICE("a\x1b"), out, sizeof out), "a\\x1b");
    assert_string_equal(term_escape(SLICE(""), out, 1), "");
}

static void blocks_keep_lines_and_prefix_each(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    term_block(f, SLICE("one\r\ntwo\tx\n\nthree\x1b\rfour\n"), "| ");
    term_block(f, SLICE(""), "| ");
    term_block(f, SLICE("\r\n\r"), "> ");
    fclose(f);
    assert_string_equal(text, "| one\n| two\tx\n| \n| three\\x1b\\x0dfour\n> \n> \\x0d\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_what_could_drive_a_terminal),
        cmocka_unit_test(cuts_before_an_escape_that_does_not_fit),
        cmocka_unit_test(blocks_keep_lines_and_prefix_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
