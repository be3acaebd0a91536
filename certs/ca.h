/* ca: the gateway's own certificate authorities, in a folder of the state folder (STATE/ca, mode 0700).
 *
 *   root.pem, root.key                 the people's root: signs people's client certificates and the CRL; the setting tls.client_ca
 *   server-root.pem, server-root.key   the servers' root: signs the gateway's own certificate; people's browsers trust this one
 *   crl.pem                            the people's revocation list; the setting tls.crl
 *   index.jsonl                        every certificate ever issued, one JSON object a line; written before a certificate is handed out
 *
 * Two roots, because they are trusted by different sides for different things. The servers' root is imported into browsers, so it is
 * limited (critical nameConstraints) to names under the one domain: who steals it cannot pose as any other site, and who gets hold of
 * it cannot make people. The people's root is trusted by the gateway alone and by no browser.
 *
 * An open ca holds a lock on its folder, so that two commands never write the index at once. Times are wall-clock seconds. */
#ifndef COUNTERSIGN_CA_H
#define COUNTERSIGN_CA_H

#include "certs/pem.h"

#include <stdint.h>

enum {
    CA_CRL_LIFE_S = 30 * 86400,          /* nextUpdate of a new CRL */
    CA_CRL_RENEW_S = 20 * 86400,         /* ca_renew_crl_if_due: renew when less than this is left */
    CA_DAYS_MAX = 825,                   /* of a person's certificate */
    CA_SERVER_DAYS = 397,                /* of a server certificate: the most that browsers take */
    CA_NAME_MAX = 64,                    /* of a person's name */
};

/* A line of the index. */
struct ca_entry {
    char serial[41];                     /* lower-case hex */
    char *identity;                      /* the SAN; for a server its names, separated by spaces */
    char *person;                        /* NULL: a server certificate */
    int64_t issued_s, not_after_s;
    char fingerprint[44];                /* SHA-256 over the certificate, base64url: its x5t#S256 */
    char key[44];                        /* SHA-256 over its public key, base64url: how an approval key is named */
    int64_t revoked_s;                   /* 0: not revoked */
    char *reason;                        /* NULL unless revoked */
};

struct ca;

/* Does a person's name fit? It becomes a file name, a certificate's CN and a word in approval-keys: [a-z0-9][a-z0-9._-]{0,63}. */
bool ca_name_ok(const char *name);

/* Make the folder with both roots, an empty index and a first CRL. EXISTS when a root is there. */
MUST_CHECK enum status ca_create(const char *folder, const char *instance, const char *domain, int64_t now_s, struct err *err);
/* Open and lock. NOT_FOUND: the roots' keys are not here. CORRUPT: the index does not hold together. AGAIN: another command held the lock
 * for 10 s. */
MUST_CHECK enum status ca_open(const char *folder, struct ca **out, struct err *err);
void ca_close(struct ca *ca);            /* NULL is fine */
X509 *ca_root(const struct ca *ca);      /* borrowed */
X509 *ca_server_root(const struct ca *ca);

/* The index, oldest first; borrowed until the next call that issues or revokes. */
const struct ca_entry *ca_entries(const struct ca *ca, size_t *count);
/* Not revoked and not past its end. */
bool ca_entry_live(const struct ca_entry *e, int64_t now_s);

/* A client certificate for a person: one rfc822Name, clientAuth, a random 128-bit serial, from 5 minutes ago (clocks differ). *out is the
 * caller's. The index knows it when this returns. BAD_INPUT: name, identity or days. REFUSED: it would outlive the root. */
MUST_CHECK enum status ca_issue_person(struct ca *ca, const char *name, const char *identity, EVP_PKEY *key, unsigned days,
                                       int64_t now_s, X509 **out, struct err *err);
/* A server certificate for host names ("*.tools.example.com" is one too). REFUSED: a name outside the root's domain. */
MUST_CHECK enum status ca_issue_server(struct ca *ca, char *const *names, size_t count, EVP_PKEY *key, int64_t now_s, X509 **out,
                                       struct err *err);

/* RFC 5280 s5.3.1 reasons we use: unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn. */
bool ca_reason_ok(const char *reason);
/* Mark people's certificates whose person, identity or serial is `which`, and write a new CRL, in this order. *revoked_out counts those that were
 * not revoked before; it may be 0. NOT_FOUND: nothing is called so. Doing it again is fine and renews the CRL. */
MUST_CHECK enum status ca_revoke(struct ca *ca, const char *which, const char *reason, int64_t now_s, size_t *revoked_out, struct err *err);
/* Is this its person, identity or serial (lower case; colons and leading zeros of a serial do not count)? */
bool ca_entry_is(const struct ca_entry *e, const char *which);
/* Write a new CRL. *until_s_out: its nextUpdate. */
MUST_CHECK enum status ca_renew_crl(struct ca *ca, int64_t now_s, int64_t *until_s_out, struct err *err);
/* For `countersign run`, at start and daily: opens the folder, renews the CRL when it is missing or less than CA_CRL_RENEW_S is left.
 * *renewed_out: a new one was written, so read it. AGAIN: a command held the lock for half a second; ask again later. NOT_FOUND: this gateway has no CA of its own (or its key is kept elsewhere): fine, unless the CRL runs out. */
MUST_CHECK enum status ca_renew_crl_if_due(const char *folder, int64_t now_s, bool *renewed_out, struct err *err);

#endif
