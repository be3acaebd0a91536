#include "proxy/commands/approvals_check.h"
#include "authz/actions.h"
#include "authz/jwt.h"
#include "authz/yes.h"
#include "proxy/base/codec.h"
#include "proxy/commands/words.h"

#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

enum { SPKI_MAX = 1024 };

static EVP_PKEY *read_key(const char *spki)
{
    unsigned char der[SPKI_MAX];
    size_t len = 0;
    if (b64url_decode(slice_str(spki), der, sizeof der, &len) != OK)
        return NULL;
    const unsigned char *at = der;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)len);
    if (key != NULL && at != der + len) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    (void)ossl_reason();
    return key;
}

/* The last thing the log says before `seq` about this fingerprint: the content of its key.registered leaf, or NULL (never registered, or removed). */
static const json_t *registration(const json_t *leaves, int64_t seq, const char *fingerprint)
{
    const json_t *found = NULL;
    size_t i;
    json_t *leaf;
    json_array_foreach(leaves, i, leaf) {
        const json_t *content = json_object_get(leaf, "content");
        if (json_number(leaf, "seq") >= seq || !json_text_is(content, "key", fingerprint))
            continue;
        if (json_text_is(leaf, "type", "key.registered"))
            found = content;
        else if (json_text_is(leaf, "type", "key.removed"))
            found = NULL;
    }
    return found;
}

/* Did another person confirm this new key before, in time for it to count at at_s, and was it not taken away? */
static bool was_confirmed(const json_t *leaves, const json_t *proposed, int64_t seq, int64_t at_s)
{
    bool confirmed = false;
    size_t i;
    json_t *leaf;
    json_array_foreach(leaves, i, leaf) {
        const json_t *content = json_object_get(leaf, "content"), *s = json_object_get(content, "statement");
        if (json_number(leaf, "seq") >= seq || !json_text_is(content, "item", json_text(proposed, "item")))
            continue;
        if (json_text_is(leaf, "type", "approval"))
            confirmed = !json_text_is(s, "approver", json_text(proposed, "person")) && json_text_is(s, "purpose", "register-key")
                        && json_text_is(json_object_get(s, "scope"), "key", json_text(proposed, "key")) && json_number(content, "counts_from") <= at_s;
        if (json_text_is(leaf, "type", "key.withdrawn"))
            return false;
    }
    return confirmed;
}

/* Content of the key.proposed leaf that an answer by an authenticator names. */
static const json_t *proposal(const json_t *leaves, int64_t seq, const json_t *answer)
{
    size_t i;
    json_t *leaf;
    json_array_foreach(leaves, i, leaf) {
        const json_t *content = json_object_get(leaf, "content");
        if (json_number(leaf, "seq") < seq && json_text_is(leaf, "type", "key.proposed") && json_text_is(content, "item", json_text(answer, "key_item"))
            && json_text(content, "item")[0] != 0)
            return content;
    }
    return NULL;
}

/* How its key came to count: the registration's content, or NULL with the reason. */
static const json_t *key_of(const json_t *leaves, const json_t *leaf, const struct statement *s, struct err *err)
{
    const json_t *content = json_object_get(leaf, "content"), *found;
    int64_t seq = json_number(leaf, "seq");
    if (strcmp(s->method, "command-line") == 0 && json_object_get(content, "key_item") == NULL) {
        found = registration(leaves, seq, s->key);
        if (found == NULL)
            (void)fail(err, BAD_TOKEN, "the log shows no registration of its key before it");
        return found;
    }
    found = proposal(leaves, seq, content);
    if (found == NULL || !json_text_is(found, "key", s->key) || !json_text_is(found, "method", s->method))
        return (void)fail(err, BAD_TOKEN, "the log shows no such key before it"), NULL;
    if (!was_confirmed(leaves, found, seq, json_number(leaf, "time_ms") / 1000))
        return (void)fail(err, BAD_TOKEN, "nobody else had confirmed its key by then"), NULL;
    return found;
}

static enum status check_signature(const json_t *registered, const json_t *content, const json_t *statement, struct err *err)
{
    char fingerprint[44];
    struct webauthn_facts facts;
    struct webauthn_party party = { json_text(registered, "rp_id"), json_text(registered, "origin") };
    EVP_PKEY *key = read_key(json_text(registered, "spki"));
    if (key == NULL)
        return fail(err, BAD_TOKEN, "the registered key cannot be read");
    key_fingerprint(key, fingerprint);
    enum status st = strcmp(fingerprint, json_text(registered, "key")) == 0
                         ? yes_verify(statement, key, &party, content, &facts, err)
                         : fail(err, BAD_TOKEN, "the registered key is not the one its fingerprint names");
    if (st == OK && json_object_get(content, "webauthn") != NULL && json_number(content, "sign_count") != (int64_t)facts.count)
        st = fail(err, BAD_TOKEN, "the counter in the log is not the one that was signed");
    EVP_PKEY_free(key);
    return st;
}

static const char *leaf_decision(const json_t *leaf)
{
    static const char *const yes[] = { "approval", "review.done", "delegate.named" };
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (json_text_is(leaf, "type", yes[i]))
            return "approve";
    return json_text_is(leaf, "type", "denial") ? "deny" : NULL;
}

