#include "authz/canonical.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct row {
    const char *name, *json, *out;    /* out NULL: BAD_INPUT */
};

static const struct row rows[] = {
    { "empty object", " { } ", "{}" },
    { "empty array", "[ ]", "[]" },
    { "members sorted", "{\"b\":1,\"a\":2,\"aa\":3,\"B\":4,\"\":5}", "{\"\":5,\"B\":4,\"a\":2,\"aa\":3,\"b\":1}" },
    { "members sorted inside", "[{\"z\":{\"y\":1,\"x\":2}}]", "[{\"z\":{\"x\":2,\"y\":1}}]" },
    { "array keeps its order", "[3, 1, 2]", "[3,1,2]" },
    { "booleans", "[true, false]", "[true,false]" },
    { "escapes", "[\"\\u0008\\t\\n\\f\\r\\\"\\\\\\/\\u0001\\u001f\\u007f\"]", "[\"\\b\\t\\n\\f\\r\\\"\\\\/\\u0001\\u001f\x7f\"]" },
    { "unicode stays", "[\"\\u20ac\\ud83d\\ude00\"]", "[\"\xe2\x82\xac\xf0\x9f\x98\x80\"]" },
    { "NUL in a string", "[\"a\\u0000b\"]", "[\"a\\u0000b\"]" },
    { "largest integer", "[9007199254740991, -9007199254740991, 0, -0]", "[9007199254740991,-9007199254740991,0,0]" },
    { "too large an integer", "[9007199254740992]", NULL },
    { "too small an integer", "[-9007199254740992]", NULL },
    { "real", "[1.0]", NULL },
    { "null", "{\"a\":null}", NULL },
    { "key beyond ASCII", "{\"\\u00e9\":1}", NULL },
    { "16 deep", "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]", "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]" },
    { "17 deep", "[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]", NULL },
    { "value 17 deep", "[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]", NULL },
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err err;
        char *out = NULL;
        size_t len = 0;
        json_t *v = json_loads(rows[i].json, JSON_ALLOW_NUL, NULL);
        assert_non_null(v);
        enum status st = canonical_json(v, &out, &len, &err);
        if (st != (rows[i].out ? OK : BAD_INPUT) || (st == OK && (strcmp(out, rows[i].out) != 0 || len != strlen(out))))
            fail_msg("%s: %s %s", rows[i].name, status_name(st), st == OK ? out : err.text);
        free(out);
        json_decref(v);
    }
}

static void test_not_utf8(void **state)
{
    (void)state;
    static const char *const bad[] = { "\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\xff" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *out = NULL;
        size_t len;
        json_t *v = json_string_nocheck(bad[i]);
        assert_int_equal(canonical_json(v, &out, &len, NULL), BAD_INPUT);
        json_decref(v);
    }
    char *out = NULL;
    size_t len;
    assert_int_equal(canonical_json(NULL, &out, &len, NULL), BAD_INPUT);
    json_t *v = json_object();        /* a key with a NUL is another key than what stands before the NUL */
    json_object_setn_new(v, "a\0b", 3, json_true());
    json_object_set_new(v, "a", json_false());
    assert_int_equal(canonical_json(v, &out, &len, NULL), OK);
    assert_string_equal(out, "{\"a\":false,\"a\\u0000b\":true}");
    free(out);
    json_decref(v);
}

/* What is written reads back as the same value, and is written the same again. */
static void test_stable(void **state)
{
    (void)state;
    char *one, *two;
    size_t len;
    json_t *v = json_object(), *back;
    for (int i = 0; i < 500; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i * 7919 % 500);
        json_object_set_new(v, key, json_pack("[i, s, b]", i, "\"\\\x01", i % 2));
    }
    assert_int_equal(canonical_json(v, &one, &len, NULL), OK);
    back = json_loadb(one, len, JSON_REJECT_DUPLICATES, NULL);
    assert_true(json_equal(v, back));
    assert_int_equal(canonical_json(back, &two, &len, NULL), OK);
    assert_string_equal(one, two);
    free(one);
    free(two);
    json_decref(v);
    json_decref(back);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_not_utf8), cmocka_unit_test(test_stable) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
