/* readings: everything a query or a body may mean to a tool. A rule on a field matches if *any* reading matches, so that two parsers' different
 * tastes (first or last of duplicates, '+' or %20, ';' or '&', brackets, urlencoded or multipart) cannot hide an action.
 *
 * urlencoded: every name=value pair, split at '&' and also at ';' (both splittings count), decoded once; a name with brackets also as the path it stands for.
 * JSON: every leaf by dotted path without array indexes; duplicate members each count; numbers, booleans and null as their text; a body that is an
 * array (a batch) counts element by element. multipart/form-data: every part's name with its value, filename parts too.
 * Unreadable (the strictest rule then holds): another type with a body, a content-coding, bad syntax, bad UTF-8 in JSON, no or two Content-Types, too many pairs. */
#ifndef COUNTERSIGN_READINGS_H
#define COUNTERSIGN_READINGS_H

#include "authz/policy.h"
#include "proxy/http/message.h"

enum { READINGS_MAX = 2048 };

struct readings {
    struct reading *v;
    size_t count, cap;
};

/* OK, FULL (too many), BAD_INPUT, NO_MEMORY: anything but OK means unreadable. */
MUST_CHECK enum status readings_query(struct slice query, struct arena *arena, struct readings *out);
MUST_CHECK enum status readings_body(const struct message *head, struct slice body, struct arena *arena, struct readings *out);
/* Methods a tool may take this request for: the real one, then X-HTTP-Method-Override, X-HTTP-Method, X-Method-Override, and `_method` of query or body, upper-cased.
 * At most 8; returns the count, or 0 when there are more (or no memory): refuse the request then, as some of them would go unseen. */
size_t readings_methods(const struct message *head, const struct readings *query, const struct readings *body, struct arena *arena,
                        struct slice out[8]);

#endif
