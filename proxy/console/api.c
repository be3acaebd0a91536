#include "proxy/console/api.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_MAX = 12 };

struct row {
    const char *method, *path;        /* '*' stands for one segment: the id */
    const char *op, *id_name;
    const char *body[NAMES_MAX];      /* members that may stand in the JSON body; none: no body */
    const char *query[NAMES_MAX];
    unsigned ok_status;
    enum api_result result;
    const char *usual_name, *usual_value;   /* a member that is set when the query does not */
};

static const struct row rows[] = {
    { "POST", "/api/v1/requests", "request.create", NULL, { "tool", "reason", "duration_s", "actions", "extends", "basis", "start_within_s" }, { NULL }, 201, API_JSON, NULL, NULL },
    { "GET", "/api/v1/status", "status", NULL, { NULL }, { NULL }, 200, API_JSON, NULL, NULL },
    { "GET", "/api/v1/pending", "pending", NULL, { NULL }, { NULL }, 200, API_JSON, NULL, NULL },
    { "GET", "/api/v1/items/*", "item.get", "id", { NULL }, { NULL }, 200, API_JSON, NULL, NULL },
    { "GET", "/api/v1/items/*/proof", "item.proof", "id", { NULL }, { NULL }, 200, API_JSON, NULL, NULL },
    { "GET", "/api/v1/items/*/raw", "held.raw", "id", { NULL }, { NULL }, 200, API_RAW, NULL, NULL },
    { "POST", "/api/v1/items/*/statement", "statement", "id", { "decision", "key", "duration_s", "actions", "reason", "on_behalf_of" }, { NULL }, 200, API_JSON, NULL, NULL },
    { "POST", "/api/v1/items/*/withdraw", "withdraw", "id", { "reason" }, { NULL }, 200, API_JSON, NULL, NULL },
    { "GET", "/api/v1/live", "live", NULL, { NULL }, { NULL }, 200, API_JSON, NULL, NULL },
    { "GET", "/api/v1/activity", "activity", NULL, { NULL }, { NULL }, 200, API_ACTIVITY, NULL, NULL },
    { "POST", "/api/v1/keys/new", "key.begin", NULL, { NULL }, { NULL }, 200, API_JSON, NULL, NULL },
    { "POST", "/api/v1/keys", "key.propose", NULL, { "id", "label", "client_data", "attestation" }, { NULL }, 201, API_JSON, NULL, NULL },
    { "GET", "/api/v1/keys", "keys", NULL, { NULL }, { "person" }, 200, API_JSON, NULL, NULL },
    { "DELETE", "/api/v1/keys/*", "key.remove", "id", { NULL }, { "reason" }, 200, API_JSON, NULL, NULL },
    { "POST", "/api/v1/decisions", "decide", NULL, { "statement_id", "jws", "client_data", "authenticator_data", "signature" }, { NULL }, 200, API_JSON, NULL, NULL },
    { "GET", "/api/v1/sessions", "sessions", NULL, { NULL }, { "person", "tool", "since", "until", "identity", "state", "action", "grant", "from", "basis", "customer" }, 200, API_JSON, NULL, NULL },
    { "GET", "/api/v1/sessions/*", "session.get", "id", { NULL }, { "purpose", "from" }, 200, API_JSON, "purpose", "show" },
    { "GET", "/api/v1/sessions/*/recording", "session.get", "id", { NULL }, { "purpose" }, 200, API_RECORDING, "purpose", "replay" },
    { "GET", "/api/v1/sessions/*/listing", "session.get", "id", { NULL }, { "purpose" }, 200, API_LISTING, "purpose", "show" },
    { "GET", "/api/v1/log", "log.read", NULL, { NULL }, { "from", "limit", "session" }, 200, API_JSON, NULL, NULL },
    { "POST", "/api/v1/carry-over/statement", "carry.begin", NULL, { "certificate" }, { NULL }, 200, API_JSON, NULL, NULL },
    { "POST", "/api/v1/carry-over", "carry.finish", NULL, { "certificate", "statement_id", "jws" }, { NULL }, 200, API_JSON, NULL, NULL },
    { "GET", "/api/v1/locks", "locks", NULL, { NULL }, { NULL }, 200, API_JSON, NULL, NULL },
    { "POST", "/api/v1/locks", "lock", NULL, { "kind", "value", "reason" }, { NULL }, 201, API_JSON, NULL, NULL },
    { "GET", "/api/v1/delegations", "delegations", NULL, { NULL }, { NULL }, 200, API_JSON, NULL, NULL },
    { "POST", "/api/v1/delegations/statement", "delegate.statement", NULL, { "key", "person", "tools", "kinds", "until" }, { NULL }, 200, API_JSON, NULL, NULL },
    { "POST", "/api/v1/delegations/*/withdraw", "delegate.withdraw", "id", { "reason" }, { NULL }, 200, API_JSON, NULL, NULL },
    { "POST", "/api/v1/reviews/*/statement", "review.statement", "id", { "key", "outcome", "words" }, { NULL }, 200, API_JSON, NULL, NULL },
    { "POST", "/api/v1/locks/*/statement", "unlock.statement", "id", { "key", "reason" }, { NULL }, 200, API_JSON, NULL, NULL },
    { "GET", "/api/v1/holds", "holds", NULL, { NULL }, { NULL }, 200, API_JSON, NULL, NULL },
    { "POST", "/api/v1/holds", "hold.place", NULL, { "kind", "value", "reason" }, { NULL }, 201, API_JSON, NULL, NULL },
    { "POST", "/api/v1/holds/*/release", "hold.release", "id", { "reason" }, { NULL }, 200, API_JSON, NULL, NULL },
    { "POST", "/api/v1/retention/confirm", "retention.confirm", NULL, { "reason" }, { NULL }, 200, API_JSON, NULL, NULL },
};

