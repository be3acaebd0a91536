#include "proxy/exchange/access.h"

#include "authz/grant.h"
#include "certs/trust.h"
#include "proxy/base/clock.h"
#include "proxy/base/codec.h"
#include "proxy/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

enum { LOCKS_MAX = 4096, GRANTS_MAX = 200000 };

struct grant_key {
    unsigned char thumbprint[32];
    char tool[TOOL_NAME_MAX];         /* padded with NULs */
};

struct entry {                        /* all live grants of one certificate to one tool */
    struct grant_key key;
    struct live_grant *grants;
    UT_hash_handle hh;
};

struct by_id {
    char grant_id[GRANT_ID_MAX + 1];
    struct live_grant *grant;
    UT_hash_handle hh;
};

struct lock {
    char id[64], kind[16], value[321], reason[512];
};

struct access {
    struct entry *entries;
    struct by_id *ids;
    struct lock *locks;
    size_t lock_count;
    struct jwt_keys *keys;
    json_t *jwks;
    char *issuer, *log_key;
    unsigned count;
    uint64_t change;                  /* counts what came and went: pointers to grants are good as long as it is the same */
    char policy[65], policy_before[65];   /* the policy that counts, and the one until policy_ms; "": whatever the file says */
    int64_t policy_ms;
    int64_t next_exp_s;               /* no grant ends before: looking through thousands ten times a second would show */
};

struct access *access_new(void)
{
    struct access *a = calloc(1, sizeof *a);
    if (a != NULL)
        a->change = 1;
    return a;
}

static void forget(struct access *a, struct by_id *b)
{
    struct live_grant *g = b->grant;
    struct entry *e = g->entry;
    for (struct live_grant **at = &e->grants; *at != NULL; at = &(*at)->next)
        if (*at == g) {
            *at = g->next;
            break;
        }
    if (e->grants == NULL) {
        HASH_DEL(a->entries, e);
        free(e);
    }
    HASH_DEL(a->ids, b);
    purse_free(g->purse);
    json_decref(g->actions);
    free(g->assertion);
    free(g);
    free(b);
    a->count--;
    a->change++;
}

static void forget_all(struct access *a)
{
    struct by_id *b, *next;
    HASH_ITER(hh, a->ids, b, next)
        forget(a, b);
    a->lock_count = 0;
}

void access_free(struct access *a)
{
    if (a == NULL)
        return;
    forget_all(a);
    free(a->locks);
    jwt_keys_free(a->keys);
    json_decref(a->jwks);
    free(a->issuer);
    free(a->log_key);
    free(a);
}

/* Which policy counts from now on; "" and none are the same. Something that is no digest fits no policy. */
static void take_policy(struct access *a, const json_t *object)
{
    const char *digest = json_string_value(json_object_get(object, "policy"));
    char fresh[65];
    snprintf(fresh, sizeof fresh, "%s", digest == NULL || digest[0] == 0 || strlen(digest) == 64 ? (digest ? digest : "") : "?");
    if (strcmp(fresh, a->policy) == 0)
        return;
    memcpy(a->policy_before, a->policy, sizeof a->policy);
    memcpy(a->policy, fresh, sizeof a->policy);
    a->policy_ms = clock_mono_ms();
}

bool access_policy_is(const struct access *a, const char *digest, int64_t now_ms, int64_t grace_ms)
{
    return a->policy[0] == 0 || strcmp(a->policy, digest) == 0
           || (a->policy_before[0] != 0 && strcmp(a->policy_before, digest) == 0 && now_ms - a->policy_ms < grace_ms);
}

enum status access_reset(struct access *a, const json_t *hello, struct err *err)
{
    const char *issuer = json_string_value(json_object_get(hello, "instance"));
    const char *log_key = json_string_value(json_object_get(hello, "log_key"));
    json_t *jwks = json_object_get(hello, "jwks");
    struct jwt_keys *keys = NULL;
    if (issuer == NULL || log_key == NULL || jwks == NULL)
        return fail(err, BAD_INPUT, "authz's hello lacks instance, log_key or jwks");
    enum status st = jwt_keys_from_jwks(jwks, &keys, err);
    if (st != OK)
        return st;
    forget_all(a);
    take_policy(a, hello);
    jwt_keys_free(a->keys);
    a->keys = keys;
    json_decref(a->jwks);
    a->jwks = json_deep_copy(jwks);
    free(a->issuer);
    free(a->log_key);
    a->issuer = strdup(issuer);
    a->log_key = strdup(log_key);
    return a->issuer && a->log_key && a->jwks ? OK : fail(err, NO_MEMORY, "hello");
}

