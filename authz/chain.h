/* chain: what the log's tree (tree.h) is made of and signed with, for the process that writes it and for anyone who verifies it later, offline.
 *
 * A leaf is (type, time, content digest); the root of the tree over all leaves fixes each of them and their order. Size and root are signed as a checkpoint (C2SP
 * tlog-checkpoint, a C2SP signed note with Ed25519), which is small enough to travel in every grant and receipt:
 *
 *     countersign/INSTANCE
 *     SIZE
 *     base64(root)
 *
 *     — countersign/INSTANCE base64(u32be key hash || signature)
 *
 * The signature is over the text: the first three lines with their newlines, without the empty line.
 * key hash = first four bytes of SHA-256(name || "\n" || 0x01 || public key). */
#ifndef COUNTERSIGN_CHAIN_H
#define COUNTERSIGN_CHAIN_H

#include "authz/tree.h"

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <openssl/evp.h>
#include <stdint.h>

enum { CHAIN_SALT_LEN = 16, CHAIN_NOTE_MAX = 512, CHAIN_TYPE_MAX = 64 };

struct chain_head {
    uint64_t seq;                     /* how many leaves; they are numbered from 1 */
    unsigned char hash[32];           /* root of the tree over them */
};

/* SHA-256(salt || content); content is canonical JSON. */
void chain_content_digest(const unsigned char salt[CHAIN_SALT_LEN], struct slice content, unsigned char out[32]);
/* Put a leaf behind the others; done as in tree_append. BAD_INPUT: no leaf has such a type or time. */
MUST_CHECK enum status chain_append(struct tree *t, const char *type, int64_t time_ms, const unsigned char content_digest[32],
                                    unsigned char (*done)[32], size_t *done_out);
struct chain_head chain_head_of(const struct tree *t);

/* The signed note; malloc'd, NUL-terminated. key: Ed25519. */
MUST_CHECK enum status chain_note_sign(EVP_PKEY *key, const char *instance, const struct chain_head *head, char **out, struct err *err);
/* Is this a note of that instance, signed by that key (raw 32 bytes)? Strict: one form only, and further signature lines (of witnesses) are
 * passed over. BAD_TOKEN. */
MUST_CHECK enum status chain_note_verify(const unsigned char public_key[32], const char *instance, struct slice note,
                                         struct chain_head *out, struct err *err);

/* "NAME+HASH+KEY", as signed-note verifiers take it (C2SP signed-note). BAD_INPUT: the instance's name does not fit. */
MUST_CHECK enum status chain_note_vkey(const unsigned char public_key[32], const char *instance, char out[CHAIN_NOTE_MAX]);

#endif
