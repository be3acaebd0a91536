/* Everything of the authz library that reads signed or sealed text: tokens, detached signatures, notes, statements, blobs. The first byte says which. */
#include "authz/blob.h"
#include "authz/chain.h"
#include "authz/external.h"
#include "authz/grant.h"
#include "authz/statement.h"

#include <openssl/ec.h>
#include <stdlib.h>

static EVP_PKEY *key;
static struct jwt_keys *keys, *foreign;
static struct issuer issuer = { .name = (char *)(uintptr_t)"bot", .iss = (char *)(uintptr_t)"https://bot.test.localhost" };
static struct config config = { .issuers = &issuer, .issuer_count = 1 };
static const char jwks_text[] = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"alg\":\"ES256\",\"kid\":\"k\","
                                "\"x\":\"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY\",\"y\":\"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU\"}]}";

static void set_up(void)
{
    json_t *jwks = json_loads(jwks_text, 0, NULL);
    struct err err;
    key = EVP_EC_gen("P-256");
    if (key == NULL || jwt_keys_from_jwks(jwks, &keys, &err) != OK || jwt_keys_foreign(jwks, true, true, &foreign, &err) != OK)
        abort();
    json_decref(jwks);
}

static void try_statement(struct slice s)
{
    struct statement out;
    struct err err;
    json_t *o = json_loadb((const char *)s.ptr, s.len, JSON_REJECT_DUPLICATES, NULL);
    if (o != NULL && statement_read(o, &out, &err) == OK && statement_verify(o, key, SLICE("e30..AAAA"), &err) == OK)
        abort();
    json_decref(o);
}

static void try_blob(struct slice s)
{
    struct blob b;
    struct err err;
    unsigned char digest[32], body[32];
    if (blob_parse(s, &b, &err) != OK)
        return;
    (void)!blob_digest(&b, digest, body, &err);
    blob_done(&b);
}

static void try_external(struct slice s)
{
    struct jwt_expect expect = { issuer.iss, "gw", "grant", 1800000000, 900 };
    struct err err;
    json_t *claims = NULL;
    const struct issuer *claimed = external_claimed(&config, s);
    if ((claimed != NULL && claimed != &issuer) || jwt_verify(foreign, s, &expect, &claims, &err) == OK)
        abort();                      /* nobody has the private key */
}

static void try_foreign_jwks(struct slice s)
{
    struct jwt_keys *k = NULL;
    struct err err;
    json_t *o = json_loadb((const char *)s.ptr, s.len, JSON_REJECT_DUPLICATES, NULL);
    if (jwt_keys_foreign(o, true, true, &k, &err) == OK)
        jwt_keys_free(k);
    json_decref(o);
}

static void try_jwks(struct slice s)
{
    struct jwt_keys *k = NULL;
    struct err err;
    json_t *o = json_loadb((const char *)s.ptr, s.len, 0, NULL);
    if (jwt_keys_from_jwks(o, &k, &err) == OK)
        jwt_keys_free(k);
    json_decref(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    struct grant g;
    struct chain_head head;
    static const unsigned char public_key[32] = { 1 };
    if (keys == NULL)
        set_up();
    if (size == 0)
        return 0;
    struct slice s = slice_of(data + 1, size - 1);
    switch (data[0]) {
    case 'j':
        if (grant_verify(keys, "gw", s, 1800000000, &g, &err) == OK)
            abort();                  /* nobody has the private key */
        break;
    case 'd':
        if (jws_verify_detached(key, "k", s, SLICE("payload"), &err) == OK)
            abort();
        break;
    case 'n':
        if (chain_note_verify(public_key, "gw", s, &head, &err) == OK)
            abort();
        break;
    case 's':
        try_statement(s);
        break;
    case 'b':
        try_blob(s);
        break;
    case 'k':
        try_jwks(s);
        break;
    case 'e':
        try_external(s);
        break;
    case 'f':
        try_foreign_jwks(s);
        break;
    default:
        break;
    }
    return 0;
}
