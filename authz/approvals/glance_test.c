#include "authz/approvals/glance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

static void what_can_be_seen(void **state)
{
    (void)state;
    static const struct { const char *name, *json; bool want; } rows[] = {
        { "nothing", "", false },
        { "empty", "{}", true },
        { "one", "{\"a\":\"b\"}", true },
        { "in order", "{\"a\":1,\"ab\":2,\"b\":3}", true },
        { "twice", "{\"a\":1,\"a\":2}", false },
        { "out of order", "{\"b\":1,\"a\":2}", false },
        { "an escaped name", "{\"\\u0061\":1}", false },
        { "an array", "[1]", false },
        { "white space", "{ \"a\":1}", false },
        { "a comma too many", "{\"a\":1,}", false },
        { "something behind", "{\"a\":1}x", false },
        { "an object behind", "{\"a\":1}{}", false },
        { "cut in a string", "{\"a\":\"b", false },
        { "cut behind a backslash", "{\"a\":\"b\\", false },
        { "cut before the brace", "{\"a\":\"b\"", false },
        { "cut in an object", "{\"a\":{\"b\":1}", false },
        { "brackets that cross", "{\"a\":[{]}}", false },
        { "a bracket in a string", "{\"a\":[\"]}\"]}", true },
        { "a quote in a string", "{\"a\":\"\\\"}\"}", true },
        { "a control character, which no canonical text has", "{\"a\":\"\n\"}", true },
        { "no value", "{\"a\":}", true },
        { "no colon", "{\"a\" 1}", false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct glance g;
        /* malloc'd, so that a byte too far is noticed */
        size_t len = strlen(rows[i].json);
        char *exact = malloc(len ? len : 1);
        assert_non_null(exact);
        memcpy(exact, rows[i].json, len);
        if (glance_read(slice_of(exact, len), &g) != rows[i].want)
            fail_msg("%s", rows[i].name);
        free(exact);
    }
}

static void kinds(void **state)
{
    (void)state;
    struct glance g;
    assert_true(glance_read(slice_str("{\"a\":\"x\",\"b\":\"x\\ny\",\"c\":12,\"d\":-3,\"e\":[1,{}],\"f\":true,\"g\":1.5,\"h\":01,\"i\":1234567890123456789,\"j\":-0,\"k\":}"), &g));
    static const struct { const char *name; enum glance_kind kind; int64_t number; } rows[] = {
        { "a", GLANCE_TEXT, 0 }, { "b", GLANCE_OTHER, 0 }, { "c", GLANCE_NUMBER, 12 }, { "d", GLANCE_NUMBER, -3 }, { "e", GLANCE_NESTED, 0 }, { "f", GLANCE_OTHER, 0 },
        { "g", GLANCE_OTHER, 0 }, { "h", GLANCE_OTHER, 0 }, { "i", GLANCE_OTHER, 0 }, { "j", GLANCE_OTHER, 0 }, { "k", GLANCE_OTHER, 0 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct glance_member *m = glance_find(&g, slice_str(rows[i].name));
        if (m == NULL || m->kind != rows[i].kind || (m->kind == GLANCE_NUMBER && m->number != rows[i].number))
            fail_msg("%s", rows[i].name);
    }
    assert_true(glance_says(&g, SLICE("a"), SLICE("x")));
    assert_false(glance_says(&g, SLICE("a"), SLICE("xx")));
    assert_false(glance_says(&g, SLICE("b"), SLICE("x\ny")));
    assert_false(glance_says(&g, SLICE("z"), SLICE("")));
    assert_true(slice_eq(glance_find(&g, SLICE("e"))->value, SLICE("[1,{}]")));
}

/* Whatever both can read, they read alike: sound objects, with a byte of each changed. */
static void agrees_with_a_parser(void **state)
{
    (void)state;
    static const char text[] = "{\"action\":\"a\\\"b\",\"at\":120,\"list\":[\"]\",{\"x\":1}],\"person\":\"alice\",\"session\":\"grt_1\",\"zero\":0}";
    for (size_t at = 0; at < sizeof text - 1; at++)
        for (int c = 1; c < 256; c++) {
            char changed[sizeof text];
            struct glance g;
            memcpy(changed, text, sizeof text);
            changed[at] = (char)c;
            if (!glance_read(slice_str(changed), &g))
                continue;
            json_t *parsed = json_loads(changed, JSON_REJECT_DUPLICATES, NULL);
            for (size_t i = 0; parsed != NULL && i < g.count; i++) {
                const struct glance_member *m = &g.member[i];
                const json_t *v = json_object_getn(parsed, (const char *)m->name.ptr, m->name.len);
                assert_non_null(v);
                if (m->kind == GLANCE_TEXT)
                    assert_true(slice_eq(m->value, slice_str(json_string_value(v))));
                if (m->kind == GLANCE_NUMBER)
                    assert_true(json_is_integer(v) && json_integer_value(v) == m->number);
            }
            if (parsed != NULL)
                assert_int_equal(json_object_size(parsed), g.count);
            json_decref(parsed);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(what_can_be_seen), cmocka_unit_test(kinds), cmocka_unit_test(agrees_with_a_parser) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
