#include "proxy/exchange/live.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

static bool is_live(const void *arg, const char *grant_id)
{
    return strcmp(grant_id, arg) != 0;
}

static struct live_what what(const char *grant, const char *action, bool websocket)
{
    return (struct live_what){ grant, "alice", "alice@acme.localhost", "support", action, "127.0.0.1", websocket, NULL };
}

static int64_t number(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

static void workers_add_up(void **state)
{
    struct live *l = live_new(3);
    struct live_what view = what("grt_a", "view", false), socket = what("grt_a", "terminal", true), other = what("grt_b", "view", false);
    (void)state;
    assert_non_null(l);
    assert_false(live_watched(l, 1000000));
    struct live_session *one = live_begin(l, 0, &view, 1000000), *two = live_begin(l, 2, &socket, 1002000);
    live_add(l, 0, one, 10, 2000, 1000500);
    live_end(l, 0, one, false, 0, 0, 1000500);
    live_add(l, 2, two, 5, 7, 1003000);
    for (int i = 0; i < 30; i++)
        live_end(l, 1, live_begin(l, 1, &other, 1003000), false, 0, 0, 1003000);
    json_t *all = live_read(l, is_live, "grt_gone", 1003500);
    assert_true(live_watched(l, 1003500) && !live_watched(l, 1009000));
    assert_int_equal(json_array_size(all), 2);
    json_t *b = json_array_get(all, 0), *a = json_array_get(all, 1);
    assert_string_equal(json_string_value(json_object_get(b, "session")), "grt_b");   /* the busier first */
    assert_true(json_real_value(json_object_get(b, "requests_per_s")) > 2.9 && json_real_value(json_object_get(b, "requests_per_s")) < 3.1);
    assert_string_equal(json_string_value(json_object_get(a, "action")), "terminal");
    assert_int_equal(number(a, "requests"), 2);
    assert_int_equal(number(a, "received"), 15);
    assert_int_equal(number(a, "sent"), 2007);
    assert_int_equal(number(a, "active"), 1);
    assert_int_equal(number(a, "websockets"), 1);
    assert_int_equal(number(a, "since_ms"), 1000000);
    assert_int_equal(number(a, "last_ms"), 1003000);
    json_decref(all);
    all = live_read(l, is_live, "grt_gone", 1030000);
    for (size_t i = 0; i < 2; i++)
        assert_true(json_real_value(json_object_get(json_array_get(all, i), "requests_per_s")) < 0.01);
    json_decref(all);
    live_end(l, 2, two, true, 0, 0, 1030000);
    live_free(l);
}

static void quiet_and_ended_sessions_go(void **state)
{
    struct live *l = live_new(1);
    struct live_what gone = what("grt_gone", "view", false), quiet = what("grt_quiet", "view", false), open = what("grt_open", "events", false);
    (void)state;
    live_end(l, 0, live_begin(l, 0, &gone, 1000), false, 0, 0, 1000);
    live_end(l, 0, live_begin(l, 0, &quiet, 1000), false, 0, 0, 1000);
    struct live_session *s = live_begin(l, 0, &open, 1000);
    json_t *all = live_read(l, is_live, "grt_gone", 2000);
    assert_int_equal(json_array_size(all), 2);
    json_decref(all);
    all = live_read(l, is_live, "grt_gone", 2000 + LIVE_QUIET_MS);   /* an event stream may be silent for as long as it likes */
    assert_int_equal(json_array_size(all), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(all, 0), "session")), "grt_open");
    json_decref(all);
    live_end(l, 0, s, false, 0, 0, 2000);
    live_free(l);
}

static void too_many_are_not_counted(void **state)
{
    struct live *l = live_new(1);
    char id[32];
    (void)state;
    for (unsigned i = 0; i <= LIVE_SESSIONS_MAX; i++) {
        snprintf(id, sizeof id, "grt_%u", i);
        struct live_what w = what(id, "view", false);
        struct live_session *s = live_begin(l, 0, &w, 1000);
        assert_true((s != NULL) == (i < LIVE_SESSIONS_MAX));
        live_add(l, 0, s, 1, 1, 1000);
        live_end(l, 0, s, false, 0, 0, 1000);
    }
    struct live_what later = what("grt_later", "view", false);
    assert_non_null(live_begin(l, 0, &later, 2000 + LIVE_QUIET_MS));
    live_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(workers_add_up), cmocka_unit_test(quiet_and_ended_sessions_go), cmocka_unit_test(too_many_are_not_counted) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
