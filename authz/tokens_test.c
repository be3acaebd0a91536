/* Hostile grants against grant_verify(): the table of tests/vectors/tokens.json, made by a program that shares nothing with ours. Each row must be
 * refused, and for its own reason: a token that is refused for another one was not understood. */
#include "authz/grant.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static json_t *file;
static struct jwt_keys *keys;

static const char *text(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

static int load(void **state)
{
    struct err err = { .text = "" };
    (void)state;
    file = json_load_file("tests/vectors/tokens.json", JSON_REJECT_DUPLICATES, NULL);
    return file != NULL && jwt_keys_from_jwks(json_object_get(file, "jwks"), &keys, &err) == OK ? 0 : -1;
}

static int unload(void **state)
{
    (void)state;
    jwt_keys_free(keys);
    json_decref(file);
    return 0;
}

static enum status verify(const char *token, struct err *err)
{
    struct grant g;
    enum status st = grant_verify(keys, text(file, "issuer"), slice_str(token), json_integer_value(json_object_get(file, "now")), &g, err);
    if (st == OK)
        grant_done(&g);
    return st;
}

static void the_good_one_is_taken(void **state)
{
    struct err err = { .text = "" };
    (void)state;
    assert_int_equal(verify(text(file, "good"), &err), OK);
}

static void each_hostile_one_is_refused_for_its_reason(void **state)
{
    const json_t *rows = json_object_get(file, "hostile");
    json_t *row;
    size_t i, wrong = 0;
    (void)state;
    assert_true(json_array_size(rows) >= 80);
    json_array_foreach((json_t *)(uintptr_t)rows, i, row) {
        struct err err = { .text = "" };
        enum status st = verify(text(row, "token"), &err);
        if (st != OK && strstr(err.text, text(row, "reason")) != NULL && (st == EXPIRED) == (strstr(err.text, "has expired") != NULL))
            continue;
        print_error("%s: %s: \"%s\", not \"%s\"\n", text(row, "name"), status_name(st), err.text, text(row, "reason"));
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_good_one_is_taken), cmocka_unit_test(each_hostile_one_is_refused_for_its_reason) };
    return cmocka_run_group_tests(tests, load, unload);
}
