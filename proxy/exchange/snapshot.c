#include "proxy/exchange/worker.h"

#include "authz/policy.h"
#include "proxy/base/log.h"
#include "proxy/dom/script.h"
#include "proxy/net/tls.h"
#include "proxy/net/upstream_tls.h"

#include <stdio.h>
#include <stdlib.h>

/* What grants of this config's rules carry: a grant of other rules is not judged by these. */
static enum status hash_policies(struct snapshot *s, struct err *err)
{
    const struct config *c = s->config;
    s->policies = calloc(c->tool_count + 1, sizeof *s->policies);
    if (s->policies == NULL)
        return fail(err, NO_MEMORY, "snapshot");
    for (size_t i = 0; i < c->tool_count; i++)
        policy_hash(c, &c->tools[i], s->policies[i]);
    return OK;
}

static enum status fold_names(struct snapshot *s, struct err *err)
{
    const struct config *c = s->config;
    enum status st = OK;
    arena_init(&s->memory, SIZE_MAX / 2);   /* as large as the config is */
    s->secrets = arena_zalloc(&s->memory, (c->tool_count + 1) * sizeof *s->secrets);
    if (s->secrets == NULL)
        return fail(err, NO_MEMORY, "snapshot");
    for (size_t i = 0; i < c->tool_count && st == OK; i++)
        st = secret_names_copy(c->tools[i].redact_fields, c->tools[i].redact_count, &s->memory, &s->secrets[i]);
    return st == OK ? OK : fail(err, st, "snapshot");
}

static bool same_texts(char *const *a, size_t a_count, char *const *b, size_t b_count)
{
    for (size_t i = 0; i < a_count && a_count == b_count; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return a_count == b_count;
}

/* An earlier tool whose script would be the same: a thousand tools need not have a thousand copies of it. */
static const struct dom_script *made_already(const struct snapshot *s, size_t tool)
{
    const struct dom_recording *d = &s->config->tools[tool].dom;
    for (size_t i = 0; i < tool; i++) {
        const struct dom_recording *e = &s->config->tools[i].dom;
        if (e->enabled && same_texts(d->show, d->show_count, e->show, e->show_count) && same_texts(d->hide, d->hide_count, e->hide, e->hide_count))
            return &s->scripts[i];
    }
    return NULL;
}

static enum status make_scripts(struct snapshot *s, struct err *err)
{
    const struct config *c = s->config;
    enum status st = OK;
    for (size_t i = 0; i < c->tool_count && st == OK; i++) {
        if (!c->tools[i].dom.enabled)
            continue;
        if (s->scripts == NULL && (s->scripts = arena_zalloc(&s->memory, c->tool_count * sizeof *s->scripts)) == NULL)
            return fail(err, NO_MEMORY, "snapshot");
        const struct dom_script *same = made_already(s, i);
        if (same != NULL)
            s->scripts[i] = *same;
        else
            st = dom_script_make(c, &c->tools[i], &s->memory, &s->scripts[i], err);
    }
    return st;
}

/* A proxy that starts while the revocation list is damaged has none before to keep. Without any, everybody is refused with a page that says so: better than
 * connections that nobody answers. */
static enum status load_trust(struct snapshot *s, bool first, struct err *err)
{
    enum status st = trust_load(s->config->client_ca, s->config->crl, &s->trust, err);
    if (st == OK || !first)
        return st;
    log_error("crl.unusable", "why", err->text, "next", "put a current revocation list in place; nobody gets in before");
    return trust_load(s->config->client_ca, NULL, &s->trust, err);
}

/* The rest of a snapshot whose config is there; takes s in every case. spare: used when the server's own certificate can't be read, or NULL. */
static enum status complete(struct snapshot *s, bool first, SSL_CTX *spare, struct snapshot **out, struct err *err)
{
    enum status st = load_trust(s, first, err);
    if (st == OK)
        st = tls_server_context(s->config, &s->tls, err);
    if (st != OK && s->trust != NULL && spare != NULL && SSL_CTX_up_ref(spare) == 1) {
        log_error("reload.server_certificate", "why", err->text, "next", "the one read before stays in use");
        s->tls = spare;
        st = OK;
    }
    snprintf(s->hsts, sizeof s->hsts, "max-age=%lld", (long long)(s->config->hsts_ms / 1000));
    if (st == OK)
        st = hash_policies(s, err);
    if (st == OK)
        st = fold_names(s, err);
    if (st == OK)
        st = make_scripts(s, err);
    if (st == OK && (s->console_origin = config_origin(s->config, s->config->console_host)) == NULL)
        st = fail(err, NO_MEMORY, "snapshot");
    if (st == OK)
        *out = s;
    else
        snapshot_unref(s);
    return st;
}

static struct snapshot *empty(void)
{
    struct snapshot *s = calloc(1, sizeof *s);
    if (s != NULL)
        atomic_init(&s->refs, 1);
    return s;
}

enum status snapshot_load(const char *config_path, const struct config *now, struct snapshot **out, struct err *err)
{
    struct problems problems = { 0 };
    struct snapshot *s = empty();
    if (s == NULL)
        return fail(err, NO_MEMORY, "snapshot");
    enum status st = config_load_in_force(config_path, &s->config, &problems);
    if (st != OK)
        (void)fail(err, st, "%s", problems.count ? problems.text[0] : "the config can't be read");
    problems_done(&problems);
    const char *fixed = st == OK && now != NULL ? config_needs_restart(now, s->config) : NULL;
    if (fixed != NULL)
        st = fail(err, BAD_CONFIG, "the setting `%s` has changed, which takes a restart: run `countersign run` anew, or put it back", fixed);
    if (st == OK)
        st = upstream_tls_check(s->config, err);
    if (st == OK)
        return complete(s, now == NULL, NULL, out, err);
    snapshot_unref(s);
    return st;
}

enum status snapshot_renew(const struct snapshot *old, struct snapshot **out, struct err *err)
{
    struct snapshot *s = empty();
    if (s == NULL)
        return fail(err, NO_MEMORY, "snapshot");
    s->config = config_ref(old->config);
    return complete(s, false, old->tls, out, err);
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
    atomic_fetch_add(&s->refs, 1);
    return s;
}

void snapshot_unref(struct snapshot *s)
{
    if (s == NULL || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    config_unref(s->config);
    trust_free(s->trust);
    SSL_CTX_free(s->tls);
    free(s->policies);
    arena_done(&s->memory);
    free(s->console_origin);
    free(s);
}