static struct entry *entry_for(struct access *a, const struct grant_key *key)
{
    struct entry *e = NULL;
    HASH_FIND(hh, a->entries, key, sizeof *key, e);
    if (e != NULL)
        return e;
    e = calloc(1, sizeof *e);
    if (e == NULL)
        return NULL;
    e->key = *key;
    HASH_ADD(hh, a->entries, key, sizeof e->key, e);
    return e;
}

/* Its form was checked with the grant's. */
static void take_external(struct live_grant *g, const struct grant *from)
{
    size_t len = 0;
    const char *name = json_string_value(json_object_get(from->external, "name")), *hash = json_string_value(json_object_get(from->external, "sha256"));
    if (name == NULL || hash == NULL || b64url_decode(slice_str(hash), g->external_sha256, sizeof g->external_sha256, &len) != OK)
        return;
    snprintf(g->issuer, sizeof g->issuer, "%s", name);
}

static enum status add_grant(struct access *a, const struct grant *from, bool noticed, struct slice token, struct err *err)
{
    struct grant_key key = { 0 };
    struct by_id *b = NULL;
    if (strlen(from->grant_id) > GRANT_ID_MAX || strlen(from->tool) >= sizeof key.tool)
        return fail(err, BAD_TOKEN, "the grant's id or tool is too long");
    memcpy(key.thumbprint, from->thumbprint, sizeof key.thumbprint);
    memcpy(key.tool, from->tool, strlen(from->tool));
    struct purse *purse = NULL;
    bool failed = false;
    HASH_FIND_STR(a->ids, from->grant_id, b);
    if (b != NULL) {                  /* renewed: the newest word holds, and what was leased stays leased */
        purse = b->grant->purse;
        b->grant->purse = NULL;
        forget(a, b);
    }
    if (purse == NULL)
        purse = purse_new(from->budget, &failed);
    if (a->count >= GRANTS_MAX) {
        purse_free(purse);
        return fail(err, FULL, "more than %d live grants", GRANTS_MAX);
    }
    struct live_grant *g = calloc(1, sizeof *g);
    b = calloc(1, sizeof *b);
    struct entry *e = g && b && !failed ? entry_for(a, &key) : NULL;
    if (e == NULL) {
        purse_free(purse);
        free(g);
        free(b);
        return fail(err, NO_MEMORY, "grant");
    }
    memcpy(g->grant_id, from->grant_id, strlen(from->grant_id) + 1);
    memcpy(b->grant_id, from->grant_id, strlen(from->grant_id) + 1);
    g->exp_s = from->exp_s;
    if (a->count == 0 || g->exp_s < a->next_exp_s)
        a->next_exp_s = g->exp_s;
    g->noticed = noticed;
    g->purse = purse;
    g->actions = grant_allows(from, SLICE("*")) ? NULL : json_deep_copy(from->actions);
    if (g->actions == NULL && !grant_allows(from, SLICE("*")))
        g->actions = json_array();    /* no memory: nothing, rather than all */
    snprintf(g->policy, sizeof g->policy, "%s", from->policy);
    snprintf(g->basis, sizeof g->basis, "%s", from->basis);
    sha256_one(token, g->token_sha256);
    take_external(g, from);
    g->entry = e;
    g->next = e->grants;
    e->grants = g;
    b->grant = g;
    HASH_ADD_STR(a->ids, grant_id, b);
    a->count++;
    a->change++;
    return OK;
}

static enum status take_grant(struct access *a, const json_t *event, int64_t now_s, struct err *err)
{
    const char *token = json_string_value(json_object_get(event, "token"));
    struct grant g;
    if (token == NULL || a->keys == NULL)
        return fail(err, BAD_INPUT, "a grant event without a token");
    enum status st = grant_verify(a->keys, a->issuer, slice_str(token), now_s, &g, err);
    if (st != OK)
        return st == EXPIRED ? OK : st;
    st = add_grant(a, &g, json_is_true(json_object_get(event, "noticed")), slice_str(token), err);
    grant_done(&g);
    return st;
}

/* The gateway signs with further keys from now on. What is live was verified when it came. */
static enum status take_keys(struct access *a, const json_t *event, struct err *err)
{
    struct jwt_keys *keys = NULL;
    json_t *jwks = json_object_get(event, "jwks");
    enum status st = jwt_keys_from_jwks(jwks, &keys, err);
    if (st != OK)
        return st;
    jwt_keys_free(a->keys);
    a->keys = keys;
    json_decref(a->jwks);
    a->jwks = json_deep_copy(jwks);
    return a->jwks ? OK : fail(err, NO_MEMORY, "keys");
}

