/* One text for files that say the same, and what was kept of it: loaded again it is the same, and nothing else is taken for it. */
#include "config/config.h"

#include "proxy/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[] = "/tmp/countersign-keep-XXXXXX";

#define TLS "tls = { certificate = \"x\"; key = \"x\"; client_ca = \"ca.pem\"; crl = \"x\"; };\n"
#define HEAD "instance = \"i\"; console = \"console.x\"; approval_keys = \"x\"; recording = { unsealed = true; };\n" TLS
#define PEOPLE "people = ( { name = \"alice\"; identities = [ \"a@x\" ]; groups = [ \"s\" ]; }, { name = \"bob\"; identities = [ \"b@x\" ]; groups = [ \"l\", \"o\" ]; } );\n"
#define TOOLS                                                                                                                                   \
    "tools = ( { name = \"t\"; host = \"t.x\"; upstream = \"http://127.0.0.1:1\"; who = [ \"s\" ]; approvers = ( { group = \"l\"; } );\n"    \
    " ticket = \"a\\\"\\\\.b\"; actions = ( { name = \"a\"; path = \"/x*\"; allow = \"grant\"; } ); } );\n"
#define ROLES "roles = { auditors = [ \"o\" ]; operators = [ \"o\" ]; };\n"

static void put(const char *name, const char *text)
{
    struct err err;
    char *path = file_join(folder, name);
    if (file_write(path, slice_str(text), 0600, &err) != OK)
        fail_msg("%s", err.text);
    free(path);
}

static void drop(const char *name)
{
    char *path = file_join(folder, name);
    unlink(path);
    rmdir(path);
    free(path);
}

static struct config *load(const char *text)
{
    struct config *c = NULL;
    struct problems p;
    put("c.conf", text);
    char *path = file_join(folder, "c.conf");
    enum status st = config_load_text(path, &c, &p);
    for (size_t i = 0; st != OK && i < p.count; i++)
        print_message("%s\n", p.text[i]);
    assert_int_equal(st, OK);
    problems_done(&p);
    free(path);
    return c;
}

static char *keep_folder(void)
{
    return file_join(folder, "policy");
}

static const char usual[] = HEAD ROLES PEOPLE TOOLS;
static char digest[65];

static int set_up(void **state)
{
    (void)state;
    if (folder[strlen(folder) - 1] == 'X')
        assert_non_null(mkdtemp(folder));
    put("x", "x");
    put("ca.pem", "an authority");
    struct config *c = load(usual);
    memcpy(digest, c->policy_digest, sizeof digest);
    config_unref(c);
    return 0;
}

static const struct row {
    const char *name, *text;
    bool same;
} rows[] = {
    { "again", HEAD ROLES PEOPLE TOOLS, true },
    { "another order, comments, spaces", "# hello\n" TOOLS "\n\n" PEOPLE ROLES "/* x */" HEAD, true },
    { "a default written out", HEAD ROLES PEOPLE TOOLS "max_staleness = \"3s\"; lock_when = { refusals = 0; }; keys = { confirmers = [ ]; };", true },
    { "an empty group", HEAD ROLES PEOPLE TOOLS "keys = { };", true },
    { "an absolute path", "x", true },
    { "what is the machine's", HEAD ROLES PEOPLE TOOLS "workers = 3; listen = [ \"127.0.0.1:9\" ]; limits = { streams = 5; }; log_level = \"debug\";", true },
    { "a member more", HEAD ROLES "people = ( { name = \"alice\"; identities = [ \"a@x\" ]; groups = [ \"s\", \"l\" ]; }, { name = \"bob\"; identities = [ \"b@x\" ]; groups = [ \"l\", \"o\" ]; } );\n" TOOLS, false },
    { "the guard", HEAD ROLES PEOPLE TOOLS "policy = { second_operator = true; };", false },
    { "another staleness", HEAD ROLES PEOPLE TOOLS "max_staleness = \"4s\";", false },
    { "another path", HEAD ROLES PEOPLE "tools = ( { name = \"t\"; host = \"t.x\"; upstream = \"http://127.0.0.1:1\"; who = [ \"s\" ]; approvers = ( { group = \"l\"; } );\n"
      " actions = ( { name = \"a\"; path = \"/y*\"; allow = \"grant\"; } ); } );\n", false },
};

static void test_one_text(void **state)
{
    (void)state;
    char text[2048];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(text, sizeof text, "instance = \"i\"; console = \"console.x\"; approval_keys = \"%s/x\"; recording = { unsealed = true; };\n" TLS ROLES PEOPLE TOOLS, folder);
        struct config *c = load(strcmp(rows[i].text, "x") == 0 ? text : rows[i].text);
        if ((strcmp(c->policy_digest, digest) == 0) != rows[i].same)
            fail_msg("%s:\n%s", rows[i].name, c->policy);
        config_unref(c);
    }
}

/* People in a file of their own say the same as people in the file itself. */
static void test_include(void **state)
{
    (void)state;
    put("people.conf", PEOPLE);
    struct config *c = load(HEAD ROLES "@include \"people.conf\"\n" TOOLS);
    assert_string_equal(c->policy_digest, digest);
    config_unref(c);
    drop("people.conf");
}

