/* Reviews: each use of break-glass is owed one, by somebody else, signed. They are kept in memory until done, from verified leaves; rows are the index. */
#include "authz/approvals/internal.h"

#define JUSTIFIED "justified"
#define NOT_JUSTIFIED "not-justified"

enum status reviews_load(struct service *s, struct err *err)
{
    json_t *list = json_array();
    enum status st = list ? OK : fail(err, NO_MEMORY, "reviews");
    const struct ledger *l = log_ledger(s->log);
    for (const struct ledger_entry *e = l->counts[LEDGER_REVIEW] > 0 ? l->entries : NULL; e != NULL && st == OK; e = e->hh.next) {
        json_t *found = NULL;
        if (e->kind != LEDGER_REVIEW || strcmp(e->state, "pending") != 0)
            continue;
        st = log_leaf(s->log, e->born, &found, err);
        if (st == OK && json_array_append(list, json_object_get(found, "content")) != 0)
            st = fail(err, NO_MEMORY, "reviews");
        json_decref(found);
    }
    if (st != OK) {
        json_decref(list);
        return st == NOT_FOUND ? CORRUPT : st;
    }
    json_decref(s->reviews);
    s->reviews = list;
    return OK;
}

bool review_overdue(const struct service *s, const char *person, int64_t now_ms)
{
    size_t i;
    json_t *r;
    json_array_foreach(s->reviews, i, r)
        if (strcmp(str(r, "person"), person) == 0 && num(r, "due_ms") <= now_ms)
            return true;
    return false;
}

enum status reviews_remind(struct op *o)
{
    enum status st = OK;
    size_t i;
    json_t *r;
    json_array_foreach(o->s->reviews, i, r) {
        const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), str(r, "review"));
        if (st != OK || e == NULL || e->noticed || strcmp(e->state, "pending") != 0 || num(r, "due_ms") > o->now_ms)
            continue;
        log_warn("review.overdue", "person", str(r, "person"), "tool", str(r, "tool"), "review", str(r, "review"));
        st = write_leaf(o, "review.overdue", json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I}", "review", str(r, "review"), "session", str(r, "session"), "item", str(r, "item"), "person",
                                                       str(r, "person"), "tool", str(r, "tool"), "reason", str(r, "reason"), "due_ms", (json_int_t)num(r, "due_ms")), NULL);
    }
    return st;
}

unsigned reviews_owed(const struct service *s, const char *person)
{
    size_t i;
    json_t *r;
    unsigned n = 0;
    json_array_foreach(s->reviews, i, r)
        n += strcmp(str(r, "person"), person) == 0;
    return n;
}

static const json_t *open_review(const struct service *s, const char *id)
{
    size_t i;
    json_t *r;
    json_array_foreach(s->reviews, i, r)
        if (strcmp(str(r, "review"), id) == 0)
            return r;
    return NULL;
}

static const struct tool *tool_of(const struct op *o, const json_t *facts)
{
    return config_tool(o->s->config, slice_str(str(facts, "tool")));
}

static bool may_see(const struct op *o, const json_t *facts)
{
    const struct tool *tool = tool_of(o, facts);
    return strcmp(str(facts, "person"), o->who.person->name) == 0 || alone_concerns(o->s->config, tool, o->who.person)
           || alone_may_review(o->s->config, tool, str(facts, "person"), o->who.person);
}

/* ---- what people see ---- */

/* With what the reviewer said, once it is done. */
static json_t *view(struct op *o, const json_t *facts)
{
    const char *id = str(facts, "review");
    const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), id);
    bool open = e == NULL || strcmp(e->state, "pending") == 0, live = ledger_is(log_ledger(o->s->log), str(facts, "session"), "live");
    json_t *v = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:b, s:b, s:b, s:b, s:o, s:o}", "id", id, "kind", "review", "state", open ? "pending" : "reviewed",
                          "requester", str(facts, "person"), "identity", str(facts, "identity"), "tool", str(facts, "tool"), "reason", str(facts, "reason"), "grant_id",
                          str(facts, "session"), "request", str(facts, "item"), "created", (json_int_t)(num(facts, "created_ms") / 1000), "expires",
                          (json_int_t)(num(facts, "due_ms") / 1000), "overdue", open && num(facts, "due_ms") <= o->now_ms, "live",
                          live, "yours", open && alone_may_review(o->s->config, tool_of(o, facts), str(facts, "person"), o->who.person),
                          "may_stop", live && alone_may_stop(o->s->config, tool_of(o, facts), o->who.person), "needs", json_array(), "decisions", json_array());
    json_t *done = NULL;
    if (v != NULL && !open && log_leaf_shown(o->s->log, e->last, &done, &o->err) == OK) {
        const json_t *c = json_object_get(done, "content");
        json_object_set_new(v, "review", json_pack("{s:s, s:s, s:s, s:I}", "outcome", str(c, "outcome"), "words", str(c, "words"), "by", str(c, "by"), "at",
                                                   (json_int_t)(num(done, "time_ms") / 1000)));
    }
    json_decref(done);
    return v;
}

json_t *reviews_view(struct op *o)
{
    json_t *list = json_array(), *r;
    size_t i, bytes = PAGE_BYTES - REVIEWS_BYTES;
    json_array_foreach(o->s->reviews, i, r)
        if (may_see(o, r) && !page_add(list, &bytes, view(o, r)))
            break;
    return list;
}