static enum status refuse(struct api_refusal *why, unsigned status, const char *type, const char *detail, const char *next)
{
    *why = (struct api_refusal){ status, type, detail, next };
    return REFUSED;
}

/* Does the path fit, and what is the id in it? */
static bool fits(const char *pattern, struct slice path, char id[64])
{
    id[0] = 0;
    for (; *pattern != 0; pattern++) {
        if (*pattern != '*') {
            if (path.len == 0 || path.ptr[0] != (unsigned char)*pattern)
                return false;
            path = slice_from(path, 1);
            continue;
        }
        size_t n = slice_find(path, '/');
        if (n == 0 || n >= 64)
            return false;
        memcpy(id, path.ptr, n);
        id[n] = 0;
        path = slice_from(path, n);
    }
    return path.len == 0;
}

static bool listed(const char *const names[NAMES_MAX], const char *name)
{
    for (size_t i = 0; i < NAMES_MAX && names[i] != NULL; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static enum status take_body(const struct row *row, const struct api_request *r, json_t *m, struct api_refusal *why)
{
    const char *next = "See /api/openapi.json for the members of each call.";
    if (row->body[0] == NULL)
        return r->body.len == 0 ? OK : refuse(why, 400, "bad-request", "This call takes no body.", next);
    struct slice type = slice_trim(slice_of(r->content_type.ptr, slice_find(r->content_type, ';')));
    if (!slice_ieq(type, SLICE("application/json")))
        return refuse(why, 415, "unsupported-type", "The body must be application/json.", "Send Content-Type: application/json.");
    json_t *body = json_loadb((const char *)r->body.ptr, r->body.len, JSON_REJECT_DUPLICATES, NULL), *value;
    const char *name;
    enum status st = OK;
    if (!json_is_object(body))
        st = refuse(why, 400, "bad-request", "The body is not one JSON object.", next);
    else
        json_object_foreach(body, name, value) {
            if (!listed(row->body, name))
                st = refuse(why, 400, "bad-request", "The body has a member that this call does not know.", next);
            else
                json_object_set(m, name, value);
        }
    json_decref(body);
    return st;
}

/* Numbers in a query are text: those that authz wants as integers. */
static json_t *query_value(const char *name, struct slice v)
{
    char digits[20];
    if (strcmp(name, "from") != 0 && strcmp(name, "limit") != 0 && strcmp(name, "since") != 0 && strcmp(name, "until") != 0)
        return json_stringn((const char *)(v.len ? v.ptr : (const unsigned char *)""), v.len);
    if (v.len == 0 || v.len >= sizeof digits || strspn(memcpy(digits, v.ptr, v.len), "0123456789") < v.len)
        return NULL;
    digits[v.len] = 0;
    return json_integer(strtoll(digits, NULL, 10));
}

static enum status take_query(const struct row *row, const struct api_request *r, json_t *m, struct api_refusal *why)
{
    for (size_t i = 0; i < r->query_count; i++) {
        char name[32] = "";
        if (r->query[i].name.len < sizeof name)
            memcpy(name, r->query[i].name.ptr, r->query[i].name.len);
        json_t *value = listed(row->query, name) && json_object_get(m, name) == NULL ? query_value(name, r->query[i].value) : NULL;
        if (value == NULL)
            return refuse(why, 400, "bad-request", "The query has a part that this call does not know, twice, or with a bad value.",
                          "See /api/openapi.json for the parameters of each call.");
        json_object_set_new(m, name, value);
    }
    return OK;
}

static enum status build(const struct row *row, const struct api_request *r, struct api_call *out, struct api_refusal *why)
{
    json_t *m = json_pack("{s:s}", "op", row->op);
    if (m == NULL)
        return NO_MEMORY;
    enum status st = take_body(row, r, m, why);
    if (st == OK)
        st = take_query(row, r, m, why);
    if (st != OK) {
        json_decref(m);
        return st;
    }
    if (row->id_name != NULL)
        json_object_set_new(m, row->id_name, json_string(out->id));
    if (row->usual_name != NULL && json_object_get(m, row->usual_name) == NULL)
        json_object_set_new(m, row->usual_name, json_string(row->usual_value));
    out->message = m;
    out->ok_status = row->ok_status;
    out->result = row->result;
    return OK;
}

enum status api_route(const struct api_request *r, struct api_call *out, struct api_refusal *why)
{
    bool path_known = false;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!fits(rows[i].path, r->path, out->id))
            continue;
        path_known = true;
        if (slice_eq(r->method, slice_str(rows[i].method)))
            return build(&rows[i], r, out, why);
    }
    if (path_known)
        return refuse(why, 405, "method-not-allowed", "This call does not know that method.", "See /api/openapi.json for the calls.");
    return refuse(why, 404, "not-found", "There is no such call or page.", "Start from the console's front page. The calls of the API are described in /api/openapi.json.");
}

static json_t *names_of(const char *const names[NAMES_MAX])
{
    json_t *list = json_array();
    for (size_t i = 0; i < NAMES_MAX && names[i] != NULL; i++)
        json_array_append_new(list, json_string(names[i]));
    return list;
}

json_t *api_table(void)
{
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char path[128] = "";
        const char *star = strchr(rows[i].path, '*');
        snprintf(path, sizeof path, "%.*s%s%s", star ? (int)(star - rows[i].path) : (int)strlen(rows[i].path), rows[i].path, star ? "{id}" : "",
                 star ? star + 1 : "");
        json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:o, s:i, s:i}", "method", rows[i].method, "path", path, "body", names_of(rows[i].body),
                                              "query", names_of(rows[i].query), "status", (int)rows[i].ok_status, "result", (int)rows[i].result));
    }
    return list;
}

json_t *api_answer(const json_t *answer)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)answer);
    json_object_del(copy, "n");
    json_object_del(copy, "ok");
    return copy;
}
