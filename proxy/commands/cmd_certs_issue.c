#include "certs/approval_keys.h"
#include "certs/leaf.h"
#include "certs/p12.h"
#include "proxy/base/clock.h"
#include "proxy/base/codec.h"
#include "proxy/base/file.h"
#include "proxy/commands/certs_common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One certificate to make, from the options, and what became of it. */
struct job {
    const char *state, *config, *name, *identity, *groups, *days_text, *password_file, *out, *key_text;
    bool approver, server, json;
    bool replace;                                     /* renew: the old files may go */
    unsigned days;
    enum key_kind kind;
    char address[IDENTITY_MAX + 1];
    char password[P12_PASSWORD_MAX + 1];
    bool password_made, listed, added;
    char *folder, *cert_path, *key_path, *p12_path, *root_path;
    EVP_PKEY *key;
    X509 *cert;
    struct identity made;
};

static void job_done(struct job *j)
{
    OPENSSL_cleanse(j->password, sizeof j->password);
    EVP_PKEY_free(j->key);
    X509_free(j->cert);
    free(j->folder);
    free(j->cert_path);
    free(j->key_path);
    free(j->p12_path);
    free(j->root_path);
}

/* The file's first line. Read before anything else is done, as whoever started us. */
static enum status take_password(struct job *j, struct err *err)
{
    unsigned char *data = NULL;
    size_t len = 0;
    if (j->password_file == NULL) {
        p12_password_make(j->password);
        j->password_made = true;
        return OK;
    }
    enum status st = file_read(j->password_file, 4096, false, &data, &len, err);
    if (st != OK)
        return st;
    size_t n = slice_find(slice_of(data, len), '\n');
    if (n > P12_PASSWORD_MAX || memchr(data, 0, n) != NULL) {
        st = BAD_INPUT;
    } else {
        memcpy(j->password, data, n);
        j->password[n] = 0;
        st = p12_password_ok(j->password) ? OK : BAD_INPUT;
    }
    OPENSSL_cleanse(data, len);
    free(data);
    if (st != OK)
        return fail(err, st, "the first line of '%s' must be a password of %d to %d printable ASCII characters", j->password_file,
                    P12_PASSWORD_MIN, P12_PASSWORD_MAX);
    return OK;
}

static enum status take_options(struct job *j, struct err *err)
{
    char *end = NULL;
    unsigned long days = strtoul(j->days_text, &end, 10);
    if (j->days_text[0] < '0' || j->days_text[0] > '9' || *end != 0 || days < 1 || days > CA_DAYS_MAX)
        return fail(err, BAD_INPUT, "--days must be 1 to %d", CA_DAYS_MAX);
    j->days = (unsigned)days;
    if (!key_kind_parse(j->key_text, &j->kind))
        return fail(err, BAD_INPUT, "--key must be p256 or ed25519");
    if (!ca_name_ok(j->name))
        return fail(err, BAD_INPUT, "'%.80s' is not a person's name: 1 to %d of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit",
                    j->name, CA_NAME_MAX);
    if (j->identity != NULL && address_parse(slice_str(j->identity), j->address) != OK)
        return fail(err, BAD_INPUT, "'%.80s' is not an ASCII e-mail address", j->identity);
    if (j->groups != NULL && !people_groups_ok(j->groups))
        return fail(err, BAD_INPUT, "--groups must be names of a-z, 0-9, '.', '_' and '-', with commas between them");
    return take_password(j, err);
}

/* A certificate for which nobody is listed, or someone else, would be a puzzle for everyone: settle that first. */
static enum status settle_person(struct job *j, const struct certs_place *p, struct err *err)
{
    enum person_found found;
    char other[65];
    enum status st = people_file_find(p->paths.people, j->name, j->address, &found, other, err);
    if (st != OK)
        return st;
    j->listed = found == PERSON_LISTED;
    if (found == PERSON_CLASH && other[0] != 0)
        return fail(err, REFUSED, "'%s' belongs to the person '%s' in '%s'", j->address, other, p->paths.people);
    if (found == PERSON_CLASH)
        return fail(err, REFUSED, "'%s' is in '%s' without the identity '%s'; add it to the person's `identities` there first", j->name, p->paths.people, j->address);
    if (found == PERSON_LISTED || j->groups == NULL)
        return OK;
    if (p->paths.people == NULL)
        return fail(err, REFUSED, "the config has no list `people` to add '%s' to", j->name);
    st = people_file_add(p->paths.people, j->name, j->address, j->groups, err);
    j->added = j->listed = st == OK;
    return st;
}

