#include "proxy/commands/asked_statement.h"
#include "proxy/commands/item.h"
#include "proxy/commands/words.h"

#include "authz/actions.h"

#include <stdio.h>
#include <string.h>

/* Clocks of two machines differ a little. */
enum { SKEW_S = 120 };

static enum status differs(struct err *err, const char *what)
{
    return fail(err, REFUSED, "the gateway asks to sign another %s than the one shown. Nothing was signed. Next: tell your security team", what);
}

static bool is(const char *theirs, const char *ours)
{
    return ours[0] != 0 && strcmp(theirs, ours) == 0;
}

static size_t names_in(const char *list)
{
    size_t n = list[0] != 0;
    for (; *list != 0; list++)
        n += *list == ',';
    return n;
}

/* The same names, in whatever order. "" stands for all, in a statement. */
static bool same_actions(const struct asked *a, const char *theirs)
{
    char ours[ACTIONS_TEXT_MAX] = "";
    size_t i;
    json_t *name;
    if (a->only != NULL)
        return theirs[0] != 0 && actions_within(a->only, theirs) && actions_within(theirs, a->only) && names_in(a->only) == names_in(theirs);
    json_array_foreach(json_array_member(a->item, "actions"), i, name) {
        size_t n = strlen(ours);
        snprintf(ours + n, sizeof ours - n, "%s%s", n ? "," : "", json_string_value(name) ? json_string_value(name) : "?");
    }
    return strcmp(ours[0] == 0 ? "*" : ours, theirs[0] == 0 ? "*" : theirs) == 0;
}

static enum status check_access(const struct asked *a, const json_t *scope, struct err *err)
{
    if (!is(json_text(scope, "tool"), json_text(a->item, "tool")))
        return differs(err, "tool");
    int64_t duration_s = a->duration_s ? a->duration_s : json_number(a->item, "duration_s");
    if (json_number(scope, "duration_s") <= 0 || json_number(scope, "duration_s") != duration_s)
        return differs(err, "duration");
    if (!same_actions(a, json_text(scope, "actions")))
        return differs(err, "list of actions");
    if (strcmp(json_text(scope, "extends"), json_text(a->item, "extends")) != 0)
        return differs(err, "grant to extend");
    if (json_number(scope, "start_within_s") != json_number(a->item, "start_within_s"))
        return differs(err, "begin");
    if (strcmp(json_text(scope, "reason"), json_text(a->item, "reason")) != 0)
        return differs(err, "reason");
    return OK;
}

/* A yes to a key is a yes to its fingerprint. */
static enum status check_new_key(const struct asked *a, const json_t *scope, struct err *err)
{
    static const char *const names[] = { "key", "method", "alg", "label" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!is(json_text(scope, names[i]), json_text(a->item, names[i])))
            return differs(err, names[i]);
    return OK;
}

/* A yes to a policy is a yes to its digest; the words are those that were shown. */
static enum status check_policy(const struct asked *a, const struct statement *s, struct err *err)
{
    if (!is(s->policy, json_text(a->item, "policy")) || !is(json_text(s->scope, "was"), json_text(a->item, "was")))
        return differs(err, "policy");
    return strcmp(json_text(s->scope, "changes"), json_text(a->item, "changes")) == 0 ? OK : differs(err, "list of changes");
}

static bool same(const json_t *scope, const char *name, struct slice ours)
{
    const json_t *v = json_object_get(scope, name);
    return json_is_string(v) && slice_eq(slice_of(json_string_value(v), json_string_length(v)), ours);
}

/* What the bytes decide is compared with the bytes; the rest with the item that was shown. */
static enum status check_signoff(const struct asked *a, const json_t *scope, struct err *err)
{
    const struct held_request *h = a->held;
    const struct {
        const char *name;
        struct slice ours;
    } rows[] = { { "tool", slice_str(json_text(a->item, "tool")) }, { "action", slice_str(json_text(a->item, "action")) }, { "method", h->blob.method },
        { "authority", h->blob.authority }, { "target", h->blob.target }, { "digest", slice_str(h->digest) }, { "body_sha256", slice_str(h->body_sha256) },
        { "reason", slice_str(json_text(a->item, "reason")) } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!same(scope, rows[i].name, rows[i].ours))
            return differs(err, rows[i].name);
    if ((uint64_t)json_number(scope, "body_len") != h->blob.body.len)
        return differs(err, "body length");
    return OK;
}

static enum status check_persons(const struct asked *a, const struct statement *s, struct err *err)
{
    if (!is(s->requester, json_text(a->item, "requester")))
        return differs(err, "requester");
    if (!is(s->identity, json_text(a->item, "identity")))
        return differs(err, "identity");
    if (!is(s->approver, a->person))
        return differs(err, "approver");
    if (strcmp(json_text(s->scope, "on_behalf_of"), s->requester) == 0)
        return fail(err, REFUSED, "it would be answered in the place of the one who asked. Nothing was signed. Next: tell your security team");
    if (strcmp(s->approver, s->requester) == 0)
        return fail(err, REFUSED, "you asked for this yourself; somebody else must answer. Nothing was signed");
    return OK;
}

enum status asked_statement_check(const struct asked *a, const json_t *object, struct err *err)
{
    struct statement s;
    enum status st = statement_read(object, &s, err);
    if (st != OK)
        return st;
    bool signoff = item_is_signoff(a->item);
    if (!is(s.instance, a->instance))
        return differs(err, "gateway");
    bool new_key = item_is_new_key(a->item);
    bool policy = item_is_policy(a->item);
    if (!is(s.purpose, signoff ? "signoff" : new_key ? "register-key" : policy ? "policy" : "access") || signoff != (a->held != NULL))
        return differs(err, "purpose");
    if (!is(s.decision, a->decision))
        return differs(err, "decision");
    if (strcmp(json_text(s.scope, "answer"), a->answer ? a->answer : "") != 0)
        return differs(err, "reason to say no");
    if (!is(s.key, a->key))
        return differs(err, "key");
    if (!is(s.method, "command-line"))
        return differs(err, "method");
    if (strcmp(json_text(s.scope, "on_behalf_of"), a->on_behalf_of ? a->on_behalf_of : json_text(a->item, "acting_for")) != 0)
        return differs(err, "person to act for");
    if (strncmp(s.id, "stm_", 4) != 0)
        return differs(err, "kind of statement");
    st = check_persons(a, &s, err);
    if (st == OK)
        st = signoff ? check_signoff(a, s.scope, err) : new_key ? check_new_key(a, s.scope, err) : policy ? check_policy(a, &s, err) : check_access(a, s.scope, err);
    if (st != OK)
        return st;
    if (s.iat_s > a->now_s + SKEW_S)
        return fail(err, REFUSED, "the statement was made in the future. Nothing was signed. Next: check this machine's clock");
    if (s.exp_s <= a->now_s - SKEW_S)
        return fail(err, EXPIRED, "the statement's time is over. Nothing was signed. Next: run the command again, and check this machine's clock");
    return OK;
}
