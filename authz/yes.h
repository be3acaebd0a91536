/* yes: one person's signature over a statement (statement.h), of either kind, as it is handed in and as the log keeps it.
 *
 *   { "jws": detached JWS }                                                                     by a certificate's key
 *   { "webauthn": { "client_data", "authenticator_data", "signature" } }, base64url each        by an authenticator, in the console's own page
 *
 * For WebAuthn the challenge is the SHA-256 of the statement's canonical text. What the statement's `method` says must be what it is: "command-line"
 * for the first kind, "passkey" or "hardware" for the second. */
#ifndef COUNTERSIGN_YES_H
#define COUNTERSIGN_YES_H

#include "authz/statement.h"
#include "authz/webauthn.h"

/* Does the yes hold over this statement, by this key? `yes` may have other members too. party: of the console. *facts_out is what the authenticator said;
 * zero for a JWS. BAD_TOKEN or BAD_INPUT; the counter is the caller's to compare. */
MUST_CHECK enum status yes_verify(const json_t *statement, EVP_PKEY *key, const struct webauthn_party *party, const json_t *yes,
                                  struct webauthn_facts *facts_out, struct err *err);
/* The challenge for this statement. */
MUST_CHECK enum status yes_challenge(const json_t *statement, unsigned char out[32], struct err *err);

#endif
