#include "authz/external.h"

#include "authz/jwt_internal.h"

#include "proxy/base/codec.h"
#include "proxy/base/file.h"

#include <stdlib.h>

enum { JWKS_FILE_MAX = 256 * 1024, JWKS_FETCHED_MAX = 48 * 1024, JTI_MAX = 128, ACTIONS_EACH = 32 };

struct keys_of {
    const struct issuer *issuer;
    struct jwt_keys *keys;
};

struct external {
    struct keys_of *v;
    size_t count;
};

/* ---- keys ---- */

static bool uses(const struct issuer *i, const char *algorithm)
{
    for (size_t k = 0; k < i->algorithm_count; k++)
        if (strcmp(i->algorithms[k], algorithm) == 0)
            return true;
    return false;
}

static enum status read_keys(const struct issuer *i, const json_t *jwks, struct jwt_keys **out, struct err *err)
{
    return jwt_keys_foreign(jwks, uses(i, "ES256"), uses(i, "RS256"), out, err);
}

static enum status read_jwks(const struct issuer *i, struct jwt_keys **out, struct err *err)
{
    unsigned char *bytes = NULL;
    size_t len = 0;
    struct err why = { .text = "" };
    json_error_t at;
    enum status st = file_read(i->jwks_file, JWKS_FILE_MAX, false, &bytes, &len, &why);
    json_t *jwks = st == OK ? json_loadb((const char *)bytes, len, JSON_REJECT_DUPLICATES, &at) : NULL;
    if (st == OK && jwks == NULL)
        st = fail(&why, BAD_INPUT, "'%s', line %d: %s", i->jwks_file, at.line, at.text);
    if (st == OK)
        st = read_keys(i, jwks, out, &why);
    json_decref(jwks);
    free(bytes);
    return st == OK ? OK : fail(err, st == NO_MEMORY ? NO_MEMORY : BAD_CONFIG, "the keys of the issuer '%s' (%s): %s", i->name, i->jwks_file, why.text);
}

/* Who signed must never be a question: a key stands with one issuer, and ours with none. keys: those of this issuer, that are or will be with `at`. */
static enum status check_apart(const struct external *e, const struct keys_of *at, const struct jwt_keys *keys, const struct jwt_keys *own, struct err *err)
{
    const char *kid = jwt_keys_shared(keys, own), *name = at->issuer->name;
    if (kid != NULL)
        return fail(err, BAD_CONFIG, "the keys of the issuer '%s': '%s' is this gateway's own key", name, kid);
    for (size_t i = 0; own != NULL && i < own->count; i++)
        if (jwt_find_key(keys, own->v[i].kid) != NULL)
            return fail(err, BAD_CONFIG, "the keys of the issuer '%s': '%s' is the kid of this gateway's own key", name, own->v[i].kid);
    for (const struct keys_of *other = e->v; other < e->v + e->count; other++)
        if (other != at && (kid = jwt_keys_shared(keys, other->keys)) != NULL)
            return fail(err, BAD_CONFIG, "the keys of the issuer '%s': '%s' is a key of '%s' too", name, kid, other->issuer->name);
    return OK;
}

enum status external_load(const struct config *c, const struct jwt_keys *own, struct external **out, struct err *err)
{
    struct external *e = calloc(1, sizeof *e);
    enum status st = e != NULL && (e->v = calloc(c->issuer_count + 1, sizeof *e->v)) != NULL ? OK : fail(err, NO_MEMORY, "issuers");
    for (size_t i = 0; st == OK && i < c->issuer_count; i++) {
        struct keys_of *k = &e->v[e->count++];
        k->issuer = &c->issuers[i];
        if (k->issuer->jwks_url != NULL)
            continue;
        st = read_jwks(k->issuer, &k->keys, err);
        if (st == OK)
            st = check_apart(e, k, k->keys, own, err);
    }
    if (st == OK)
        *out = e;
    else
        external_free(e);
    return st;
}

void external_free(struct external *e)
{
    if (e == NULL)
        return;
    for (size_t i = 0; i < e->count; i++)
        jwt_keys_free(e->v[i].keys);
    free(e->v);
    free(e);
}

/* ---- keys that were fetched ---- */

