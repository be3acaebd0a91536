#include "proxy/exchange/h2_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

enum { PAGE = 4096, FRAME = 16394, MANY = 200 };

static bool resident(const void *p)
{
    unsigned char in[1] = { 0 };
    assert_int_equal(mincore((void *)((uintptr_t)p & ~(uintptr_t)(PAGE - 1)), PAGE, in), 0);
    return in[0] & 1;
}

static bool applies(void)
{
    return sysconf(_SC_PAGESIZE) == PAGE;
}

static void rest_gives_pages_back(void **state)
{
    struct h2_memory m = { 0 };
    nghttp2_mem mem = h2_memory_of(&m);
    (void)state;
    if (!applies())
        skip();
    unsigned char *frame = mem.realloc(NULL, FRAME, &m), *table = mem.calloc(256, 16, &m), *other = mem.malloc(FRAME, &m);
    assert_true(frame != NULL && table != NULL && other != NULL);
    memset(frame, 1, FRAME);
    memset(other, 2, FRAME);
    table[100] = 3;
    h2_memory_rest(&m);
    assert_false(resident(frame));
    assert_true(resident(table));     /* it holds something */
    assert_int_equal(table[100], 3);
    assert_int_equal(other[FRAME - 1], 2);
    table[100] = 0;
    h2_memory_rest(&m);
    assert_false(resident(table));
    for (size_t i = 0; i < PAGE; i++)
        assert_int_equal(table[i], 0);
    memset(frame, 4, FRAME);          /* usable again */
    mem.free(other, &m);
    mem.free(table, &m);
    mem.free(frame, &m);
    assert_null(m.pages);
    h2_memory_rest(&m);
    h2_memory_done();
}

static void many_sessions_and_what_stays_theirs(void **state)
{
    static struct h2_memory m[MANY];
    unsigned char *frame[MANY], *table[MANY];
    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < MANY; i++) {
            nghttp2_mem mem = h2_memory_of(&m[i]);
            frame[i] = mem.malloc(FRAME, &m[i]);
            table[i] = mem.calloc(256, 16, &m[i]);
            for (size_t k = 0; k < PAGE; k++)
                assert_int_equal(table[i][k], 0);   /* used before or not */
            memset(frame[i], (int)i, FRAME);
            memset(table[i], (int)i, PAGE);
        }
        for (unsigned i = 0; i < MANY; i++) {
            nghttp2_mem mem = h2_memory_of(&m[i]);
            assert_int_equal(frame[i][0], i & 255);
            assert_int_equal(frame[i][FRAME - 1], i & 255);
            unsigned char *grown = mem.realloc(table[i], (size_t)2 * PAGE, &m[i]);
            assert_int_equal(grown[0], i & 255);
            assert_int_equal(grown[PAGE - 1], i & 255);
            mem.free(grown, &m[i]);
            mem.free(frame[i], &m[i]);
            assert_null(m[i].pages);
        }
    }
    h2_memory_done();
}

static void odd_sizes_are_plain(void **state)
{
    static const struct {
        const char *name;
        size_t size;
    } rows[] = { { "small", 100 }, { "just below a frame", 16383 }, { "past the pages", 5 * PAGE + 1 }, { "large", 100000 } };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct h2_memory m = { 0 };
        nghttp2_mem mem = h2_memory_of(&m);
        unsigned char *p = mem.malloc(rows[i].size, &m), *q = mem.calloc(1, rows[i].size, &m);
        assert_null(m.pages);
        memset(p, 1, rows[i].size);
        assert_int_equal(q[rows[i].size - 1], 0);
        p = mem.realloc(p, rows[i].size + 1, &m);
        assert_int_equal(p[0], 1);
        mem.free(p, &m);
        mem.free(q, &m);
        mem.free(NULL, &m);
    }
    h2_memory_done();
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(rest_gives_pages_back), cmocka_unit_test(many_sessions_and_what_stays_theirs), cmocka_unit_test(odd_sizes_are_plain) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
