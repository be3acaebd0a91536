/* blob: a held request as bytes, the exact thing that is shown, approved and sent.
 *
 *     u32 big-endian length of the head | head: {"method","authority","target","fields":[[name,value],…],"body_len"} | body
 *
 * The proxy writes it into a memfd, authz recomputes the digest from it, the approver's client does so again. */
#ifndef COUNTERSIGN_BLOB_H
#define COUNTERSIGN_BLOB_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <jansson.h>
#include <stdint.h>

enum { BLOB_HEAD_MAX = 256 * 1024, BLOB_FIELDS_MAX = 512 };

struct blob {
    struct slice method, authority, target;   /* borrowed from head */
    const json_t *fields;                     /* [[name, value], …]; checked */
    struct slice body;                        /* borrowed from the bytes */
    json_t *head;                             /* owns the rest */
};

/* Read and check every length and type. BAD_INPUT. blob_done() when OK. */
MUST_CHECK enum status blob_parse(struct slice bytes, struct blob *out, struct err *err);
void blob_done(struct blob *b);
/* The request digest (digest.h) and the body's own. A chosen field that stands several times counts as one, its values joined by ", " in
 * their order (RFC 9110 s5.3). FULL: such a value is longer than 16 KiB. */
MUST_CHECK enum status blob_digest(const struct blob *b, unsigned char digest[32], unsigned char body_sha256[32], struct err *err);
/* Put one together; *out is malloc'd. `fields` as above. */
MUST_CHECK enum status blob_write(struct slice method, struct slice authority, struct slice target, const json_t *fields,
                                  struct slice body, unsigned char **out, size_t *len_out, struct err *err);

#endif