enum status external_put(struct external *e, const struct issuer *i, const json_t *jwks, const struct jwt_keys *own, struct err *err)
{
    struct keys_of *k = NULL;
    struct jwt_keys *keys = NULL;
    for (size_t n = 0; n < e->count; n++)
        if (strcmp(e->v[n].issuer->iss, i->iss) == 0 && e->v[n].issuer->jwks_url != NULL)
            k = &e->v[n];
    if (k == NULL)
        return fail(err, NOT_FOUND, "no issuer '%s' has a URL", i->name);
    enum status st = jwks ? read_keys(k->issuer, jwks, &keys, err) : OK;
    if (st == OK && keys != NULL && (st = check_apart(e, k, keys, own, err)) == BAD_CONFIG)
        st = BAD_INPUT;
    if (st == OK) {
        jwt_keys_free(k->keys);
        k->keys = keys;
    } else {
        jwt_keys_free(keys);
    }
    return st;
}

/* The members that make a key. `alg` stays: a key is for the one algorithm that it says. */
static json_t *bare(const json_t *jwk)
{
    static const char *const members[] = { "kty", "kid", "alg", "crv", "x", "y", "n", "e" };
    json_t *out = json_object();
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (json_object_get(jwk, members[i]) != NULL)
            json_object_set(out, members[i], json_object_get(jwk, members[i]));
    return out;
}

static bool for_signatures(const json_t *jwk)
{
    const json_t *use = json_object_get(jwk, "use");
    return use == NULL || (json_is_string(use) && strcmp(json_string_value(use), "sig") == 0);
}

/* Servers list their keys in any order, so that the same set reads the same here. Of one kid there may be a key of a kind that nobody uses here beside the one that counts: these stay in
 * their order, or what is read again would read differently. */
static json_t *kept(const json_t *jwks, const struct jwt_keys *keys)
{
    json_t *list = json_array(), *jwk;
    size_t i;
    json_array_foreach(json_object_get(jwks, "keys"), i, jwk)
    {
        const char *kid = json_string_value(json_object_get(jwk, "kid"));
        size_t at = 0;
        if (kid == NULL || !for_signatures(jwk) || jwt_find_key(keys, kid) == NULL)
            continue;
        while (at < json_array_size(list) && strcmp(json_string_value(json_object_get(json_array_get(list, at), "kid")), kid) <= 0)
            at++;
        json_array_insert_new(list, at, bare(jwk));
    }
    return json_pack("{s:o}", "keys", list);
}

enum status external_read(const struct issuer *i, struct slice text, json_t **out, struct err *err)
{
    struct jwt_keys *keys = NULL, *again = NULL;
    json_error_t at;
    json_t *jwks = text.len <= JWKS_FETCHED_MAX ? json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, &at) : NULL, *made = NULL;
    enum status st = text.len > JWKS_FETCHED_MAX ? fail(err, BAD_INPUT, "what was fetched is longer than %d bytes", JWKS_FETCHED_MAX)
                     : jwks == NULL             ? fail(err, BAD_INPUT, "what was fetched is no JSON: line %d: %s", at.line, at.text)
                                                : read_keys(i, jwks, &keys, err);
    if (st == OK && (made = kept(jwks, keys)) == NULL)
        st = fail(err, NO_MEMORY, "JWKS");
    if (st == OK)                     /* what is kept is what will be read from the log */
        st = read_keys(i, made, &again, err);
    if (st == OK)
        *out = made;
    else
        json_decref(made);
    jwt_keys_free(keys);
    jwt_keys_free(again);
    json_decref(jwks);
    return st;
}

/* ---- whose it claims to be ---- */

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

/* The second of exactly three parts, none of them empty. */
static bool middle_part(struct slice token, struct slice *out)
{
    size_t first = slice_find(token, '.');
    if (first == 0 || first >= token.len)
        return false;
    struct slice rest = slice_from(token, first + 1);
    size_t second = slice_find(rest, '.');
    *out = slice_of(rest.ptr, second);
    if (second == 0 || second + 1 >= rest.len)
        return false;
    rest = slice_from(rest, second + 1);
    return slice_find(rest, '.') == rest.len;
}

/* The claims, read strictly and believed in nothing. */
static json_t *payload(struct slice token, struct err *err)
{
    unsigned char bytes[TOKEN_MAX];
    size_t len = 0;
    struct slice part;
    json_t *claims = NULL;
    if (token.len == 0 || token.len > TOKEN_MAX)
        (void)fail(err, BAD_TOKEN, "the token is empty or longer than %d bytes", TOKEN_MAX);
    else if (!middle_part(token, &part))
        (void)fail(err, BAD_TOKEN, "the token has not three parts");
    else if (b64url_decode(part, bytes, sizeof bytes, &len) != OK
             || (claims = json_loadb((const char *)bytes, len, JSON_REJECT_DUPLICATES, NULL)) == NULL || !json_is_object(claims)) {
        (void)fail(err, BAD_TOKEN, "the token's payload is not one JSON object");
        json_decref(claims);
        claims = NULL;
    }
    return claims;
}

