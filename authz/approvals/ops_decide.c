/* Statements and decisions: a yes or no counts only as a signature by the approver's registered key over what authz wrote down. */
#include "authz/approvals/internal.h"

/* The statement's id is made of its item and decision, so that nobody with the database can move a signed yes to another item. */
void statement_id(const char *nonce, const char *item, const char *decision, char out[ID_LEN + 1])
{
    unsigned char hash[32];
    struct slice pieces[] = { SLICE("countersign-statement-id-v1\n"), slice_str(nonce), SLICE("\n"), slice_str(item), SLICE("\n"),
                              slice_str(decision) };
    sha256(pieces, sizeof pieces / sizeof *pieces, hash);
    memcpy(out, "stm_", 4);
    b64url_encode(slice_of(hash, 16), out + 4);
}

/* May the caller decide this now? */
static enum status check_decider(struct op *o, const struct item *it)
{
    char hash[65];
    json_t *row = NULL;
    if (strcmp(o->who.person->name, str(it->facts, "person")) == 0)
        return refuse_op(o, SELF_APPROVAL, "%s made this request, so another person has to decide it", o->who.person->name);
    if (!item_may_decide(o, it))
        return item_may_see(o, it) ? refuse_op(o, MAY_NOT_APPROVE, "%s is in none of the groups that decide this", o->who.person->name)
                                   : refuse_op(o, ITEM_NOT_FOUND, "Nothing with this id is yours to see");
    if (!item_is(it, "pending"))
        return refuse_op(o, NOT_PENDING, "It is %s", it->state);
    if (num(it->facts, "expires_ms") <= o->now_ms)
        return refuse_op(o, NOT_PENDING, "It has expired");
    if (it->kind == LEDGER_POLICY && in_force_check(o, it) != OK)
        return REFUSED;
    if (it->tool != NULL)             /* a new key has none */
        policy_hash(o->s->config, it->tool, hash);
    if (it->tool != NULL && strcmp(hash, str(it->facts, "policy")) != 0)
        return refuse_op(o, POLICY_CHANGED, "The rules for '%s' are not those under which this was asked", it->tool->name);
    enum status st = store_row(o->s->store, &row, &o->err, "SELECT seq FROM decision WHERE item = $1 AND person = $2", "ss", it->id,
                               o->who.person->name);
    json_decref(row);
    if (st == OK)
        return refuse_op(o, ALREADY_DECIDED, "%s has decided on this", o->who.person->name);
    return st == NOT_FOUND ? OK : st;
}

static json_t *build_statement(const struct op *o, const struct item *it, const char *decision, const char *key, const char *id,
                               int64_t iat_s, const json_t *scope)
{
    const char *policy = it->kind == LEDGER_NEW_KEY ? "none" : str(it->facts, "policy");
    struct statement s = { o->s->config->instance, item_purpose(it), decision, id, str(it->facts, "person"), str(it->facts, "identity"),
                           o->who.person->name, key, key_method(o->s, key), iat_s, iat_s + STATEMENT_LIFETIME_S, policy, scope };
    return statement_make(&s);
}

enum status statement_keep(struct op *o, const char *item, const char *nonce, const char *id, const json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    if (text == NULL)
        return fail(&o->err, NO_MEMORY, "statement");
    enum status st = store_run(o->s->store, &o->err,
                               "INSERT INTO statement (id, item, person, nonce, text, exp) VALUES ($1, $2, $3, $4, $5, $6)", "sssssi", id,
                               item, o->who.person->name, nonce, text, now_s(o) + STATEMENT_LIFETIME_S);
    free(text);
    if (st == OK)                     /* a person has 50 open statements at most; the oldest make room */
        st = store_run(o->s->store, &o->err,
                       "DELETE FROM statement WHERE person = $1 AND id NOT IN"
                       " (SELECT id FROM statement WHERE person = $1 ORDER BY exp DESC, id LIMIT 50)", "s", o->who.person->name);
    return st;
}

enum status statement_consume(struct op *o, const char *id)
{
    enum status st = store_run(o->s->store, &o->err, "DELETE FROM statement WHERE id = $1", "s", id);
    if (st == OK && store_changed(o->s->store) != 1)
        st = refuse_op(o, STATEMENT_UNKNOWN, "The statement was used already");
    return st;
}