/* The leaf of that delegation, before this one and not taken back in between; its content, or NULL. */
static const json_t *delegation_before(const json_t *leaves, int64_t seq, const char *id)
{
    const json_t *found = NULL;
    size_t i;
    json_t *leaf;
    json_array_foreach((json_t *)(uintptr_t)leaves, i, leaf) {
        const json_t *content = json_object_get(leaf, "content");
        if (id[0] == 0 || json_number(leaf, "seq") >= seq || !json_text_is(content, "delegation", id))
            continue;
        if (json_text_is(leaf, "type", "delegate.named"))
            found = content;
        else if (json_text_is(leaf, "type", "delegate.ended"))
            found = NULL;
    }
    return found;
}

/* An answer in somebody else's place: was it handed over, by her, to this person, for this, and then? The delegation's own signature is checked as its own leaf. */
static enum status check_behalf(const json_t *leaves, const json_t *leaf, const struct statement *s, struct err *err)
{
    const char *behalf = json_text(s->scope, "on_behalf_of");
    if (behalf[0] == 0)
        return OK;
    const json_t *d = delegation_before(leaves, json_number(leaf, "seq"), json_text(json_object_get(leaf, "content"), "delegation"));
    if (d == NULL)
        return fail(err, BAD_TOKEN, "the log shows no delegation by '%s' before it", behalf);
    if (strcmp(behalf, s->requester) == 0)
        return fail(err, BAD_TOKEN, "it was answered in the place of the one who asked");
    if (!json_text_is(d, "delegator", behalf) || !json_text_is(d, "delegate", s->approver) || json_number(d, "until_s") <= json_number(leaf, "time_ms") / 1000
        || !actions_has(json_text(d, "tools"), json_text(s->scope, "tool")) || !actions_has(json_text(d, "kinds"), s->purpose))
        return fail(err, BAD_TOKEN, "its delegation is for somebody, something or some time else");
    return OK;
}

/* The leaf of an order says what was signed. */
static bool order_agrees(const json_t *leaf, const struct statement *s)
{
    static const struct { const char *type, *names[6]; } rows[] = {
        { "review.done", { "review", "session", "outcome", "words", NULL, NULL } },
        { "delegate.named", { "delegation", "delegate", "tools", "kinds", "until_s", NULL } },
    };
    const json_t *content = json_object_get(leaf, "content");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t k = 0; json_text_is(leaf, "type", rows[i].type) && rows[i].names[k] != NULL; k++)
            if (!json_equal(json_object_get(content, rows[i].names[k]), json_object_get(s->scope, rows[i].names[k])))
                return false;
    if (json_text_is(leaf, "type", "review.done"))
        return strcmp(s->purpose, "review") == 0 && json_text_is(content, "by", s->approver) && json_text_is(content, "person", s->requester);
    return !json_text_is(leaf, "type", "delegate.named") || (strcmp(s->purpose, "delegate") == 0 && json_text_is(content, "delegator", s->approver));
}

static enum status check_one(const json_t *leaves, const json_t *leaf, const char *instance, struct err *err)
{
    const json_t *content = json_object_get(leaf, "content"), *object = json_object_get(content, "statement");
    struct statement s;
    enum status st = statement_read(object, &s, err);
    if (st != OK)
        return st;
    int64_t at_s = json_number(leaf, "time_ms") / 1000;
    if (!order_agrees(leaf, &s))
        return fail(err, BAD_TOKEN, "the leaf says something else than what was signed");
    if (strcmp(s.decision, leaf_decision(leaf)) != 0)
        return fail(err, BAD_TOKEN, "what was signed is not what the leaf says: '%s'", s.decision);
    if (strcmp(s.instance, instance) != 0)
        return fail(err, BAD_TOKEN, "it was signed for another gateway");
    if (strcmp(s.approver, s.requester) == 0)
        return fail(err, BAD_TOKEN, "the requester answered it");
    if (at_s < s.iat_s || at_s > s.exp_s)
        return fail(err, BAD_TOKEN, "it was answered outside the statement's time");
    st = check_behalf(leaves, leaf, &s, err);
    if (st != OK)
        return st;
    const json_t *registered = key_of(leaves, leaf, &s, err);
    if (registered == NULL)
        return BAD_TOKEN;
    if (!json_text_is(registered, "person", s.approver))
        return fail(err, BAD_TOKEN, "its key is registered for another person");
    return check_signature(registered, content, object, err);
}

enum status approvals_check(const json_t *leaves, const char *instance, json_t *findings, unsigned *checked_out, struct err *err)
{
    size_t i;
    json_t *leaf;
    *checked_out = 0;
    json_array_foreach(leaves, i, leaf) {
        struct err why = { 0 };
        char text[640];
        if (leaf_decision(leaf) == NULL || !json_is_object(json_object_get(leaf, "content")))
            continue;
        (*checked_out)++;
        if (check_one(leaves, leaf, instance, &why) == OK)
            continue;
        snprintf(text, sizeof text, "the %s in leaf %lld does not hold: %s", json_text(leaf, "type"), (long long)json_number(leaf, "seq"), why.text);
        if (json_array_append_new(findings, json_pack("{s:s, s:I, s:s}", "kind", "bad-approval", "seq", (json_int_t)json_number(leaf, "seq"), "text", text)) != 0)
            return fail(err, NO_MEMORY, "findings");
    }
    return OK;
}
