#include "proxy/exchange/operator_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static void names(void **state)
{
    static const struct { const char *name; bool good; } rows[] = {
        { "checkpoint", true }, { "key", true }, { "tile/0/000", true }, { "tile/0/000.p/1", true }, { "tile/5/x001/x234/067", true },
        { "tile/entries/x001/000.p/255", true },
        { "", false }, { "checkpoint/", false }, { "/checkpoint", false }, { "../authz.db", false }, { "tile/../../authz.db", false }, { "tile/0/..", false },
        { "tile/0/000.p/0", false }, { "tile/0/000.p/256", false }, { "tile/0/000.p/01", false }, { "tile/0/000.p/", false }, { "tile/0/00", false },
        { "tile/0/0000", false }, { "tile/0/x000", false }, { "tile/0/x000/", false }, { "tile/00/000", false }, { "tile/x/000", false }, { "tile/entries", false },
        { "tile/0/000.p/1/", false }, { "tile/0/000?x=1", false }, { "tile/0/%30%30%30", false }, { "tile/0//000", false }, { "Tile/0/000", false }, { "keys", false },
        { "tile/0/x000/x000/x000/x000/x000/x000/x000/x000/x000/x000/x000/x000/x000/x000/x000/000", false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (operator_log_name_ok(slice_str(rows[i].name)) != rows[i].good)
            fail_msg("'%s'", rows[i].name);
    assert_false(operator_log_name_ok(SLICE("key\0")));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(names) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
