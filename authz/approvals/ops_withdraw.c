/* Taking back: one's own request, or one's own yes as long as it was not used. It only ever ends something, so it needs no signature. */
#include "authz/approvals/internal.h"

/* Did the caller say yes to it, as the log has it? */
static enum status said_yes(struct op *o, const char *item, bool *out)
{
    json_t *row = NULL;
    enum status st = store_row(o->s->store, &row, &o->err, "SELECT seq FROM decision WHERE item = $1 AND person = $2 AND decision = 'approve'", "ss", item,
                               o->who.person->name);
    *out = st == OK;
    json_decref(row);
    return st == NOT_FOUND ? OK : st;
}

static enum status end_it(struct op *o, const struct item *it, const char *why)
{
    const char *session = str(it->facts, "session");
    if (it->kind == LEDGER_POLICY && item_is(it, "approved"))
        return refuse_op(o, NOT_PENDING, "The change is in force; undo it in the config file");
    if (it->kind == LEDGER_NEW_KEY && (item_is(it, "pending") || item_is(it, "approved")))
        return new_key_end(o, it->id, o->who.person->name, why);
    if (item_is(it, "pending") || item_is(it, "approved"))
        return item_end(o, it->id, session, "cancelled", why);
    if (item_is(it, "granted") && ledger_is(log_ledger(o->s->log), session, "live"))
        return grant_end(o, session, why);
    if (item_is(it, "granted"))
        return refuse_op(o, NOT_PENDING, "It was granted, and the grant has ended already");
    return refuse_op(o, NOT_PENDING, "It is %s", it->state);
}

enum status op_withdraw(struct op *o)
{
    struct item it;
    json_t *row = NULL;
    bool yes = false;
    if (!reason_good(str(o->m, "reason")))
        return refuse_op(o, BAD_REASON, "A reason has 3 to 500 characters and no control characters");
    enum status st = item_wanted(o, str(o->m, "id"), &it);
    if (st != OK)
        return st;
    bool own = strcmp(o->who.person->name, str(it.facts, "person")) == 0;
    if (!own)
        st = said_yes(o, it.id, &yes);
    if (st == OK && !own && !yes)
        st = item_may_see(o, &it) ? refuse_op(o, NOT_YOURS, "%s neither asked for this nor said yes to it", o->who.person->name)
                                  : refuse_op(o, ITEM_NOT_FOUND, "Nothing with this id is yours to see");
    if (st == OK)
        st = write_leaf(o, "withdrawn", json_pack("{s:s, s:s, s:s, s:s, s:s}", "item", it.id, "session", str(it.facts, "session"), "by", o->who.person->name,
                                            "as", own ? "requester" : "approver", "reason", str(o->m, "reason")), NULL);
    if (st == OK)
        st = end_it(o, &it, "withdrawn");
    if (st == OK)
        st = item_row(o, it.id, &row);
    if (st == OK && json_object_set_new(o->answer, "item", view_item(o, row)) != 0)
        st = fail(&o->err, NO_MEMORY, "answer");
    json_decref(row);
    item_done(&it);
    return st;
}
