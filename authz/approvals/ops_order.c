/* Orders: what one person settles alone, by a signed statement, without an item that waits: lifting a lock. The statement holds everything; whoever edits the stored one
 * has a signature that does not fit it. */
#include "authz/approvals/internal.h"

enum status order_statement(struct op *o, const char *item, const char *purpose, const char *concerns, json_t *scope)
{
    char nonce[NONCE_LEN + 1], id[ID_LEN + 1];
    const char *key = str(o->m, "key");
    if (approval_key_of(o, o->who.person->name, key) == NULL) {
        json_decref(scope);
        return refuse_op(o, KEY_NOT_REGISTERED, "No approval key with this fingerprint is registered to %s", o->who.person->name);
    }
    random_id(16, nonce);
    statement_id(nonce, item, "approve", id);
    struct statement s = { .instance = o->s->config->instance, .purpose = purpose, .decision = "approve", .id = id, .requester = concerns, .identity = "-",
                           .approver = o->who.person->name, .key = key, .method = key_method(o->s, key), .iat_s = now_s(o), .exp_s = now_s(o) + STATEMENT_LIFETIME_S, .policy = "-",
                           .scope = scope };
    json_t *object = scope ? statement_make(&s) : NULL;
    json_decref(scope);
    enum status st = object ? statement_keep(o, item, nonce, id, object) : fail(&o->err, NO_MEMORY, "statement");
    if (st == OK)
        json_object_set(o->answer, "statement", object);
    if (st == OK)
        answer_authenticator(o, key);
    json_decref(object);
    return st;
}

enum status order_signed(struct op *o, const json_t *row, const json_t *object, const char *purpose, struct statement *s, json_t **yes_out)
{
    char id[ID_LEN + 1];
    if (statement_read(object, s, &o->err) != OK)
        return fail(&o->err, CORRUPT, "the stored statement '%s' is broken", str(row, "id"));
    statement_id(str(row, "nonce"), str(row, "item"), s->decision, id);
    if (strcmp(id, s->id) != 0 || strcmp(id, str(row, "id")) != 0 || strcmp(s->purpose, purpose) != 0 || strcmp(s->approver, o->who.person->name) != 0
        || strcmp(s->instance, o->s->config->instance) != 0 || strcmp(s->decision, "approve") != 0 || strcmp(s->method, key_method(o->s, s->key)) != 0
        || s->iat_s > now_s(o) || s->exp_s <= now_s(o))
        return fail(&o->err, CORRUPT, "the stored statement '%s' is not the one that was made", id);
    if (approval_key_of(o, o->who.person->name, s->key) == NULL)
        return refuse_op(o, KEY_NOT_REGISTERED, "The key of the statement is not, or no longer, registered to %s", o->who.person->name);
    json_t *yes = NULL;
    enum status st = check_signature(o, object, s, &yes);
    if (st == OK)
        st = statement_consume(o, s->id);
    if (st == OK)
        *yes_out = yes;
    else
        json_decref(yes);
    return st;
}
