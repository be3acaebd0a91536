#include "authz/approvals/notices.h"

bool row_agrees(const json_t *row, const json_t *facts)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)facts, name, value)
        if (!json_is_array(value) && !json_is_object(value) && !json_equal(json_object_get(row, name), value))
            return false;
    return true;
}

static enum status altered(struct op *o, const char *id)
{
    return fail(&o->err, CORRUPT, "the row of '%s' differs from the leaf that made it", id);
}

/* Everything that matters comes from the leaf, proved by the chain; the row must agree. */
static enum status load_facts(struct op *o, const struct ledger_entry *e, struct item *it)
{
    json_t *found = NULL;
    enum status st = o->only_shows ? log_leaf_shown(o->s->log, e->born, &found, &o->err) : log_leaf(o->s->log, e->born, &found, &o->err);
    if (st != OK)
        return st == NOT_FOUND ? CORRUPT : st;
    it->facts = json_incref(json_object_get(found, "content"));
    json_decref(found);
    if (strcmp(str(it->facts, "item"), it->id) != 0 || !row_agrees(it->row, it->facts)
        || strcmp(str(it->row, "state"), e->state) != 0)
        return altered(o, it->id);
    return OK;
}

static void find_policy(struct op *o, struct item *it)
{
    it->tool = config_tool(o->s->config, slice_str(str(it->facts, "tool")));
    it->requester = person_named(o->s->config, str(it->facts, "person"));
    int64_t made_s = num(it->facts, "created_ms") / 1000;
    if (it->tool != NULL && it->kind == LEDGER_REQUEST)
        it->need_count = policy_needs_at(it->tool->approvers, it->tool->approver_count, made_s, it->needs);
    for (size_t i = 0; it->tool != NULL && it->kind == LEDGER_HELD && i < it->tool->action_count; i++)
        if (strcmp(it->tool->actions[i].name, str(it->facts, "action")) == 0) {
            it->action = &it->tool->actions[i];
            it->need_count = policy_needs_at(it->action->signoff, it->action->signoff_count, made_s, it->needs);
            break;
        }
}

enum status item_row(struct op *o, const char *id, json_t **out)
{
    return id[0] == 'r'   ? store_row(o->s->store, out, &o->err, "SELECT * FROM request WHERE item = $1", "s", id)
           : id[0] == 'h' ? store_row(o->s->store, out, &o->err, "SELECT * FROM held WHERE item = $1", "s", id)
           : id[0] == 'p' ? store_row(o->s->store, out, &o->err, "SELECT * FROM policy_change WHERE item = $1", "s", id)
                          : store_row(o->s->store, out, &o->err, "SELECT * FROM new_key WHERE item = $1", "s", id);
}

const char *item_tool(const struct item *it)
{
    return it->tool ? it->tool->name : NULL;
}

enum status item_load(struct op *o, const char *id, struct item *out)
{
    const struct ledger_entry *e = strlen(id) == ID_LEN ? ledger_find(log_ledger(o->s->log), id) : NULL;
    struct item it = { 0 };
    if (e == NULL || (e->kind != LEDGER_REQUEST && e->kind != LEDGER_HELD && e->kind != LEDGER_NEW_KEY && e->kind != LEDGER_POLICY))
        return fail(&o->err, NOT_FOUND, "There is no '%s'", id);
    it.kind = e->kind;
    it.state = e->state;
    memcpy(it.id, id, ID_LEN + 1);
    enum status st = item_row(o, id, &it.row);
    if (st == NOT_FOUND)
        st = altered(o, id);          /* the log knows it, the database forgot it */
    if (st == OK)
        st = load_facts(o, e, &it);
    if (st != OK) {
        item_done(&it);
        return st;
    }
    find_policy(o, &it);
    *out = it;
    return OK;
}

void item_done(struct item *it)
{
    json_decref(it->row);
    json_decref(it->facts);
    it->row = it->facts = NULL;
}

