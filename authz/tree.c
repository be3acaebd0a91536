#include "authz/tree.h"

#include "proxy/base/codec.h"

#include <assert.h>
#include <stdio.h>

size_t tree_entry(const char *type, int64_t time_ms, const unsigned char content_digest[32], char out[TREE_ENTRY_MAX])
{
    char digest[B64URL_LEN(32) + 1];
    size_t len = strlen(type);
    out[0] = 0;
    if (len == 0 || len > 64 || strspn(type, "abcdefghijklmnopqrstuvwxyz0123456789._-") != len || time_ms < 0)
        return 0;
    b64url_encode(slice_of(content_digest, 32), digest);
    return (size_t)snprintf(out, TREE_ENTRY_MAX, "{\"digest\":\"%s\",\"time_ms\":%lld,\"type\":\"%s\"}", digest, (long long)time_ms, type);
}

void tree_leaf_hash(struct slice entry, unsigned char out[32])
{
    struct slice pieces[] = { SLICE("\0"), entry };
    sha256(pieces, 2, out);
}

static void node_hash(const unsigned char left[32], const unsigned char right[32], unsigned char out[32])
{
    struct slice pieces[] = { SLICE("\1"), slice_of(left, 32), slice_of(right, 32) };
    sha256(pieces, 3, out);
}

size_t tree_append(struct tree *t, const unsigned char leaf[32], unsigned char (*done)[32])
{
    unsigned char hash[32];
    size_t level = 0;
    memcpy(hash, leaf, 32);
    for (;; level++) {
        assert(level < TREE_LEVELS);
        if (done != NULL)
            memcpy(done[level], hash, 32);
        if ((t->size >> level & 1) == 0)
            break;
        node_hash(t->node[level], hash, hash);
    }
    memcpy(t->node[level], hash, 32);
    t->size++;
    return level + 1;
}

/* The subtrees of the lowest bits of the size, from the smallest, which stands last. False: there are none. */
static bool fold(const struct tree *t, unsigned levels, unsigned char out[32])
{
    bool any = false;
    for (unsigned level = 0; level < levels; level++) {
        if ((t->size >> level & 1) == 0)
            continue;
        if (any)
            node_hash(t->node[level], out, out);
        else
            memcpy(out, t->node[level], 32);
        any = true;
    }
    return any;
}

void tree_root(const struct tree *t, unsigned char out[32])
{
    if (!fold(t, TREE_LEVELS, out))
        sha256(NULL, 0, out);
}

void tree_tail_root(const struct tree *t, unsigned level, unsigned char out[32])
{
    bool any = fold(t, level, out);
    assert(any);
}

void tree_raise(struct tree *t, unsigned levels)
{
    assert(levels < TREE_LEVELS && t->size >> (TREE_LEVELS - 1 - levels) == 0);
    memmove(t->node[levels], t->node[0], (TREE_LEVELS - levels) * sizeof t->node[0]);
    t->size <<= levels;
}

/* ---- proofs: making ---- */

/* The largest power of two below n; n > 1. */
static uint64_t split_of(uint64_t n)
{
    uint64_t k = 1;
    while (k < n - k)
        k *= 2;
    return k;
}

static void range_root(const unsigned char (*leaves)[32], uint64_t count, unsigned char out[32])
{
    struct tree t = { 0 };
    for (uint64_t i = 0; i < count; i++)
        (void)tree_append(&t, leaves[i], NULL);
    tree_root(&t, out);
}

size_t tree_prove_leaf(const unsigned char (*leaves)[32], uint64_t size, uint64_t index, unsigned char (*proof)[32])
{
    if (size <= 1)
        return 0;
    uint64_t k = split_of(size);
    bool right = index >= k;
    size_t n = right ? tree_prove_leaf(leaves + k, size - k, index - k, proof) : tree_prove_leaf(leaves, k, index, proof);
    range_root(right ? leaves : leaves + k, right ? k : size - k, proof[n]);
    return n + 1;
}

/* SUBPROOF of RFC 6962 s2.1.2: known says whether the old tree's root is this whole range. */
static size_t prove_growth(const unsigned char (*leaves)[32], uint64_t size, uint64_t old, bool known, unsigned char (*proof)[32])
{
    size_t n;
    if (old == size) {
        if (known)
            return 0;
        range_root(leaves, size, proof[0]);
        return 1;
    }
    uint64_t k = split_of(size);
    if (old <= k) {
        n = prove_growth(leaves, k, old, known, proof);
        range_root(leaves + k, size - k, proof[n]);
    } else {
        n = prove_growth(leaves + k, size - k, old - k, false, proof);
        range_root(leaves, k, proof[n]);
    }
    return n + 1;
}

size_t tree_prove_growth(const unsigned char (*leaves)[32], uint64_t size, uint64_t old, unsigned char (*proof)[32])
{
    return old == 0 ? 0 : prove_growth(leaves, size, old, true, proof);
}

/* ---- proofs: checking ---- */

bool tree_leaf_holds(uint64_t size, const unsigned char root[32], uint64_t index, const unsigned char leaf[32], const unsigned char (*proof)[32],
                     size_t count)
{
    unsigned char hash[32];
    if (index >= size)
        return false;
    uint64_t at = index, last = size - 1;
    memcpy(hash, leaf, 32);
    for (size_t i = 0; i < count; i++) {
        if (last == 0)
            return false;
        if ((at & 1) != 0 || at == last) {
            node_hash(proof[i], hash, hash);
            for (; (at & 1) == 0 && at != 0; at >>= 1)
                last >>= 1;
        } else {
            node_hash(hash, proof[i], hash);
        }
        at >>= 1;
        last >>= 1;
    }
    return last == 0 && memcmp(hash, root, 32) == 0;
}

bool tree_growth_holds(uint64_t old, const unsigned char old_root[32], uint64_t size, const unsigned char root[32], const unsigned char (*proof)[32],
                       size_t count)
{
    unsigned char was[32], is[32], empty[32];
    if (old > size)
        return false;
    sha256(NULL, 0, empty);
    if (old == 0)
        return count == 0 && memcmp(old_root, empty, 32) == 0;
    if (old == size)
        return count == 0 && memcmp(old_root, root, 32) == 0;
    uint64_t at = old - 1, last = size - 1;
    size_t i = 0;
    for (; (at & 1) != 0; at >>= 1)
        last >>= 1;
    bool whole = (old & (old - 1)) == 0;   /* a power of two: the old root begins the proof by itself */
    if (!whole && count == 0)
        return false;
    memcpy(was, whole ? old_root : proof[i++], 32);
    memcpy(is, was, 32);
    for (; i < count; i++) {
        if (last == 0)
            return false;
        if ((at & 1) != 0 || at == last) {
            node_hash(proof[i], was, was);
            node_hash(proof[i], is, is);
            for (; (at & 1) == 0 && at != 0; at >>= 1)
                last >>= 1;
        } else {
            node_hash(is, proof[i], is);
        }
        at >>= 1;
        last >>= 1;
    }
    return last == 0 && memcmp(was, old_root, 32) == 0 && memcmp(is, root, 32) == 0;
}
