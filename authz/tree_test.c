#include "authz/tree.h"

#include "proxy/base/codec.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { MANY = 70 };

/* Certificate Transparency's reference tree: eight leaves and the roots of all its sizes. */
static const char *const reference_leaves[] = { "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f" };
static const char *const reference_roots[] = {
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};

static void hex32(const char *text, unsigned char out[32])
{
    size_t len = 0;
    assert_int_equal(hex_decode(slice_str(text), out, 32, &len), OK);
    assert_int_equal(len, 32);
}

static void the_reference_tree(void **state)
{
    struct tree t = { 0 };
    unsigned char raw[32], leaf[32], root[32], want[32];
    (void)state;
    hex32("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", want);
    tree_root(&t, root);
    assert_memory_equal(root, want, 32);
    for (size_t i = 0; i < 8; i++) {
        size_t len = 0;
        assert_int_equal(hex_decode(slice_str(reference_leaves[i]), raw, sizeof raw, &len), OK);
        tree_leaf_hash(slice_of(raw, len), leaf);
        (void)tree_append(&t, leaf, NULL);
        tree_root(&t, root);
        hex32(reference_roots[i], want);
        assert_memory_equal(root, want, 32);
    }
}

static unsigned char leaves[MANY][32], roots[MANY + 1][32];

static int grow(void **state)
{
    struct tree t = { 0 };
    (void)state;
    tree_root(&t, roots[0]);
    for (unsigned i = 0; i < MANY; i++) {
        unsigned char entry = (unsigned char)i;
        tree_leaf_hash(slice_of(&entry, 1), leaves[i]);
        (void)tree_append(&t, leaves[i], NULL);
        tree_root(&t, roots[i + 1]);
    }
    return 0;
}

static void each_leaf_of_each_size_is_proved(void **state)
{
    unsigned char proof[TREE_PROOF_MAX][32];
    (void)state;
    for (uint64_t size = 1; size <= MANY; size++)
        for (uint64_t i = 0; i < size; i++) {
            size_t n = tree_prove_leaf(leaves, size, i, proof);
            assert_true(tree_leaf_holds(size, roots[size], i, leaves[i], proof, n));
            assert_false(tree_leaf_holds(size, roots[size], i, leaves[(i + 1) % MANY], proof, n));
            assert_false(tree_leaf_holds(size, roots[size - 1], i, leaves[i], proof, n));
            assert_false(tree_leaf_holds(size, roots[size], i, leaves[i], proof, n + 1));
            assert_false(tree_leaf_holds(size, roots[size], size, leaves[i], proof, n));
            if (size > 1) {
                assert_false(tree_leaf_holds(size, roots[size], i, leaves[i], proof, n - 1));
                assert_false(tree_leaf_holds(size, roots[size], (i + 1) % size, leaves[i], proof, n));
                proof[n / 2][i % 32] ^= 1;
                assert_false(tree_leaf_holds(size, roots[size], i, leaves[i], proof, n));
            }
        }
}

static void each_growth_is_proved(void **state)
{
    unsigned char proof[TREE_PROOF_MAX][32];
    (void)state;
    for (uint64_t size = 1; size <= MANY; size++)
        for (uint64_t old = 0; old <= size; old++) {
            size_t n = tree_prove_growth(leaves, size, old, proof);
            assert_true(tree_growth_holds(old, roots[old], size, roots[size], proof, n));
            assert_false(tree_growth_holds(old, roots[(old + 1) % MANY], size, roots[size], proof, n));
            assert_false(tree_growth_holds(size + 1, roots[old], size, roots[size], proof, n));
            if (n > 0) {
                assert_false(tree_growth_holds(old, roots[old], size, roots[size], proof, n - 1));
                proof[n / 2][old % 32] ^= 1;
                assert_false(tree_growth_holds(old, roots[old], size, roots[size], proof, n));
            }
        }
}

/* What tiles and the proof of single blocks are made of. */
static void completed_subtrees_and_tails(void **state)
{
    struct tree t = { 0 }, tail;
    unsigned char done[TREE_LEVELS][32], want[32], got[32];
    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        size_t n = tree_append(&t, leaves[i], done);
        for (size_t level = 0; level < n; level++) {
            uint64_t count = UINT64_C(1) << level;
            tail = (struct tree){ 0 };
            for (uint64_t k = i + 1 - count; k <= i; k++)
                (void)tree_append(&tail, leaves[k], NULL);
            tree_root(&tail, want);
            assert_memory_equal(done[level], want, 32);
        }
        if ((i + 1) % 8 == 0)
            continue;
        tail = (struct tree){ 0 };
        for (unsigned k = (i + 1) / 8 * 8; k <= i; k++)
            (void)tree_append(&tail, leaves[k], NULL);
        tree_root(&tail, want);
        tree_tail_root(&t, 3, got);
        assert_memory_equal(got, want, 32);
    }
}