/* Nothing that a compact JWS never holds, so that it goes into a message as it is. */
static bool compact(struct slice token)
{
    for (size_t i = 0; i < token.len; i++)
        if (token.ptr[i] <= ' ' || token.ptr[i] > '~' || token.ptr[i] == '"' || token.ptr[i] == '\\')
            return false;
    return true;
}

const struct issuer *external_claimed(const struct config *c, struct slice token)
{
    const struct issuer *found = NULL;
    struct err err;
    json_t *claims = c->issuer_count > 0 && compact(token) ? payload(token, &err) : NULL;
    const char *iss = text(claims, "iss");
    for (size_t i = 0; i < c->issuer_count && found == NULL; i++)
        if (strcmp(c->issuers[i].iss, iss) == 0)
            found = &c->issuers[i];
    json_decref(claims);
    return found;
}

/* ---- verification ---- */

static const struct keys_of *keys_of(const struct external *e, const char *iss)
{
    for (size_t i = 0; e != NULL && i < e->count; i++)
        if (strcmp(e->v[i].issuer->iss, iss) == 0)
            return &e->v[i];
    return NULL;
}

/* The kid that its header names, which may be anything. */
static bool kid_of(struct slice token, char out[KID_MAX + 1])
{
    unsigned char bytes[TOKEN_MAX];
    size_t len = 0, end = slice_find(token, '.');
    json_t *header = end < token.len && b64url_decode(slice_of(token.ptr, end), bytes, sizeof bytes, &len) == OK
                         ? json_loadb((const char *)bytes, len, JSON_REJECT_DUPLICATES, NULL)
                         : NULL;
    bool good = jwt_is_kid(text(header, "kid"));
    if (good)
        memcpy(out, text(header, "kid"), strlen(text(header, "kid")) + 1);
    json_decref(header);
    return good;
}

const struct issuer *external_unknown_key(const struct external *e, struct slice token)
{
    char kid[KID_MAX + 1];
    struct err err;
    json_t *claims = token.len <= TOKEN_MAX && kid_of(token, kid) ? payload(token, &err) : NULL;
    const struct keys_of *k = claims ? keys_of(e, text(claims, "iss")) : NULL;
    json_decref(claims);
    bool unknown = k != NULL && k->issuer->jwks_url != NULL && (k->keys == NULL || jwt_find_key(k->keys, kid) == NULL);
    return unknown ? k->issuer : NULL;
}

static bool in_list(char *const *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], name) == 0)
            return true;
    return false;
}

static bool only_known(const json_t *claims)
{
    static const char known[][9] = { "iss", "aud", "sub", "iat", "exp", "nbf", "jti", "use", "cnf", "tool", "actions", "reason" };
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)claims, name, value)
    {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found = found || strcmp(known[i], name) == 0;
        if (!found)
            return false;
    }
    return true;
}

/* A word of printable ASCII: it is shown, logged and hashed. */
static bool plain(const char *s, size_t max)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++)
        if (s[i] <= ' ' || s[i] > '~')
            return false;
    return n > 0 && n <= max;
}

static bool is_x5t(const json_t *cnf)
{
    unsigned char raw[32];
    size_t len = 0;
    return json_is_object(cnf) && json_object_size(cnf) == 1 && b64url_decode(slice_str(text(cnf, "x5t#S256")), raw, sizeof raw, &len) == OK
           && len == sizeof raw;
}

/* Names, each once; "*" only by itself. */
static bool are_actions(const json_t *list)
{
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (name == NULL || !plain(name, 64) || (strcmp(name, "*") == 0 && n > 1))
            return false;
        for (size_t k = 0; k < i; k++)
            if (strcmp(json_string_value(json_array_get(list, k)), name) == 0)
                return false;
    }
    return n > 0 && n <= ACTIONS_EACH;
}

static bool may_grant(const struct issuer *i, const json_t *actions)
{
    for (size_t k = 0; k < json_array_size(actions); k++)
        if (!in_list(i->actions, i->action_count, "*") && !in_list(i->actions, i->action_count, json_string_value(json_array_get(actions, k))))
            return false;
    return true;
}

