/* example.conf against the table: it loads as it is, it names every setting, and each one that is commented out stands there with its default. */
#include "config/settings.h"

#include "proxy/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[] = "/tmp/countersign-example-XXXXXX";
static char *example;

static void put_file(const char *name, struct slice text, mode_t mode)
{
    struct err err;
    char *path = file_join(folder, name);
    if (file_write(path, text, mode, &err) != OK)
        fail_msg("%s", err.text);
    assert_int_equal(chmod(path, mode), 0);
    free(path);
}

static const char *const files[] = { "tls/server.pem", "tls/server.key", "ca/root.pem", "ca/crl.pem", "approval_keys", "makers.pem", "example.conf" };

static int set_up(void **state)
{
    (void)state;
    size_t len;
    char *tls, *ca;
    assert_non_null(mkdtemp(folder));
    tls = file_join(folder, "tls");
    ca = file_join(folder, "ca");
    assert_int_equal(mkdir(tls, 0755) | mkdir(ca, 0755), 0);
    free(tls);
    free(ca);
    for (size_t i = 0; i < 6; i++)
        put_file(files[i], SLICE("x"), i == 1 ? 0600 : 0644);
    return file_read("config/example.conf", 1 << 20, false, (unsigned char **)&example, &len, NULL) == OK ? 0 : -1;
}

static int tear_down(void **state)
{
    static const char *const folders[] = { "tls", "ca", "." };
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char *path = file_join(folder, files[i]);
        unlink(path);
        free(path);
    }
    for (size_t i = 0; i < 2; i++) {
        char *path = file_join(folder, folders[i]);
        rmdir(path);
        free(path);
    }
    free(example);
    return rmdir(folder);
}

static struct config *load(const char *text, size_t *problem_count)
{
    struct config *c = NULL;
    struct problems p;
    put_file("example.conf", slice_str(text), 0644);
    char *path = file_join(folder, "example.conf");
    enum status st = config_load(path, &c, &p);
    for (size_t i = 0; i < p.count; i++)
        print_message("%s\n", p.text[i]);
    *problem_count = p.count;
    assert_int_equal(st, OK);
    problems_done(&p);
    free(path);
    return c;
}

static void test_loads(void **state)
{
    (void)state;
    size_t problems;
    struct config *c = load(example, &problems);
    assert_int_equal(problems, 0);
    assert_int_equal(c->tool_count, 1);
    assert_int_equal(c->tools[0].action_count, 4);
    config_unref(c);
}

/* "name = " at the start of a line, after '{' or after ';'; *commented says whether a '#' is just before. */
static const char *find_setting(const char *name, bool *commented)
{
    size_t len = strlen(name);
    for (const char *at = example; (at = strstr(at, name)) != NULL; at += len) {
        if (strncmp(at + len, " = ", 3) != 0 || at == example)
            continue;
        *commented = at[-1] == '#';
        if (at[-1] == '\n' || at[-1] == ' ' || *commented)
            return at + len + 3;
    }
    return NULL;
}

/* These stand commented out with an example of a value, since they have no default. */
static bool shown_by_example(const struct setting *s)
{
    return s->fallback != NULL && s->fallback[0] == 0;
}

static void check_section(const struct section *section)
{
    for (const struct setting *s = section->settings; s->name != NULL; s++) {
        bool commented = false;
        const char *value = find_setting(s->name, &commented);
        if (value == NULL)
            fail_msg("example.conf does not show %s.%s", section->title, s->name);
        if (commented && s->fallback == NULL)
            fail_msg("%s.%s is required, but commented out", section->title, s->name);
        size_t len = commented && !shown_by_example(s) ? strlen(s->fallback) : 0;
        if (len > 0 && (strncmp(value, s->fallback, len) != 0 || value[len] != ';'))
            fail_msg("%s.%s: the example does not show the default %s", section->title, s->name, s->fallback);
        if (s->sub != NULL)
            check_section(s->sub);
    }
}

static void test_complete(void **state)
{
    (void)state;
    check_section(&settings_root);
}

/* With every '#name' made live it still loads: no setting is shown that does not exist, and no default is out of its own range. */
static void test_uncommented(void **state)
{
    (void)state;
    size_t n = 0, problems;
    char *text = malloc(strlen(example) + 1);
    assert_non_null(text);
    for (const char *at = example; *at; at++) {
        bool setting = *at == '#' && at[1] >= 'a' && at[1] <= 'z' && (at == example || at[-1] == '\n' || at[-1] == ' ');
        bool skipped = setting && (strncmp(at, "#user", 5) == 0 || strncmp(at, "#upstream_ca", 12) == 0 || strncmp(at, "#upstream_pins", 14) == 0 ||
                        strncmp(at, "#upstream_name", 14) == 0 || strncmp(at, "#upstream_certificate", 21) == 0 || strncmp(at, "#upstream_key", 13) == 0 ||
                        strncmp(at, "#copy_", 6) == 0 || strncmp(at, "#syslog_", 8) == 0 || strncmp(at, "#webhook_", 9) == 0 || strncmp(at, "#webhook ", 9) == 0);   /* not on this machine */
        if (!setting || skipped)
            text[n++] = *at;
    }
    text[n] = 0;
    config_unref(load(text, &problems));
    assert_int_equal(problems, 0);
    free(text);
}

/* The defaults of the table are what an absent setting gives. */
static void test_defaults(void **state)
{
    (void)state;
    size_t problems;
    struct config *c = load(example, &problems);
    assert_int_equal(c->limits.connections, 4096);
    assert_int_equal(c->limits.drain_ms, 30000);
    assert_int_equal(c->tools[0].held_ttl_ms, 15 * 60 * 1000);
    assert_int_equal(c->segment_bytes, 1024 * 1024);
    assert_int_equal(c->public_port, 8443);
    assert_null(c->user);
    config_unref(c);
}

static void check_reference(const struct section *section, const char *text)
{
    char row[100];
    for (const struct setting *s = section->settings; s->name != NULL; s++) {
        snprintf(row, sizeof row, "\n| `%s` | ", s->name);
        if (strstr(text, row) == NULL)
            fail_msg("the reference lacks %s.%s", section->title, s->name);
        assert_true(s->help != NULL && strlen(s->help) > 8);
        if (s->sub != NULL)
            check_reference(s->sub, text);
    }
}

static void test_reference(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    assert_non_null(f);
    config_write_reference(f);
    fclose(f);
    check_reference(&settings_root, text);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loads), cmocka_unit_test(test_complete), cmocka_unit_test(test_uncommented), cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_reference),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
