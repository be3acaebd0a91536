/* reconcile: the rows against the log, at start. The log was verified before; a row that says something else was edited. */
#include "authz/approvals/glance.h"
#include "authz/approvals/internal.h"

#include <pthread.h>
#include <signal.h>

enum { TABLES = 8 };

struct check {
    struct service *s;
    enum ledger_kind kind;
    const char *table, *id_name;
    size_t seen;
};

/* ---- at a glance: what is plainly the same. Whatever is not is read properly below, which says what differs. ---- */

static struct slice view_text(const struct store_view *v, const char *column)
{
    struct slice text;
    return store_view_text(v, store_view_find(v, slice_str(column)), &text) ? text : (struct slice){ 0 };
}

static int64_t view_number(const struct store_view *v, const char *column)
{
    int64_t n;
    return store_view_number(v, store_view_find(v, slice_str(column)), &n) ? n : -1;
}

static bool same_value(const struct store_view *v, const struct glance_member *m)
{
    struct slice text;
    int64_t n;
    int column = store_view_find(v, m->name);
    return m->kind == GLANCE_NESTED || (m->kind == GLANCE_TEXT && store_view_text(v, column, &text) && slice_eq(text, m->value))
           || (m->kind == GLANCE_NUMBER && store_view_number(v, column, &n) && n == m->number);
}

static bool leaf_glance(const struct store_view *v, struct glance *g)
{
    return glance_read(view_text(v, "leaf_content"), g);
}

/* As check_row() below has it. */
static bool row_fits(const struct check *c, const struct store_view *v)
{
    struct glance g;
    struct slice id = view_text(v, c->id_name), token = view_text(v, "token");
    const struct ledger_entry *e = id.ptr ? ledger_find(log_ledger(c->s->log), (const char *)id.ptr) : NULL;
    if (e == NULL || e->kind != c->kind || (int64_t)e->born != view_number(v, "seq") || !slice_eq(slice_str(e->state), view_text(v, "state")) || !leaf_glance(v, &g))
        return false;
    for (size_t i = 0; i < g.count; i++)
        if (!same_value(v, &g.member[i]))
            return false;
    if ((c->kind == LEDGER_REQUEST || c->kind == LEDGER_GRANT) && glance_find(&g, SLICE("basis")) == NULL && !slice_eq(view_text(v, "basis"), SLICE(BASIS_APPROVED)))
        return false;
    if (c->kind == LEDGER_HELD)       /* a use has an outcome: few enough to read */
        return e->outcome == NULL && view_text(v, "outcome").len == 0;
    return c->kind != LEDGER_GRANT || (view_number(v, "noticed") == (e->noticed ? 1 : 0) && token.ptr != NULL && ledger_token_is(log_ledger(c->s->log), e->id, (const char *)token.ptr));
}

static bool decision_fits(const struct store_view *v)
{
    static const char *const pairs[][2] = { { "approver", "person" }, { "requester", "requester" }, { "decision", "decision" }, { "key", "key" }, { "id", "statement" } };
    struct glance g, statement;
    const struct glance_member *m = leaf_glance(v, &g) ? glance_find(&g, SLICE("statement")) : NULL;
    int64_t at = view_number(v, "at"), ms = view_number(v, "leaf_ms");
    if (m == NULL || m->kind != GLANCE_NESTED || !glance_says(&g, SLICE("item"), view_text(v, "item")) || at < 0 || ms < 0 || at != ms / 1000 || !glance_read(m->value, &statement))
        return false;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (!glance_says(&statement, slice_str(pairs[i][0]), view_text(v, pairs[i][1])))
            return false;
    return true;
}

/* ---- properly ---- */

