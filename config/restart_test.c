/* Which settings a reload may change, and which take a restart. */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static struct listener one[] = { { .address = (char *)"127.0.0.1", .port = 8443 } };
static struct listener same[] = { { .address = (char *)"127.0.0.1", .port = 8443 } };
static struct listener port[] = { { .address = (char *)"127.0.0.1", .port = 8444 } };
static struct listener address[] = { { .address = (char *)"127.0.0.2", .port = 8443 } };
static struct listener two[] = { { .address = (char *)"127.0.0.1", .port = 8443 }, { .address = (char *)"::1", .port = 8443 } };

#define BASE .instance = (char *)"acme", .state = (char *)"/s", .ring_bytes = 1 << 20
static const struct row {
    const char *name;
    struct config next;
    const char *expected;
} rows[] = {
    { "nothing", { BASE, .listeners = same, .listener_count = 1 }, NULL },
    { "what a reload is for", { BASE, .listeners = same, .listener_count = 1, .client_ca = (char *)"/new", .tool_count = 7, .max_staleness_ms = 9 }, NULL },
    { "instance", { .instance = (char *)"other", .state = (char *)"/s", .ring_bytes = 1 << 20, .listeners = same, .listener_count = 1 }, "instance" },
    { "state", { .instance = (char *)"acme", .state = (char *)"/t", .ring_bytes = 1 << 20, .listeners = same, .listener_count = 1 }, "state" },
    { "user", { BASE, .listeners = same, .listener_count = 1, .user = (char *)"nobody" }, "user" },
    { "workers", { BASE, .listeners = same, .listener_count = 1, .workers = 3 }, "workers" },
    { "port", { BASE, .listeners = port, .listener_count = 1 }, "listen" },
    { "address", { BASE, .listeners = address, .listener_count = 1 }, "listen" },
    { "one more", { BASE, .listeners = two, .listener_count = 2 }, "listen" },
    { "ring", { .instance = (char *)"acme", .state = (char *)"/s", .ring_bytes = 2 << 20, .listeners = same, .listener_count = 1 }, "recording.ring_size" },
};

static void test_rows(void **state)
{
    struct config now = { BASE, .listeners = one, .listener_count = 1 };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *got = config_needs_restart(&now, &rows[i].next);
        print_message("%s\n", rows[i].name);
        if (rows[i].expected == NULL)
            assert_null(got);
        else
            assert_string_equal(got, rows[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
