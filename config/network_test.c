#include "config/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

static struct sockaddr_storage peer(const char *text)
{
    struct sockaddr_storage sa = { 0 };
    sa.ss_family = strchr(text, ':') ? AF_INET6 : AF_INET;
    void *to = sa.ss_family == AF_INET ? (void *)&((struct sockaddr_in *)&sa)->sin_addr : (void *)&((struct sockaddr_in6 *)&sa)->sin6_addr;
    assert_int_equal(inet_pton(sa.ss_family, text, to), 1);
    return sa;
}

static void test_who_is_in_it(void **state)
{
    static const struct { const char *network, *in[4], *out[4]; } rows[] = {
        { "192.0.2.7", { "192.0.2.7", "::ffff:192.0.2.7" }, { "192.0.2.6", "192.0.2.8", "::192.0.2.7", "::1" } },
        { "10.0.0.0/8", { "10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3" }, { "11.0.0.0", "9.255.255.255", "::" } },
        { "192.0.2.128/25", { "192.0.2.128", "192.0.2.255" }, { "192.0.2.127", "192.0.3.128" } },
        { "0.0.0.0/0", { "0.0.0.0", "255.255.255.255" }, { "::", "2001:db8::1" } },
        { "::/0", { "::", "2001:db8::1", "192.0.2.1" }, { NULL } },
        { "2001:db8::/32", { "2001:db8::1", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff" }, { "2001:db9::", "2001:db7::", "10.0.0.1" } },
        { "2001:db8::1", { "2001:db8::1" }, { "2001:db8::2", "2001:db8::" } },
        { "::ffff:192.0.2.0/120", { "192.0.2.9" }, { "192.0.3.9" } },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct network n;
        if (!network_parse(rows[i].network, &n))
            fail_msg("%s", rows[i].network);
        for (size_t k = 0; k < 4; k++) {
            struct sockaddr_storage sa;
            if (rows[i].in[k] != NULL && (sa = peer(rows[i].in[k]), !network_holds(&n, &sa)))
                fail_msg("%s holds %s", rows[i].network, rows[i].in[k]);
            if (rows[i].out[k] != NULL && (sa = peer(rows[i].out[k]), network_holds(&n, &sa)))
                fail_msg("%s does not hold %s", rows[i].network, rows[i].out[k]);
        }
    }
    struct sockaddr_storage local = { .ss_family = AF_UNIX };
    struct network all;
    assert_true(network_parse("::/0", &all));
    assert_false(network_holds(&all, &local));
}

static void test_what_is_refused(void **state)
{
    static const char *const rows[] = {
        "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/+8", "10.0.0.0/8 ", " 10.0.0.0/8", "10.0.0.0/8/8", "10.0.0.1/8", "10.0.0/8", "10.0.0.0.0",
        "010.0.0.0/8", "10.0.0.0/4294967304", "localhost", "*", "::1/129", "::1/64", "2001:db8::g", "[::1]", "fe80::1%eth0", "10.0.0.0:80", "::ffff:192.0.2.1/96",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct network n;
        if (network_parse(rows[i], &n))
            fail_msg("'%s'", rows[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_who_is_in_it), cmocka_unit_test(test_what_is_refused) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
