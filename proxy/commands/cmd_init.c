/* countersign init: a new state folder. Made once, never touched again by this command. */
#include "certs/leaf.h"
#include "certs/pem.h"
#include "proxy/base/clock.h"
#include "proxy/base/file.h"
#include "proxy/commands/auditor.h"
#include "proxy/commands/certs_common.h"
#include "proxy/commands/init_text.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RAW_KEY_LEN = 32 };

/* Whom recordings are sealed to. */
struct auditors {
    char key[AGE_RECIPIENTS_MAX][AGE_PUBLIC_LEN + 1], *text[AGE_RECIPIENTS_MAX], *made_folder;
    const char *folder;               /* where secret keys were put; NULL: none were made */
    size_t count;
    bool made;
};

/* Nothing, or an empty folder (a fresh volume has lost+found). */
static enum status check_empty(const char *dir, struct err *err)
{
    DIR *d = opendir(dir);
    enum status st = OK;
    if (d == NULL)
        return errno == ENOENT ? OK : fail(err, IO_FAILED, "cannot look into '%s': %s", dir, strerror(errno));
    if (faccessat(dirfd(d), "countersign.conf", F_OK, 0) == 0)
        st = fail(err, EXISTS, "'%s' is a state folder already, and stays as it is; take another folder", dir);
    for (struct dirent *e; st == OK && (e = readdir(d)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && strcmp(e->d_name, "lost+found") != 0)
            st = fail(err, EXISTS, "'%s' is not empty ('%s' is in it); take another folder, or empty this one", dir, e->d_name);
    closedir(d);
    return st;
}

static enum status make_folders(const char *dir, struct err *err)
{
    static const char *const names[] = { "ca", "tls", "keys", "people", "run", "held", "recordings" };
    enum status st = file_mkdirs(dir, 0700, err);
    for (size_t i = 0; st == OK && i < sizeof names / sizeof names[0]; i++) {
        char *path = file_join(dir, names[i]);
        st = path ? file_mkdirs(path, 0700, err) : fail(err, NO_MEMORY, "making folders");
        free(path);
    }
    if (st == OK && chmod(dir, 0700) != 0)   /* it may have been there, empty */
        st = fail(err, IO_FAILED, "cannot make '%s' private: %s", dir, strerror(errno));
    return st;
}

static enum status make_key_file(const char *dir, const char *name, enum key_kind kind, struct err *err)
{
    char *path = file_join(dir, name);
    EVP_PKEY *key = NULL;
    enum status st = path ? key_make(kind, &key, err) : fail(err, NO_MEMORY, "making keys");
    if (st == OK)
        st = key_write(path, key, err);
    EVP_PKEY_free(key);
    free(path);
    return st;
}

static enum status make_raw_key(const char *dir, const char *name, struct err *err)
{
    unsigned char bytes[RAW_KEY_LEN];
    char *path = file_join(dir, name);
    enum status st;
    if (path == NULL || RAND_priv_bytes(bytes, sizeof bytes) != 1)
        st = fail(err, NO_MEMORY, "making keys: %s", ossl_reason());
    else
        st = file_write(path, slice_of(bytes, sizeof bytes), 0600, err);
    OPENSSL_cleanse(bytes, sizeof bytes);
    free(path);
    return st;
}

static enum status make_keys(const char *dir, struct err *err)
{
    enum status st = make_key_file(dir, "keys/grant.pem", KEY_P256, err);
    if (st == OK)
        st = make_key_file(dir, "keys/log.pem", KEY_ED25519, err);
    if (st == OK)
        st = make_raw_key(dir, "keys/held.key", err);
    if (st == OK)
        st = make_raw_key(dir, "keys/fingerprint.key", err);
    return st;
}

static enum status make_certificates(const char *dir, const struct init_names *n, struct err *err)
{
    char *folder = file_join(dir, "ca"), wildcard[300], plain[254];
    char *names[] = { plain, wildcard };
    struct ca *ca = NULL;
    snprintf(plain, sizeof plain, "%s", n->domain);
    snprintf(wildcard, sizeof wildcard, "*.%s", n->domain);
    enum status st = folder ? ca_create(folder, n->instance, n->domain, clock_wall_s(), err) : fail(err, NO_MEMORY, "making the CA");
    if (st == OK)
        st = ca_open(folder, &ca, err);
    if (st == OK)
        st = server_files_write(ca, dir, names, 2, clock_wall_s(), err);
    ca_close(ca);
    free(folder);
    return st;
}

/* Takes the text. */
static enum status write_text(const char *dir, const char *name, char *text, struct err *err)
{
    char *path = file_join(dir, name);
    enum status st = path && text ? file_write(path, slice_str(text), 0600, err) : fail(err, NO_MEMORY, "writing '%s'", name);
    free(path);
    free(text);
    return st;
}

/* "age1…,age1…" of --auditors. */
static bool take_auditors(struct auditors *a, const char *list)
{
    char *copy = strdup(list), *rest = copy;
    bool good = copy != NULL;
    for (char *one; good && (one = strsep(&rest, ",")) != NULL;) {
        good = a->count < AGE_RECIPIENTS_MAX && age_public_ok(one);
        for (size_t i = 0; i < a->count && good; i++)
            good = strcmp(a->key[i], one) != 0;
        if (good)
            snprintf(a->key[a->count++], sizeof a->key[0], "%s", one);
    }
    free(copy);
    return good && a->count >= 2;
}

/* Two pairs, beside the state folder and not in it: who holds these files opens every recording. */
static enum status make_auditors(struct auditors *a, const char *dir, struct err *err)
{
    size_t len = strlen(dir);
    while (len > 1 && dir[len - 1] == '/')
        len--;
    if (a->folder == NULL && asprintf(&a->made_folder, "%.*s-auditors", (int)len, dir) < 0)
        a->made_folder = NULL;
    if (a->folder == NULL)
        a->folder = a->made_folder;
    enum status st = a->folder ? file_mkdirs(a->folder, 0700, err) : fail(err, NO_MEMORY, "making keys");
    for (size_t i = 0; i < 2 && st == OK; i++) {
        char name[32];
        snprintf(name, sizeof name, "auditor-%zu.key", i + 1);
        char *path = file_join(a->folder, name);
        st = path ? auditor_key_write(path, a->key[i], err) : fail(err, NO_MEMORY, "making keys");
        free(path);
        a->count += st == OK;
    }
    if (st != OK)
        err_prefix(err, "the auditors' keys (give public keys with --auditors, or another folder with --auditor-keys-in): ");
    return st;
}

/* The config last: a folder that has one is whole. */
static enum status make_state(const char *dir, struct init_names *n, struct auditors *a, struct err *err)
{
    enum status st = check_empty(dir, err);
    if (st == OK && a->made)
        st = make_auditors(a, dir, err);
    if (st != OK)
        return st;
    for (size_t i = 0; i < a->count; i++)
        a->text[i] = a->key[i];
    n->auditors = a->text;
    n->auditor_count = a->count;
    st = make_folders(dir, err);
    if (st == OK)
        st = make_keys(dir, err);
    if (st == OK)
        st = make_certificates(dir, n, err);
    if (st == OK)
        st = write_text(dir, "approval-keys", init_approval_keys_text(), err);
    if (st == OK)
        st = write_text(dir, "people.conf", init_people_text(), err);
    if (st == OK)
        st = write_text(dir, "countersign.conf", init_config_text(n), err);
    if (st != OK)
        err_prefix(err, "'%s' is only half made (remove it and try again): ", dir);
    return st;
}

static bool port_ok(const char *text, unsigned *out)
{
    char *end = NULL;
    unsigned long n = strtoul(text, &end, 10);
    *out = (unsigned)n;
    return text[0] >= '1' && text[0] <= '9' && *end == 0 && n <= 65535;
}

/* A numeric address as the config has it: IPv6 in brackets. out holds 64 bytes. */
static bool address_ok(const char *text, char out[64])
{
    unsigned char binary[16];
    if (inet_pton(AF_INET, text, binary) == 1)
        return snprintf(out, 64, "%s", text) < 64;
    return inet_pton(AF_INET6, text, binary) == 1 && snprintf(out, 64, "[%s]", text) < 64;
}

static bool instance_ok(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789.-");
    return n > 0 && n <= 64 && text[n] == 0;
}

static int wrong(const char *what)
{
    command_failed("%s", what);
    return EXIT_USAGE;
}

static void print_auditors(const char *dir, const struct auditors *a)
{
    if (a->made) {
        printf("Recordings are sealed to two new keys, whose secret halves are %s/auditor-1.key and auditor-2.key. Give one to each of two auditors\n", a->folder);
        puts("(with a copy in a safe place: without them nobody opens a recording) and remove both from this machine. An auditor uses it so:");
        puts("    countersign show SESSION --auditor-key FILE          or auditor_key = \"FILE\"; in ~/.config/countersign/client.conf\n");
    } else if (a->count == 0) {
        printf("Recordings are kept unsealed: whoever can read this disk can read them. For real use put two auditors' keys into %s/countersign.conf.\n\n", dir);
    }
}

static void print_next(const char *dir, const struct init_names *n, const struct auditors *a)
{
    printf("%s is a new state folder. What to do next:\n\n", dir);
    printf("  1. Put your tool into %s/countersign.conf: its host, upstream and actions.\n", dir);
    printf("     It listens on %s:%u; change `listen` when other machines are to reach it.\n", n->listen, n->port);
    printf("  2. Let console.%s and the tools' hosts (*.%s) lead to this machine.\n", n->domain, n->domain);
    printf("  3. Issue certificates, at least two people's, since nobody approves their own request:\n");
    printf("       countersign certs issue alice --identity alice@%s --groups support --state %s\n", n->domain, dir);
    printf("       countersign certs issue bob --identity bob@%s --groups support-lead --approver --state %s\n", n->domain, dir);
    printf("  4. countersign check -c %s/countersign.conf\n  5. countersign run -c %s/countersign.conf\n\n", dir, dir);
    print_auditors(dir, a);
    printf("Browsers trust the gateway once %s/ca/server-root.pem is imported as an authority for web sites; it can only vouch\n", dir);
    printf("for names under %s. Keep %s/ca/root.key and keys/ private: whoever has them can make people and grants.\n", n->domain, dir);
}

static json_t *made(const char *dir, const struct init_names *n, const struct auditors *a)
{
    json_t *o = json_pack("{s:s, s:s++, s:s+, s:s, s:s, s:i, s:[], s:s?}", "state", dir, "config", dir, "/", "countersign.conf", "server_ca", dir, "/ca/server-root.pem", "instance",
                          n->instance, "listen", n->listen, "port", (int)n->port, "sealed_to", "auditor_keys_in", a->made ? a->folder : NULL);
    for (size_t i = 0; o != NULL && i < a->count; i++)
        json_array_append_new(json_object_get(o, "sealed_to"), json_string(a->text[i]));
    return o;
}

int cmd_init(int argc, char **argv)
{
    const char *domain = NULL, *instance = NULL, *port = "8443", *listen = "127.0.0.1", *auditor_list = NULL;
    bool unsealed = false, json = false;
    struct auditors auditors = { 0 };
    const struct option_spec options[] = {
        { "domain", 0, "NAME", "tools and console are hosts under it: support.NAME, console.NAME", &domain, NULL, true },
        { "instance", 0, "NAME", "names this gateway in what it signs (the domain)", &instance, NULL, false },
        { "listen", 0, "ADDRESS", "numeric address to listen on (127.0.0.1)", &listen, NULL, false },
        { "port", 0, "N", "port to listen on, and in addresses (8443)", &port, NULL, false },
        { "auditors", 0, "KEY,KEY…", "public keys of at least two auditors, who alone can open recordings (two new pairs are made)", &auditor_list, NULL, false },
        { "auditor-keys-in", 0, "FOLDER", "where the secret halves of the new pairs are put (DIR-auditors)", &auditors.folder, NULL, false },
        { "unsealed", 0, NULL, "keep recordings readable on the disk: only for trying things out", NULL, &unsealed, false },
        { 0 },
    };
    const struct usage usage = { "countersign init DIR --domain tools.example.com [--instance NAME] [--listen ADDRESS] [--port N] [--auditors KEY,KEY…]",
                                 "Make a state folder: config, keys, certificate authority, server certificate. DIR must be new or empty; a state "
                                 "folder that is there is never touched.", options, 1, 1, &json };
    char **dirs, checked[254], address[64];
    size_t count;
    int code = EXIT_DONE;
    struct init_names names;
    struct err err;
    if (!options_parse(argc, argv, &usage, &dirs, &count, &code))
        return code;
    if (hostname_parse(slice_str(domain), false, checked) != OK || strlen(checked) > 240)
        return wrong("--domain must be a host name such as tools.example.com");
    names = (struct init_names){ .domain = checked, .instance = instance ? instance : checked, .listen = address };
    if (!instance_ok(names.instance))
        return wrong("--instance must be 1 to 64 of a-z, 0-9, '.' and '-' (without it, the domain is taken, which must then fit)");
    if (!address_ok(listen, address))
        return wrong("--listen must be a numeric address such as 0.0.0.0 or ::1");
    if (!port_ok(port, &names.port))
        return wrong("--port must be 1 to 65535");
    if ((auditor_list != NULL) + (auditors.folder != NULL) + unsealed > 1)
        return wrong("--auditors, --auditor-keys-in and --unsealed exclude each other");
    if (auditor_list != NULL && !take_auditors(&auditors, auditor_list))
        return wrong("--auditors takes at least two different public keys, as countersign auditor-key or age-keygen print them (age1…), with commas between");
    auditors.made = auditor_list == NULL && !unsealed;
    umask(077);
    enum status st = make_state(dirs[0], &names, &auditors, &err);
    if (st == OK && json)
        code = command_json(made(dirs[0], &names, &auditors));
    else if (st == OK)
        print_next(dirs[0], &names, &auditors);
    else
        code = command_failed("%s", err.text);
    free(auditors.made_folder);
    return code;
}
