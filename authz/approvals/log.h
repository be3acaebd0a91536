/* log: the append-only, signed log of what was decided (authz/README.md "The log"), written in the same transaction as its effect.
 *
 *   log_append() as often as needed, log_seal() before the commit, then log_committed() or log_rolled_back().
 *
 * In memory it keeps what the tree needs to grow, the root of each LOG_MARK_EVERY leaves, and the ledger: enough to prove any single leaf at little
 * cost, since a leaf that was edited no longer leads to its mark. */
#ifndef COUNTERSIGN_APPROVALS_LOG_H
#define COUNTERSIGN_APPROVALS_LOG_H

#include "authz/approvals/ledger.h"
#include "authz/approvals/store.h"

#include "authz/chain.h"
#include "authz/erased.h"

enum { LOG_MARK_LEVEL = 8, LOG_MARK_EVERY = 1 << LOG_MARK_LEVEL };

struct log;

/* Read and verify everything: every digest, the chain, the signed head, and that each leaf can follow the one before. CORRUPT says what
 * was altered. key_path: Ed25519, PEM. memory_path: where log_remember() wrote what it knew; leaves up to there are taken from it and not read (memory.h). NULL, or none there: all are read. */
MUST_CHECK enum status log_open(struct store *store, const char *instance, const char *key_path, const char *memory_path, struct log **out, struct err *err);
/* The same for somebody who has the public key only (raw 32 bytes): to look, not to append. */
MUST_CHECK enum status log_open_public(struct store *store, const char *instance, const unsigned char public_key[32], struct log **out, struct err *err);
MUST_CHECK enum status log_remember(const struct log *l, const char *memory_path, struct err *err);
/* The last leaf that was taken from memory; 0: none was. */
uint64_t log_remembered(const struct log *l);
/* Prove the leaves from this one to the next mark; *to_out is the last. */
MUST_CHECK enum status log_check_block(struct log *l, uint64_t from, uint64_t *to_out, struct err *err);
void log_close(struct log *l);

/* Takes the reference to content, an object; its member `session`, if any, files the leaf with that session. */
MUST_CHECK enum status log_append(struct log *l, const char *type, json_t *content, int64_t time_ms, uint64_t *seq_out,
                                  struct err *err);
/* Has anything been appended since the last commit? */
bool log_changed(const struct log *l);
MUST_CHECK enum status log_seal(struct log *l, struct err *err);
/* OK, or CORRUPT / NO_MEMORY: then memory no longer mirrors the log and the process must end. */
MUST_CHECK enum status log_committed(struct log *l, struct err *err);
void log_rolled_back(struct log *l);
/* What the open transaction appended, [{seq, type, time_ms, content}]; the caller's. Before log_committed. */
json_t *log_fresh(const struct log *l);

/* The signed head as of now, appended leaves included; malloc'd. */
MUST_CHECK enum status log_checkpoint(const struct log *l, char **note_out, struct err *err);
/* One committed leaf, proved against the chain: {seq, type, time_ms, salt, digest, session?, content: object}. NOT_FOUND (also when it was erased), CORRUPT. */
MUST_CHECK enum status log_leaf(struct log *l, uint64_t seq, json_t **out, struct err *err);
/* The same, for what is only shown: one that was proved before need not be proved again. */
MUST_CHECK enum status log_leaf_shown(struct log *l, uint64_t seq, json_t **out, struct err *err);
/* The leaves from this one to the next mark, proved, as log_leaf has them, or erased: with "" as content; *to_out is the last. */
MUST_CHECK enum status log_block(struct log *l, uint64_t from, json_t **out, uint64_t *to_out, struct err *err);
/* The leaf that says that this one was erased (erased.h); 0: it was not. All that were. */
uint64_t log_erased(const struct log *l, uint64_t seq);
const struct erased *log_all_erased(const struct log *l);
const struct ledger *log_ledger(const struct log *l);
/* Raw 32 bytes. */
const unsigned char *log_public_key(const struct log *l);
uint64_t log_size(const struct log *l);
/* Root of each full LOG_MARK_EVERY leaves, by their order; borrowed until the next commit. */
const unsigned char (*log_marks(const struct log *l, size_t *count))[32];
/* A checkpoint of an earlier size, for publishing in steps (tiles.h). */
MUST_CHECK enum status log_sign(const struct log *l, const struct chain_head *head, char **note_out, struct err *err);

#endif
