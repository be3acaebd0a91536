#include "certs/people_file.h"

#include "certs/test_folder.h"
#include "proxy/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64], path[96];

static int setup(void **state)
{
    (void)state;
    if (test_folder_make(dir) != 0)
        return -1;
    snprintf(path, sizeof path, "%s/people.conf", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return test_folder_remove(dir);
}

static void put(const char *where, const char *text)
{
    assert_int_equal(file_write(where, slice_str(text), 0640, NULL), OK);
}

#define CAROL "  { name = \"carol\"; identities = [ \"carol@acme.example\" ]; groups = [ \"security\", \"employee\" ]; }\n"
#define BOB "{ name = \"bob\"; identities = [ \"bob@acme.example\" ]; groups = [ ]; }"

static const struct {
    const char *name, *before, *after;   /* after NULL: refused */
} rows[] = {
    { "empty list", "people = (\n);\n", "people = (\n" CAROL ");\n" },
    { "empty list on one line", "people = ();", "people = (\n" CAROL ");" },
    { "one person", "people = (\n  " BOB "\n);\n", "people = (\n  " BOB ",\n" CAROL ");\n" },
    { "a comment behind the last", "people = (\n  " BOB " # the boss\n);\n", "people = (\n  " BOB ", # the boss\n" CAROL ");\n" },
    { "a comment before the end", "people = (\n  " BOB "\n  // nobody, yet )\n  );\n", "people = (\n  " BOB ",\n  // nobody, yet )\n" CAROL "  );\n" },
    { "brackets in strings and comments", "/* people = ( */ x = \"people = (\"; # people = (\npeople = (" BOB ");\n",
      "/* people = ( */ x = \"people = (\"; # people = (\npeople = (" BOB ",\n" CAROL ");\n" },
    { "an escaped quote", "x = \"\\\") people = (\"; people = (\n);", "x = \"\\\") people = (\"; people = (\n" CAROL ");" },
    { "a colon", "people : (\n);\n", "people : (\n" CAROL ");\n" },
    { "people inside a group first", "other = { people = ( ); };\npeople = (\n);\n", "other = { people = ( ); };\npeople = (\n" CAROL ");\n" },
    { "a name that only begins so", "people-old = 1;\npeople = (\n);\n", "people-old = 1;\npeople = (\n" CAROL ");\n" },
    { "nested lists after it", "people = (\n  " BOB "\n);\ntools = ( ( 1 ) );\n", "people = (\n  " BOB ",\n" CAROL ");\ntools = ( ( 1 ) );\n" },
    { "no list", "x = 1;\n", NULL },
    { "empty file", "", NULL },
    { "a list that is not closed", "people = (\n", NULL },
    { "an array instead of a list", "people = [ ];\n", NULL },
    { "the name is there", "people = ( { name = \"carol\"; identities = [ \"c@x.y\" ]; } );", NULL },
    { "the identity is there", "people = ( { name = \"zoe\"; identities = [ \"carol@acme.example\" ]; } );", NULL },
};

static void test_add(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        unsigned char *now = NULL;
        size_t len = 0;
        struct err err = { "" };
        put(path, rows[i].before);
        enum status st = people_file_add(path, "carol", "carol@acme.example", "security,employee", &err);
        assert_int_equal(file_read(path, 1 << 20, false, &now, &len, NULL), OK);
        const char *want = rows[i].after ? rows[i].after : rows[i].before;
        if ((st == OK) != (rows[i].after != NULL) || strcmp((char *)now, want) != 0)
            fail_msg("%s: %s %s\n%s", rows[i].name, status_name(st), err.text, now);
        free(now);
    }
}

