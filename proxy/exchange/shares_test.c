#include "proxy/exchange/shares.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static void test_connections_of_a_person(void **state)
{
    struct shares *s = shares_new();
    struct share *a[3];
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_non_null(a[i] = shares_enter(s, "alice", 3));
    assert_ptr_equal(a[0], a[1]);
    assert_null(shares_enter(s, "alice", 3));
    struct share *b = shares_enter(s, "bob", 1);
    assert_non_null(b);
    assert_ptr_not_equal(a[0], b);
    shares_leave(s, a[0]);
    assert_ptr_equal(shares_enter(s, "alice", 3), a[1]);
    assert_null(shares_enter(s, "0123456789012345678901234567890123456789012345678901234567890123456789", 3));
    shares_leave(s, NULL);
    shares_leave(s, b);
    assert_non_null(b = shares_enter(s, "bob", 1));
    shares_free(s);
}

static void test_exchanges_and_bytes(void **state)
{
    struct shares *s = shares_new();
    struct share *a = shares_enter(s, "alice", 3), *b = shares_enter(s, "bob", 3);
    (void)state;
    assert_true(share_begin(a, 2) && share_begin(a, 2));
    assert_false(share_begin(a, 2));
    assert_true(share_begin(b, 2));
    share_end(a);
    assert_true(share_begin(a, 2));
    assert_true(share_take(a, 60, 100) && share_take(a, 40, 100));
    assert_false(share_take(a, 1, 100));
    assert_true(share_take(a, 0, 100));
    assert_true(share_take(b, 100, 100));
    share_give(a, 40);
    assert_false(share_take(a, 41, 100));
    assert_false(share_take(a, SIZE_MAX, 100));
    assert_true(share_take(a, 40, 100));
    shares_free(s);
}

static struct shares *common;

static void *come_and_go(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20000; i++) {
        struct share *e = shares_enter(common, "alice", 100);
        if (share_begin(e, 1)) {
            if (share_take(e, 10, 15))
                share_give(e, 10);
            share_end(e);
        }
        shares_leave(common, e);
    }
    return NULL;
}

static void test_from_several_threads(void **state)
{
    pthread_t t[4];
    (void)state;
    common = shares_new();
    struct share *keep = shares_enter(common, "alice", 100);
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, come_and_go, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    assert_true(share_take(keep, 15, 15));
    shares_free(common);
}

/* 100 KiB/s and 1 MiB at once: what is paid for comes back with time, the refused are counted once, and nobody gains by many small uploads or by asking in vain. */
static void test_dom(void **state)
{
    enum { RATE = 100 * 1024, BURST = 1024 * 1024 };
    struct shares *s = shares_new();
    struct share *e = shares_enter(s, "alice", 2);
    (void)state;
    assert_non_null(e);
    assert_true(share_dom_take(e, BURST, RATE, BURST, 1000));
    assert_false(share_dom_take(e, 1024, RATE, BURST, 1000));
    assert_false(share_dom_take(e, 1024, RATE, BURST, 1005));
    assert_true(share_dom_take(e, 1024, RATE, BURST, 1011));
    assert_false(share_dom_take(e, 1024, RATE, BURST, 1011));
    assert_int_equal(share_dom_refused(e), 3);
    assert_int_equal(share_dom_refused(e), 0);
    share_dom_refuse(e, 2);
    assert_int_equal(share_dom_refused(e), 2);
    size_t taken = 0;
    for (int64_t now = 20000; now < 30000; now += 10)
        for (int i = 0; i < 10; i++)
            if (share_dom_take(e, 1024, RATE, BURST, now))
                taken += 1024;
    assert_true(taken >= BURST && taken <= BURST + 10 * RATE);
    assert_false(share_dom_take(e, SIZE_MAX / 1024, RATE, BURST, 90000));
    assert_true(share_dom_take(e, BURST, RATE, BURST, 90000));
    shares_leave(s, e);
    assert_ptr_equal(shares_enter(s, "alice", 1), e);   /* a new connection brings no new allowance */
    assert_false(share_dom_take(e, BURST, RATE, BURST, 90001));
    shares_leave(s, e);
    shares_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_connections_of_a_person), cmocka_unit_test(test_exchanges_and_bytes), cmocka_unit_test(test_from_several_threads), cmocka_unit_test(test_dom) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
