/* The hash that grants and statements carry of the policy they were made under. Everything that decides about this tool is in it; who is in which group
 * is not, since persons come and go and their groups are looked up anew whenever they count. */
#include "authz/policy.h"

#include "authz/canonical.h"
#include "config/forms.h"
#include "proxy/base/codec.h"

#include <stdlib.h>

static json_t *texts(char *const *v, size_t count)
{
    json_t *out = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(out, json_string(v[i]));
    return out;
}

static json_t *needs(const struct need *v, size_t count)
{
    json_t *out = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(out, json_pack("{s:s, s:i, s:s, s:s*}", "group", v[i].group, "count", (int)v[i].count, "method", method_name(v[i].method), "when",
                                             v[i].when ? v[i].when->text : NULL));
    return out;
}

static json_t *fields(const struct field_rule *v, size_t count)
{
    json_t *out = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(out, json_pack("{s:s, s:s*}", "name", v[i].name, "equals", v[i].equals));
    return out;
}

static json_t *actions(const struct tool *t)
{
    json_t *out = json_array();
    for (size_t i = 0; i < t->action_count; i++) {
        const struct action *a = &t->actions[i];
        const char *record = a->record == RECORD_FULL ? NULL : record_name(a->record);   /* left out: hashes made before there was a choice hold */
        json_t *one = json_pack("{s:s, s:o, s:s, s:o, s:o, s:s, s:o, s:b, s:s*}", "name", a->name, "methods", texts(a->methods, a->method_count),
                                "path", a->path, "query", fields(a->query, a->query_count), "body", fields(a->body, a->body_count),
                                "allow", requirement_name(a->requirement), "signoff", needs(a->signoff, a->signoff_count),
                                "durable", a->durable, "record", record);
        if (one != NULL && a->cross_origin_count > 0)   /* likewise */
            json_object_set_new(one, "cross_origin", texts(a->cross_origin, a->cross_origin_count));
        json_array_append_new(out, one);
    }
    return out;
}

static json_t *budget(const struct budget *b)
{
    json_t *limits = json_array(), *distinct = json_array();
    for (size_t i = 0; i < b->action_count; i++)
        json_array_append_new(limits, json_pack("{s:s, s:i}", "action", b->actions[i].action, "max", (int)b->actions[i].max));
    for (size_t i = 0; i < b->distinct_count; i++)
        json_array_append_new(distinct, json_pack("{s:s, s:s*, s:s*, s:i}", "name", b->distinct[i].name, "path", b->distinct[i].path, "query",
                                                  b->distinct[i].query, "max", (int)b->distinct[i].max));
    return json_pack("{s:i, s:I, s:o, s:o}", "requests", (int)b->requests, "bytes_out", (json_int_t)b->bytes_out, "actions", limits, "distinct", distinct);
}

static json_t *break_glass(const struct break_glass *b)
{
    return json_pack("{s:o, s:I, s:o}", "groups", texts(b->groups, b->group_count), "max_duration_ms", (json_int_t)b->max_duration_ms, "reviewers",
                     texts(b->reviewers, b->reviewer_count));
}

static json_t *autos(const struct tool *t)
{
    json_t *out = json_array();
    for (size_t i = 0; i < t->auto_count; i++) {
        const struct auto_rule *r = &t->autos[i];
        json_array_append_new(out, json_pack("{s:s, s:o, s:s*, s:o, s:I, s:i, s:s*}", "name", r->name, "groups", texts(r->groups, r->group_count), "when",
                                             r->when ? r->when->text : NULL, "actions", texts(r->actions, r->action_count), "max_duration_ms",
                                             (json_int_t)r->max_duration_ms, "per_day", (int)r->per_day, "reason", r->reason));
    }
    return out;
}

/* What came later stands there only when it is set: hashes made before there was a choice hold. */
static void add_later(json_t *out, const struct tool *t)
{
    if (t->break_glass.group_count > 0)
        json_object_set_new(out, "break_glass", break_glass(&t->break_glass));
    if (t->auto_count > 0)
        json_object_set_new(out, "auto", autos(t));
    if (t->start_within_ms > 0)
        json_object_set_new(out, "start_within_ms", json_integer(t->start_within_ms));
    if (t->dom.enabled)
        json_object_set_new(out, "dom_recording", json_pack("{s:o, s:o}", "show", texts(t->dom.show, t->dom.show_count), "hide", texts(t->dom.hide, t->dom.hide_count)));
}

/* Where the tool is matters too: a grant for one upstream is not one for another. */
static json_t *upstreams(const struct tool *t)
{
    json_t *out = json_array();
    for (size_t i = 0; i < t->upstream_count; i++)
        json_array_append_new(out, json_string(t->upstreams[i].text));
    return out;
}

/* Of several upstreams the list; of one, its parts. */
static json_t *place_json(const struct tool *t)
{
    const struct upstream_address *u = t->upstreams;
    if (t->upstream_count != 1 || u->host == NULL || u->h2)
        return json_pack("{s:o}", "upstreams", upstreams(t));
    return json_pack("{s:s, s:i, s:b}", "upstream_host", u->host, "upstream_port", (int)u->port, "upstream_tls", u->tls);
}

static json_t *policy_json(const struct config *c, const struct tool *t)
{
    json_t *place = place_json(t);
    json_t *out = json_pack("{s:i, s:s, s:s, s:s, s:o, s:o, s:I, s:i, s:o, s:o, s:b, s:o}", "v", 1, "instance", c->instance, "tool", t->name, "host", t->host,
                     "who", texts(t->who, t->who_count), "approvers", needs(t->approvers, t->approver_count),
                     "max_duration_ms", (json_int_t)t->max_duration_ms, "allow_in_target", (int)t->allow_in_target, "actions", actions(t),
                     "cross_origin", texts(t->cross_origin, t->cross_origin_count), "allow_service_worker", t->allow_service_worker, "budget", budget(&t->budget));
    if (json_object_update(out, place) != 0) {
        json_decref(out);
        out = NULL;
    }
    json_decref(place);
    if (out != NULL)
        add_later(out, t);
    return out;
}

void policy_hash(const struct config *c, const struct tool *tool, char out[65])
{
    char *text = NULL;
    size_t len = 0;
    unsigned char digest[32];
    json_t *policy = policy_json(c, tool);
    if (policy == NULL || canonical_json(policy, &text, &len, NULL) != OK)
        abort();   /* no memory, or a config that config_load never makes: a wrong hash would be worse */
    sha256_one(slice_of(text, len), digest);
    hex_encode(slice_of(digest, sizeof digest), out);
    free(text);
    json_decref(policy);
}