/* The authority itself is policy, not where it lies. */
static void test_content(void **state)
{
    (void)state;
    put("ca.pem", "another authority");
    struct config *c = load(usual);
    assert_string_not_equal(c->policy_digest, digest);
    config_unref(c);
    put("ca.pem", "an authority");
    put("elsewhere.pem", "an authority");
    c = load("instance = \"i\"; console = \"console.x\"; approval_keys = \"x\"; recording = { unsealed = true; }; tls = { certificate = \"x\"; key = \"x\"; client_ca = \"elsewhere.pem\"; crl = \"x\"; };\n" ROLES PEOPLE TOOLS);
    assert_string_equal(c->policy_digest, digest);
    config_unref(c);
    drop("elsewhere.pem");
}

static enum status load_kept(const char *name, const char *machine, struct config **out)
{
    struct problems p;
    char *keep = keep_folder();
    *out = NULL;
    enum status st = config_load_kept(keep, name, machine, out, &p);
    problems_done(&p);
    free(keep);
    return st;
}

static void test_kept(void **state)
{
    (void)state;
    struct err err = { .text = "" };
    char *keep = keep_folder(), name[100];
    struct config *c = load(usual), *kept = NULL, *other = load(HEAD ROLES PEOPLE TOOLS "workers = 7;");
    assert_int_equal(config_keep(c, keep, &err), OK);
    assert_int_equal(load_kept(digest, other->machine, &kept), OK);
    assert_string_equal(kept->policy, c->policy);
    assert_string_equal(kept->state, c->state);
    assert_string_equal(kept->approval_keys, c->approval_keys);
    assert_int_equal(kept->workers, 7);
    assert_string_equal(kept->tools[0].ticket, "a\"\\.b");
    assert_string_not_equal(kept->client_ca, c->client_ca);   /* its own copy */
    config_unref(kept);
    /* The original is of no importance any more; the copy is. */
    put("ca.pem", "another authority");
    assert_int_equal(load_kept(digest, c->machine, &kept), OK);
    snprintf(name, sizeof name, "policy/%s", strrchr(kept->client_ca, '/') + 1);
    config_unref(kept);
    put(name, "another authority");
    assert_int_equal(load_kept(digest, c->machine, &kept), BAD_CONFIG);
    put(name, "an authority");
    assert_int_equal(load_kept(digest, c->machine, &kept), OK);
    config_unref(kept);
    put("ca.pem", "an authority");
    /* Another policy under this one's name. */
    char file[100], *wider = strdup(c->policy), *at = strstr(wider, "\"s\"");
    snprintf(file, sizeof file, "policy/%s.conf", digest);
    at[1] = 'l';
    put(file, wider);
    assert_int_equal(load_kept(digest, c->machine, &kept), BAD_CONFIG);
    put(file, "");
    assert_int_equal(load_kept(digest, c->machine, &kept), BAD_CONFIG);
    drop(file);
    assert_int_equal(load_kept(digest, c->machine, &kept), BAD_CONFIG);
    free(wider);
    drop(name);
    drop("policy");
    config_unref(other);
    config_unref(c);
    free(keep);
}

/* An authority that changes between reading the config and keeping it is not kept as something else. */
static void test_changed_meanwhile(void **state)
{
    (void)state;
    struct err err = { .text = "" };
    char *keep = keep_folder();
    struct config *c = load(usual);
    put("ca.pem", "another authority");
    assert_int_equal(config_keep(c, keep, &err), BAD_INPUT);
    put("ca.pem", "an authority");
    config_unref(c);
    free(keep);
}

static struct config *in_force(enum status want)
{
    struct config *c = NULL;
    struct problems p;
    char *path = file_join(folder, "c.conf");
    assert_int_equal(config_load_in_force(path, &c, &p), want);
    problems_done(&p);
    free(path);
    return c;
}

static void test_in_force(void **state)
{
    (void)state;
    struct err err = { .text = "" };
    char *keep = keep_folder(), line[80];
    struct config *c = load(usual), *now;
    assert_int_equal(config_keep(c, keep, &err), OK);
    config_unref(c);
    config_unref(load(HEAD ROLES "people = ( { name = \"alice\"; identities = [ \"a@x\" ]; groups = [ \"s\", \"l\", \"o\" ]; } );\n" TOOLS "workers = 9;"));
    now = in_force(OK);
    assert_string_not_equal(now->policy_digest, digest);     /* nothing says otherwise: the file */
    config_unref(now);
    snprintf(line, sizeof line, "%s\n", digest);
    put("policy/in-force", line);
    now = in_force(OK);
    assert_string_equal(now->policy_digest, digest);
    assert_int_equal(now->person_count, 2);
    assert_int_equal(now->workers, 9);
    config_unref(now);
    line[0] = line[0] == '0' ? '1' : '0';
    put("policy/in-force", line);
    assert_null(in_force(BAD_CONFIG));                       /* one that was not kept */
    put("policy/in-force", "nonsense");
    config_unref(in_force(OK));
    free(keep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_one_text, set_up), cmocka_unit_test_setup(test_include, set_up), cmocka_unit_test_setup(test_content, set_up),
        cmocka_unit_test_setup(test_kept, set_up), cmocka_unit_test_setup(test_changed_meanwhile, set_up), cmocka_unit_test_setup(test_in_force, set_up),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[200];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) != 0 ? 1 : failed;
}
