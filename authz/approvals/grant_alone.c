/* Grants without a second person (authz/alone.h): break-glass, which is told at once and owed a review, and those that a rule of the config gives. The log names the
 * kind in the leaf that settles the request, and the ledger takes no other leaf for it. */
#include "authz/approvals/internal.h"

enum { DAY_MS = 86400 * 1000 };

enum status break_glass_check(struct op *o, const struct tool *tool, int64_t duration_s)
{
    const struct break_glass *b = &tool->break_glass;
    const char *name = o->who.person->name;
    if (!alone_may_break_glass(tool, o->who.person))
        return refuse_op(o, NO_BREAK_GLASS, b->group_count > 0 ? "%s is in no group that may break the glass of '%s'" : "%s asked to, and nobody may break the glass of '%s'", name,
                         tool->name);
    if (json_object_get(o->m, "extends") != NULL || json_object_get(o->m, "start_within_s") != NULL)
        return refuse_op(o, BAD_REQUEST, "Break-glass access begins at once, and is not extended");
    if (!reason_good(str(o->m, "reason")))   /* no ticket is asked for: in an emergency there may be nowhere to write one */
        return refuse_op(o, BAD_REASON, "A reason has 3 to 500 characters and no control characters");
    if (duration_s < 1 || duration_s > b->max_duration_ms / 1000)
        return refuse_op(o, BAD_DURATION, "Without a second person at most %lld seconds of '%s' are allowed", (long long)(b->max_duration_ms / 1000), tool->name);
    if (o->s->recorders == 0)
        return refuse_op(o, RECORDING_UNAVAILABLE, "The process that records is not there");
    if (reviews_owed(o->s, name) >= o->s->config->limits.requests_per_person)   /* whoever drowns the reviewers hides the one that matters */
        return refuse_op(o, TOO_MANY_OPEN, "%u uses by %s wait for a review; that is the limit", o->s->config->limits.requests_per_person, name);
    if (b->overdue_stops && review_overdue(o->s, name, o->now_ms))
        return refuse_op(o, REVIEW_OVERDUE, "%s broke the glass before, and nobody has reviewed it in time", name);
    return refuse_if_locked(o, tool->name, NULL);
}

/* ---- rules ---- */

static void tally_name(const struct op *o, const struct tool *tool, const struct auto_rule *r, char out[256])
{
    snprintf(out, 256, "%s\n%s\n%s", o->who.person->name, tool->name, r->name);
}

/* How often this rule gave this person a grant of late: by the rows, or by what this process has seen, whichever is more. A row that somebody took out is missed at the
 * next start; until then the memory stands. */
static enum status count_today(struct op *o, const struct tool *tool, const struct auto_rule *r, int64_t *out)
{
    char name[256];
    size_t i;
    json_t *row = NULL, *at;
    int64_t seen = 0;
    tally_name(o, tool, r, name);
    json_array_foreach(json_object_get(o->s->auto_used, name), i, at)
        seen += json_integer_value(at) > o->now_ms - DAY_MS;
    enum status st = store_row(o->s->store, &row, &o->err,
                               "SELECT count(*) AS n FROM request WHERE person = $1 AND created_ms > $2 AND tool = $3 AND basis = 'auto' AND rule = $4", "siss",
                               o->who.person->name, o->now_ms - DAY_MS, tool->name, r->name);
    *out = num(row, "n") > seen ? num(row, "n") : seen;
    json_decref(row);
    return st;
}

static enum status note_use(struct op *o, const struct tool *tool, const struct auto_rule *r)
{
    char name[256];
    json_t *kept = json_array(), *at;
    size_t i;
    tally_name(o, tool, r, name);
    json_array_foreach(json_object_get(o->s->auto_used, name), i, at)
        if (json_integer_value(at) > o->now_ms - DAY_MS)
            json_array_append(kept, at);
    if (json_array_append_new(kept, json_integer(o->now_ms)) == 0 && json_object_set(o->s->auto_used, name, kept) == 0) {
        json_decref(kept);
        return OK;
    }
    json_decref(kept);
    return fail(&o->err, NO_MEMORY, "rule");
}

enum status auto_look(struct op *o, const struct tool *tool, struct ask *a)
{
    int64_t count = 0;
    if (a->extends[0] != 0 || a->start_within_s > 0)
        return OK;
    const struct auto_rule *r = alone_rule(tool, o->who.person, a->actions, str(o->m, "reason"), num(o->m, "duration_s"), now_s(o));
    if (r == NULL)
        return OK;
    enum status st = count_today(o, tool, r, &count);
    if (st == OK && count < (int64_t)r->per_day) {   /* else a person looks at it */
        a->basis = BASIS_AUTO;
        a->rule = r;
    }
    return st;
}

/* ---- issuing ---- */

static enum status owe_review(struct op *o, const struct tool *tool, const json_t *facts)
{
    char id[ID_LEN + 1];
    uint64_t seq = 0;
    new_id("rev_", id);
    json_t *content = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "review", id, "item", str(facts, "item"), "session", str(facts, "session"), "person",
                                str(facts, "person"), "identity", str(facts, "identity"), "x5t", str(facts, "x5t"), "tool", tool->name, "reason", str(facts, "reason"),
                                "created_ms", (json_int_t)o->now_ms, "due_ms", (json_int_t)(o->now_ms + tool->break_glass.review_within_ms));
    json_t *row = json_deep_copy(content);
    /* The event that everybody concerned is told of: notices hang on this leaf. */
    enum status st = write_leaf(o, "break-glass.used", content, &seq);
    if (st == OK && (json_object_set_new(row, "state", json_string("pending")) != 0 || json_object_set_new(row, "seq", json_integer((json_int_t)seq)) != 0))
        st = fail(&o->err, NO_MEMORY, "review");
    if (st == OK)
        st = store_insert(o->s->store, "review", row, &o->err);
    if (st == OK) {
        queue_item_event(o, id, "pending");
        log_warn("break-glass.used", "person", str(facts, "person"), "tool", tool->name, "reason", str(facts, "reason"), "review", id);
    }
    json_decref(row);
    o->s->reviews_stale = true;
    return st;
}

static enum status settle(struct op *o, const struct tool *tool, const struct ask *a, const json_t *facts)
{
    if (strcmp(a->basis, BASIS_BREAK_GLASS) == 0)
        return owe_review(o, tool, facts);
    enum status st = note_use(o, tool, a->rule);
    if (st == OK)
        st = write_leaf(o, "auto.approved", json_pack("{s:s, s:s, s:s, s:s, s:s}", "item", str(facts, "item"), "session", str(facts, "session"), "person", str(facts, "person"),
                                                      "tool", tool->name, "rule", a->rule->name), NULL);
    return st;
}

enum status grant_alone(struct op *o, const struct tool *tool, const struct ask *a, const json_t *row)
{
    struct approvals none = { .approved_by = json_array(), .duration_s = num(row, "duration_s") };
    struct item it = { .kind = LEDGER_REQUEST, .state = "approved", .facts = (json_t *)(uintptr_t)row, .tool = tool, .requester = o->who.person };
    memcpy(it.id, str(row, "item"), ID_LEN + 1);
    snprintf(none.actions, sizeof none.actions, "%s", a->actions);
    enum status st = none.approved_by ? settle(o, tool, a, row) : fail(&o->err, NO_MEMORY, "grant");
    if (st == OK)
        st = item_set_state(o, it.id, "pending", "approved");
    if (st == OK)
        st = grant_issue_for(o, &it, &none);
    json_decref(none.approved_by);
    return st;
}
