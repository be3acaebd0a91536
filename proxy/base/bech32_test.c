#include "proxy/base/bech32.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

/* From age's own documents. */
static const char secret[] = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";

static void a_known_key_reads_and_writes(void **state)
{
    unsigned char raw[32];
    char again[BECH32_LEN(15, 32) + 1];
    (void)state;
    assert_true(bech32_decode("AGE-SECRET-KEY-", slice_str(secret), raw, sizeof raw));
    for (size_t i = 0; i < sizeof raw; i++)
        assert_int_equal(raw[i], 0x42);
    bech32_encode("AGE-SECRET-KEY-", slice_of(raw, sizeof raw), again);
    assert_string_equal(again, secret);
}

static void every_length_comes_back(void **state)
{
    unsigned char in[BECH32_BYTES_MAX], out[BECH32_BYTES_MAX];
    char text[BECH32_LEN(3, BECH32_BYTES_MAX) + 1];
    (void)state;
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (unsigned char)(i * 37 + 11);
    for (size_t n = 0; n <= sizeof in; n++) {
        bech32_encode("age", slice_of(in, n), text);
        assert_int_equal(strlen(text), BECH32_LEN(3, n));
        assert_true(bech32_decode("age", slice_str(text), out, n));
        assert_memory_equal(in, out, n);
    }
}

static void one_wrong_character_is_seen(void **state)
{
    char text[sizeof secret];
    unsigned char raw[32];
    (void)state;
    for (size_t i = 0; i + 1 < sizeof secret; i++)
        for (const char *c = "QPZL7b1 "; *c != 0; c++) {
            memcpy(text, secret, sizeof text);
            if (text[i] == *c)
                continue;
            text[i] = *c;
            assert_false(bech32_decode("AGE-SECRET-KEY-", slice_str(text), raw, sizeof raw));
        }
}

static void other_texts_are_refused(void **state)
{
    static const struct { const char *name, *prefix, *text; size_t want; } rows[] = {
        { "empty", "age", "", 32 },
        { "prefix only", "age", "age1", 32 },
        { "lower case of an upper prefix", "AGE-SECRET-KEY-", "age-secret-key-1gfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpq4egaex", 32 },
        { "one byte fewer wanted", "AGE-SECRET-KEY-", secret, 31 },
        { "another prefix of the same length", "AGE-SECRET-KEZ-", secret, 32 },
        { "more than we ever take", "age", "age1", 65 },
    };
    unsigned char raw[32];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (bech32_decode(rows[i].prefix, slice_str(rows[i].text), raw, rows[i].want))
            fail_msg("%s", rows[i].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_key_reads_and_writes),
        cmocka_unit_test(every_length_comes_back),
        cmocka_unit_test(one_wrong_character_is_seen),
        cmocka_unit_test(other_texts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
