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
        json_array_append_new(out, json_pack("{s:s, s:i, s:s}", "group", v[i].group, "count", (int)v[i].count, "method", method_name(v[i].method)));
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
        json_array_append_new(out, json_pack("{s:s, s:o, s:s, s:o, s:o, s:s, s:o, s:b, s:s*}", "name", a->name, "methods", texts(a->methods, a->method_count),
                                             "path", a->path, "query", fields(a->query, a->query_count), "body", fields(a->body, a->body_count),
                                             "allow", requirement_name(a->requirement), "signoff", needs(a->signoff, a->signoff_count),
                                             "durable", a->durable, "record", record));
    }
    return out;
}

/* Where the tool is matters too: a grant for one upstream is not one for another. */
static json_t *policy_json(const struct config *c, const struct tool *t)
{
    return json_pack("{s:i, s:s, s:s, s:s, s:s, s:i, s:b, s:o, s:o, s:I, s:i, s:o, s:o, s:b}", "v", 1, "instance", c->instance, "tool", t->name, "host", t->host,
                     "upstream_host", t->upstream_host, "upstream_port", (int)t->upstream_port, "upstream_tls", t->upstream_tls,
                     "who", texts(t->who, t->who_count), "approvers", needs(t->approvers, t->approver_count),
                     "max_duration_ms", (json_int_t)t->max_duration_ms, "allow_in_target", (int)t->allow_in_target, "actions", actions(t),
                     "cross_origin", texts(t->cross_origin, t->cross_origin_count), "allow_service_worker", t->allow_service_worker);
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
