/* upkeep: what nobody asks for: expiry, a changed config, connections that ended. */
#include "authz/approvals/notices.h"
#include "authz/approvals/retention.h"

#include <openssl/x509.h>

enum { REMEMBER_EVERY = 100000 };
enum { PUBLISH_MS = 1000 };

/* ---- expiry ---- */

static enum status expire_items(struct op *o)
{
    json_t *rows = NULL, *row;
    size_t i;
    enum status st = store_rows(o->s->store, &rows, &o->err,
                                "SELECT item, session FROM request WHERE state = 'pending' AND expires_ms <= $1 UNION ALL "
                                "SELECT item, session FROM new_key WHERE state = 'pending' AND expires_ms <= $1 UNION ALL "
                                "SELECT item, session FROM policy_change WHERE state = 'pending' AND expires_ms <= $1 UNION ALL "
                                "SELECT item, session FROM held WHERE state IN ('pending', 'approved') AND expires_ms <= $1 LIMIT 200", "i",
                                o->now_ms);
    json_array_foreach(rows, i, row)
        if (st == OK)
            st = item_end(o, str(row, "item"), str(row, "session"), "expired", "time");
    json_decref(rows);
    return st;
}

static enum status expire_grants(struct op *o)
{
    json_t *rows = NULL, *row;
    size_t i;
    enum status st = store_rows(o->s->store, &rows, &o->err,
                                "SELECT grant_id FROM access_grant WHERE state = 'live' AND exp <= $1 LIMIT 200", "i", now_s(o));
    json_array_foreach(rows, i, row)
        if (st == OK)
            st = grant_end(o, str(row, "grant_id"), "expired");
    json_decref(rows);
    return st;
}

/* What can't be published now is published later: the log itself is in the database. */
void upkeep_publish(struct service *s)
{
    struct err err;
    s->published_ms = clock_mono_ms();
    if (tiles_published(s->tiles) != log_size(s->log) && tiles_publish(s->tiles, &err) != OK)
        log_warn("log.not-published", "why", err.text, "next", "it is tried again every second");
}

enum status service_tick(struct service *s, struct err *err)
{
    if (clock_mono_ms() - s->published_ms >= PUBLISH_MS)   /* few checkpoints, C2SP tlog-tiles asks */
        upkeep_publish(s);
    struct op o;
    enum status st = own_begin(s, &o, err);
    if (st == OK)
        st = expire_items(&o);
    if (st == OK)
        st = expire_grants(&o);
    if (st == OK)
        st = delegations_sweep(&o, false);
    if (st == OK)
        st = store_run(s->store, &o.err, "DELETE FROM statement WHERE exp <= $1", "i", now_s(&o));
    if (st == OK && clock_mono_ms() - s->escalated_ms >= ESCALATE_EVERY_MS) {
        s->escalated_ms = clock_mono_ms();
        st = notices_upkeep(&o);
        if (st == OK)
            st = escalate(&o);
        if (st == OK)
            st = reviews_remind(&o);
    }
    st = own_end(&o, st, err);
    if (st == OK)
        st = issuer_keys_tick(s, err);
    if (st == OK)
        st = retention_tick(s, err);
    if (st == OK)
        st = local_tick(s, err);
    if (st == OK)
        st = history_tick(s, err);
    revoked_look(s);
    teller_tick(s);
    if (st == OK && log_size(s->log) - s->written > REMEMBER_EVERY)
        service_remember(s);
    if (st == OK)
        st = patrol_step(s, err);
    return st == CORRUPT ? past_altered(s, err) : st;
}

/* ---- outcomes nobody will tell any more ---- */

enum status upkeep_outcomes(struct op *o, const struct peer *gone)
{
    enum status st = OK;
    for (const struct ledger_entry *e = log_ledger(o->s->log)->entries; e != NULL && st == OK; e = e->hh.next) {
        if (e->kind != LEDGER_HELD || strcmp(e->state, "used") != 0 || e->outcome != NULL)
            continue;
        const json_t *runner = json_object_get(o->s->running, e->id);
        if (gone == NULL || (uint64_t)json_integer_value(runner) == gone->id)
            st = outcome_write(o, e->id, "outcome-unknown", 0);
    }
    return st;
}

static void forget_runner(struct service *s, const struct peer *gone)
{
    const char *id;
    json_t *runner;
    void *next;
    json_object_foreach_safe(s->running, next, id, runner)
        if ((uint64_t)json_integer_value(runner) == gone->id)
            json_object_del(s->running, id);
}

