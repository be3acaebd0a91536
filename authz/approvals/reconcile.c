/* reconcile: the rows against the log, at start. The log was verified before; a row that says something else was edited. */
#include "authz/approvals/internal.h"

enum { TABLES = 8 };

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
    else if ((c->kind == LEDGER_REQUEST || c->kind == LEDGER_GRANT) && json_object_get(content, "basis") == NULL && strcmp(str(row, "basis"), BASIS_APPROVED) != 0)
        st = fail(err, CORRUPT, "table %s: the basis of '%s' is not the logged one", c->table, id);   /* older leaves do not name it */
    else if (c->kind == LEDGER_HELD && strcmp(str(row, "outcome"), e->outcome ? e->outcome : "") != 0)
        st = fail(err, CORRUPT, "table %s: the outcome of '%s' is not the logged one", c->table, id);
    else if (c->kind == LEDGER_GRANT && (num(row, "noticed") != 0) != e->noticed)
        st = fail(err, CORRUPT, "table %s: the notice of '%s' is not the logged one", c->table, id);
    else if (c->kind == LEDGER_GRANT && !ledger_token_is(log_ledger(c->s->log), id, str(row, "token")))
        st = fail(err, CORRUPT, "table %s: the token of '%s' is not the newest that was issued", c->table, id);
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
                && strcmp(str(statement, "id"), str(row, "statement")) == 0
                && num(row, "at") == num(row, "leaf_ms") / 1000;
    json_decref(content);
    ++*seen;
    return same ? OK : fail(err, CORRUPT, "table decision: the decision of '%s' on '%s' differs from its leaf", str(row, "person"),
                            str(row, "item"));
}

static enum status check_segment_row(void *arg, json_t *row, struct err *err)
{
    json_t *content = json_loads(str(row, "leaf_content"), JSON_REJECT_DUPLICATES, NULL);
    enum status st = check_segment(row, content, err);
    json_decref(content);
    (void)arg;
    return st;
}

/* A table with what checks its rows. Each is joined with the leaves that made its rows. */
#define ROWS(table) "SELECT " table ".*, leaf.content AS leaf_content, leaf.time_ms AS leaf_ms FROM " table " LEFT JOIN leaf ON leaf.seq = " table ".seq WHERE " table ".seq >= $1 AND " table ".seq <= $2"

/* Rows made by leaves from..to. */
static enum status check_tables(struct service *s, struct check *checks, size_t *decisions, uint64_t from, uint64_t to, struct err *err)
{
    static const char *const sql[] = { ROWS("request"), ROWS("held"), ROWS("access_grant"), ROWS("lock"), ROWS("new_key"), ROWS("review"), ROWS("delegation"), ROWS("policy_change") };
    enum status st = OK;
    for (size_t i = 0; i < TABLES && st == OK; i++)
        st = store_each(s->store, check_row, &checks[i], err, sql[i], "ii", (int64_t)from, (int64_t)to);
    if (st == OK)
        st = store_each(s->store, check_decision, decisions, err, ROWS("decision"), "ii", (int64_t)from, (int64_t)to);
    if (st == OK)
        st = store_each(s->store, check_segment_row, NULL, err, ROWS("segment"), "ii", (int64_t)from, (int64_t)to);
    return st == OK ? segments_there(s, (int64_t)from, (int64_t)to, err) : st;
}

/* As many rows as the log knows, by counting: what was taken out of an old part is missed at once. */
static enum status count_rows(struct service *s, struct check *c, const char *sql, struct err *err)
{
    json_t *row = NULL;
    enum status st = store_row(s->store, &row, err, sql, "");
    c->seen = (size_t)num(row, "n");
    json_decref(row);
    return st == OK ? all_there(c, err) : st;
}

static enum status count_decisions(struct service *s, struct err *err)
{
    size_t want = 0;
    json_t *row = NULL;
    for (const struct ledger_entry *e = log_ledger(s->log)->entries; e != NULL; e = e->hh.next)
        want += e->decisions;
    enum status st = store_row(s->store, &row, err, "SELECT count(*) AS n FROM decision", "");
    if (st == OK && (size_t)num(row, "n") != want)
        st = fail(err, CORRUPT, "table decision has %lld rows, the log has %zu", (long long)num(row, "n"), want);
    json_decref(row);
    return st;
}

