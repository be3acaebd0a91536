/* testbed: a throw-away state folder with people and keys, for tests and fuzz targets of this folder. Included by tests only. */
#ifndef COUNTERSIGN_TESTBED_H
#define COUNTERSIGN_TESTBED_H

#include "authz/approvals/loop.h"
#include "authz/approvals/service.h"
#include "authz/blob.h"
#include "authz/statement.h"
#include "proxy/base/clock.h"
#include "proxy/base/codec.h"
#include "proxy/base/file.h"
#include "proxy/base/log.h"
#include "proxy/base/msg.h"

#include <fcntl.h>
#include <ftw.h>
#include <openssl/pem.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAYBE_UNUSED __attribute__((unused))

static const char testbed_config[] =
    "instance = \"test.example\";\n"
    "state = \".\";\n"
    "console = \"console.acme.localhost\";\n"
    "tls = { certificate = \"x.pem\"; key = \"x.pem\"; client_ca = \"x.pem\"; crl = \"x.pem\"; };\n"
    "approval_keys = \"approval_keys\";\n"
    "people = (\n"
    "  { name = \"alice\"; identities = [ \"alice@acme.localhost\", \"alice@laptop.localhost\" ]; groups = [ \"support\" ]; },\n"
    "  { name = \"anna\"; identities = [ \"anna@acme.localhost\" ]; groups = [ \"support\", \"support-lead\" ]; },\n"
    "  { name = \"bob\"; identities = [ \"bob@acme.localhost\" ]; groups = [ \"support-lead\" ]; },\n"
    "  { name = \"carol\"; identities = [ \"carol@acme.localhost\" ]; groups = [ \"security\" ]; },\n"
    "  { name = \"dan\"; identities = [ \"dan@acme.localhost\" ]; groups = [ \"audit\" ]; },\n"
    "  { name = \"olga\"; identities = [ \"olga@acme.localhost\" ]; groups = [ \"operations\" ]; },\n"
    "  { name = \"oskar\"; identities = [ \"oskar@acme.localhost\", \"oskar@home.localhost\" ]; groups = [ \"operations\" ]; }\n"
    ");\n"
    "keys = { delay = \"0s\"; };\n"
    "roles = { auditors = [ \"audit\" ]; operators = [ \"operations\" ]; };\n"
    "recording = { unsealed = true; };\n"
    "limits = { requests_per_person = 2; held_per_person = 3; };\n"
    "tools = (\n"
    "  { name = \"support\"; host = \"support.acme.localhost\"; upstream = \"http://127.0.0.1:8000\"; who = [ \"support\" ];\n"
    "    approvers = ( { group = \"support-lead\"; } ); max_duration = \"30m\";\n"
    "    budget = { requests = 100; actions = ( { action = \"export\"; max = 2; } );\n"
    "               distinct = ( { name = \"customer\"; path = \"/customers/{c}/**\"; max = 2; } ); };\n"
    "    actions = (\n"
    "      { name = \"export\"; methods = [ \"POST\" ]; path = \"/export\"; allow = \"signoff\"; signoff = ( { group = \"security\"; } ); },\n"
    "      { name = \"use\"; path = \"/**\"; allow = \"grant\"; }\n"
    "    ); },\n"
    "  { name = \"vault\"; host = \"vault.acme.localhost\"; upstream = \"http://127.0.0.1:8001\"; who = [ \"support\" ];\n"
    "    approvers = ( { group = \"support-lead\"; }, { group = \"security\"; } ); max_duration = \"10m\";\n"
    "    actions = ( { name = \"view\"; path = \"/view\"; allow = \"grant\"; }, { name = \"edit\"; path = \"/edit\"; allow = \"grant\"; }, { name = \"use\"; path = \"/**\"; allow = \"grant\"; } ); },\n"
    "  { name = \"brief\"; host = \"brief.acme.localhost\"; upstream = \"http://127.0.0.1:8002\"; who = [ \"support\" ];\n"
    "    approvers = ( { group = \"support-lead\"; } ); request_ttl = \"1s\";\n"
    "    actions = ( { name = \"use\"; path = \"/**\"; allow = \"grant\"; } ); },\n"
    "  { name = \"desk\"; host = \"desk.acme.localhost\"; upstream = \"http://127.0.0.1:8003\"; who = [ \"support\" ]; start_within = \"1h\";\n"
    "    approvers = ( { group = \"support-lead\"; } ); max_duration = \"30m\";\n"
    "    break_glass = { groups = [ \"support\", \"security\" ]; for = \"10m\"; review_within = \"1h\"; };\n"
    "    auto = ( { name = \"look\"; groups = [ \"support\" ]; actions = [ \"view\", \"edit\" ]; for = \"5m\"; per_day = 2; reason = \"INC-[0-9]+\"; } );\n"
    "    actions = ( { name = \"export\"; methods = [ \"POST\" ]; path = \"/export\"; allow = \"signoff\"; signoff = ( { group = \"security\"; } ); },\n"
    "                { name = \"view\"; path = \"/view\"; allow = \"grant\"; }, { name = \"edit\"; path = \"/edit\"; allow = \"grant\"; }, { name = \"use\"; path = \"/**\"; allow = \"grant\"; } ); },\n"
    "  { name = \"pager\"; host = \"pager.acme.localhost\"; upstream = \"http://127.0.0.1:8004\"; who = [ \"support\" ];\n"
    "    approvers = ( { group = \"support-lead\"; } );\n"
    "    break_glass = { groups = [ \"support\" ]; review_within = \"1s\"; reviewers = [ \"security\" ]; overdue_stops = true; };\n"
    "    actions = ( { name = \"use\"; path = \"/**\"; allow = \"grant\"; } ); }\n"
    ");\n";

