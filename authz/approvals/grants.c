#include "authz/approvals/internal.h"

#include "authz/budget.h"

json_t *grant_event(const json_t *row)
{
    return json_pack("{s:s, s:s, s:b}", "event", "grant", "token", str(row, "token"), "noticed", num(row, "noticed") != 0);
}

enum status grant_load(struct op *o, const char *grant_id, struct grant *out)
{
    json_t *row = NULL;
    if (!ledger_is(log_ledger(o->s->log), grant_id, "live"))
        return fail(&o->err, NOT_FOUND, "no live grant '%s'", grant_id);
    enum status st = store_row(o->s->store, &row, &o->err, "SELECT token FROM access_grant WHERE grant_id = $1", "s", grant_id);
    if (st == NOT_FOUND)
        return fail(&o->err, CORRUPT, "the log knows grant '%s', the database does not", grant_id);
    if (st != OK)
        return st;
    st = grant_verify(o->s->public_keys, o->s->config->instance, slice_str(str(row, "token")), now_s(o), out, &o->err);
    if (st == OK && (strcmp(out->grant_id, grant_id) != 0 || !ledger_token_is(log_ledger(o->s->log), grant_id, str(row, "token")))) {
        grant_done(out);
        st = BAD_TOKEN;
    }
    if (st == BAD_TOKEN)
        st = fail(&o->err, CORRUPT, "the stored token of grant '%s' is not the one that was issued", grant_id);
    json_decref(row);
    return st;
}

enum status grant_wanted(struct op *o, const char *grant_id, const char *tool, struct grant *out)
{
    enum status st = grant_load(o, grant_id, out);
    if (st == NOT_FOUND || st == EXPIRED)
        return refuse_op(o, GRANT_REQUIRED, "No live grant '%s' exists", grant_id);
    if (st != OK)
        return st;
    if (strcmp(out->x5t, o->who.x5t) == 0 && strcmp(out->identity, o->who.identity) == 0
        && strcmp(out->person, o->who.person->name) == 0 && (tool == NULL || strcmp(out->tool, tool) == 0))
        return refuse_if_locked(o, out->tool, grant_id) == OK ? OK : (grant_done(out), REFUSED);
    grant_done(out);
    return refuse_op(o, GRANT_REQUIRED, "The grant is for another certificate, person or tool");
}

/* What waits to extend a grant that has ended waits for nothing. */
static enum status end_extensions(struct op *o, const char *grant_id, const char *why)
{
    json_t *rows = NULL, *row;
    size_t i;
    enum status st = store_rows(o->s->store, &rows, &o->err, "SELECT item FROM request WHERE session = $1 AND state = 'pending' AND extends = $1", "s",
                                grant_id);
    json_array_foreach(rows, i, row)
        if (st == OK)
            st = item_end(o, str(row, "item"), grant_id, "cancelled", why);
    json_decref(rows);
    return st;
}

enum status grant_end_waiting(struct op *o, const char *grant_id, const char *why)
{
    json_t *rows = NULL, *row;
    size_t i;
    enum status st = store_rows(o->s->store, &rows, &o->err,
                                "SELECT item FROM held WHERE grant_id = $1 AND state IN ('pending', 'approved')", "s", grant_id);
    json_array_foreach(rows, i, row)
        if (st == OK)
            st = item_end(o, str(row, "item"), grant_id, "cancelled", why);
    json_decref(rows);
    return st == OK ? end_extensions(o, grant_id, why) : st;
}

enum status grant_end(struct op *o, const char *grant_id, const char *why)
{
    enum status st = store_run(o->s->store, &o->err,
                               "UPDATE access_grant SET state = 'ended', why = $1, ended_ms = $2 WHERE grant_id = $3 AND state = 'live'",
                               "sis", why, o->now_ms, grant_id);
    if (st == OK && store_changed(o->s->store) != 1)
        st = fail(&o->err, CORRUPT, "the grant '%s' is not live in the database", grant_id);
    if (st == OK)
        st = write_leaf(o, "grant.ended", json_pack("{s:s, s:s, s:s}", "grant_id", grant_id, "session", grant_id, "why", why), NULL);
    if (st == OK)
        queue_event(o, json_pack("{s:s, s:s, s:s}", "event", "grant.ended", "grant_id", grant_id, "why", why));
    return st == OK ? grant_end_waiting(o, grant_id, why) : st;
}

/* One person has one live grant a tool and certificate: a new one takes the old one's place. */
static enum status end_older(struct op *o, const json_t *facts)
{
    json_t *rows = NULL, *row;
    size_t i;
    enum status st = store_rows(o->s->store, &rows, &o->err,
                                "SELECT grant_id FROM access_grant WHERE person = $1 AND x5t = $2 AND tool = $3 AND state = 'live'", "sss",
                                str(facts, "person"), str(facts, "x5t"), str(facts, "tool"));
    json_array_foreach(rows, i, row)
        if (st == OK)
            st = grant_end(o, str(row, "grant_id"), "replaced");
    json_decref(rows);
    return st;
}

/* The same grant_id with another end: the row, and the leaf that it is compared with, are new. */
static enum status put_again(struct op *o, const json_t *row, const char *token, uint64_t seq)
{
    enum status st = store_run(o->s->store, &o->err,
                               "UPDATE access_grant SET item = $1, policy = $2, iat = $3, exp = $4, token = $5, token_sha256 = $6, seq = $7, start_s = 0"
                               " WHERE grant_id = $8 AND state = 'live'", "ssiissis", str(row, "item"), str(row, "policy"), num(row, "iat"),
                               num(row, "exp"), token, str(row, "token_sha256"), (int64_t)seq, str(row, "grant_id"));
    if (st == OK && store_changed(o->s->store) != 1)
        st = fail(&o->err, CORRUPT, "the grant '%s' is not live in the database", str(row, "grant_id"));
    json_t *now = NULL;
    if (st == OK)
        st = store_row(o->s->store, &now, &o->err, "SELECT * FROM access_grant WHERE grant_id = $1", "s", str(row, "grant_id"));
    if (st == OK)
        queue_event(o, grant_event(now));
    json_decref(now);
    return st;
}

