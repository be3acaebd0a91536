/* proof: one decision with all that proves it, in a file (authz/README.md "A proof"), and its check without gateway or log. Pure but for reading. */
#ifndef COUNTERSIGN_PROOF_H
#define COUNTERSIGN_PROOF_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <jansson.h>

struct proof_result {
    json_t *findings;                 /* [{kind, seq, text}]; empty: it holds */
    unsigned answers;                 /* so many signatures were checked */
};

/* Check a proof: the form, each leaf's digest, that the answers are about the item as it was made, every signature, and the way each key came to count.
 * keys: an approval-keys file kept elsewhere, as text, against which the certificates' keys are compared; NULL: the log's word is taken.
 * BAD_INPUT: it is no proof. proof_result_done() when OK. */
MUST_CHECK enum status proof_check(const json_t *proof, const char *keys, struct proof_result *out, struct err *err);
void proof_result_done(struct proof_result *r);

#endif
