/* escalate: what waits for a yes too long, or at an hour when nobody who could say it is on duty, is brought before another group. Each item once; that it was is a leaf (item.escalated). */
#include "authz/approvals/notices.h"

enum { LOOK_AT = 500 };

/* Who has to say yes to a row, by the config alone. */
static size_t needs_of(const struct tool *tool, const json_t *row, struct need out[NEEDS_AT_MAX])
{
    const char *action = str(row, "action");
    int64_t made_s = num(row, "created_ms") / 1000;
    if (action[0] == 0)
        return policy_needs_at(tool->approvers, tool->approver_count, made_s, out);
    for (size_t i = 0; i < tool->action_count; i++)
        if (strcmp(tool->actions[i].name, action) == 0)
            return policy_needs_at(tool->actions[i].signoff, tool->actions[i].signoff_count, made_s, out);
    return 0;
}

void hours_again(const struct need *needs, size_t count, int64_t at_s, char out[HOURS_AGAIN_MAX])
{
    char at[CLOCK_TEXT_MAX];
    int64_t first = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t next = hours_next(needs[i].when, at_s);
        if (next > at_s && (first == 0 || next < first))
            first = next;
    }
    out[0] = 0;
    if (first == 0)
        return;
    clock_rfc3339(first * 1000, at);
    snprintf(out, HOURS_AGAIN_MAX, " again from %.10s %.5s UTC", at, at + 11);
}

/* [{group, until}]: needs that nobody on duty can fill now. NULL: none. */
static json_t *off_duty(const struct need *needs, size_t count, int64_t at_s)
{
    json_t *list = NULL;
    for (size_t i = 0; i < count; i++) {
        if (hours_hold(needs[i].when, hours_minute(at_s)))
            continue;
        if (list == NULL)
            list = json_array();
        json_array_append_new(list, json_pack("{s:s, s:I}", "group", needs[i].group, "until", (json_int_t)hours_next(needs[i].when, at_s)));
    }
    return list;
}

/* Takes list. */
static enum status bring(struct op *o, const json_t *row, const char *group, bool late, json_t *list)
{
    uint64_t seq = 0;
    const char *id = str(row, "item");
    json_t *content = json_pack("{s:s, s:s, s:s, s:s}", "item", id, "session", str(row, "session"), "group", group, "why", late ? "late" : "off-duty");
    if (content != NULL && list != NULL)
        json_object_set(content, "off_duty", list);
    json_decref(list);
    enum status st = content ? write_leaf(o, "item.escalated", content, &seq) : fail(&o->err, NO_MEMORY, "escalation");
    if (st == OK)
        st = store_run(o->s->store, &o->err, "INSERT INTO escalated (item, seq) VALUES ($1, $2) ON CONFLICT DO NOTHING", "si", id, (int64_t)seq);
    if (st == OK)
        queue_item_event(o, id, "pending");
    return st;
}

static enum status look_at(struct op *o, const json_t *row)
{
    const struct config *c = o->s->config;
    const struct tool *tool = config_tool(c, slice_str(str(row, "tool")));
    struct need needs[NEEDS_AT_MAX];
    if (tool == NULL || !ledger_is(log_ledger(o->s->log), str(row, "item"), "pending"))
        return OK;
    const char *group = tool->escalate_to ? tool->escalate_to : c->escalate_to;
    int64_t after_ms = tool->escalate_after_ms ? tool->escalate_after_ms : c->escalate_after_ms;
    bool late = after_ms > 0 && o->now_ms - num(row, "created_ms") >= after_ms;
    json_t *list = off_duty(needs, needs_of(tool, row, needs), now_s(o));
    if (group == NULL || (!late && list == NULL)) {
        json_decref(list);
        return OK;
    }
    return bring(o, row, group, late, list);
}

static bool wanted(const struct config *c)
{
    for (size_t i = 0; i < c->tool_count; i++)
        if (c->tools[i].escalate_to != NULL)
            return true;
    return c->escalate_to != NULL;
}

enum status escalate(struct op *o)
{
    json_t *rows = NULL, *row;
    size_t i;
    if (!wanted(o->s->config))
        return OK;
    enum status st = store_rows(o->s->store, &rows, &o->err,
                                "SELECT * FROM (SELECT item, session, tool, '' AS action, created_ms FROM request WHERE state = 'pending' UNION ALL"
                                " SELECT item, session, tool, action, created_ms FROM held WHERE state = 'pending') AS open"
                                " WHERE NOT EXISTS (SELECT 1 FROM escalated WHERE escalated.item = open.item) ORDER BY created_ms LIMIT $1", "i", (int64_t)LOOK_AT);
    json_array_foreach(rows, i, row)
        if (st == OK)
            st = look_at(o, row);
    json_decref(rows);
    return st;
}

/* The leaf by which an item was brought before others, or NULL. The row says only where it stands. */
static json_t *leaf_of(struct service *s, const char *item)
{
    struct err err;
    json_t *row = NULL, *leaf = NULL;
    if (store_row(s->store, &row, &err, "SELECT seq FROM escalated WHERE item = $1", "s", item) == OK && log_leaf_shown(s->log, (uint64_t)num(row, "seq"), &leaf, &err) == OK
        && (strcmp(str(leaf, "type"), "item.escalated") != 0 || strcmp(str(json_object_get(leaf, "content"), "item"), item) != 0)) {
        json_decref(leaf);
        leaf = NULL;
    }
    json_decref(row);
    return leaf;
}

bool escalated_to(const struct op *o, const char *item, const struct person *p)
{
    json_t *leaf = leaf_of(o->s, item);
    bool yes = leaf != NULL && person_in_group(p, str(json_object_get(leaf, "content"), "group"));
    json_decref(leaf);
    return yes;
}

void escalation_view(struct op *o, const json_t *row, json_t *view)
{
    const struct tool *tool = config_tool(o->s->config, slice_str(str(row, "tool")));
    struct need needs[NEEDS_AT_MAX];
    json_t *leaf, *shown = json_object_get(view, "needs");
    if (tool == NULL || strcmp(str(row, "state"), "pending") != 0)
        return;
    size_t count = needs_of(tool, row, needs);
    for (size_t i = 0; i < count && i < json_array_size(shown); i++)
        if (!hours_hold(needs[i].when, hours_minute(now_s(o))))
            json_object_set_new(json_array_get(shown, i), "off_duty_until", json_integer((json_int_t)hours_next(needs[i].when, now_s(o))));
    leaf = leaf_of(o->s, str(row, "item"));
    if (leaf != NULL) {
        const json_t *content = json_object_get(leaf, "content");
        json_object_set_new(view, "escalated", json_pack("{s:s, s:s, s:I}", "group", str(content, "group"), "why", str(content, "why"), "at", (json_int_t)(num(leaf, "time_ms") / 1000)));
    }
    json_decref(leaf);
}
