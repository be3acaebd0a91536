/* tiles: the log as files that anybody may follow without asking anyone: STATE/log/, as C2SP tlog-tiles lays it out.
 *
 *     checkpoint                      size and root, signed; the newest that was published
 *     tile/0/x001/234 …/567.p/12      leaf hashes, 256 a file, the last one partial; tile/1, tile/2 … the roots of the tiles below
 *     tile/entries/…                  the leaves themselves: u16 big-endian length and canonical JSON each
 *
 * They are made from the database, which is what counts: a leaf and the signed head are committed there before their effect, and published here within a second. What
 * is missing here is written again; what contradicts the database (it was replaced by an older copy, or rewritten) is an error. */
#ifndef COUNTERSIGN_APPROVALS_TILES_H
#define COUNTERSIGN_APPROVALS_TILES_H

#include "authz/approvals/log.h"

struct tiles;

/* Look at what was published before and compare it with the log. CORRUPT. All is borrowed until tiles_close. */
MUST_CHECK enum status tiles_open(const char *folder, const char *instance, const struct log *l, struct store *store, struct tiles **out, struct err *err);
void tiles_close(struct tiles *t);               /* NULL is fine */
/* Publish what is new, at most 16384 leaves a call, so that nobody waits long. Outside of transactions. */
MUST_CHECK enum status tiles_publish(struct tiles *t, struct err *err);
uint64_t tiles_published(const struct tiles *t);

#endif
