/* readings_internal: what readings.c, readings_json.c and readings_multipart.c share. */
#ifndef COUNTERSIGN_READINGS_INTERNAL_H
#define COUNTERSIGN_READINGS_INTERNAL_H

#include "proxy/http/readings.h"

/* Append, growing up to READINGS_MAX: OK, FULL or NO_MEMORY. */
MUST_CHECK enum status readings_add(struct readings *r, struct arena *arena, struct slice name, struct slice value);
/* The same, and once more under the other names that brackets and PHP's mangling give it: "ids[]" and "[ids]" are "ids" too, "a[b][0]" is
 * "a.b" too (and "a" is there, with an empty value), "a.b" and "a b" are "a_b" too. */
MUST_CHECK enum status readings_add_form(struct readings *r, struct arena *arena, struct slice name, struct slice value);
/* Every leaf of a JSON text (RFC 8259), its name under `prefix` (may be empty); members that hold objects or arrays count by name, with an
 * empty value. BAD_INPUT: not JSON, or read differently by different parsers. */
MUST_CHECK enum status readings_json(struct slice text, struct slice prefix, struct arena *arena, struct readings *out);
/* Every part of a multipart/form-data body (RFC 7578). */
MUST_CHECK enum status readings_multipart(struct slice body, struct slice boundary, struct arena *arena, struct readings *out);

/* A media type and the two parameters that matter; anything doubtful about them is BAD_INPUT. */
struct media_type {
    struct slice type;                /* "application/json", as written */
    struct slice boundary;            /* ptr NULL: none */
    bool other_charset;               /* a charset that is neither UTF-8 nor US-ASCII */
};
MUST_CHECK enum status media_type_parse(struct slice value, struct media_type *out);
/* The next ";name=value" of *rest: OK, NOT_FOUND at the end, BAD_INPUT. A quoted value comes without its quotes; *escaped: it holds a
 * backslash, so that two parsers may read it differently. */
MUST_CHECK enum status parameter_next(struct slice *rest, struct slice *name, struct slice *value, bool *escaped);

#endif
