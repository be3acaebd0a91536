/* statement: what an approver signs. One person's yes or no, to exactly this, with this key.
 *
 * A JSON object with exactly the members of authz/README.md, signed over its canonical text (canonical.h) as a detached JWS. authz
 * builds it; the approver's client builds it again from the raw request and compares; anyone may verify it later. */
#ifndef COUNTERSIGN_STATEMENT_H
#define COUNTERSIGN_STATEMENT_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <stdint.h>

enum { STATEMENT_LIFETIME_S = 600 };

/* Every string is borrowed. */
struct statement {
    const char *instance;
    const char *purpose;              /* "access", "signoff", "register-key" or "policy"; "unlock", "review", "delegate": orders, of which requester is whom it concerns, identity and policy are "-" */
    const char *decision;             /* "approve" or "deny" */
    const char *id;                   /* "stm_…" */
    const char *requester;            /* person */
    const char *identity;             /* the certificate's SAN the request came with */
    const char *approver;             /* person */
    const char *key;                  /* fingerprint of the approver's key */
    const char *method;               /* how it signs: "command-line", "passkey" or "hardware" */
    int64_t iat_s, exp_s;
    const char *policy;               /* hash of the tool's policy, hex; "none" for a key; of purpose "policy" the digest of the new one */
    const json_t *scope;              /* one of the three below */
};

/* A new object, or NULL when memory is short. The scope is shared, not copied. */
json_t *statement_make(const struct statement *in);
/* The exact thing that is asked for; a new object, or NULL. */
json_t *statement_scope_access(const char *tool, int64_t duration_s, const char *reason);
/* The same for some of the actions (actions.h; "*": all, left out) or as an extension of a grant (its id; "": none, left out). */
json_t *statement_scope_part(const char *tool, int64_t duration_s, const char *reason, const char *actions, const char *extends);
/* What lifts a lock. */
json_t *statement_scope_unlock(const char *lock_id, const char *kind, const char *value, const char *reason);
struct statement_request {            /* digests as base64url */
    const char *tool, *action, *method, *authority, *target, *digest, *body_sha256, *reason;
    int64_t body_len;
};
json_t *statement_scope_signoff(const struct statement_request *r);
/* A new approval key of the requester: its fingerprint, and what it is. */
json_t *statement_scope_key(const char *key, const char *method, const char *alg, const char *label);
/* Any of those for access, a sign-off or a key may have one member more when the decision is "deny": `answer`, why not, as the requester reads it. */

/* Who answers in the signer's place: at these tools (names joined by commas, or "*"), these kinds ("access", "signoff" or both), until then. */
json_t *statement_scope_delegate(const char *delegation, const char *delegate, const char *tools, const char *kinds, int64_t until_s);
/* What a reviewer says of a use of break-glass: outcome "justified" or "not-justified", with words. */
json_t *statement_scope_review(const char *review, const char *session, const char *tool, const char *reason, const char *outcome, const char *words);

/* A change of the policy: the digest of the one before (that of the new one is the statement's `policy`), and what changes, in words, a line each. */
json_t *statement_scope_policy(const char *was, const char *changes);

/* Read one: version 1, exactly the known members, of the right types. *out borrows from the object. BAD_INPUT. */
MUST_CHECK enum status statement_read(const json_t *object, struct statement *out, struct err *err);

/* Sign, or verify, over the canonical text. The signature is for the key named in the statement: verify compares. BAD_TOKEN. */
MUST_CHECK enum status statement_sign(const json_t *object, EVP_PKEY *key, char **jws_out, struct err *err);
MUST_CHECK enum status statement_verify(const json_t *object, EVP_PKEY *key, struct slice jws, struct err *err);

#endif
