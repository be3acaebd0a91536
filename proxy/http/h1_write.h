/* h1_write: HTTP/1.1 towards the client: response heads, chunk framing, reason phrases. Each call writes into the buffer whole or not at all. */
#ifndef COUNTERSIGN_H1_WRITE_H
#define COUNTERSIGN_H1_WRITE_H

#include "proxy/base/bbuf.h"
#include "proxy/http/message.h"

/* "Not Found" for 404 (RFC 9110 s15 and the IANA registry); "Unknown" for a status that has none. Never NULL. */
const char *reason_phrase(unsigned status);

struct h1_response_head {
    unsigned status;                  /* 100 to 599 */
    const struct fields *fields;      /* names in lower case; framing and connection fields must not be among them; NULL: none */
    /* BODY_LENGTH: content_length bytes follow. BODY_CHUNKED: chunks follow (never to an HTTP/1.0 client: use BODY_UNTIL_CLOSE).
     * BODY_UNTIL_CLOSE: bytes follow until the connection ends; implies close. BODY_NONE: nothing follows: with has_length Content-Length is written
     * all the same, as answers to HEAD and 304 may have it; without, only 1xx, 204, 304 and HEAD answers are complete, so give a length otherwise. */
    enum framing framing;
    bool has_length;
    uint64_t content_length;
    bool close;                       /* write "Connection: close" */
    int64_t now_ms;                   /* wall clock, for Date where the fields have none (not for 1xx) */
};
/* Status line, Date, fields, framing, empty line. FULL, NO_MEMORY, or BAD_INPUT when a value holds a control byte. */
MUST_CHECK enum status h1_write_response_head(const struct h1_response_head *r, struct bbuf *out);
/* "HTTP/1.1 100 Continue" and an empty line. */
MUST_CHECK enum status h1_write_continue(struct bbuf *out);

/* Room that chunk framing takes at most beside the data of one chunk: size line and CRLF. */
enum { H1_CHUNK_FRAMING = 16 + 2 + 2 };
/* A whole chunk; data is copied. An empty one writes nothing: it would end the body. */
MUST_CHECK enum status h1_write_chunk(struct slice data, struct bbuf *out);
/* The same in two halves, for data that goes another way: the size line, and the CRLF behind the data. */
MUST_CHECK enum status h1_write_chunk_size(uint64_t len, struct bbuf *out);
MUST_CHECK enum status h1_write_chunk_end(struct bbuf *out);
/* The last chunk, those trailers that may pass (forward_trailer_allowed), and the empty line. trailers may be NULL. */
MUST_CHECK enum status h1_write_last_chunk(const struct fields *trailers, struct bbuf *out);

#endif