/* What the approver would say yes to: as asked, or shorter, or for fewer actions; never more. */
static enum status wanted_scope(struct op *o, const struct item *it, json_t **out)
{
    char actions[ACTIONS_TEXT_MAX];
    const json_t *names = json_object_get(o->m, "actions"), *duration = json_object_get(o->m, "duration_s");
    bool narrows = names != NULL || duration != NULL;
    if (narrows && (it->kind != LEDGER_REQUEST || strcmp(str(o->m, "decision"), "approve") != 0))
        return refuse_op(o, BAD_REQUEST, "Only a yes to a request for access can be for less than what was asked");
    if (names != NULL && (json_array_size(names) == 0 || !actions_from_list(it->tool, names, actions)))
        return refuse_op(o, BAD_REQUEST, "'actions' names something that '%s' does not have, or twice", it->tool->name);
    const json_t *why = json_object_get(o->m, "reason");
    if (why != NULL && strcmp(str(o->m, "decision"), "deny") != 0)
        return refuse_op(o, BAD_REQUEST, "Only a no has a reason of its own");
    if (why != NULL && !reason_good(json_string_value(why)))
        return refuse_op(o, BAD_REASON, "A reason has 3 to 500 characters and no control characters");
    *out = item_scope(it, json_integer_value(duration), names ? actions : NULL);
    if (*out == NULL || (why != NULL && json_object_set_new(*out, "answer", json_string(json_string_value(why))) != 0))
        return fail(&o->err, NO_MEMORY, "scope");
    if ((duration == NULL || json_integer_value(duration) >= 1) && scope_within(it, *out))
        return OK;
    json_decref(*out);
    return refuse_op(o, WIDER_THAN_ASKED, "It was asked for %lld seconds and the actions %s", (long long)num(it->facts, "duration_s"), item_actions(it));
}

static enum status keep_statement(struct op *o, const struct item *it, const char *behalf, json_t **out)
{
    char nonce[NONCE_LEN + 1], id[ID_LEN + 1];
    const char *decision = str(o->m, "decision");
    random_id(16, nonce);
    statement_id(nonce, it->id, decision, id);
    json_t *scope = NULL;
    enum status st = wanted_scope(o, it, &scope);
    if (st != OK)
        return st;
    if (behalf != NULL)
        json_object_set_new(scope, "on_behalf_of", json_string(behalf));
    json_t *object = build_statement(o, it, decision, str(o->m, "key"), id, now_s(o), scope);
    json_decref(scope);
    st = object ? statement_keep(o, it->id, nonce, id, object) : fail(&o->err, NO_MEMORY, "statement");
    if (st == OK)
        *out = object;
    else
        json_decref(object);
    return st;
}

/* In whose place the caller answers: her own if that counts, unless she says whose. *behalf: NULL, her own; *place: the person. */
static enum status choose_place(struct op *o, const struct item *it, const json_t *asked, const char **behalf, const struct person **place)
{
    const char *name = json_string_value(asked);
    *behalf = NULL;
    *place = o->who.person;
    if (asked == NULL || name[0] == 0) {
        if (item_may_decide_self(o, it))
            return OK;
        name = NULL;
    }
    const json_t *d = it->kind != LEDGER_NEW_KEY ? delegation_for(o, it, name) : NULL;
    if (d == NULL)
        return refuse_op(o, MAY_NOT_APPROVE, name ? "%s is no delegate of '%s' for this" : "%s is in none of the groups that decide this", o->who.person->name, name ? name : "");
    *behalf = str(d, "delegator");
    *place = person_named(o->s->config, *behalf);
    return OK;
}

/* A key of the caller's that counts now, and whose way of signing counts for this. A no may be signed with any. place: whose place the yes is to fill. */
static enum status check_key(struct op *o, const struct item *it, const struct person *place, const char *key, const char *decision)
{
    const struct web_key *w = web_key_find(o->s, key);
    const char *person = o->who.person->name, *method = key_method(o->s, key);
    if (w != NULL && strcmp(w->base.person, person) == 0 && w->from_s > now_s(o))
        return refuse_op(o, KEY_TOO_NEW, "The key '%s' counts in %lld seconds", key, (long long)(w->from_s - now_s(o)));
    if (approval_key_of(o, person, key) == NULL)
        return refuse_op(o, KEY_NOT_REGISTERED, "No approval key with this fingerprint is registered to %s", person);
    if (it->kind == LEDGER_NEW_KEY || it->kind == LEDGER_POLICY || strcmp(decision, "deny") == 0
        || policy_method_counts(it->needs, it->need_count, place, method))
        return OK;
    return refuse_op(o, METHOD_REQUIRED, "The rules ask %s for another kind of signature than this key's ('%s')", person, method);
}

