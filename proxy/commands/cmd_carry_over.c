/* carry-over: take the live grants of a former certificate along to the one that took its place. Both keys are in this hand: one speaks TLS, the other signs. */
#include "authz/canonical.h"
#include "authz/jwt.h"
#include "certs/leaf.h"
#include "certs/pem.h"
#include "proxy/base/codec.h"
#include "proxy/commands/client.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"

#include <stdio.h>
#include <stdlib.h>

struct carry {
    struct profile profile;
    const char *old_cert, *old_key;
    X509 *former;
    EVP_PKEY *key;
    char *der;                        /* base64url */
    char from[X5T_LEN + 1], to[X5T_LEN + 1], kid[44];
    bool json;
};

static void thumbprint(X509 *cert, char out[X5T_LEN + 1])
{
    struct identity id;
    (void)leaf_read(cert, &id);
    memcpy(out, id.x5t, X5T_LEN + 1);
}

static enum status read_new(struct carry *c, struct err *err)
{
    X509 *cert = NULL;
    enum status st = pem_read_cert(c->profile.cert, &cert, err);
    if (st == OK)
        thumbprint(cert, c->to);
    X509_free(cert);
    return st;
}

static enum status read_former(struct carry *c, struct err *err)
{
    unsigned char *der = NULL;
    enum status st = pem_read_cert(c->old_cert, &c->former, err);
    if (st == OK)
        st = key_read(c->old_key, &c->key, err);
    if (st == OK && X509_check_private_key(c->former, c->key) != 1) {
        (void)ossl_reason();
        st = fail(err, BAD_INPUT, "'%s' is not the key of '%s', so it cannot sign for it. Next: name the key file that was issued with that certificate", c->old_key, c->old_cert);
    }
    if (st != OK)
        return st;
    int len = i2d_X509(c->former, &der);
    c->der = len > 0 ? malloc(B64URL_LEN(len) + 1) : NULL;
    if (c->der != NULL)
        b64url_encode(slice_of(der, (size_t)len), c->der);
    OPENSSL_free(der);
    thumbprint(c->former, c->from);
    key_fingerprint(c->key, c->kid);
    return c->der ? OK : fail(err, NO_MEMORY, "certificate");
}

/* Nothing is signed but this move, between these two, at the gateway that the profile names. */
static enum status check_statement(const struct carry *c, const json_t *s, struct err *err)
{
    if (!json_text_is(s, "purpose", "carry-over") || !json_text_is(s, "from", c->from) || !json_text_is(s, "to", c->to) || !json_text_is(s, "key", c->kid)
        || json_object_size(s) != 11)
        return fail(err, BAD_INPUT, "the gateway asks to sign something else than this; nothing was signed");
    if (c->profile.instance != NULL && !json_text_is(s, "instance", c->profile.instance))
        return fail(err, BAD_INPUT, "the statement is of another gateway than '%s'; nothing was signed", c->profile.instance);
    return OK;
}

static enum status sign(const struct carry *c, const json_t *s, char **jws, struct err *err)
{
    char *text = NULL;
    size_t len = 0;
    enum status st = check_statement(c, s, err);
    if (st == OK)
        st = canonical_json(s, &text, &len, err);
    if (st == OK)
        st = jws_sign_detached(c->key, c->kid, slice_of(text, len), jws, err);
    free(text);
    return st;
}

static enum status ask(struct carry *c, struct client *client, json_t **answer, struct err *err)
{
    json_t *body = json_pack("{s:s}", "certificate", c->der), *first = NULL;
    char *jws = NULL;
    enum status st = body ? client_send(client, "POST", "/api/v1/carry-over/statement", body, &first, err) : fail(err, NO_MEMORY, "statement");
    const json_t *s = json_object_get(first, "statement");
    if (st == OK)
        st = sign(c, s, &jws, err);
    if (st == OK && (json_object_set(body, "statement_id", json_object_get(s, "id")) != 0 || json_object_set_new(body, "jws", json_string(jws)) != 0))
        st = fail(err, NO_MEMORY, "statement");
    if (st == OK)
        st = client_send(client, "POST", "/api/v1/carry-over", body, answer, err);
    free(jws);
    json_decref(first);
    json_decref(body);
    return st;
}

static void print_carried(const json_t *answer)
{
    size_t i;
    json_t *g;
    json_array_foreach(json_array_member(answer, "carried"), i, g) {
        fputs("Carried over: ", stdout);
        term_str(stdout, json_text(g, "tool"));
        fputs(" (", stdout);
        term_str(stdout, json_text(g, "grant_id"));
        puts("). The former certificate opens it no more.");
    }
    puts("Requests that waited for a sign-off under it are cancelled: send them again.");
}

static int carry_run(struct carry *c)
{
    struct client *client = NULL;
    struct err err = { 0 };
    json_t *answer = NULL;
    int code = EXIT_DONE;
    enum status st = client_open(&c->profile, &client, &err);
    if (st == OK)
        st = read_new(c, &err);
    if (st == OK)
        st = read_former(c, &err);
    if (st == OK)
        st = ask(c, client, &answer, &err);
    if (st != OK) {
        code = client_failed(client, &err);
    } else if (c->json) {
        code = command_json(answer);
    } else {
        print_carried(answer);
        json_decref(answer);
    }
    X509_free(c->former);
    EVP_PKEY_free(c->key);
    free(c->der);
    client_free(client);
    return code;
}

int cmd_carry_over(int argc, char **argv)
{
    struct carry c = { 0 };
    const struct option_spec options[] = {
        { "old-cert", 0, "FILE", "the certificate that was renewed (PEM)", &c.old_cert, NULL, true },
        { "old-key", 0, "FILE", "its private key (PEM)", &c.old_key, NULL, true },
        PROFILE_OPTIONS(c.profile),
        { 0 },
    };
    const struct usage usage = { "countersign carry-over --old-cert FILE --old-key FILE",
        "Take your live grants along from a former certificate to the one you use now, of the same identity. The former one must still be valid: a revoked or expired one carries "
        "nothing." PROFILE_HELP,
        options, 0, 0, &c.json };
    char **args;
    size_t count;
    int code;
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    code = carry_run(&c);
    profile_done(&c.profile);
    return code;
}
