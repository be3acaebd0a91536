/* The description of the API against its implementation: each row of the table stands in it, with its members and parameters, and it describes nothing else. */
#include "proxy/console/api.h"
#include "proxy/console/script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static json_t *doc, *table;

static int load(void **state)
{
    (void)state;
    struct slice text = console_openapi();
    doc = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    table = api_table();
    return doc && table ? 0 : -1;
}

static int unload(void **state)
{
    (void)state;
    json_decref(doc);
    json_decref(table);
    return 0;
}

static const json_t *get(const json_t *from, const char *a, const char *b)
{
    return json_object_get(json_object_get(from, a), b);
}

static void lower(const char *from, char *to)
{
    for (; *from != 0; from++)
        *to++ = (char)(*from | 0x20);
    *to = 0;
}

static const json_t *operation(const json_t *row)
{
    char method[16];
    lower(json_string_value(json_object_get(row, "method")), method);
    return json_object_get(get(doc, "paths", json_string_value(json_object_get(row, "path"))), method);
}

/* Each name of the list is one of `there`, and as many are there. */
static void same_names(const char *path, const json_t *names, const json_t *there)
{
    size_t i;
    json_t *name;
    json_array_foreach((json_t *)(uintptr_t)names, i, name)
        if (json_object_get(there, json_string_value(name)) == NULL)
            fail_msg("%s: '%s' is not described", path, json_string_value(name));
    if (json_object_size(there) != json_array_size(names))
        fail_msg("%s: more is described than the call takes", path);
}

static void every_call_is_described(void **state)
{
    size_t i, k;
    json_t *row, *parameter;
    (void)state;
    json_array_foreach(table, i, row) {
        const char *path = json_string_value(json_object_get(row, "path"));
        const json_t *op = operation(row);
        char status[16];
        if (op == NULL)
            fail_msg("%s %s is not described", json_string_value(json_object_get(row, "method")), path);
        snprintf(status, sizeof status, "%d", (int)json_integer_value(json_object_get(row, "status")));
        if (get(op, "responses", status) == NULL || get(op, "responses", "default") == NULL)
            fail_msg("%s: its answers are not described", path);
        const json_t *content = get(op, "requestBody", "content");
        same_names(path, json_object_get(row, "body"), get(json_object_get(content, "application/json"), "schema", "properties"));
        json_t *query = json_object();
        json_array_foreach(json_object_get(op, "parameters"), k, parameter)
            if (strcmp(json_string_value(json_object_get(parameter, "in")), "query") == 0)
                json_object_set_new(query, json_string_value(json_object_get(parameter, "name")), json_true());
        same_names(path, json_object_get(row, "query"), query);
        json_decref(query);
    }
}

static bool in_table(const char *path, const char *method)
{
    size_t i;
    json_t *row;
    char name[16];
    json_array_foreach(table, i, row) {
        lower(json_string_value(json_object_get(row, "method")), name);
        if (strcmp(json_string_value(json_object_get(row, "path")), path) == 0 && strcmp(name, method) == 0)
            return true;
    }
    return false;
}

static void nothing_else_is_described(void **state)
{
    const char *path, *method;
    json_t *methods, *op;
    size_t calls = 0;
    (void)state;
    json_object_foreach(json_object_get(doc, "paths"), path, methods)
        json_object_foreach(methods, method, op) {
            bool is_public = strncmp(path, "/.well-known/", 13) == 0 || strcmp(path, "/api/openapi.json") == 0;
            calls++;
            if (!is_public && !in_table(path, method))
                fail_msg("%s %s is described, but not there", method, path);
        }
    assert_int_equal(calls, json_array_size(table) + 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_call_is_described), cmocka_unit_test(nothing_else_is_described) };
    return cmocka_run_group_tests(tests, load, unload);
}
