/* forward_internal: which fields never pass. */
#ifndef COUNTERSIGN_FORWARD_INTERNAL_H
#define COUNTERSIGN_FORWARD_INTERNAL_H

#include "proxy/http/forward.h"

/* Fields of one connection only (RFC 9110 s7.6.1), with the framing ones; their writer writes them anew. name in lower case. */
bool forward_hop_by_hop(struct slice name);
/* Does Connection list anything that may be a field's name? "keep-alive" alone, as most say, does not: that one never passes. */
bool forward_connection_names(const struct fields *f);
/* Names that the message's Connection fields list. */
bool forward_named_by_connection(const struct fields *f, struct slice name);
/* A cookie without its Domain attributes (RFC 6265 s5.2): it then belongs to the one host that set it. ptr NULL: no memory. */
struct slice forward_set_cookie(struct slice value, struct arena *arena);

/* A field of the client that goes to the tool as it is (cookies go apart). has_connection: there is a Connection field. */
bool forward_passes(const struct message *m, struct slice name, bool has_connection);
/* The same of this request: without what its handshake, or an answer wanted whole, leaves out. */
bool forward_sends(const struct forward_request *f, struct slice name, bool has_connection);
/* What is sent of a value: what this answers, then *rest. Origin and Referer of the tool's own pages are sent as of told_origin, Destination with its origin before it; of all others
 * *rest is the whole value. */
struct slice forward_told(const struct forward_request *f, const struct field *e, struct slice *rest);
/* A field of a WebSocket's handshake that is the gateway's to say; Sec-WebSocket-Protocol passes as it came. */
bool forward_of_handshake(struct slice name);

#endif
