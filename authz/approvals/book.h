/* book: what has been leased of each live grant's budget, computed from the leaves `budget.leased` and nothing else. What was leased counts as spent. */
#ifndef COUNTERSIGN_APPROVALS_BOOK_H
#define COUNTERSIGN_APPROVALS_BOOK_H

#include "proxy/base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct book;
struct book *book_new(void);          /* NULL: no memory */
void book_free(struct book *b);       /* NULL is fine */

/* Take one leaf: {grant_id, lines: [{name, amount} or {name, hash}; earlier versions: {name, digest, shown}]}. CORRUPT: it is none, or leases a value twice. */
MUST_CHECK enum status book_apply(struct book *b, const json_t *content, struct err *err);
/* All of it, as leaves that book_apply() takes again: [{grant_id, lines}]. NULL: no memory. */
json_t *book_dump(const struct book *b);
/* A grant has ended: its page is thrown away. */
void book_close(struct book *b, const char *grant_id);

/* All below take a NULL book: nothing was leased yet. Of one line; for "distinct:" lines the number of values. */
int64_t book_spent(const struct book *b, const char *grant_id, const char *line);
bool book_has_value(const struct book *b, const char *grant_id, const char *line, const char *digest);

#endif
