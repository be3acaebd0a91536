#include "proxy/commands/order.h"

#include "authz/jwt.h"
#include "certs/pem.h"
#include "proxy/commands/words.h"

#include <stdlib.h>
#include <string.h>

static bool scope_has(const json_t *scope, const json_t *wanted)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)wanted, name, value)
        if (!json_equal(json_object_get(scope, name), value))
            return false;
    return true;
}

static enum status check(const struct order *o, const json_t *statement, const char *person, const char *fingerprint, struct err *err)
{
    struct statement s;
    enum status st = statement_read(statement, &s, err);
    if (st != OK)
        return st;
    if (strcmp(s.purpose, o->purpose) == 0 && strcmp(s.decision, "approve") == 0 && strcmp(s.approver, person) == 0 && strcmp(s.key, fingerprint) == 0
        && (o->concerns == NULL || strcmp(s.requester, o->concerns) == 0) && scope_has(s.scope, o->scope))
        return OK;
    return fail(err, REFUSED, "the gateway asks to sign something else than what you asked for. Nothing was signed. Next: tell your security team");
}

static enum status fetch(struct client *c, const struct order *o, const char *fingerprint, json_t **made, struct err *err)
{
    json_t *status = NULL;
    enum status st = client_get(c, "/api/v1/status", &status, err);
    if (st != OK)
        return st;
    if (json_object_set_new(o->body, "key", json_string(fingerprint)) != 0)
        st = fail(err, NO_MEMORY, "order");
    if (st == OK)
        st = client_send(c, "POST", o->path, o->body, made, err);
    if (st == OK)
        st = check(o, json_object_get(*made, "statement"), json_text(status, "person"), fingerprint, err);
    json_decref(status);
    return st;
}

static enum status sign(struct client *c, EVP_PKEY *key, const json_t *statement, json_t **answer, struct err *err)
{
    char *jws = NULL;
    enum status st = statement_sign(statement, key, &jws, err);
    if (st != OK)
        return st;
    json_t *body = json_pack("{s:s, s:s}", "statement_id", json_text(statement, "id"), "jws", jws);
    st = body != NULL ? client_send(c, "POST", "/api/v1/decisions", body, answer, err) : fail(err, NO_MEMORY, "decision");
    json_decref(body);
    free(jws);
    return st;
}

enum status order_give(struct client *c, const char *key_path, const struct order *o, json_t **answer_out, struct err *err)
{
    char fingerprint[44];
    json_t *made = NULL;
    EVP_PKEY *key = NULL;
    enum status st = o->body != NULL && o->scope != NULL ? key_read(key_path, &key, err) : fail(err, BAD_INPUT, "what is given must be UTF-8 text");
    if (st != OK)
        return st;
    key_fingerprint(key, fingerprint);
    st = fetch(c, o, fingerprint, &made, err);
    if (st == OK)
        st = sign(c, key, json_object_get(made, "statement"), answer_out, err);
    json_decref(made);
    EVP_PKEY_free(key);
    return st;
}
