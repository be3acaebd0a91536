/* init and certs, run as the command runs them, in a throw-away folder. What they print goes to a file. */
#include "certs/approval_keys.h"
#include "certs/test_folder.h"
#include "certs/trust.h"
#include "config/config.h"
#include "proxy/base/clock.h"
#include "proxy/base/file.h"
#include "proxy/commands/certs_common.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64], state_dir[80];
static char printed[16384];

static const char *in_state(const char *name)
{
    static char path[4][160];
    static unsigned turn;
    char *out = path[turn++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", state_dir, name);
    return out;
}

/* Run with standard output and error into `printed`. The arguments end with NULL. */
static int run(int (*command)(int, char **), ...)
{
    char *argv[32], log[96];
    int argc = 0;
    va_list ap;
    va_start(ap, command);
    while ((argv[argc] = va_arg(ap, char *)) != NULL)
        argc++;
    va_end(ap);
    snprintf(log, sizeof log, "%s/printed", dir);
    fflush(NULL);
    int out = dup(1), err = dup(2);
    assert_non_null(freopen(log, "w", stdout));
    dup2(1, 2);
    int code = command(argc, argv);
    fflush(NULL);
    dup2(out, 1);
    dup2(err, 2);
    close(out);
    close(err);
    FILE *f = fopen(log, "r");
    assert_non_null(f);
    printed[fread(printed, 1, sizeof printed - 1, f)] = 0;
    fclose(f);
    return code;
}

#define INIT(...) run(cmd_init, "init", __VA_ARGS__, NULL)
#define CERTS(...) run(cmd_certs, "certs", __VA_ARGS__, NULL)
#define STATE "--state", state_dir

static int setup(void **state)
{
    (void)state;
    if (test_folder_make(dir) != 0)
        return -1;
    snprintf(state_dir, sizeof state_dir, "%s/state", dir);
    return INIT(state_dir, "--domain", "acme.localhost", "--instance", "acme", "--port", "9443");
}

static int teardown(void **state)
{
    (void)state;
    return test_folder_remove(dir);
}

static char *content(const char *name)
{
    unsigned char *data = NULL;
    size_t len = 0;
    assert_int_equal(file_read(in_state(name), 1 << 20, false, &data, &len, NULL), OK);
    return (char *)data;
}

static void assert_holds(const char *name, const char *text, bool wanted)
{
    char *now = content(name);
    if ((strstr(now, text) != NULL) != wanted)
        fail_msg("%s: '%s' is %s:\n%s", name, text, wanted ? "missing" : "there", now);
    free(now);
}

static void test_init_layout(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned mode;
        long size;   /* -1: any */
    } files[] = {
        { "countersign.conf", 0600, -1 }, { "people.conf", 0600, -1 }, { "approval-keys", 0600, -1 }, { "ca", 0700, -1 }, { "ca/root.key", 0600, -1 },
        { "ca/server-root.key", 0600, -1 }, { "ca/index.jsonl", 0600, -1 }, { "tls", 0700, -1 }, { "tls/server.key", 0600, -1 },
        { "keys", 0700, -1 }, { "keys/grant.pem", 0600, -1 }, { "keys/log.pem", 0600, -1 }, { "keys/held.key", 0600, 32 },
        { "keys/fingerprint.key", 0600, 32 }, { "people", 0700, -1 }, { "run", 0700, -1 }, { "held", 0700, -1 }, { "recordings", 0700, -1 },
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct stat sb;
        assert_int_equal(stat(in_state(files[i].name), &sb), 0);
        if ((sb.st_mode & 0777) != files[i].mode || (files[i].size >= 0 && sb.st_size != files[i].size))
            fail_msg("%s: mode %o, %ld bytes", files[i].name, (unsigned)sb.st_mode & 0777, (long)sb.st_size);
    }
    enum key_kind kind;
    EVP_PKEY *grant = NULL, *log = NULL;
    assert_int_equal(key_read(in_state("keys/grant.pem"), &grant, NULL), OK);
    assert_int_equal(key_read(in_state("keys/log.pem"), &log, NULL), OK);
    assert_true(key_kind_of(grant, &kind) && kind == KEY_P256);
    assert_true(key_kind_of(log, &kind) && kind == KEY_ED25519);
    EVP_PKEY_free(grant);
    EVP_PKEY_free(log);
    assert_holds("keys/grant.pem", "BEGIN PRIVATE KEY", true);
    assert_holds("countersign.conf", "instance = \"acme\";", true);
    assert_holds("countersign.conf", "listen = [ \"127.0.0.1:9443\" ];", true);
    assert_holds("countersign.conf", "%", false);
}

