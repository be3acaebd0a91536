#include "authz/cbor.h"

#include "proxy/base/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

/* Can the whole of it be read as one item? RFC 8949, appendix A, and what canonical CBOR forbids. */
static void items(void **state)
{
    static const struct { const char *name, *hex; bool good; } rows[] = {
        { "0", "00", true }, { "23", "17", true }, { "24", "1818", true }, { "100", "1864", true }, { "1000", "1903e8", true },
        { "1000000", "1a000f4240", true }, { "largest", "1bffffffffffffffff", true }, { "-1", "20", true }, { "-1000", "3903e7", true },
        { "no bytes", "40", true }, { "bytes", "4401020304", true }, { "no text", "60", true }, { "text", "6449455446", true },
        { "no members", "80", true }, { "array", "83010203", true }, { "nested", "8301820203820405", true }, { "no pairs", "a0", true },
        { "map", "a26161016162820203", true }, { "false", "f4", true }, { "true", "f5", true }, { "null", "f6", true },
        { "four deep", "8181818100", true },
        { "nothing", "", false }, { "23 in two bytes", "1817", false }, { "255 in three", "1900ff", false }, { "65535 in five", "1a0000ffff", false },
        { "32 bits in nine", "1b00000000ffffffff", false }, { "length in two bytes", "580401020304", false }, { "cut in the head", "19", false },
        { "cut in the length", "5901", false }, { "cut in the bytes", "4401", false }, { "length beyond all", "5bffffffffffffffff", false },
        { "array of too many", "9bffffffffffffffff", false }, { "map of too many", "bbffffffffffffffff", false }, { "map cut off", "a101", false },
        { "array cut off", "8301", false }, { "indefinite bytes", "5f4101ff", false }, { "indefinite text", "7f6161ff", false },
        { "indefinite array", "9f01ff", false }, { "indefinite map", "bf6161f5ff", false }, { "break alone", "ff", false },
        { "tag", "c074", false }, { "self-described", "d9d9f700", false }, { "undefined", "f7", false }, { "simple 16", "f0", false },
        { "simple 24 in two bytes", "f818", false }, { "simple 20 in two bytes", "f814", false }, { "half float", "f90000", false },
        { "float", "fa47c35000", false }, { "double", "fb3ff199999999999a", false }, { "reserved 28", "1c", false },
        { "six deep", "8181818181818100", false }, { "five deep", "818181818100", false }, { "something behind", "0000", false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned char bytes[64];
        size_t len = 0;
        assert_int_equal(hex_decode(slice_str(rows[i].hex), bytes, sizeof bytes, &len), OK);
        unsigned char *exact = malloc(len ? len : 1);   /* so that one byte too far is seen */
        memcpy(exact, bytes, len);
        struct slice in = slice_of(exact, len);
        if ((cbor_skip(&in) && in.len == 0) != rows[i].good)
            fail_msg("%s: %s", rows[i].name, rows[i].good ? "refused" : "accepted");
        free(exact);
    }
}

static void integers(void **state)
{
    static const struct { const char *hex; bool good; int64_t value; } rows[] = {
        { "26", true, -7 }, { "390100", true, -257 }, { "1b7fffffffffffffff", true, INT64_MAX }, { "1b8000000000000000", false, 0 },
        { "3b7fffffffffffffff", true, INT64_MIN }, { "3bffffffffffffffff", false, 0 }, { "40", false, 0 }, { "f5", false, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned char bytes[16];
        size_t len = 0;
        struct cbor_item item;
        int64_t value = 0;
        assert_int_equal(hex_decode(slice_str(rows[i].hex), bytes, sizeof bytes, &len), OK);
        struct slice in = slice_of(bytes, len);
        assert_true(cbor_next(&in, &item));
        assert_int_equal(cbor_int(&item, &value), rows[i].good);
        if (rows[i].good)
            assert_true(value == rows[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(items), cmocka_unit_test(integers) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
