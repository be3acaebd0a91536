/* held_request: the exact request that waits, as its approver's own machine reads it: from the raw bytes (authz/blob.h), not from what anybody says about them. */
#ifndef COUNTERSIGN_HELD_REQUEST_H
#define COUNTERSIGN_HELD_REQUEST_H

#include "authz/blob.h"

#include <stdio.h>

struct held_request {
    struct blob blob;                 /* its slices are borrowed from the bytes */
    char body_sha256[44], digest[44]; /* computed here, base64url */
};

/* Read and compute. The bytes are borrowed until held_request_done. */
MUST_CHECK enum status held_request_read(struct slice bytes, struct held_request *out, struct err *err);
void held_request_done(struct held_request *h);
/* Does the item say what the bytes say: method, authority, target, digest, body length? REFUSED, naming what differs. */
MUST_CHECK enum status held_request_compare(const struct held_request *h, const json_t *item, struct err *err);
/* Everything of it, for a person: request line, all fields (the requester's credentials only as lengths), the body's size and digest, and the body, decoded when it is a form or JSON, as
 * text when it is text, else as hex. At most body_shown bytes of it are printed; what is left out is said. */
void held_request_print(const struct held_request *h, FILE *out, size_t body_shown);

#endif
