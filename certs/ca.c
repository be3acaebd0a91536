#include "certs/ca.h"

#include "certs/ca_cert.h"
#include "certs/ca_index.h"
#include "certs/leaf.h"
#include "proxy/base/clock.h"
#include "proxy/base/codec.h"
#include "proxy/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

struct ca {
    char *folder;
    int lock;
    X509 *root, *server_root;
    EVP_PKEY *root_key, *server_key;
    struct ca_index index;
};

enum {
    DAY_S = 86400,
    BACKDATE_S = 300,                    /* a certificate is good on a machine whose clock is behind by this much */
    ROOT_DAYS = 3650,
    CRL_KEEP_S = CA_CRL_LIFE_S,          /* an expired certificate stays on the list this long (RFC 5280 s3.3: one list beyond its end) */
    PATH_BYTES = 4096,
    COMMAND_WAIT_MS = 10000,             /* for the lock */
    GATEWAY_WAIT_MS = 500,
};

bool ca_name_ok(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-");
    return n > 0 && n <= CA_NAME_MAX && name[n] == 0 && strchr("._-", name[0]) == NULL;
}

bool ca_reason_ok(const char *reason)
{
    int code;
    return cert_reason_code(reason, &code);
}

static enum status path_in(const char *folder, const char *name, char out[PATH_BYTES], struct err *err)
{
    if (snprintf(out, PATH_BYTES, "%s/%s", folder, name) >= PATH_BYTES)
        return fail(err, BAD_INPUT, "the path is too long: '%.80s...'", folder);
    return OK;
}

static enum status make_root(const char *folder, const char *instance, const char *kind, const char *permit, int64_t now_s, struct err *err)
{
    static const char *const files[2][2] = { { "root.pem", "root.key" }, { "server-root.pem", "server-root.key" } };
    const char *const *names = files[permit != NULL];
    char cert_path[PATH_BYTES], key_path[PATH_BYTES], mark[12], common[64];
    EVP_PKEY *key = NULL;
    X509 *root = NULL;
    enum status st = path_in(folder, names[0], cert_path, err);
    if (st == OK)
        st = path_in(folder, names[1], key_path, err);
    if (st == OK && (access(cert_path, F_OK) == 0 || access(key_path, F_OK) == 0))
        st = fail(err, EXISTS, "'%s' holds a CA already", folder);
    if (st == OK)
        st = key_make(KEY_P256, &key, err);
    random_id(6, mark);   /* roots made anew under the same instance differ in name, so that chains and lists are never mixed up */
    snprintf(common, sizeof common, "Countersign %s root %s", kind, mark);
    struct cert_times times = { now_s - BACKDATE_S, now_s + (int64_t)ROOT_DAYS * DAY_S };
    if (st == OK)
        st = cert_make_root(instance, common, permit, key, times, &root, err);
    if (st == OK)
        st = key_write(key_path, key, err);
    if (st == OK)
        st = pem_write_certs(cert_path, &root, 1, 0644, err);
    X509_free(root);
    EVP_PKEY_free(key);
    return st;
}

enum status ca_create(const char *folder, const char *instance, const char *domain, int64_t now_s, struct err *err)
{
    char index_path[PATH_BYTES];
    const struct ca_index none = { 0 };
    struct ca *ca = NULL;
    int64_t until_s;
    enum status st = path_in(folder, "index.jsonl", index_path, err);
    if (st == OK)
        st = file_mkdirs(folder, 0700, err);
    if (st == OK)
        st = make_root(folder, instance, "people", NULL, now_s, err);
    if (st == OK)
        st = make_root(folder, instance, "server", domain, now_s, err);
    if (st == OK)
        st = ca_index_write(index_path, &none, err);
    if (st == OK)
        st = ca_open(folder, &ca, err);
    if (st == OK)
        st = ca_renew_crl(ca, now_s, &until_s, err);
    ca_close(ca);
    return st;
}

