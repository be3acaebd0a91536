/* check and explain as a person runs them: what they print, and how they end. */
#include "proxy/commands/commands.h"

#include "proxy/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[] = "/tmp/countersign-explain-XXXXXX";
static char *config_path;

static const char text[] =
    "instance = \"acme\"; console = \"console.acme.localhost\"; approval_keys = \"x\";\n"
    "tls = { certificate = \"x\"; key = \"x\"; client_ca = \"x\"; crl = \"x\"; };\n"
    "recording = { sealed_to = [ \"age17segmkwuhgqwgu74qty3s86m3uwtd82y8ha0660nzc0lqvk2tdsqc7naz7\", \"age1ksgjsu8gw3p36clnx6dswpywaal8ke3l2f63kkqksqkghgsmca2sthm59d\" ]; };\n"
    "roles = { auditors = [ \"security\" ]; operators = [ \"security\" ]; };\n"
    "people = ( { name = \"alice\"; identities = [ \"alice@acme.localhost\" ]; groups = [ \"support\" ]; },\n"
    "           { name = \"bob\"; identities = [ \"bob@acme.localhost\" ]; groups = [ \"lead\" ]; },\n"
    "           { name = \"carol\"; identities = [ \"carol@acme.localhost\" ]; groups = [ \"security\" ]; } );\n"
    "tools = ( { name = \"support\"; host = \"support.acme.localhost\"; upstream = \"http://127.0.0.1:8000\"; who = [ \"support\" ];\n"
    "  approvers = ( { group = \"lead\"; } ); actions = (\n"
    "    { name = \"work\"; methods = [ \"GET\", \"POST\" ]; path = \"/**\"; allow = \"grant\"; },\n"
    "    { name = \"export\"; methods = [ \"POST\" ]; path = \"/run\"; body = ( { name = \"action\"; equals = \"export\"; } ); allow = \"signoff\";\n"
    "      signoff = ( { group = \"security\"; } ); } ); } );\n";

static void put_file(const char *name, const char *content)
{
    struct err err;
    char *path = file_join(folder, name);
    if (file_write(path, slice_str(content), 0600, &err) != OK)
        fail_msg("%s", err.text);
    free(path);
}

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    put_file("x", "x");
    put_file("c.conf", text);
    config_path = file_join(folder, "c.conf");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char *x = file_join(folder, "x"), *out = file_join(folder, "out");
    unlink(x);
    unlink(out);
    unlink(config_path);
    free(x);
    free(out);
    free(config_path);
    return rmdir(folder);
}

/* Run with standard output kept in a file; *out is malloc'd. */
static int run(int (*command)(int, char **), char **argv, char **out)
{
    char *path = file_join(folder, "out");
    int argc = 0, kept;
    size_t len;
    while (argv[argc] != NULL)
        argc++;
    fflush(stdout);
    kept = dup(STDOUT_FILENO);
    assert_non_null(freopen(path, "w", stdout));
    int code = command(argc, argv);
    fflush(stdout);
    dup2(kept, STDOUT_FILENO);
    close(kept);
    assert_int_equal(file_read(path, 1 << 20, false, (unsigned char **)out, &len, NULL), OK);
    free(path);
    return code;
}

struct row {
    const char *name, *as, *method, *url, *field, *second;
    int code;
    const char *said;
};

