/* Budgets: what a grant may touch is leased to workers a piece at a time. The lease is a leaf before it is an answer, so what a worker ever had counts as
 * spent, whatever becomes of it: never over, possibly under. */
#include "authz/approvals/internal.h"

#include "authz/budget.h"

enum { REQUESTS_AHEAD = 64 };
static const int64_t bytes_ahead = 4 * 1024 * 1024;

/* How much more than wanted a worker gets, so that it need not ask for each: little when little is left, since what one worker holds another lacks. */
static int64_t ahead(const char *line, int64_t left)
{
    int64_t more = left / 16, most = strcmp(line, "requests") == 0 ? REQUESTS_AHEAD : strcmp(line, "bytes_out") == 0 ? bytes_ahead : 0;
    return more < most ? more : most;
}

static enum status exhausted(struct op *o, const char *line, int64_t max)
{
    const char *name = strchr(line, ':');
    if (name == NULL)
        return refuse_op(o, BUDGET_EXHAUSTED, "The grant allows %lld %s, and they are used up", (long long)max,
                         strcmp(line, "requests") == 0 ? "requests" : "bytes of answers");
    if (strncmp(line, "action:", 7) == 0)
        return refuse_op(o, BUDGET_EXHAUSTED, "The grant allows '%s' %lld times, and they are used up", name + 1, (long long)max);
    return refuse_op(o, BUDGET_EXHAUSTED, "The grant allows %lld different values of '%s', and this would be one more", (long long)max, name + 1);
}

/* One wanted line, into `lease` unless it is there already. answer: what the worker may count on. */
static enum status lease_line(struct op *o, const struct grant *g, const json_t *want, json_t *lease, json_t *answer)
{
    const char *line = str(want, "name"), *digest = json_string_value(json_object_get(want, "digest"));
    char hash[SEAL_HASH_LEN + 1] = "";
    if (digest != NULL)
        seal_hash(&o->s->seal_key, line, digest, hash);
    const struct book *book = log_ledger(o->s->log)->book;
    int64_t max = num(g->budget, line), left = max - book_spent(book, g->grant_id, line), amount = digest ? 1 : num(want, "amount");
    if (max == 0 || (digest != NULL && (book_has_value(book, g->grant_id, line, hash) || book_has_value(book, g->grant_id, line, digest))))
        return OK;                    /* not limited, or had already; leaves of earlier versions hold the digest itself */
    if ((strncmp(line, "distinct:", 9) == 0) != (digest != NULL))   /* values and amounts do not mix: the book counts each in its own way */
        return refuse_op(o, BAD_REQUEST, "'%s' is leased by %s", line, digest ? "amount" : "value");
    json_t *each;
    size_t i;
    json_array_foreach(lease, i, each)   /* several new values in one request */
        if (strcmp(str(each, "name"), line) == 0) {
            if (digest == NULL || strcmp(str(each, "hash"), hash) == 0)
                return refuse_op(o, BAD_REQUEST, "The same line of a budget is wanted twice");
            left--;
        }
    if (left < amount && (strcmp(line, "bytes_out") != 0 || left < 1))
        return exhausted(o, line, max);
    amount = left < amount ? left : amount + (digest ? 0 : ahead(line, left - amount));
    json_t *made = digest ? json_pack("{s:s, s:s}", "name", line, "hash", hash)
                          : json_pack("{s:s, s:I}", "name", line, "amount", (json_int_t)amount);
    if (made == NULL || json_array_append_new(lease, made) != 0 || (digest == NULL && json_array_append(answer, made) != 0))
        return fail(&o->err, NO_MEMORY, "lease");
    return OK;
}

enum status budget_lease(struct op *o, const struct grant *g, const json_t *wants, json_t *answer)
{
    json_t *lease = json_array(), *want;
    size_t i;
    enum status st = OK;
    json_array_foreach(wants, i, want)
        if (st == OK)
            st = lease_line(o, g, want, lease, answer);
    if (st == OK && json_array_size(lease) > 0)
        st = write_leaf(o, "budget.leased", json_pack("{s:s, s:s, s:O}", "grant_id", g->grant_id, "session", g->grant_id, "lines", lease), NULL);
    json_decref(lease);
    return st;
}

enum status op_budget_lease(struct op *o)
{
    struct grant g;
    json_t *leased = json_array();
    enum status st = grant_wanted(o, str(o->m, "grant_id"), str(o->m, "tool"), &g);
    if (st == OK) {
        st = budget_lease(o, &g, json_object_get(o->m, "wants"), leased);
        grant_done(&g);
    }
    if (st == OK && json_object_set(o->answer, "leased", leased) != 0)
        st = fail(&o->err, NO_MEMORY, "answer");
    json_decref(leased);
    return st;
}

/* The claim as the row has it, unverified: it is only shown. */
static json_t *claimed(const char *token)
{
    unsigned char raw[TOKEN_MAX];
    size_t len = 0;
    const char *payload = strchr(token, '.');
    if (payload == NULL || b64url_decode(slice_of(payload + 1, strcspn(payload + 1, ".")), raw, sizeof raw, &len) != OK)
        return NULL;
    json_t *claims = json_loadb((const char *)raw, len, 0, NULL), *budget = json_incref(json_object_get(claims, "budget"));
    json_decref(claims);
    return budget;
}

json_t *budget_view(struct op *o, const json_t *row)
{
    json_t *list = json_array(), *budget = claimed(str(row, "token")), *max;
    const char *line;
    json_object_foreach(budget, line, max)
        json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "name", line, "max", json_integer_value(max), "left",
                                              json_integer_value(max) - book_spent(log_ledger(o->s->log)->book, str(row, "grant_id"), line)));
    json_decref(budget);
    return list;
}

json_t *budget_of_item(struct op *o, const json_t *row)
{
    const char *extends = str(row, "extends"), *grant_id = str(row, "item")[0] == 'h' ? str(row, "grant_id") : extends;
    json_t *grant = NULL, *list = NULL, *max;
    const char *line;
    if (strcmp(str(row, "state"), "granted") == 0)
        grant_id = str(row, "session");
    if (grant_id[0] != 0) {
        if (store_row(o->s->store, &grant, &o->err, "SELECT grant_id, token FROM access_grant WHERE grant_id = $1 AND state = 'live'", "s", grant_id) == OK)
            list = budget_view(o, grant);
        json_decref(grant);
        return list;
    }
    const struct tool *tool = config_tool(o->s->config, slice_str(str(row, "tool")));
    json_t *budget = tool != NULL && strcmp(str(row, "state"), "pending") == 0 ? budget_claim(&tool->budget) : NULL;
    if (budget != NULL)
        list = json_array();
    json_object_foreach(budget, line, max)
        json_array_append_new(list, json_pack("{s:s, s:O, s:O}", "name", line, "max", max, "left", max));
    json_decref(budget);
    return list;
}
