/* forward: what of a message goes on to the other side (RFC 9110 s7.6). Messages are written anew from the parsed form.
 *
 * Towards the tool, removed: hop-by-hop fields (an upgrade but to a WebSocket among them) and those Connection names (a Connection that names one of the gateway's own fields is refused
 * before), Via and Forwarded/X-Forwarded-* of the client (written anew), Client-Cert*, Countersign-*, fields that tools take another target from
 * (X-Original-URL, X-Rewrite-URL), and look-alikes of these and of the identity fields (every mark read as '-', case-insensitively), Expect (answered here), Proxy-*; fields whose names hold '_' are dropped. HTTP/2 cookies are joined to one field.
 * Towards the client, removed: hop-by-hop fields, Alt-Svc, NEL, Report-To, Reporting-Endpoints, Service-Worker-Allowed (unless allowed), Countersign-*, Set-Cookie Domain attributes,
 * Access-Control-* (which other origin may do what is the policy's to say, and the gateway's to write; Access-Control-Expose-Headers stays for one that may read),
 * Strict-Transport-Security (the gateway's own is sent). Location, Content-Location
 * and the URL of Refresh, where they lead to the tool itself by another name, get the tool's public origin: the address it is spoken to at, the Host it was told, or its public host with http, its own port, or none. */
#ifndef COUNTERSIGN_FORWARD_H
#define COUNTERSIGN_FORWARD_H

#include "proxy/base/bbuf.h"
#include "proxy/http/message.h"
#include "proxy/http/ws_handshake.h"

struct forward_request {
    const struct message *message;
    struct slice host;                /* the Host field to send */
    struct slice told_origin;         /* what the tool takes for its own origin; empty: the one that people use */
    struct slice destination_origin;  /* what stands before the path that Destination holds (RFC 4918 s10.3 wants all of it); empty: it goes as it is */
    struct slice client_address;      /* "127.0.0.1" or "2001:db8::1", no brackets */
    struct slice public_host;         /* host[:port] the client used */
    struct slice assertion;           /* Countersign-Assertion value: without a control byte, as its maker has seen to */
    struct slice client_cert;         /* Client-Cert value (RFC 9440): ":base64 DER:"; likewise */
    const struct ws_ask *websocket;   /* a handshake for one, written anew; NULL: no upgrade is asked for */
    bool has_body, chunked;           /* chunked: no length is known */
    uint64_t body_len;
    bool whole;                       /* the answer is wanted in full and without content coding: the client's Accept-Encoding, If-None-Match and If-Modified-Since stay here */
    bool own;                         /* the gateway's own question (a health check): on nobody's behalf */
};
/* Is there a field that must refuse the whole request: a Connection that names what the gateway relies on, or two of a field of which there is one
 * (Content-Type, Authorization, Origin, Sec-Fetch-* ...)? NULL: no; else a literal reason for a 400. */
const char *forward_refuses(const struct message *m);
/* Write the HTTP/1.1 request head, with the final empty line, whole or not at all. FULL when it does not fit, NO_MEMORY, BAD_INPUT when a part of it
 * could split the message. */
MUST_CHECK enum status forward_write_request(const struct forward_request *f, struct bbuf *out);

/* The same for HTTP/2, pseudo-fields first, names in lower case; in the arena. scheme: "http" or "https", as the tool is spoken to. A WebSocket's handshake becomes an extended
 * CONNECT (RFC 8441 s5). */
MUST_CHECK enum status forward_request_fields(const struct forward_request *f, struct slice scheme, struct arena *arena, struct fields *out);

struct forward_response {
    const struct message *message;
    struct slice upstream_origin;     /* "http://127.0.0.1:8000", "http://[::1]:8000"; empty: a Unix socket */
    struct slice sent_host;           /* the Host the tool was told, if another than people use; else empty */
    struct slice public_origin;       /* "https://support.acme.localhost:8443" */
    bool allow_service_worker;
    bool other_origin_reads;          /* the policy lets the page of another origin read this answer */
};
/* The fields for the client, without framing ones (Content-Length and Transfer-Encoding are the writer's). In the arena. */
MUST_CHECK enum status forward_response_fields(const struct forward_response *f, struct arena *arena, struct fields *out);
/* Does this field of a response (name in lower case) hold an address that forward_response_fields may have to change? */
bool forward_names_address(struct slice name);
/* Fields (name in lower case) that only the gateway may write towards the tool, and look-alikes. */
bool forward_own_field(struct slice name);
/* Trailers that may pass (RFC 9110 s6.5.1): no framing, routing, authentication or cookie field. */
bool forward_trailer_allowed(struct slice name);

#endif
