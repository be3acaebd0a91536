/* message: one HTTP request or response head, whatever the version (RFC 9110). Names of fields are lower case. Everything is
 * borrowed from the arena that the message was parsed into, and lives as long as that. */
#ifndef COUNTERSIGN_MESSAGE_H
#define COUNTERSIGN_MESSAGE_H

#include "proxy/base/arena.h"
#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <stdbool.h>
#include <stdint.h>

struct field {
    struct slice name, value;         /* name in lower case; value trimmed */
};

struct fields {
    struct field *v;
    size_t count, cap;
};

/* Append; grows in the arena up to max (then FULL, or NO_MEMORY). name must be lower case already. */
MUST_CHECK enum status fields_add(struct fields *f, struct arena *a, size_t max, struct slice name, struct slice value);
/* The first value of that name (lower case), or a slice with ptr NULL. */
struct slice fields_get(const struct fields *f, struct slice name);
size_t fields_count(const struct fields *f, struct slice name);
/* Does a comma-separated list field hold this token (case-insensitively), in any of its lines? */
bool fields_has_token(const struct fields *f, struct slice name, struct slice token);

enum framing {
    BODY_NONE,
    BODY_LENGTH,                      /* content_length bytes */
    BODY_CHUNKED,
    BODY_UNTIL_CLOSE,                 /* responses only */
    BODY_STREAM,                      /* HTTP/2: ends with END_STREAM; content_length may be known as well */
};

struct message {
    unsigned version;                 /* 10, 11 or 20 */
    /* requests */
    struct slice method, scheme, authority;   /* authority: host[:port] as checked, lower case */
    struct slice raw_target;          /* as received: origin-form, or "*" */
    struct slice path, query;         /* normal form, set by target_normalise; query without '?', ptr NULL when there is none */
    struct slice target;              /* normal path and query together: what is matched, digested, recorded and forwarded */
    bool expect_continue;
    bool connect;                     /* HTTP/2: an extended CONNECT for a WebSocket (RFC 8441); method says GET, as it is judged */
    /* responses */
    unsigned status;
    /* both */
    struct fields fields;             /* never holds pseudo-fields; `host` is in authority only */
    enum framing framing;
    bool has_length;
    uint64_t content_length;
    bool keep_alive;                  /* HTTP/1.x: may the connection be used again? */
};

enum parse {
    PARSE_OK,
    PARSE_MORE,                       /* not all there yet */
    PARSE_BAD,                        /* break the connection off, after answering `status` of struct refusal */
};

/* Why a message was refused: the status to answer, and a short reason for our log and the problem's detail. */
struct refusal {
    unsigned status;                  /* 400, 413, 414, 417, 431, 501, 505; for responses: 502 */
    const char *reason;               /* a literal */
};

#endif