/* type: of the leaf; "grant.issued" is a new row. item: the request that it came of. */
static enum status keep_grant(struct op *o, const char *type, const char *item, const struct grant_facts *g, const char *token)
{
    unsigned char hash[32];
    char hash_text[44];
    sha256_one(slice_str(token), hash);
    b64url_encode(slice_of(hash, sizeof hash), hash_text);
    json_t *content = json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s}", "start_s", (json_int_t)g->start_s, "grant_id", g->grant_id, "basis", g->basis, "session", g->grant_id,
                                "item", item, "person", g->person, "identity", g->identity, "x5t", g->x5t, "tool",
                                g->tool, "policy", g->policy, "iat", (json_int_t)g->iat_s, "exp", (json_int_t)g->exp_s,
                                "token_sha256", hash_text);
    json_t *row = json_deep_copy(content);
    uint64_t seq = 0;
    json_object_set(content, "approved_by", (json_t *)(uintptr_t)g->approved_by);
    if (g->external != NULL)
        json_object_set(content, "external", (json_t *)(uintptr_t)g->external);
    enum status st = write_leaf(o, type, content, &seq);
    if (strcmp(type, "grant.issued") != 0) {
        if (st == OK)
            st = put_again(o, row, token, seq);
        json_decref(row);
        return st;
    }
    if (st == OK && (json_object_set_new(row, "token", json_string(token)) != 0 || json_object_set_new(row, "noticed", json_integer(0)) != 0
                     || json_object_set_new(row, "state", json_string("live")) != 0
                     || json_object_set_new(row, "seq", json_integer((json_int_t)seq)) != 0))
        st = fail(&o->err, NO_MEMORY, "grant");
    if (st == OK)
        st = store_insert(o->s->store, "access_grant", row, &o->err);
    if (st == OK)
        queue_event(o, grant_event(row));
    json_decref(row);
    return st;
}

const char *request_basis(const json_t *facts)
{
    const char *basis = str(facts, "basis");
    return basis[0] != 0 ? basis : BASIS_APPROVED;   /* older requests have no such member */
}

enum status grant_issue_for(struct op *o, const struct item *it, const struct approvals *a)
{
    const json_t *f = it->facts;
    char jti[ID_LEN + 1], *note = NULL, *token = NULL;
    bool extends = str(f, "extends")[0] != 0;
    int64_t wait_s = num(f, "start_within_s"), exp_s = now_s(o) + (wait_s > 0 ? wait_s : a->duration_s);   /* a wait ends by itself, too */
    if (exp_s > num(f, "not_after"))
        exp_s = num(f, "not_after");
    if (exp_s <= now_s(o))
        return refuse_op(o, CERTIFICATE_EXPIRED, "The certificate that asked for this has expired");
    if (extends && !ledger_is(log_ledger(o->s->log), str(f, "extends"), "live"))
        return refuse_op(o, GRANT_REQUIRED, "The grant that this would extend has ended");
    enum status st = extends ? OK : end_older(o, f);
    if (st == OK)
        st = log_checkpoint(o->s->log, &note, &o->err);
    if (st != OK)
        return st;
    new_id("jti_", jti);
    struct grant_facts g = { o->s->config->instance, str(f, "session"), jti, str(f, "person"), str(f, "identity"), str(f, "x5t"),
                             str(f, "tool"), str(f, "reason"), str(f, "policy"), note, a->approved_by, now_s(o), exp_s, budget_claim(&it->tool->budget), actions_list(a->actions),
                             request_basis(f), wait_s > 0 ? a->duration_s : 0, a->external };
    st = g.budget && g.actions ? grant_issue(o->s->signer, &g, &token, &o->err) : fail(&o->err, NO_MEMORY, "budget");
    json_decref((json_t *)(uintptr_t)g.budget);
    json_decref((json_t *)(uintptr_t)g.actions);
    if (st == OK)
        st = item_set_state(o, it->id, "approved", "granted");
    if (st == OK)
        st = keep_grant(o, extends ? "grant.extended" : "grant.issued", str(f, "item"), &g, token);
    free(token);
    free(note);
    return st;
}

enum status grant_start(struct op *o, struct grant *g)
{
    char jti[ID_LEN + 1], *note = NULL, *token = NULL;
    int64_t exp_s = now_s(o) + g->start_s;
    json_t *row = NULL;
    if (exp_s > o->who.not_after_s)
        exp_s = o->who.not_after_s;
    enum status st = store_row(o->s->store, &row, &o->err, "SELECT item FROM access_grant WHERE grant_id = $1", "s", g->grant_id);
    if (st == OK)
        st = log_checkpoint(o->s->log, &note, &o->err);
    new_id("jti_", jti);
    struct grant_facts f = { o->s->config->instance, g->grant_id, jti, g->person, g->identity, g->x5t, g->tool, g->reason, g->policy, note, g->approved_by, now_s(o), exp_s,
                             g->budget, g->actions, g->basis, 0, g->external };
    if (st == OK)
        st = grant_issue(o->s->signer, &f, &token, &o->err);
    if (st == OK)
        st = keep_grant(o, "grant.started", str(row, "item"), &f, token);
    if (st == OK) {
        g->exp_s = exp_s;
        g->start_s = 0;
    }
    json_decref(row);
    free(token);
    free(note);
    return st;
}
