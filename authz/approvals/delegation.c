/* Delegates: an approver lets somebody else answer in her place, for a bounded time, for some tools and kinds of answers, by a signed statement. A delegate's yes is hers: it fills
 * the place that hers would, so that nobody counts twice, and it is worth nothing where hers would be. Kept in memory from verified leaves; rows are the index. */
#include "authz/approvals/internal.h"

enum status delegations_load(struct service *s, struct err *err)
{
    json_t *list = json_array();
    const struct ledger *l = log_ledger(s->log);
    enum status st = list ? OK : fail(err, NO_MEMORY, "delegations");
    for (const struct ledger_entry *e = l->counts[LEDGER_DELEGATION] > 0 ? l->entries : NULL; e != NULL && st == OK; e = e->hh.next) {
        json_t *found = NULL;
        if (e->kind != LEDGER_DELEGATION || strcmp(e->state, "live") != 0)
            continue;
        st = log_leaf(s->log, e->born, &found, err);
        if (st == OK && json_array_append(list, json_object_get(found, "content")) != 0)
            st = fail(err, NO_MEMORY, "delegations");
        json_decref(found);
    }
    if (st != OK) {
        json_decref(list);
        return st == NOT_FOUND ? CORRUPT : st;
    }
    json_decref(s->delegations);
    s->delegations = list;
    return OK;
}

static bool decides(const struct need *needs, size_t count, const struct person *p)
{
    for (size_t i = 0; i < count; i++)
        if (person_in_group(p, needs[i].group))
            return true;
    return false;
}

/* Has this person a say at all in this kind of answers at this tool? */
static bool has_say(const struct tool *t, const char *kinds, const struct person *p)
{
    if (actions_has(kinds, "access") && decides(t->approvers, t->approver_count, p))
        return true;
    for (size_t i = 0; i < t->action_count && actions_has(kinds, "signoff"); i++)
        if (decides(t->actions[i].signoff, t->actions[i].signoff_count, p))
            return true;
    return false;
}

static bool has_any_say(const struct config *c, const char *tools, const char *kinds, const struct person *p)
{
    for (size_t i = 0; i < c->tool_count; i++)
        if (actions_has(tools, c->tools[i].name) && has_say(&c->tools[i], kinds, p))
            return true;
    return false;
}

/* Has one of the two left, or the delegator all groups that gave her a say? Changes with the config only. */
static bool has_left(const struct config *c, const json_t *d)
{
    const struct person *p = person_named(c, str(d, "delegator"));
    return p == NULL || person_named(c, str(d, "delegate")) == NULL || !has_any_say(c, str(d, "tools"), str(d, "kinds"), p);
}

/* Why it holds no longer, as far as that may change at any moment; NULL: it does. The word stands in the log. */
static const char *why_over(const struct op *o, const json_t *d)
{
    const char *delegator = str(d, "delegator");
    if (num(d, "until_s") <= now_s(o))
        return "expired";
    if (lock_on_hand(o->s, &(struct lock_subject){ .person = delegator }) != NULL)
        return "locked";
    return approval_key_of(o, delegator, str(d, "key")) == NULL ? "key-removed" : NULL;
}

static const char *kind_of(const struct item *it)
{
    return it->kind == LEDGER_REQUEST ? "access" : it->kind == LEDGER_HELD ? "signoff" : "";
}

/* Does it cover this item, and would the delegator's own yes count for it? */
static const struct person *covers(const struct op *o, const json_t *d, const struct item *it)
{
    const struct person *p = person_named(o->s->config, str(d, "delegator"));
    bool yes = kind_of(it)[0] != 0 && it->tool != NULL && actions_has(str(d, "tools"), it->tool->name) && actions_has(str(d, "kinds"), kind_of(it))
               && policy_may_approve(it->needs, it->need_count, it->requester, p);
    return yes ? p : NULL;
}

const json_t *delegation_for(const struct op *o, const struct item *it, const char *delegator)
{
    size_t i;
    json_t *d;
    json_array_foreach(o->s->delegations, i, d)
        if (strcmp(str(d, "delegate"), o->who.person->name) == 0 && (delegator == NULL || strcmp(str(d, "delegator"), delegator) == 0) && covers(o, d, it) != NULL
            && why_over(o, d) == NULL)
            return d;
    return NULL;
}

/* An answer that was given counts while its delegation was not taken back, even when its time is over meanwhile: it was given in time. */
enum status delegation_counted(struct op *o, const struct item *it, const char *id, const struct statement *s, const struct person **out)
{
    const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), id);
    const char *behalf = str(s->scope, "on_behalf_of");
    json_t *found = NULL;
    *out = NULL;
    if (e == NULL || e->kind != LEDGER_DELEGATION)
        return fail(&o->err, CORRUPT, "the log knows no delegation '%s'", id);
    enum status st = log_leaf(o->s->log, e->born, &found, &o->err);
    const json_t *d = json_object_get(found, "content");
    if (st == OK && (strcmp(str(d, "delegator"), behalf) != 0 || strcmp(str(d, "delegate"), s->approver) != 0))
        st = fail(&o->err, CORRUPT, "the delegation '%s' is between others", id);
    bool holds = st == OK && strcmp(e->state, "cancelled") != 0 && num(d, "until_s") > s->iat_s && lock_on_hand(o->s, &(struct lock_subject){ .person = behalf }) == NULL
                 && approval_key_of(o, behalf, str(d, "key")) != NULL;
    if (holds)
        *out = covers(o, d, it);
    json_decref(found);
    return st == NOT_FOUND ? CORRUPT : st;
}

