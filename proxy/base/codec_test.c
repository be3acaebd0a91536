#include "proxy/base/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

static void base64url_has_one_text_a_value(void **state)
{
    static const struct { const char *name, *text; bool good; } rows[] = {
        { "empty", "", true },          { "one byte", "AA", true },         { "two bytes", "AAA", true },
        { "three bytes", "AAAA", true }, { "url alphabet", "-_-_", true },   { "padding", "AA==", false },
        { "plain alphabet", "+/+/", false }, { "one character", "A", false }, { "unused bits set", "AB", false },
        { "unused bits of two bytes", "AAB", false }, { "space", "AA A", false }, { "newline", "AAAA\n", false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned char out[16];
        size_t len = 0;
        enum status st = b64url_decode(slice_str(rows[i].text), out, sizeof out, &len);
        if ((st == OK) != rows[i].good)
            fail_msg("%s: '%s'", rows[i].name, rows[i].text);
        char back[32];
        if (st == OK) {
            b64url_encode(slice_of(out, len), back);
            assert_string_equal(back, rows[i].text);
        }
    }
}

static void round_trips(void **state)
{
    (void)state;
    srand(2);
    for (int i = 0; i < 2000; i++) {
        unsigned char in[64], out[64];
        char text[B64URL_LEN(64) + 1], hex[HEX_LEN(64) + 1];
        size_t n = (size_t)rand() % sizeof in, len = 0;
        for (size_t k = 0; k < n; k++)
            in[k] = (unsigned char)rand();
        b64url_encode(slice_of(in, n), text);
        assert_int_equal(strlen(text), B64URL_LEN(n));
        assert_int_equal(b64url_decode(slice_str(text), out, sizeof out, &len), OK);
        assert_true(slice_eq(slice_of(in, n), slice_of(out, len)));
        hex_encode(slice_of(in, n), hex);
        assert_int_equal(hex_decode(slice_str(hex), out, sizeof out, &len), OK);
        assert_true(slice_eq(slice_of(in, n), slice_of(out, len)));
    }
}

static void too_small_is_refused(void **state)
{
    unsigned char out[2];
    size_t len = 0;
    (void)state;
    assert_int_equal(b64url_decode(SLICE("AAAA"), out, sizeof out, &len), BAD_INPUT);
    assert_int_equal(hex_decode(SLICE("000000"), out, sizeof out, &len), BAD_INPUT);
    assert_int_equal(hex_decode(SLICE("AB"), out, sizeof out, &len), BAD_INPUT);
}

static void sha256_of_pieces(void **state)
{
    const struct slice pieces[] = { SLICE("a"), SLICE(""), SLICE("bc") };
    unsigned char digest[32];
    char hex[65];
    (void)state;
    sha256(pieces, 3, digest);
    hex_encode(slice_of(digest, 32), hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");   /* FIPS 180-2 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64url_has_one_text_a_value),
        cmocka_unit_test(round_trips),
        cmocka_unit_test(too_small_is_refused),
        cmocka_unit_test(sha256_of_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
