#include "proxy/base/bbuf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

static void full_is_an_answer(void **state)
{
    struct bbuf b;
    (void)state;
    bbuf_init(&b, 8);
    assert_int_equal(bbuf_put(&b, SLICE("12345678")), OK);
    assert_int_equal(bbuf_put(&b, SLICE("9")), FULL);
    bbuf_drop(&b, 3);
    assert_int_equal(bbuf_room(&b), 3);
    assert_int_equal(bbuf_put(&b, SLICE("abcd")), FULL);
    assert_int_equal(bbuf_put(&b, SLICE("abc")), OK);
    assert_true(slice_eq(bbuf_slice(&b), SLICE("45678abc")));
    bbuf_done(&b);
}

static void keeps_every_byte_in_order(void **state)
{
    struct bbuf b;
    unsigned char in = 0, out = 0;
    (void)state;
    bbuf_init(&b, 100000);
    srand(1);
    for (int i = 0; i < 20000; i++) {
        unsigned char piece[300];
        size_t n = (size_t)rand() % sizeof piece;
        if (n > bbuf_room(&b))
            n = bbuf_room(&b);
        for (size_t k = 0; k < n; k++)
            piece[k] = in++;
        assert_int_equal(bbuf_put(&b, slice_of(piece, n)), OK);
        size_t drop = (size_t)rand() % 320;
        if (drop > bbuf_len(&b))
            drop = bbuf_len(&b);
        struct slice s = bbuf_slice(&b);
        for (size_t k = 0; k < drop; k++)
            assert_int_equal(s.ptr[k], out++);
        bbuf_drop(&b, drop);
    }
    bbuf_done(&b);
}

static void idle_gives_memory_back(void **state)
{
    struct bbuf b;
    (void)state;
    bbuf_init(&b, 4096);
    assert_int_equal(bbuf_put(&b, SLICE("x")), OK);
    bbuf_idle(&b);
    assert_non_null(b.data);
    bbuf_drop(&b, 1);
    bbuf_idle(&b);
    assert_null(b.data);
    assert_int_equal(bbuf_room(&b), 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_is_an_answer),
        cmocka_unit_test(keeps_every_byte_in_order),
        cmocka_unit_test(idle_gives_memory_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