/* The leaf that made a row, next to the row: one joined query, since the whole log was proved a moment ago. */
static enum status check_row(struct check *c, const json_t *row, struct err *err)
{
    const char *id = str(row, c->id_name);
    const struct ledger_entry *e = ledger_find(log_ledger(c->s->log), id);
    json_t *content = json_loads(str(row, "leaf_content"), JSON_REJECT_DUPLICATES, NULL);
    enum status st = OK;
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

static enum status take_row(void *arg, const struct store_view *v, struct err *err)
{
    struct check *c = arg;
    json_t *row = NULL;
    c->seen++;
    if (row_fits(c, v))
        return OK;
    enum status st = store_view_row(v, &row, err);
    if (st == OK)
        st = check_row(c, row, err);
    json_decref(row);
    return st;
}

static enum status all_there(const struct check *c, struct err *err)
{
    size_t want = log_ledger(c->s->log)->counts[c->kind];
    return c->seen == want ? OK : fail(err, CORRUPT, "table %s has %zu rows, the log has %zu", c->table, c->seen, want);
}

/* Decisions: each row is a leaf of the right type about the same item, by the same person; and none is missing. */
static enum status check_decision(const json_t *row, struct err *err)
{
    json_t *content = json_loads(str(row, "leaf_content"), JSON_REJECT_DUPLICATES, NULL);
    const json_t *statement = json_object_get(content, "statement");
    bool same = strcmp(str(content, "item"), str(row, "item")) == 0 && strcmp(str(statement, "approver"), str(row, "person")) == 0
                && strcmp(str(statement, "requester"), str(row, "requester")) == 0
                && strcmp(str(statement, "decision"), str(row, "decision")) == 0 && strcmp(str(statement, "key"), str(row, "key")) == 0
                && strcmp(str(statement, "id"), str(row, "statement")) == 0
                && num(row, "at") == num(row, "leaf_ms") / 1000;
    json_decref(content);
    return same ? OK : fail(err, CORRUPT, "table decision: the decision of '%s' on '%s' differs from its leaf", str(row, "person"),
                            str(row, "item"));
}

static enum status take_decision(void *arg, const struct store_view *v, struct err *err)
{
    json_t *row = NULL;
    (void)arg;
    if (decision_fits(v))
        return OK;
    enum status st = store_view_row(v, &row, err);
    if (st == OK)
        st = check_decision(row, err);
    json_decref(row);
    return st;
}

static bool segment_fits(const struct store_view *v)
{
    struct glance g;
    bool fits = leaf_glance(v, &g);
    for (size_t i = 0; i < SEGMENT_FACTS && fits; i++) {
        const struct glance_member *m = glance_find(&g, slice_str(segment_facts[i]));
        fits = m != NULL && m->kind != GLANCE_NESTED && same_value(v, m);
    }
    return fits;
}

static enum status take_segment(void *arg, const struct store_view *v, struct err *err)
{
    json_t *row = NULL;
    (void)arg;
    if (segment_fits(v))
        return OK;
    enum status st = store_view_row(v, &row, err);
    json_t *content = json_loads(str(row, "leaf_content"), JSON_REJECT_DUPLICATES, NULL);
    if (st == OK)
        st = check_segment(row, content, err);
    json_decref(content);
    json_decref(row);
    return st;
}

/* A table with what checks its rows. Each is joined with the leaves that made its rows. */
#define ROWS(table) "SELECT " table ".*, leaf.content AS leaf_content, leaf.time_ms AS leaf_ms FROM " table " LEFT JOIN leaf ON leaf.seq = " table ".seq WHERE " table ".seq >= $1 AND " table ".seq <= $2"

/* Rows made by leaves from..to, of what the ledger knows. */
static enum status check_tables(struct service *s, struct check *checks, uint64_t from, uint64_t to, struct err *err)
{
    static const char *const sql[] = { ROWS("request"), ROWS("held"), ROWS("access_grant"), ROWS("lock"), ROWS("new_key"), ROWS("review"), ROWS("delegation"), ROWS("policy_change") };
    enum status st = OK;
    for (size_t i = 0; i < TABLES && st == OK; i++)
        st = store_scan(s->store, take_row, &checks[i], err, sql[i], "ii", (int64_t)from, (int64_t)to);
    return st;
}

/* And of what it does not: it takes the store alone. */
static enum status check_plain_tables(struct service *s, uint64_t from, uint64_t to, struct err *err)
{
    enum status st = store_scan(s->store, take_decision, NULL, err, ROWS("decision"), "ii", (int64_t)from, (int64_t)to);
    if (st == OK)
        st = store_scan(s->store, take_segment, NULL, err, ROWS("segment"), "ii", (int64_t)from, (int64_t)to);
    return st == OK ? segments_there(s, (int64_t)from, (int64_t)to, err) : st;
}

static enum status check_plain(struct service *s, uint64_t from, struct err *err)
{
    enum status st = check_plain_tables(s, from, INT64_MAX, err);
    return st == OK ? reconcile_sessions(s, from, err) : st;
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
        st = store_scan(s->store, take_row, &checks[i], err, sql[i], "");
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
    enum status st = check_tables(s, checks, from, to, err);
    return st == OK ? check_plain_tables(s, from, to, err) : st;
}

/* ---- beside the reading of the log ---- */

struct reconcile_side {
    pthread_t thread;
    struct service s;                 /* a store, and nothing else */
    enum status st;
    struct err err;
};

static void *compare_beside(void *arg)
{
    struct reconcile_side *side = arg;
    side->st = check_plain(&side->s, 0, &side->err);
    return NULL;
}

struct reconcile_side *reconcile_beside(const char *db_path)
{
    sigset_t all, before;
    struct err err = { .text = "" };
    struct reconcile_side *side = calloc(1, sizeof *side);
    if (side == NULL || store_open_again(db_path, &side->s.store, &err) != OK) {
        free(side);
        return NULL;
    }
    sigfillset(&all);                 /* signals are for the thread that has the loop */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&side->thread, NULL, compare_beside, side);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed == 0)
        return side;
    store_close(side->s.store);
    free(side);
    return NULL;
}

static enum status side_end(struct reconcile_side *side, struct err *err)
{
    pthread_join(side->thread, NULL);
    enum status st = side->st;
    if (st != OK)
        *err = side->err;
    store_close(side->s.store);
    free(side);
    return st;
}

void reconcile_beside_stop(struct reconcile_side *side)
{
    struct err err;
    if (side == NULL)
        return;
    store_interrupt(side->s.store);
    (void)!side_end(side, &err);
}

static enum status plain_or_beside(struct service *s, uint64_t from, struct err *err)
{
    struct reconcile_side *side = s->beside;
    s->beside = NULL;
    return side ? side_end(side, err) : check_plain(s, from, err);
}

enum status reconcile(struct service *s, struct err *err)
{
    struct check checks[TABLES] = CHECKS(s);
    uint64_t from = log_remembered(s->log) ? log_remembered(s->log) + 1 : 0;
    enum status st = check_tables(s, checks, from, INT64_MAX, err);
    if (st == OK)
        st = plain_or_beside(s, from, err);
    if (st == OK)
        st = check_open(s, checks, err);
    if (st == OK)
        st = count_all(s, checks, err);
    if (st != OK)
        err_prefix(err, "authz.db was altered: ");
    return st;
}