void answer_authenticator(struct op *o, const char *key)
{
    const struct web_key *web = web_key_find(o->s, key);
    if (web != NULL && strcmp(key_method(o->s, key), "command-line") != 0)
        json_object_set_new(o->answer, "webauthn", json_pack("{s:s, s:s}", "rp_id", o->s->config->console_host, "credential", web->credential));
}

enum status op_statement(struct op *o)
{
    struct item it;
    json_t *object = NULL;
    const char *decision = str(o->m, "decision"), *behalf = NULL;
    const struct person *place = NULL;
    if (strcmp(decision, "approve") != 0 && strcmp(decision, "deny") != 0)
        return refuse_op(o, BAD_REQUEST, "'decision' is 'approve' or 'deny'");
    enum status st = item_wanted(o, str(o->m, "id"), &it);
    if (st != OK)
        return st;
    st = check_decider(o, &it);
    if (st == OK)
        st = refuse_if_locked(o, item_tool(&it), NULL);
    if (st == OK)
        st = choose_place(o, &it, json_object_get(o->m, "on_behalf_of"), &behalf, &place);
    if (st == OK)
        st = check_key(o, &it, place, str(o->m, "key"), decision);
    if (st == OK)
        st = keep_statement(o, &it, behalf, &object);
    if (st == OK)
        json_object_set_new(o->answer, "statement", object);
    if (st == OK)
        answer_authenticator(o, str(o->m, "key"));
    item_done(&it);
    return st;
}

/* ---- decide ---- */

/* The stored statement must be exactly the one this item asks for; the database may have been edited meanwhile. */
static enum status check_stored(struct op *o, const struct item *it, const json_t *row, const json_t *object, struct statement *s)
{
    char id[ID_LEN + 1];
    if (statement_read(object, s, &o->err) != OK)
        return fail(&o->err, CORRUPT, "the stored statement '%s' is broken", str(row, "id"));
    statement_id(str(row, "nonce"), it->id, s->decision, id);
    json_t *again = build_statement(o, it, s->decision, s->key, id, s->iat_s, s->scope);
    bool same = again != NULL && scope_within(it, s->scope) && json_equal(again, object) && strcmp(id, str(row, "id")) == 0;
    json_decref(again);
    if (same && (s->iat_s > now_s(o) || s->exp_s <= now_s(o)))   /* the row's own date may have been edited */
        return refuse_op(o, STATEMENT_EXPIRED, "It was not written within the last 10 minutes");
    return same ? OK : fail(&o->err, CORRUPT, "the stored statement '%s' is not the one that was written", str(row, "id"));
}

/* {"jws": …} or {"webauthn": {…}}, as the log keeps it too. NULL: neither of the two, or both. */
static json_t *given_yes(const struct op *o)
{
    static const char *const names[] = { "client_data", "authenticator_data", "signature" };
    json_t *jws = json_object_get(o->m, "jws"), *parts = json_object();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_object_get(o->m, names[i]) != NULL)
            json_object_set(parts, names[i], json_object_get(o->m, names[i]));
    size_t n = json_object_size(parts);
    if ((jws != NULL && n == 0) || (jws == NULL && n == 3))
        return jws ? (json_decref(parts), json_pack("{s:O}", "jws", jws)) : json_pack("{s:o}", "webauthn", parts);
    json_decref(parts);
    return NULL;
}

/* A copied authenticator shows itself by a counter that does not grow. */
static enum status check_count(struct op *o, const struct web_key *w, const struct webauthn_facts *facts, json_t *yes)
{
    if (w == NULL)
        return OK;
    json_object_set_new(yes, "key_item", json_string(w->item));
    if (strcmp(w->method, "command-line") == 0)
        return OK;
    const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), w->item);
    if (e == NULL || !webauthn_count_ok(e->count, facts->count)) {
        log_warn("key.counter", "key", w->base.fingerprint, "person", w->base.person, "why", "its counter did not grow");
        return refuse_op(o, BAD_SIGNATURE, "The counter of this key did not grow (%u after %u): it may have been copied. Have it removed",
                         (unsigned)facts->count, e ? (unsigned)e->count : 0);
    }
    json_object_set_new(yes, "sign_count", json_integer(facts->count));
    return OK;
}

