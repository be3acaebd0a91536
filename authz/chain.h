/* chain: the log's arithmetic, for the process that writes it and for anyone who verifies it later, offline.
 *
 * A leaf is (seq, type, time, content digest); each head is the hash of the head before and the leaf, so one head fixes everything before
 * it. The newest head is signed as a C2SP signed note (Ed25519), which is small enough to travel in every grant and receipt:
 *
 *     countersign/INSTANCE
 *     SEQ
 *     base64(head)
 *
 *     — countersign/INSTANCE base64(u32be key hash || signature)
 *
 * The signature is over the text: the first three lines with their newlines, as C2SP says, without the empty line.
 * key hash = first four bytes of SHA-256(name || "\n" || 0x01 || public key). The formulas stand in authz/README.md. */
#ifndef COUNTERSIGN_CHAIN_H
#define COUNTERSIGN_CHAIN_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <openssl/evp.h>
#include <stdint.h>

enum { CHAIN_SALT_LEN = 16, CHAIN_NOTE_MAX = 512, CHAIN_TYPE_MAX = 64 };

struct chain_head {
    uint64_t seq;                     /* 0: nothing yet, hash is 32 zero bytes */
    unsigned char hash[32];
};

/* SHA-256(salt || content); content is canonical JSON. */
void chain_content_digest(const unsigned char salt[CHAIN_SALT_LEN], struct slice content, unsigned char out[32]);
/* The next head after *head, which becomes it: seq grows by one. */
void chain_append(struct chain_head *head, struct slice type, int64_t time_ms, const unsigned char content_digest[32]);

/* The signed note; malloc'd, NUL-terminated. key: Ed25519. */
MUST_CHECK enum status chain_note_sign(EVP_PKEY *key, const char *instance, const struct chain_head *head, char **out, struct err *err);
/* Is this a note of that instance, signed by that key (raw 32 bytes)? Strict: one form only, and further signature lines (of witnesses) are
 * passed over. BAD_TOKEN. */
MUST_CHECK enum status chain_note_verify(const unsigned char public_key[32], const char *instance, struct slice note,
                                         struct chain_head *out, struct err *err);

#endif
