#include "proxy/commands/proof.h"

#include "authz/actions.h"
#include "authz/canonical.h"
#include "authz/chain.h"
#include "proxy/base/codec.h"
#include "proxy/commands/approvals_check.h"
#include "proxy/commands/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEAVES_MAX = 256, SALT_MAX = CHAIN_SALT_LEN };

static enum status finding(json_t *findings, const char *kind, const json_t *leaf, const char *text, struct err *err)
{
    json_t *f = json_pack("{s:s, s:I, s:s}", "kind", kind, "seq", (json_int_t)json_number(leaf, "seq"), "text", text);
    return json_array_append_new(findings, f) == 0 ? OK : fail(err, NO_MEMORY, "findings");
}

/* The digest that stands in the log's chain is that of this content with this salt. */
static bool digest_holds(const json_t *leaf)
{
    unsigned char salt[SALT_MAX], digest[32];
    char *text = NULL, encoded[44];
    size_t len = 0, salt_len = 0;
    struct err err;
    if (b64url_decode(slice_str(json_text(leaf, "salt")), salt, sizeof salt, &salt_len) != OK || salt_len != CHAIN_SALT_LEN
        || canonical_json(json_object_get(leaf, "content"), &text, &len, &err) != OK)
        return false;
    chain_content_digest(salt, slice_of(text, len), digest);
    free(text);
    b64url_encode(slice_of(digest, 32), encoded);
    return strcmp(encoded, json_text(leaf, "digest")) == 0;
}

static const json_t *made(const json_t *leaves, const char *item)
{
    size_t i;
    json_t *leaf;
    json_array_foreach((json_t *)(uintptr_t)leaves, i, leaf) {
        const char *type = json_text(leaf, "type");
        bool makes = strcmp(type, "request.created") == 0 || strcmp(type, "held.created") == 0 || strcmp(type, "key.proposed") == 0
                     || strcmp(type, "policy.proposed") == 0;
        if (makes && json_text_is(json_object_get(leaf, "content"), "item", item))
            return json_object_get(leaf, "content");
    }
    return NULL;
}

/* A yes may be for less than was asked: shorter, or for fewer actions. In whose place it was given is checked with the delegation. */
static bool member_fits(const json_t *facts, const char *name, const json_t *value)
{
    const json_t *asked = json_object_get(facts, name);
    if (strcmp(name, "on_behalf_of") == 0)
        return true;
    if (strcmp(name, "duration_s") == 0)
        return json_is_integer(value) && json_is_integer(asked) && json_integer_value(value) >= 1 && json_integer_value(value) <= json_integer_value(asked);
    if (strcmp(name, "actions") == 0 && json_is_string(value))
        return actions_within(json_string_value(value), json_text(facts, "actions")[0] != 0 ? json_text(facts, "actions") : "*");
    return json_equal(asked, value);
}

/* Everything in a statement's scope stands, with the same value, in the leaf that made the item; and who asked is who asked. */
static bool is_about(const json_t *leaves, const json_t *answer)
{
    const json_t *statement = json_object_get(answer, "statement"), *facts = made(leaves, json_text(answer, "item"));
    const char *name;
    json_t *value;
    if (facts == NULL || !json_text_is(facts, "person", json_text(statement, "requester"))
        || !json_text_is(facts, "identity", json_text(statement, "identity"))
        || (json_text_is(statement, "purpose", "policy") && !json_text_is(facts, "policy", json_text(statement, "policy"))))
        return false;
    json_object_foreach(json_object_get(statement, "scope"), name, value)
        if (!member_fits(facts, name, value) && !(strcmp(name, "answer") == 0 && json_text_is(statement, "decision", "deny")))
            return false;
    return json_object_size(json_object_get(statement, "scope")) > 0;
}

/* A line "person fingerprint …" of the file. */
static bool stands_in(const char *keys, const char *person, const char *fingerprint)
{
    char start[192];
    int n = snprintf(start, sizeof start, "%s %s ", person, fingerprint);
    for (const char *line = keys; line != NULL && *line != 0; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (n < (int)sizeof start && strncmp(line, start, (size_t)n) == 0)
            return true;
    return false;
}

static enum status check_leaf(const json_t *leaves, const json_t *leaf, const char *keys, json_t *findings, struct err *err)
{
    const json_t *content = json_object_get(leaf, "content");
    bool answer = json_text_is(leaf, "type", "approval") || json_text_is(leaf, "type", "denial");
    enum status st = OK;
    if (!digest_holds(leaf))
        st = finding(findings, "bad-leaf", leaf, "the content of a leaf does not match its digest", err);
    if (st == OK && answer && !is_about(leaves, content))
        st = finding(findings, "bad-answer", leaf, "an answer is about something else than the request that the proof shows", err);
    if (st == OK && keys != NULL && json_text_is(leaf, "type", "key.registered") && !stands_in(keys, json_text(content, "person"), json_text(content, "key")))
        st = finding(findings, "unknown-key", leaf, "a certificate's key does not stand, for that person, in the file of keys that you kept", err);
    return st;
}

static bool sound(const json_t *proof)
{
    const json_t *leaves = json_object_get(proof, "leaves");
    size_t i, n = json_array_size(leaves);
    if (!json_text_is(proof, "format", "countersign-approval-v1") || json_text(proof, "instance")[0] == 0 || json_text(proof, "item")[0] == 0 || n == 0
        || n > LEAVES_MAX)
        return false;
    for (i = 0; i < n; i++) {
        const json_t *leaf = json_array_get(leaves, i);
        if (!json_is_object(json_object_get(leaf, "content")) || json_number(leaf, "seq") <= 0
            || (i > 0 && json_number(json_array_get(leaves, i - 1), "seq") >= json_number(leaf, "seq")))
            return false;
    }
    return true;
}

static unsigned answers_to(const json_t *leaves, const char *item)
{
    size_t i;
    json_t *leaf;
    unsigned n = 0;
    json_array_foreach((json_t *)(uintptr_t)leaves, i, leaf)
        n += json_object_get(json_object_get(leaf, "content"), "statement") != NULL && json_text_is(json_object_get(leaf, "content"), "item", item);
    return n;
}

enum status proof_check(const json_t *proof, const char *keys, struct proof_result *out, struct err *err)
{
    struct proof_result r = { json_array(), 0 };
    const json_t *leaves = json_object_get(proof, "leaves");
    size_t i;
    json_t *leaf;
    enum status st = sound(proof) ? OK : fail(err, BAD_INPUT, "this is not a proof of an approval (format countersign-approval-v1)");
    json_array_foreach((json_t *)(uintptr_t)leaves, i, leaf)
        if (st == OK)
            st = check_leaf(leaves, leaf, keys, r.findings, err);
    if (st == OK)
        st = approvals_check(leaves, json_text(proof, "instance"), r.findings, &r.answers, err);
    const char *basis = json_text(made(leaves, json_text(proof, "item")), "basis");
    if (st == OK && answers_to(leaves, json_text(proof, "item")) == 0)
        st = finding(r.findings, "no-answer", NULL,
                     strcmp(basis, "break-glass") == 0 ? "nobody approved this: it was granted by break-glass, without a second person"
                     : strcmp(basis, "auto") == 0      ? "nobody approved this: it was granted by a rule, without a second person"
                                                       : "nobody has answered this request", err);
    if (st == OK)
        *out = r;
    else
        json_decref(r.findings);
    return st;
}

void proof_result_done(struct proof_result *r)
{
    json_decref(r->findings);
    r->findings = NULL;
}
