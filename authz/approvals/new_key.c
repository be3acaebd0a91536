/* new_key: keys of people's authenticators that a second person confirmed: read from the log, kept in memory. The rows are not asked: what counts is
 * the leaf that proposed a key and the leaf of the yes to it. */
#include "authz/approvals/internal.h"

#include <openssl/x509.h>

static EVP_PKEY *read_spki(const char *text)
{
    unsigned char der[1024];
    size_t len = 0;
    if (b64url_decode(slice_str(text), der, sizeof der, &len) != OK)
        return NULL;
    const unsigned char *at = der;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)len);
    (void)ossl_reason();
    return key;
}

static enum status take_facts(const json_t *facts, struct web_key *k, struct err *err)
{
    const char *id = str(facts, "item");
    struct { const char *from; char *to; size_t max; } texts[] = {
        { id, k->item, sizeof k->item }, { str(facts, "method"), k->method, sizeof k->method },
        { str(facts, "credential"), k->credential, sizeof k->credential },
        { str(facts, "key"), k->base.fingerprint, sizeof k->base.fingerprint },
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (strlen(texts[i].from) >= texts[i].max)
            return fail(err, CORRUPT, "the new key '%s' in the log is broken", id);
        memcpy(texts[i].to, texts[i].from, strlen(texts[i].from) + 1);
    }
    k->base.key = read_spki(str(facts, "spki"));
    k->base.person = strdup(str(facts, "person"));
    k->base.not_after_s = INT64_MAX;  /* until it is removed */
    if (k->base.key == NULL || k->base.person == NULL)
        return fail(err, CORRUPT, "the new key '%s' in the log cannot be read", id);
    return OK;
}

static enum status read_one(struct service *s, const struct ledger_entry *e, struct web_key *k, struct err *err)
{
    json_t *born = NULL, *yes = NULL;
    enum status st = log_leaf(s->log, e->born, &born, err);
    if (st == OK)
        st = log_leaf(s->log, e->last, &yes, err);
    if (st == OK && strcmp(str(yes, "type"), "approval") != 0)
        st = fail(err, CORRUPT, "the yes to the new key '%s' is not in the log", e->id);
    if (st == OK)
        st = take_facts(json_object_get(born, "content"), k, err);
    k->from_s = num(json_object_get(yes, "content"), "counts_from");
    json_decref(born);
    json_decref(yes);
    return st == NOT_FOUND ? CORRUPT : st;
}

enum status web_keys_load(struct service *s, struct err *err)
{
    const struct ledger *l = log_ledger(s->log);
    enum status st = OK;
    web_keys_done(s);
    if (l->counts[LEDGER_NEW_KEY] == 0)
        return OK;
    s->web_keys = calloc(l->counts[LEDGER_NEW_KEY], sizeof *s->web_keys);
    if (s->web_keys == NULL)
        return fail(err, NO_MEMORY, "new keys");
    for (const struct ledger_entry *e = l->entries; e != NULL && st == OK; e = e->hh.next)
        if (e->kind == LEDGER_NEW_KEY && strcmp(e->state, "approved") == 0)
            st = read_one(s, e, &s->web_keys[s->web_key_count++], err);
    return st;
}

void web_keys_done(struct service *s)
{
    for (size_t i = 0; i < s->web_key_count; i++) {
        EVP_PKEY_free(s->web_keys[i].base.key);
        free(s->web_keys[i].base.person);
    }
    free(s->web_keys);
    s->web_keys = NULL;
    s->web_key_count = 0;
}

const struct web_key *web_key_find(const struct service *s, const char *fingerprint)
{
    for (size_t i = 0; i < s->web_key_count; i++)
        if (strcmp(s->web_keys[i].base.fingerprint, fingerprint) == 0)
            return &s->web_keys[i];
    return NULL;
}

const char *key_method(const struct service *s, const char *fingerprint)
{
    const struct web_key *k = web_key_find(s, fingerprint);
    return k ? k->method : "command-line";
}

struct webauthn_party console_party(const struct service *s)
{
    return (struct webauthn_party){ s->config->console_host, s->console_origin };
}

static bool has_key(const struct op *o, const char *person)
{
    const struct service *s = o->s;
    for (size_t i = 0; i < s->keys.count; i++)
        if (strcmp(s->keys.v[i].person, person) == 0 && s->keys.v[i].not_after_s > now_s(o))
            return true;
    for (size_t i = 0; i < s->web_key_count; i++)
        if (strcmp(s->web_keys[i].base.person, person) == 0 && s->web_keys[i].from_s <= now_s(o))
            return true;
    return false;
}

bool new_key_may_decide(const struct op *o, const struct item *it)
{
    const struct config *c = o->s->config;
    bool in_group = c->key_confirmer_count == 0 || person_in_any(o->who.person, c->key_confirmers, c->key_confirmer_count);
    return it->requester != NULL && o->who.person != it->requester && in_group && has_key(o, o->who.person->name);
}

enum status new_key_end(struct op *o, const char *id, const char *why)
{
    const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), id);
    if (e == NULL)
        return fail(&o->err, CORRUPT, "the database knows '%s', the log does not", id);
    o->s->web_keys_stale = true;
    enum status st = item_set_state(o, id, e->state, "ended");
    if (st == OK)
        st = write_leaf(o, "key.withdrawn", json_pack("{s:s, s:s, s:s, s:s}", "item", id, "session", id, "by", o->who.person->name, "why", why), NULL);
    return st;
}
