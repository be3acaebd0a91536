/* batch: bounded, never changed once taken, the same lines under the same id until they are confirmed. */
#include "authz/approvals/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct event_row *row(void)
{
    return event_row_of("lock");
}

static bool put(struct batch *b, const char *text, bool leaf)
{
    return batch_put(b, row(), 1790000000000, slice_str(text), leaf);
}

static void test_taken_is_frozen(void **state)
{
    struct batch b = { .count = 0 };
    char id[BATCH_ID_MAX];
    (void)state;
    assert_null(batch_take(&b, "webhook", 0));
    assert_true(put(&b, "{\"a\":1}", true));
    assert_true(put(&b, "{\"a\":2}", false));
    json_t *taken = batch_take(&b, "webhook", 0);
    assert_non_null(taken);
    assert_int_equal(json_array_size(json_object_get(taken, "lines")), 2);
    assert_string_equal(json_string_value(json_array_get(json_array_get(json_object_get(taken, "lines"), 1), 3)), "{\"a\":2}");
    snprintf(id, sizeof id, "%s", json_string_value(json_object_get(taken, "batch")));
    assert_true(strncmp(id, "aud_", 4) == 0);
    assert_false(put(&b, "{\"a\":3}", true));
    assert_null(batch_take(&b, "webhook", 0));
    json_decref(taken);
    assert_int_equal(batch_done(&b, "aud_0000000000000000000000", true, 0), BATCH_UNKNOWN);
    assert_int_equal(batch_done(&b, id, false, 1000), BATCH_FAILED);
    assert_int_equal(batch_done(&b, id, true, 1000), BATCH_UNKNOWN);   /* it is not on its way */
    assert_false(put(&b, "{\"a\":3}", true));
    assert_null(batch_take(&b, "webhook", 1000 + BATCH_FIRST_WAIT_MS - 1));
    taken = batch_take(&b, "webhook", 1000 + BATCH_FIRST_WAIT_MS);
    assert_string_equal(json_string_value(json_object_get(taken, "batch")), id);
    assert_int_equal(json_array_size(json_object_get(taken, "lines")), 2);
    json_decref(taken);
    batch_gone(&b);
    taken = batch_take(&b, "webhook", 1000 + BATCH_FIRST_WAIT_MS);
    assert_string_equal(json_string_value(json_object_get(taken, "batch")), id);
    json_decref(taken);
    assert_int_equal(batch_done(&b, id, true, 0), BATCH_CONFIRMED);
    assert_int_equal(b.count, 0);
    assert_true(put(&b, "{\"a\":3}", true));
    taken = batch_take(&b, "webhook", 0);
    assert_string_not_equal(json_string_value(json_object_get(taken, "batch")), id);
    json_decref(taken);
    batch_clear(&b);
}

static void test_waits_grow_to_a_minute(void **state)
{
    struct batch b = { .count = 0 };
    int64_t now = 0, last = 0;
    (void)state;
    assert_true(put(&b, "{}", true));
    for (int i = 0; i < 40; i++) {
        json_t *taken = batch_take(&b, "syslog", now);
        assert_non_null(taken);
        assert_int_equal(batch_done(&b, b.id, false, now), BATCH_FAILED);
        assert_true(b.due_ms - now >= last && b.due_ms - now <= BATCH_LAST_WAIT_MS);
        last = b.due_ms - now;
        now = b.due_ms;
        json_decref(taken);
    }
    assert_int_equal(last, BATCH_LAST_WAIT_MS);
    batch_clear(&b);
}

/* As JSON in a message it fits, whatever the lines hold. */
static void test_bounded(void **state)
{
    struct batch b = { .count = 0 };
    char worst[SINK_LINE_MAX];
    size_t n = 0;
    (void)state;
    memset(worst, '\\', sizeof worst - 1);
    worst[sizeof worst - 1] = 0;
    while (put(&b, worst, true))
        n++;
    assert_in_range(n, 2, 8);
    json_t *taken = batch_take(&b, "webhook", 0);
    assert_in_range(json_dumpb(taken, NULL, 0, JSON_COMPACT), n * 2 * (sizeof worst - 1), 60 * 1024);
    json_decref(taken);
    batch_clear(&b);
    for (n = 0; put(&b, "{}", true); n++)
        ;
    assert_int_equal(n, BATCH_LINES_MAX);
    batch_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken_is_frozen),
        cmocka_unit_test(test_waits_grow_to_a_minute),
        cmocka_unit_test(test_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