/* ---- ending ---- */

static enum status end(struct op *o, const char *id, const char *why, const char *by)
{
    const char *state = strcmp(why, "expired") == 0 ? "expired" : "cancelled";
    enum status st = store_run(o->s->store, &o->err, "UPDATE delegation SET state = $1 WHERE delegation = $2 AND state = 'live'", "ss", state, id);
    if (st == OK && store_changed(o->s->store) != 1)
        st = fail(&o->err, CORRUPT, "the delegation '%s' is not live in the database", id);
    if (st == OK)
        st = write_leaf(o, "delegate.ended", json_pack("{s:s, s:s, s:s, s:s, s:s}", "delegation", id, "session", id, "state", state, "why", why, "by", by), NULL);
    o->s->delegations_stale = true;
    return st;
}

enum status delegations_sweep(struct op *o, bool new_config)
{
    size_t i;
    json_t *d;
    enum status st = OK;
    json_array_foreach(o->s->delegations, i, d) {
        const char *why = st == OK ? why_over(o, d) : NULL;
        if (st == OK && why == NULL && new_config && has_left(o->s->config, d))
            why = "left";
        if (why != NULL)
            st = end(o, str(d, "delegation"), why, "config");
    }
    return st;
}

enum status delegations_end_of(struct op *o, const char *delegator, const char *why)
{
    size_t i;
    json_t *d;
    enum status st = OK;
    json_array_foreach(o->s->delegations, i, d)
        if (st == OK && strcmp(str(d, "delegator"), delegator) == 0)
            st = end(o, str(d, "delegation"), why, "lock");
    return st;
}

/* ---- asked by people ---- */

static json_t *view(const json_t *d)
{
    json_t *tools = actions_list(str(d, "tools")), *kinds = actions_list(str(d, "kinds"));
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:I, s:I}", "id", str(d, "delegation"), "delegator", str(d, "delegator"), "delegate", str(d, "delegate"), "tools", tools, "kinds",
                     kinds, "from", (json_int_t)num(d, "from_s"), "until", (json_int_t)num(d, "until_s"));
}

enum status op_delegations(struct op *o)
{
    json_t *list = json_array(), *d;
    size_t i, bytes = 0;
    const char *me = o->who.person->name;
    json_array_foreach(o->s->delegations, i, d)
        if ((is_operator(o) || is_auditor(o) || strcmp(str(d, "delegator"), me) == 0 || strcmp(str(d, "delegate"), me) == 0) && !page_add(list, &bytes, view(d)))
            break;
    json_object_set_new(o->answer, "delegations", list);
    return OK;
}

/* A list of names as one text, each once and in the order given; false: too long, or a name twice. */
static bool join(const json_t *names, char out[ACTIONS_TEXT_MAX])
{
    size_t i, n = 0;
    json_t *each;
    out[0] = 0;
    json_array_foreach((json_t *)(uintptr_t)names, i, each) {
        const char *name = json_string_value(each);
        size_t len = strlen(name);
        if (strchr(name, ',') != NULL || (n > 0 && actions_has(out, name)) || n + len + 2 > ACTIONS_TEXT_MAX)
            return false;
        n += (size_t)snprintf(out + n, ACTIONS_TEXT_MAX - n, "%s%s", n ? "," : "", name);
    }
    return n > 0;
}

static enum status check_lists(struct op *o, const char *tools, const char *kinds)
{
    json_t *names = actions_list(tools), *all_kinds = actions_list(kinds), *each;
    size_t i;
    enum status st = OK;
    json_array_foreach(all_kinds, i, each)
        if (strcmp(json_string_value(each), "access") != 0 && strcmp(json_string_value(each), "signoff") != 0)
            st = refuse_op(o, NO_DELEGATION, "Kinds of answers are access and signoff");
    json_array_foreach(names, i, each) {
        const struct tool *t = config_tool(o->s->config, slice_str(json_string_value(each)));
        if (st != OK || strcmp(tools, "*") == 0)
            break;
        if (t == NULL)
            st = refuse_op(o, UNKNOWN_TOOL, "The config names no tool '%s'", json_string_value(each));
        else if (!has_say(t, kinds, o->who.person))
            st = refuse_op(o, NO_DELEGATION, "%s has no say at '%s' in that kind of answers, so there is nothing to hand over", o->who.person->name, t->name);
    }
    if (st == OK && !has_any_say(o->s->config, tools, kinds, o->who.person))
        st = refuse_op(o, NO_DELEGATION, "%s has no say in that kind of answers, so there is nothing to hand over", o->who.person->name);
    json_decref(names);
    json_decref(all_kinds);
    return st;
}

