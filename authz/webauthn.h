/* webauthn: keys that live in an authenticator, as a browser shows them (W3C Web Authentication, level 3). Pure: bytes in, a verdict out.
 *
 * Only what Countersign asks for counts: user verification always, ES256, EdDSA (Ed25519) or RS256, the console's own RP ID and origin to the letter, no
 * cross-origin frame. Everything that comes in is hostile; nothing is repaired. What an authenticator says about its own make (attestation) is for attestation.h to judge.
 *
 * The reader is our own: libfido2 1.12 verifies assertions but cannot read an attestation object, and links libudev and libpcsclite into the process that
 * signs. What is left of it for us is 40 lines over OpenSSL. */
#ifndef COUNTERSIGN_WEBAUTHN_H
#define COUNTERSIGN_WEBAUTHN_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <openssl/evp.h>
#include <stdint.h>

enum {
    WEBAUTHN_CLIENT_DATA_MAX = 2048,
    WEBAUTHN_ATTESTATION_MAX = 8192,
    WEBAUTHN_AUTH_DATA_MAX = 1024,    /* of an assertion: 37 bytes and extensions */
    WEBAUTHN_SIGNATURE_MAX = 512,     /* RSA of 4096 bits */
    WEBAUTHN_ID_MIN = 16,
    WEBAUTHN_ID_MAX = 1023,           /* the standard's own limit */
};

enum webauthn_algorithm { WEBAUTHN_ES256 = -7, WEBAUTHN_EDDSA = -8, WEBAUTHN_RS256 = -257 };   /* COSE's numbers (RFC 9053, RFC 8812) */

/* Whose browser page asked. Borrowed. */
struct webauthn_party {
    const char *rp_id;                /* the console's host */
    const char *origin;               /* "https://console.example:8443" */
};

/* What the authenticator says about itself and this ceremony. */
struct webauthn_facts {
    bool backup_eligible;             /* a passkey that may be copied to other devices */
    bool backed_up;
    uint32_t count;                   /* of signatures; 0 from authenticators that keep none */
};

struct webauthn_credential {
    struct slice id;                  /* points into the attestation object */
    enum webauthn_algorithm alg;
    EVP_PKEY *key;
    unsigned char aaguid[16];
    struct webauthn_facts facts;
    struct slice format, statement, auth_data;   /* of the attestation object, into which they point */
};

/* A registration: navigator.credentials.create() with this challenge. BAD_TOKEN says what is wrong. webauthn_credential_done() when OK. */
MUST_CHECK enum status webauthn_register(const struct webauthn_party *party, const unsigned char challenge[32], struct slice client_data,
                                         struct slice attestation_object, struct webauthn_credential *out, struct err *err);
void webauthn_credential_done(struct webauthn_credential *c);

/* One signature: what navigator.credentials.get() with this challenge answers. */
struct webauthn_answer {
    struct slice client_data, authenticator_data, signature;
};
/* key is the registered one. BAD_TOKEN says what is wrong. The counter is the caller's to compare (webauthn_count_ok). */
MUST_CHECK enum status webauthn_verify(const struct webauthn_party *party, const unsigned char challenge[32], EVP_PKEY *key,
                                       const struct webauthn_answer *answer, struct webauthn_facts *out, struct err *err);
/* It must grow, unless the authenticator keeps none: then it is 0 before and after (s7.2, step 22). */
static inline bool webauthn_count_ok(uint32_t before, uint32_t now) { return (before == 0 && now == 0) || now > before; }
/* "ES256", "EdDSA", "RS256", or NULL for a key of another kind. */
const char *webauthn_algorithm_name(EVP_PKEY *key);

#endif
