/* Requests for access, and what a person sees of her own. */
#include "authz/approvals/notices.h"

#include "authz/policy.h"

#include <regex.h>

enum { AGAIN_MS = 60 * 1000 };

/* The expression was compiled when the config was loaded, so it compiles now; if not, nothing fits it. */
bool names_ticket(const struct tool *tool, const char *reason)
{
    regex_t r;
    if (tool->ticket == NULL)
        return true;
    if (regcomp(&r, tool->ticket, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    bool found = regexec(&r, reason, 0, NULL, 0) == 0;
    regfree(&r);
    return found;
}

static bool breaks_glass(const struct op *o)
{
    return strcmp(str(o->m, "basis"), BASIS_BREAK_GLASS) == 0;
}

static enum status check_request(struct op *o, const struct tool *tool, int64_t duration_s)
{
    if (json_object_get(o->m, "basis") != NULL && !breaks_glass(o))
        return refuse_op(o, BAD_REQUEST, "'basis' is '%s', or left out", BASIS_BREAK_GLASS);
    if (breaks_glass(o))
        return break_glass_check(o, tool, duration_s);
    if (!policy_may_ask(tool, o->who.person))
        return refuse_op(o, MAY_NOT_ASK, "%s is in no group that may ask for '%s'", o->who.person->name, tool->name);
    if (!reason_good(str(o->m, "reason")))
        return refuse_op(o, BAD_REASON, "A reason has 3 to 500 characters and no control characters");
    if (!names_ticket(tool, str(o->m, "reason")))
        return refuse_op(o, NO_TICKET, "For '%s' the reason must hold a ticket of the form %s", tool->name, tool->ticket);
    if (duration_s < 1 || duration_s > tool->max_duration_ms / 1000)
        return refuse_op(o, BAD_DURATION, "For '%s' at most %lld %s are allowed", tool->name,
                         (long long)(tool->max_duration_ms % 60000 == 0 ? tool->max_duration_ms / 60000 : tool->max_duration_ms / 1000),
                         tool->max_duration_ms % 60000 != 0 ? "seconds" : "minutes");
    return refuse_if_locked(o, tool->name, NULL);
}

/* What waits needs somebody it can wait for. */
static enum status check_hours(struct op *o, const struct tool *tool)
{
    struct need needs[NEEDS_AT_MAX];
    if (policy_needs_at(tool->approvers, tool->approver_count, now_s(o), needs) == 0) {
        char again[HOURS_AGAIN_MAX];
        hours_again(tool->approvers, tool->approver_count, now_s(o), again);
        return refuse_op(o, NOBODY_AT_THIS_HOUR, "The approvers of '%s' are asked at other hours only:%s", tool->name, again);
    }
    return OK;
}

static enum status count_open(struct op *o, unsigned max)
{
    json_t *row = NULL;
    enum status st = store_row(o->s->store, &row, &o->err, "SELECT count(*) AS n FROM request WHERE person = $1 AND state = 'pending'", "s",
                               o->who.person->name);
    if (st == OK && num(row, "n") >= (int64_t)max)
        st = refuse_op(o, TOO_MANY_OPEN, "%u requests of yours wait for a decision; that is the limit", max);
    json_decref(row);
    return st;
}

/* An extension is for what the grant is for: its actions are not asked anew. */
static enum status read_extension(struct op *o, const struct tool *tool, struct ask *a)
{
    struct grant g;
    const char *id = str(o->m, "extends");
    if (json_object_get(o->m, "actions") != NULL)
        return refuse_op(o, BAD_REQUEST, "An extension is for the actions of the grant that it extends");
    if (strlen(id) != ID_LEN)
        return refuse_op(o, GRANT_REQUIRED, "No live grant '%s' exists", id);
    enum status st = grant_wanted(o, id, tool->name, &g);
    if (st != OK)
        return st;
    if (g.start_s > 0) {
        grant_done(&g);
        return refuse_op(o, GRANT_REQUIRED, "This grant waits for its first use, and can be extended when it has begun");
    }
    if (basis_is_alone(g.basis)) {    /* or one rule, or one emergency, would last for ever */
        grant_done(&g);
        return refuse_op(o, GRANT_REQUIRED, "This grant came about without a second person, and cannot be extended: ask anew");
    }
    if (g.external != NULL) {
        st = refuse_op(o, GRANT_REQUIRED, "A grant of the issuer '%s' is not extended here: present a new token of theirs, or ask for access", str(g.external, "name"));
        grant_done(&g);
        return st;
    }
    memcpy(a->extends, id, sizeof a->extends);
    a->actions[0] = 0;
    for (size_t i = 0; i < json_array_size(g.actions); i++) {
        size_t n = strlen(a->actions);
        snprintf(a->actions + n, sizeof a->actions - n, "%s%s", n ? "," : "", json_string_value(json_array_get(g.actions, i)));
    }
    grant_done(&g);
    return OK;
}

static enum status read_ask(struct op *o, const struct tool *tool, struct ask *a)
{
    *a = (struct ask){ .basis = BASIS_APPROVED, .start_within_s = num(o->m, "start_within_s") };
    if (a->start_within_s > 0 && str(o->m, "extends")[0] != 0)
        return refuse_op(o, BAD_REQUEST, "What is extended has begun already");
    if (a->start_within_s > tool->start_within_ms / 1000)
        return refuse_op(o, BAD_DURATION, tool->start_within_ms > 0 ? "For '%s' the first use may be at most %lld seconds away" : "For '%s' the time of a grant begins at once",
                         tool->name, (long long)(tool->start_within_ms / 1000));
    if (str(o->m, "extends")[0] != 0)
        return read_extension(o, tool, a);
    if (!actions_from_list(tool, json_object_get(o->m, "actions"), a->actions))
        return refuse_op(o, BAD_REQUEST, "'actions' names something that '%s' does not have, that it always denies, or twice", tool->name);
    if (breaks_glass(o)) {
        a->basis = BASIS_BREAK_GLASS;
        return OK;
    }
    return auto_look(o, tool, a);
}

static enum status insert_request(struct op *o, const struct tool *tool, const struct ask *a, json_t **row_out)
{
    char id[ID_LEN + 1], session[ID_LEN + 1], policy[65];
    uint64_t seq = 0;
    new_id("req_", id);
    new_id("grt_", session);          /* the grant's id to be: so every leaf of the story carries it */
    if (a->extends[0] != 0)
        memcpy(session, a->extends, sizeof session);
    policy_hash(o->s->config, tool, policy);
    json_t *content = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:I, s:s, s:I, s:I, s:s, s:s, s:s, s:s, s:I}", "item", id, "session", session, "person",
                                o->who.person->name, "identity", o->who.identity, "x5t", o->who.x5t, "not_after",
                                (json_int_t)o->who.not_after_s, "tool", tool->name, "reason", str(o->m, "reason"), "duration_s",
                                (json_int_t)num(o->m, "duration_s"), "policy", policy, "created_ms", (json_int_t)o->now_ms,
                                "expires_ms", (json_int_t)(o->now_ms + tool->request_ttl_ms), "actions", a->actions,
                                "extends", a->extends, "basis", a->basis, "rule", a->rule ? a->rule->name : "", "start_within_s", (json_int_t)a->start_within_s);
    json_t *row = json_deep_copy(content);
    enum status st = write_leaf(o, "request.created", content, &seq);
    if (st == OK && (json_object_set_new(row, "state", json_string("pending")) != 0
                     || json_object_set_new(row, "seq", json_integer((json_int_t)seq)) != 0))
        st = fail(&o->err, NO_MEMORY, "request");
    if (st == OK)
        st = store_insert(o->s->store, "request", row, &o->err);
    if (st == OK)
        queue_item_event(o, id, "pending");
    if (st == OK)
        *row_out = row;
    else
        json_decref(row);
    return st;
}

