#include "proxy/commands/confine.h"

#include "proxy/base/file.h"

#include <stdlib.h>
#include <string.h>

static void allow_state(struct sandbox *s, const struct config *c, const char *name, unsigned rights)
{
    char *path = config_path(c, name);
    sandbox_allow(s, path, rights);
    free(path);
}

/* Made first, since a rule holds for what is there. */
static enum status make_state(const struct config *c, const char *name, struct err *err)
{
    char *path = config_path(c, name);
    enum status st = path ? file_mkdirs(path, 0700, err) : fail(err, NO_MEMORY, "path");
    free(path);
    return st;
}

static bool in_etc(const char *path)
{
    return path != NULL && strncmp(path, "/etc/", 5) == 0;
}

/* Does all of /etc hold a secret of ours that this process has no business with? */
static bool etc_is_free(const struct config *c)
{
    bool any = in_etc(c->state) || in_etc(c->copy_secret_file) || in_etc(c->audit.webhook_secret_file) || in_etc(c->audit.webhook_authorization_file) || in_etc(c->audit.syslog_key);
    for (size_t i = 0; i < c->notice_count && !any; i++)
        any = in_etc(c->notices[i].secret_file) || in_etc(c->notices[i].password_file);
    for (size_t i = 0; i < c->tool_count && !any; i++)
        any = in_etc(c->tools[i].upstream_key);
    for (size_t i = 0; i < c->more_certificate_count && !any; i++)
        any = in_etc(c->more_certificates[i].key);
    return !any && !in_etc(c->tls_key);
}

enum status confine_run(const struct config *c, struct err *err)
{
    struct sandbox s = { .all_files = true, .programs = true, .network = true };
    return sandbox_enter(&s, c->sandbox, err);
}

enum status confine_proxy(const struct config *c, struct err *err)
{
    struct sandbox s = { .network = true };
    enum status st = make_state(c, "recordings/open", err);
    if (st == OK)
        st = make_state(c, "log", err);
    if (st != OK)
        return st;
    allow_state(&s, c, "recordings", SANDBOX_READ | SANDBOX_WRITE | SANDBOX_MAKE);
    allow_state(&s, c, "log", SANDBOX_READ);
    allow_state(&s, c, "keys/fingerprint.key", SANDBOX_READ);   /* its own, and the only one of that folder */
    sandbox_allow_system(&s, etc_is_free(c));
    return sandbox_enter(&s, c->sandbox, err);
}

/* The audit file is made anew when it was renamed: so its folder, not the file; but what is there already may be no file (a pipe). */
static void allow_audit_file(struct sandbox *s, const char *file)
{
    const char *slash = file ? strrchr(file, '/') : NULL;
    char *folder = slash ? strndup(file, slash == file ? 1 : (size_t)(slash - file)) : NULL;
    if (file == NULL)
        return;
    sandbox_allow(s, folder, SANDBOX_WRITE | SANDBOX_MAKE);
    free(folder);
}

enum status confine_authz(const struct config *c, struct err *err)
{
    struct sandbox s = { 0 };
    const char *syslog = c->audit.syslog, *port = syslog ? strrchr(syslog, ':') : NULL;
    s.network = syslog != NULL && (strncmp(syslog, "udp:", 4) == 0 || strncmp(syslog, "tcp:", 4) == 0);
    if (s.network && port != NULL)
        s.only_tcp_port = (uint16_t)strtoul(port + 1, NULL, 10);
    sandbox_allow(&s, "/", SANDBOX_READ);
    sandbox_allow(&s, "/dev/null", SANDBOX_READ | SANDBOX_WRITE);
    sandbox_allow(&s, c->state, SANDBOX_READ | SANDBOX_WRITE | SANDBOX_MAKE);
    allow_audit_file(&s, c->audit.file);
    return sandbox_enter(&s, c->sandbox, err);
}

enum status confine_courier(const struct config *c, struct err *err)
{
    struct sandbox s = { .network = true };
    enum status st = make_state(c, "copies", err);
    if (st == OK)
        st = make_state(c, "recordings", err);
    if (st == OK)
        st = make_state(c, "log", err);
    if (st != OK)
        return st;
    allow_state(&s, c, "copies", SANDBOX_READ | SANDBOX_WRITE | SANDBOX_MAKE);
    allow_state(&s, c, "recordings", SANDBOX_READ);
    allow_state(&s, c, "log", SANDBOX_READ);
    sandbox_allow_system(&s, etc_is_free(c));
    return sandbox_enter(&s, c->sandbox, err);
}

/* ---- the window ---- */

static bool is(const char *named, const char *path)
{
    return named != NULL && strcmp(named, path) == 0;
}

static bool for_proxy(const struct config *c, const char *path)
{
    bool any = is(c->tls_certificate, path) || is(c->tls_key, path) || is(c->client_ca, path) || is(c->crl, path);
    for (size_t i = 0; i < c->more_certificate_count && !any; i++)
        any = is(c->more_certificates[i].certificate, path) || is(c->more_certificates[i].key, path);
    for (size_t i = 0; i < c->tool_count && !any; i++)
        any = is(c->tools[i].upstream_ca, path) || is(c->tools[i].upstream_certificate, path) || is(c->tools[i].upstream_key, path);
    char *script = any || c->dom_recorder == NULL ? NULL : file_join(c->dom_recorder, "record.js");
    any = any || is(script, path);
    free(script);
    return any;
}

static bool for_courier(const struct config *c, const char *path)
{
    const struct audit_settings *a = &c->audit;
    bool any = is(c->copy_secret_file, path) || is(c->copy_ca_file, path) || is(a->syslog_ca_file, path) || is(a->syslog_certificate, path) || is(a->syslog_key, path) ||
               is(a->webhook_secret_file, path) || is(a->webhook_authorization_file, path) || is(a->webhook_ca_file, path);
    for (size_t i = 0; i < c->notice_count && !any; i++)
        any = is(c->notices[i].secret_file, path) || is(c->notices[i].ca_file, path) || is(c->notices[i].password_file, path);
    for (size_t i = 0; i < c->issuer_count && !any; i++)
        any = is(c->issuers[i].jwks_ca_file, path);
    return any;
}

bool confine_may_append(const char *child, const struct config *c, const char *path)
{
    return strcmp(child, "proxy") == 0 && is(c->audit.file, path);
}

bool confine_may_read(const char *child, const struct config *c, const char *path)
{
    return strcmp(child, "proxy") == 0 ? for_proxy(c, path) : strcmp(child, "courier") == 0 && for_courier(c, path);
}
