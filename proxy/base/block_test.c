#include "proxy/base/block.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void each_size_holds_what_it_says(void **state)
{
    static const size_t sizes[] = { 1, 511, 512, 513, 4096, 16384, 65536, 65537, 1 << 20 };
    (void)state;
    for (unsigned round = 0; round < 3; round++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            unsigned char *a = block_new(sizes[i]), *b = block_new(sizes[i]);
            assert_non_null(a);
            assert_non_null(b);
            memset(a, 1, sizes[i]);
            memset(b, 2, sizes[i]);
            assert_int_equal(a[0] + a[sizes[i] - 1], 2);   /* b is no part of it */
            assert_int_equal((uintptr_t)a % _Alignof(max_align_t), 0);
            block_free(a, sizes[i]);
            block_free(b, sizes[i]);
        }
    block_drop_kept();
    block_free(NULL, 512);
}

/* More than is kept goes back to malloc; under AddressSanitizer and valgrind this test also shows that nothing leaks. */
static void no_more_is_kept_than_the_limit(void **state)
{
    enum { N = 3 * BLOCK_KEEP / BLOCK_MAX };
    static unsigned char *all[N];
    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        for (size_t i = 0; i < N; i++) {
            all[i] = block_new(BLOCK_MAX);
            assert_non_null(all[i]);
            all[i][BLOCK_MAX - 1] = (unsigned char)i;
        }
        for (size_t i = 0; i < N; i++) {
            assert_int_equal(all[i][BLOCK_MAX - 1], (unsigned char)i);
            block_free(all[i], BLOCK_MAX);
        }
    }
    block_drop_kept();
    block_drop_kept();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_size_holds_what_it_says),
        cmocka_unit_test(no_more_is_kept_than_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
