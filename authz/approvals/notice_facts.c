/* What a notice says: chosen members of a proved leaf and of the one that made its item. No content of a request, no target, no token, no signature is among them. */
#include "authz/approvals/notices.h"

#include "config/notice_events.h"

static void copy(json_t *to, const json_t *from, const char *const *names)
{
    for (; *names != NULL; names++) {
        json_t *v = json_object_get(from, *names);
        if (json_is_integer(v) || (json_is_string(v) && json_string_length(v) > 0))
            json_object_set(to, *names, v);
    }
}

/* What kind of thing an item's id names; NULL: none that we know words for. */
static const char *kind_of(const char *item)
{
    static const char *const kinds[][2] = { { "req_", "access" }, { "hld_", "signoff" }, { "key_", "key" }, { "pol_", "policy" } };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strncmp(item, kinds[i][0], 4) == 0)
            return kinds[i][1];
    return NULL;
}

static void add_needs(const struct item *it, json_t *facts)
{
    json_t *list = json_array();
    for (size_t i = 0; i < it->need_count; i++)
        json_array_append_new(list, json_pack("{s:s, s:i}", "group", it->needs[i].group, "count", (int)it->needs[i].count));
    json_object_set_new(facts, "needs", list);
}

/* ---- whom it is for ---- */

static bool operates(const struct config *c, const struct person *p)
{
    return person_in_any(p, c->operators, c->operator_count);
}

static bool could_approve(const struct tool *tool, const struct person *p)
{
    for (size_t i = 0; tool != NULL && i < tool->approver_count; i++)
        if (person_in_group(p, tool->approvers[i].group))
            return true;
    return false;
}

static bool is_for(const struct op *o, const struct notice_event *e, const struct item *it, const json_t *facts, const struct person *p)
{
    const struct config *c = o->s->config;
    bool owner = strcmp(p->name, str(facts, "person")) == 0;
    switch (e->audience) {
    case TELL_APPROVERS:
        return it != NULL && policy_may_approve(it->needs, it->need_count, it->requester, p);
    case TELL_REQUESTER:
        return owner || (strcmp(str(facts, "kind"), "policy") == 0 && operates(c, p));   /* nobody asks for a change of the file */
    case TELL_OWNER:
        return owner;
    case TELL_CONFIRMERS:
        return owner || (c->key_confirmer_count > 0 ? person_in_any(p, c->key_confirmers, c->key_confirmer_count) : operates(c, p));
    case TELL_OPERATORS:
        return operates(c, p);
    case TELL_EVERYBODY:
        return operates(c, p) || person_in_any(p, c->auditors, c->auditor_count) || could_approve(config_tool(c, slice_str(str(facts, "tool"))), p);
    case TELL_GROUP:
        return person_in_group(p, str(facts, "group"));
    }
    return false;
}

static void add_for(const struct op *o, const struct notice_event *e, const struct item *it, json_t *facts)
{
    const struct config *c = o->s->config;
    json_t *list = json_array();
    for (size_t i = 0; i < c->person_count && json_array_size(list) < NOTICE_FOR_MAX; i++)
        if (is_for(o, e, it, facts, &c->people[i]))
            json_array_append_new(list, json_string(c->people[i].name));
    json_object_set_new(facts, "for", list);
}

/* ---- the facts ---- */

static void add_item(struct item *it, json_t *facts)
{
    static const char *const of_any[] = { "person", "identity", "tool", "expires_ms", NULL };
    static const char *const of_request[] = { "reason", "duration_s", "extends", NULL };
    static const char *const of_held[] = { "reason", "action", "body_len", NULL };
    static const char *const of_key[] = { "key", "method", "label", NULL };
    json_t *expires = NULL;
    copy(facts, it->facts, of_any);
    if (it->kind == LEDGER_REQUEST || it->kind == LEDGER_HELD)
        copy(facts, it->facts, it->kind == LEDGER_REQUEST ? of_request : of_held);
    else if (it->kind == LEDGER_NEW_KEY)
        copy(facts, it->facts, of_key);
    if ((expires = json_object_get(facts, "expires_ms")) != NULL) {
        json_object_set_new(facts, "expires", json_integer(json_integer_value(expires) / 1000));
        json_object_del(facts, "expires_ms");
    }
    if (it->need_count > 0)
        add_needs(it, facts);
}

static void add_link(const struct op *o, const json_t *facts, json_t *out)
{
    const char *item = str(facts, "item"), *event = str(facts, "event");
    const char *path = strncmp(event, "lock.", 5) == 0 ? "/locks" : kind_of(item) != NULL ? "/items/" : "/";
    json_object_set_new(out, "link", json_sprintf("%s%s%s", o->s->console_origin, path, strcmp(path, "/items/") == 0 ? item : ""));
}

/* The item that a leaf is about; false: none, or none that can be proved any more. */
static bool load_item(struct op *o, const json_t *content, struct item *it)
{
    bool shows = o->only_shows;
    o->only_shows = true;
    enum status st = str(content, "item")[0] != 0 ? item_load(o, str(content, "item"), it) : NOT_FOUND;
    o->only_shows = shows;
    o->err.text[0] = 0;
    return st == OK;
}

json_t *notice_facts(struct op *o, const struct notice_event *e, const json_t *leaf)
{
    static const char *const said[] = { "item", "person", "tool", "action", "reason", "duration_s", "grant_id", "lock_id", "kind", "value", "by", "why", "group", "as", "counts_from", "summary", NULL };
    const json_t *content = json_object_get(leaf, "content");
    const char *approver = str(json_object_get(content, "statement"), "approver");
    struct item it;
    json_t *facts = json_pack("{s:i, s:s, s:I, s:s}", "v", 1, "event", e->name, "at", (json_int_t)(num(leaf, "time_ms") / 1000), "instance", o->s->config->instance);
    if (facts == NULL)
        return NULL;
    copy(facts, content, said);
    if (kind_of(str(content, "item")) != NULL)
        json_object_set_new(facts, "kind", json_string(kind_of(str(content, "item"))));
    bool has_item = load_item(o, content, &it);
    if (has_item)
        add_item(&it, facts);
    if (json_object_get(facts, "by") == NULL && approver[0] != 0)
        json_object_set_new(facts, "by", json_string(approver));
    if (json_object_get(content, "off_duty") != NULL)
        json_object_set(facts, "off_duty", json_object_get(content, "off_duty"));
    add_for(o, e, has_item ? &it : NULL, facts);
    add_link(o, facts, facts);
    if (has_item)
        item_done(&it);
    return facts;
}
