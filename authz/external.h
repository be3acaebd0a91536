/* external: grants that somebody else signs, such as an approval bot (setting `issuers`), presented by the client in Countersign-Grant.
 *
 * A token of theirs is a compact JWS, ES256 or RS256 as its key says, with exactly these claims: iss, aud (one string), sub (the identity), iat, exp, nbf (may be left
 * out), jti, use ("grant"), cnf {x5t#S256} (the certificate), tool, actions, reason. A claim that is not known might narrow what is granted, so it is refused, not passed over.
 *
 * authz verifies it once, when it is first presented, and makes a grant of its own of it (approvals/ops_external.c); after that it is a grant like any other. The proxy only
 * looks at whose it claims to be. Pure but for external_load(). */
#ifndef COUNTERSIGN_EXTERNAL_H
#define COUNTERSIGN_EXTERNAL_H

#include "authz/jwt.h"
#include "config/config.h"

struct external;                      /* the keys of all issuers of a config; borrows the config */

/* Read every issuer's keys, but for those of a URL: these have none until external_put(). BAD_CONFIG names the issuer and what is wrong: an unsound file, a key that stands with
 * two issuers, one that is the gateway's own. */
MUST_CHECK enum status external_load(const struct config *c, const struct jwt_keys *own, struct external **out, struct err *err);
void external_free(struct external *e);

/* The set of an issuer with a URL, from now on; NULL: none counts. BAD_INPUT says what is unsound about it, as for a file, and nothing changes. The set is copied. */
MUST_CHECK enum status external_put(struct external *e, const struct issuer *i, const json_t *jwks, const struct jwt_keys *own, struct err *err);
/* What matters of a fetched text: {"keys": [...]}, the keys that this issuer may sign with, by kid, without members that say nothing about them; the caller's. BAD_INPUT as above. */
MUST_CHECK enum status external_read(const struct issuer *i, struct slice text, json_t **out, struct err *err);
/* This token, not verified at all, claims to be of an issuer with a URL and signed by a key that is not in its set: that issuer. NULL: no. */
const struct issuer *external_unknown_key(const struct external *e, struct slice token);

/* The issuer that this token, not verified at all, claims to be from. NULL: none of them, or it cannot be read. */
const struct issuer *external_claimed(const struct config *c, struct slice token);

struct external_grant {
    const struct issuer *issuer;      /* of the config */
    const char *jti, *identity, *x5t, *tool, *reason;
    char kid[129], key[44];           /* which key signed it, and its fingerprint */
    char id[48];                      /* "ext_" and a hash over iss and jti: a token is admitted once */
    const json_t *actions;            /* names, or ["*"]; no wider than the issuer may grant */
    int64_t iat_s, exp_s;
    json_t *claims;                   /* owns the texts */
};
/* Everything about a token that does not depend on who presents it. BAD_TOKEN or EXPIRED, with a reason for the client. */
MUST_CHECK enum status external_verify(const struct external *e, const char *instance, struct slice token, int64_t now_s, struct external_grant *out,
                                       struct err *err);
void external_grant_done(struct external_grant *g);
/* Does this issuer (`iss`) still have this key, and may it still grant this tool and these actions? */
bool external_holds(const struct external *e, const char *iss, const char *kid, const char *key, const char *tool, const json_t *actions);

#endif
