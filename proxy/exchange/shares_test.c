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

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_connections_of_a_person), cmocka_unit_test(test_exchanges_and_bytes), cmocka_unit_test(test_from_several_threads) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
