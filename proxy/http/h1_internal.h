/* h1_internal: what h1_request.c, h1_response.c and h1_body.c share. */
#ifndef COUNTERSIGN_H1_INTERNAL_H
#define COUNTERSIGN_H1_INTERNAL_H

#include "proxy/http/h1.h"

/* A head, read by two parsers that agree: our line scanner and llhttp. All slices point into one copy in the arena. */
struct h1_head {
    struct slice start_line;          /* without its CRLF */
    struct fields fields;             /* names in lower case, values trimmed */
};
enum h1_kind { H1_REQUEST, H1_RESPONSE };
/* Scan, run llhttp, compare. PARSE_OK or PARSE_BAD. The request line or status line is the caller's to look at *before* (see h1_start_line). */
enum parse h1_read_head(struct slice head, enum h1_kind kind, const struct h1_limits *limits, struct arena *arena, struct h1_head *out,
                        struct refusal *why);
/* The first line of a head that ends with an empty line; len 0 when it is broken. */
struct slice h1_start_line(struct slice head);
/* "HTTP/1.1" as 11, "HTTP/1.0" as 10, another version as 1, anything else as 0. */
unsigned h1_version(struct slice s);

/* The fields that frame a message and steer its connection, gathered in one pass. */
struct h1_control {
    struct slice host, length, coding, expect;   /* the last of each */
    unsigned hosts, lengths, codings, expects;
    bool close, upgrade, bad_connection, bad_te;
};
void h1_gather(const struct fields *f, struct h1_control *out);
/* Content-Length and Transfer-Encoding (RFC 9112 s6.1 to 6.3): sets has_length, content_length and framing to BODY_NONE, BODY_LENGTH or
 * BODY_CHUNKED, or refuses. */
enum parse h1_framing(const struct h1_control *c, struct message *m, struct refusal *why);

/* Fill *why, return PARSE_BAD. */
enum parse h1_refuse(struct refusal *why, unsigned status, const char *reason);

#endif