/* What jwt_verify() does not know of. */
static enum status check_claims(const struct issuer *i, const json_t *claims, struct err *err)
{
    const json_t *actions = json_object_get(claims, "actions");
    if (!only_known(claims))
        return fail(err, BAD_TOKEN, "the token has claims that this gateway does not know, which might narrow it");
    if (!plain(text(claims, "jti"), JTI_MAX))
        return fail(err, BAD_TOKEN, "the token's jti is not 1 to %d printable characters", JTI_MAX);
    if (!plain(text(claims, "sub"), 320))
        return fail(err, BAD_TOKEN, "the token names no identity as sub");
    if (!is_x5t(json_object_get(claims, "cnf")))
        return fail(err, BAD_TOKEN, "the token is not bound to a certificate by cnf with x5t#S256 alone");
    if (!are_actions(actions))
        return fail(err, BAD_TOKEN, "the token's actions are not 1 to %d names, each once", ACTIONS_EACH);
    if (!json_is_string(json_object_get(claims, "reason")) || !json_is_string(json_object_get(claims, "tool")))
        return fail(err, BAD_TOKEN, "the token names no tool or no reason");
    if (!in_list(i->tools, i->tool_count, text(claims, "tool")))
        return fail(err, BAD_TOKEN, "the token's issuer may not grant this tool");
    if (!may_grant(i, actions))
        return fail(err, BAD_TOKEN, "the token's issuer may not grant all of these actions");
    return OK;
}

/* A jti is the issuer's own, so both make the name; the length keeps "a" + "bc" and "ab" + "c" apart. */
static void name_token(const char *iss, const char *jti, char out[48])
{
    unsigned char hash[32], length = (unsigned char)strlen(jti);
    const struct slice pieces[] = { SLICE("countersign-external-v1"), slice_of(&length, 1), slice_str(jti), slice_str(iss) };
    sha256(pieces, sizeof pieces / sizeof *pieces, hash);
    memcpy(out, "ext_", 4);
    b64url_encode(slice_of(hash, sizeof hash), out + 4);
}

static void fill(const struct issuer *i, const struct jwt_key *key, json_t *claims, struct external_grant *g)
{
    *g = (struct external_grant){ .issuer = i, .jti = text(claims, "jti"), .identity = text(claims, "sub"), .x5t = text(json_object_get(claims, "cnf"), "x5t#S256"),
                                  .tool = text(claims, "tool"), .reason = text(claims, "reason"), .actions = json_object_get(claims, "actions"),
                                  .iat_s = json_integer_value(json_object_get(claims, "iat")), .exp_s = json_integer_value(json_object_get(claims, "exp")),
                                  .claims = claims };
    memcpy(g->kid, key->kid, sizeof g->kid);
    memcpy(g->key, key->fingerprint, sizeof g->key);
    name_token(i->iss, g->jti, g->id);
}

enum status external_verify(const struct external *e, const char *instance, struct slice token, int64_t now_s, struct external_grant *out, struct err *err)
{
    const struct jwt_key *key = NULL;
    json_t *claims = payload(token, err);   /* only to see whose keys it is to be held against */
    if (claims == NULL)
        return BAD_TOKEN;
    const struct keys_of *k = keys_of(e, text(claims, "iss"));
    json_decref(claims);
    if (k == NULL)
        return fail(err, BAD_TOKEN, "the token has another issuer");
    if (k->keys == NULL)
        return fail(err, BAD_TOKEN, "the keys of the token's issuer are not known at the moment");
    const struct issuer *i = k->issuer;
    struct jwt_expect expect = { i->iss, i->audience ? i->audience : instance, "grant", now_s, i->max_lifetime_ms / 1000 };
    enum status st = jwt_verify_by(k->keys, token, &expect, &claims, &key, err);
    if (st != OK)
        return st;
    st = check_claims(i, claims, err);
    if (st == OK)
        fill(i, key, claims, out);
    else
        json_decref(claims);
    return st;
}

void external_grant_done(struct external_grant *g)
{
    json_decref(g->claims);
    *g = (struct external_grant){ 0 };
}

bool external_holds(const struct external *e, const char *iss, const char *kid, const char *key, const char *tool, const json_t *actions)
{
    const struct keys_of *k = keys_of(e, iss);
    return k != NULL && jwt_keys_have(k->keys, kid, key) && in_list(k->issuer->tools, k->issuer->tool_count, tool) && may_grant(k->issuer, actions);
}