/* A click too many is the same request: the one that waits, or the glass that was broken just now. Never further back than one can wait: a person may have asked a hundred thousand
 * times. */
static enum status same_request(struct op *o, const struct tool *tool, const struct ask *a, json_t **row)
{
    bool glass = strcmp(a->basis, BASIS_BREAK_GLASS) == 0;
    return store_row(o->s->store, row, &o->err,
                     "SELECT * FROM request WHERE person = $1 AND state = $2 AND tool = $3 AND x5t = $4 AND reason = $5 AND duration_s = $6"
                     " AND actions = $7 AND extends = $8 AND start_within_s = $9 AND basis = $10 AND created_ms > $11 ORDER BY created_ms DESC LIMIT 1", "sssssissisi",
                     o->who.person->name, glass ? "granted" : "pending", tool->name, o->who.x5t, str(o->m, "reason"), num(o->m, "duration_s"), a->actions, a->extends,
                     a->start_within_s, a->basis, o->now_ms - (glass ? AGAIN_MS : tool->request_ttl_ms));
}

/* At once, without a second person; the row is read again, as it is now. */
static enum status make_alone(struct op *o, const struct tool *tool, const struct ask *a, json_t **row)
{
    json_t *made = NULL;
    enum status st = insert_request(o, tool, a, &made);
    if (st == OK)
        st = grant_alone(o, tool, a, made);
    if (st == OK)
        st = item_row(o, str(made, "item"), row);
    json_decref(made);
    return st;
}

