/* Approval keys of people's authenticators: begin, propose, list, remove. The yes to one goes through ops_decide like any other. */
#include "authz/approvals/internal.h"
#include "authz/attestation.h"

#include <openssl/x509.h>

enum { BEGIN_S = 600, LABEL_MAX = 64, PENDING_PER_PERSON = 5, PENDING_DAYS = 3 };

/* ---- what the new key's own browser signs ---- */

/* Made of its nonce and the person, so that an edited database cannot give one person another's. */
static void begin_id(const char *nonce, const struct caller *who, char out[ID_LEN + 1])
{
    unsigned char hash[32];
    struct slice pieces[] = { SLICE("countersign-new-key-v1\n"), slice_str(nonce), SLICE("\n"), slice_str(who->person->name), SLICE("\n"),
                              slice_str(who->x5t) };
    sha256(pieces, sizeof pieces / sizeof *pieces, hash);
    memcpy(out, "stm_", 4);
    b64url_encode(slice_of(hash, 16), out + 4);
}

static json_t *begin_object(const struct op *o, const char *id, int64_t iat_s)
{
    return json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "v", 1, "instance", o->s->config->instance, "purpose", "new-key", "id", id,
                     "person", o->who.person->name, "identity", o->who.identity, "x5t", o->who.x5t, "iat", (json_int_t)iat_s, "exp",
                     (json_int_t)(iat_s + BEGIN_S));
}

/* Credentials that this person has already: the browser refuses an authenticator that holds one of them. */
static json_t *own_credentials(const struct op *o)
{
    json_t *list = json_array();
    for (size_t i = 0; i < o->s->web_key_count; i++)
        if (strcmp(o->s->web_keys[i].base.person, o->who.person->name) == 0 && o->s->web_keys[i].credential[0] != 0)
            json_array_append_new(list, json_string(o->s->web_keys[i].credential));
    return list;
}

/* What the page gives to navigator.credentials.create(), bytes as base64url. user.id is no secret and the same each time, so that an authenticator
 * keeps one passkey a person. */
static json_t *options_for(const struct op *o, const char *challenge)
{
    unsigned char hash[32];
    char user[44];
    const struct config *c = o->s->config;
    struct slice pieces[] = { slice_str(c->instance), SLICE("\n"), slice_str(o->who.person->name) };
    sha256(pieces, 3, hash);
    b64url_encode(slice_of(hash, 32), user);
    return json_pack("{s:s, s:{s:s, s:s}, s:{s:s, s:s, s:s}, s:[i, i, i], s:o, s:s, s:i}", "challenge", challenge, "rp", "id", c->console_host, "name",
                     c->instance, "user", "id", user, "name", o->who.identity, "displayName", o->who.person->name, "algorithms", WEBAUTHN_ES256,
                     WEBAUTHN_EDDSA, WEBAUTHN_RS256, "exclude", own_credentials(o), "attestation", c->attestation_roots ? "direct" : "none", "timeout_s", BEGIN_S);
}

enum status op_key_begin(struct op *o)
{
    char nonce[NONCE_LEN + 1], id[ID_LEN + 1], text[44];
    unsigned char challenge[32];
    random_id(16, nonce);
    begin_id(nonce, &o->who, id);
    json_t *object = begin_object(o, id, now_s(o));
    char *dump = object ? json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    enum status st = dump ? yes_challenge(object, challenge, &o->err) : fail(&o->err, NO_MEMORY, "new key");
    if (st == OK)
        st = store_run(o->s->store, &o->err, "INSERT INTO statement (id, item, person, nonce, text, exp) VALUES ($1, '', $2, $3, $4, $5)", "ssssi", id,
                       o->who.person->name, nonce, dump, now_s(o) + BEGIN_S);
    if (st == OK)                     /* like any statement: 50 open ones at most, the oldest make room */
        st = store_run(o->s->store, &o->err,
                       "DELETE FROM statement WHERE person = $1 AND id NOT IN"
                       " (SELECT id FROM statement WHERE person = $1 ORDER BY exp DESC, id LIMIT 50)", "s", o->who.person->name);
    if (st == OK) {
        b64url_encode(slice_of(challenge, 32), text);
        json_object_set_new(o->answer, "id", json_string(id));
        json_object_set(o->answer, "statement", object);
        json_object_set_new(o->answer, "options", options_for(o, text));
    }
    free(dump);
    json_decref(object);
    return st;
}

