/* Verifier keys of witnesses, and their cosignatures: made here, then changed in every way. */
#include "proxy/base/cosign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <openssl/evp.h>

#include "proxy/base/codec.h"

static EVP_PKEY *key;
static unsigned char public_key[32];
static char vkey[256];
static const char text[] = "countersign/test.example\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";

static void key_id(const char *name, unsigned char out[4])
{
    unsigned char hash[32], raw[33];
    raw[0] = 4;
    memcpy(raw + 1, public_key, 32);
    struct slice pieces[] = { slice_str(name), SLICE("\n"), slice_of(raw, 33) };
    sha256(pieces, 3, hash);
    memcpy(out, hash, 4);
}

static void vkey_of(const char *name, unsigned char type, char out[256])
{
    unsigned char id[4], raw[33], b64[48];
    char hex[9];
    key_id(name, id);
    raw[0] = type;
    memcpy(raw + 1, public_key, 32);
    EVP_EncodeBlock(b64, raw, 33);
    hex_encode(slice_of(id, 4), hex);
    snprintf(out, 256, "%s+%s+%s", name, hex, (const char *)b64);
}

static void line_of(const char *name, const char *over, uint64_t time_s, char out[256])
{
    unsigned char raw[76], b64[110], signed_text[1024];
    size_t len = 64;
    key_id(name, raw);
    for (size_t i = 0; i < 8; i++)
        raw[4 + i] = (unsigned char)(time_s >> (56 - 8 * i));
    int n = snprintf((char *)signed_text, sizeof signed_text, "cosignature/v1\ntime %llu\n%s", (unsigned long long)time_s, over);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, key), 1);
    assert_int_equal(EVP_DigestSign(ctx, raw + 12, &len, signed_text, (size_t)n), 1);
    EVP_MD_CTX_free(ctx);
    EVP_EncodeBlock(b64, raw, sizeof raw);
    snprintf(out, 256, "\u2014 %s %s\n", name, (const char *)b64);
}

static int set_up(void **state)
{
    size_t len = 32;
    (void)state;
    key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (key == NULL || EVP_PKEY_get_raw_public_key(key, public_key, &len) != 1)
        return -1;
    vkey_of("witness.example/one", 4, vkey);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    EVP_PKEY_free(key);
    return 0;
}

static void test_keys(void **state)
{
    char other[256];
    struct witness w;
    (void)state;
    assert_int_equal(witness_parse(slice_str(vkey), &w, NULL), OK);
    assert_string_equal(w.name, "witness.example/one");
    assert_memory_equal(w.public_key, public_key, 32);
    vkey_of("witness.example/one", 1, other);   /* a log's key, not a witness's */
    assert_int_equal(witness_parse(slice_str(other), &w, NULL), BAD_INPUT);
    for (size_t i = 0; i < strlen(vkey); i++) {   /* each character changed, and cut there */
        snprintf(other, sizeof other, "%s", vkey);
        other[i] = other[i] == 'x' ? 'y' : 'x';
        if (witness_form(other))
            fail_msg("taken, although character %zu was changed: %s", i, other);
        other[i] = 0;
        assert_false(witness_form(other));
    }
    static const char *const bad[] = { "", "+", "++", "a+b+c", "name+0123456+AAAA", " +00000000+", "a b+00000000+AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(witness_form(bad[i]));
    snprintf(other, sizeof other, "%s\n", vkey);
    assert_false(witness_form(other));
}

static void test_cosignatures(void **state)
{
    char line[256], later[256], foreign[256], note[2048];
    struct witness w;
    struct cosignature c;
    (void)state;
    assert_int_equal(witness_parse(slice_str(vkey), &w, NULL), OK);
    line_of("witness.example/one", text, 1790000000, line);
    line_of("witness.example/one", text, 1790000500, later);
    line_of("witness.example/two", text, 1790000000, foreign);
    snprintf(note, sizeof note, "%s\n\u2014 countersign/test.example AAAA\n%s%s%s", text, foreign, line, later);
    assert_int_equal(cosignature_check(&w, slice_str(note), &c, NULL), OK);
    assert_true(c.holds);
    assert_int_equal(c.time_s, 1790000500);
    snprintf(note, sizeof note, "%s\n%s", text, foreign);   /* the same key under another name is another witness */
    assert_int_equal(cosignature_check(&w, slice_str(note), &c, NULL), OK);
    assert_false(c.holds);
    line_of("witness.example/one", "another text\n", 1790000000, line);
    snprintf(note, sizeof note, "%s\n%s", text, line);
    assert_int_equal(cosignature_check(&w, slice_str(note), &c, NULL), BAD_TOKEN);
    line_of("witness.example/one", text, 0, line);
    snprintf(note, sizeof note, "%s\n%s", text, line);
    assert_int_equal(cosignature_check(&w, slice_str(note), &c, NULL), BAD_TOKEN);
}

static void test_hostile_notes(void **state)
{
    char line[256], note[2048], bad[2048];
    struct witness w;
    struct cosignature c;
    (void)state;
    assert_int_equal(witness_parse(slice_str(vkey), &w, NULL), OK);
    line_of("witness.example/one", text, 1790000000, line);
    size_t n = (size_t)snprintf(note, sizeof note, "%s\n%s", text, line);
    for (size_t i = 0; i < n; i++) {
        memcpy(bad, note, n + 1);
        bad[i] ^= 1;
        c = (struct cosignature){ true, 0 };
        enum status st = cosignature_check(&w, slice_of(bad, n), &c, NULL);
        if (st == OK && c.holds)
            fail_msg("byte %zu was changed, and it still holds", i);
        c = (struct cosignature){ true, 0 };
        if (cosignature_check(&w, slice_of(note, i), &c, NULL) == OK && c.holds)
            fail_msg("cut at %zu, and it still holds", i);
    }
    static const char *const none[] = { "", "\n", "\n\n", "text\n\n", "text\n\nno dash\n", "text\n\n\u2014 a b" };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(cosignature_check(&w, slice_str(none[i]), &c, NULL), BAD_INPUT);
}

static void test_merge(void **state)
{
    char *merged = NULL;
    (void)state;
    assert_int_equal(cosign_merge(SLICE("t\n\n\u2014 a x\n\u2014 b y\n"), SLICE("t\n\n\u2014 b y\n\u2014 c z\n"), &merged, NULL), OK);
    assert_string_equal(merged, "t\n\n\u2014 a x\n\u2014 b y\n\u2014 c z\n");
    free(merged);
    assert_int_equal(cosign_merge(SLICE("t\n\n\u2014 a x\n"), SLICE("u\n\n\u2014 a x\n"), &merged, NULL), BAD_INPUT);
    assert_int_equal(cosign_merge(SLICE("t\n\n\u2014 a x\n"), SLICE("t"), &merged, NULL), BAD_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_keys), cmocka_unit_test(test_cosignatures), cmocka_unit_test(test_hostile_notes), cmocka_unit_test(test_merge) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
