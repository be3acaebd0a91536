/* Addresses are known at once, names later, and a resolver that fails takes nothing away. */
#include "proxy/net/resolve.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/un.h>
#include <cmocka.h>

static struct loop loop;
static unsigned answers;

static void answered(struct resolver *r)
{
    (void)r;
    answers++;
}

static void run(void)
{
    uv_run(&loop.uv, UV_RUN_DEFAULT);
}

static void test_numeric(void **state)
{
    (void)state;
    struct resolver r;
    struct upstream_address v4 = { .host = (char *)(uintptr_t)"127.0.0.1", .port = 80 }, v6 = { .host = (char *)(uintptr_t)"::1", .port = 8080 },
                            local = { .path = (char *)(uintptr_t)"/run/tool.sock" };
    resolver_init(&r, &loop, "t", &v4, answered);
    assert_int_equal(resolver_ask(&r), RESOLVED);
    assert_int_equal(((struct sockaddr_in *)&r.found[0].sa)->sin_port, htons(80));
    resolver_init(&r, &loop, "t", &v6, answered);
    assert_int_equal(resolver_ask(&r), RESOLVED);
    assert_int_equal(r.found[0].sa.ss_family, AF_INET6);
    resolver_init(&r, &loop, "t", &local, answered);
    assert_int_equal(resolver_ask(&r), RESOLVED);
    assert_string_equal(((struct sockaddr_un *)&r.found[0].sa)->sun_path, "/run/tool.sock");
    resolver_done(&r);
    assert_true(resolve_numeric("10.0.0.1") && resolve_numeric("::") && !resolve_numeric("localhost") && !resolve_numeric("1.2.3"));
}

static void test_name(void **state)
{
    (void)state;
    struct resolver r;
    struct upstream_address a = { .host = (char *)(uintptr_t)"localhost", .port = 443 };
    answers = 0;
    loop.now_ms = 1000;
    resolver_init(&r, &loop, "t", &a, answered);
    assert_int_equal(resolver_ask(&r), RESOLVING);
    assert_int_equal(resolver_ask(&r), RESOLVING);   /* asked once */
    run();
    assert_int_equal(answers, 1);
    assert_int_equal(resolver_ask(&r), RESOLVED);
    assert_true(r.count >= 1 && r.question == NULL);
    loop.now_ms += RESOLVE_TTL_MS + 1;
    assert_int_equal(resolver_ask(&r), RESOLVED);    /* the old answer, while it is asked again */
    assert_non_null(r.question);
    run();
    assert_int_equal(answers, 2);
    resolver_done(&r);
}

static void test_wrong_name(void **state)
{
    (void)state;
    struct resolver r;
    struct upstream_address a = { .host = (char *)(uintptr_t)"no-such-name.invalid", .port = 443 };
    answers = 0;
    loop.now_ms = 1000;
    resolver_init(&r, &loop, "t", &a, answered);
    assert_int_equal(resolver_ask(&r), RESOLVING);
    run();
    assert_int_equal(resolver_ask(&r), UNRESOLVED);  /* and not asked again at once */
    assert_null(r.question);
    loop.now_ms += RESOLVE_AGAIN_MS + 1;
    assert_int_equal(resolver_ask(&r), RESOLVING);
    resolver_done(&r);                               /* in the middle of it */
    run();
    assert_int_equal(answers, 1);
    /* An answer from before outlives a failure. */
    resolver_init(&r, &loop, "t", &a, answered);
    r.count = 1;
    assert_int_equal(resolver_ask(&r), RESOLVED);
    run();
    assert_int_equal(resolver_ask(&r), RESOLVED);
    resolver_done(&r);
    run();
}

static int set_up(void **state)
{
    (void)state;
    loop_init(&loop);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_done(&loop);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_numeric), cmocka_unit_test(test_name), cmocka_unit_test(test_wrong_name) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