/* Another command may be stopped on a terminal while it holds the lock; whoever supervises the gateway must not wait for it. */
static enum status lock_folder(struct ca *ca, int64_t wait_ms, struct err *err)
{
    const struct timespec pause = { .tv_nsec = 20 * 1000000 };
    int64_t until_ms = clock_mono_ms() + wait_ms;
    ca->lock = open(ca->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (ca->lock < 0)
        return fail(err, errno == ENOENT ? NOT_FOUND : IO_FAILED, "cannot open the CA folder '%s': %s", ca->folder, strerror(errno));
    while (flock(ca->lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return fail(err, IO_FAILED, "cannot lock the CA folder '%s': %s", ca->folder, strerror(errno));
        if (clock_mono_ms() >= until_ms)
            return fail(err, AGAIN, "another command is at work in '%s'; try again when it is done", ca->folder);
        nanosleep(&pause, NULL);
    }
    return OK;
}

static enum status load_root(struct ca *ca, const char *cert_name, const char *key_name, X509 **cert, EVP_PKEY **key, struct err *err)
{
    char path[PATH_BYTES];
    enum status st = path_in(ca->folder, cert_name, path, err);
    if (st == OK)
        st = pem_read_cert(path, cert, err);
    if (st == OK)
        st = path_in(ca->folder, key_name, path, err);
    if (st == OK)
        st = key_read(path, key, err);
    if (st == OK && X509_check_private_key(*cert, *key) != 1)
        st = fail(err, CORRUPT, "'%s' is not the key of '%s/%s': %s", path, ca->folder, cert_name, ossl_reason());
    return st;
}

static enum status open_waiting(const char *folder, int64_t wait_ms, struct ca **out, struct err *err)
{
    char path[PATH_BYTES];
    struct ca *ca = calloc(1, sizeof *ca);
    if (ca == NULL || (ca->folder = strdup(folder)) == NULL) {
        free(ca);
        return fail(err, NO_MEMORY, "CA");
    }
    enum status st = lock_folder(ca, wait_ms, err);
    if (st == OK)
        st = load_root(ca, "root.pem", "root.key", &ca->root, &ca->root_key, err);
    if (st == OK)
        st = load_root(ca, "server-root.pem", "server-root.key", &ca->server_root, &ca->server_key, err);
    if (st == OK)
        st = path_in(folder, "index.jsonl", path, err);
    if (st == OK)
        st = ca_index_read(path, &ca->index, err);
    if (st == NOT_FOUND && ca->server_key != NULL)
        st = fail(err, CORRUPT, "'%s' is lost, and with it what was issued and revoked; restore it from a backup", path);
    if (st == OK)
        *out = ca;
    else
        ca_close(ca);
    return st;
}

enum status ca_open(const char *folder, struct ca **out, struct err *err)
{
    return open_waiting(folder, COMMAND_WAIT_MS, out, err);
}

void ca_close(struct ca *ca)
{
    if (ca == NULL)
        return;
    ca_index_done(&ca->index);
    X509_free(ca->root);
    X509_free(ca->server_root);
    EVP_PKEY_free(ca->root_key);
    EVP_PKEY_free(ca->server_key);
    if (ca->lock >= 0)
        close(ca->lock);
    free(ca->folder);
    free(ca);
}

X509 *ca_root(const struct ca *ca)
{
    return ca->root;
}

X509 *ca_server_root(const struct ca *ca)
{
    return ca->server_root;
}

const struct ca_entry *ca_entries(const struct ca *ca, size_t *count)
{
    *count = ca->index.count;
    return ca->index.v;
}

bool ca_entry_live(const struct ca_entry *e, int64_t now_s)
{
    return e->revoked_s == 0 && now_s < e->not_after_s;
}

static enum status save_index(struct ca *ca, struct err *err)
{
    char path[PATH_BYTES];
    enum status st = path_in(ca->folder, "index.jsonl", path, err);
    return st == OK ? ca_index_write(path, &ca->index, err) : st;
}

/* Into the index, and on disk, before anybody gets the certificate: what the index does not know could not be revoked. */
static enum status note(struct ca *ca, X509 *cert, const char *person, const char *identity, EVP_PKEY *key, int64_t now_s, struct err *err)
{
    struct identity about;
    struct ca_entry e = { .identity = (char *)identity, .person = (char *)person, .issued_s = now_s };
    (void)leaf_read(cert, &about);   /* a server certificate has no address, and needs none */
    e.not_after_s = about.not_after_s;
    snprintf(e.serial, sizeof e.serial, "%.40s", about.serial);
    memcpy(e.fingerprint, about.x5t, sizeof e.fingerprint);
    enum status st = spki_fingerprint(key, e.key);
    if (st == OK)
        st = ca_index_add(&ca->index, &e, err);
    if (st == OK)
        st = save_index(ca, err);
    return st;
}

static enum status times_for(X509 *root, unsigned days, int64_t now_s, struct cert_times *out, struct err *err)
{
    int64_t root_ends_s = 0;
    *out = (struct cert_times){ now_s - BACKDATE_S, now_s + (int64_t)days * DAY_S };
    if (!asn1_time_s(X509_get0_notAfter(root), &root_ends_s) || out->not_after_s > root_ends_s)
        return fail(err, REFUSED, "the certificate would outlive the root that signs it; fewer days, or a new state folder");
    return OK;
}

enum status ca_issue_person(struct ca *ca, const char *name, const char *identity, EVP_PKEY *key, unsigned days, int64_t now_s,
                            X509 **out, struct err *err)
{
    char address[IDENTITY_MAX + 1];
    struct cert_times times;
    X509 *cert = NULL;
    if (!ca_name_ok(name))
        return fail(err, BAD_INPUT, "'%.80s' is not a person's name: use a-z, 0-9, '.', '_', '-', at most %d", name, CA_NAME_MAX);
    if (address_parse(slice_str(identity), address) != OK)
        return fail(err, BAD_INPUT, "'%.80s' is not an ASCII e-mail address", identity);
    if (days < 1 || days > CA_DAYS_MAX)
        return fail(err, BAD_INPUT, "a certificate lives 1 to %d days", CA_DAYS_MAX);
    enum status st = times_for(ca->root, days, now_s, &times, err);
    if (st == OK)
        st = cert_make_person(ca->root, ca->root_key, name, address, key, times, &cert, err);
    if (st == OK)
        st = note(ca, cert, name, address, key, now_s, err);
    if (st == OK)
        *out = cert;
    else
        X509_free(cert);
    return st;
}

/* Under the domain, as the nameConstraints have it: the domain itself, or a name that ends in "." and the domain. */
static bool in_domain(const char *name, const char *domain)
{
    size_t n = strlen(name), d = strlen(domain);
    return n >= d && strcmp(name + n - d, domain) == 0 && (n == d || name[n - d - 1] == '.');
}

static enum status check_server_names(struct ca *ca, char *const *names, size_t count, struct err *err)
{
    char *domain = cert_permitted_domain(ca->server_root), host[254];
    enum status st = count > 0 && count <= 100 ? OK : fail(err, BAD_INPUT, "a server certificate has 1 to 100 names");
    for (size_t i = 0; i < count && st == OK; i++) {
        if (hostname_parse(slice_str(names[i]), true, host) != OK || strcmp(host, names[i]) != 0)
            st = fail(err, BAD_INPUT, "'%.80s' is not a host name in lower case", names[i]);
        else if (domain != NULL && !in_domain(host, domain))
            st = fail(err, REFUSED, "'%s' is not under '%s', the only domain this gateway's server root may sign for; use a certificate of "
                      "your usual authority (settings tls.certificate and tls.key)", host, domain);
    }
    free(domain);
    return st;
}

static char *join_names(char *const *names, size_t count)
{
    char *out = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&out, &len);
    for (size_t i = 0; f != NULL && i < count; i++)
        fprintf(f, "%s%s", i ? " " : "", names[i]);
    if (f != NULL && fclose(f) == 0)
        return out;
    free(out);
    return NULL;
}

enum status ca_issue_server(struct ca *ca, char *const *names, size_t count, EVP_PKEY *key, int64_t now_s, X509 **out, struct err *err)
{
    struct cert_times times;
    X509 *cert = NULL;
    char *joined = NULL;
    enum status st = check_server_names(ca, names, count, err);
    if (st == OK)
        st = times_for(ca->server_root, CA_SERVER_DAYS, now_s, &times, err);
    if (st == OK)
        st = cert_make_server(ca->server_root, ca->server_key, names, count, key, times, &cert, err);
    if (st == OK && (joined = join_names(names, count)) == NULL)
        st = fail(err, NO_MEMORY, "server certificate");
    if (st == OK)
        st = note(ca, cert, NULL, joined, key, now_s, err);
    free(joined);
    if (st == OK)
        *out = cert;
    else
        X509_free(cert);
    return st;
}

/* Programs show a serial with colons ("0a:bc") or without its leading zeros ("abc"): the same number all the same. */
static bool is_serial(const char *text, const char *serial)
{
    text += strspn(text, "0:");
    serial += strspn(serial, "0");
    for (; *text != 0; text++)
        if (*text != ':' && *text != *serial++)
            return false;
    return *serial == 0;
}

bool ca_entry_is(const struct ca_entry *e, const char *which)
{
    return is_serial(which, e->serial) || strcmp(e->identity, which) == 0 || (e->person != NULL && strcmp(e->person, which) == 0);
}

enum status ca_revoke(struct ca *ca, const char *which, const char *reason, int64_t now_s, size_t *revoked_out, struct err *err)
{
    size_t found = 0, revoked = 0;
    int64_t until_s;
    if (!ca_reason_ok(reason))
        return fail(err, BAD_INPUT, "'%.80s' is not a reason for a revocation", reason);
    for (size_t i = 0; i < ca->index.count; i++) {
        struct ca_entry *e = &ca->index.v[i];
        if (e->person == NULL || !ca_entry_is(e, which))
            continue;
        found++;
        if (e->revoked_s != 0)
            continue;
        if ((e->reason = strdup(reason)) == NULL)
            return fail(err, NO_MEMORY, "certificate index");
        e->revoked_s = now_s;
        revoked++;
    }
    if (found == 0)
        return fail(err, NOT_FOUND, "no certificate of a person '%.80s'; `countersign certs list` shows names, identities and serials", which);
    enum status st = save_index(ca, err);
    if (st == OK)
        st = ca_renew_crl(ca, now_s, &until_s, err);
    if (st == OK)
        *revoked_out = revoked;
    return st;
}

/* One more than the last list's number, and never less than the clock, so that a lost file does not start over. */
static int64_t next_number(const char *path, int64_t now_s)
{
    STACK_OF(X509_CRL) *old = NULL;
    int64_t number = now_s;
    if (pem_read_crls(path, &old, NULL) == OK) {
        int64_t last = cert_crl_number(sk_X509_CRL_value(old, 0));
        if (last >= number && last < INT64_MAX)
            number = last + 1;
        sk_X509_CRL_pop_free(old, X509_CRL_free);
    }
    return number;
}

static size_t collect_revoked(const struct ca *ca, int64_t now_s, struct revoked_cert *out)
{
    size_t n = 0;
    for (size_t i = 0; i < ca->index.count; i++) {
        const struct ca_entry *e = &ca->index.v[i];
        if (e->person != NULL && e->revoked_s != 0 && e->not_after_s + CRL_KEEP_S > now_s)
            out[n++] = (struct revoked_cert){ e->serial, e->revoked_s, e->reason };
    }
    return n;
}

enum status ca_renew_crl(struct ca *ca, int64_t now_s, int64_t *until_s_out, struct err *err)
{
    char path[PATH_BYTES];
    X509_CRL *crl = NULL;
    struct cert_times times = { now_s - BACKDATE_S, now_s + CA_CRL_LIFE_S };
    enum status st = path_in(ca->folder, "crl.pem", path, err);
    if (st != OK)
        return st;
    struct revoked_cert *revoked = calloc(ca->index.count + 1, sizeof *revoked);
    if (revoked == NULL)
        return fail(err, NO_MEMORY, "revocation list");
    size_t count = collect_revoked(ca, now_s, revoked);
    st = cert_make_crl(ca->root, ca->root_key, revoked, count, next_number(path, now_s), times, &crl, err);
    if (st == OK)
        st = pem_write_crl(path, crl, err);
    if (st == OK)
        *until_s_out = times.not_after_s;
    X509_CRL_free(crl);
    free(revoked);
    return st;
}

/* Is the list there, readable, and good for a while yet? */
static bool crl_is_fresh(const char *path, int64_t now_s)
{
    STACK_OF(X509_CRL) *crls = NULL;
    int64_t until_s = 0;
    if (pem_read_crls(path, &crls, NULL) != OK)
        return false;
    bool dated = asn1_time_s(X509_CRL_get0_nextUpdate(sk_X509_CRL_value(crls, 0)), &until_s);
    sk_X509_CRL_pop_free(crls, X509_CRL_free);
    return dated && until_s - now_s >= CA_CRL_RENEW_S;
}

enum status ca_renew_crl_if_due(const char *folder, int64_t now_s, bool *renewed_out, struct err *err)
{
    char path[PATH_BYTES];
    struct ca *ca = NULL;
    int64_t until_s;
    enum status st = path_in(folder, "crl.pem", path, err);
    bool due = st == OK && !crl_is_fresh(path, now_s);
    if (st == OK && due)
        st = open_waiting(folder, GATEWAY_WAIT_MS, &ca, err);
    if (st == OK && due)
        st = ca_renew_crl(ca, now_s, &until_s, err);
    ca_close(ca);
    if (st == OK)
        *renewed_out = due;
    return st;
}
