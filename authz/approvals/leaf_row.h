/* leaf_row: a leaf as its row in the database says it, held against what the log says.
 *
 * A leaf whose time is over (history.h) keeps its number, type, time and digest, so that the tree stays whole; salt and content are empty, and the row is filed under "erased:N": leaf N,
 * of type history.erased, lists it. A row that looks like that and is not listed was emptied by somebody else. */
#ifndef COUNTERSIGN_APPROVALS_LEAF_ROW_H
#define COUNTERSIGN_APPROVALS_LEAF_ROW_H

#include "authz/approvals/store.h"

#include "authz/tree.h"

/* As it stands; borrowed from where it was read. Each text has a NUL behind it. */
struct leaf_row {
    int64_t seq, time_ms;
    struct slice type, salt, content, digest, session;   /* session: empty for NULL */
};

#define LEAF_ROW_COLUMNS "seq, type, time_ms, salt, content, digest, session"

/* Of an object as store_row() gives it. What it does not have is 0, or empty. */
struct leaf_row leaf_row_of(const json_t *row);
/* Of a row of LEAF_ROW_COLUMNS. False: a column has another type than it should. */
bool leaf_row_see(const struct store_view *v, struct leaf_row *out);
/* The leaf by which this row says that it was erased; 0: it does not say so. */
uint64_t leaf_row_erased(const struct leaf_row *row);
/* Put the row behind the others in the tree: the seq it must have, the digest its content must have. by: the leaf that erased it, 0: none did; then session isn't looked at.
 * done and done_count as in tree_append(). CORRUPT says what was altered. */
MUST_CHECK enum status leaf_row_follow(struct tree *t, uint64_t seq, const struct leaf_row *row, uint64_t by, unsigned char (*done)[32], size_t *done_count, struct err *err);
/* Empty it, in the open transaction. */
MUST_CHECK enum status leaf_row_erase(struct store *s, uint64_t seq, uint64_t by, struct err *err);

#endif
