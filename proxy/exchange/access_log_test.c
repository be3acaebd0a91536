/* What counts as a trace id. */
#include "proxy/exchange/access_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define ID "0af7651916cd43dd8448eb211c80319c"
static const struct row {
    const char *name, *field;
    bool good;
} rows[] = {
    { "as in the standard", "00-" ID "-b7ad6b7169203331-01", true },
    { "a later version that goes on", "01-" ID "-b7ad6b7169203331-01-more", true },
    { "a later version of the same length", "cc-" ID "-b7ad6b7169203331-00", true },
    { "a later version that goes on without a dash", "01-" ID "-b7ad6b7169203331-01x", false },
    { "version 00 that goes on", "00-" ID "-b7ad6b7169203331-01-more", false },
    { "version ff", "ff-" ID "-b7ad6b7169203331-01", false },
    { "upper case", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false },
    { "a trace id of zeros", "00-00000000000000000000000000000000-b7ad6b7169203331-01", false },
    { "a parent id of zeros", "00-" ID "-0000000000000000-01", false },
    { "short", "00-" ID "-b7ad6b7169203331-0", false },
    { "empty", "", false },
    { "a quote in it", "00-0af7651916cd43dd8448eb211c80319\"-b7ad6b7169203331-01", false },
    { "a letter past f", "00-" ID "-b7ad6b716920333g-01", false },
    { "flags that are no hex", "00-" ID "-b7ad6b7169203331-zz", false },
    { "other separators", "00_" ID "_b7ad6b7169203331_01", false },
    { "two joined", "00-" ID "-b7ad6b7169203331-01,00-" ID "-b7ad6b7169203331-01", false },
};

static void test_trace_ids(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char out[TRACE_ID_LEN + 1] = "";
        print_message("%s\n", rows[i].name);
        assert_int_equal(trace_id(slice_str(rows[i].field), out), rows[i].good);
        assert_string_equal(out, rows[i].good ? ID : "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_trace_ids) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
