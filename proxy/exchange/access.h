/* access: one worker's own copy of who has a grant and what is locked, kept by authz's events. Looking up takes no lock and asks nobody: the signature of
 * a grant was verified when it arrived. */
#ifndef COUNTERSIGN_ACCESS_H
#define COUNTERSIGN_ACCESS_H

#include "authz/jwt.h"
#include "proxy/base/slice.h"
#include "proxy/exchange/purse.h"

#include <stdbool.h>
#include <stdint.h>

enum { GRANT_ID_MAX = 63, TOOL_NAME_MAX = 32 };

/* A live grant, as the request path needs it. Owned by the table; a pointer is good until the loop's next event. */
struct live_grant {
    struct live_grant *next;          /* further grants of the same certificate and tool */
    char grant_id[GRANT_ID_MAX + 1];
    int64_t exp_s;
    unsigned char token_sha256[32];   /* of the grant's token, for clients that present it */
    unsigned char external_sha256[32];   /* of the token that another issuer signed, if it came of one */
    char issuer[65];                  /* whose; "": nobody's but ours */
    bool noticed;                     /* the person saw that the session is recorded */
    json_t *actions;                  /* names; NULL: all */
    char basis[16];                   /* how it came about (authz/alone.h) */
    char policy[65];                  /* hash of the tool's policy that it was approved under */
    struct purse *purse;              /* what was leased of its budget; NULL: it has none */
    char *assertion;                  /* the last Countersign-Assertion under it, or NULL */
    size_t assertion_len;
    int64_t assertion_exp_s;
    void *entry;
};

struct identity;
struct access;
struct access *access_new(void);
void access_free(struct access *a);
/* The keys and the issuer that grants must have; called at each new connection to authz, and forgets all grants and locks. */
MUST_CHECK enum status access_reset(struct access *a, const json_t *hello, struct err *err);
/* Apply one event. *ends_live: something live may have to end (a lock, a grant that ended): sweep. */
MUST_CHECK enum status access_event(struct access *a, const json_t *event, int64_t now_s, bool *ends_live, struct err *err);

/* Does authz want this policy (its digest; "": the config's own) to be followed? The one before it may go on for grace_ms, while the new one is read. */
bool access_policy_is(const struct access *a, const char *digest, int64_t now_ms, int64_t grace_ms);

/* The live grant for this certificate (SHA-256 thumbprint) and tool, or NULL. */
const struct live_grant *access_grant(const struct access *a, const unsigned char thumbprint[32], const char *tool, int64_t now_s);
/* An answer that its caller keeps, zeroed at birth: while the table has not changed, the same question is answered from it, however many grants there are. */
struct access_kept {
    uint64_t change;                  /* of the table; 0: nothing is kept */
    const struct live_grant *grant;
};
const struct live_grant *access_grant_kept(const struct access *a, struct access_kept *kept, const unsigned char thumbprint[32], const char *tool, int64_t now_s);
const struct live_grant *access_by_id_kept(const struct access *a, struct access_kept *kept, const char *grant_id);
bool live_grant_allows(const struct live_grant *g, const char *action);
/* Why a presented token is not that of a live grant: BAD_TOKEN (forged, malformed), EXPIRED, or REFUSED (sound, but of another certificate or tool, or
 * ended); err says it in words for the client. Never OK: what is live was compared before. */
MUST_CHECK enum status access_token_fault(const struct access *a, struct slice token, const unsigned char thumbprint[32], const char *tool,
                                          int64_t now_s, struct err *err);
const struct live_grant *access_grant_by_id(const struct access *a, const char *grant_id);
/* What a lock can be on; each may be NULL. */
struct access_subject {
    const char *person, *identity, *x5t, *tool, *grant_id;
};
/* Why is any of these locked? NULL: none is. */
const char *access_locked(const struct access *a, const struct access_subject *on);
/* Why is this person, this identity, or this certificate in either of its forms, locked? NULL: none is. */
const char *access_locked_out(const struct access *a, const char *person, const struct identity *who);
/* The Countersign-Assertion under this grant (NULL is fine), for all connections of its certificate: who that is and which tool stand in the grant, so it is the same for each
 * of them, and a client that opens one connection a request doesn't have authz sign one each time. ptr NULL: none that is good beyond until_s. Borrowed until the next event. */
struct slice live_grant_assertion(const struct live_grant *g, int64_t until_s);
/* Keep a copy of a new one, if the grant is still there. */
void access_keep_assertion(struct access *a, const char *grant_id, struct slice token, int64_t exp_s);
/* After a reload: groups may have changed, and they stand in assertions. */
void access_forget_assertions(struct access *a);
/* From the last hello: the JWKS, and the log's public key (base64url). NULL before. */
const json_t *access_jwks(const struct access *a);
const char *access_log_key(const struct access *a);
/* Why nothing more may pass under this grant to this tool: a word, or NULL while it may. authz_stale: authz has been silent for too long. */
const char *access_ended(const struct access *a, const char *grant_id, const char *tool, bool authz_stale, int64_t now_s);
/* Forget what has expired; true if there was something. */
bool access_expire(struct access *a, int64_t now_s);

#endif
