#include "authz/approvals/notices.h"

#include "config/forms.h"

static json_t *needs_view(const struct op *o, const json_t *row, bool access)
{
    const struct tool *tool = config_tool(o->s->config, slice_str(str(row, "tool")));
    json_t *list = json_array();
    const struct need *all = tool ? tool->approvers : NULL;
    struct need needs[NEEDS_AT_MAX];
    size_t count = tool ? tool->approver_count : 0;
    for (size_t i = 0; !access && tool != NULL && i < tool->action_count; i++)
        if (strcmp(tool->actions[i].name, str(row, "action")) == 0) {
            all = tool->actions[i].signoff;
            count = tool->actions[i].signoff_count;
            break;
        }
    count = policy_needs_at(all, count, num(row, "created_ms") / 1000, needs);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, needs[i].method == METHOD_ANY
                                        ? json_pack("{s:s, s:i}", "group", needs[i].group, "count", (int)needs[i].count)
                                        : json_pack("{s:s, s:i, s:s}", "group", needs[i].group, "count", (int)needs[i].count, "method",
                                                    method_name(needs[i].method)));
    return list;
}

static json_t *decisions_view(struct op *o, const char *id)
{
    json_t *rows = NULL, *row;
    size_t i;
    if (store_rows(o->s->store, &rows, &o->err, "SELECT person, decision, at, key, seq FROM decision WHERE item = $1 ORDER BY seq", "s", id) != OK)
        return NULL;
    json_array_foreach(rows, i, row) {   /* why not stands in what was signed */
        json_t *leaf = NULL;
        if (strcmp(str(row, "decision"), "deny") == 0 && log_leaf_shown(o->s->log, (uint64_t)num(row, "seq"), &leaf, &o->err) == OK) {
            const json_t *statement = json_object_get(json_object_get(leaf, "content"), "statement");
            json_t *why = json_object_get(json_object_get(statement, "scope"), "answer");
            if (why != NULL)
                json_object_set(row, "reason", why);
        }
        json_decref(leaf);
        json_object_del(row, "seq");
    }
    return rows;
}

static void copy(json_t *to, const json_t *from, const char *const *names)
{
    for (; *names != NULL; names++) {
        json_t *v = json_object_get(from, *names);
        if (v != NULL)
            json_object_set(to, *names, v);
    }
}

/* How often this action ran before (10,000 stands for more), and how often for this person: an approver should know whether it is usual. */
static json_t *before_view(struct op *o, const json_t *row)
{
    json_t *found = NULL;
    if (store_row(o->s->store, &found, &o->err,
                  "SELECT count(*) AS runs, sum(CASE WHEN person = $1 THEN 1 ELSE 0 END) AS theirs, max(used_ms) AS last_ms FROM"
                  " (SELECT person, used_ms FROM held WHERE tool = $2 AND action = $3 AND state = 'used' AND created_ms < $4 LIMIT 10000) AS runs", "sssi", str(row, "person"), str(row, "tool"), str(row, "action"),
                  num(row, "created_ms")) != OK)
        return NULL;
    json_t *v = json_pack("{s:I, s:I}", "count", (json_int_t)num(found, "runs"), "by_requester", (json_int_t)num(found, "theirs"));
    if (num(found, "last_ms") > 0)
        json_object_set_new(v, "last_at", json_integer(num(found, "last_ms") / 1000));
    json_decref(found);
    return v;
}

/* What the requester did in this session so far: how much, and what was held of it before. What the exchanges were stands sealed in the recording. */
static json_t *so_far_view(struct op *o, const json_t *row)
{
    json_t *session = NULL, *held = NULL;
    enum status st = store_row(o->s->store, &session, &o->err, "SELECT started_ms, last_ms, exchanges FROM session WHERE session = $1", "s", str(row, "session"));
    if (st != OK && st != NOT_FOUND)
        return NULL;
    if (store_rows(o->s->store, &held, &o->err,
                   "SELECT action, state, outcome, created_ms / 1000 AS created FROM held WHERE session = $1 AND item <> $2 AND created_ms <= $3 ORDER BY created_ms DESC LIMIT 5", "ssi",
                   str(row, "session"), str(row, "item"), num(row, "created_ms")) != OK) {
        json_decref(session);
        return NULL;
    }
    json_t *v = json_pack("{s:I, s:o}", "exchanges", (json_int_t)num(session, "exchanges"), "held", held);
    if (v != NULL && st == OK) {
        json_object_set_new(v, "started", json_integer(num(session, "started_ms") / 1000));
        json_object_set_new(v, "last_at", json_integer(num(session, "last_ms") / 1000));
    }
    json_decref(session);
    return v;
}

/* A change of the policy waits for two persons of whatever group of operators. */
static json_t *operators_view(const struct op *o)
{
    char groups[512] = "";
    const struct config *c = o->s->config;
    for (size_t i = 0; i < c->operator_count; i++) {
        size_t n = strlen(groups);
        snprintf(groups + n, sizeof groups - n, "%s%s", i > 0 ? " or " : "", c->operators[i]);
    }
    return json_pack("[{s:s, s:i}]", "group", groups, "count", 2);
}

