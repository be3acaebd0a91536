/* Small tables of this folder: refusals as README.md lists them, messages' fields, reasons, what the ledger takes. */
#include "authz/approvals/ledger.h"
#include "authz/approvals/problem.h"
#include "authz/approvals/validate.h"

#include "proxy/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void every_refusal_is_documented(void **state)
{
    (void)state;
    unsigned char *readme = NULL;
    size_t len = 0;
    struct err err = { .text = "" };
    if (file_read("authz/README.md", 1 << 20, false, &readme, &len, &err) != OK)
        fail_msg("%s", err.text);
    for (int i = PROBLEM_NONE + 1; i < PROBLEM_COUNT; i++) {
        const struct problem *p = problem_of((enum problem_type)i);
        char row[128];
        assert_non_null(p->type);
        assert_true(p->status >= 400 && p->status < 600 && p->title[0] != 0 && p->next[0] != 0);
        snprintf(row, sizeof row, "| `%s` | %d |", p->type, p->status);
        if (strstr((char *)readme, row) == NULL)
            fail_msg("authz/README.md has no row %s", row);
        for (int k = PROBLEM_NONE + 1; k < i; k++)
            assert_string_not_equal(p->type, problem_of((enum problem_type)k)->type);
    }
    free(readme);
}

static void fields_are_checked(void **state)
{
    (void)state;
    static const struct field fields[] = {
        { "who", FIELD_WHO, 0, 0, false, false }, { "word", FIELD_WORD, 2, 4, false, false }, { "typed", FIELD_TEXT, 0, 8, true, true },
        { "sum", FIELD_BYTES32, 0, 0, true, false }, { "count", FIELD_NUMBER, 1, 9, true, false }, { NULL, FIELD_TEXT, 0, 0, false, false },
    };
#define WHO "\"who\":{\"identity\":\"a@b\",\"x5t\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"not_after\":5}"
    const struct { const char *name, *message; enum validity want; } rows[] = {
        { "good", "{" WHO ",\"word\":\"abcd\"}", VALID },
        { "all", "{" WHO ",\"word\":\"ab\",\"typed\":\"\xc3\xa4\",\"sum\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"count\":9}", VALID },
        { "missing", "{" WHO "}", MALFORMED },
        { "too long", "{" WHO ",\"word\":\"abcde\"}", MALFORMED },
        { "a space in a word", "{" WHO ",\"word\":\"a b\"}", MALFORMED },
        { "a control in a word", "{" WHO ",\"word\":\"a\\u0001b\"}", MALFORMED },
        { "not ASCII", "{" WHO ",\"word\":\"\xc3\xa4\"}", MALFORMED },
        { "a number for a word", "{" WHO ",\"word\":12}", MALFORMED },
        { "typed too long", "{" WHO ",\"word\":\"ab\",\"typed\":\"123456789\"}", MISTYPED },
        { "typed of another type", "{" WHO ",\"word\":\"ab\",\"typed\":null}", MISTYPED },
        { "unknown member", "{" WHO ",\"word\":\"ab\",\"more\":1}", MISTYPED },
        { "31 bytes", "{" WHO ",\"word\":\"ab\",\"sum\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}", MALFORMED },
        { "bits that say nothing", "{" WHO ",\"word\":\"ab\",\"sum\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB\"}", MALFORMED },
        { "a count of 0", "{" WHO ",\"word\":\"ab\",\"count\":0}", MALFORMED },
        { "a real", "{" WHO ",\"word\":\"ab\",\"count\":1.0}", MALFORMED },
        { "who is nobody", "{\"who\":{},\"word\":\"ab\"}", MALFORMED },
        { "who has more", "{\"who\":{\"identity\":\"a@b\",\"x5t\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"not_after\":5,\"person\":\"bob\"},"
                          "\"word\":\"ab\"}", MALFORMED },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err why;
        json_t *m = json_loads(rows[i].message, 0, NULL);
        assert_non_null(m);
        if (validate(m, fields, &why) != rows[i].want)
            fail_msg("%s: not %d", rows[i].name, rows[i].want);
        json_decref(m);
    }
}

static void reasons_are_checked(void **state)
{
    (void)state;
    assert_true(reason_good("abc"));
    assert_true(reason_good("\xe4\xb8\xad\xe6\x96\x87 ok"));
    assert_false(reason_good(""));
    assert_false(reason_good("ab"));
    assert_false(reason_good("a   b"));
    assert_false(reason_good("a\tbc"));
    assert_false(reason_good("abc\x7f"));
    assert_false(reason_good("abc\xc2\x80"));
}

/* A chain that holds can still tell a story that can't be: then somebody with the log key lied, and authz does not start. */
static void the_ledger_refuses_impossible_stories(void **state)
{
    (void)state;
    static const char made[] = "held.created|{\"item\":\"hld_1\"}";
    const struct { const char *name, *leaves[5]; } rows[] = {
        { "approval of nothing", { "approval|{\"item\":\"hld_1\",\"state\":\"approved\"}" } },
        { "made twice", { made, made } },
        { "used without approval", { made, "signoff.used|{\"item\":\"hld_1\"}" } },
        { "used twice", { made, "approval|{\"item\":\"hld_1\",\"state\":\"approved\"}", "signoff.used|{\"item\":\"hld_1\"}",
                          "signoff.used|{\"item\":\"hld_1\"}" } },
        { "approved after a no", { made, "denial|{\"item\":\"hld_1\",\"state\":\"denied\"}", "approval|{\"item\":\"hld_1\",\"state\":\"approved\"}" } },
        { "two known outcomes", { made, "approval|{\"item\":\"hld_1\",\"state\":\"approved\"}", "signoff.used|{\"item\":\"hld_1\"}",
                                  "outcome|{\"item\":\"hld_1\",\"outcome\":\"answered\"}", "outcome|{\"item\":\"hld_1\",\"outcome\":\"not-sent\"}" } },
        { "an unknown outcome word", { made, "approval|{\"item\":\"hld_1\",\"state\":\"approved\"}", "signoff.used|{\"item\":\"hld_1\"}",
                                       "outcome|{\"item\":\"hld_1\",\"outcome\":\"fine\"}" } },
        { "a grant for a held request", { made, "approval|{\"item\":\"hld_1\",\"state\":\"approved\"}",
                                          "grant.issued|{\"item\":\"hld_1\",\"grant_id\":\"grt_1\"}" } },
        { "a state that is none", { made, "approval|{\"item\":\"hld_1\",\"state\":\"appr\"}" } },
        { "unlock of nothing", { "unlock|{\"lock_id\":\"lck_1\"}" } },
        { "no id", { "held.created|{}" } },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ledger l = { 0 };
        struct err err;
        enum status st = OK;
        for (size_t k = 0; k < 5 && rows[i].leaves[k] != NULL; k++) {
            char type[32];
            const char *bar = strchr(rows[i].leaves[k], '|');
            snprintf(type, sizeof type, "%.*s", (int)(bar - rows[i].leaves[k]), rows[i].leaves[k]);
            json_t *content = json_loads(bar + 1, 0, NULL);
            assert_int_equal(st, OK);   /* only the last one is impossible */
            st = ledger_apply(&l, k + 1, type, content, &err);
            json_decref(content);
        }
        if (st != CORRUPT)
            fail_msg("believed: %s", rows[i].name);
        ledger_done(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_refusal_is_documented), cmocka_unit_test(fields_are_checked), cmocka_unit_test(reasons_are_checked),
        cmocka_unit_test(the_ledger_refuses_impossible_stories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
