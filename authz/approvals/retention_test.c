/* How long a session is kept, when the time was changed meanwhile. */
#include "authz/approvals/retention.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>


static void test_times(void **state)
{
    static const struct {
        const char *name;
        struct retention_time v[4];
        size_t count;
        int64_t started, now, shorten_after, want;
    } rows[] = {
        { "never set", { { 0 } }, 0, 10, 100, 0, 0 },
        { "set before it began", { { 5, 90 } }, 1, 10, 100, 0, 90 },
        { "set after it began: it was promised for ever", { { 5, 90 } }, 1, 3, 100, 0, 0 },
        { "the same, and shortening counts after a while", { { 5, 90 } }, 1, 3, 100, 50, 90 },
        { "the same, not yet", { { 5, 90 } }, 1, 3, 54, 50, 0 },
        { "the same, just so", { { 5, 90 } }, 1, 3, 55, 50, 90 },
        { "shortened while it ran", { { 5, 90 }, { 20, 1 } }, 2, 10, 100, 0, 90 },
        { "shortened before it began", { { 5, 90 }, { 20, 1 } }, 2, 21, 100, 0, 1 },
        { "made longer", { { 5, 1 }, { 20, 90 } }, 2, 10, 100, 0, 90 },
        { "made longer, then shorter again", { { 5, 1 }, { 20, 90 }, { 30, 2 } }, 3, 10, 100, 0, 90 },
        { "for ever in between", { { 5, 1 }, { 20, 0 }, { 30, 2 } }, 3, 10, 100, 0, 0 },
        { "for ever in between, long past", { { 5, 1 }, { 20, 0 }, { 30, 2 } }, 3, 10, 100, 70, 2 },
        { "for ever now", { { 5, 1 }, { 20, 0 } }, 2, 10, 100, 1, 0 },
        { "shortened and back at once", { { 5, 90 }, { 20, 1 }, { 21, 90 } }, 3, 10, 100, 0, 90 },
        { "the clock went back", { { 50, 90 }, { 60, 1 } }, 2, 55, 10, 5, 90 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t got = retention_of(rows[i].v, rows[i].count, rows[i].started, rows[i].now, rows[i].shorten_after);
        if (got != rows[i].want)
            fail_msg("%s: %lld, not %lld", rows[i].name, (long long)got, (long long)rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_times) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