enum status service_gone(struct service *s, const struct peer *peer, struct err *err)
{
    struct op o;
    notices_gone(s, peer);
    if (peer->role == ROLE_RECORDER && s->recorders > 0)
        s->recorders--;
    if (peer->role != ROLE_WORKER || json_object_size(s->running) == 0)
        return OK;
    enum status st = own_begin(s, &o, err);
    if (st == OK)
        st = upkeep_outcomes(&o, peer);
    st = own_end(&o, st, err);
    if (st == OK)
        forget_runner(s, peer);
    return st;
}

/* ---- the config ---- */

/* May this person still have this tool, under the same rules? */
static bool still_allowed(const struct op *o, const json_t *row)
{
    char hash[65];
    const struct config *c = o->s->config;
    const struct tool *tool = config_tool(c, slice_str(str(row, "tool")));
    const struct person *p = config_person(c, slice_str(str(row, "identity")));
    if (tool == NULL || p == NULL || strcmp(p->name, str(row, "person")) != 0 || !policy_may_ask(tool, p))
        return false;
    policy_hash(c, tool, hash);
    return strcmp(hash, str(row, "policy")) == 0;
}

static enum status end_disallowed(struct op *o)
{
    json_t *grants = NULL, *items = NULL, *row;
    size_t i;
    enum status st = store_rows(o->s->store, &grants, &o->err, "SELECT * FROM access_grant WHERE state = 'live'", "");
    json_array_foreach(grants, i, row) {
        bool allowed = still_allowed(o, row), vouched = true;
        if (st == OK && allowed)
            st = external_still(o, row, &vouched);
        if (st == OK && !(allowed && vouched))
            st = grant_end(o, str(row, "grant_id"), allowed ? "issuer-changed" : "policy-changed");
    }
    if (st == OK)                     /* after the grants: their held requests have ended with them */
        st = store_rows(o->s->store, &items, &o->err,
                        "SELECT item, session, tool, identity, person, policy FROM request WHERE state = 'pending' UNION ALL "
                        "SELECT item, session, tool, identity, person, policy FROM held WHERE state IN ('pending', 'approved')", "");
    json_array_foreach(items, i, row)
        if (st == OK && !still_allowed(o, row))
            st = item_end(o, str(row, "item"), str(row, "session"), "cancelled", "policy-changed");
    json_decref(grants);
    json_decref(items);
    return st;
}

static json_t *key_facts(const struct approval_key *k)
{
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(k->key, &der);
    char *spki = len > 0 ? malloc(B64URL_LEN(len) + 1) : NULL;
    json_t *content = NULL;
    if (spki != NULL) {
        b64url_encode(slice_of(der, (size_t)len), spki);
        content = json_pack("{s:s, s:s, s:s, s:I}", "key", k->fingerprint, "person", k->person, "spki", spki, "not_after",
                            (json_int_t)k->not_after_s);
    }
    free(spki);
    OPENSSL_free(der);
    return content;
}

static enum status log_removed(struct op *o, const struct ledger_entry *e)
{
    return write_leaf(o, "key.removed", json_pack("{s:s}", "key", e->id), NULL);
}

/* A key that is new, or now stands with another person or date, is a leaf before it counts. Once there are some, a new one may have to be confirmed. */
static enum status log_key(struct op *o, const struct approval_key *k, bool first)
{
    const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), k->fingerprint);
    bool live = e != NULL && strcmp(e->state, "live") == 0, same = false, hers = false;
    json_t *facts = key_facts(k), *found = NULL;
    enum status st = facts ? OK : fail(&o->err, NO_MEMORY, "key");
    if (st == OK && live) {
        st = log_leaf(o->s->log, e->born, &found, &o->err);
        same = st == OK && json_equal(json_object_get(found, "content"), facts);
        hers = st == OK && strcmp(str(json_object_get(found, "content"), "person"), k->person) == 0;   /* only its end is another */
        json_decref(found);
        if (st == OK && !same)
            st = log_removed(o, e);
    }
    if (st == OK && !same && (hers || first || !o->s->config->confirm_certificates))
        return write_leaf(o, "key.registered", facts, NULL);
    json_decref(facts);
    if (st == OK && !same)
        st = new_key_of_file(o, k);
    return st;
}

