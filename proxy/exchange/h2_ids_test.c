#include "proxy/exchange/h2_ids.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void closed_streams_stay_closed(void **state)
{
    struct h2_ids ids = { 0 };
    (void)state;
    assert_int_equal(h2_ids_headers(&ids, 1, false), H2_ID_FINE);
    assert_int_equal(h2_ids_data(&ids, 1, true), H2_ID_FINE);
    assert_int_equal(h2_ids_headers(&ids, 1, true), H2_ID_FINE);          /* trailers */
    h2_ids_closed(&ids, 1);
    assert_int_equal(h2_ids_data(&ids, 1, false), H2_ID_STREAM_CLOSED);
    assert_int_equal(h2_ids_headers(&ids, 1, false), H2_ID_STREAM_CLOSED);
}

static void identifiers_only_grow(void **state)
{
    struct h2_ids ids = { 0 };
    (void)state;
    assert_int_equal(h2_ids_headers(&ids, 5, false), H2_ID_FINE);
    assert_int_equal(h2_ids_headers(&ids, 3, false), H2_ID_BACKWARD);
    assert_int_equal(h2_ids_headers(&ids, 7, false), H2_ID_FINE);
    assert_int_equal(h2_ids_data(&ids, 9, false), H2_ID_FINE);            /* idle: nghttp2's to refuse */
}

static void what_was_on_its_way_is_ignored(void **state)
{
    struct h2_ids ids = { 0 };
    (void)state;
    assert_int_equal(h2_ids_headers(&ids, 1, false), H2_ID_FINE);
    h2_ids_reset(&ids, 1);
    h2_ids_closed(&ids, 1);
    assert_int_equal(h2_ids_data(&ids, 1, false), H2_ID_FINE);
    assert_int_equal(h2_ids_headers(&ids, 1, false), H2_ID_FINE);
    assert_int_equal(h2_ids_headers(&ids, 3, false), H2_ID_FINE);         /* refused at once: opened, never live, not closed */
    assert_int_equal(h2_ids_data(&ids, 3, false), H2_ID_FINE);
}

static void many_streams(void **state)
{
    struct h2_ids ids = { 0 };
    (void)state;
    for (int32_t id = 1; id < 2001; id += 2) {
        assert_int_equal(h2_ids_headers(&ids, id, false), H2_ID_FINE);
        h2_ids_closed(&ids, id);
    }
    assert_int_equal(h2_ids_headers(&ids, 1, false), H2_ID_BACKWARD);
    assert_int_equal(h2_ids_data(&ids, 1999, false), H2_ID_STREAM_CLOSED);
    assert_int_equal(h2_ids_data(&ids, 1, false), H2_ID_FINE);            /* too long ago to know */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_streams_stay_closed),
        cmocka_unit_test(identifiers_only_grow),
        cmocka_unit_test(what_was_on_its_way_is_ignored),
        cmocka_unit_test(many_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
