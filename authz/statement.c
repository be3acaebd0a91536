#include "authz/statement.h"

#include "authz/canonical.h"
#include "authz/jwt.h"

#include <stdlib.h>

json_t *statement_make(const struct statement *in)
{
    json_t *o = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s}", "v", 1, "instance", in->instance,
                          "purpose", in->purpose, "decision", in->decision, "id", in->id, "requester", in->requester,
                          "identity", in->identity, "approver", in->approver, "key", in->key, "method", in->method,
                          "iat", (json_int_t)in->iat_s,
                          "exp", (json_int_t)in->exp_s, "policy", in->policy);
    json_t *scope = json_deep_copy(in->scope);
    if (o != NULL && scope != NULL && json_object_set_new(o, "scope", scope) == 0)
        return o;
    json_decref(o);
    return NULL;
}

json_t *statement_scope_access(const char *tool, int64_t duration_s, const char *reason)
{
    return json_pack("{s:s, s:I, s:s}", "tool", tool, "duration_s", (json_int_t)duration_s, "reason", reason);
}

json_t *statement_scope_part(const char *tool, int64_t duration_s, const char *reason, const char *actions, const char *extends)
{
    return json_pack("{s:s, s:I, s:s, s:s*, s:s*}", "tool", tool, "duration_s", (json_int_t)duration_s, "reason", reason, "actions",
                     strcmp(actions, "*") != 0 ? actions : NULL, "extends", extends[0] != 0 ? extends : NULL);
}

json_t *statement_scope_signoff(const struct statement_request *r)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s}", "tool", r->tool, "action", r->action, "method", r->method,
                     "authority", r->authority, "target", r->target, "digest", r->digest, "body_len",
                     (json_int_t)r->body_len, "body_sha256", r->body_sha256, "reason", r->reason);
}

json_t *statement_scope_unlock(const char *lock_id, const char *kind, const char *value, const char *reason)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "lock_id", lock_id, "kind", kind, "value", value, "reason", reason);
}

json_t *statement_scope_key(const char *key, const char *method, const char *alg, const char *label)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "key", key, "method", method, "alg", alg, "label", label);
}

json_t *statement_scope_delegate(const char *delegation, const char *delegate, const char *tools, const char *kinds, int64_t until_s)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:I}", "delegation", delegation, "delegate", delegate, "tools", tools, "kinds", kinds, "until_s", (json_int_t)until_s);
}

json_t *statement_scope_review(const char *review, const char *session, const char *tool, const char *reason, const char *outcome, const char *words)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "review", review, "session", session, "tool", tool, "reason", reason, "outcome", outcome, "words", words);
}

json_t *statement_scope_policy(const char *was, const char *changes)
{
    return json_pack("{s:s, s:s}", "was", was, "changes", changes);
}

static bool one_of(const char *s, const char *a, const char *b)
{
    return strcmp(s, a) == 0 || strcmp(s, b) == 0;
}

static const char *const access_members[] = { "tool", "duration_s", "reason", "actions", "extends", "start_within_s", "answer", "on_behalf_of", NULL };
static const char *const signoff_members[] = { "tool",   "action",   "method",      "authority", "target",
                                               "digest", "body_len", "body_sha256", "reason",    "answer", "on_behalf_of", NULL };

static const char *const unlock_members[] = { "lock_id", "kind", "value", "reason", NULL };
static const char *const delegate_members[] = { "delegation", "delegate", "tools", "kinds", "until_s", NULL };
static const char *const review_members[] = { "review", "session", "tool", "reason", "outcome", "words", NULL };
static const char *const policy_members[] = { "was", "changes", "answer", NULL };
static const char *const key_members[] = { "key", "method", "alg", "label", "answer", NULL };

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), k = strlen(end);
    return n >= k && strcmp(name + n - k, end) == 0;
}

