#include "authz/webauthn.h"

#include "authz/cbor.h"
#include "authz/cose.h"
#include "proxy/base/codec.h"

#include <jansson.h>

enum {
    UP = 0x01, UV = 0x04, BE = 0x08, BS = 0x10, AT = 0x40, ED = 0x80, UNKNOWN_FLAGS = 0x22,
    HASH_LEN = 32, FIXED_LEN = 37, AAGUID_LEN = 16, ID_LENGTH_LEN = 2,
};

static enum status no(struct err *err, const char *why)
{
    return fail(err, BAD_TOKEN, "%s", why);
}

/* ---- what the browser says (s5.8.1) ---- */

static bool member_is(const json_t *o, const char *name, const char *want)
{
    const json_t *v = json_object_get(o, name);
    return json_is_string(v) && json_string_length(v) == strlen(want) && strcmp(json_string_value(v), want) == 0;
}

/* Members we don't know are allowed: the standard promises browsers more of them. */
static enum status check_client_data(const struct webauthn_party *party, const char *type, const unsigned char challenge[32], struct slice text,
                                     struct err *err)
{
    char want[44];
    enum status st = OK;
    if (text.len == 0 || text.len > WEBAUTHN_CLIENT_DATA_MAX)
        return no(err, "the client data is empty or too long");
    json_t *o = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    b64url_encode(slice_of(challenge, HASH_LEN), want);
    const json_t *cross = json_object_get(o, "crossOrigin");
    if (!json_is_object(o))
        st = no(err, "the client data is not one JSON object");
    else if (!member_is(o, "type", type))
        st = no(err, "the client data is of another type of ceremony");
    else if (!member_is(o, "challenge", want))
        st = no(err, "the client data is about another challenge");
    else if (!member_is(o, "origin", party->origin))
        st = no(err, "the client data is of another origin");
    else if ((cross != NULL && !json_is_false(cross)) || json_object_get(o, "topOrigin") != NULL)
        st = no(err, "the page was in a frame of another origin");
    json_decref(o);
    return st;
}

/* ---- what the authenticator says (s6.1) ---- */

/* rpIdHash(32) flags(1) signCount(4) [attested credential data] [extensions]. *rest: what follows the fixed part. */
static enum status check_fixed(const struct webauthn_party *party, struct slice data, unsigned *flags, struct webauthn_facts *facts,
                               struct slice *rest, struct err *err)
{
    unsigned char hash[HASH_LEN];
    if (data.len < FIXED_LEN)
        return no(err, "the authenticator data is too short");
    sha256_one(slice_str(party->rp_id), hash);
    if (memcmp(data.ptr, hash, HASH_LEN) != 0)
        return no(err, "the authenticator data is for another RP ID");
    *flags = data.ptr[HASH_LEN];
    if ((*flags & UNKNOWN_FLAGS) != 0)
        return no(err, "the authenticator data has flags that no standard names");
    if ((*flags & UP) == 0)
        return no(err, "the authenticator did not see that somebody was present");
    if ((*flags & UV) == 0)
        return no(err, "the authenticator did not verify the person (PIN or biometry)");
    if ((*flags & BS) != 0 && (*flags & BE) == 0)
        return no(err, "the authenticator data says backed up, but not eligible for it");
    const unsigned char *c = data.ptr + HASH_LEN + 1;
    *facts = (struct webauthn_facts){ (*flags & BE) != 0, (*flags & BS) != 0,
                                      (uint32_t)c[0] << 24 | (uint32_t)c[1] << 16 | (uint32_t)c[2] << 8 | c[3] };
    *rest = slice_from(data, FIXED_LEN);
    return OK;
}

/* Extensions are one map that ends the data, there exactly if the flag says so. */
static enum status check_end(unsigned flags, struct slice rest, struct err *err)
{
    bool sound = (flags & ED) == 0 || (rest.len > 0 && rest.ptr[0] >> 5 == 5 && cbor_skip(&rest));
    return sound && rest.len == 0 ? OK : no(err, "the authenticator data does not end where it should");
}

static enum status take_credential(struct slice *rest, struct webauthn_credential *out, struct err *err)
{
    if (rest->len < AAGUID_LEN + ID_LENGTH_LEN)
        return no(err, "the attested credential data is cut off");
    memcpy(out->aaguid, rest->ptr, AAGUID_LEN);
    size_t len = (size_t)rest->ptr[AAGUID_LEN] << 8 | rest->ptr[AAGUID_LEN + 1];
    *rest = slice_from(*rest, AAGUID_LEN + ID_LENGTH_LEN);
    if (len < WEBAUTHN_ID_MIN || len > WEBAUTHN_ID_MAX || len > rest->len)
        return no(err, "the credential's id is too short, too long or cut off");
    out->id = slice_of(rest->ptr, len);
    *rest = slice_from(*rest, len);
    return cose_key_take(rest, &out->alg, &out->key, err);
}

