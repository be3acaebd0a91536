/* Who is in a tool now: for those who may stop it, and those who may look. */
#include "authz/approvals/internal.h"

enum status op_live(struct op *o)
{
    static const char *const shown[] = { "grant_id", "person", "identity", "tool", "iat", "exp", "reason", "basis" };
    json_t *rows = NULL, *list = json_array(), *row;
    size_t i, bytes = 0;
    if (!is_operator(o) && !is_auditor(o)) {
        json_decref(list);
        return refuse_op(o, OPERATORS_ONLY, "Only operators and auditors may see who is in a tool");
    }
    enum status st = store_rows(o->s->store, &rows, &o->err,
                                "SELECT access_grant.*, request.reason FROM access_grant JOIN request ON request.item = access_grant.item"
                                " WHERE access_grant.state = 'live' AND exp > $1 ORDER BY iat DESC LIMIT 500", "i", now_s(o));
    json_array_foreach(rows, i, row) {
        json_t *v = json_object();
        for (size_t k = 0; k < sizeof shown / sizeof *shown; k++)
            json_object_set(v, shown[k], json_object_get(row, shown[k]));
        external_show(o, str(row, "item"), str(row, "grant_id"), v);
        if (!page_add(list, &bytes, v)) {
            json_object_set_new(o->answer, "more", json_true());
            break;
        }
    }
    if (st == OK)
        json_object_set(o->answer, "live", list);
    json_decref(rows);
    json_decref(list);
    return st;
}