/* ---- propose ---- */

/* The statement that key.begin wrote for this person and certificate, used up by this. */
static enum status take_statement(struct op *o, unsigned char challenge[32])
{
    json_t *row = NULL;
    char id[ID_LEN + 1];
    enum status st = store_row(o->s->store, &row, &o->err, "SELECT * FROM statement WHERE id = $1 AND person = $2 AND item = ''", "ss", str(o->m, "id"),
                               o->who.person->name);
    if (st == NOT_FOUND)
        return refuse_op(o, STATEMENT_UNKNOWN, "No open statement of yours for a new key has this id");
    if (st != OK)
        return st;
    json_t *object = json_loads(str(row, "text"), JSON_REJECT_DUPLICATES, NULL);
    begin_id(str(row, "nonce"), &o->who, id);
    json_t *again = begin_object(o, id, num(object, "iat"));
    if (object == NULL || !json_equal(again, object) || strcmp(id, str(row, "id")) != 0)
        st = refuse_op(o, STATEMENT_UNKNOWN, "It was begun with another certificate");
    else if (num(object, "exp") <= now_s(o))
        st = refuse_op(o, STATEMENT_EXPIRED, "It was begun more than 10 minutes ago");
    else
        st = yes_challenge(object, challenge, &o->err);
    if (st == OK)
        st = store_run(o->s->store, &o->err, "DELETE FROM statement WHERE id = $1", "s", id);
    json_decref(again);
    json_decref(object);
    json_decref(row);
    return st;
}

static enum status decode_member(struct op *o, const char *name, unsigned char *buffer, size_t max, struct slice *out)
{
    size_t len = 0;
    if (b64url_decode(slice_str(str(o->m, name)), buffer, max, &len) != OK)
        return refuse_op(o, BAD_REQUEST, "'%s' is not base64url, or too long", name);
    *out = slice_of(buffer, len);
    return OK;
}

static bool label_good(const char *label)
{
    size_t n = strlen(label);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)label[i] < 0x20 || (unsigned char)label[i] == 0x7f)
            return false;
    return n > 0 && n <= LABEL_MAX;
}

/* Nobody has this key, and the person has not too many that wait. */
static enum status check_new(struct op *o, const char *fingerprint, const char *credential)
{
    json_t *row = NULL;
    if (approval_keys_find(&o->s->keys, slice_str(fingerprint)) != NULL)
        return refuse_op(o, KEY_UNSOUND, "This key is registered already");
    enum status st = store_row(o->s->store, &row, &o->err,
                               "SELECT (SELECT count(*) FROM new_key WHERE (key = $1 OR credential = $2) AND state IN ('pending', 'approved')) AS same,"
                               " (SELECT count(*) FROM new_key WHERE person = $3 AND state = 'pending') AS waiting", "sss", fingerprint, credential,
                               o->who.person->name);
    if (st == OK && num(row, "same") > 0)
        st = refuse_op(o, KEY_UNSOUND, "This key is registered already, or waits to be");
    else if (st == OK && num(row, "waiting") >= PENDING_PER_PERSON)
        st = refuse_op(o, TOO_MANY_OPEN, "%d keys of yours wait to be confirmed; that is the limit", PENDING_PER_PERSON);
    json_decref(row);
    return st;
}

