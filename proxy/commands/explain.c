#include "proxy/commands/explain.h"

#include "authz/policy.h"
#include "config/forms.h"
#include "proxy/base/clock.h"
#include "proxy/commands/explain_alone.h"
#include "proxy/http/readings.h"
#include "proxy/http/target.h"

#include <string.h>

enum { EXPLAIN_MEMORY = 4 * 1024 * 1024 };

struct explain {
    const struct question *q;
    const struct config *c;
    const struct person *person;
    const struct tool *tool;
    struct slice host, target;        /* of the URL */
    unsigned port;                    /* 0: it names none */
    struct arena arena;
    struct message m;
    struct readings query, fields;
    struct slice methods[8];
    struct policy_request r;
};

/* 1*5DIGIT, 1 to 65535 */
static bool read_port(struct slice text, unsigned *out)
{
    unsigned n = 0;
    for (size_t i = 0; i < text.len && text.len <= 5; i++) {
        unsigned digit = text.ptr[i] - (unsigned)'0';
        if (digit > 9)
            return false;
        n = n * 10 + digit;
    }
    *out = n;
    return n > 0 && n <= 65535;
}

/* "https://host[:port]/path?query" */
static bool split_url(const char *url, struct slice *host, unsigned *port, struct slice *target)
{
    if (strncmp(url, "https://", 8) != 0)
        return false;
    const char *start = url + 8, *end = start + strcspn(start, "/?#");
    *host = slice_of(start, (size_t)(end - start));
    const size_t colon = slice_find(*host, ':');
    *port = 0;
    if (colon < host->len && !read_port(slice_from(*host, colon + 1), port))
        return false;
    host->len = colon;
    *target = *end == 0 ? SLICE("/") : slice_str(end);
    return host->len > 0 && target->ptr[0] == '/';
}

static enum status find_tool(struct explain *e, struct err *err)
{
    if (e->port != 0 && !config_serves_port(e->c, e->port))
        return fail(err, REFUSED, "the gateway does not answer for port %u: 421, whatever the policy says; people use port %u (`listen`, `public_port`)", e->port,
                    e->c->public_port);
    e->person = config_person(e->c, slice_str(e->q->identity));
    e->tool = policy_tool_at(e->c, e->host);
    if (e->tool == NULL && slice_eq(e->host, slice_str(e->c->console_host)))
        return fail(err, REFUSED, "'%s' is the console, where no tool's policy applies; give the address of a tool", e->c->console_host);
    if (e->tool == NULL)
        return fail(err, REFUSED, "no tool has the host '%.*s'; see `tools` in the config", SLICE_ARG(e->host));
    return OK;
}

/* The request as the gateway would read it, up to the question whether it has a body: that is only known from its fields. */
static enum status read_request(struct explain *e, struct err *err)
{
    struct refusal why = { 0 };
    const char *method = e->q->method, *body = e->q->body;
    bool bodiless = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    e->m = (struct message){ .version = 11, .method = slice_str(method), .authority = e->host, .raw_target = e->target };
    if (target_normalise(&e->m, e->tool->allow_in_target, &e->arena, &why) != PARSE_OK)
        return fail(err, REFUSED, "the gateway refuses this address with %u: %s", why.status, why.reason);
    if (readings_query(e->m.query, &e->arena, &e->query) != OK)
        return fail(err, REFUSED, "the query cannot be read, so the gateway refuses it");
    if (body[0] != 0 && readings_query(slice_str(body), &e->arena, &e->fields) != OK)
        return fail(err, BAD_INPUT, "the body fields cannot be read; expected NAME=VALUE, percent-encoded where needed");
    size_t methods = readings_methods(&e->m, &e->query, &e->fields, &e->arena, e->methods);
    if (methods == 0)
        return fail(err, REFUSED, "this request names more methods than the gateway reads, so it refuses it");
    e->r = (struct policy_request){ .methods = e->methods, .method_count = methods, .path = e->m.path, .query = e->query.v, .query_count = e->query.count,
                                    .body = e->fields.v, .body_count = e->fields.count, .body_seen = body[0] != 0 || bodiless };
    return OK;
}

/* Those whose yes would count. */
static json_t *who_may(const struct explain *e, const struct need *needs, size_t count)
{
    json_t *out = json_array();
    for (size_t i = 0; i < e->c->person_count && e->person != NULL; i++)
        if (policy_may_approve(needs, count, e->person, &e->c->people[i]))
            json_array_append_new(out, json_string(e->c->people[i].name));
    return out;
}

static const char *requirement_word(enum requirement r)
{
    return r == NEED_GRANT ? "grant" : r == NEED_SIGNOFF ? "signoff" : "deny";
}

static json_t *answer(const struct explain *e)
{
    char why[1024];
    struct verdict v = policy_judge(e->tool, &e->r);
    policy_explain(e->tool, &e->r, why, sizeof why);
    bool may_ask = policy_may_ask(e->tool, e->person);
    const char *requirement = e->person != NULL && may_ask ? requirement_word(v.requirement) : "deny";
    json_t *signoff_by = v.requirement == NEED_SIGNOFF ? who_may(e, v.action->signoff, v.action->signoff_count) : json_array();
    json_t *a = json_pack("{s:s, s:s?, s:s, s:s%, s:s?, s:s, s:b, s:b, s:b, s:s, s:o, s:o, s:s}", "identity", e->q->identity, "person", e->person ? e->person->name : NULL,
                     "tool", e->tool->name, "target", e->m.target.ptr, e->m.target.len, "action", v.action ? v.action->name : NULL, "requirement", requirement,
                     "may_ask", may_ask, "durable", v.action != NULL && v.action->durable, "wants_body", v.wants_body, "why", why,
                     "approvers", who_may(e, e->tool->approvers, e->tool->approver_count), "signoff_by", signoff_by,
                     "record", record_name(policy_record(&v)));
    json_t *alone = a ? explain_alone(e->tool, e->person, v.action, clock_wall_s()) : NULL;
    if (alone != NULL)
        json_object_update(a, alone);
    json_decref(alone);
    return a;
}

enum status explain_request(const struct config *c, const struct question *q, json_t **out, struct err *err)
{
    struct explain e = { .q = q, .c = c };
    if (!split_url(q->url, &e.host, &e.port, &e.target))
        return fail(err, BAD_INPUT, "'%s' is not an address of a tool; expected https://HOST[:PORT]/PATH", q->url);
    arena_init(&e.arena, EXPLAIN_MEMORY);
    enum status st = find_tool(&e, err);
    if (st == OK)
        st = read_request(&e, err);
    json_t *a = st == OK ? answer(&e) : NULL;
    if (st == OK && a == NULL)
        st = fail(err, NO_MEMORY, "there is not enough memory to explain this");
    arena_done(&e.arena);
    if (st == OK)
        *out = a;
    return st;
}
