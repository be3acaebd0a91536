/* tree: the log's Merkle tree (RFC 6962 s2.1, RFC 9162 s2.1): append, root, and proofs that a leaf is in it and that a later tree only added to an earlier one. For the
 * process that writes the log and for anyone who verifies it later, offline.
 *
 *     leaf hash = SHA-256(0x00 || entry)        node hash = SHA-256(0x01 || left || right)        empty tree = SHA-256("")
 *
 * An entry of our log is the canonical JSON {"digest":"…","time_ms":N,"type":"…"} (authz/README.md, "The log"). */
#ifndef COUNTERSIGN_TREE_H
#define COUNTERSIGN_TREE_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <stdint.h>

enum { TREE_LEVELS = 48, TREE_PROOF_MAX = 64, TREE_ENTRY_MAX = 256 };

/* All that must be kept to go on: for each bit of the size the root of a full subtree of that many leaves. All zero: empty. */
struct tree {
    uint64_t size;
    unsigned char node[TREE_LEVELS][32];
};

/* The entry as text with a NUL; returns its length. type: at most 64 characters of a-z, '.', '_' and '-'; else 0. */
size_t tree_entry(const char *type, int64_t time_ms, const unsigned char content_digest[32], char out[TREE_ENTRY_MAX]);
void tree_leaf_hash(struct slice entry, unsigned char out[32]);
/* done[i]: the root of the subtree of 2^i leaves that this leaf completed, for each i below what is returned; may be NULL. */
size_t tree_append(struct tree *t, const unsigned char leaf[32], unsigned char (*done)[32]);
void tree_root(const struct tree *t, unsigned char out[32]);
/* Root of the last size % 2^level leaves alone; there is one at least. */
void tree_tail_root(const struct tree *t, unsigned level, unsigned char out[32]);

/* What were leaves are roots of full subtrees of 2^levels leaves each: for going on from those alone. */
void tree_raise(struct tree *t, unsigned levels);

/* Proofs, over all leaf hashes of the tree; return how many hashes were put into proof (TREE_PROOF_MAX of room). index < size; 0 < old <= size. */
size_t tree_prove_leaf(const unsigned char (*leaves)[32], uint64_t size, uint64_t index, unsigned char (*proof)[32]);
size_t tree_prove_growth(const unsigned char (*leaves)[32], uint64_t size, uint64_t old, unsigned char (*proof)[32]);
/* RFC 9162 s2.1.3.2 and s2.1.4.2. */
bool tree_leaf_holds(uint64_t size, const unsigned char root[32], uint64_t index, const unsigned char leaf[32], const unsigned char (*proof)[32],
                     size_t count);
bool tree_growth_holds(uint64_t old, const unsigned char old_root[32], uint64_t size, const unsigned char root[32], const unsigned char (*proof)[32],
                       size_t count);

#endif
