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
    k->rp_id = strdup(str(facts, "rp_id"));
    k->origin = strdup(str(facts, "origin"));
    k->base.not_after_s = INT64_MAX;  /* until it is removed */
    if (k->base.key == NULL || k->base.person == NULL || k->rp_id == NULL || k->origin == NULL)
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
        free(s->web_keys[i].rp_id);
        free(s->web_keys[i].origin);
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

struct webauthn_party key_party(const struct service *s, const char *fingerprint)
{
    const struct web_key *k = web_key_find(s, fingerprint);
    return k ? (struct webauthn_party){ k->rp_id, k->origin } : console_party(s);
}

/* Has this person a key that counts now? */
static bool has_key(const struct op *o, const char *person)
{
    const struct service *s = o->s;
    for (size_t i = 0; i < s->keys.count; i++)
        if (strcmp(s->keys.v[i].person, person) == 0 && approval_key_of(o, person, s->keys.v[i].fingerprint) != NULL)
            return true;
    for (size_t i = 0; i < s->web_key_count; i++)
        if (strcmp(s->web_keys[i].base.person, person) == 0 && approval_key_of(o, person, s->web_keys[i].base.fingerprint) != NULL)
            return true;
    return false;
}

bool new_key_may_decide(const struct op *o, const struct item *it)
{
    const struct config *c = o->s->config;
    bool in_group = c->key_confirmer_count == 0 || person_in_any(o->who.person, c->key_confirmers, c->key_confirmer_count);
    return it->requester != NULL && o->who.person != it->requester && in_group && has_key(o, o->who.person->name);
}

enum status new_key_end(struct op *o, const char *id, const char *by, const char *why)
{
    const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), id);
    if (e == NULL)
        return fail(&o->err, CORRUPT, "the database knows '%s', the log does not", id);
    o->s->web_keys_stale = true;
    enum status st = item_set_state(o, id, e->state, "ended");
    if (st == OK)
        st = write_leaf(o, "key.withdrawn", json_pack("{s:s, s:s, s:s, s:s}", "item", id, "session", id, "by", by, "why", why), NULL);
    return st;
}

enum status new_key_insert(struct op *o, json_t *facts, json_t **row_out)
{
    json_t *row = json_deep_copy(facts);
    uint64_t seq = 0;
    char id[ID_LEN + 1];
    snprintf(id, sizeof id, "%s", str(facts, "item"));
    json_object_del(row, "attested"); /* stands in the leaf alone */
    enum status st = row ? write_leaf(o, "key.proposed", facts, &seq) : (json_decref(facts), fail(&o->err, NO_MEMORY, "new key"));
    if (st == OK && (json_object_set_new(row, "state", json_string("pending")) != 0
                     || json_object_set_new(row, "seq", json_integer((json_int_t)seq)) != 0))
        st = fail(&o->err, NO_MEMORY, "new key");
    if (st == OK)
        st = store_insert(o->s->store, "new_key", row, &o->err);
    if (st == OK)
        queue_item_event(o, id, "pending");
    if (st == OK && row_out != NULL)
        *row_out = row;
    else
        json_decref(row);
    return st;
}

/* ---- certificates' keys that come later (setting keys.confirm_certificates) ---- */

enum status new_key_of_file(struct op *o, const struct approval_key *k)
{
    unsigned char *der = NULL;
    char id[ID_LEN + 1], spki[B64URL_LEN(256) + 1];
    json_t *row = NULL;
    enum status st = store_row(o->s->store, &row, &o->err, "SELECT item FROM new_key WHERE key = $1 AND person = $2 AND state IN ('pending', 'approved', 'denied')",
                               "ss", k->fingerprint, k->person);
    json_decref(row);
    if (st != NOT_FOUND)
        return st;                    /* it waits, counts, or was refused: then only another key helps */
    int len = i2d_PUBKEY(k->key, &der);
    if (len <= 0 || len > 256)
        return OPENSSL_free(der), fail(&o->err, CORRUPT, "the approval key '%s' cannot be written", k->fingerprint);
    b64url_encode(slice_of(der, (size_t)len), spki);
    OPENSSL_free(der);
    new_id("key_", id);
    json_t *facts = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "item", id, "session", id,
                              "person", k->person, "identity", "", "x5t", "", "key", k->fingerprint, "method", "command-line", "alg",
                              webauthn_algorithm_name(k->key), "spki", spki, "credential", "", "aaguid", "", "label", "a certificate's key", "rp_id", "",
                              "origin", "", "sign_count", (json_int_t)0, "created_ms", (json_int_t)o->now_ms, "expires_ms",
                              (json_int_t)(k->not_after_s > INT64_C(1) << 40 ? INT64_C(1) << 50 : k->not_after_s * 1000));
    return facts ? new_key_insert(o, facts, NULL) : fail(&o->err, NO_MEMORY, "new key");
}

enum status new_keys_not_in_file(struct op *o)
{
    json_t *rows = NULL, *row;
    size_t i;
    enum status st = store_rows(o->s->store, &rows, &o->err,
                                "SELECT item, key, person FROM new_key WHERE method = 'command-line' AND state IN ('pending', 'approved')", "");
    json_array_foreach(rows, i, row) {
        const struct approval_key *k = approval_keys_find(&o->s->keys, slice_str(str(row, "key")));
        if (st == OK && (k == NULL || strcmp(k->person, str(row, "person")) != 0))
            st = new_key_end(o, str(row, "item"), "config", "it no longer stands in the file of approval keys, as this person's");
    }
    json_decref(rows);
    return st;
}