/* { "fmt": text, "attStmt": map, "authData": bytes }, in any order, nothing else (s6.5.4). */
static enum status find_parts(struct slice in, struct webauthn_credential *out, struct err *err)
{
    struct cbor_item map, name, value;
    unsigned seen = 0;
    if (in.len > WEBAUTHN_ATTESTATION_MAX || !cbor_next(&in, &map) || map.type != CBOR_MAP || map.n != 3)
        return no(err, "the attestation object is not a map of three");
    for (int i = 0; i < 3; i++) {
        if (!cbor_next(&in, &name) || name.type != CBOR_TEXT)
            return no(err, "a name in the attestation object is no text");
        struct slice before = in, start = in;
        bool is_data = slice_eq(name.s, SLICE("authData")), is_fmt = slice_eq(name.s, SLICE("fmt"));
        bool is_statement = slice_eq(name.s, SLICE("attStmt"));
        if (!cbor_next(&before, &value) || !cbor_skip(&in))
            return no(err, "the attestation object is malformed or cut off");
        if ((is_data && value.type == CBOR_BYTES) || (is_fmt && value.type == CBOR_TEXT) || (is_statement && value.type == CBOR_MAP))
            seen |= is_data ? 1u : is_fmt ? 2u : 4u;
        if (is_data)
            out->auth_data = value.s;
        else if (is_fmt)
            out->format = value.s;
        else if (is_statement)
            out->statement = slice_of(start.ptr, start.len - in.len);
    }
    return seen == 7 && in.len == 0 ? OK : no(err, "the attestation object has not exactly fmt, attStmt and authData");
}

enum status webauthn_register(const struct webauthn_party *party, const unsigned char challenge[32], struct slice client_data,
                              struct slice attestation_object, struct webauthn_credential *out, struct err *err)
{
    struct webauthn_credential c = { .key = NULL };
    struct slice rest = { 0 };
    unsigned flags = 0;
    enum status st = check_client_data(party, "webauthn.create", challenge, client_data, err);
    if (st == OK)
        st = find_parts(attestation_object, &c, err);
    if (st == OK)
        st = check_fixed(party, c.auth_data, &flags, &c.facts, &rest, err);
    if (st == OK && (flags & AT) == 0)
        st = no(err, "the authenticator data holds no credential");
    if (st == OK)
        st = take_credential(&rest, &c, err);
    if (st == OK)
        st = check_end(flags, rest, err);
    if (st == OK)
        *out = c;
    else
        webauthn_credential_done(&c);
    return st;
}

void webauthn_credential_done(struct webauthn_credential *c)
{
    EVP_PKEY_free(c->key);
    c->key = NULL;
}

/* ---- a signature over authenticatorData || SHA-256(clientDataJSON) (s6.3.3) ---- */

static bool signature_holds(EVP_PKEY *key, const struct webauthn_answer *a)
{
    unsigned char signed_bytes[WEBAUTHN_AUTH_DATA_MAX + HASH_LEN];
    memcpy(signed_bytes, a->authenticator_data.ptr, a->authenticator_data.len);
    sha256_one(a->client_data, signed_bytes + a->authenticator_data.len);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const EVP_MD *digest = EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256();
    bool good = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, digest, NULL, key) == 1
                && EVP_DigestVerify(ctx, a->signature.ptr, a->signature.len, signed_bytes, a->authenticator_data.len + HASH_LEN) == 1;
    EVP_MD_CTX_free(ctx);
    (void)ossl_reason();              /* leave no old error in the queue */
    return good;
}

enum status webauthn_verify(const struct webauthn_party *party, const unsigned char challenge[32], EVP_PKEY *key,
                            const struct webauthn_answer *answer, struct webauthn_facts *out, struct err *err)
{
    struct webauthn_facts facts;
    struct slice rest = { 0 };
    unsigned flags = 0;
    if (webauthn_algorithm_name(key) == NULL)
        return no(err, "the key is not one of ES256, EdDSA or RS256");
    if (answer->authenticator_data.len > WEBAUTHN_AUTH_DATA_MAX || answer->signature.len == 0 || answer->signature.len > WEBAUTHN_SIGNATURE_MAX)
        return no(err, "the authenticator data or the signature is too long or empty");
    enum status st = check_client_data(party, "webauthn.get", challenge, answer->client_data, err);
    if (st == OK)
        st = check_fixed(party, answer->authenticator_data, &flags, &facts, &rest, err);
    if (st == OK && (flags & AT) != 0)
        st = no(err, "the authenticator data holds a credential where none belongs");
    if (st == OK)
        st = check_end(flags, rest, err);
    if (st == OK && !signature_holds(key, answer))
        st = no(err, "the signature does not hold over this statement");
    if (st == OK)
        *out = facts;
    return st;
}