/* What is asked, or was signed: all of it is checked both times. */
static enum status check_terms(struct op *o, const char *delegate, const char *tools, const char *kinds, int64_t until_s)
{
    size_t i, mine = 0;
    json_t *d;
    const char *me = o->who.person->name;
    int64_t most_s = o->s->config->delegation_max_ms / 1000;
    json_array_foreach(o->s->delegations, i, d)
        mine += strcmp(str(d, "delegator"), me) == 0;
    if (most_s == 0)
        return refuse_op(o, NO_DELEGATION, "This gateway knows no delegates");
    if (strcmp(delegate, me) == 0)
        return refuse_op(o, NO_DELEGATION, "A delegate is another person");
    if (person_named(o->s->config, delegate) == NULL)
        return refuse_op(o, NO_DELEGATION, "The config lists no person '%s'", delegate);
    if (until_s <= now_s(o) || until_s > now_s(o) + most_s)
        return refuse_op(o, NO_DELEGATION, "A delegation ends, within %lld hours at the latest", (long long)(most_s / 3600));
    if (mine >= DELEGATIONS_MAX)
        return refuse_op(o, NO_DELEGATION, "%s has named %d delegates; that is the limit", me, DELEGATIONS_MAX);
    return check_lists(o, tools, kinds);
}

enum status op_delegate_statement(struct op *o)
{
    char id[ID_LEN + 1], tools[ACTIONS_TEXT_MAX], kinds[ACTIONS_TEXT_MAX];
    const char *delegate = str(o->m, "person");
    if (!join(json_object_get(o->m, "tools"), tools) || !join(json_object_get(o->m, "kinds"), kinds))
        return refuse_op(o, BAD_REQUEST, "'tools' and 'kinds' name something, each once");
    enum status st = check_terms(o, delegate, tools, kinds, num(o->m, "until"));
    if (st != OK)
        return st;
    new_id("dlg_", id);
    return order_statement(o, id, "delegate", delegate, statement_scope_delegate(id, delegate, tools, kinds, num(o->m, "until")));
}

/* What the signature says becomes a leaf and its row. */
static enum status keep(struct op *o, const struct statement *s, const json_t *object, const json_t *yes)
{
    const char *id = str(s->scope, "delegation");
    uint64_t seq = 0;
    json_t *content = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:O}", "delegation", id, "session", id, "delegator", s->approver, "delegate", str(s->scope, "delegate"),
                                "tools", str(s->scope, "tools"), "kinds", str(s->scope, "kinds"), "key", s->key, "from_s", (json_int_t)now_s(o), "until_s",
                                (json_int_t)num(s->scope, "until_s"), "statement", object);
    if (content == NULL || json_object_update(content, (json_t *)(uintptr_t)yes) != 0) {
        json_decref(content);
        return fail(&o->err, NO_MEMORY, "delegation");
    }
    json_t *row = json_deep_copy(content), *shown = view(content);
    json_object_del(row, "statement");
    json_object_del(row, "webauthn");
    enum status st = write_leaf(o, "delegate.named", content, &seq);
    if (st == OK && (json_object_set_new(row, "state", json_string("live")) != 0 || json_object_set_new(row, "seq", json_integer((json_int_t)seq)) != 0))
        st = fail(&o->err, NO_MEMORY, "delegation");
    if (st == OK)
        st = store_insert(o->s->store, "delegation", row, &o->err);
    if (st == OK)
        json_object_set(o->answer, "delegation", shown);
    json_decref(shown);
    json_decref(row);
    o->s->delegations_stale = true;
    return st;
}

enum status delegate_signed(struct op *o, const json_t *row, const json_t *object)
{
    struct statement s;
    json_t *yes = NULL;
    enum status st = order_signed(o, row, object, "delegate", &s, &yes);
    if (st == OK && (strcmp(str(s.scope, "delegation"), str(row, "item")) != 0 || strcmp(str(s.scope, "delegate"), s.requester) != 0))
        st = fail(&o->err, CORRUPT, "the stored statement '%s' is not the one that was written", s.id);
    if (st == OK)
        st = check_terms(o, str(s.scope, "delegate"), str(s.scope, "tools"), str(s.scope, "kinds"), num(s.scope, "until_s"));
    if (st == OK)
        st = keep(o, &s, object, yes);
    json_decref(yes);
    return st;
}

/* It only ever ends something, so it needs no signature: by the delegator, the delegate, or an operator. */
enum status op_delegate_withdraw(struct op *o)
{
    size_t i;
    json_t *d;
    const char *me = o->who.person->name;
    if (!reason_good(str(o->m, "reason")))
        return refuse_op(o, BAD_REASON, "A reason has 3 to 500 characters and no control characters");
    json_array_foreach(o->s->delegations, i, d)
        if (strcmp(str(d, "delegation"), str(o->m, "id")) == 0 && (is_operator(o) || strcmp(str(d, "delegator"), me) == 0 || strcmp(str(d, "delegate"), me) == 0)) {
            json_object_set_new(o->answer, "delegation", view(d));
            return end(o, str(d, "delegation"), str(o->m, "reason"), me);
        }
    return refuse_op(o, ITEM_NOT_FOUND, "No live delegation with this id is yours");
}
