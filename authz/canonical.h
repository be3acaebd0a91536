/* canonical: JSON text that two programs write alike (RFC 8785), for the subset Countersign signs: ASCII keys, strings,
 * integers below 2^53, booleans, objects, arrays. Used for statements, policy hashes and log leaves. */
#ifndef COUNTERSIGN_CANONICAL_H
#define COUNTERSIGN_CANONICAL_H

#include "proxy/base/status.h"

#include <jansson.h>
#include <stddef.h>

/* Members sorted by key, no spaces, minimal escapes. *out is malloc'd, NUL-terminated. BAD_INPUT: a real, a null, a key that is
 * not ASCII, an integer out of range, or deeper than 16. */
MUST_CHECK enum status canonical_json(const json_t *value, char **out, size_t *len_out, struct err *err);

#endif
