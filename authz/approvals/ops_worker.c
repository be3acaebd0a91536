/* What the proxy's own workers ask, rather than people: hello, assertions, notices, outcomes. */
#include "authz/approvals/internal.h"

static enum status add_snapshot(struct op *o)
{
    json_t *rows = NULL, *row, *lock;
    size_t i;
    o->after = json_array();
    enum status st = store_rows(o->s->store, &rows, &o->err, "SELECT * FROM access_grant WHERE state = 'live' AND exp > $1", "i", now_s(o));
    json_array_foreach(rows, i, row)
        if (!ledger_token_is(log_ledger(o->s->log), str(row, "grant_id"), str(row, "token")))
            log_error("records.altered", "grant", str(row, "grant_id"), "why", "its token is not the newest that was issued; it is given to no worker");
        else if (ledger_is(log_ledger(o->s->log), str(row, "grant_id"), "live"))
            json_array_append_new(o->after, grant_event(row));
    json_array_foreach(o->s->locks, i, lock)
        json_array_append_new(o->after, json_pack("{s:s, s:{s:s, s:s, s:s, s:s}}", "event", "lock", "lock", "id", str(lock, "id"), "kind",
                                                  str(lock, "kind"), "value", str(lock, "value"), "reason", str(lock, "reason")));
    json_array_append_new(o->after, json_pack("{s:s}", "event", "synced"));
    json_decref(rows);
    return st;
}

enum status op_hello(struct op *o)
{
    const char *role = str(o->m, "role");
    char key[44];
    enum role is = strcmp(role, "worker") == 0 ? ROLE_WORKER : strcmp(role, "recorder") == 0 ? ROLE_RECORDER : strcmp(role, "courier") == 0 ? ROLE_COURIER : ROLE_NONE;
    if (is == ROLE_NONE)
        return refuse_op(o, BAD_REQUEST, "'role' is worker, recorder or courier");
    if (is == ROLE_COURIER && o->s->courier != 0)   /* whoever else said so would take notices that nobody then gets */
        return refuse_op(o, BAD_REQUEST, "There is a courier already");
    b64url_encode(slice_of(log_public_key(o->s->log), 32), key);
    json_object_set_new(o->answer, "instance", json_string(o->s->config->instance));
    json_object_set(o->answer, "jwks", o->s->jwks);
    json_object_set_new(o->answer, "log_key", json_string(key));
    if (o->s->in_force[0] != 0)
        json_object_set_new(o->answer, "policy", json_string(o->s->in_force));
    enum status st = is == ROLE_WORKER ? add_snapshot(o) : OK;
    if (st == OK)
        o->peer->role = is;
    if (st == OK && is == ROLE_COURIER)
        o->s->courier = o->peer->id;
    if (st == OK && is == ROLE_RECORDER)
        o->s->recorders++;
    return st;
}

enum status op_assertion(struct op *o)
{
    struct grant g;
    char jti[ID_LEN + 1], *token = NULL;
    enum status st = grant_wanted(o, str(o->m, "grant_id"), str(o->m, "tool"), &g);
    if (st != OK)
        return st;
    if (g.start_s > 0)                /* nothing is forwarded without an assertion, so this is the first use */
        st = grant_start(o, &g);
    if (st != OK) {
        grant_done(&g);
        return st;
    }
    int64_t exp = now_s(o) + ASSERTION_S < g.exp_s ? now_s(o) + ASSERTION_S : g.exp_s;
    json_t *groups = json_array();
    for (size_t i = 0; i < o->who.person->group_count; i++)
        json_array_append_new(groups, json_string(o->who.person->groups[i]));
    new_id("jti_", jti);
    json_t *claims = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:s, s:s, s:I, s:I, s:I}", "iss", o->s->config->instance, "aud", g.tool, "use",
                               "assertion", "sub", g.identity, "person", g.person, "groups", groups, "grant_id", g.grant_id, "jti", jti,
                               "iat", (json_int_t)now_s(o), "nbf", (json_int_t)now_s(o), "exp", (json_int_t)exp);
    st = claims ? jwt_sign(o->s->signer, claims, &token, &o->err) : fail(&o->err, NO_MEMORY, "assertion");
    if (st == OK) {
        json_object_set_new(o->answer, "token", json_string(token));
        json_object_set_new(o->answer, "exp", json_integer((json_int_t)exp));
    }
    free(token);
    json_decref(claims);
    grant_done(&g);
    return st;
}

enum status op_notice_ack(struct op *o)
{
    struct grant g;
    json_t *row = NULL;
    const char *id = str(o->m, "grant_id");
    enum status st = grant_wanted(o, id, NULL, &g);
    if (st != OK)
        return st;
    grant_done(&g);
    if (ledger_find(log_ledger(o->s->log), id)->noticed)
        return OK;
    st = write_leaf(o, "notice.acknowledged", json_pack("{s:s, s:s, s:s}", "grant_id", id, "session", id, "identity", o->who.identity), NULL);
    if (st == OK)
        st = store_run(o->s->store, &o->err, "UPDATE access_grant SET noticed = 1 WHERE grant_id = $1 AND state = 'live'", "s", id);
    if (st == OK)
        st = store_row(o->s->store, &row, &o->err, "SELECT * FROM access_grant WHERE grant_id = $1", "s", id);
    if (st == OK)
        queue_event(o, grant_event(row));
    json_decref(row);
    return st;
}

enum status op_outcome(struct op *o)
{
    const char *id = str(o->m, "id"), *outcome = str(o->m, "outcome");
    const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), id);
    const json_t *runner = json_object_get(o->s->running, id);
    bool unknown = e != NULL && e->outcome != NULL && strcmp(e->outcome, "outcome-unknown") == 0;
    if (strcmp(outcome, "not-sent") != 0 && strcmp(outcome, "answered") != 0 && strcmp(outcome, "outcome-unknown") != 0)
        return refuse_op(o, BAD_REQUEST, "'outcome' is not-sent, answered or outcome-unknown");
    if (e == NULL || e->kind != LEDGER_HELD || strcmp(e->state, "used") != 0 || (e->outcome != NULL && !unknown))
        return refuse_op(o, OUTCOME_KNOWN, "'%s' is not waiting for an outcome", id);
    if (unknown && strcmp(outcome, "outcome-unknown") == 0)
        return OK;
    if (!unknown && (uint64_t)json_integer_value(runner) != o->peer->id)
        return refuse_op(o, OUTCOME_KNOWN, "'%s' runs on another connection", id);
    enum status st = outcome_write(o, id, outcome, num(o->m, "status"));
    if (st == OK)
        json_object_del(o->s->running, id);
    return st;
}