static enum status make_request(struct op *o, const struct tool *tool, const struct ask *a, json_t **row)
{
    if (basis_is_alone(a->basis))
        return make_alone(o, tool, a, row);
    enum status st = check_hours(o, tool);
    if (st == OK)
        st = count_open(o, o->s->config->limits.requests_per_person);
    return st == OK ? insert_request(o, tool, a, row) : st;
}

enum status op_request_create(struct op *o)
{
    json_t *row = NULL;
    struct ask a;
    const struct tool *tool = config_tool(o->s->config, slice_str(str(o->m, "tool")));
    if (tool == NULL)
        return refuse_op(o, UNKNOWN_TOOL, "The config names no such tool");
    enum status st = check_request(o, tool, num(o->m, "duration_s"));
    if (st == OK)
        st = read_ask(o, tool, &a);
    if (st != OK)
        return st;
    st = same_request(o, tool, &a, &row);
    if (st == NOT_FOUND)
        st = make_request(o, tool, &a, &row);
    if (st == OK && json_object_set_new(o->answer, "request", view_item(o, row)) != 0)
        st = fail(&o->err, NO_MEMORY, "answer");
    json_decref(row);
    return st;
}

/* ---- status ---- */

static json_t *tool_states(struct op *o, const json_t *requests, const json_t *grants)
{
    json_t *list = json_array(), *row;
    for (size_t i = 0; i < o->s->config->tool_count; i++) {
        const struct tool *t = &o->s->config->tools[i];
        const char *state = "none";
        size_t k;
        if (!policy_may_ask(t, o->who.person))
            continue;
        json_array_foreach(requests, k, row)
            if (strcmp(str(row, "tool"), t->name) == 0 && strcmp(str(row, "state"), "pending") == 0)
                state = "pending";
        json_array_foreach(grants, k, row)
            if (strcmp(str(row, "tool"), t->name) == 0)
                state = "granted";
        json_t *one = json_pack("{s:s, s:s, s:s}", "tool", t->name, "host", t->host, "state", state);
        if (one != NULL && alone_may_break_glass(t, o->who.person))
            json_object_set_new(one, "break_glass_s", json_integer((json_int_t)(t->break_glass.max_duration_ms / 1000)));
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *grants_view(struct op *o, const json_t *rows)
{
    json_t *list = json_array(), *row;
    size_t i;
    json_array_foreach(rows, i, row) {
        json_array_append_new(list, json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:b, s:o}", "start_s", (json_int_t)num(row, "start_s"), "basis", str(row, "basis"), "grant_id", str(row, "grant_id"), "tool", str(row, "tool"),
                                              "identity", str(row, "identity"), "x5t", str(row, "x5t"), "iat", (json_int_t)num(row, "iat"),
                                              "exp", (json_int_t)num(row, "exp"), "noticed", num(row, "noticed") != 0, "budget",
                                              budget_view(o, row)));
        external_show(o, str(row, "item"), str(row, "grant_id"), json_array_get(list, json_array_size(list) - 1));
    }
    return list;
}

