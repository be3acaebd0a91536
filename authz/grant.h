/* grant: one approved access, carried as a signed JWT (RFC 7519, RFC 8705) from authz to whoever enforces it.
 *
 * authz makes the claims from a decided request; the proxy verifies each grant event once and keeps the struct. */
#ifndef COUNTERSIGN_GRANT_H
#define COUNTERSIGN_GRANT_H

#include "authz/jwt.h"

#include <stdbool.h>

enum { GRANT_LIFETIME_MAX_S = 7 * 24 * 3600 };   /* no token lives longer, whatever the config says */

struct grant {
    const char *grant_id, *jti;
    const char *person;               /* who stands behind the identity */
    const char *identity;             /* `sub` */
    const char *tool;
    const char *reason;               /* cut to fit the token; the whole reason stands in the log */
    const char *basis;                /* "approved"; or of those without a second person (alone.h): then nobody stands in approved_by; "external" is an issuer's word (external.h) */
    const char *policy;               /* hash of the tool's policy when it was issued, hex */
    const char *checkpoint;           /* the log's signed head then (chain.h) */
    const char *x5t;                  /* base64url SHA-256 of the certificate, 43 characters */
    unsigned char thumbprint[32];     /* the same as bytes */
    int64_t iat_s, exp_s;
    const json_t *actions;            /* strings; ["*"] for all */
    const json_t *approved_by;        /* [{person, statement, key}] */
    const json_t *budget;             /* {line: limit} (budget.h) */
    int64_t start_s;                  /* above 0: not used yet; lasts so long from the first use on */
    const json_t *external;           /* basis "external": {name, iss, jti, kid, key, sha256}, sha256 of the token that the issuer signed; else NULL */
    json_t *claims;                   /* owns everything above */
};

/* Everything for a new grant; borrowed. */
struct grant_facts {
    const char *instance, *grant_id, *jti, *person, *identity, *x5t, *tool, *reason, *policy, *checkpoint;
    const json_t *approved_by;
    int64_t iat_s, exp_s;
    const json_t *budget;             /* NULL: none */
    const json_t *actions;            /* NULL: all */
    const char *basis;                /* NULL: "approved" */
    int64_t start_s;                  /* above 0: it waits for its first use, and then lasts so long (claim `start_when_used`) */
    const json_t *external;           /* of basis "external"; else NULL */
};
/* Sign a grant. A reason that would make the token longer than TOKEN_MAX is cut in the claim. *token_out is malloc'd. */
MUST_CHECK enum status grant_issue(const struct jwt_signer *s, const struct grant_facts *f, char **token_out, struct err *err);

/* Verify the token of a grant event. BAD_TOKEN or EXPIRED. *out is the caller's to grant_done(). */
MUST_CHECK enum status grant_verify(const struct jwt_keys *keys, const char *instance, struct slice token, int64_t now_s,
                                    struct grant *out, struct err *err);
void grant_done(struct grant *g);
/* Is the action of this name within the grant? */
bool grant_allows(const struct grant *g, struct slice action);

#endif