static json_t *facts_of(const struct op *o, const char *id, const struct webauthn_credential *c, const char *fingerprint)
{
    unsigned char *der = NULL;
    char credential[B64URL_LEN(WEBAUTHN_ID_MAX) + 1], spki[B64URL_LEN(1024) + 1], aaguid[33];
    int len = i2d_PUBKEY(c->key, &der);
    if (len <= 0 || len > 1024) {
        OPENSSL_free(der);
        return NULL;
    }
    b64url_encode(slice_of(der, (size_t)len), spki);
    OPENSSL_free(der);
    b64url_encode(c->id, credential);
    hex_encode(slice_of(c->aaguid, sizeof c->aaguid), aaguid);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "item", id, "session", id, "person",
                     o->who.person->name, "identity", o->who.identity, "x5t", o->who.x5t, "key", fingerprint, "method",
                     c->facts.backup_eligible ? "passkey" : "hardware", "alg", webauthn_algorithm_name(c->key), "spki", spki, "credential", credential,
                     "aaguid", aaguid, "label", str(o->m, "label"), "rp_id", o->s->config->console_host, "origin", o->s->console_origin, "sign_count",
                     (json_int_t)c->facts.count, "created_ms", (json_int_t)o->now_ms, "expires_ms",
                     (json_int_t)(o->now_ms + INT64_C(1000) * 86400 * PENDING_DAYS));
}

/* What the maker said of it, for the log and for those who confirm it. attested: NULL unless that was demanded. */
static enum status look_at_make(struct op *o, const struct webauthn_credential *c, struct slice client_data, json_t **attested)
{
    const struct config *config = o->s->config;
    struct attestation_roots *roots = NULL;
    struct attestation made;
    struct err why = { .text = "" };
    *attested = NULL;
    if (config->attestation_roots == NULL)
        return OK;
    enum status st = attestation_load(config->attestation_roots, &roots, &why);
    if (st == OK)
        st = attestation_verify(roots, c, client_data, config->key_models, config->key_model_count, now_s(o), &made, &why);
    attestation_free(roots);
    if (st == BAD_TOKEN || st == BAD_CONFIG)
        return refuse_op(o, KEY_UNSOUND, "This gateway takes keys only that their maker vouches for: %s", why.text);
    if (st != OK)
        return fail(&o->err, st, "%s", why.text);
    *attested = json_pack("{s:s, s:s}", "maker", made.maker, "model", made.model);
    return *attested ? OK : fail(&o->err, NO_MEMORY, "attestation");
}

static enum status insert_key(struct op *o, const struct webauthn_credential *c, json_t *attested)
{
    char id[ID_LEN + 1], fingerprint[44], credential[B64URL_LEN(WEBAUTHN_ID_MAX) + 1];
    new_id("key_", id);
    key_fingerprint(c->key, fingerprint);
    b64url_encode(c->id, credential);
    enum status st = check_new(o, fingerprint, credential);
    if (st != OK)
        return st;
    json_t *facts = facts_of(o, id, c, fingerprint), *row = NULL;
    if (facts != NULL && attested != NULL)
        json_object_set(facts, "attested", attested);
    st = facts ? new_key_insert(o, facts, &row) : fail(&o->err, NO_MEMORY, "new key");
    if (st == OK && json_object_set_new(o->answer, "item", view_item(o, row)) != 0)
        st = fail(&o->err, NO_MEMORY, "answer");
    if (st == OK && attested != NULL)
        json_object_set(json_object_get(o->answer, "item"), "attested", attested);
    json_decref(row);
    return st;
}

