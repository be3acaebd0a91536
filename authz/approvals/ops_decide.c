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
    policy_hash(o->s->config, it->tool, hash);
    if (strcmp(hash, str(it->facts, "policy")) != 0)
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
    struct statement s = { o->s->config->instance, it->kind == LEDGER_REQUEST ? "access" : "signoff", decision, id,
                           str(it->facts, "person"), str(it->facts, "identity"), o->who.person->name, key, iat_s,
                           iat_s + STATEMENT_LIFETIME_S, str(it->facts, "policy"), scope };
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
    *out = item_scope(it, json_integer_value(duration), names ? actions : NULL);
    if (*out == NULL)
        return fail(&o->err, NO_MEMORY, "scope");
    if ((duration == NULL || json_integer_value(duration) >= 1) && scope_within(it, *out))
        return OK;
    json_decref(*out);
    return refuse_op(o, WIDER_THAN_ASKED, "It was asked for %lld seconds and the actions %s", (long long)num(it->facts, "duration_s"), item_actions(it));
}

static enum status keep_statement(struct op *o, const struct item *it, json_t **out)
{
    char nonce[NONCE_LEN + 1], id[ID_LEN + 1];
    const char *decision = str(o->m, "decision");
    random_id(16, nonce);
    statement_id(nonce, it->id, decision, id);
    json_t *scope = NULL;
    enum status st = wanted_scope(o, it, &scope);
    if (st != OK)
        return st;
    json_t *object = build_statement(o, it, decision, str(o->m, "key"), id, now_s(o), scope);
    json_decref(scope);
    st = object ? statement_keep(o, it->id, nonce, id, object) : fail(&o->err, NO_MEMORY, "statement");
    if (st == OK)
        *out = object;
    else
        json_decref(object);
    return st;
}

enum status op_statement(struct op *o)
{
    struct item it;
    json_t *object = NULL;
    const char *decision = str(o->m, "decision");
    if (strcmp(decision, "approve") != 0 && strcmp(decision, "deny") != 0)
        return refuse_op(o, BAD_REQUEST, "'decision' is 'approve' or 'deny'");
    enum status st = item_wanted(o, str(o->m, "id"), &it);
    if (st != OK)
        return st;
    st = check_decider(o, &it);
    if (st == OK)
        st = refuse_if_locked(o, it.tool->name, NULL);
    if (st == OK && approval_key_of(o, o->who.person->name, str(o->m, "key")) == NULL)
        st = refuse_op(o, KEY_NOT_REGISTERED, "No approval key with this fingerprint is registered to %s", o->who.person->name);
    if (st == OK)
        st = keep_statement(o, &it, &object);
    if (st == OK)
        json_object_set_new(o->answer, "statement", object);
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
    return same ? OK : fail(&o->err, CORRUPT, "the stored statement '%s' is not the one that was written", str(row, "id"));
}

enum status check_signature(struct op *o, const json_t *object, const struct statement *s)
{
    const struct approval_key *key = approval_key_of(o, o->who.person->name, s->key);
    if (key == NULL)
        return refuse_op(o, KEY_NOT_REGISTERED, "The key of the statement is not, or no longer, registered to %s", o->who.person->name);
    struct err why = { .text = "" };
    if (statement_verify(object, key->key, slice_str(str(o->m, "jws")), &why) != OK)
        return refuse_op(o, BAD_SIGNATURE, "%s", why.text);
    return OK;
}

/* The row, the leaf with statement and signature, and the statement consumed: one transaction. */
static enum status keep_decision(struct op *o, const struct item *it, const json_t *object, const struct statement *s, const char *state)
{
    bool yes = strcmp(s->decision, "approve") == 0;
    uint64_t seq = 0;
    enum status st = statement_consume(o, s->id);
    if (st == OK)
        st = write_leaf(o, yes ? "approval" : "denial",
                  json_pack("{s:s, s:s, s:O, s:s, s:s}", "item", it->id, "session", str(it->facts, "session"), "statement", object, "jws",
                            str(o->m, "jws"), "state", state), &seq);
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

static enum status decide_no(struct op *o, const struct item *it, const json_t *object, const struct statement *s)
{
    enum status st = keep_decision(o, it, object, s, "denied");
    if (st == OK && it->kind == LEDGER_HELD)
        json_array_append_new(o->s->erase, json_string(it->id));
    return st;
}

static enum status decide_yes(struct op *o, const struct item *it, const json_t *object, const struct statement *s)
{
    struct approvals a;
    enum status st = approvals_gather(o, it, &a);
    if (st != OK)
        return st;
    if (a.count < APPROVERS_MAX)
        a.persons[a.count++] = o->who.person;
    json_array_append_new(a.approved_by, json_pack("{s:s, s:s, s:s}", "person", s->approver, "statement", s->id, "key", s->key));
    approvals_narrow(&a, s->scope);
    bool enough = approvals_enough(it, &a);
    if (it->kind == LEDGER_REQUEST && a.actions[0] == 0)
        st = refuse_op(o, WIDER_THAN_ASKED, "The others said yes to other actions, and nothing would be left");
    if (st == OK)
        st = keep_decision(o, it, object, s, enough ? "approved" : "pending");
    if (st == OK && enough && it->kind == LEDGER_REQUEST)
        st = grant_issue_for(o, it, &a);
    json_decref(a.approved_by);
    return st;
}

/* The row as it is now, within this transaction. */
static enum status answer_item(struct op *o, const char *id)
{
    json_t *row = NULL;
    enum status st = id[0] == 'r' ? store_row(o->s->store, &row, &o->err, "SELECT * FROM request WHERE item = $1", "s", id)
                                  : store_row(o->s->store, &row, &o->err, "SELECT * FROM held WHERE item = $1", "s", id);
    if (st == OK && json_object_set_new(o->answer, "item", view_item(o, row)) != 0)
        st = fail(&o->err, NO_MEMORY, "answer");
    json_decref(row);
    return st;
}

static enum status decide_item(struct op *o, const json_t *row, const json_t *object)
{
    struct item it;
    struct statement s;
    enum status st = item_wanted(o, str(row, "item"), &it);
    if (st != OK)
        return st;
    st = check_decider(o, &it);
    if (st == OK)
        st = refuse_if_locked(o, it.tool->name, NULL);
    if (st == OK && lock_on(o->s, str(it.facts, "person"), str(it.facts, "x5t"), NULL, NULL) != NULL)
        st = refuse_op(o, LOCKED, "The requester is locked");
    if (st == OK)
        st = check_stored(o, &it, row, object, &s);
    if (st == OK)
        st = check_signature(o, object, &s);
    if (st == OK)
        st = strcmp(s.decision, "approve") == 0 ? decide_yes(o, &it, object, &s) : decide_no(o, &it, object, &s);
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
    else if (strncmp(str(row, "item"), "lck_", 4) == 0)
        st = unlock_signed(o, row, object);
    else
        st = decide_item(o, row, object);
    json_decref(object);
    json_decref(row);
    return st;
}
