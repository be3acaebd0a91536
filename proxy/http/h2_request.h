/* h2_request: an HTTP/2 request head (RFC 9113 s8.3), gathered field by field as nghttp2 gives them, judged at its end.
 *
 * Refused, beside what nghttp2 refuses: connection-specific fields (s8.2.2), `te` other than trailers, `host` beside another :authority (s8.3.1), a :scheme other
 * than https, a malformed authority, TRACE, CONNECT but for a WebSocket (RFC 8441: the message then says GET, and connect), a repeated or malformed content-length, framing or routing fields in trailers (dropped).
 * Cookie fields count as one, since browsers send one for each cookie (s8.2.3); their bytes all count. */
#ifndef COUNTERSIGN_H2_REQUEST_H
#define COUNTERSIGN_H2_REQUEST_H

#include "proxy/http/message.h"

struct h2_request {
    struct arena *arena;
    size_t max_fields, max_bytes, bytes, cookies;
    struct slice method, scheme, authority, path, protocol;
    struct fields fields, trailers;
    bool too_large, repeated;
};

void h2_request_init(struct h2_request *r, struct arena *arena, size_t max_fields, size_t max_bytes);
/* One field or pseudo-field, copied. false: out of memory. What is too much is remembered and answered at the end. */
bool h2_request_field(struct h2_request *r, struct slice name, struct slice value);
bool h2_request_trailer(struct h2_request *r, struct slice name, struct slice value);
/* The head is whole: judge it and make the message. has_body: END_STREAM was not set. */
enum parse h2_request_finish(struct h2_request *r, bool has_body, struct message *out, struct refusal *why);

#endif