enum status item_wanted(struct op *o, const char *id, struct item *out)
{
    enum status st = item_load(o, id, out);
    return st == NOT_FOUND ? refuse_gone(o, id, ITEM_NOT_FOUND, "Nothing with this id is yours to see") : st;
}

bool item_is(const struct item *it, const char *state)
{
    return strcmp(it->state, state) == 0;
}

bool item_may_decide_self(const struct op *o, const struct item *it)
{
    if (it->kind == LEDGER_NEW_KEY)
        return new_key_may_decide(o, it);
    if (it->kind == LEDGER_POLICY)
        return in_force_may_decide(o);
    return it->requester != NULL && o->who.person != it->requester
           && policy_may_approve(it->needs, it->need_count, it->requester, o->who.person);
}

bool item_may_decide(const struct op *o, const struct item *it)
{
    return item_may_decide_self(o, it)
           || (it->kind != LEDGER_NEW_KEY && it->requester != NULL && o->who.person != it->requester && delegation_for(o, it, NULL) != NULL);
}

bool item_may_see(const struct op *o, const struct item *it)
{
    return strcmp(o->who.person->name, str(it->facts, "person")) == 0 || item_may_decide(o, it) || is_auditor(o) || is_operator(o)
           || escalated_to(o, it->id, o->who.person);
}

const char *item_actions(const struct item *it)
{
    const char *actions = str(it->facts, "actions");
    return actions[0] != 0 ? actions : "*";   /* older requests have no such member */
}

json_t *item_scope(const struct item *it, int64_t duration_s, const char *actions)
{
    const json_t *f = it->facts;
    if (it->kind == LEDGER_NEW_KEY)
        return statement_scope_key(str(f, "key"), str(f, "method"), str(f, "alg"), str(f, "label"));
    if (it->kind == LEDGER_POLICY)
        return statement_scope_policy(str(f, "was"), str(f, "changes"));
    if (it->kind == LEDGER_REQUEST) {
        json_t *scope = statement_scope_part(str(f, "tool"), duration_s ? duration_s : num(f, "duration_s"), str(f, "reason"), actions ? actions : item_actions(it),
                                             str(f, "extends"));
        if (scope != NULL && num(f, "start_within_s") > 0)
            json_object_set(scope, "start_within_s", json_object_get(f, "start_within_s"));
        return scope;
    }
    struct statement_request r = { str(f, "tool"), str(f, "action"), str(f, "method"), str(f, "authority"), str(f, "target"),
                                   str(f, "digest"), str(f, "body_sha256"), str(f, "reason"), num(f, "body_len") };
    return statement_scope_signoff(&r);
}

enum status item_set_state(struct op *o, const char *id, const char *from, const char *to)
{
    enum status st = id[0] == 'r'
                         ? store_run(o->s->store, &o->err, "UPDATE request SET state = $1 WHERE item = $2 AND state = $3", "sss", to, id, from)
                     : id[0] == 'h'
                         ? store_run(o->s->store, &o->err, "UPDATE held SET state = $1 WHERE item = $2 AND state = $3", "sss", to, id, from)
                     : id[0] == 'p'
                         ? store_run(o->s->store, &o->err, "UPDATE policy_change SET state = $1 WHERE item = $2 AND state = $3", "sss", to, id, from)
                         : store_run(o->s->store, &o->err, "UPDATE new_key SET state = $1 WHERE item = $2 AND state = $3", "sss", to, id, from);
    if (st == OK && store_changed(o->s->store) != 1)
        st = fail(&o->err, CORRUPT, "'%s' is not '%s' in the database", id, from);
    if (st == OK)
        queue_item_event(o, id, to);
    return st;
}