static bool has_live(const struct certs_place *p, const char *name, int64_t now_s)
{
    size_t count = 0;
    const struct ca_entry *v = ca_entries(p->ca, &count);
    for (size_t i = 0; i < count; i++)
        if (v[i].person != NULL && strcmp(v[i].person, name) == 0 && ca_entry_live(&v[i], now_s))
            return true;
    return false;
}

static char *out_path(const struct job *j, const char *suffix)
{
    char *out = NULL;
    return asprintf(&out, "%s/%s%s", j->folder, j->name, suffix) < 0 ? NULL : out;
}

static enum status settle_files(struct job *j, const struct certs_place *p, struct err *err)
{
    j->folder = j->out ? strdup(j->out) : certs_path(p, "people");
    if (j->folder == NULL)
        return fail(err, NO_MEMORY, "issuing a certificate");
    j->cert_path = out_path(j, ".pem");
    j->key_path = out_path(j, ".key");
    j->p12_path = out_path(j, ".p12");
    j->root_path = file_join(j->folder, "server-root.pem");
    if (!j->cert_path || !j->key_path || !j->p12_path || !j->root_path)
        return fail(err, NO_MEMORY, "issuing a certificate");
    if (!j->replace && access(j->cert_path, F_OK) == 0 && has_live(p, j->name, clock_wall_s()))
        return fail(err, EXISTS, "'%s' is there and good; `countersign certs renew %s` replaces it, --out DIR puts a second one elsewhere",
                    j->cert_path, j->name);
    enum status st = file_mkdirs(j->folder, 0700, err);
    if (st == OK && access(j->folder, W_OK | X_OK) != 0)
        st = fail(err, IO_FAILED, "cannot write into '%s' as the owner of the state folder", j->folder);
    return st;
}

static enum status write_files(struct job *j, const struct certs_place *p, struct err *err)
{
    X509 *chain[] = { j->cert, ca_root(p->ca) }, *server_root = ca_server_root(p->ca);
    enum status st = key_write(j->key_path, j->key, err);
    if (st == OK)
        st = pem_write_certs(j->cert_path, chain, 2, 0600, err);
    if (st == OK)
        st = p12_write(j->p12_path, j->password, j->address, j->key, j->cert, ca_root(p->ca), err);
    if (st == OK)
        st = pem_write_certs(j->root_path, &server_root, 1, 0644, err);
    return st;
}

static enum status make_certificate(struct job *j, const struct certs_place *p, struct err *err)
{
    enum status st = key_make(j->kind, &j->key, err);
    if (st == OK)
        st = ca_issue_person(p->ca, j->name, j->address, j->key, j->days, clock_wall_s(), &j->cert, err);
    if (st != OK)
        return st;
    (void)leaf_read(j->cert, &j->made);
    st = write_files(j, p, err);
    if (st == OK && j->approver)
        st = approval_keys_add(p->paths.approval_keys, j->name, j->key, j->made.not_after_s, err);
    if (st != OK)
        err_prefix(err, "the certificate %s was issued, but not all of it arrived (`countersign certs revoke %s` takes it back): ",
                   j->made.serial, j->made.serial);
    return st;
}

static int print_json(const struct job *j)
{
    json_t *out = json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:b, s:b}", "person", j->name, "identity", j->address, "serial",
                            j->made.serial, "not_after", (json_int_t)j->made.not_after_s, "x5t", j->made.x5t, "certificate", j->cert_path,
                            "key", j->key_path, "p12", j->p12_path, "server_root", j->root_path, "approver", j->approver, "listed", j->listed);
    if (out != NULL && j->password_made)
        json_object_set_new(out, "p12_password", json_string(j->password));
    return command_json(out);
}