static void test_mode_and_link_stay(void **state)
{
    (void)state;
    char link_path[128];
    struct stat sb;
    snprintf(link_path, sizeof link_path, "%s/link.conf", dir);
    put(path, "people = (\n);\n");
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(symlink("people.conf", link_path), 0);
    assert_int_equal(people_file_add(link_path, "dan", "dan@acme.example", "auditor", NULL), OK);
    assert_int_equal(lstat(link_path, &sb), 0);
    assert_true(S_ISLNK(sb.st_mode));
    assert_int_equal(stat(path, &sb), 0);
    assert_int_equal(sb.st_mode & 0777, 0640);
}

static void test_find(void **state)
{
    (void)state;
    enum person_found found;
    char other[65];
    put(path, "people = ( { name = \"alice\"; identities = [ \"alice@acme.example\", \"a@acme.example\" ]; }, " BOB ", 5, { identities = 3; } );");
    assert_int_equal(people_file_find(path, "alice", "a@acme.example", &found, other, NULL), OK);
    assert_int_equal(found, PERSON_LISTED);
    assert_int_equal(people_file_find(path, "alice", "new@acme.example", &found, other, NULL), OK);
    assert_int_equal(found, PERSON_CLASH);
    assert_string_equal(other, "");
    assert_int_equal(people_file_find(path, "eve", "bob@acme.example", &found, other, NULL), OK);
    assert_int_equal(found, PERSON_CLASH);
    assert_string_equal(other, "bob");
    assert_int_equal(people_file_find(path, "eve", "eve@acme.example", &found, other, NULL), OK);
    assert_int_equal(found, PERSON_ABSENT);
    assert_int_equal(people_file_find(NULL, "eve", "eve@acme.example", &found, other, NULL), OK);
    assert_int_equal(found, PERSON_ABSENT);
    put(path, "people = (;");
    assert_int_equal(people_file_find(path, "eve", "eve@acme.example", &found, other, NULL), BAD_CONFIG);
}

static void test_hostile_words(void **state)
{
    (void)state;
    put(path, "people = (\n);\n");
    assert_int_equal(people_file_add(path, "eve\"; x", "e@x.y", "a", NULL), BAD_INPUT);
    assert_int_equal(people_file_add(path, "eve", "e\"@x.y", "a", NULL), BAD_INPUT);
    assert_int_equal(people_file_add(path, "eve", "e@x.y", "a\" ]; }", NULL), BAD_INPUT);
    assert_int_equal(people_file_add(path, "eve", "e@x.y", "", NULL), BAD_INPUT);
    assert_int_equal(people_file_add(path, "eve", "e@x.y", "a,,b", NULL), BAD_INPUT);
    assert_int_equal(people_file_add(path, "eve", "e@x.y", "a,", NULL), BAD_INPUT);
}

static void test_paths(void **state)
{
    (void)state;
    char config[128], want[160];
    struct state_paths p;
    struct err err;
    snprintf(config, sizeof config, "%s/countersign.conf", dir);
    put(path, "people = (\n);\n");
    put(config, "state = \".\";\napproval_keys = \"approval-keys\";\n@include \"people.conf\"\n");
    assert_int_equal(state_paths_read(config, &p, &err), OK);
    assert_string_equal(p.state, dir);
    assert_string_equal(p.people, path);
    snprintf(want, sizeof want, "%s/approval-keys", dir);
    assert_string_equal(p.approval_keys, want);
    state_paths_done(&p);
    put(config, "state = \"/srv/state\";\n");
    assert_int_equal(state_paths_read(config, &p, &err), OK);
    assert_string_equal(p.state, "/srv/state");
    assert_null(p.people);
    state_paths_done(&p);
    put(config, "state = ;\n");
    assert_int_equal(state_paths_read(config, &p, &err), BAD_CONFIG);
    assert_non_null(strstr(err.text, ":1:"));
    unlink(config);
    assert_int_equal(state_paths_read(config, &p, &err), NOT_FOUND);
    assert_int_equal(state_paths_read("/no/such/folder/x.conf", &p, &err), NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add), cmocka_unit_test(test_mode_and_link_stay), cmocka_unit_test(test_find),
        cmocka_unit_test(test_hostile_words), cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
