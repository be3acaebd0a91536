/* Grants of other issuers (authz/external.h): a token that a client presents for the first time is verified, and becomes a grant of ours that names it. It is admitted once: the
 * leaf `external.admitted` holds the whole token, and the ledger its name for ever, so that what ended stays ended. */
#include "authz/alone.h"
#include "authz/approvals/internal.h"

static enum status refuse_token(struct op *o, enum problem_type t, const char *why)
{
    return refuse_op(o, t, "The grant in Countersign-Grant is refused: %s.", why);
}

/* It is of use to nobody but the holder of the certificate that it names, who has the identity that it names, at its tool. */
static enum status check_presenter(struct op *o, const struct external_grant *g)
{
    if (strcmp(g->x5t, o->who.x5t) != 0)
        return refuse_token(o, GRANT_MISMATCH, "the token is bound to another certificate");
    if (strcmp(g->identity, o->who.identity) != 0)
        return refuse_token(o, GRANT_MISMATCH, "the token is for another identity than the certificate's");
    if (strcmp(g->tool, str(o->m, "tool")) != 0)
        return refuse_token(o, GRANT_MISMATCH, "the token is for another tool");
    return OK;
}

/* What holds for every grant holds for these, but for the approvers. */
static enum status check_rules(struct op *o, const struct tool *tool, const struct external_grant *g, char actions[ACTIONS_TEXT_MAX])
{
    const json_t *wanted = json_array_size(g->actions) == 1 && strcmp(json_string_value(json_array_get(g->actions, 0)), "*") == 0 ? NULL : g->actions;
    if (!policy_may_ask(tool, o->who.person))
        return refuse_op(o, MAY_NOT_ASK, "%s is in no group that may ask for '%s'", o->who.person->name, tool->name);
    if (!reason_good(g->reason))
        return refuse_token(o, GRANT_INVALID, "the token's reason has not 3 to 500 characters without control characters");
    if (!names_ticket(tool, g->reason))
        return refuse_token(o, GRANT_INVALID, "the token's reason names no ticket of the form that this tool demands");
    if (g->exp_s - g->iat_s > tool->max_duration_ms / 1000)
        return refuse_token(o, GRANT_INVALID, "the token lives longer than a grant for this tool may");
    if (!actions_from_list(tool, wanted, actions))
        return refuse_token(o, GRANT_INVALID, "the token names an action that this tool does not have, or always denies");
    return refuse_if_locked(o, tool->name, NULL);
}

static json_t *external_claim(const struct external_grant *g, struct slice token)
{
    unsigned char hash[32];
    char text[44];
    sha256_one(token, hash);
    b64url_encode(slice_of(hash, sizeof hash), text);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "name", g->issuer->name, "iss", g->issuer->iss, "jti", g->jti, "kid", g->kid, "key", g->key, "sha256", text);
}

static enum status insert(struct op *o, const char *table, json_t *row, const char *state, uint64_t seq)
{
    if (row == NULL || json_object_set_new(row, "state", json_string(state)) != 0 || json_object_set_new(row, "seq", json_integer((json_int_t)seq)) != 0)
        return fail(&o->err, NO_MEMORY, "request");
    return store_insert(o->s->store, table, row, &o->err);
}

/* The request that nobody has to decide: rows, sessions and reports find it where they find all others. Its name begins with rqx_. */
static enum status put_request(struct op *o, const struct tool *tool, const struct external_grant *g, const char *actions, json_t *external, json_t **facts_out)
{
    char id[ID_LEN + 1], session[ID_LEN + 1], policy[65];
    uint64_t seq = 0;
    new_id("rqx_", id);
    new_id("grt_", session);
    policy_hash(o->s->config, tool, policy);
    json_t *content = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:I, s:s, s:I, s:I, s:s, s:s, s:s}", "item", id, "session", session, "person",
                                o->who.person->name, "identity", o->who.identity, "x5t", o->who.x5t, "not_after", (json_int_t)o->who.not_after_s, "tool",
                                tool->name, "reason", g->reason, "duration_s", (json_int_t)(g->exp_s - now_s(o)), "policy", policy, "created_ms",
                                (json_int_t)o->now_ms, "expires_ms", (json_int_t)g->exp_s * 1000, "actions", actions, "extends", "", "basis", BASIS_EXTERNAL);
    json_t *row = json_deep_copy(content), *facts = json_deep_copy(content);
    enum status st = content != NULL && facts != NULL && json_object_set(content, "external", external) == 0 ? OK : fail(&o->err, NO_MEMORY, "request");
    if (st == OK)
        st = write_leaf(o, "request.created", json_incref(content), &seq);
    json_decref(content);
    if (st == OK)
        st = insert(o, "request", row, "pending", seq);
    json_decref(row);
    if (st == OK)
        *facts_out = facts;
    else
        json_decref(facts);
    return st;
}

static enum status log_admission(struct op *o, const json_t *facts, const struct external_grant *g, json_t *external, struct slice token)
{
    enum status st = write_leaf(o, "external.admitted",
                                json_pack("{s:s, s:s, s:s, s:O, s:s%}", "item", str(facts, "item"), "session", str(facts, "session"), "token_id", g->id, "external",
                                          external, "token", (const char *)token.ptr, token.len), NULL);
    return st == OK ? item_set_state(o, str(facts, "item"), "pending", "approved") : st;
}

/* The event that tells the workers: the asker gets it with the answer too, so that it need not wait for it. */
static enum status answer_event(struct op *o, json_t *event)
{
    return event != NULL && json_object_set(o->answer, "grant", event) == 0 ? OK : fail(&o->err, NO_MEMORY, "answer");
}