/* What init writes is good as it is, and says what the commands rely on. */
static void test_init_config(void **state)
{
    (void)state;
    struct config *c = NULL;
    struct problems problems = { 0 };
    char *approval_keys = strdup(in_state("approval-keys")), *crl = strdup(in_state("ca/crl.pem"));
    enum status st = config_load(in_state("countersign.conf"), &c, &problems);
    for (size_t i = 0; i < problems.count; i++)
        if (strncmp(problems.text[i], "warning: ", 9) != 0 || st != OK)
            fail_msg("%s", problems.text[i]);
    assert_int_equal(st, OK);
    assert_string_equal(c->state, state_dir);
    assert_string_equal(c->instance, "acme");
    assert_string_equal(c->console_host, "console.acme.localhost");
    assert_string_equal(c->approval_keys, approval_keys);
    assert_string_equal(c->crl, crl);
    assert_int_equal(c->public_port, 9443);
    assert_int_equal(c->tool_count, 1);
    assert_int_equal(c->tools[0].action_count, 5);
    struct trust *t = NULL;
    assert_int_equal(trust_load(c->client_ca, c->crl, &t, NULL), OK);
    trust_free(t);
    config_unref(c);
    problems_done(&problems);
    free(approval_keys);
    free(crl);
}

static void test_init_refuses(void **state)
{
    (void)state;
    char other[96], *before = content("ca/root.pem");
    assert_int_equal(INIT(state_dir, "--domain", "acme.localhost"), EXIT_REFUSED);
    assert_non_null(strstr(printed, "state folder already"));
    char *after = content("ca/root.pem");
    assert_string_equal(before, after);
    free(before);
    free(after);
    snprintf(other, sizeof other, "%s/other", dir);
    assert_int_equal(mkdir(other, 0755), 0);
    assert_int_equal(INIT(other, "--domain", "not a host"), EXIT_USAGE);
    assert_int_equal(INIT(other, "--domain", "10.0.0.1"), EXIT_USAGE);
    assert_int_equal(INIT(other, "--domain", "x\";y"), EXIT_USAGE);
    assert_int_equal(INIT(other, "--domain", "a.example", "--instance", "A B"), EXIT_USAGE);
    assert_int_equal(INIT(other, "--domain", "a.example", "--port", "0"), EXIT_USAGE);
    assert_int_equal(INIT(other, "--domain", "a.example", "--port", "65536"), EXIT_USAGE);
    assert_int_equal(INIT(other, "--domain", "a.example", "--port", "8443x"), EXIT_USAGE);
    assert_int_equal(INIT(other, "--domain", "a.example", "--listen", "localhost"), EXIT_USAGE);
    assert_int_equal(INIT(other), EXIT_USAGE);
    assert_int_equal(rmdir(other), 0);                             /* nothing was put into it */
    assert_int_equal(mkdir(other, 0755), 0);
    assert_int_equal(INIT(other, "--domain", "a.example", "--listen", "::1"), EXIT_DONE);   /* an empty one is fine */
    struct stat sb;
    assert_int_equal(stat(other, &sb), 0);
    assert_int_equal(sb.st_mode & 0777, 0700);
    assert_int_equal(run(cmd_init, "init", "--help", NULL), EXIT_DONE);
}

static enum cert_state judge(const char *name)
{
    struct trust *t = NULL;
    struct identity who;
    X509 *cert = NULL;
    assert_int_equal(trust_load(in_state("ca/root.pem"), in_state("ca/crl.pem"), &t, NULL), OK);
    assert_int_equal(pem_read_cert(in_state(name), &cert, NULL), OK);
    enum cert_state got = trust_check(t, cert, NULL, clock_wall_s(), &who);
    X509_free(cert);
    trust_free(t);
    return got;
}

