/* head: a message's head as it is recorded: HTTP/1.1 text (RFC 9112), whatever version passed, redacted, with the empty line at its end.
 *
 * Bodies are recorded without transfer coding, so Transfer-Encoding and Trailer never stand in a recorded head; Content-Length does not when redaction may change the
 * length (`drop_length`). */
#ifndef COUNTERSIGN_HEAD_H
#define COUNTERSIGN_HEAD_H

#include "proxy/record/redact.h"
#include "proxy/record/ring.h"

/* Onto the ring; gives the length of the recorded target. */
uint32_t head_put_request(struct ring_out *o, const struct fingerprint *f, const struct secret_names *names, const struct message *m,
                          bool drop_length);
void head_put_response(struct ring_out *o, const struct fingerprint *f, const struct secret_names *names, const struct message *m,
                       bool drop_length);

/* Trailer fields, a line each, and the most bytes that may be. */
size_t head_trailers_len(const struct fields *trailers);
void head_put_trailers(struct ring_out *o, const struct fingerprint *f, const struct secret_names *names, const struct fields *trailers);

#endif
