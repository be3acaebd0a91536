/* release: the one moment that cannot be taken back. Everything is checked again, from the signed log, the signed grant and today's
 * config; "used" is committed before the bytes leave this process (promise 4). */
#include "authz/approvals/internal.h"

#include <openssl/crypto.h>

static enum status void_signoff(struct op *o, const char *why)
{
    return refuse_op(o, SIGNOFF_VOID, "%s", why);
}

static enum status check_now(struct op *o, const struct item *it)
{
    const json_t *f = it->facts;
    char hash[65];
    if (!item_is(it, "approved"))
        return refuse_op(o, SIGNOFF_REQUIRED, "It is %s", it->state);
    if (num(f, "expires_ms") <= o->now_ms)
        return void_signoff(o, "It has expired");
    if (strcmp(str(f, "x5t"), o->who.x5t) != 0 || strcmp(str(f, "identity"), o->who.identity) != 0
        || strcmp(str(f, "person"), o->who.person->name) != 0)
        return void_signoff(o, "It was signed off for another certificate");
    if (it->requester == NULL || it->tool == NULL || it->action == NULL || it->action->requirement != NEED_SIGNOFF
        || !policy_may_ask(it->tool, it->requester))
        return void_signoff(o, "The policy no longer allows this person, tool or action");
    policy_hash(o->s->config, it->tool, hash);
    if (strcmp(hash, str(f, "policy")) != 0)
        return refuse_op(o, POLICY_CHANGED, "The rules for '%s' are not those under which it was signed off", it->tool->name);
    return refuse_if_locked(o, it->tool->name, str(f, "grant_id"));
}

/* The bytes on disk, only if they still give the digest that was signed. */
static enum status load_bytes(struct op *o, const struct item *it, unsigned char **bytes, size_t *len)
{
    struct blob b;
    unsigned char digest[32], body[32];
    char text[44] = "";
    enum status st = seal_read(&o->s->seal_key, o->s->held_folder, it->id, blob_max(o->s->config), bytes, len, &o->err);
    if (st != OK)
        return st == NOT_FOUND ? fail(&o->err, CORRUPT, "the bytes of '%s' are gone from the disk", it->id) : st;
    st = blob_parse(slice_of(*bytes, *len), &b, &o->err);
    if (st == OK) {
        st = blob_digest(&b, digest, body, &o->err);
        b64url_encode(slice_of(digest, 32), text);
        blob_done(&b);
    }
    if (st == OK && strcmp(text, str(it->facts, "digest")) == 0)
        return OK;
    free(*bytes);
    *bytes = NULL;
    return fail(&o->err, CORRUPT, "the sealed bytes of '%s' are not those that were signed off", it->id);
}

static json_t *token_claims(const struct op *o, const struct item *it, const struct approvals *a, const char *jti, const char *note)
{
    const json_t *f = it->facts;
    char uri[1200], nonce[23], content_digest[80];
    unsigned char raw[32], b64[48];
    size_t len = 0;
    if (b64url_decode(slice_str(str(f, "body_sha256")), raw, sizeof raw, &len) != OK || len != sizeof raw)
        return NULL;
    EVP_EncodeBlock(b64, raw, 32);
    snprintf(content_digest, sizeof content_digest, "sha-256=:%s:", (const char *)b64);   /* RFC 9530 */
    random_id(16, nonce);
    int64_t now = now_s(o), until = num(f, "expires_ms") / 1000 + 1;
    int n = snprintf(uri, sizeof uri, "https://%s%s", str(f, "authority"), str(f, "target"));
    json_t *c = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:{s:s}, s:O, s:s, s:s}",
                          "iss", o->s->config->instance, "aud", o->s->config->instance, "use", "signoff", "sub", str(f, "identity"),
                          "person", str(f, "person"), "iat", (json_int_t)now, "nbf", (json_int_t)now, "exp",
                          (json_int_t)(until < now + SIGNOFF_TOKEN_S ? until : now + SIGNOFF_TOKEN_S), "jti", jti, "item", it->id,
                          "grant_id", str(f, "grant_id"), "tool", str(f, "tool"), "action", str(f, "action"), "htm", str(f, "method"),
                          "content_digest", content_digest, "request_digest", str(f, "digest"), "nonce", nonce, "cnf", "x5t#S256",
                          str(f, "x5t"), "approved_by", a->approved_by, "policy", str(f, "policy"), "checkpoint", note);
    /* A longer one would not fit a token; request_digest names it exactly all the same. */
    if (c != NULL && n < (int)sizeof uri)
        json_object_set_new(c, "uri", json_string(uri));
    return c;
}