/* What its maker said when it was made; nothing where that was not demanded. */
static void add_make(struct op *o, const json_t *row, json_t *v)
{
    json_t *leaf = NULL;
    struct err err;
    if (log_leaf_shown(o->s->log, (uint64_t)num(row, "seq"), &leaf, &err) != OK)
        return;                       /* it is proposed just now */
    json_t *attested = json_object_get(json_object_get(leaf, "content"), "attested");
    if (attested != NULL)
        json_object_set(v, "attested", attested);
    json_decref(leaf);
}

json_t *view_item(struct op *o, const json_t *row)
{
    static const char *const policy_only[] = { "policy", "was", "changes", NULL };
    static const char *const both[] = { "state", "identity", "tool", "reason", NULL };
    static const char *const access_only[] = { "duration_s", NULL };
    static const char *const signoff_only[] = { "action",   "method",       "authority", "target",      "digest",
                                                "body_len", "content_type", "grant_id",  "body_sha256", "outcome", "status", NULL };
    static const char *const key_only[] = { "key", "method", "alg", "label", "credential", "aaguid", NULL };
    bool access = str(row, "item")[0] == 'r', key = str(row, "item")[0] == 'k', policy = str(row, "item")[0] == 'p';
    json_t *v = json_pack("{s:s, s:s, s:s, s:I, s:I, s:o, s:o}", "id", str(row, "item"), "kind", access ? "access" : key ? "key" : policy ? "policy" : "signoff",
                          "requester", str(row, "person"), "created", (json_int_t)(num(row, "created_ms") / 1000), "expires",
                          (json_int_t)(num(row, "expires_ms") / 1000), "needs", policy ? operators_view(o) : needs_view(o, row, access), "decisions",
                          decisions_view(o, str(row, "item")));
    if (v == NULL)
        return NULL;
    copy(v, row, both);
    copy(v, row, access ? access_only : key ? key_only : policy ? policy_only : signoff_only);
    if (key)
        add_make(o, row, v);
    const struct web_key *web = key ? web_key_find(o->s, str(row, "key")) : NULL;
    if (web != NULL && strcmp(str(row, "state"), "approved") == 0)
        json_object_set_new(v, "counts_from", json_integer((json_int_t)web->from_s));
    if (access)
        json_object_set_new(v, "actions", actions_list(str(row, "actions")));
    if (access)
        json_object_set(v, "basis", json_object_get(row, "basis"));
    if (access && str(row, "rule")[0] != 0)
        json_object_set(v, "rule", json_object_get(row, "rule"));
    if (access && num(row, "start_within_s") > 0)
        json_object_set(v, "start_within_s", json_object_get(row, "start_within_s"));
    if (access && str(row, "extends")[0] != 0)
        json_object_set(v, "extends", json_object_get(row, "extends"));
    if (access && strcmp(str(row, "state"), "granted") == 0)
        json_object_set(v, "grant_id", json_object_get(row, "session"));
    if (!access && !policy && !o->only_shows)    /* not in lists */
        json_object_set_new(v, "before", before_view(o, row));
    if (str(row, "item")[0] == 'h' && !o->only_shows)
        json_object_set_new(v, "so_far", so_far_view(o, row));
    if (!key && !policy && !o->only_shows)
        json_object_set_new(v, "budget", budget_of_item(o, row));
    if (!key)
        escalation_view(o, row, v);
    if (json_object_get(row, "used_ms") != NULL)
        json_object_set_new(v, "ran_at", json_integer(num(row, "used_ms") / 1000));
    return v;
}

json_t *view_session(struct op *o, const json_t *row)
{
    static const char *const same[] = { "person", "identity", "tool", "reason", "started_ms", "exchanges", "bytes", "segments", NULL };
    json_t *held = NULL;
    bool live = ledger_is(log_ledger(o->s->log), str(row, "session"), "live");
    if (store_rows(o->s->store, &held, &o->err,
                   "SELECT item AS id, action, state, outcome, created_ms FROM held WHERE session = $1 ORDER BY created_ms LIMIT 50", "s",
                   str(row, "session")) != OK)
        return NULL;
    json_t *v = json_pack("{s:s, s:s, s:o, s:o}", "id", str(row, "session"), "state", live ? "live" : "ended", "approved_by",
                          json_loads(str(row, "approved_by"), 0, NULL), "held", held);
    if (v == NULL)
        return NULL;
    copy(v, row, same);
    if (num(row, "erased") > 0)
        json_object_set(v, "erased", json_object_get(row, "erased"));
    json_object_set_new(v, "basis", json_string(str(row, "basis")[0] != 0 ? str(row, "basis") : BASIS_APPROVED));
    if (strcmp(str(row, "basis"), BASIS_BREAK_GLASS) == 0) {
        json_t *review = review_of_session(o, str(row, "session"));
        if (review != NULL)
            json_object_set_new(v, "review", review);
    }
    external_show(o, str(row, "item"), str(row, "session"), v);
    if (!live)
        json_object_set_new(v, "ended_ms", json_integer(num(row, "ended_ms") ? num(row, "ended_ms") : num(row, "last_ms")));
    return v;
}

bool page_add(json_t *list, size_t *bytes, json_t *item)
{
    size_t size = json_dumpb(item, NULL, 0, JSON_COMPACT) + 1;
    if (item == NULL || *bytes + size > PAGE_BYTES) {
        json_decref(item);
        return false;
    }
    *bytes += size;
    return json_array_append_new(list, item) == 0;
}