static enum status log_keys(struct op *o)
{
    bool first = log_ledger(o->s->log)->counts[LEDGER_KEY] == 0;
    enum status st = new_keys_not_in_file(o);
    for (size_t i = 0; i < o->s->keys.count && st == OK; i++)
        st = log_key(o, &o->s->keys.v[i], first);
    for (const struct ledger_entry *e = log_ledger(o->s->log)->entries; e != NULL && st == OK; e = e->hh.next)
        if (e->kind == LEDGER_KEY && strcmp(e->state, "live") == 0 && approval_keys_find(&o->s->keys, slice_str(e->id)) == NULL)
            st = log_removed(o, e);
    return st;
}

enum status upkeep_config(struct op *o)
{
    enum status st = log_keys(o);
    if (st == OK)
        st = upkeep_auditors(o);
    if (st == OK)
        st = upkeep_retention(o);
    if (st == OK)
        st = delegations_sweep(o, true);
    return st == OK ? end_disallowed(o) : st;
}

static void note_reload(struct service *s, const struct config *c, enum status st, const struct err *err)
{
    json_t *policies = json_array();
    char hash[65], text[128];
    for (size_t i = 0; i < c->tool_count && st == OK; i++) {
        policy_hash(c, &c->tools[i], hash);
        snprintf(text, sizeof text, "%s %s", c->tools[i].name, hash);
        json_array_append_new(policies, json_string(text));
    }
    teller_note(s, st == OK ? "config.reloaded" : "config.refused", json_pack("{s:s, s:o, s:s}", "file", c->path, "policies", policies, "why", st == OK ? "" : err->text));
}

enum status service_take(struct service *s, struct config *c, struct err *err)
{
    struct approval_keys keys, old_keys = s->keys;
    struct signing signing = { 0 };
    struct config *old = s->config;
    struct external *external = NULL, *old_external = s->external;
    struct op o;
    if (strcmp(c->instance, old->instance) != 0 || strcmp(c->state, old->state) != 0)
        return fail(err, BAD_CONFIG, "`instance` and `state` cannot change while it runs; start anew");
    enum status st = keys_load(c, &keys, err);
    if (st != OK)
        return st;
    st = signing_load(c, &signing, err);
    if (st == OK)
        st = external_load(c, signing.public_keys, &external, err);
    if (st == OK && (st = issuer_keys_follow(s, c, external, signing.public_keys, err)) != OK)
        external_free(external);
    if (st != OK) {
        approval_keys_done(&keys);
        signing_done(&signing);
        return st;
    }
    bool new_signing = !json_equal(signing.jwks, s->jwks);
    signing_swap(s, &signing);
    st = own_begin(s, &o, err);
    char *origin = config_origin(c, c->console_host), *old_origin = s->console_origin;
    s->config = c;
    s->keys = keys;
    s->external = external;
    s->console_origin = origin;
    if (st == OK && origin == NULL)
        st = fail(err, NO_MEMORY, "console");
    if (st == OK)
        st = teller_reload(s, err);
    if (st == OK)
        st = upkeep_config(&o);
    if (st == OK && new_signing)
        st = signing_changed(&o);
    st = own_end(&o, st, err);
    if (st != OK)
        signing_swap(s, &signing);    /* back */
    signing_done(&signing);
    if (st == OK) {
        config_ref(c);
        config_unref(old);
        approval_keys_done(&old_keys);
        external_free(old_external);
        free(old_origin);
    } else {
        struct err why;
        s->config = old;
        s->keys = old_keys;
        s->external = old_external;
        s->console_origin = old_origin;
        external_free(external);
        free(origin);
        approval_keys_done(&keys);
        if (teller_reload(s, &why) != OK)
            log_error("audit.not-restored", "why", why.text);
    }
    if (c != old)
        note_reload(s, c, st, err);
    return st;
}

enum status service_reload(struct service *s, struct config *c, struct err *err)
{
    struct config *use = NULL;
    if (strcmp(c->instance, s->config->instance) != 0 || strcmp(c->state, s->config->state) != 0)
        return fail(err, BAD_CONFIG, "`instance` and `state` cannot change while it runs; start anew");
    enum status st = in_force_choose(s, c, false, &use, err);
    if (st == OK)
        st = service_take(s, use, err);
    if (st == OK)
        in_force_follow(s);
    config_unref(use);
    return st;
}

enum status service_renew_keys(struct service *s, struct err *err)
{
    return service_take(s, s->config, err);
}
