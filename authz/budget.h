/* budget: what one grant may touch at most, as lines with a name and a limit, and what one request spends of them. Shared by authz, which keeps the book
 * (approvals/book.h), and the proxy, which finds the values in requests. Pure.
 *
 * Lines are named "requests", "bytes_out", "action:NAME" and "distinct:NAME". The grant's claim `budget` holds each limited line with its limit.
 * A value is never counted for less than it is: what only a loose reading of the path finds (policy.h) counts under the whole path as it was spelled, so
 * that another spelling costs more, never nothing. */
#ifndef COUNTERSIGN_BUDGET_H
#define COUNTERSIGN_BUDGET_H

#include "authz/policy.h"

#include <jansson.h>

enum { BUDGET_NAME_MAX = 80, BUDGET_LINES_MAX = 26, BUDGET_VALUES_MAX = 32, BUDGET_SHOWN_MAX = 120 };

/* The claim: {"requests": 500, "distinct:customer": 5}; {} when nothing is limited. NULL: no memory. */
json_t *budget_claim(const struct budget *b);
/* Is it one: at most BUDGET_LINES_MAX known names, each with a limit from 1? */
bool budget_claim_sound(const json_t *claim);

struct budget_value {
    char name[BUDGET_NAME_MAX];       /* "distinct:customer" */
    unsigned char digest[32];         /* SHA-256 of name, NUL, value */
    char shown[BUDGET_SHOWN_MAX];     /* the value for people: printable ASCII, escaped, cut */
};
/* The counted values (of what has a limit) in this request, each once. FULL: more than BUDGET_VALUES_MAX; refuse it. */
MUST_CHECK enum status budget_values(const struct budget *b, struct slice path, const struct reading *query, size_t query_count,
                                     struct budget_value out[BUDGET_VALUES_MAX], size_t *count_out);

/* What a request touches by all of `distinct`, limited or not, in words for its record: "customer=17,customer=18", each once. Values are percent-encoded but for letters,
 * digits and -._~@: ; what a tool might read behind another spelling of the path is named as that tool would read it, so one customer has one name. Values of more than
 * BUDGET_NAMED_BYTES end in '~' and the beginning of their SHA-256. Returns the length; what does not fit is left out, which takes more than BUDGET_VALUES_MAX values. */
enum { BUDGET_NAMED_BYTES = 48, BUDGET_NAMES_MAX = BUDGET_VALUES_MAX * 256 };
enum { BUDGET_NAMED_MAX = 256 };   /* of one, with its NUL */
size_t budget_names(const struct budget *b, struct slice path, const struct reading *query, size_t query_count, char out[BUDGET_NAMES_MAX]);
/* What people type, as it stands there: "17" is "customer=17", "audience=5" is itself. False: no name is like that. */
bool budget_name_typed(const char *typed, char out[BUDGET_NAMED_MAX]);
/* The next one of such a list; false at its end. */
bool budget_name_next(struct slice *names, struct slice *one);

#endif