static size_t registered(void)
{
    struct approval_keys k;
    assert_int_equal(approval_keys_load(in_state("approval-keys"), &k, NULL), OK);
    size_t count = k.count;
    approval_keys_done(&k);
    return count;
}

static void test_issue_renew_revoke(void **state)
{
    (void)state;
    assert_int_equal(CERTS("issue", "alice", "--identity", "Alice@acme.localhost", "--groups", "support,employee", STATE), EXIT_DONE);
    assert_non_null(strstr(printed, "shown only now"));
    assert_int_equal(judge("people/alice.pem"), CERT_GOOD);
    assert_holds("people.conf", "{ name = \"alice\"; identities = [ \"alice@acme.localhost\" ]; groups = [ \"support\", \"employee\" ]; }", true);
    assert_int_equal(registered(), 0);
    assert_int_equal(CERTS("issue", "alice", "--identity", "alice@acme.localhost", STATE), EXIT_REFUSED);   /* not over a good one */
    assert_int_equal(CERTS("issue", "bob", "--identity", "bob@acme.localhost", "--groups", "support-lead", "--approver", "--key", "ed25519", STATE), EXIT_DONE);
    assert_int_equal(registered(), 1);
    assert_int_equal(CERTS("renew", "bob", STATE), EXIT_DONE);
    assert_int_equal(registered(), 2);
    assert_int_equal(judge("people/bob.pem"), CERT_GOOD);
    assert_int_equal(CERTS("renew", "alice", STATE), EXIT_DONE);
    assert_int_equal(registered(), 2);                             /* renewing makes nobody an approver */
    assert_int_equal(CERTS("revoke", "BOB@acme.localhost", "--reason", "keyCompromise", "--json", STATE), EXIT_DONE);
    assert_non_null(strstr(printed, "\"approval_keys_removed\": 2"));
    assert_int_equal(registered(), 0);
    assert_int_equal(judge("people/bob.pem"), CERT_REVOKED);
    assert_int_equal(judge("people/alice.pem"), CERT_GOOD);
    assert_int_equal(CERTS("renew", "bob", STATE), EXIT_REFUSED);
    assert_int_equal(CERTS("issue", "bob", "--identity", "bob@acme.localhost", STATE), EXIT_DONE);   /* over a revoked one: fine */
    assert_int_equal(judge("people/bob.pem"), CERT_GOOD);
    assert_int_equal(CERTS("list", STATE, "--json"), EXIT_DONE);
    json_t *list = json_loads(printed, 0, NULL);
    assert_int_equal(json_array_size(list), 6);
    json_decref(list);
    assert_int_equal(CERTS("crl", STATE), EXIT_DONE);
    assert_int_equal(judge("people/alice.pem"), CERT_GOOD);
    struct config *c = NULL;                                       /* the gateway reads what was added */
    struct problems problems = { 0 };
    assert_int_equal(config_load(in_state("countersign.conf"), &c, &problems), OK);
    const struct person *alice = config_person(c, SLICE("alice@acme.localhost"));
    assert_true(alice != NULL && person_in_group(alice, "employee") && strcmp(alice->name, "alice") == 0);
    config_unref(c);
    problems_done(&problems);
}