static json_t *items_view(struct op *o, const json_t *rows, size_t *bytes)
{
    json_t *list = json_array(), *row;
    size_t i;
    json_array_foreach(rows, i, row)
        if (!page_add(list, bytes, view_item(o, row)))
            break;
    return list;
}

/* Approval keys in her name that are new: she is told, so that she can object. */
static enum status new_keys(struct op *o, json_t **out)
{
    return store_rows(o->s->store, out, &o->err,
                      "SELECT item AS id, label, key, state FROM new_key WHERE person = $1 AND state IN ('pending', 'approved') AND created_ms > $2"
                      " ORDER BY created_ms DESC LIMIT 20", "si", o->who.person->name, o->now_ms - INT64_C(7) * 86400 * 1000);
}

/* A change of the policy that waits for operators: one of them is told. */
static enum status add_policy_change(struct op *o)
{
    json_t *row = NULL;
    enum status st = is_operator(o) ? store_row(o->s->store, &row, &o->err, "SELECT item FROM policy_change WHERE state = 'pending' ORDER BY seq DESC LIMIT 1", "") : NOT_FOUND;
    if (st == OK)
        json_object_set(o->answer, "policy_change", json_object_get(row, "item"));
    json_decref(row);
    return st == NOT_FOUND ? OK : st;
}

enum status op_status(struct op *o)
{
    json_t *requests = NULL, *grants = NULL, *held = NULL, *keys = NULL, *groups = json_array();
    const struct person *p = o->who.person;
    size_t bytes = 0;
    o->only_shows = true;
    enum status st = store_rows(o->s->store, &requests, &o->err,
                                "SELECT * FROM request WHERE person = $1 AND state = 'pending' UNION"   /* two indexes, one each */
                                " SELECT * FROM request WHERE person = $1 AND created_ms > $2 ORDER BY created_ms DESC LIMIT 30", "si", p->name, o->now_ms - 24 * 3600 * 1000);
    if (st == OK)
        st = store_rows(o->s->store, &grants, &o->err,
                        "SELECT * FROM access_grant WHERE person = $1 AND state = 'live' AND exp > $2 ORDER BY iat LIMIT 100", "si", p->name,
                        now_s(o));
    if (st == OK)
        st = store_rows(o->s->store, &held, &o->err,
                        "SELECT * FROM held WHERE person = $1 AND state IN ('pending', 'approved') UNION"
                        " SELECT * FROM held WHERE person = $1 AND created_ms > $2 ORDER BY created_ms DESC LIMIT 30", "si", p->name, o->now_ms - 24 * 3600 * 1000);
    if (st == OK)
        st = new_keys(o, &keys);
    if (st == OK)
        st = add_policy_change(o);
    for (size_t i = 0; i < p->group_count; i++)
        json_array_append_new(groups, json_string(p->groups[i]));
    if (st == OK) {
        json_object_set(o->answer, "new_keys", keys);
        json_object_set_new(o->answer, "person", json_string(p->name));
        json_object_set(o->answer, "groups", groups);
        json_object_set_new(o->answer, "auditor", json_boolean(is_auditor(o)));
        json_object_set_new(o->answer, "operator", json_boolean(is_operator(o)));
        json_t *issuers = is_operator(o) || is_auditor(o) ? issuer_keys_view(o->s) : NULL;
        if (json_array_size(issuers) > 0)
            json_object_set(o->answer, "issuer_keys", issuers);
        json_decref(issuers);
        json_object_set_new(o->answer, "tools", tool_states(o, requests, grants));
        json_object_set_new(o->answer, "grants", grants_view(o, grants));
        json_object_set_new(o->answer, "requests", items_view(o, requests, &bytes));
        json_object_set_new(o->answer, "held", items_view(o, held, &bytes));
    }
    json_decref(groups);
    json_decref(keys);
    json_decref(requests);
    json_decref(grants);
    json_decref(held);
    return st;
}