static enum status make_token(struct op *o, const struct item *it, const struct approvals *a, const char *jti)
{
    char *note = NULL, *token = NULL;
    enum status st = log_checkpoint(o->s->log, &note, &o->err);
    if (st != OK)
        return st;
    json_t *claims = token_claims(o, it, a, jti, note);
    free(note);
    if (claims == NULL)
        return fail(&o->err, NO_MEMORY, "sign-off");
    st = jwt_sign(o->s->signer, claims, &token, &o->err);
    json_decref(claims);
    if (st == OK)
        json_object_set_new(o->answer, "token", json_string(token));
    free(token);
    return st;
}

static enum status mark_used(struct op *o, const struct item *it, const char *jti)
{
    const json_t *f = it->facts;
    json_t *row = NULL;
    enum status st = store_run(o->s->store, &o->err,
                               "UPDATE held SET state = 'used', used_ms = $1 WHERE item = $2 AND state = 'approved' AND used_ms IS NULL",
                               "is", o->now_ms, it->id);
    if (st == OK && store_changed(o->s->store) != 1)
        st = fail(&o->err, CORRUPT, "'%s' is not approved in the database", it->id);
    if (st == OK)
        st = write_leaf(o, "signoff.used", json_pack("{s:s, s:s, s:s, s:s, s:s}", "item", it->id, "session", str(f, "session"), "person",
                                               str(f, "person"), "digest", str(f, "digest"), "jti", jti), NULL);
    if (st == OK)
        st = store_row(o->s->store, &row, &o->err, "SELECT * FROM held WHERE item = $1", "s", it->id);
    if (st == OK && json_object_set_new(o->answer, "item", view_item(o, row)) != 0)
        st = fail(&o->err, NO_MEMORY, "answer");
    json_decref(row);
    return st;
}

static enum status use_up(struct op *o, const struct item *it, const struct approvals *a)
{
    unsigned char *bytes = NULL;
    size_t len = 0;
    char jti[ID_LEN + 1];
    new_id("jti_", jti);
    enum status st = load_bytes(o, it, &bytes, &len);
    if (st != OK)
        return st;
    st = sealed_make(slice_of(bytes, len), &o->answer_fd, &o->err);
    OPENSSL_cleanse(bytes, len);
    free(bytes);
    if (st == OK)
        st = mark_used(o, it, jti);
    if (st == OK)
        st = make_token(o, it, a, jti);
    if (st != OK)
        return st;
    json_object_set_new(o->answer, "run", json_true());
    json_array_append_new(o->s->erase, json_string(it->id));
    queue_item_event(o, it->id, "used");
    snprintf(o->used_item, sizeof o->used_item, "%s", it->id);
    return OK;
}

enum status release_run(struct op *o, const struct item *it)
{
    struct grant g;
    struct approvals a;
    enum status st = check_now(o, it);
    if (st == OK)
        st = grant_wanted(o, str(it->facts, "grant_id"), it->tool->name, &g);
    if (st != OK)
        return st;
    if (!grant_allows(&g, slice_str(str(it->facts, "action")))) {   /* an extension may have narrowed it since */
        grant_done(&g);
        return void_signoff(o, "The grant no longer covers this action");
    }
    json_t *leased = json_array();    /* in this transaction: a sign-off is not used up for nothing when the budget is */
    st = budget_lease(o, &g, json_object_get(it->facts, "spends"), leased);
    json_decref(leased);
    grant_done(&g);
    if (st != OK)
        return st;
    st = approvals_gather(o, it, &a);
    if (st != OK)
        return st;
    st = approvals_enough(it, &a) ? use_up(o, it, &a)
                                  : void_signoff(o, "Those who signed it off may no longer do so, are locked (they, or the certificate or identity that they used), or their keys are no longer registered");
    json_decref(a.approved_by);
    return st;
}

enum status outcome_write(struct op *o, const char *id, const char *outcome, int64_t status)
{
    json_t *row = NULL;
    enum status st = store_row(o->s->store, &row, &o->err, "SELECT session FROM held WHERE item = $1", "s", id);
    if (st == OK)
        st = store_run(o->s->store, &o->err, "UPDATE held SET outcome = $1, status = $2 WHERE item = $3 AND state = 'used'", "sis", outcome,
                       status, id);
    if (st == NOT_FOUND || (st == OK && store_changed(o->s->store) != 1))
        st = fail(&o->err, CORRUPT, "'%s' is not used in the database", id);
    if (st == OK)
        st = write_leaf(o, "outcome", json_pack("{s:s, s:s, s:s, s:I}", "item", id, "session", str(row, "session"), "outcome", outcome, "status",
                                          (json_int_t)status), NULL);
    if (st == OK)
        queue_item_event(o, id, "used");
    json_decref(row);
    return st;
}