/* Everything a test needs of one state folder. */
struct testbed {
    char dir[256], config[300], socket[300];
    EVP_PKEY *bob, *carol, *anna, *alice, *olga, *oskar;
    pid_t pid;
};

static MAYBE_UNUSED void testbed_must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "testbed: %s failed\n", what);
    abort();
}

static void testbed_write(const struct testbed *t, const char *name, struct slice content, mode_t mode)
{
    struct err err = { .text = "" };
    char path[512];
    snprintf(path, sizeof path, "%s/%s", t->dir, name);
    testbed_must(file_write(path, content, mode, &err) == OK, err.text);
}

static void testbed_pem(const struct testbed *t, const char *name, EVP_PKEY *key)
{
    char *text = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    testbed_must(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1, "PEM");
    long n = BIO_get_mem_data(bio, &text);
    testbed_write(t, name, slice_of(text, (size_t)n), 0600);
    BIO_free(bio);
}

static void testbed_make(struct testbed *t)
{
    struct err err = { .text = "" };
    char path[512];
    const char *base = getenv("TMPDIR");
    unsigned char held[32];
    *t = (struct testbed){ .pid = -1 };
    snprintf(t->dir, sizeof t->dir, "%s/cs-authz-XXXXXX", base && strlen(base) < 60 ? base : "/tmp");
    testbed_must(mkdtemp(t->dir) != NULL, "mkdtemp");
    snprintf(t->config, sizeof t->config, "%s/countersign.cfg", t->dir);
    snprintf(t->socket, sizeof t->socket, "%s/run/authz.sock", t->dir);
    snprintf(path, sizeof path, "%s/keys", t->dir);
    testbed_must(mkdir(path, 0700) == 0, "mkdir");
    EVP_PKEY *grant = EVP_EC_gen("P-256"), *log = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    t->bob = EVP_EC_gen("P-256");
    t->carol = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    t->anna = EVP_EC_gen("P-256");
    t->alice = EVP_EC_gen("P-256");
    t->olga = EVP_EC_gen("P-256");
    t->oskar = EVP_EC_gen("P-256");
    testbed_must(grant && log && t->bob && t->carol && t->anna && t->alice, "keys");
    testbed_pem(t, "keys/grant.pem", grant);
    testbed_pem(t, "keys/log.pem", log);
    EVP_PKEY_free(grant);
    EVP_PKEY_free(log);
    memset(held, 7, sizeof held);
    testbed_write(t, "keys/held.key", slice_of(held, sizeof held), 0600);
    testbed_write(t, "countersign.cfg", slice_str(testbed_config), 0600);
    testbed_write(t, "x.pem", SLICE("none\n"), 0600);
    snprintf(path, sizeof path, "%s/approval_keys", t->dir);
    const struct { const char *name; EVP_PKEY *key; } keys[] = {
        { "alice", t->alice }, { "anna", t->anna }, { "bob", t->bob }, { "carol", t->carol }, { "olga", t->olga }, { "oskar", t->oskar }
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        testbed_must(approval_keys_add(path, keys[i].name, keys[i].key, clock_wall_s() + 86400, &err) == OK, err.text);
}

static int testbed_unlink(const char *path, const struct stat *sb, int flag, struct FTW *ftw)
{
    (void)sb;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static MAYBE_UNUSED void testbed_remove(struct testbed *t)
{
    nftw(t->dir, testbed_unlink, 16, FTW_DEPTH | FTW_PHYS);
    EVP_PKEY_free(t->bob);
    EVP_PKEY_free(t->carol);
    EVP_PKEY_free(t->anna);
    EVP_PKEY_free(t->alice);
    EVP_PKEY_free(t->olga);
    EVP_PKEY_free(t->oskar);
}

static struct config *testbed_load(const struct testbed *t)
{
    struct config *c = NULL;
    struct problems problems = { 0 };
    enum status st = config_load_text(t->config, &c, &problems);
    for (size_t i = 0; i < problems.count; i++)
        fprintf(stderr, "%s\n", problems.text[i]);
    problems_done(&problems);
    testbed_must(st == OK, "config");
    return c;
}

/* ---- the process ---- */

/* In the child: what `countersign authz` does. Ends with 0, or 1 when the service refused to open or broke. */
static void testbed_child(struct testbed *t)
{
    struct err err = { .text = "" };
    struct service *s = NULL;
    struct config *c = testbed_load(t);
    log_setup("authz", getenv("TESTBED_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR + 1);
    enum status st = service_open(c, &s, &err);
    config_unref(c);
    if (st == OK)
        st = loop_run(s, t->config, getppid(), &err);
    service_close(s);
    if (st != OK && getenv("TESTBED_LOG"))
        fprintf(stderr, "authz ends: %s: %s\n", status_name(st), err.text);
    EVP_PKEY_free(t->bob);
    EVP_PKEY_free(t->carol);
    EVP_PKEY_free(t->anna);
    EVP_PKEY_free(t->alice);
    EVP_PKEY_free(t->olga);
    EVP_PKEY_free(t->oskar);
    _exit(st == OK ? 0 : 1);         /* the leak check would count what the test itself holds */
}

static MAYBE_UNUSED void testbed_spawn(struct testbed *t)
{
    fflush(NULL);
    unlink(t->socket);
    t->pid = fork();
    testbed_must(t->pid >= 0, "fork");
    if (t->pid == 0)
        testbed_child(t);
}

/* Wait for its end; the exit code, or 128 and the signal. */
static MAYBE_UNUSED int testbed_wait(struct testbed *t)
{
    int status = 0;
    testbed_must(waitpid(t->pid, &status, 0) == t->pid, "waitpid");
    t->pid = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static MAYBE_UNUSED int testbed_signal(struct testbed *t, int signum)
{
    testbed_must(kill(t->pid, signum) == 0, "kill");
    return testbed_wait(t);
}

/* ---- a client of its socket ---- */

struct client {
    int fd;
    json_int_t n;
    json_t *events;
    int fd_in;                        /* descriptor that came with the last answer, or -1 */
};

static MAYBE_UNUSED bool client_connect(struct testbed *t, struct client *c)
{
    struct err err = { .text = "" };
    *c = (struct client){ .fd = -1, .events = json_array(), .fd_in = -1 };
    for (int i = 0; i < 1000; i++) {
        if (msg_connect(t->socket, &c->fd, &err) == OK)
            return true;
        usleep(20 * 1000);
    }
    return false;
}

static MAYBE_UNUSED void client_close(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    if (c->fd_in >= 0)
        close(c->fd_in);
    json_decref(c->events);
    *c = (struct client){ .fd = -1, .fd_in = -1 };
}

/* The next message, or NULL when the connection ended or 20 s have passed. */
static json_t *client_receive(struct client *c, int *fd_out)
{
    struct err err;
    int fds[MSG_FDS_MAX];
    size_t count = 0;
    json_t *m = NULL;
    for (int i = 0; i < 200; i++) {
        enum status st = msg_recv(c->fd, &m, fds, &count, &err);
        if (st == OK) {
            *fd_out = count ? fds[0] : -1;
            return m;
        }
        if (st != AGAIN)
            return NULL;
        struct pollfd p = { .fd = c->fd, .events = POLLIN };
        poll(&p, 1, 100);
    }
    return NULL;
}

/* Send `message` (taken) with its number and wait for the answer; events on the way are kept. NULL: the connection ended. */
static MAYBE_UNUSED json_t *client_ask_fd(struct client *c, json_t *message, int fd)
{
    struct err err = { .text = "" };
    json_int_t n = ++c->n;
    json_object_set_new(message, "n", json_integer(n));
    enum status st = msg_send(c->fd, message, &fd, fd >= 0 ? 1 : 0, &err);
    json_decref(message);
    for (json_t *m; st == OK;) {
        int got = -1;
        m = client_receive(c, &got);
        if (m == NULL)
            return NULL;
        if (json_object_get(m, "event") != NULL) {
            json_array_append_new(c->events, m);
            continue;
        }
        if (c->fd_in >= 0)
            close(c->fd_in);
        c->fd_in = got;
        if (json_integer_value(json_object_get(m, "n")) == n)
            return m;
        json_decref(m);
    }
    return NULL;
}

static MAYBE_UNUSED json_t *client_ask(struct client *c, json_t *message)
{
    return client_ask_fd(c, message, -1);
}

/* Wait until an event with this name (and, if given, member = value) has come; borrowed from c->events. */
static MAYBE_UNUSED const json_t *client_event(struct client *c, const char *name, const char *member, const char *value)
{
    for (size_t i = 0;; i++) {
        if (i == json_array_size(c->events)) {
            int got = -1;
            json_t *m = client_receive(c, &got);
            if (m == NULL)
                return NULL;
            json_array_append_new(c->events, m);
        }
        const json_t *e = json_array_get(c->events, i);
        const char *is = json_string_value(json_object_get(e, "event")), *v = member ? json_string_value(json_object_get(e, member)) : NULL;
        if (is != NULL && strcmp(is, name) == 0 && (member == NULL || (v != NULL && strcmp(v, value) == 0)))
            return e;
    }
}

/* Who, by identity, with a certificate of this name. */
static MAYBE_UNUSED json_t *who_with(const char *identity, const char *cert)
{
    unsigned char raw[32];
    char x5t[44];
    sha256_one(slice_str(cert), raw);
    b64url_encode(slice_of(raw, sizeof raw), x5t);
    return json_pack("{s:s, s:s, s:I}", "identity", identity, "x5t", x5t, "not_after", (json_int_t)(clock_wall_s() + 86400));
}

static MAYBE_UNUSED json_t *who(const char *name)
{
    char identity[128];
    snprintf(identity, sizeof identity, "%s@acme.localhost", name);
    return who_with(identity, name);
}

/* A sealed memfd with a request, and the `hold` message that goes with it. */
static MAYBE_UNUSED json_t *hold_message(json_t *by, const char *grant_id, const char *body, int *fd_out)
{
    struct err err = { .text = "" };
    unsigned char *bytes = NULL, digest[32], body_sha[32];
    char digest_text[44], body_text[44];
    size_t len = 0;
    struct blob b;
    json_t *fields = json_pack("[[s, s], [s, s]]", "content-type", "text/plain", "accept", "*/*");
    testbed_must(blob_write(SLICE("POST"), SLICE("support.acme.localhost"), SLICE("/export?x=1"), fields, slice_str(body), &bytes, &len, &err) == OK,
                 err.text);
    json_decref(fields);
    testbed_must(blob_parse(slice_of(bytes, len), &b, &err) == OK && blob_digest(&b, digest, body_sha, &err) == OK, err.text);
    blob_done(&b);
    b64url_encode(slice_of(digest, 32), digest_text);
    b64url_encode(slice_of(body_sha, 32), body_text);
    *fd_out = memfd_create("held", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    testbed_must(write(*fd_out, bytes, len) == (ssize_t)len, "memfd");
    fcntl(*fd_out, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    free(bytes);
    return json_pack("{s:s, s:o, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s}", "op", "hold", "who", by, "tool", "support", "action",
                     "export", "grant_id", grant_id, "method", "POST", "authority", "support.acme.localhost", "target", "/export?x=1",
                     "digest", digest_text, "content_type", "text/plain", "body_len", (json_int_t)strlen(body), "body_sha256", body_text,
                     "requirement", "signoff");
}

#endif