enum status item_end(struct op *o, const char *id, const char *session, const char *state, const char *why)
{
    const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), id);
    if (e == NULL)
        return fail(&o->err, CORRUPT, "the database knows '%s', the log does not", id);
    enum status st = item_set_state(o, id, e->state, state);
    if (st == OK)
        st = write_leaf(o, strcmp(state, "expired") == 0 ? "item.expired" : "item.cancelled",
                  json_pack("{s:s, s:s, s:s, s:s}", "item", id, "session", session, "state", state, "why", why), NULL);
    if (st == OK && e->kind == LEDGER_HELD)
        json_array_append_new(o->s->erase, json_string(id));
    return st;
}

/* ---- approvals ---- */

const struct approval_key *approval_key_of(const struct op *o, const char *person, const char *fingerprint)
{
    const struct approval_key *k = approval_keys_find(&o->s->keys, slice_str(fingerprint));
    const struct web_key *w = web_key_find(o->s, fingerprint);
    bool confirmed = w != NULL && w->from_s <= now_s(o) && strcmp(w->base.person, person) == 0;   /* as hers, not as anybody's */
    if (k != NULL && !confirmed && !ledger_is(log_ledger(o->s->log), fingerprint, "live"))
        return NULL;                  /* it stands in the file, and waits for another person's yes */
    if (k == NULL && confirmed && strcmp(w->method, "command-line") != 0)
        k = &w->base;
    return k != NULL && strcmp(k->person, person) == 0 && k->not_after_s > now_s(o) ? k : NULL;
}

const char *item_purpose(const struct item *it)
{
    return it->kind == LEDGER_REQUEST ? "access" : it->kind == LEDGER_HELD ? "signoff" : it->kind == LEDGER_POLICY ? "policy" : "register-key";
}

static const char *scope_actions(const json_t *scope)
{
    const char *actions = str(scope, "actions");
    return actions[0] != 0 ? actions : "*";
}

bool scope_within(const struct item *it, const json_t *scope)
{
    int64_t duration_s = num(scope, "duration_s");
    const char *actions = scope_actions(scope), *behalf = str(scope, "on_behalf_of");
    json_t *same = item_scope(it, duration_s, actions), *answer = json_object_get(scope, "answer");
    if (same != NULL && answer != NULL)   /* why not: statement_read lets only a no say it */
        json_object_set(same, "answer", answer);
    if (behalf[0] != 0)               /* whose place it fills is checked by who counts it */
        json_object_set_new(same, "on_behalf_of", json_string(behalf));
    bool within = same != NULL && json_equal(same, scope);
    json_decref(same);
    return within && (it->kind != LEDGER_REQUEST
                      || (duration_s >= 1 && duration_s <= num(it->facts, "duration_s") && actions_within(actions, item_actions(it))));
}

void approvals_narrow(struct approvals *a, const json_t *scope)
{
    int64_t duration_s = num(scope, "duration_s");
    if (a->duration_s == 0 || duration_s < a->duration_s)
        a->duration_s = duration_s;
    actions_both(a->actions, scope_actions(scope), a->actions);
}

/* Is this leaf's statement one that this item asks for? */
static bool statement_fits(const struct op *o, const struct item *it, const struct statement *s, const char *approver)
{
    return scope_within(it, s->scope) && strcmp(s->instance, o->s->config->instance) == 0
                && strcmp(s->purpose, item_purpose(it)) == 0
                && strcmp(s->decision, "approve") == 0 && strcmp(s->requester, str(it->facts, "person")) == 0
                && strcmp(s->identity, str(it->facts, "identity")) == 0 && strcmp(s->policy, str(it->facts, "policy")) == 0
                && strcmp(s->approver, approver) == 0;
}

json_t *approval_entry(const struct statement *s)
{
    const char *behalf = str(s->scope, "on_behalf_of");
    return json_pack("{s:s, s:s, s:s, s:s, s:s*}", "person", s->approver, "statement", s->id, "key", s->key, "method", s->method, "on_behalf_of", behalf[0] != 0 ? behalf : NULL);
}