static int print_done(const struct job *j, const struct certs_place *p)
{
    char day[16];
    if (j->json)
        return print_json(j);
    certs_day(j->made.not_after_s, day);
    printf("A certificate for %s (%s), good until %s, serial %s\n", j->name, j->address, day, j->made.serial);
    printf("  %s    the certificate and its root\n  %s    its private key\n", j->cert_path, j->key_path);
    if (j->password_made)
        printf("  %s    both, to import into a browser; its password, shown only now: %s\n", j->p12_path, j->password);
    else
        printf("  %s    both, to import into a browser; its password is the one in %s\n", j->p12_path, j->password_file);
    printf("  %s    to trust as an authority for web sites: it can only vouch for this gateway's domain\n", j->root_path);
    if (j->added)
        printf("%s was added to %s with the groups %s.\n", j->name, p->paths.people, j->groups);
    else if (j->listed && j->groups != NULL)
        printf("%s was in %s before; the groups there stay as they are.\n", j->name, p->paths.people);
    if (!j->listed)
        printf("Nobody stands behind %s yet: add the person to the list `people`, or use --groups.\n", j->address);
    if (j->approver)
        printf("Its key counts for approvals and sign-offs: %s has it.\n", p->paths.approval_keys);
    if (j->added)
        puts("A running gateway reads the people file anew when it gets SIGHUP.");
    return EXIT_DONE;
}

static int run_job(struct job *j, struct certs_place *p)
{
    struct err err;
    enum status st = settle_files(j, p, &err);
    if (st == OK)
        st = settle_person(j, p, &err);
    if (st == OK)
        st = make_certificate(j, p, &err);
    return st == OK ? print_done(j, p) : command_failed("%s", err.text);
}

/* The rows that issue and renew share. */
#define COMMON_OPTIONS(j) \
    { "state", 0, "DIR", "the state folder", &(j)->state, NULL, false }, \
    { "config", 'c', "FILE", "or the config file", &(j)->config, NULL, false }, \
    { "days", 0, "N", "how long it lives (90)", &(j)->days_text, NULL, false }, \
    { "p12-password-file", 0, "FILE", "its first line is the .p12's password; else one is made and shown", &(j)->password_file, NULL, false }, \
    { "out", 0, "DIR", "where the files go (STATE/people)", &(j)->out, NULL, false }, \
    { "key", 0, "KIND", "p256, or ed25519 (not for browsers)", &(j)->key_text, NULL, false }

static int usage_wrong(const char *text)
{
    command_failed("%s", text);
    fputs("usage: countersign certs issue NAME --identity ADDRESS --state DIR [OPTION ...], or certs issue --server [HOST ...], or certs renew NAME\n", stderr);
    return EXIT_USAGE;
}

static int issue_person(struct job *j, char **names, size_t count)
{
    struct certs_place place;
    struct err err;
    int code = EXIT_DONE;
    if (count != 1 || j->identity == NULL)
        return usage_wrong("certs issue needs one NAME and --identity ADDRESS (or --server)");
    j->name = names[0];
    if (take_options(j, &err) != OK)
        return usage_wrong(err.text);
    if (!certs_place_open(j->state, j->config, &place, &code))
        return code;
    code = run_job(j, &place);
    certs_place_close(&place);
    return code;
}

