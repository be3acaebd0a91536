#include "proxy/exchange/destination.h"

#include "proxy/http/target.h"

/* [ ( "https://" / "http://" ) authority ] path-absolute; the authority must be the one this request came to. ptr NULL: it is not. */
static struct slice path_of(struct slice value, struct slice authority)
{
    const struct slice schemes[] = { SLICE("https://"), SLICE("http://") };
    if (value.len > 0 && value.ptr[0] == '/')
        return value;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (value.len <= schemes[i].len || !slice_ieq(slice_of(value.ptr, schemes[i].len), schemes[i]))
            continue;
        struct slice rest = slice_from(value, schemes[i].len);
        size_t end = slice_find(rest, '/');
        if (end < rest.len && slice_ieq(slice_of(rest.ptr, end), authority))
            return slice_from(rest, end);
    }
    return (struct slice){ 0 };
}

/* A document's id, say: nothing in it that could lead to another path. */
static bool is_word(struct slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if (strchr("/\\%:?#", value.ptr[i]) != NULL)
            return false;
    return value.len > 0 && value.ptr[0] != '.';
}

static void refuse(struct exchange *x, const char *detail)
{
    struct problem p = { .status = 400, .type = "bad-field", .title = "This request can't be sent where it should lead", .detail = detail,
                         .next = "Copy and move only within one tool, to a plain path." };
    reply_problem(x, &p);
}

bool destination_take(struct exchange *x)
{
    struct fields *f = &x->request.fields;
    for (size_t i = 0; i < f->count; i++) {
        struct refusal why = { 0 };
        if (!slice_eq(f->v[i].name, SLICE("destination")) || is_word(f->v[i].value))
            continue;
        struct message to = { .method = SLICE("COPY"), .raw_target = path_of(f->v[i].value, x->request.authority) };
        if (to.raw_target.ptr == NULL) {
            refuse(x, "Its Destination is no address of this tool.");
            return false;
        }
        if (target_normalise(&to, x->tool->allow_in_target, &x->arena, &why) != PARSE_OK || to.query.ptr != NULL) {
            refuse(x, why.reason ? why.reason : "Its Destination has a query.");
            return false;
        }
        x->destination = to.path;
        f->v[i].value = to.target;
    }
    return true;
}

struct verdict destination_judge(const struct exchange *x, const struct policy_request *r, struct verdict first)
{
    struct policy_request there = *r;
    if (x->destination.len == 0)
        return first;
    there.path = x->destination;
    struct verdict v = policy_judge(x->tool, &there);
    bool wants_body = v.wants_body || first.wants_body;
    if (v.requirement <= first.requirement)
        v = first;
    v.wants_body = wants_body;
    if (v.requirement == NEED_SIGNOFF && !wants_body)
        v.requirement = NEED_DENY;
    return v;
}