/* The leaf that made it, whatever its state. */
static enum status facts_of(struct op *o, const char *id, json_t **out)
{
    const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), id);
    json_t *found = NULL;
    if (e == NULL || e->kind != LEDGER_REVIEW)
        return refuse_gone(o, id, ITEM_NOT_FOUND, "Nothing with this id is yours to see");
    enum status st = log_leaf(o->s->log, e->born, &found, &o->err);
    if (st == OK)
        *out = json_incref(json_object_get(found, "content"));
    json_decref(found);
    return st == NOT_FOUND ? CORRUPT : st;
}

enum status review_get(struct op *o, const char *id)
{
    json_t *facts = NULL;
    enum status st = facts_of(o, id, &facts);
    if (st == OK && !may_see(o, facts))
        st = refuse_op(o, ITEM_NOT_FOUND, "Nothing with this id is yours to see");
    if (st == OK && json_object_set_new(o->answer, "item", view(o, facts)) != 0)
        st = fail(&o->err, NO_MEMORY, "answer");
    json_decref(facts);
    return st;
}

json_t *review_of_session(struct op *o, const char *session)
{
    json_t *row = NULL, *facts = NULL, *v = NULL;
    if (log_ledger(o->s->log)->counts[LEDGER_REVIEW] == 0
        || store_row(o->s->store, &row, &o->err, "SELECT review FROM review WHERE session = $1 LIMIT 1", "s", session) != OK)
        return NULL;
    if (facts_of(o, str(row, "review"), &facts) == OK)
        v = view(o, facts);
    json_decref(facts);
    json_decref(row);
    return v;
}

/* ---- doing it ---- */

static enum status check_reviewer(struct op *o, const json_t *facts, const char *id)
{
    if (facts == NULL)
        return refuse_op(o, ledger_find(log_ledger(o->s->log), id) ? NOT_PENDING : ITEM_NOT_FOUND, "No review of this id is owed");
    if (strcmp(str(facts, "person"), o->who.person->name) == 0)
        return refuse_op(o, SELF_APPROVAL, "%s used it, so another person has to review it", o->who.person->name);
    if (!may_see(o, facts))
        return refuse_op(o, ITEM_NOT_FOUND, "Nothing with this id is yours to see");
    if (!alone_may_review(o->s->config, tool_of(o, facts), str(facts, "person"), o->who.person))
        return refuse_op(o, MAY_NOT_APPROVE, "%s is in none of the groups that review this", o->who.person->name);
    return OK;
}

static json_t *scope_for(const json_t *facts, const char *outcome, const char *words)
{
    return statement_scope_review(str(facts, "review"), str(facts, "session"), str(facts, "tool"), str(facts, "reason"), outcome, words);
}

enum status op_review_statement(struct op *o)
{
    const char *id = str(o->m, "id"), *outcome = str(o->m, "outcome"), *words = str(o->m, "words");
    const json_t *facts = open_review(o->s, id);
    enum status st = check_reviewer(o, facts, id);
    if (st != OK)
        return st;
    if (strcmp(outcome, JUSTIFIED) != 0 && strcmp(outcome, NOT_JUSTIFIED) != 0)
        return refuse_op(o, BAD_REQUEST, "'outcome' is justified or not-justified");
    if (!reason_good(words))
        return refuse_op(o, BAD_REASON, "A review says in 3 to 500 characters, without control characters, what you found");
    return order_statement(o, id, "review", str(facts, "person"), scope_for(facts, outcome, words));
}

static enum status keep_review(struct op *o, const json_t *facts, const struct statement *s, const json_t *object, const json_t *yes)
{
    const char *id = str(facts, "review"), *outcome = str(s->scope, "outcome"), *state = strcmp(outcome, JUSTIFIED) == 0 ? "approved" : "denied";
    enum status st = store_run(o->s->store, &o->err, "UPDATE review SET state = $1 WHERE review = $2 AND state = 'pending'", "ss", state, id);
    if (st == OK && store_changed(o->s->store) != 1)
        st = fail(&o->err, CORRUPT, "the review '%s' is not owed in the database", id);
    json_t *content = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:O}", "review", id, "session", str(facts, "session"), "state", state, "person", str(facts, "person"), "by",
                                o->who.person->name, "outcome", outcome, "words", str(s->scope, "words"), "statement", object);
    if (st == OK && (content == NULL || json_object_update(content, (json_t *)(uintptr_t)yes) != 0))
        st = fail(&o->err, NO_MEMORY, "review");
    if (st == OK)
        st = write_leaf(o, "review.done", json_incref(content), NULL);
    json_decref(content);
    if (st == OK)
        queue_item_event(o, id, "reviewed");
    o->s->reviews_stale = true;
    return st;
}

enum status review_signed(struct op *o, const json_t *row, const json_t *object)
{
    struct statement s;
    json_t *yes = NULL;
    const char *id = str(row, "item");
    const json_t *facts = open_review(o->s, id);
    enum status st = check_reviewer(o, facts, id);
    if (st == OK)
        st = order_signed(o, row, object, "review", &s, &yes);
    if (st == OK) {
        const char *outcome = str(s.scope, "outcome"), *words = str(s.scope, "words");
        json_t *again = scope_for(facts, outcome, words);
        bool same = json_equal(again, s.scope) && strcmp(s.requester, str(facts, "person")) == 0 && reason_good(words)
                    && (strcmp(outcome, JUSTIFIED) == 0 || strcmp(outcome, NOT_JUSTIFIED) == 0);
        json_decref(again);
        st = same ? keep_review(o, facts, &s, object, yes) : fail(&o->err, CORRUPT, "the stored statement '%s' speaks of another review", s.id);
    }
    json_decref(yes);
    return st;
}