static enum status count_all(struct service *s, struct check checks[TABLES], struct err *err)
{
    static const char *const sql[] = { "SELECT count(*) AS n FROM request", "SELECT count(*) AS n FROM held", "SELECT count(*) AS n FROM access_grant",
                                       "SELECT count(*) AS n FROM lock", "SELECT count(*) AS n FROM new_key", "SELECT count(*) AS n FROM review",
                                       "SELECT count(*) AS n FROM delegation", "SELECT count(*) AS n FROM policy_change" };
    enum status st = OK;
    for (size_t i = 0; i < TABLES && st == OK; i++)
        st = count_rows(s, &checks[i], sql[i], err);
    return st == OK ? count_decisions(s, err) : st;
}

/* Whatever is open, however old: these are the rows that lists and upkeep find things by. */
static enum status check_open(struct service *s, struct check checks[TABLES], struct err *err)
{
    static const char *const sql[] = {
        "SELECT request.*, leaf.content AS leaf_content FROM request LEFT JOIN leaf ON leaf.seq = request.seq WHERE request.state IN ('pending', 'approved')",
        "SELECT held.*, leaf.content AS leaf_content FROM held LEFT JOIN leaf ON leaf.seq = held.seq WHERE held.state IN ('pending', 'approved')",
        "SELECT access_grant.*, leaf.content AS leaf_content FROM access_grant LEFT JOIN leaf ON leaf.seq = access_grant.seq WHERE access_grant.state = 'live'",
        "SELECT lock.*, leaf.content AS leaf_content FROM lock LEFT JOIN leaf ON leaf.seq = lock.seq",
        "SELECT new_key.*, leaf.content AS leaf_content FROM new_key LEFT JOIN leaf ON leaf.seq = new_key.seq WHERE new_key.state IN ('pending', 'approved')",
        "SELECT review.*, leaf.content AS leaf_content FROM review LEFT JOIN leaf ON leaf.seq = review.seq WHERE review.state IN ('pending', 'approved')",
        "SELECT delegation.*, leaf.content AS leaf_content FROM delegation LEFT JOIN leaf ON leaf.seq = delegation.seq WHERE delegation.state = 'live'",
        "SELECT policy_change.*, leaf.content AS leaf_content FROM policy_change LEFT JOIN leaf ON leaf.seq = policy_change.seq WHERE policy_change.state IN ('pending', 'approved')",
    };
    size_t open[LEDGER_KINDS] = { 0 };
    enum status st = OK;
    for (const struct ledger_entry *e = log_ledger(s->log)->entries; e != NULL; e = e->hh.next)
        if (strcmp(e->state, "pending") == 0 || strcmp(e->state, "approved") == 0 || strcmp(e->state, "live") == 0)
            open[e->kind]++;
    for (size_t i = 0; i < TABLES && st == OK; i++) {
        checks[i].seen = 0;
        st = store_each(s->store, check_row, &checks[i], err, sql[i], "");
        if (st == OK && checks[i].kind != LEDGER_LOCK && checks[i].seen != open[checks[i].kind])
            st = fail(err, CORRUPT, "table %s has %zu open rows, the log has %zu", checks[i].table, checks[i].seen, open[checks[i].kind]);
    }
    return st;
}

#define CHECKS(s)                                                                                                                                          \
    {                                                                                                                                                      \
        { s, LEDGER_REQUEST, "request", "item", 0 }, { s, LEDGER_HELD, "held", "item", 0 }, { s, LEDGER_GRANT, "access_grant", "grant_id", 0 },            \
        { s, LEDGER_LOCK, "lock", "lock_id", 0 }, { s, LEDGER_NEW_KEY, "new_key", "item", 0 },                                                             \
        { s, LEDGER_REVIEW, "review", "review", 0 }, { s, LEDGER_DELEGATION, "delegation", "delegation", 0 },                                                                                                      \
        { s, LEDGER_POLICY, "policy_change", "item", 0 },                                                                                                  \
    }

enum status reconcile_range(struct service *s, uint64_t from, uint64_t to, struct err *err)
{
    struct check checks[TABLES] = CHECKS(s);
    size_t decisions = 0;
    return check_tables(s, checks, &decisions, from, to, err);
}

enum status reconcile(struct service *s, struct err *err)
{
    struct check checks[TABLES] = CHECKS(s);
    enum status st = reconcile_range(s, log_remembered(s->log) ? log_remembered(s->log) + 1 : 0, INT64_MAX, err);
    if (st == OK)
        st = check_open(s, checks, err);
    if (st == OK)
        st = count_all(s, checks, err);
    if (st == OK)
        st = reconcile_sessions(s, log_remembered(s->log) ? log_remembered(s->log) + 1 : 0, err);
    if (st != OK)
        err_prefix(err, "authz.db was altered: ");
    return st;
}
