#include "authz/yes.h"

#include "authz/canonical.h"
#include "authz/jwt.h"
#include "proxy/base/codec.h"

#include <stdlib.h>

enum status yes_challenge(const json_t *statement, unsigned char out[32], struct err *err)
{
    char *text = NULL;
    size_t len = 0;
    enum status st = canonical_json(statement, &text, &len, err);
    if (st == OK)
        sha256_one(slice_of(text, len), out);
    free(text);
    return st;
}

/* A member of base64url, decoded into a buffer of its largest size. */
static bool bytes_of(const json_t *o, const char *name, unsigned char *buffer, size_t max, struct slice *out)
{
    const json_t *v = json_object_get(o, name);
    size_t len = 0;
    if (!json_is_string(v) || b64url_decode(slice_of(json_string_value(v), json_string_length(v)), buffer, max, &len) != OK)
        return false;
    *out = slice_of(buffer, len);
    return true;
}

static enum status verify_webauthn(const json_t *statement, EVP_PKEY *key, const struct webauthn_party *party, const json_t *given,
                                   struct webauthn_facts *facts, struct err *err)
{
    unsigned char challenge[32], client_data[WEBAUTHN_CLIENT_DATA_MAX], data[WEBAUTHN_AUTH_DATA_MAX], signature[WEBAUTHN_SIGNATURE_MAX];
    struct webauthn_answer a;
    if (json_object_size(given) != 3 || !bytes_of(given, "client_data", client_data, sizeof client_data, &a.client_data)
        || !bytes_of(given, "authenticator_data", data, sizeof data, &a.authenticator_data)
        || !bytes_of(given, "signature", signature, sizeof signature, &a.signature))
        return fail(err, BAD_TOKEN, "the signature has not client_data, authenticator_data and signature as base64url");
    enum status st = yes_challenge(statement, challenge, err);
    return st == OK ? webauthn_verify(party, challenge, key, &a, facts, err) : st;
}

enum status yes_verify(const json_t *statement, EVP_PKEY *key, const struct webauthn_party *party, const json_t *yes,
                       struct webauthn_facts *facts_out, struct err *err)
{
    struct statement s;
    struct webauthn_facts facts = { false, false, 0 };
    char fingerprint[44];
    const json_t *jws = json_object_get(yes, "jws"), *given = json_object_get(yes, "webauthn");
    enum status st = statement_read(statement, &s, err);
    if (st != OK)
        return st;
    bool command_line = strcmp(s.method, "command-line") == 0;
    if ((jws != NULL) == (given != NULL) || command_line != (jws != NULL) || (jws != NULL && !json_is_string(jws)))
        return fail(err, BAD_TOKEN, "the signature is not of the kind that the statement's method '%s' names", s.method);
    if (command_line) {
        st = statement_verify(statement, key, slice_of(json_string_value(jws), json_string_length(jws)), err);
        if (st == OK)
            *facts_out = facts;
        return st;
    }
    key_fingerprint(key, fingerprint);
    if (strcmp(fingerprint, s.key) != 0)
        return fail(err, BAD_TOKEN, "the statement names another key than the one it is checked with");
    st = verify_webauthn(statement, key, party, given, &facts, err);
    if (st == OK && strcmp(s.method, "hardware") == 0 && facts.backup_eligible)
        st = fail(err, BAD_TOKEN, "the key says that it can be copied to other devices, so it is not one in hardware");
    if (st == OK)
        *facts_out = facts;
    return st;
}