static const struct row rows[] = {
    { "allowed", "alice@acme.localhost", "GET", "https://support.acme.localhost:8443/x", NULL, NULL, EXIT_DONE, "the action 'work' allows GET /x to those with a valid grant" },
    { "approver", "alice@acme.localhost", "GET", "https://support.acme.localhost/x", NULL, NULL, EXIT_DONE, "may be approved by bob\n" },
    { "body unknown", "alice@acme.localhost", "POST", "https://support.acme.localhost/run", NULL, NULL, EXIT_DONE, "what its body says can change that" },
    { "body", "alice@acme.localhost", "POST", "https://support.acme.localhost/run", "action=export", "x=1", EXIT_DONE, "signoff: may be given by carol\n" },
    { "last field counts too", "alice@acme.localhost", "POST", "https://support.acme.localhost/run", "x=1", "action=%65xport", EXIT_DONE, "answer:  signoff\n" },
    { "encoded path", "alice@acme.localhost", "POST", "https://support.acme.localhost/%72un", "action=export", "x=1", EXIT_DONE, "target:  /run\n" },
    { "no path", "alice@acme.localhost", "GET", "https://support.acme.localhost", NULL, NULL, EXIT_DONE, "target:  /\n" },
    { "no slash before the query", "alice@acme.localhost", "GET", "https://support.acme.localhost:8443?x=1", NULL, NULL, EXIT_USAGE, "" },
    { "another port", "alice@acme.localhost", "GET", "https://support.acme.localhost:9443/x", NULL, NULL, EXIT_REFUSED, "" },
    { "the browser's own port", "alice@acme.localhost", "GET", "https://support.acme.localhost:443/x", NULL, NULL, EXIT_REFUSED, "" },
    { "no port after the colon", "alice@acme.localhost", "GET", "https://support.acme.localhost:/x", NULL, NULL, EXIT_USAGE, "" },
    { "port 0", "alice@acme.localhost", "GET", "https://support.acme.localhost:0/x", NULL, NULL, EXIT_USAGE, "" },
    { "a port too large", "alice@acme.localhost", "GET", "https://support.acme.localhost:73979/x", NULL, NULL, EXIT_USAGE, "" },
    { "a port past 32 bits", "alice@acme.localhost", "GET", "https://support.acme.localhost:4294975739/x", NULL, NULL, EXIT_USAGE, "" },
    { "a port with a sign", "alice@acme.localhost", "GET", "https://support.acme.localhost:+8443/x", NULL, NULL, EXIT_USAGE, "" },
    { "not allowed", "alice@acme.localhost", "PUT", "https://support.acme.localhost/x", NULL, NULL, EXIT_DONE, "no action of 'support' matches PUT /x" },
    { "not in the group", "bob@acme.localhost", "GET", "https://support.acme.localhost/x", NULL, NULL, EXIT_DONE, "bob is in no group that may ask for 'support'" },
    { "nobody", "eve@acme.localhost", "GET", "https://support.acme.localhost/x", NULL, NULL, EXIT_DONE, "no person in the config has the identity 'eve@acme.localhost'" },
    { "dots", "alice@acme.localhost", "GET", "https://support.acme.localhost/a/../x", NULL, NULL, EXIT_REFUSED, "" },
    { "console", "alice@acme.localhost", "GET", "https://console.acme.localhost/", NULL, NULL, EXIT_REFUSED, "" },
    { "another host", "alice@acme.localhost", "GET", "https://x.acme.localhost/", NULL, NULL, EXIT_REFUSED, "" },
    { "not https", "alice@acme.localhost", "GET", "http://support.acme.localhost/", NULL, NULL, EXIT_USAGE, "" },
    { "no URL", "alice@acme.localhost", "GET", "/x", NULL, NULL, EXIT_USAGE, "" },
};

static void test_explain(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        char *out = NULL, second[100];
        snprintf(second, sizeof second, "--body-field=%s", r->second ? r->second : "");
        const char *argv[] = { "explain", "-c", config_path, "--as", r->as, r->method, r->url, r->field ? "--body-field" : NULL, r->field, second, NULL };
        int code = run(cmd_explain, (char **)argv, &out);
        if (code != r->code || strstr(out, r->said) == NULL)
            fail_msg("%s: exit %d\n%s", r->name, code, out);
        free(out);
    }
}

