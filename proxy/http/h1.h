/* h1: HTTP/1.1 messages (RFC 9112), read strictly: llhttp parses, our own layer around it refuses what any two parsers could read
 * differently. Nothing is repaired. Heads are buffered whole by the caller; bodies stream.
 *
 * Refused in requests, beside what llhttp refuses: bare LF or CR, obs-fold, NUL or other control bytes, space before a colon, empty names,
 * more than single spaces in the request line, HTTP/0.9, HTTP/1.0 with Transfer-Encoding, versions other than 1.0 and 1.1 (505), no, several or
 * malformed Host (RFC 9112 s3.2), absolute-form whose authority is not Host's, authority-form, asterisk-form but for OPTIONS, userinfo,
 * Content-Length beside Transfer-Encoding, repeated or list or signed or overlarge lengths, a transfer coding other than exactly one
 * "chunked" (501 when it is another known one), chunk extensions longer than 256 bytes or a chunk size past 2^63, framing or routing fields in trailers,
 * TE other than "trailers", CONNECT and TRACE (501). */
#ifndef COUNTERSIGN_H1_H
#define COUNTERSIGN_H1_H

#include "proxy/http/message.h"

enum { H1_HEAD_MAX = 32 * 1024 };

/* Length of the head in buf, including the empty line: OK and *len_out, PARSE_MORE, or PARSE_BAD when a bare LF or an empty start shows that it will never
 * be good. Bytes before `from` were scanned by an earlier call. A single CRLF before a request line is skipped by the caller (RFC 9112 s2.2). */
enum parse h1_head_length(struct slice buf, size_t from, size_t *len_out);

/* The last head of a connection that two parsers read alike: the same bytes again need no second reading. Zeroed at birth; 1 KiB while in use. */
enum { H1_SEEN_MAX = 1024 };
struct h1_seen {
    unsigned char *head;
    size_t len;
};
void h1_seen_done(struct h1_seen *s);

struct h1_limits {
    size_t fields;
    struct h1_seen *seen;             /* or NULL */
};

/* Parse a whole request head (as measured above); out's slices point into `arena` (head is copied there once). target is not normalised here: raw_target is set. */
enum parse h1_parse_request(struct slice head, const struct h1_limits *limits, struct arena *arena, struct message *out,
                            struct refusal *why);
/* Parse a whole response head. request_method decides whether there is a body (RFC 9112 s6.3). 1xx come back as messages with BODY_NONE. */
enum parse h1_parse_response(struct slice head, const struct h1_limits *limits, struct slice request_method, struct arena *arena,
                             struct message *out, struct refusal *why);

/* A body being read, after a head. */
struct h1_body {
    enum framing framing;
    uint64_t left;                    /* of the length, or of the chunk */
    unsigned char state;
    bool done;
    size_t overhead;                  /* bytes of chunk framing since the last data byte: bounded */
    struct fields trailers;           /* set when done; in the arena given to h1_body_init */
    struct arena *arena;
    size_t max_trailers;
    unsigned char *line;              /* a chunk-size or trailer line that came in pieces; of the arena, once there is one */
    size_t line_len;
};
void h1_body_init(struct h1_body *b, const struct message *m, struct arena *arena, size_t max_trailers);
/* Take bytes of `in`. On OK: *used bytes were consumed and *data (within `in`, maybe empty) is body data among them; call again with the rest while used > 0
 * and !b->done. MORE: all of `in` was consumed and more is needed. */
enum parse h1_body_read(struct h1_body *b, struct slice in, size_t *used, struct slice *data, struct refusal *why);

#endif