/* ---- pending, item.get ---- */

/* The item as its approver sees it: in whose place she would answer, when not in her own. */
static json_t *view_for_caller(struct op *o, const struct item *it)
{
    json_t *v = view_item(o, it->row);
    bool others = it->kind != LEDGER_NEW_KEY && item_is(it, "pending") && o->who.person != it->requester && !item_may_decide_self(o, it);
    const json_t *d = v != NULL && others ? delegation_for(o, it, NULL) : NULL;
    if (d != NULL)
        json_object_set(v, "acting_for", json_object_get(d, "delegator"));
    return v;
}

/* Rows of one kind that the caller could decide and has not. */
static enum status add_decidable(struct op *o, const json_t *rows, json_t *list, size_t *bytes)
{
    json_t *row;
    size_t i;
    json_array_foreach(rows, i, row) {
        struct item it;
        if (json_array_size(list) >= 100)
            break;
        enum status st = item_load(o, str(row, "item"), &it);
        if (st != OK)
            return st == NOT_FOUND ? CORRUPT : st;
        bool fits = !item_may_decide(o, &it) || page_add(list, bytes, view_for_caller(o, &it));
        item_done(&it);
        if (!fits)
            break;
    }
    return OK;
}

enum status op_pending(struct op *o)
{
    json_t *rows = NULL, *list = json_array();
    size_t bytes = REVIEWS_BYTES;
    o->only_shows = true;
    enum status st = store_rows(o->s->store, &rows, &o->err,
                                "SELECT item FROM ("
                                "SELECT item, created_ms, person FROM request WHERE state = 'pending' UNION ALL "
                                "SELECT item, created_ms, person FROM held WHERE state = 'pending' UNION ALL "
                                "SELECT item, created_ms, person FROM policy_change WHERE state = 'pending' UNION ALL "
                                "SELECT item, created_ms, person FROM new_key WHERE state = 'pending') AS open"
                                " WHERE person <> $1 AND NOT EXISTS (SELECT 1 FROM decision WHERE decision.item = open.item AND decision.person = $1)"
                                " ORDER BY created_ms, item LIMIT 1000", "s", o->who.person->name);
    if (st == OK)
        st = add_decidable(o, rows, list, &bytes);
    if (st == OK) {
        json_object_set(o->answer, "items", list);
        json_object_set_new(o->answer, "break_glass", reviews_view(o));
    }
    json_decref(list);
    json_decref(rows);
    return st;
}

enum status op_item_get(struct op *o)
{
    struct item it;
    if (strncmp(str(o->m, "id"), "rev_", 4) == 0)
        return review_get(o, str(o->m, "id"));
    enum status st = item_wanted(o, str(o->m, "id"), &it);
    if (st != OK)
        return st;
    if (!item_may_see(o, &it))
        st = refuse_op(o, ITEM_NOT_FOUND, "Nothing with this id is yours to see");
    else if (json_object_set_new(o->answer, "item", view_for_caller(o, &it)) != 0)
        st = fail(&o->err, NO_MEMORY, "answer");
    item_done(&it);
    return st;
}