int certs_issue(int argc, char **argv)
{
    struct job j = { .days_text = "90", .key_text = "p256" };
    const struct option_spec options[] = {
        { "identity", 0, "ADDRESS", "the e-mail address the certificate is for", &j.identity, NULL, false },
        { "groups", 0, "A,B", "add the person to the people file with these groups", &j.groups, NULL, false },
        { "approver", 0, NULL, "register the key: its signature counts as a yes", NULL, &j.approver, false },
        { "server", 0, NULL, "make the gateway's own certificate anew, for the given host names", NULL, &j.server, false },
        COMMON_OPTIONS(&j),
        { 0 },
    };
    const struct usage usage = { "countersign certs issue NAME --identity ADDRESS --state DIR [--groups A,B] [--approver]\n"
                                 "       countersign certs issue --server [HOST ...] --state DIR",
                                 "A key and a client certificate for a person: NAME.pem, NAME.key, and NAME.p12 for browsers.", options, 0, 100, &j.json };
    char **names;
    size_t count;
    int code = EXIT_DONE;
    if (!options_parse(argc, argv, &usage, &names, &count, &code))
        return code;
    if (j.server)
        code = j.identity || j.groups || j.approver || j.out ? usage_wrong("--server takes host names and no option of a person's certificate")
                                                             : certs_issue_server(j.state, j.config, names, count);
    else
        code = issue_person(&j, names, count);
    job_done(&j);
    return code;
}

/* The newest certificate of the name that was not revoked says which identity; several identities have to be told apart. */
static enum status find_previous(struct job *j, const struct certs_place *p, const struct ca_entry **out, struct err *err)
{
    size_t count = 0;
    const struct ca_entry *v = ca_entries(p->ca, &count), *found = NULL;
    for (size_t i = 0; i < count; i++) {
        if (v[i].person == NULL || v[i].revoked_s != 0 || strcmp(v[i].person, j->name) != 0)
            continue;
        if (j->identity != NULL && strcmp(v[i].identity, j->address) != 0)
            continue;
        if (found != NULL && strcmp(found->identity, v[i].identity) != 0)
            return fail(err, REFUSED, "%s has certificates for several identities; say which with --identity", j->name);
        found = &v[i];
    }
    if (found == NULL)
        return fail(err, NOT_FOUND, "there is no certificate of '%s' to renew (a revoked one is not renewed: use `certs issue`)", j->name);
    snprintf(j->address, sizeof j->address, "%s", found->identity);
    *out = found;
    return OK;
}

static enum status was_approver(const struct certs_place *p, const struct ca_entry *e, bool *out, struct err *err)
{
    struct approval_keys keys = { 0 };
    enum status st = approval_keys_load(p->paths.approval_keys, &keys, err);
    *out = approval_keys_find(&keys, slice_str(e->key)) != NULL;
    approval_keys_done(&keys);
    return st == NOT_FOUND ? OK : st;
}

static int renew(struct job *j, struct certs_place *p)
{
    const struct ca_entry *previous = NULL;
    struct err err;
    char day[16], serial[sizeof previous->serial];
    enum status st = find_previous(j, p, &previous, &err);
    if (st == OK)
        st = was_approver(p, previous, &j->approver, &err);
    if (st != OK)
        return command_failed("%s", err.text);
    certs_day(previous->not_after_s, day);
    memcpy(serial, previous->serial, sizeof serial);   /* the entry moves when the index grows */
    int code = run_job(j, p);
    if (code == EXIT_DONE && !j->json)
        printf("The old one works until %s. Live grants come along with it: countersign carry-over, with both, before it ends; once the new one is in use: countersign certs "
               "revoke %s --reason superseded\n", day, serial);
    return code;
}

int certs_renew(int argc, char **argv)
{
    struct job j = { .days_text = "90", .key_text = "p256", .replace = true };
    const struct option_spec options[] = {
        { "identity", 0, "ADDRESS", "which identity, if the person has several", &j.identity, NULL, false },
        COMMON_OPTIONS(&j),
        { 0 },
    };
    const struct usage usage = { "countersign certs renew NAME --state DIR",
                                 "A new key and certificate for the same identity, in place of the old files. If the old key was registered for "
                                 "approvals, the new one is too.", options, 1, 1, &j.json };
    char **names;
    size_t count;
    int code = EXIT_DONE;
    struct certs_place place;
    struct err err;
    if (!options_parse(argc, argv, &usage, &names, &count, &code))
        return code;
    j.name = names[0];
    if (take_options(&j, &err) != OK)
        code = usage_wrong(err.text);
    else if (certs_place_open(j.state, j.config, &place, &code)) {
        code = renew(&j, &place);
        certs_place_close(&place);
    }
    job_done(&j);
    return code;
}
