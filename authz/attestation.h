/* attestation: what an authenticator proves about its own make when a key is made in it (W3C Web Authentication, level 3, s6.5 and s8). Pure but for attestation_load().
 *
 * A key is attested when the authenticator's maker vouches for it: the format `packed` (s8.2) with a certificate chain (x5c) that leads to one of the certificates that the setting
 * `keys.attestation_roots` pins. Refused, since they prove nothing of the kind: no statement (`none`), a statement that the new key signed itself (self attestation), every other format. Among these
 * is `fido-u2f`: a U2F key cannot verify the person, which is demanded of every key here. Whoever asks for a model of hardware names its AAGUID. */
#ifndef COUNTERSIGN_ATTESTATION_H
#define COUNTERSIGN_ATTESTATION_H

#include "authz/webauthn.h"

enum { ATTESTATION_CHAIN_MAX = 4, AAGUID_TEXT_LEN = 36 };

struct attestation_roots;             /* certificates that vouch; immutable */
/* A PEM file of certificates: roots, or any other that a chain may end at. BAD_CONFIG: it cannot be read, or holds none. */
MUST_CHECK enum status attestation_load(const char *path, struct attestation_roots **out, struct err *err);
void attestation_free(struct attestation_roots *r);   /* NULL is fine */

struct attestation {
    char maker[128];                  /* subject of the attestation certificate, as text for people: printable ASCII */
    char model[AAGUID_TEXT_LEN + 1];  /* "2fc0579f-8113-47ea-b116-bb5a8db9202a" */
};
/* c: from webauthn_register(), which looked at all else, with the client data of that ceremony. models: AAGUIDs as above, lower case, one of which it must be; count 0: any. BAD_TOKEN says why it is
 * not attested. */
MUST_CHECK enum status attestation_verify(const struct attestation_roots *r, const struct webauthn_credential *c, struct slice client_data, char *const *models, size_t count, int64_t now_s,
                                          struct attestation *out, struct err *err);
void attestation_model(const unsigned char aaguid[16], char out[AAGUID_TEXT_LEN + 1]);

#endif