static enum status copy_member(const json_t *object, const char *name, char *out, size_t max)
{
    const char *text = json_string_value(json_object_get(object, name));
    if (text == NULL || strlen(text) >= max)
        return BAD_INPUT;
    memcpy(out, text, strlen(text) + 1);
    return OK;
}

static enum status take_lock(struct access *a, const json_t *lock, struct err *err)
{
    struct lock l = { 0 };
    if (copy_member(lock, "id", l.id, sizeof l.id) != OK || copy_member(lock, "kind", l.kind, sizeof l.kind) != OK ||
        copy_member(lock, "value", l.value, sizeof l.value) != OK)
        return fail(err, BAD_INPUT, "a lock event without id, kind or value");
    (void)!copy_member(lock, "reason", l.reason, sizeof l.reason);
    for (size_t i = 0; i < a->lock_count; i++)
        if (strcmp(a->locks[i].id, l.id) == 0)
            return OK;
    if (a->lock_count == LOCKS_MAX)
        return fail(err, FULL, "more than %d locks", LOCKS_MAX);
    struct lock *more = realloc(a->locks, (a->lock_count + 1) * sizeof *more);
    if (more == NULL)
        return fail(err, NO_MEMORY, "lock");
    a->locks = more;
    a->locks[a->lock_count++] = l;
    return OK;
}

static void take_unlock(struct access *a, const char *id)
{
    for (size_t i = 0; id != NULL && i < a->lock_count; i++)
        if (strcmp(a->locks[i].id, id) == 0) {
            a->locks[i] = a->locks[--a->lock_count];
            return;
        }
}

enum status access_event(struct access *a, const json_t *event, int64_t now_s, bool *ends_live, struct err *err)
{
    const char *name = json_string_value(json_object_get(event, "event"));
    *ends_live = false;
    if (name == NULL)
        return fail(err, BAD_INPUT, "an event without a name");
    if (strcmp(name, "grant") == 0)
        return take_grant(a, event, now_s, err);
    if (strcmp(name, "keys") == 0)
        return take_keys(a, event, err);
    if (strcmp(name, "policy") == 0)
        take_policy(a, event);
    if (strcmp(name, "lock") == 0) {
        *ends_live = true;
        return take_lock(a, json_object_get(event, "lock"), err);
    }
    if (strcmp(name, "unlock") == 0)
        take_unlock(a, json_string_value(json_object_get(event, "id")));
    if (strcmp(name, "grant.ended") == 0) {
        const char *id = json_string_value(json_object_get(event, "grant_id"));
        struct by_id *b = NULL;
        if (id != NULL)
            HASH_FIND_STR(a->ids, id, b);
        if (b != NULL)
            forget(a, b);
        *ends_live = true;
    }
    return OK;
}

const struct live_grant *access_grant(const struct access *a, const unsigned char thumbprint[32], const char *tool, int64_t now_s)
{
    struct grant_key key;
    struct entry *e = NULL;
    const struct live_grant *best = NULL;
    size_t len = strlen(tool);
    memset(&key, 0, sizeof key);
    if (len >= sizeof key.tool)
        return NULL;
    memcpy(key.thumbprint, thumbprint, sizeof key.thumbprint);
    memcpy(key.tool, tool, len);
    HASH_FIND(hh, a->entries, &key, sizeof key, e);
    for (const struct live_grant *g = e ? e->grants : NULL; g != NULL; g = g->next)
        if (g->exp_s > now_s && (best == NULL || g->exp_s > best->exp_s))
            best = g;
    return best;
}

/* The one that lasts longest: when that is over, so are the others, and another one that comes is a change. */
const struct live_grant *access_grant_kept(const struct access *a, struct access_kept *kept, const unsigned char thumbprint[32], const char *tool, int64_t now_s)
{
    if (kept->change == a->change && kept->grant != NULL && kept->grant->exp_s > now_s) {
        const struct entry *e = kept->grant->entry;
        if (memcmp(e->key.thumbprint, thumbprint, sizeof e->key.thumbprint) == 0 && strncmp(e->key.tool, tool, sizeof e->key.tool) == 0)
            return kept->grant;
    }
    *kept = (struct access_kept){ a->change, access_grant(a, thumbprint, tool, now_s) };
    return kept->grant;
}

const struct live_grant *access_by_id_kept(const struct access *a, struct access_kept *kept, const char *grant_id)
{
    if (kept->change != a->change || kept->grant == NULL || strcmp(kept->grant->grant_id, grant_id) != 0)
        *kept = (struct access_kept){ a->change, access_grant_by_id(a, grant_id) };
    return kept->grant;
}