enum status op_key_propose(struct op *o)
{
    unsigned char challenge[32], client_data[WEBAUTHN_CLIENT_DATA_MAX], attestation[WEBAUTHN_ATTESTATION_MAX];
    struct slice client, object;
    json_t *attested = NULL;
    struct webauthn_credential c;
    struct webauthn_party party = console_party(o->s);
    struct err why = { .text = "" };
    if (!label_good(str(o->m, "label")))
        return refuse_op(o, BAD_REQUEST, "A key has a name of 1 to %d bytes on one line, such as 'blue key ring'", LABEL_MAX);
    enum status st = decode_member(o, "client_data", client_data, sizeof client_data, &client);
    if (st == OK)
        st = decode_member(o, "attestation", attestation, sizeof attestation, &object);
    if (st == OK)
        st = take_statement(o, challenge);
    if (st != OK)
        return st;
    if (webauthn_register(&party, challenge, client, object, &c, &why) != OK)
        return refuse_op(o, KEY_UNSOUND, "%s", why.text);
    if (c.facts.backup_eligible && !o->s->config->synced_keys)
        st = refuse_op(o, KEY_UNSOUND, "It is a passkey that can be copied to other devices, and this gateway takes none of these");
    else
        st = look_at_make(o, &c, client, &attested);
    if (st == OK)
        st = insert_key(o, &c, attested);
    json_decref(attested);
    webauthn_credential_done(&c);
    return st;
}

/* ---- list, remove ---- */

static json_t *file_key_view(const struct approval_key *k)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "key", k->fingerprint, "person", k->person, "method", "command-line", "state", "approved", "alg",
                     webauthn_algorithm_name(k->key), "not_after", (json_int_t)k->not_after_s);
}

/* Her own; of another person, or of all ("*"), for auditors and operators. */
enum status op_keys(struct op *o)
{
    const char *asked = str(o->m, "person"), *person = asked[0] ? asked : o->who.person->name;
    bool all = strcmp(person, "*") == 0;
    json_t *rows = NULL, *list = json_array(), *row;
    size_t i, bytes = 0;
    if (strcmp(person, o->who.person->name) != 0 && !is_auditor(o) && !is_operator(o)) {
        json_decref(list);
        return refuse_op(o, OPERATORS_ONLY, "Only auditors and operators may see other persons' keys");
    }
    for (i = 0; i < o->s->keys.count; i++)
        if ((all || strcmp(o->s->keys.v[i].person, person) == 0) && ledger_is(log_ledger(o->s->log), o->s->keys.v[i].fingerprint, "live"))
            (void)page_add(list, &bytes, file_key_view(&o->s->keys.v[i]));
    enum status st = store_rows(o->s->store, &rows, &o->err,
                                "SELECT * FROM new_key WHERE ($1 = '*' OR person = $1) AND state IN ('pending', 'approved')"
                                " ORDER BY created_ms DESC LIMIT 200", "s", person);
    json_array_foreach(rows, i, row) {
        json_t *v = view_item(o, row);
        json_object_set(v, "person", json_object_get(row, "person"));
        if (!page_add(list, &bytes, v)) {
            json_object_set_new(o->answer, "more", json_true());
            break;
        }
    }
    if (st == OK)
        json_object_set(o->answer, "keys", list);
    json_decref(rows);
    json_decref(list);
    return st;
}

/* A lost key: its owner or an operator takes it away, at once. What it signed before stands in the log, and counts no more. */
enum status op_key_remove(struct op *o)
{
    struct item it;
    enum status st = item_wanted(o, str(o->m, "id"), &it);
    if (st != OK)
        return st;
    bool own = strcmp(str(it.facts, "person"), o->who.person->name) == 0;
    if (it.kind != LEDGER_NEW_KEY || strcmp(str(it.facts, "method"), "command-line") == 0 || (!own && !is_operator(o)))
        st = refuse_op(o, ITEM_NOT_FOUND, "No key with this id is yours to remove");
    else if (!item_is(&it, "pending") && !item_is(&it, "approved"))
        st = refuse_op(o, NOT_PENDING, "It is %s", it.state);
    else if (!reason_good(str(o->m, "reason")))
        st = refuse_op(o, BAD_REASON, "A reason has 3 to 500 characters and no control characters");
    else
        st = new_key_end(o, it.id, o->who.person->name, str(o->m, "reason"));
    item_done(&it);
    return st;
}
