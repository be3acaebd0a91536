/* held_request: the exact request that waits, as its approver's own machine reads it: from the raw bytes (authz/README.md, blob), not from what anybody says about them. */
#ifndef COUNTERSIGN_HELD_REQUEST_H
#define COUNTERSIGN_HELD_REQUEST_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <jansson.h>
#include <stdio.h>

struct held_request {
    json_t *head;                     /* owned: the blob's head */
    const char *method, *authority, *target;
    json_t *fields;                   /* array of [name, value], both strings */
    struct slice body;                /* in the blob */
    char body_sha256[44], digest[44]; /* computed here, base64url */
};

/* Read and compute. The blob is borrowed until held_request_done. BAD_INPUT: not a blob, or one that could be read in two ways (a field that counts in the digest comes twice). */
MUST_CHECK enum status held_request_read(struct slice blob, struct held_request *out, struct err *err);
void held_request_done(struct held_request *h);
/* Does the item say what the bytes say: method, authority, target, digest, body length? REFUSED, naming what differs. */
MUST_CHECK enum status held_request_compare(const struct held_request *h, const json_t *item, struct err *err);
/* Everything of it, for a person: request line, all fields (the requester's credentials only as lengths), the body's size and digest, and the body, decoded when it is a form or JSON, as
 * text when it is text, else as hex. At most body_shown bytes of it are printed; what is left out is said. */
void held_request_print(const struct held_request *h, FILE *out, size_t body_shown);
/* The value of the first field of that name (lower case), or NULL. */
const char *held_request_field(const struct held_request *h, const char *name);

#endif
