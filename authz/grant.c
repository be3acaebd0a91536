#include "authz/grant.h"

#include "authz/alone.h"
#include "authz/budget.h"

#include "proxy/base/codec.h"

#include <stdlib.h>

/* At most max bytes of s, cut before a character that would not fit whole (UTF-8). */
static json_t *cut_text(const char *s, size_t max)
{
    size_t n = strlen(s);
    if (n <= max)
        return json_string(s);
    for (n = max; n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80; n--)
        ;
    return json_stringn(s, n);
}

static json_t *make_claims(const struct grant_facts *f, size_t reason_max)
{
    json_t *claims = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:s, s:s, s:{s:s}, s:s, s:s, s:o, s:o, s:O, s:o, s:s, s:s, s:s, s:O*}",
                     "iss", f->instance, "aud", f->instance, "sub", f->identity, "iat", (json_int_t)f->iat_s, "nbf",
                     (json_int_t)f->iat_s, "exp", (json_int_t)f->exp_s, "jti", f->jti, "grant_id", f->grant_id, "use", "grant",
                     "basis", f->basis ? f->basis : BASIS_APPROVED, "cnf", "x5t#S256", f->x5t, "person", f->person, "tool", f->tool, "actions", f->actions ? json_deep_copy(f->actions) : json_pack("[s]", "*"),
                     "reason", cut_text(f->reason, reason_max), "approved_by", f->approved_by, "budget", f->budget ? json_deep_copy(f->budget) : json_object(), "policy", f->policy,
                     "key_storage", "unattested", "checkpoint", f->checkpoint, "external", f->external);
    if (claims != NULL && f->start_s > 0)
        json_object_set_new(claims, "start_when_used", json_integer(f->start_s));
    return claims;
}

enum status grant_issue(const struct jwt_signer *s, const struct grant_facts *f, char **token_out, struct err *err)
{
    static const size_t reason_sizes[] = { 2048, 1024, 256, 0 };
    enum status st = FULL;
    for (size_t i = 0; st == FULL && i < sizeof reason_sizes / sizeof *reason_sizes; i++) {
        json_t *claims = make_claims(f, reason_sizes[i]);
        if (claims == NULL)
            return fail(err, NO_MEMORY, "grant claims");
        st = jwt_sign(s, claims, token_out, err);
        json_decref(claims);
    }
    return st;
}

static bool all_strings(const json_t *list, size_t max)
{
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n == 0 || n > max)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!json_is_string(json_array_get(list, i)))
            return false;
    return true;
}

/* A grant of basis "approved" names at least one approver, none of them its holder, nor anybody who acted for its holder (promise 2). The kinds that have no
 * second person say so, and name none. */
static bool approvers_sound(const struct grant *g)
{
    size_t n = json_array_size(g->approved_by);
    for (size_t i = 0; i < n; i++) {
        const char *person = NULL, *statement = NULL, *key = NULL, *behalf = "";
        if (json_unpack(json_array_get(g->approved_by, i), "{s:s, s:s, s:s, s?s}", "person", &person, "statement", &statement, "key",
                        &key, "on_behalf_of", &behalf) != 0
            || strcmp(person, g->person) == 0 || strcmp(behalf, g->person) == 0)
            return false;
    }
    return n > 0 ? strcmp(g->basis, BASIS_APPROVED) == 0 : json_is_array(g->approved_by) && basis_is_alone(g->basis);
}

/* One of basis "external" names its issuer and the token that was admitted, and no approver: nobody said yes here. */
static bool external_sound(const struct grant *g)
{
    const char *name = NULL, *iss = NULL, *jti = NULL, *kid = NULL, *key = NULL, *hash = NULL;
    unsigned char raw[32];
    size_t len = 0;
    return json_is_array(g->approved_by) && json_array_size(g->approved_by) == 0
           && json_unpack((json_t *)(uintptr_t)g->external, "{s:s, s:s, s:s, s:s, s:s, s:s}", "name", &name, "iss", &iss, "jti", &jti, "kid", &kid, "key", &key,
                          "sha256", &hash) == 0
           && b64url_decode(slice_str(hash), raw, sizeof raw, &len) == OK && len == sizeof raw;
}

static bool basis_sound(const struct grant *g)
{
    return g->external != NULL ? strcmp(g->basis, BASIS_EXTERNAL) == 0 && external_sound(g) : approvers_sound(g);
}

static enum status read_claims(json_t *claims, struct grant *g, struct err *err)
{
    json_int_t iat = 0, exp = 0;
    json_t *actions = NULL, *approved_by = NULL, *budget = NULL;
    size_t len = 0;
    if (json_unpack(claims, "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:{s:s}, s:I, s:I, s:o, s:o, s:o}", "grant_id", &g->grant_id,
                    "jti", &g->jti, "person", &g->person, "sub", &g->identity, "tool", &g->tool, "reason", &g->reason, "basis",
                    &g->basis, "policy", &g->policy, "checkpoint", &g->checkpoint, "cnf", "x5t#S256", &g->x5t, "iat", &iat,
                    "exp", &exp, "actions", &actions, "approved_by", &approved_by, "budget", &budget) != 0)
        return fail(err, BAD_TOKEN, "a claim of the grant is missing or has the wrong type");
    g->iat_s = iat;
    g->exp_s = exp;
    g->actions = actions;
    g->approved_by = approved_by;
    g->budget = budget;
    const json_t *start = json_object_get(claims, "start_when_used");
    g->start_s = json_integer_value(start);
    if (start != NULL && (!json_is_integer(start) || g->start_s <= 0 || g->start_s > GRANT_LIFETIME_MAX_S))
        return fail(err, BAD_TOKEN, "the grant's time from its first use on is not sound");
    if (b64url_decode(slice_str(g->x5t), g->thumbprint, sizeof g->thumbprint, &len) != OK || len != sizeof g->thumbprint)
        return fail(err, BAD_TOKEN, "the grant's certificate thumbprint is broken");
    g->external = json_object_get(claims, "external");
    if (!all_strings(actions, 64) || !basis_sound(g))
        return fail(err, BAD_TOKEN, "the grant's actions or approvers are not sound");
    if (!budget_claim_sound(budget))
        return fail(err, BAD_TOKEN, "the grant's budget is not sound");
    return OK;
}

enum status grant_verify(const struct jwt_keys *keys, const char *instance, struct slice token, int64_t now_s, struct grant *out,
                         struct err *err)
{
    struct jwt_expect expect = { instance, instance, "grant", now_s, GRANT_LIFETIME_MAX_S };
    struct grant g = { 0 };
    enum status st = jwt_verify(keys, token, &expect, &g.claims, err);
    if (st != OK)
        return st;
    st = read_claims(g.claims, &g, err);
    if (st == OK)
        *out = g;
    else
        json_decref(g.claims);
    return st;
}

void grant_done(struct grant *g)
{
    json_decref(g->claims);
    *g = (struct grant){ 0 };
}

bool grant_allows(const struct grant *g, struct slice action)
{
    for (size_t i = 0; i < json_array_size(g->actions); i++) {
        struct slice name = slice_str(json_string_value(json_array_get(g->actions, i)));
        if (slice_eq(name, SLICE("*")) || slice_eq(name, action))
            return true;
    }
    return false;
}
