/* trust: is this client certificate good, now? Asked after every TLS handshake, resumed ones too (a resumed session runs
 * no verify callback), and again for live connections when the CRL changes.
 *
 * Checked: chain to the configured CA, keys and signatures of a kind that is strong enough, clientAuth in the EKU, dates, key usage, the CRL (which must be
 * current: a stale one refuses everybody), exactly one rfc822Name SAN, and its form. Immutable after trust_load; safe from several threads. */
#ifndef COUNTERSIGN_TRUST_H
#define COUNTERSIGN_TRUST_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

struct trust;

enum cert_state {
    CERT_GOOD,
    CERT_MISSING,
    CERT_UNTRUSTED,      /* another CA, or a broken chain */
    CERT_EXPIRED,
    CERT_NOT_YET,
    CERT_REVOKED,
    CERT_WRONG_PURPOSE,  /* no clientAuth */
    CERT_WEAK,           /* a key or a signature in its chain is of a kind that is not taken: see key_is_sound() */
    CERT_NO_IDENTITY,    /* no or several rfc822Name SANs, or one that is not an ASCII address */
    CERT_CRL_STALE,      /* our own fault: the revocation list is past its nextUpdate, or missing */
};
/* One sentence for people, and one that says what to do next. */
const char *cert_state_what(enum cert_state s);
const char *cert_state_next(enum cert_state s);
/* A fixed word: "missing", "untrusted" ... for logs and problem types. */
const char *cert_state_name(enum cert_state s);

enum { IDENTITY_MAX = 254, X5T_LEN = 43 };
struct identity {
    char name[IDENTITY_MAX + 1];        /* the SAN, ASCII, lower case: "alice@acme.localhost" */
    unsigned char thumbprint[32];       /* SHA-256 over the DER leaf (RFC 8705) */
    char x5t[X5T_LEN + 1];              /* the same as base64url */
    char twin[X5T_LEN + 1];             /* that of the same certificate's other form (twin.h); "": it has none. Set on CERT_GOOD */
    int64_t not_after_s;
    char serial[48];                    /* hex */
};

MUST_CHECK enum status trust_load(const char *ca_path, const char *crl_path, struct trust **out, struct err *err);
void trust_free(struct trust *t);
/* RSA of 2048 bits or more with an odd exponent above 1, the curves P-256, P-384 and P-521 by name, Ed25519, Ed448: what TLS 1.3 has signature schemes for. No DSA, no
 * other curve, no curve with parameters of its own (CVE-2020-0601). */
bool key_is_sound(EVP_PKEY *key);
/* When the first of the loaded revocation lists runs out (seconds since the Epoch), for warnings; 0: there is none, and nobody gets in. A
 * missing CRL file is no error of trust_load, so that the gateway can say on its page what is wrong; a damaged or foreign one is. */
int64_t trust_crl_until(const struct trust *t);
/* leaf may be NULL (CERT_MISSING). untrusted: further certificates the peer sent, or NULL. identity is filled on CERT_GOOD (and as
 * far as known else, for the log). now_s: wall clock. */
enum cert_state trust_check(const struct trust *t, X509 *leaf, STACK_OF(X509) *untrusted, int64_t now_s, struct identity *out);
/* Drop from what a peer sent the certificates that t has itself: each takes some 5 KiB for as long as the connection stays, and all the people of a CA send the
 * same. chain may be NULL. */
void trust_drop_known(const struct trust *t, STACK_OF(X509) *chain);

#endif