static enum status issue(struct op *o, const struct tool *tool, const struct external_grant *g, struct slice token)
{
    struct approvals a = { .approved_by = json_array(), .external = NULL, .duration_s = g->exp_s - now_s(o) };
    struct item it = { .kind = LEDGER_REQUEST, .state = "approved", .tool = tool, .requester = o->who.person };
    json_t *external = external_claim(g, token);
    enum status st = external != NULL && a.approved_by != NULL ? check_rules(o, tool, g, a.actions) : fail(&o->err, NO_MEMORY, "grant");
    if (st == OK)
        st = put_request(o, tool, g, a.actions, external, &it.facts);
    if (st == OK)
        st = log_admission(o, it.facts, g, external, token);
    if (st == OK) {
        a.external = external;
        memcpy(it.id, str(it.facts, "item"), ID_LEN + 1);
        st = grant_issue_for(o, &it, &a);
    }
    if (st == OK)
        st = answer_event(o, json_array_get(o->s->events, json_array_size(o->s->events) - 1));
    json_decref(it.facts);
    json_decref(external);
    json_decref(a.approved_by);
    return st;
}

/* Another worker asked first, or it is presented again after its end. */
static enum status admitted_before(struct op *o, const struct ledger_entry *e, struct slice token)
{
    json_t *found = NULL, *row = NULL, *event = NULL;
    if (e->kind == LEDGER_ERASED)
        return refuse_token(o, GRANT_MISMATCH, "the grant of this token has ended");
    enum status st = log_leaf(o->s->log, e->born, &found, &o->err);
    const json_t *content = json_object_get(found, "content");
    const char *session = str(content, "session");
    if (st == OK && !slice_eq(slice_str(str(content, "token")), token))
        st = refuse_token(o, GRANT_MISMATCH, "another token of this issuer with the same jti was admitted before");
    if (st == OK && !ledger_is(log_ledger(o->s->log), session, "live"))
        st = refuse_token(o, GRANT_MISMATCH, "the grant of this token has ended");
    if (st == OK)
        st = store_row(o->s->store, &row, &o->err, "SELECT * FROM access_grant WHERE grant_id = $1", "s", session);
    if (st == OK && strcmp(str(row, "x5t"), o->who.x5t) != 0)
        st = refuse_token(o, GRANT_MISMATCH, "the grant of this token was carried over to another certificate");
    if (st == OK && (event = grant_event(row)) != NULL)
        st = answer_event(o, event);
    json_decref(event);
    json_decref(row);
    json_decref(found);
    return st == NOT_FOUND ? CORRUPT : st;
}

enum status op_grant_admit(struct op *o)
{
    struct external_grant g;
    const struct issuer *unknown;
    struct err why = { .text = "" };
    struct slice token = slice_str(str(o->m, "token"));
    enum status st = external_verify(o->s->external, o->s->config->instance, token, now_s(o), &g, &why);
    if (st == BAD_TOKEN && (unknown = external_unknown_key(o->s->external, token)) != NULL && (issuer_keys_wanted(o->s, unknown) || !issuer_keys_known(o->s, unknown)))
        return refuse_op(o, ISSUER_KEYS, "The key that signed the grant in Countersign-Grant is not known, and the keys of '%s' are %s", unknown->name,
                         issuer_keys_wanted(o->s, unknown) ? "being fetched" : "not at hand: they could not be fetched of late");
    if (st == BAD_TOKEN || st == EXPIRED)
        return refuse_token(o, st == EXPIRED ? GRANT_EXPIRED : GRANT_INVALID, why.text);
    if (st != OK)
        return fail(&o->err, st, "%s", why.text);
    const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), g.id);
    const struct tool *tool = config_tool(o->s->config, slice_str(g.tool));
    st = check_presenter(o, &g);
    if (st == OK && e != NULL)
        st = admitted_before(o, e, token);
    else if (st == OK)
        st = tool ? issue(o, tool, &g, token) : refuse_op(o, UNKNOWN_TOOL, "The config names no such tool");
    external_grant_done(&g);
    return st;
}

enum status external_still(struct op *o, const json_t *row, bool *out)
{
    struct grant g;
    *out = true;
    if (strncmp(str(row, "item"), "rqx_", 4) != 0)
        return OK;
    enum status st = grant_load(o, str(row, "grant_id"), &g);
    if (st == NOT_FOUND || st == EXPIRED)
        return OK;                    /* it ends by itself */
    if (st != OK)
        return st;
    *out = g.external != NULL && external_holds(o->s->external, str(g.external, "iss"), str(g.external, "kid"), str(g.external, "key"), g.tool, g.actions);
    grant_done(&g);
    return OK;
}

enum status external_sweep(struct op *o)
{
    json_t *rows = NULL, *row;
    size_t i;
    enum status st = store_rows(o->s->store, &rows, &o->err, "SELECT * FROM access_grant WHERE state = 'live' AND item LIKE 'rqx%'", "");
    json_array_foreach(rows, i, row) {
        bool vouched = true;
        if (st == OK)
            st = external_still(o, row, &vouched);
        if (st == OK && !vouched)
            st = grant_end(o, str(row, "grant_id"), "issuer-changed");
    }
    json_decref(rows);
    return st;
}

void external_show(struct op *o, const char *item, const char *grant_id, json_t *view)
{
    const struct ledger_entry *e = strncmp(item, "rqx_", 4) == 0 ? ledger_find(log_ledger(o->s->log), grant_id) : NULL;
    json_t *found = NULL;
    struct err err;
    if (e == NULL || e->kind != LEDGER_GRANT || log_leaf_shown(o->s->log, e->born, &found, &err) != OK)
        return;
    json_object_set_new(view, "issuer", json_string(str(json_object_get(json_object_get(found, "content"), "external"), "name")));
    json_decref(found);
}
