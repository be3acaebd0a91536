/* reconcile: the rows against the log, at start. The log was verified before; a row that says something else was edited. */
#include "authz/approvals/internal.h"

struct check {
    struct service *s;
    enum ledger_kind kind;
    const char *table, *id_name;
    size_t seen;
};

/* The leaf that made a row, next to the row: one joined query, since the whole log was proved a moment ago. */
static enum status check_row(void *arg, json_t *row, struct err *err)
{
    struct check *c = arg;
    const char *id = str(row, c->id_name);
    const struct ledger_entry *e = ledger_find(log_ledger(c->s->log), id);
    json_t *content = json_loads(str(row, "leaf_content"), JSON_REJECT_DUPLICATES, NULL);
    enum status st = OK;
    c->seen++;
    if (e == NULL || e->kind != c->kind)
        st = fail(err, CORRUPT, "table %s holds '%s', which the log does not know", c->table, id);
    else if (e->born != (uint64_t)num(row, "seq") || content == NULL || !row_agrees(row, content))
        st = fail(err, CORRUPT, "table %s: '%s' differs from leaf %llu that made it", c->table, id, (unsigned long long)e->born);
    else if (strcmp(e->state, str(row, "state")) != 0)
        st = fail(err, CORRUPT, "table %s: '%s' is '%s', but the log says '%s' since leaf %llu", c->table, id, str(row, "state"), e->state,
                  (unsigned long long)e->last);
    else if (c->kind == LEDGER_HELD && strcmp(str(row, "outcome"), e->outcome ? e->outcome : "") != 0)
        st = fail(err, CORRUPT, "table %s: the outcome of '%s' is not the logged one", c->table, id);
    else if (c->kind == LEDGER_GRANT && (num(row, "noticed") != 0) != e->noticed)
        st = fail(err, CORRUPT, "table %s: the notice of '%s' is not the logged one", c->table, id);
    json_decref(content);
    return st;
}

static enum status all_there(const struct check *c, struct err *err)
{
    size_t want = log_ledger(c->s->log)->counts[c->kind];
    return c->seen == want ? OK : fail(err, CORRUPT, "table %s has %zu rows, the log has %zu", c->table, c->seen, want);
}

/* Decisions: each row is a leaf of the right type about the same item, by the same person; and none is missing. */
static enum status check_decision(void *arg, json_t *row, struct err *err)
{
    size_t *seen = arg;
    json_t *content = json_loads(str(row, "leaf_content"), JSON_REJECT_DUPLICATES, NULL);
    const json_t *statement = json_object_get(content, "statement");
    bool same = strcmp(str(content, "item"), str(row, "item")) == 0 && strcmp(str(statement, "approver"), str(row, "person")) == 0
                && strcmp(str(statement, "requester"), str(row, "requester")) == 0
                && strcmp(str(statement, "decision"), str(row, "decision")) == 0 && strcmp(str(statement, "key"), str(row, "key")) == 0
                && strcmp(str(statement, "id"), str(row, "statement")) == 0;
    json_decref(content);
    ++*seen;
    return same ? OK : fail(err, CORRUPT, "table decision: the decision of '%s' on '%s' differs from its leaf", str(row, "person"),
                            str(row, "item"));
}

static enum status check_decisions(struct service *s, struct err *err)
{
    size_t seen = 0, want = 0;
    enum status st = store_each(s->store, check_decision, &seen, err,
                                "SELECT decision.*, leaf.content AS leaf_content FROM decision LEFT JOIN leaf ON leaf.seq = decision.seq", "");
    for (const struct ledger_entry *e = log_ledger(s->log)->entries; e != NULL; e = e->hh.next)
        want += e->decisions;
    if (st == OK && seen != want)
        st = fail(err, CORRUPT, "table decision has %zu rows, the log has %zu", seen, want);
    return st;
}

static enum status check_segment(void *arg, json_t *row, struct err *err)
{
    json_t *content = json_loads(str(row, "leaf_content"), JSON_REJECT_DUPLICATES, NULL);
    bool same = strcmp(str(content, "session"), str(row, "session")) == 0 && num(content, "number") == num(row, "number")
                && strcmp(str(content, "digest"), str(row, "digest")) == 0;
    json_decref(content);
    (void)arg;
    return same ? OK : fail(err, CORRUPT, "table segment: segment %lld of '%s' differs from its leaf", (long long)num(row, "number"),
                            str(row, "session"));
}

static enum status check_segments(struct service *s, struct err *err)
{
    return store_each(s->store, check_segment, NULL, err,
                      "SELECT segment.*, leaf.content AS leaf_content FROM segment LEFT JOIN leaf ON leaf.seq = segment.seq", "");
}

enum status reconcile(struct service *s, struct err *err)
{
    struct check request = { s, LEDGER_REQUEST, "request", "item", 0 }, held = { s, LEDGER_HELD, "held", "item", 0 };
    struct check grant = { s, LEDGER_GRANT, "access_grant", "grant_id", 0 }, lock = { s, LEDGER_LOCK, "lock", "lock_id", 0 };
    struct check new_key = { s, LEDGER_NEW_KEY, "new_key", "item", 0 };
    enum status st = store_each(s->store, check_row, &request, err,
                                "SELECT request.*, leaf.content AS leaf_content FROM request LEFT JOIN leaf ON leaf.seq = request.seq", "");
    if (st == OK)
        st = all_there(&request, err);
    if (st == OK)
        st = store_each(s->store, check_row, &held, err,
                        "SELECT held.*, leaf.content AS leaf_content FROM held LEFT JOIN leaf ON leaf.seq = held.seq", "");
    if (st == OK)
        st = all_there(&held, err);
    if (st == OK)
        st = store_each(s->store, check_row, &grant, err,
                        "SELECT access_grant.*, leaf.content AS leaf_content FROM access_grant LEFT JOIN leaf ON leaf.seq = access_grant.seq", "");
    if (st == OK)
        st = all_there(&grant, err);
    if (st == OK)
        st = store_each(s->store, check_row, &lock, err,
                        "SELECT lock.*, leaf.content AS leaf_content FROM lock LEFT JOIN leaf ON leaf.seq = lock.seq", "");
    if (st == OK)
        st = all_there(&lock, err);
    if (st == OK)
        st = store_each(s->store, check_row, &new_key, err,
                        "SELECT new_key.*, leaf.content AS leaf_content FROM new_key LEFT JOIN leaf ON leaf.seq = new_key.seq", "");
    if (st == OK)
        st = all_there(&new_key, err);
    if (st == OK)
        st = check_decisions(s, err);
    if (st == OK)
        st = check_segments(s, err);
    if (st != OK)
        err_prefix(err, "authz.db was altered: ");
    return st;
}
