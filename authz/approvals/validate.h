/* validate: what a message may look like, as a table of fields an op. The other process is hostile until proved otherwise.
 *
 * Two kinds of mistakes: what the proxy itself computes (who, digests, lengths) is never wrong in a sound proxy, so a mistake there
 * ends its connection; what a person may have typed (a reason, an id in a path) gets an answer, 400, since else anybody could end the proxy's connection. */
#ifndef COUNTERSIGN_VALIDATE_H
#define COUNTERSIGN_VALIDATE_H

#include "proxy/base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum field_kind {
    FIELD_TEXT,        /* UTF-8, min to max bytes; control characters allowed: the op judges */
    FIELD_WORD,        /* printable ASCII without space, min to max bytes */
    FIELD_ASCII,       /* printable ASCII with spaces */
    FIELD_BYTES32,     /* base64url of 32 bytes */
    FIELD_NUMBER,      /* integer, min to max */
    FIELD_WHO,         /* {identity, x5t, not_after} */
    FIELD_WORDS,       /* min to max words of at most 64 bytes */
    FIELD_TEXTS,       /* an object of min to max texts of at most 1024 bytes */
    FIELD_SPENDS,      /* min to max of {name, amount} or {name, digest, shown}: lines of a budget */
};
enum { SPENDS_MAX = 64 };

struct field {
    const char *name;
    enum field_kind kind;
    int64_t min, max;
    bool optional;
    bool typed;        /* by a person: a mistake is answered, not punished */
};

enum validity { VALID, MISTYPED, MALFORMED };
/* fields: ended by a NULL name. `n` and `op` are allowed beside them; anything else is MISTYPED. why: which field and what was expected. */
enum validity validate(const json_t *message, const struct field *fields, struct err *why);
/* 3 to 500 characters (not bytes) without control characters, not only spaces. */
bool reason_good(const char *reason);

#endif
