#include "proxy/dom/script.h"

#include "proxy/base/file.h"
#include "proxy/dom/document.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[] = "/tmp/countersign-script-XXXXXX";

static void put(const char *text)
{
    char *path = file_join(folder, "record.js");
    assert_int_equal(file_write(path, slice_str(text), 0644, NULL), OK);
    free(path);
}

static bool holds(const struct dom_script *s, const char *text)
{
    return memmem(s->text.ptr, s->text.len, text, strlen(text)) != NULL;
}

static void test_made(void **state)
{
    static char *show[] = { (char *)"#a\"b", (char *)"\xc3\xa4" };
    struct tool tool = { .dom = { .enabled = true, .show = show, .show_count = 2 } };
    struct config c = { .dom_recorder = folder, .limits = { .dom_upload = 4711 } };
    struct dom_script one, two;
    struct arena a;
    struct err err;
    (void)state;
    arena_init(&a, 1 << 20);
    put("module.exports = 'the recorder';");
    assert_int_equal(dom_script_make(&c, &tool, &a, &one, &err), OK);
    assert_true(holds(&one, "module.exports = 'the recorder';") && holds(&one, "\"most\":4711") && holds(&one, "\"events\":\"" DOM_EVENTS "\""));
    assert_true(holds(&one, "\"show\":[\"#a\\\"b\",\"\\u00E4\"]"));
    assert_true(strncmp(one.path, DOM_PATH, strlen(DOM_PATH)) == 0 && strcmp(one.path + strlen(one.path) - 3, ".js") == 0);
    assert_int_equal(dom_script_make(&c, &tool, &a, &two, &err), OK);
    assert_string_equal(one.path, two.path);
    tool.dom.show_count = 1;          /* another text has another path: browsers keep it for long */
    assert_int_equal(dom_script_make(&c, &tool, &a, &two, &err), OK);
    assert_string_not_equal(one.path, two.path);
    arena_done(&a);
}

static void test_missing(void **state)
{
    struct tool tool = { .dom = { .enabled = true } };
    struct config c = { .dom_recorder = folder };
    struct dom_script s;
    struct arena a;
    struct err err;
    (void)state;
    arena_init(&a, 1 << 20);
    put("");
    assert_int_equal(dom_script_make(&c, &tool, &a, &s, &err), BAD_CONFIG);
    assert_non_null(strstr(err.text, "empty"));
    char *path = file_join(folder, "record.js");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(dom_script_make(&c, &tool, &a, &s, &err), BAD_CONFIG);
    assert_non_null(strstr(err.text, path));
    free(path);
    arena_done(&a);
}

static int make(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int clear(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_made), cmocka_unit_test(test_missing) };
    return cmocka_run_group_tests(tests, make, clear);
}
