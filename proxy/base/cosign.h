/* cosign: what witnesses say about our log: cosignatures of its checkpoints (C2SP tlog-cosignature, cosignature/v1, Ed25519).
 *
 * A witness keeps the last checkpoint that it has seen of a log, and signs a later one only if that is an extension of it. So whoever trusts one witness, and has a checkpoint that
 * it cosigned, knows that everybody who asked that witness was shown the same log. A cosignature is a further line of the signed note:
 *
 *     — NAME base64(u32be key hash || u64be seconds || signature)
 *
 * the signature is over "cosignature/v1\ntime SECONDS\n" and the note's text; key hash = first four bytes of SHA-256(NAME || "\n" || 0x04 || public key). */
#ifndef COUNTERSIGN_COSIGN_H
#define COUNTERSIGN_COSIGN_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <stdint.h>

enum { COSIGN_NAME_MAX = 128, COSIGN_WITNESSES_MAX = 16, COSIGN_NOTE_MAX = 16 * 1024 };

struct witness {
    char name[COSIGN_NAME_MAX];
    unsigned char key_hash[4], public_key[32];
};

/* A verifier key "NAME+HASH+KEY": 8 hex digits, base64 of 0x04 || public key. Strict, one form only. BAD_INPUT. */
MUST_CHECK enum status witness_parse(struct slice vkey, struct witness *out, struct err *err);
bool witness_form(const char *vkey);

/* What a note holds of one witness. */
struct cosignature {
    bool holds;
    int64_t time_s;                   /* when it was made, as the witness says */
};
/* Look for the cosignature of this witness in a note (whose text it signs with the rest; that it is our checkpoint is chain_note_verify's). BAD_INPUT: it is no note. A line of
 * that name and key whose signature does not hold is BAD_TOKEN. None at all: OK, and out->holds is false. */
MUST_CHECK enum status cosignature_check(const struct witness *w, struct slice note, struct cosignature *out, struct err *err);

/* One note with the lines of both, each once; both are about the same text, else BAD_INPUT. malloc'd, with a NUL. */
MUST_CHECK enum status cosign_merge(struct slice a, struct slice b, char **out, struct err *err);

#endif
