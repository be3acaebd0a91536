#include "proxy/exchange/sources.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

static const struct limits plenty = { .connections = 1000, .connections_per_source = 1000, .handshakes_per_source = 1000, .handshakes_per_second = 100000 };

static void key_of(const char *text, unsigned char key[16])
{
    struct sockaddr_storage sa = { 0 };
    char shown[64];
    if (strchr(text, ':') != NULL) {
        sa.ss_family = AF_INET6;
        assert_int_equal(inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&sa)->sin6_addr), 1);
    } else {
        sa.ss_family = AF_INET;
        assert_int_equal(inet_pton(AF_INET, text, &((struct sockaddr_in *)&sa)->sin_addr), 1);
    }
    source_key(&sa, key, shown, sizeof shown);
    assert_string_equal(shown, text);
}

static unsigned enter_all(struct sources *s, const char *from, const struct limits *l, int64_t now, unsigned tries)
{
    unsigned char key[16];
    unsigned n = 0;
    key_of(from, key);
    for (unsigned i = 0; i < tries; i++)
        n += sources_enter(s, key, l, now) != NULL;
    return n;
}

static void test_each_limit_by_itself(void **state)
{
    struct limits source = plenty, young = plenty, rate = plenty;
    const struct { const char *name; const struct limits *l; unsigned first, second; } rows[] = {
        { "a source", &source, 10, 10 }, { "handshakes", &young, 10, 10 }, { "a second, twice as many at once", &rate, 10, 10 },
    };
    (void)state;
    source.connections_per_source = young.handshakes_per_source = 10;
    rate.handshakes_per_second = 5;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sources *s = sources_new();
        if (enter_all(s, "192.0.2.1", rows[i].l, 1000, 50) != rows[i].first || enter_all(s, "192.0.2.2", rows[i].l, 1000, 50) != rows[i].second)
            fail_msg("%s", rows[i].name);
        sources_free(s);
    }
}

static void test_a_finished_handshake_makes_room(void **state)
{
    struct limits l = plenty;
    struct sources *s = sources_new();
    unsigned char key[16];
    (void)state;
    l.handshakes_per_source = 2;
    key_of("192.0.2.1", key);
    struct source *e = sources_enter(s, key, &l, 0);
    assert_int_equal(enter_all(s, "192.0.2.1", &l, 0, 5), 1);
    sources_settle(s, e);
    assert_int_equal(sources_count(s).young, 1);
    assert_int_equal(enter_all(s, "192.0.2.1", &l, 0, 5), 1);
    assert_int_equal(source_young(e), 2);
    sources_leave(s, e, true, true, 0);
    sources_leave(s, e, false, true, 0);
    assert_int_equal(sources_count(s).young, 1);
    assert_int_equal(enter_all(s, "192.0.2.1", &l, 0, 5), 1);
    sources_free(s);
}

static void test_closing_gives_no_new_allowance(void **state)
{
    struct limits l = plenty;
    struct sources *s = sources_new();
    unsigned char key[16];
    unsigned n = 0;
    (void)state;
    l.handshakes_per_second = 10;
    key_of("192.0.2.1", key);
    for (int64_t now = 0; now < 1000; now += 10) {
        struct source *e = sources_enter(s, key, &l, now);
        if (e != NULL)
            sources_leave(s, e, true, true, now);
        n += e != NULL;
    }
    assert_in_range(n, 29, 30);                                /* 20 at once, 10 in the second */
    assert_int_equal(enter_all(s, "192.0.2.1", &l, 100000, 50), 20);
    sources_free(s);
}

static void test_strangers_are_counted_by_source(void **state)
{
    struct sources *s = sources_new();
    unsigned char one[16], two[16];
    (void)state;
    key_of("192.0.2.1", one);
    key_of("192.0.2.2", two);
    struct source *a = sources_enter(s, one, &plenty, 0), *b = sources_enter(s, two, &plenty, 0);
    assert_ptr_equal(sources_enter(s, one, &plenty, 0), a);
    assert_int_equal(source_strangers(a), 2);
    assert_int_equal(source_strangers(b), 1);
    sources_settle(s, a);
    assert_int_equal(source_strangers(a), 2);                  /* a handshake alone makes nobody known */
    sources_stranger(s, a, false);
    assert_int_equal(source_strangers(a), 1);
    sources_stranger(s, a, true);                              /* a reload took the person away */
    sources_stranger(s, a, false);
    assert_int_equal(sources_count(s).total, 3);
    assert_int_equal(sources_count(s).strangers, 2);
    sources_leave(s, a, false, false, 0);
    assert_int_equal(source_strangers(a), 1);
    sources_leave(s, a, true, true, 0);
    sources_leave(s, b, true, true, 0);
    assert_int_equal(sources_count(s).total + sources_count(s).strangers + sources_count(s).young, 0);
    sources_free(s);
}

static void test_many_sources_take_little(void **state)
{
    struct sources *s = sources_new();
    unsigned char key[16] = { 0 };
    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        memcpy(key, &i, sizeof i);
        struct source *e = sources_enter(s, key, &plenty, 0);
        assert_non_null(e);
        sources_leave(s, e, i % 2, true, 0);
        if (i % 2 == 0)
            key[15] = 0;
    }
    sources_free(s);
}

static void test_ipv6_counts_by_its_64(void **state)
{
    struct limits l = plenty;
    struct sources *s = sources_new();
    (void)state;
    l.connections_per_source = 3;
    assert_int_equal(enter_all(s, "2001:db8::1", &l, 0, 2), 2);
    assert_int_equal(enter_all(s, "2001:db8::2", &l, 0, 5), 1);
    assert_int_equal(enter_all(s, "2001:db8:0:1::1", &l, 0, 5), 3);
    assert_int_equal(enter_all(s, "192.0.2.1", &l, 0, 5), 3);
    assert_int_equal(enter_all(s, "::ffff:192.0.2.1", &l, 0, 5), 0);   /* the same, said in IPv6 */
    sources_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_limit_by_itself), cmocka_unit_test(test_a_finished_handshake_makes_room),
        cmocka_unit_test(test_closing_gives_no_new_allowance), cmocka_unit_test(test_strangers_are_counted_by_source), cmocka_unit_test(test_many_sources_take_little),
        cmocka_unit_test(test_ipv6_counts_by_its_64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