static size_t proof_of(const json_t *v, unsigned char (*proof)[32])
{
    const json_t *list = json_object_get(v, "proof");
    for (size_t i = 0; i < json_array_size(list); i++)
        hex32(json_string_value(json_array_get(list, i)), proof[i]);
    return json_array_size(list);
}

/* tests/vectors/tlog.py, written from the specifications in another language, made these. */
static void the_vectors_agree(void **state)
{
    static unsigned char others[70][32], other_roots[71][32];
    unsigned char proof[TREE_PROOF_MAX][32], mine[TREE_PROOF_MAX][32];
    json_t *all = json_load_file("tests/vectors/tlog.json", 0, NULL), *v;
    struct tree t = { 0 };
    const char *name;
    size_t i;
    (void)state;
    assert_non_null(all);
    for (unsigned n = 0; n < 70; n++) {
        char entry[32];
        snprintf(entry, sizeof entry, "entry %u", n);
        tree_leaf_hash(slice_str(entry), others[n]);
        (void)tree_append(&t, others[n], NULL);
        tree_root(&t, other_roots[n + 1]);
    }
    json_object_foreach(json_object_get(all, "roots"), name, v) {
        hex32(json_string_value(v), proof[0]);
        assert_memory_equal(proof[0], other_roots[strtoul(name, NULL, 10)], 32);
    }
    json_array_foreach(json_object_get(all, "inclusion"), i, v) {
        uint64_t size = (uint64_t)json_integer_value(json_object_get(v, "size")), index = (uint64_t)json_integer_value(json_object_get(v, "index"));
        size_t n = proof_of(v, proof);
        assert_true(tree_leaf_holds(size, other_roots[size], index, others[index], proof, n));
        assert_int_equal(tree_prove_leaf(others, size, index, mine), n);
        assert_memory_equal(proof, mine, n * 32);
    }
    json_array_foreach(json_object_get(all, "consistency"), i, v) {
        uint64_t size = (uint64_t)json_integer_value(json_object_get(v, "size")), old = (uint64_t)json_integer_value(json_object_get(v, "old"));
        size_t n = proof_of(v, proof);
        assert_true(tree_growth_holds(old, other_roots[old], size, other_roots[size], proof, n));
        assert_int_equal(tree_prove_growth(others, size, old, mine), n);
        assert_memory_equal(proof, mine, n * 32);
    }
    json_decref(all);
}

static void going_on_from_subtrees(void **state)
{
    struct tree blocks = { 0 };
    unsigned char got[32];
    (void)state;
    for (unsigned block = 0; block < MANY / 4; block++) {
        struct tree one = { 0 }, all;
        for (unsigned i = 0; i < 4; i++)
            (void)tree_append(&one, leaves[block * 4 + i], NULL);
        tree_root(&one, got);
        (void)tree_append(&blocks, got, NULL);
        all = blocks;
        tree_raise(&all, 2);
        assert_int_equal(all.size, (block + 1) * 4);
        (void)tree_append(&all, leaves[all.size], NULL);
        tree_root(&all, got);
        assert_memory_equal(got, roots[all.size], 32);
    }
}

static void entries(void **state)
{
    static const unsigned char digest[32] = { 1 };
    static const struct { const char *name, *type; int64_t time_ms; bool good; } rows[] = {
        { "usual", "grant.issued", 1790000000000, true }, { "no type", "", 1, false }, { "a quote", "a\"b", 1, false }, { "upper case", "Grant", 1, false },
        { "before the epoch", "grant.issued", -1, false }, { "a line", "a\nb", 1, false },
        { "too long", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 1, false },
    };
    char out[TREE_ENTRY_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if ((tree_entry(rows[i].type, rows[i].time_ms, digest, out) > 0) != rows[i].good)
            fail_msg("%s", rows[i].name);
    size_t len = tree_entry("outcome", 17, digest, out);
    assert_int_equal(len, strlen(out));
    assert_string_equal(out, "{\"digest\":\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"time_ms\":17,\"type\":\"outcome\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_tree), cmocka_unit_test(each_leaf_of_each_size_is_proved), cmocka_unit_test(each_growth_is_proved),
        cmocka_unit_test(completed_subtrees_and_tails), cmocka_unit_test(going_on_from_subtrees), cmocka_unit_test(the_vectors_agree),
        cmocka_unit_test(entries),
    };
    return cmocka_run_group_tests(tests, grow, NULL);
}