static bool is_optional(const char *name)
{
    static const char *const names[] = { "actions", "extends", "start_within_s", "answer", "on_behalf_of" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* Exactly these members; numbers are those named *_s and *_len; some stand there only when they say something. */
static bool scope_is(const json_t *scope, const char *const *members)
{
    size_t n = 0, left_out = 0;
    for (; members[n] != NULL; n++) {
        const json_t *v = json_object_get(scope, members[n]);
        bool number = ends_with(members[n], "_s") || ends_with(members[n], "_len");
        if (is_optional(members[n]) && v == NULL)
            left_out++;
        else if (number ? !json_is_integer(v) || json_integer_value(v) < 0 : !json_is_string(v))
            return false;
    }
    return json_object_size(scope) == n - left_out;
}

static const char *const *members_of(const char *purpose)
{
    return strcmp(purpose, "access") == 0         ? access_members
           : strcmp(purpose, "signoff") == 0      ? signoff_members
           : strcmp(purpose, "register-key") == 0 ? key_members
           : strcmp(purpose, "unlock") == 0       ? unlock_members
           : strcmp(purpose, "review") == 0       ? review_members
           : strcmp(purpose, "delegate") == 0     ? delegate_members
           : strcmp(purpose, "policy") == 0       ? policy_members
                                                  : NULL;
}

enum status statement_read(const json_t *object, struct statement *out, struct err *err)
{
    int v = 0;
    json_int_t iat = 0, exp = 0;
    struct statement s = { 0 };
    json_t *scope = NULL;
    /* json_unpack only reads; its prototype lacks the const. "!" refuses members that are not named here. */
    if (json_unpack((json_t *)(uintptr_t)object, "{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:o !}", "v", &v,
                    "instance", &s.instance, "purpose", &s.purpose, "decision", &s.decision, "id", &s.id, "requester",
                    &s.requester, "identity", &s.identity, "approver", &s.approver, "key", &s.key, "method", &s.method, "iat", &iat, "exp", &exp,
                    "policy", &s.policy, "scope", &scope) != 0
        || v != 1 || iat <= 0 || exp <= iat || exp - iat > STATEMENT_LIFETIME_S)
        return fail(err, BAD_INPUT, "not a statement of version 1 with exactly its members");
    const char *const *members = members_of(s.purpose);
    if (members == NULL || !one_of(s.decision, "approve", "deny") || !scope_is(scope, members))
        return fail(err, BAD_INPUT, "the statement's purpose, decision or scope is none we know");
    if (json_object_get(scope, "answer") != NULL && strcmp(s.decision, "deny") != 0)
        return fail(err, BAD_INPUT, "only a no says why");
    if (!one_of(s.method, "command-line", "passkey") && strcmp(s.method, "hardware") != 0)
        return fail(err, BAD_INPUT, "the statement's method is none we know");
    s.iat_s = iat;
    s.exp_s = exp;
    s.scope = scope;
    *out = s;
    return OK;
}

enum status statement_sign(const json_t *object, EVP_PKEY *key, char **jws_out, struct err *err)
{
    char *text = NULL, kid[44];
    size_t len = 0;
    enum status st = canonical_json(object, &text, &len, err);
    if (st != OK)
        return st;
    key_fingerprint(key, kid);
    st = jws_sign_detached(key, kid, slice_of(text, len), jws_out, err);
    free(text);
    return st;
}

enum status statement_verify(const json_t *object, EVP_PKEY *key, struct slice jws, struct err *err)
{
    struct statement s;
    char *text = NULL, kid[44];
    size_t len = 0;
    enum status st = statement_read(object, &s, err);
    if (st != OK)
        return st;
    key_fingerprint(key, kid);
    if (strcmp(kid, s.key) != 0)
        return fail(err, BAD_TOKEN, "the statement names another key than the one it is checked with");
    st = canonical_json(object, &text, &len, err);
    if (st != OK)
        return st;
    st = jws_verify_detached(key, kid, jws, slice_of(text, len), err);
    free(text);
    return st;
}
