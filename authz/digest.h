/* digest: the one number that names a request exactly (design.md section 7). Both processes and the approver's client
 * compute it, so this is a published format: vectors in tests/vectors/digest.json.
 *
 *   digest = SHA-256( "countersign-request-v1\n" then for each item: u32 big-endian length, bytes )
 *   items: method, authority (lower case, port kept), target (normal form with query), count of fields as decimal text,
 *          then for each chosen field, in the order of DIGEST_FIELDS below, name and value (absent ones are left out),
 *          body length as decimal text, SHA-256 of the body as 32 raw bytes */
#ifndef COUNTERSIGN_DIGEST_H
#define COUNTERSIGN_DIGEST_H

#include "proxy/base/slice.h"

#include <stdint.h>

/* content-type, content-encoding, content-disposition, accept, if-match: what can change a request's meaning for the tool. */
extern const struct slice digest_fields[];
extern const size_t digest_field_count;

struct digest_input {
    struct slice method, authority, target;
    struct slice field_values[8];     /* parallel to digest_fields; ptr NULL: absent */
    uint64_t body_len;
    unsigned char body_sha256[32];
};

void request_digest(const struct digest_input *in, unsigned char out[32]);

#endif