static void test_refused(void **state)
{
    (void)state;
    char out[96], config[128], password[96];
    snprintf(out, sizeof out, "%s/carol", dir);
    snprintf(config, sizeof config, "%s/countersign.conf", state_dir);
    snprintf(password, sizeof password, "%s/password", dir);
    assert_int_equal(CERTS("issue", "mallory", "--identity", "alice@acme.localhost", STATE), EXIT_REFUSED);
    assert_non_null(strstr(printed, "belongs to the person 'alice'"));
    assert_int_equal(CERTS("issue", "alice", "--identity", "other@acme.localhost", "--out", out, STATE), EXIT_REFUSED);
    assert_int_equal(CERTS("issue", "carol", "--identity", "carol@acme.localhost", "--days", "0", STATE), EXIT_USAGE);
    assert_int_equal(CERTS("issue", "carol", "--identity", "carol@acme.localhost", "--days", "90d", STATE), EXIT_USAGE);
    assert_int_equal(CERTS("issue", "../carol", "--identity", "carol@acme.localhost", STATE), EXIT_USAGE);
    assert_int_equal(CERTS("issue", "carol", "--identity", "carol", STATE), EXIT_USAGE);
    assert_int_equal(CERTS("issue", "carol", "--identity", "carol@acme.localhost", "--groups", "a b", STATE), EXIT_USAGE);
    assert_int_equal(CERTS("issue", "carol", "--identity", "carol@acme.localhost"), EXIT_USAGE);
    assert_int_equal(CERTS("issue", "carol", "--identity", "carol@acme.localhost", STATE, "-c", config), EXIT_USAGE);
    assert_int_equal(CERTS("issue", "carol", STATE), EXIT_USAGE);
    assert_int_equal(CERTS("issue", "carol", "--identity", "carol@acme.localhost", "--p12-password-file", password, STATE), EXIT_USAGE);
    assert_int_equal(file_write(password, SLICE("abc\n"), 0600, NULL), OK);
    assert_int_equal(CERTS("issue", "carol", "--identity", "carol@acme.localhost", "--p12-password-file", password, STATE), EXIT_USAGE);
    assert_int_equal(CERTS("revoke", "nobody", STATE), EXIT_REFUSED);
    assert_int_equal(CERTS("revoke", "alice", "--reason", "boredom", STATE), EXIT_USAGE);
    assert_int_equal(CERTS("frobnicate"), EXIT_USAGE);
    assert_int_equal(run(cmd_certs, "certs", NULL), EXIT_USAGE);
    assert_int_equal(CERTS("--help"), EXIT_DONE);
    assert_int_equal(CERTS("list", "--state", dir), EXIT_REFUSED);
    assert_holds("people.conf", "carol", false);
    assert_holds("ca/index.jsonl", "carol", false);
}

static void test_out_and_password(void **state)
{
    (void)state;
    char out[96], config[128], password[96], path[128];
    snprintf(out, sizeof out, "%s/for/dave", dir);
    snprintf(config, sizeof config, "%s/countersign.conf", state_dir);
    snprintf(password, sizeof password, "%s/password", dir);
    assert_int_equal(file_write(password, SLICE("correct horse\nsecond line"), 0600, NULL), OK);
    assert_int_equal(CERTS("issue", "dave", "--identity", "dave@acme.localhost", "-c", config, "--p12-password-file", password, "--out", out, "--json"),
                     EXIT_DONE);
    assert_null(strstr(printed, "p12_password"));
    assert_null(strstr(printed, "correct horse"));
    snprintf(path, sizeof path, "%s/dave.p12", out);
    assert_int_equal(access(path, R_OK), 0);
    snprintf(path, sizeof path, "%s/server-root.pem", out);
    assert_int_equal(access(path, R_OK), 0);
    assert_holds("people.conf", "dave", false);                    /* no --groups, no entry */
}

static void test_server(void **state)
{
    (void)state;
    char *before = content("tls/server.pem");
    assert_int_equal(CERTS("issue", "--server", "support.acme.localhost", "console.acme.localhost", STATE), EXIT_DONE);
    char *after = content("tls/server.pem");
    assert_string_not_equal(before, after);
    assert_int_equal(CERTS("issue", "--server", "support.evil.example", STATE), EXIT_REFUSED);
    assert_holds("tls/server.pem", after, true);                   /* a refusal leaves what is there */
    assert_int_equal(CERTS("issue", "--server", "--approver", STATE), EXIT_USAGE);
    assert_int_equal(CERTS("issue", "--server", STATE), EXIT_DONE);
    assert_non_null(strstr(printed, "*.acme.localhost"));
    free(before);
    free(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init_layout), cmocka_unit_test(test_init_config), cmocka_unit_test(test_init_refuses), cmocka_unit_test(test_issue_renew_revoke),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_out_and_password), cmocka_unit_test(test_server),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