/* *yes_out: what the log keeps of the signature; the caller's. */
enum status check_signature(struct op *o, const json_t *object, const struct statement *s, json_t **yes_out)
{
    const struct approval_key *key = approval_key_of(o, o->who.person->name, s->key);   /* it is there: decide_item looked */
    struct err why = { .text = "" };
    struct webauthn_facts facts;
    struct webauthn_party party = key_party(o->s, s->key);
    json_t *yes = given_yes(o);
    if (yes == NULL)
        return refuse_op(o, BAD_REQUEST, "A decision has either 'jws', or 'client_data', 'authenticator_data' and 'signature'");
    enum status st = yes_verify(object, key->key, &party, yes, &facts, &why);
    st = st == OK ? check_count(o, web_key_find(o->s, s->key), &facts, yes) : refuse_op(o, BAD_SIGNATURE, "%s", why.text);
    if (st == OK)
        *yes_out = yes;
    else
        json_decref(yes);
    return st;
}

/* The row, the leaf with statement and signature, and the statement consumed: one transaction. */
static enum status keep_decision(struct op *o, const struct item *it, const json_t *object, const struct statement *s, json_t *yes,
                                 const char *state)
{
    bool approves = strcmp(s->decision, "approve") == 0;
    uint64_t seq = 0;
    enum status st = statement_consume(o, s->id);
    json_t *content = json_pack("{s:s, s:s, s:O, s:s}", "item", it->id, "session", str(it->facts, "session"), "statement", object, "state", state);
    json_t *hand = json_pack("[s, s]", o->who.identity, o->who.x5t);   /* a lock on either takes this yes away while it holds */
    if (hand == NULL || json_object_set_new(content, "decided_as", hand) != 0 || json_object_update(content, yes) != 0)
        st = st == OK ? fail(&o->err, NO_MEMORY, "decision") : st;
    if (st == OK)
        st = write_leaf(o, approves ? "approval" : "denial", json_incref(content), &seq);
    json_decref(content);
    if (st == OK)
        st = store_run(o->s->store, &o->err,
                       "INSERT INTO decision (item, person, requester, decision, at, key, statement, seq)"
                       " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)", "ssssissi", it->id, s->approver, s->requester, s->decision, now_s(o),
                       s->key, s->id, (int64_t)seq);
    if (st == OK && strcmp(state, "pending") != 0)
        st = item_set_state(o, it->id, "pending", state);
    else if (st == OK)
        queue_item_event(o, it->id, "pending");
    return st;
}

static enum status decide_no(struct op *o, const struct item *it, const json_t *object, const struct statement *s, json_t *yes)
{
    enum status st = keep_decision(o, it, object, s, yes, "denied");
    if (st == OK && it->kind == LEDGER_HELD)
        json_array_append_new(o->s->erase, json_string(it->id));
    return st;
}

/* One other person's yes is what a new key needs. Its owner is told, with the date from which it counts. */
static enum status confirm_key(struct op *o, const struct item *it, const json_t *object, const struct statement *s, json_t *yes)
{
    int64_t from_s = now_s(o) + o->s->config->key_delay_ms / 1000;
    json_object_set_new(yes, "counts_from", json_integer((json_int_t)from_s));
    o->s->web_keys_stale = true;
    enum status st = keep_decision(o, it, object, s, yes, "approved");
    if (st == OK)
        st = write_leaf(o, "key.notice", json_pack("{s:s, s:s, s:s, s:s, s:I}", "item", it->id, "session", it->id, "person", str(it->facts, "person"),
                                                   "by", s->approver, "counts_from", (json_int_t)from_s), NULL);
    return st;
}

/* Whose place the signed answer fills, checked again: the delegation may have ended since the statement was written. The leaf names it. */
static enum status check_place(struct op *o, const struct item *it, const struct statement *s, json_t *yes, const struct person **place)
{
    const char *behalf = str(s->scope, "on_behalf_of");
    *place = o->who.person;
    if (behalf[0] == 0)
        return item_may_decide_self(o, it) ? OK : refuse_op(o, MAY_NOT_APPROVE, "%s is in none of the groups that decide this", o->who.person->name);
    const json_t *d = delegation_for(o, it, behalf);
    if (d == NULL)
        return refuse_op(o, MAY_NOT_APPROVE, "%s is no delegate of '%s' for this, or no longer", o->who.person->name, behalf);
    *place = person_named(o->s->config, behalf);
    return json_object_set(yes, "delegation", json_object_get(d, "delegation")) == 0 ? OK : fail(&o->err, NO_MEMORY, "decision");
}