/* Is whoever handed it in stopped: the person, or the identity or certificate that this yes came by? Older leaves do not say by which. */
static bool approver_locked(const struct service *s, const char *person, const json_t *content)
{
    const json_t *as = json_object_get(content, "decided_as");
    return lock_on(s, &(struct lock_subject){ .person = person, .identity = json_string_value(json_array_get(as, 0)), .x5t = json_string_value(json_array_get(as, 1)) }) != NULL;
}

/* One decision row, proved. *counts: it is an approval whose key, person and groups hold today. CORRUPT: the row is not what the log says. */
static enum status prove(struct op *o, const struct item *it, const json_t *row, const json_t *content, struct approvals *a)
{
    struct statement s;
    struct webauthn_facts facts;
    const char *person = str(row, "person");
    const json_t *object = json_object_get(content, "statement");
    if (strcmp(str(content, "item"), it->id) != 0 || statement_read(object, &s, &o->err) != OK || !statement_fits(o, it, &s, person)
        || strcmp(s.id, str(row, "statement")) != 0 || strcmp(s.key, str(row, "key")) != 0)
        return altered(o, it->id);
    const struct approval_key *key = approval_key_of(o, person, s.key);
    const struct person *approver = person_named(o->s->config, person);
    if (key == NULL || approver == NULL || approver == it->requester || approver_locked(o->s, person, content))
        return OK;                    /* was true, no longer counts */
    if (strcmp(s.method, key_method(o->s, s.key)) != 0)
        return altered(o, it->id);
    struct webauthn_party party = key_party(o->s, s.key);
    if (yes_verify(object, key->key, &party, content, &facts, &o->err) != OK)
        return fail(&o->err, CORRUPT, "the signature of %s over '%s' in the log does not hold", person, s.id);
    const char *behalf = str(s.scope, "on_behalf_of");
    const struct person *place = approver;
    enum status st = behalf[0] != 0 ? delegation_counted(o, it, str(content, "delegation"), &s, &place) : OK;
    if (st != OK || place == NULL || a->count == APPROVERS_MAX)
        return st;
    json_t *entry = approval_entry(&s);
    if (entry == NULL || json_array_append_new(a->approved_by, entry) != 0)
        return fail(&o->err, NO_MEMORY, "approvals");
    a->methods[a->count] = key_method(o->s, s.key);
    a->persons[a->count++] = place;
    approvals_narrow(a, s.scope);
    return OK;
}

enum status approvals_gather(struct op *o, const struct item *it, struct approvals *out)
{
    json_t *rows = NULL, *row;
    size_t i;
    *out = (struct approvals){ .approved_by = json_array(), .actions = "*" };
    enum status st = store_rows(o->s->store, &rows, &o->err,
                                "SELECT * FROM decision WHERE item = $1 AND decision = 'approve' ORDER BY seq", "s", it->id);
    const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), it->id);
    if (st == OK && (e == NULL || json_array_size(rows) != e->decisions))   /* a no would have ended it: all were yes */
        st = altered(o, it->id);
    json_array_foreach(rows, i, row) {
        json_t *found = NULL;
        if (st == OK)
            st = log_leaf(o->s->log, (uint64_t)num(row, "seq"), &found, &o->err);
        if (st == NOT_FOUND || (st == OK && strcmp(str(found, "type"), "approval") != 0))
            st = altered(o, it->id);
        if (st == OK)
            st = prove(o, it, row, json_object_get(found, "content"), out);
        json_decref(found);
    }
    json_decref(rows);
    if (st != OK) {
        json_decref(out->approved_by);
        out->approved_by = NULL;
    }
    return st;
}

bool approvals_enough(const struct item *it, const struct approvals *a)
{
    return it->requester != NULL && a->count > 0 && policy_needs_met_by(it->needs, it->need_count, it->requester, a->persons, a->methods, a->count);
}
