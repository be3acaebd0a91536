/* Each row enters the sandbox of one process, as `countersign run` does, over a state folder like a real one, and opens one file there. */
#include "proxy/commands/confine.h"

#include "proxy/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

static char folder[64];
static const char *const files[] = { "countersign.conf", "authz.db",          "keys/grant.pem", "keys/log.pem",     "keys/fingerprint.key", "ca/ca.key",       "ca/crl.pem",
                                     "tls/server.pem",   "tls/server.key",    "log/checkpoint", "recordings/r.warc", "copies/waiting",     "audit/audit.jsonl" };

static const char *in(const char *name)
{
    static char path[2][256];
    static unsigned turn;
    char *to = path[turn++ % 2];
    snprintf(to, sizeof path[0], "%s/%s", folder, name);
    return to;
}

enum { READ = O_RDONLY, WRITE = O_WRONLY, MAKE = O_WRONLY | O_CREAT | O_EXCL };

static const struct row {
    enum status (*confine)(const struct config *, struct err *);
    const char *who, *file;
    int flags;
    bool may;
} rows[] = {
    { confine_proxy, "proxy", "keys/grant.pem", READ, false },
    { confine_proxy, "proxy", "keys/log.pem", READ, false },
    { confine_proxy, "proxy", "keys/grant.pem", WRITE, false },
    { confine_proxy, "proxy", "keys/new.pem", MAKE, false },
    { confine_proxy, "proxy", "keys/fingerprint.key", READ, true },
    { confine_proxy, "proxy", "keys/fingerprint.key", WRITE, false },
    { confine_proxy, "proxy", "authz.db", READ, false },
    { confine_proxy, "proxy", "authz.db", WRITE, false },
    { confine_proxy, "proxy", "authz.db-journal", MAKE, false },
    { confine_proxy, "proxy", "ca/ca.key", READ, false },
    { confine_proxy, "proxy", "ca/crl.pem", WRITE, false },
    { confine_proxy, "proxy", "tls/server.key", READ, false },
    { confine_proxy, "proxy", "countersign.conf", READ, false },
    { confine_proxy, "proxy", "countersign.conf", WRITE, false },
    { confine_proxy, "proxy", "audit/audit.jsonl", WRITE, false },
    { confine_proxy, "proxy", "log/checkpoint", READ, true },
    { confine_proxy, "proxy", "log/checkpoint", WRITE, false },
    { confine_proxy, "proxy", "recordings/r.warc", WRITE, true },
    { confine_proxy, "proxy", "recordings/new", MAKE, true },
    { confine_proxy, "proxy", "copies/waiting", READ, false },
    { confine_courier, "courier", "keys/grant.pem", READ, false },
    { confine_courier, "courier", "keys/fingerprint.key", READ, false },
    { confine_courier, "courier", "authz.db", READ, false },
    { confine_courier, "courier", "ca/ca.key", READ, false },
    { confine_courier, "courier", "recordings/r.warc", READ, true },
    { confine_courier, "courier", "recordings/r.warc", WRITE, false },
    { confine_courier, "courier", "log/checkpoint", WRITE, false },
    { confine_courier, "courier", "copies/waiting", WRITE, true },
    { confine_courier, "courier", "audit/audit.jsonl", READ, false },
    { confine_authz, "authz", "keys/grant.pem", READ, true },
    { confine_authz, "authz", "authz.db", WRITE, true },
    { confine_authz, "authz", "authz.db-journal", MAKE, true },
    { confine_authz, "authz", "audit/audit.jsonl", WRITE, true },
};

static struct config config(void)
{
    static char state[64], audit[128], key[128], crl[128], secret[128];
    snprintf(state, sizeof state, "%s", folder);
    snprintf(audit, sizeof audit, "%s", in("audit/audit.jsonl"));
    snprintf(key, sizeof key, "%s", in("tls/server.key"));
    snprintf(crl, sizeof crl, "%s", in("ca/crl.pem"));
    snprintf(secret, sizeof secret, "%s", in("secret"));
    return (struct config){ .state = state, .sandbox = SANDBOX_WHEN_POSSIBLE, .tls_key = key, .crl = crl, .copy_secret_file = secret, .audit.file = audit };
}

static int outcome(const struct row *r)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct config c = config();
        struct err err;
        if (r->confine(&c, &err) != OK)
            _exit(99);
        _exit(open(in(r->file), r->flags | O_CLOEXEC, 0600) >= 0 ? 1 : errno == EACCES ? 0 : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void files_of_each(void **state)
{
    struct sandbox_support there;
    (void)state;
    sandbox_probe(&there);
    if (there.landlock == 0)
        skip();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int got = outcome(&rows[i]);
        if (got != rows[i].may)
            fail_msg("%s, %s, %s: %d", rows[i].who, rows[i].file, rows[i].flags == READ ? "read" : "write", got);
        unlink(in("keys/new.pem"));
        unlink(in("recordings/new"));
        unlink(in("authz.db-journal"));
    }
}

/* The window: each gets what the config names for it, as it stands there. */
static void what_the_window_gives(void **state)
{
    static const struct asked {
        const char *child, *file;
        bool append, may;
    } asked[] = {
        { "proxy", "tls/server.key", false, true },        { "proxy", "ca/crl.pem", false, true },          { "proxy", "ca/ca.key", false, false },
        { "proxy", "keys/grant.pem", false, false },       { "proxy", "authz.db", false, false },           { "proxy", "secret", false, false },
        { "proxy", "tls/../keys/grant.pem", false, false }, { "proxy", "tls/./server.key", false, false },   { "proxy", "", false, false },
        { "proxy", "audit/audit.jsonl", false, false },    { "proxy", "audit/audit.jsonl", true, true },    { "proxy", "audit/audit.jsonl.1", true, false },
        { "proxy", "keys/grant.pem", true, false },        { "proxy", "tls/server.key", true, false },      { "courier", "secret", false, true },
        { "courier", "tls/server.key", false, false },     { "courier", "keys/grant.pem", false, false },   { "courier", "audit/audit.jsonl", true, false },
        { "authz", "secret", false, false },               { "", "tls/server.key", false, false },
    };
    struct config c = config();
    (void)state;
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        bool got = (asked[i].append ? confine_may_append : confine_may_read)(asked[i].child, &c, in(asked[i].file));
        if (got != asked[i].may)
            fail_msg("%s asks for %s: %d", asked[i].child, asked[i].file, got);
    }
}

static int set_up(void **state)
{
    static const char *const folders[] = { "keys", "ca", "tls", "log", "recordings", "copies", "audit" };
    struct err err;
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/countersign-confine-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        mkdir(in(folders[i]), 0700);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (file_write(in(files[i]), SLICE("x"), 0600, &err) != OK)
            return -1;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const folders[] = { "keys", "ca", "tls", "log", "recordings/open", "recordings", "copies", "audit" };
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlink(in(files[i]));
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        rmdir(in(folders[i]));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(files_of_each), cmocka_unit_test(what_the_window_gives) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