bool live_grant_allows(const struct live_grant *g, const char *action)
{
    for (size_t i = 0; i < json_array_size(g->actions); i++)
        if (strcmp(json_string_value(json_array_get(g->actions, i)), action) == 0)
            return true;
    return g->actions == NULL;
}

enum status access_token_fault(const struct access *a, struct slice token, const unsigned char thumbprint[32], const char *tool, int64_t now_s,
                               struct err *err)
{
    struct grant g;
    if (a->keys == NULL)
        return fail(err, REFUSED, "the keys that grants are signed with are not known yet");
    enum status st = grant_verify(a->keys, a->issuer, token, now_s, &g, err);
    if (st != OK)
        return st;
    if (memcmp(g.thumbprint, thumbprint, sizeof g.thumbprint) != 0)
        st = fail(err, REFUSED, "the token is bound to another certificate");
    else if (strcmp(g.tool, tool) != 0)
        st = fail(err, REFUSED, "the token is for another tool");
    else
        st = fail(err, REFUSED, "the grant of this token has ended, or a newer token took its place");
    grant_done(&g);
    return st;
}

const struct live_grant *access_grant_by_id(const struct access *a, const char *grant_id)
{
    struct by_id *b = NULL;
    HASH_FIND_STR(a->ids, grant_id, b);
    return b ? b->grant : NULL;
}

struct slice live_grant_assertion(const struct live_grant *g, int64_t until_s)
{
    return g != NULL && g->assertion != NULL && g->assertion_exp_s > until_s ? slice_of(g->assertion, g->assertion_len) : slice_of(NULL, 0);
}

static void forget_assertion(struct live_grant *g)
{
    free(g->assertion);
    g->assertion = NULL;
}

void access_keep_assertion(struct access *a, const char *grant_id, struct slice token, int64_t exp_s)
{
    struct by_id *b = NULL;
    HASH_FIND_STR(a->ids, grant_id, b);
    if (b == NULL)
        return;
    forget_assertion(b->grant);
    b->grant->assertion = strndup((const char *)token.ptr, token.len);   /* NULL: asked for again the next time */
    b->grant->assertion_len = token.len;
    b->grant->assertion_exp_s = exp_s;
}

void access_forget_assertions(struct access *a)
{
    for (struct by_id *b = a->ids; b != NULL; b = b->hh.next)
        forget_assertion(b->grant);
}

const char *access_locked(const struct access *a, const struct access_subject *on)
{
    for (size_t i = 0; i < a->lock_count; i++) {
        const struct lock *l = &a->locks[i];
        const char *subject = strcmp(l->kind, "person") == 0 ? on->person
                              : strcmp(l->kind, "identity") == 0 ? on->identity
                              : strcmp(l->kind, "cert") == 0 ? on->x5t
                              : strcmp(l->kind, "tool") == 0 ? on->tool
                              : strcmp(l->kind, "grant") == 0 ? on->grant_id
                              : strcmp(l->kind, "everything") == 0 && on->tool != NULL ? "*" : NULL;   /* tools, not the console: who lifts it needs that */
        if (subject != NULL && strcmp(subject, l->value) == 0)
            return l->reason;
    }
    return NULL;
}

const char *access_locked_out(const struct access *a, const char *person, const struct identity *who)
{
    const char *why = access_locked(a, &(struct access_subject){ .person = person, .identity = who->name, .x5t = who->x5t });
    return why != NULL || who->twin[0] == 0 ? why : access_locked(a, &(struct access_subject){ .x5t = who->twin });
}

const char *access_ended(const struct access *a, const char *grant_id, const char *tool, bool authz_stale, int64_t now_s)
{
    const struct live_grant *g = access_grant_by_id(a, grant_id);
    if (authz_stale)
        return "authorization-unavailable";
    if (g == NULL || g->exp_s <= now_s)
        return "grant-ended";
    return access_locked(a, &(struct access_subject){ .tool = tool, .grant_id = grant_id }) != NULL ? "locked" : NULL;
}

const json_t *access_jwks(const struct access *a)
{
    return a->jwks;
}

const char *access_log_key(const struct access *a)
{
    return a->log_key;
}

bool access_expire(struct access *a, int64_t now_s)
{
    bool any = false;
    int64_t first_s = INT64_MAX;
    struct by_id *b, *next;
    if (a->count == 0 || now_s < a->next_exp_s)
        return false;
    HASH_ITER(hh, a->ids, b, next)
        if (b->grant->exp_s <= now_s) {
            forget(a, b);
            any = true;
        } else if (b->grant->exp_s < first_s) {
            first_s = b->grant->exp_s;
        }
    a->next_exp_s = first_s;
    return any;
}
