/* Which leaves were erased, by which: the list as text, what may claim to be erased, and what nothing says. */
#include "authz/erased.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void lists(void **state)
{
    static const struct {
        const char *name, *text;
        enum status want;
        uint64_t count;
    } rows[] = {
        { "one", "7", OK, 1 }, { "a range", "7-9", OK, 3 }, { "both", "1,7-9,99", OK, 5 }, { "the one before", "99", OK, 1 },
        { "itself", "100", CORRUPT, 0 }, { "a later one", "101", CORRUPT, 0 }, { "a range to itself", "98-100", CORRUPT, 0 }, { "nothing", "", CORRUPT, 0 }, { "a comma", ",", CORRUPT, 0 },
        { "a comma at the end", "7,", CORRUPT, 0 }, { "leaf 0", "0", CORRUPT, 0 }, { "a leading zero", "07", CORRUPT, 0 }, { "a sign", "-7", CORRUPT, 0 }, { "a range of one", "7-7", CORRUPT, 0 },
        { "a range backwards", "9-7", CORRUPT, 0 }, { "half a range", "7-", CORRUPT, 0 }, { "two dashes", "7-8-9", CORRUPT, 0 }, { "twice", "7,7", CORRUPT, 0 }, { "not in order", "9,7", CORRUPT, 0 },
        { "overlapping", "7-9,9", CORRUPT, 0 }, { "a space", "7, 9", CORRUPT, 0 }, { "a word", "7,all", CORRUPT, 0 }, { "32 bits", "4294967295", CORRUPT, 0 }, { "65 bits", "36893488147419103239", CORRUPT, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct erased e = { 0 };
        struct err err = { "" };
        enum status st = erased_take(&e, 100, rows[i].text, UINT64_MAX, &err);
        if (st != rows[i].want || (st == OK && e.count != rows[i].count))
            fail_msg("%s: %s, %llu leaves: %s", rows[i].name, status_name(st), (unsigned long long)e.count, err.text);
        erased_done(&e);
    }
}

static void what_is_written_is_read(void **state)
{
    static const uint64_t seqs[] = { 3, 5, 6, 7, 11, 12, 40 };
    struct erased e = { 0 };
    (void)state;
    char *text = erased_list(seqs, sizeof seqs / sizeof *seqs);
    assert_string_equal(text, "3,5-7,11-12,40");
    assert_int_equal(erased_take(&e, 41, text, UINT64_MAX, NULL), OK);
    for (uint64_t n = 0; n < 50; n++) {
        bool in = false;
        for (size_t i = 0; i < sizeof seqs / sizeof *seqs; i++)
            in = in || seqs[i] == n;
        assert_int_equal(erased_by(&e, n), in ? 41 : 0);
    }
    free(text);
    erased_done(&e);
}

/* Rows claim it before the leaf that says so is read. */
static void claims(void **state)
{
    struct erased e = { 0 };
    (void)state;
    assert_int_equal(erased_claim(&e, 5, 5, NULL), CORRUPT);
    assert_int_equal(erased_claim(&e, 5, 4, NULL), CORRUPT);
    assert_int_equal(erased_claim(&e, 5, UINT32_MAX, NULL), CORRUPT);
    assert_int_equal(erased_claim(&e, 5, 9, NULL), OK);
    assert_int_equal(erased_claim(&e, 6, 9, NULL), OK);
    assert_int_equal(erased_take(&e, 9, "5", 0, NULL), OK);
    assert_int_equal(erased_settle(&e, NULL), CORRUPT);          /* nobody lists 6 */
    assert_int_equal(erased_take(&e, 9, "5", 0, NULL), CORRUPT);  /* twice */
    assert_int_equal(erased_take(&e, 10, "6", 0, NULL), CORRUPT); /* another leaf than it claims */
    assert_int_equal(erased_take(&e, 10, "7", 0, NULL), CORRUPT); /* it stands there with its content */
    assert_int_equal(erased_take(&e, 10, "7", 7, NULL), OK);      /* nobody looked */
    erased_done(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(lists), cmocka_unit_test(what_is_written_is_read), cmocka_unit_test(claims) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