static enum status decide_yes(struct op *o, const struct item *it, const struct person *place, const json_t *object, const struct statement *s, json_t *yes)
{
    struct approvals a;
    enum status st = approvals_gather(o, it, &a);
    if (st != OK)
        return st;
    if (a.count < APPROVERS_MAX) {
        a.methods[a.count] = s->method;
        a.persons[a.count++] = place;
    }
    json_array_append_new(a.approved_by, approval_entry(s));
    approvals_narrow(&a, s->scope);
    bool enough = it->kind == LEDGER_POLICY ? in_force_enough(o, &a) : approvals_enough(it, &a);
    if (it->kind == LEDGER_REQUEST && a.actions[0] == 0)
        st = refuse_op(o, WIDER_THAN_ASKED, "The others said yes to other actions, and nothing would be left");
    if (st == OK)
        st = keep_decision(o, it, object, s, yes, enough ? "approved" : "pending");
    if (st == OK && enough && it->kind == LEDGER_REQUEST)
        st = grant_issue_for(o, it, &a);
    if (st == OK && enough && it->kind == LEDGER_POLICY)
        st = in_force_approved(o, it);
    json_decref(a.approved_by);
    return st;
}

/* The row as it is now, within this transaction. */
static enum status answer_item(struct op *o, const char *id)
{
    json_t *row = NULL;
    enum status st = item_row(o, id, &row);
    if (st == OK && json_object_set_new(o->answer, "item", view_item(o, row)) != 0)
        st = fail(&o->err, NO_MEMORY, "answer");
    json_decref(row);
    return st;
}

static enum status decide_item(struct op *o, const json_t *row, const json_t *object)
{
    struct item it;
    struct statement s;
    json_t *yes = NULL;
    enum status st = item_wanted(o, str(row, "item"), &it);
    if (st != OK)
        return st;
    st = check_decider(o, &it);
    if (st == OK)
        st = refuse_if_locked(o, item_tool(&it), NULL);
    if (st == OK && lock_on(o->s, &(struct lock_subject){ .person = str(it.facts, "person"), .identity = str(it.facts, "identity"), .x5t = str(it.facts, "x5t") }) != NULL)
        st = refuse_op(o, LOCKED, "The requester is locked");
    if (st == OK && approval_key_of(o, o->who.person->name, str(object, "key")) == NULL)
        st = refuse_op(o, KEY_NOT_REGISTERED, "The key of the statement is not, or no longer, registered to %s", o->who.person->name);
    if (st == OK)
        st = check_stored(o, &it, row, object, &s);
    if (st == OK)
        st = check_signature(o, object, &s, &yes);
    const struct person *place = NULL;
    if (st == OK)
        st = check_place(o, &it, &s, yes, &place);
    if (st == OK)
        st = strcmp(s.decision, "approve") != 0 ? decide_no(o, &it, object, &s, yes)
             : it.kind == LEDGER_NEW_KEY        ? confirm_key(o, &it, object, &s, yes)
                                                : decide_yes(o, &it, place, object, &s, yes);
    json_decref(yes);
    if (st == OK)
        st = answer_item(o, it.id);
    item_done(&it);
    return st;
}

enum status op_decide(struct op *o)
{
    json_t *row = NULL;
    enum status st = store_row(o->s->store, &row, &o->err, "SELECT * FROM statement WHERE id = $1", "s", str(o->m, "statement_id"));
    if (st == NOT_FOUND)
        return refuse_op(o, STATEMENT_UNKNOWN, "No open statement has this id");
    if (st != OK)
        return st;
    json_t *object = json_loads(str(row, "text"), JSON_REJECT_DUPLICATES, NULL);
    if (strcmp(str(row, "person"), o->who.person->name) != 0)
        st = refuse_op(o, STATEMENT_UNKNOWN, "No open statement of yours has this id");
    else if (num(row, "exp") <= now_s(o))
        st = refuse_op(o, STATEMENT_EXPIRED, "It was written more than 10 minutes ago");
    else if (object == NULL)
        st = fail(&o->err, CORRUPT, "the stored statement is no JSON");
    else if (strcmp(str(row, "item"), CARRY_ITEM) == 0)
        st = refuse_op(o, STATEMENT_UNKNOWN, "This statement is signed with a former certificate's key, and decides nothing");
    else if (strncmp(str(row, "item"), "lck_", 4) == 0)
        st = unlock_signed(o, row, object);
    else if (strncmp(str(row, "item"), "rev_", 4) == 0)
        st = review_signed(o, row, object);
    else if (strncmp(str(row, "item"), "dlg_", 4) == 0)
        st = delegate_signed(o, row, object);
    else
        st = decide_item(o, row, object);
    json_decref(object);
    json_decref(row);
    return st;
}