static void test_explain_json(void **state)
{
    (void)state;
    char *out = NULL;
    const char *argv[] = { "explain", "-c", config_path, "--as", "alice@acme.localhost", "POST", "https://support.acme.localhost/run", "--body-field", "action=export", "--json", NULL };
    assert_int_equal(run(cmd_explain, (char **)argv, &out), EXIT_DONE);
    json_t *a = json_loads(out, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(a);
    assert_string_equal(json_string_value(json_object_get(a, "requirement")), "signoff");
    assert_string_equal(json_string_value(json_object_get(a, "action")), "export");
    assert_string_equal(json_string_value(json_array_get(json_object_get(a, "signoff_by"), 0)), "carol");
    json_decref(a);
    free(out);
}

static void test_check(void **state)
{
    (void)state;
    char *out = NULL;
    const char *good[] = { "check", "-c", config_path, NULL }, *json[] = { "check", "--json", "-c", config_path, NULL }, *none[] = { "check", NULL },
               *reference[] = { "check", "--reference", NULL }, *gone[] = { "check", "-c", "/nonexistent/c.conf", NULL };
    assert_int_equal(run(cmd_check, (char **)good, &out), EXIT_DONE);
    assert_non_null(strstr(out, "c.conf: fine (1 tool, 3 people), 0 warnings\n"));
    free(out);
    assert_int_equal(run(cmd_check, (char **)none, &out), EXIT_USAGE);
    free(out);
    assert_int_equal(run(cmd_check, (char **)gone, &out), EXIT_REFUSED);
    free(out);
    assert_int_equal(run(cmd_check, (char **)reference, &out), EXIT_DONE);
    assert_non_null(strstr(out, "| `max_duration` | a time in quotes, 1s to 1d | `\"30m\"` |"));
    free(out);
    put_file("c.conf", "instance = 1;\nroles = { };\n");
    assert_int_equal(run(cmd_check, (char **)json, &out), EXIT_REFUSED);
    json_t *a = json_loads(out, JSON_REJECT_DUPLICATES, NULL);
    assert_true(json_is_false(json_object_get(a, "fine")));
    const json_t *first = json_array_get(json_object_get(a, "problems"), 0);
    assert_string_equal(json_string_value(json_object_get(first, "level")), "problem");
    assert_non_null(strstr(json_string_value(json_object_get(first, "text")), "c.conf:1: instance: has the wrong type; expected text in quotes"));
    json_decref(a);
    free(out);
}

/* Each file of tests, and how the command ends. */
static void test_policy_tests(void **state)
{
    static const struct { const char *name, *tests; int code; const char *said; } files[] = {
        { "all as expected", "# who may what\n\n"
          "alice@acme.localhost GET https://support.acme.localhost:8443/x -> grant\n"
          "alice@acme.localhost\tGET\thttps://support.acme.localhost/x -> grant work by bob\n"
          "alice@acme.localhost POST https://support.acme.localhost/run x=1 action=%65xport -> signoff export by carol\n"
          "bob@acme.localhost GET https://support.acme.localhost/x -> deny\n"
          "alice@acme.localhost GET https://support.acme.localhost/a/../x -> refused", EXIT_DONE, ": 5 answered as expected, 0 not\n" },
        { "a wider policy than wanted", "alice@acme.localhost POST https://support.acme.localhost/run action=list -> signoff\n", EXIT_REFUSED,
          ":1: alice@acme.localhost POST https://support.acme.localhost/run\n    expected signoff; the policy says grant work: " },
        { "another action", "alice@acme.localhost GET https://support.acme.localhost/x -> grant export\n", EXIT_REFUSED, "expected grant export; the policy says grant work" },
        { "another signer", "alice@acme.localhost POST https://support.acme.localhost/run action=export -> signoff export by bob\n", EXIT_REFUSED,
          "expected signoff export by bob; the policy says signoff export by carol" },
        { "one signer more", "alice@acme.localhost POST https://support.acme.localhost/run action=export -> signoff by carol,bob\n", EXIT_REFUSED, "0 answered as expected, 1 not" },
        { "nobody", "alice@acme.localhost POST https://support.acme.localhost/run action=export -> signoff by nobody\n", EXIT_REFUSED, "1 not" },
        { "refused at another port", "alice@acme.localhost GET https://support.acme.localhost:1/x -> grant\n", EXIT_REFUSED, "the policy says refused: the gateway does not answer for port 1" },
        { "no test", "# nothing\n\n", EXIT_REFUSED, "" },
        { "empty", "", EXIT_REFUSED, "" },
        { "no arrow", "alice@acme.localhost GET https://support.acme.localhost/x grant\n", EXIT_REFUSED, "" },
        { "an unknown answer", "alice@acme.localhost GET https://support.acme.localhost/x -> yes\n", EXIT_REFUSED, "" },
        { "no answer", "alice@acme.localhost GET https://support.acme.localhost/x ->\n", EXIT_REFUSED, "" },
        { "no address", "alice@acme.localhost GET -> grant\n", EXIT_REFUSED, "" },
        { "a field without a value", "alice@acme.localhost POST https://support.acme.localhost/x action -> grant\n", EXIT_REFUSED, "" },
        { "words behind it", "alice@acme.localhost GET https://support.acme.localhost/x -> grant work by bob too\n", EXIT_REFUSED, "" },
        { "by without a name", "alice@acme.localhost GET https://support.acme.localhost/x -> grant work by\n", EXIT_REFUSED, "" },
        { "a denial by somebody", "alice@acme.localhost GET https://support.acme.localhost/x -> deny by bob\n", EXIT_REFUSED, "" },
        { "a control character", "alice@acme.localhost GET https://support.acme.localhost/x -> gr\x07" "ant\n", EXIT_REFUSED, "" },
        { "not UTF-8", "alice@acme.localhost\xff GET https://support.acme.localhost/x -> deny\n", EXIT_REFUSED, "" },
    };
    char *path = file_join(folder, "tests");
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *argv[] = { "policy", "test", path, "-c", config_path, NULL };
        char *out = NULL;
        put_file("tests", files[i].tests);
        int code = run(cmd_policy, (char **)argv, &out);
        if (code != files[i].code || strstr(out, files[i].said) == NULL)
            fail_msg("%s: exit %d\n%s", files[i].name, code, out);
        free(out);
    }
    unlink(path);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_policy_tests), cmocka_unit_test(test_explain), cmocka_unit_test(test_explain_json), cmocka_unit_test(test_check) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
