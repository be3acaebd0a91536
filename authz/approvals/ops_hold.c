/* Legal holds: an auditor keeps recordings from being deleted; another auditor lets them go. In force are those that the log holds and no later leaf releases. */
#include "authz/approvals/retention.h"

static const char *const hold_kinds[] = { "session", "identity", "person", "tool" };

static enum status auditors_only(struct op *o)
{
    return is_auditor(o) ? OK : refuse_op(o, AUDITORS_ONLY, "%s is in no auditors' group", o->who.person->name);
}

static json_t *hold_view(const json_t *content)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "id", str(content, "hold"), "kind", str(content, "kind"), "value", str(content, "value"), "reason", str(content, "reason"), "by",
                     str(content, "by"), "at", (json_int_t)(num(content, "created_ms") / 1000));
}

enum status holds_load(struct service *s, struct err *err)
{
    json_t *holds = json_array();
    enum status st = OK;
    for (const struct ledger_entry *e = log_ledger(s->log)->entries; e != NULL && st == OK; e = e->hh.next) {
        json_t *found = NULL;
        if (e->kind != LEDGER_HOLD || strcmp(e->state, "live") != 0)
            continue;
        st = log_leaf(s->log, e->born, &found, err);
        if (st == OK && json_array_append_new(holds, hold_view(json_object_get(found, "content"))) != 0)
            st = fail(err, NO_MEMORY, "holds");
        json_decref(found);
    }
    if (st == OK) {
        json_decref(s->holds);
        s->holds = holds;
    } else {
        json_decref(holds);
    }
    return st;
}

/* What is meant must be known: a mistyped hold would feel safe and keep nothing. */
static enum status check_hold(struct op *o, const char *kind, const char *value)
{
    json_t *row = NULL;
    enum status st = store_row(o->s->store, &row, &o->err,
                               "SELECT session FROM session WHERE ($1 = 'session' AND session = $2) OR ($1 = 'identity' AND identity = $2) OR ($1 = 'person' AND person = $2)"
                               " OR ($1 = 'tool' AND tool = $2) LIMIT 1", "ss", kind, value);
    const struct config *c = o->s->config;
    const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), value);
    bool known = st == OK || (strcmp(kind, "identity") == 0 && config_person(c, slice_str(value)) != NULL) || (strcmp(kind, "person") == 0 && person_named(c, value) != NULL)
                 || (strcmp(kind, "tool") == 0 && config_tool(c, slice_str(value)) != NULL) || (strcmp(kind, "session") == 0 && e != NULL && e->kind == LEDGER_GRANT);
    json_decref(row);
    if (st != OK && st != NOT_FOUND)
        return st;
    return known ? OK : refuse_op(o, LOCK_TARGET_UNKNOWN, "No %s of this name is known", kind);
}

enum status op_hold_place(struct op *o)
{
    const char *kind = str(o->m, "kind"), *value = str(o->m, "value");
    char id[ID_LEN + 1];
    bool known = false;
    enum status st = auditors_only(o);
    if (st != OK)
        return st;
    for (size_t i = 0; i < sizeof hold_kinds / sizeof *hold_kinds; i++)
        known = known || strcmp(kind, hold_kinds[i]) == 0;
    if (!known)
        return refuse_op(o, BAD_REQUEST, "'kind' is session, identity, person or tool");
    if (!reason_good(str(o->m, "reason")))
        return refuse_op(o, BAD_REASON, "A reason has 3 to 500 characters and no control characters");
    st = check_hold(o, kind, value);
    if (st != OK)
        return st;
    new_id("lgl_", id);
    json_t *content = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "hold", id, "kind", kind, "value", value, "reason", str(o->m, "reason"), "by", o->who.person->name, "created_ms",
                                (json_int_t)o->now_ms);
    json_object_set_new(o->answer, "hold", hold_view(content));
    o->s->retention.holds_stale = true;
    return write_leaf(o, "hold.placed", content, NULL);
}

enum status op_hold_release(struct op *o)
{
    json_t *each;
    const json_t *hold = NULL;
    size_t i;
    enum status st = auditors_only(o);
    if (st != OK)
        return st;
    json_array_foreach(o->s->holds, i, each)
        if (strcmp(str(each, "id"), str(o->m, "id")) == 0)
            hold = each;
    if (hold == NULL)
        return refuse_op(o, ITEM_NOT_FOUND, "No legal hold has this id");
    if (strcmp(str(hold, "by"), o->who.person->name) == 0)
        return refuse_op(o, SELF_APPROVAL, "%s placed this hold, so another auditor has to lift it", o->who.person->name);
    if (!reason_good(str(o->m, "reason")))
        return refuse_op(o, BAD_REASON, "A reason has 3 to 500 characters and no control characters");
    o->s->retention.holds_stale = true;
    o->s->retention.next_ms = 0;      /* what is due now goes now */
    return write_leaf(o, "hold.released", json_pack("{s:s, s:s, s:s, s:s, s:s}", "hold", str(hold, "id"), "kind", str(hold, "kind"), "value", str(hold, "value"), "reason",
                                                    str(o->m, "reason"), "by", o->who.person->name), NULL);
}

enum status op_holds(struct op *o)
{
    json_t *list = json_array(), *hold;
    size_t i, bytes = 0;
    if (!is_operator(o) && !is_auditor(o)) {
        json_decref(list);
        return refuse_op(o, AUDITORS_ONLY, "Legal holds are shown to auditors and operators");
    }
    json_array_foreach(o->s->holds, i, hold)
        if (!page_add(list, &bytes, json_incref(hold)))
            break;
    json_object_set_new(o->answer, "holds", list);
    json_object_set_new(o->answer, "suspended", json_boolean(o->s->retention.suspended));
    return OK;
}

bool hold_on(const struct service *s, const json_t *session)
{
    size_t i;
    json_t *hold;
    json_array_foreach(s->holds, i, hold)
        if (strcmp(str(session, str(hold, "kind")), str(hold, "value")) == 0)
            return true;
    return false;
}
