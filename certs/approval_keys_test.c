#include "certs/approval_keys.h"

#include "certs/leaf.h"
#include "certs/pem.h"
#include "proxy/base/codec.h"
#include "proxy/base/file.h"

#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64], path[96];

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/countersign-keys-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/approval-keys", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

static EVP_PKEY *new_key(enum key_kind kind)
{
    EVP_PKEY *key = NULL;
    assert_int_equal(key_make(kind, &key, NULL), OK);
    return key;
}

static char *content(void)
{
    unsigned char *data = NULL;
    size_t len = 0;
    assert_int_equal(file_read(path, 1 << 20, true, &data, &len, NULL), OK);
    return (char *)data;
}

static void test_add_find_remove(void **state)
{
    (void)state;
    EVP_PKEY *alice = new_key(KEY_P256), *bob = new_key(KEY_ED25519);
    char fa[44], fb[44];
    struct approval_keys k = { 0 };
    assert_int_equal(spki_fingerprint(alice, fa), OK);
    assert_int_equal(spki_fingerprint(bob, fb), OK);
    assert_int_equal(approval_keys_load(path, &k, NULL), NOT_FOUND);
    assert_int_equal(approval_keys_add(path, "alice", alice, 1800000000, NULL), OK);
    assert_int_equal(approval_keys_add(path, "bob", bob, 1800000001, NULL), OK);
    assert_int_equal(approval_keys_add(path, "alice", alice, 1800000000, NULL), EXISTS);
    assert_int_equal(approval_keys_add(path, "mallory", alice, 1800000000, NULL), EXISTS);   /* not somebody else's either */
    assert_int_equal(approval_keys_load(path, &k, NULL), OK);
    assert_int_equal(k.count, 2);
    const struct approval_key *found = approval_keys_find(&k, slice_str(fa));
    assert_non_null(found);
    assert_string_equal(found->person, "alice");
    assert_int_equal(found->not_after_s, 1800000000);
    assert_int_equal(EVP_PKEY_eq(found->key, alice), 1);
    assert_string_equal(approval_keys_find(&k, slice_str(fb))->person, "bob");
    assert_null(approval_keys_find(&k, SLICE("")));
    assert_null(approval_keys_find(&k, slice_of(fa, 42)));
    approval_keys_done(&k);
    assert_int_equal(approval_keys_remove(path, slice_str(fa), NULL), OK);
    assert_int_equal(approval_keys_remove(path, slice_str(fa), NULL), NOT_FOUND);
    assert_int_equal(approval_keys_remove(path, SLICE("x"), NULL), NOT_FOUND);
    assert_int_equal(approval_keys_load(path, &k, NULL), OK);
    assert_int_equal(k.count, 1);
    assert_string_equal(k.v[0].person, "bob");
    approval_keys_done(&k);
    struct stat sb;
    assert_int_equal(stat(path, &sb), 0);
    assert_int_equal(sb.st_mode & 0777, 0600);
    EVP_PKEY_free(alice);
    EVP_PKEY_free(bob);
    unlink(path);
}

static void test_comments_stay(void **state)
{
    (void)state;
    EVP_PKEY *key = new_key(KEY_P256);
    char f[44];
    static const char text[] = "# ours\n\n# since 2026\n";
    assert_int_equal(spki_fingerprint(key, f), OK);
    assert_int_equal(file_write(path, slice_str(text), 0600, NULL), OK);
    assert_int_equal(approval_keys_add(path, "alice", key, 5, NULL), OK);
    assert_int_equal(approval_keys_remove(path, slice_str(f), NULL), OK);
    char *now = content();
    assert_string_equal(now, text);
    free(now);
    EVP_PKEY_free(key);
    unlink(path);
}

static void test_refused_keys(void **state)
{
    (void)state;
    EVP_PKEY *rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048), *p384 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384"), *good = new_key(KEY_P256);
    assert_int_equal(approval_keys_add(path, "alice", rsa, 5, NULL), BAD_INPUT);
    assert_int_equal(approval_keys_add(path, "alice", p384, 5, NULL), BAD_INPUT);
    assert_int_equal(approval_keys_add(path, "alice bob", good, 5, NULL), BAD_INPUT);
    assert_int_equal(approval_keys_add(path, "alice\nbob", good, 5, NULL), BAD_INPUT);
    assert_int_equal(approval_keys_add(path, "", good, 5, NULL), BAD_INPUT);
    assert_int_equal(approval_keys_add(path, "alice", good, -1, NULL), BAD_INPUT);
    assert_int_equal(access(path, F_OK), -1);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(p384);
    EVP_PKEY_free(good);
}

/* One good line, taken apart and put together wrongly. F: its fingerprint, K: its key. */
static const struct {
    const char *name, *form;
} bad_lines[] = {
    { "not ended", "alice F K 5" },
    { "two spaces", "alice  F K 5\n" },
    { "tab", "alice\tF K 5\n" },
    { "leading space", " alice F K 5\n" },
    { "trailing space", "alice F K 5 \n" },
    { "CR LF", "alice F K 5\r\n" },
    { "only a name", "alice\n" },
    { "a fifth word", "alice F K 5 6\n" },
    { "negative end", "alice F K -5\n" },
    { "signed end", "alice F K +5\n" },
    { "end in hex", "alice F K 0x5\n" },
    { "end too large", "alice F K 9999999999999999\n" },
    { "no end", "alice F K \n" },
    { "other fingerprint", "alice AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA K 5\n" },
    { "padded key", "alice F K= 5\n" },
    { "key with a byte after it", "alice F KAAAA 5\n" },
    { "empty key", "alice F  5\n" },
    { "key is not DER", "alice F AAAA 5\n" },
    { "the key twice", "alice F K 5\nbob F K 6\n" },
    { "name with a slash", "a/b F K 5\n" },
    { "name in Latin-1", "alic\xe9 F K 5\n" },
    { "name too long", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa F K 5\n" },
};

static void encode_key(EVP_PKEY *key, char *out)
{
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(key, &der);
    b64url_encode(slice_of(der, (size_t)len), out);
    OPENSSL_free(der);
}

static void fill(const char *form, const char *fingerprint, const char *key, char *out, size_t room)
{
    size_t n = 0;
    for (; *form != 0 && n < room; form++)
        n += (size_t)(*form == 'F'   ? snprintf(out + n, room - n, "%s", fingerprint)
                      : *form == 'K' ? snprintf(out + n, room - n, "%s", key)
                                     : snprintf(out + n, room - n, "%c", *form));
    assert_true(n < room);
}

static void test_bad_lines(void **state)
{
    (void)state;
    EVP_PKEY *key = new_key(KEY_P256);
    char f[44], spki[400], text[2000];
    struct approval_keys k;
    assert_int_equal(spki_fingerprint(key, f), OK);
    encode_key(key, spki);
    for (size_t i = 0; i < sizeof bad_lines / sizeof bad_lines[0]; i++) {
        struct err err = { "" };
        fill(bad_lines[i].form, f, spki, text, sizeof text);
        assert_int_equal(file_write(path, slice_str(text), 0600, NULL), OK);
        if (approval_keys_load(path, &k, &err) != BAD_INPUT)
            fail_msg("%s was taken", bad_lines[i].name);
        assert_non_null(strstr(err.text, path));
        /* And a command refuses to touch such a file. */
        assert_int_equal(approval_keys_remove(path, slice_str(f), NULL), BAD_INPUT);
        assert_int_equal(approval_keys_add(path, "carol", key, 5, NULL), BAD_INPUT);
    }
    EVP_PKEY_free(key);
    unlink(path);
}

/* The same point written compressed is another DER of the same key: it would be a second registration. */
static void test_second_form(void **state)
{
    (void)state;
    EVP_PKEY *key = new_key(KEY_P256);
    unsigned char *der = NULL, shorter[200], digest[32];
    char f[44], spki[400], text[2000];
    struct approval_keys k;
    int len = i2d_PUBKEY(key, &der);
    assert_int_equal(len, 91);
    memcpy(shorter, der, 59);
    shorter[1] = 57;                                    /* SEQUENCE */
    shorter[24] = 34;                                   /* BIT STRING */
    shorter[26] = der[90] & 1 ? 3 : 2;                  /* the point's form */
    sha256_one(slice_of(shorter, 59), digest);
    b64url_encode(slice_of(digest, 32), f);
    b64url_encode(slice_of(shorter, 59), spki);
    snprintf(text, sizeof text, "alice %s %s 5\n", f, spki);
    assert_int_equal(file_write(path, slice_str(text), 0600, NULL), OK);
    assert_int_equal(approval_keys_load(path, &k, NULL), BAD_INPUT);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
    unlink(path);
}

static void test_writable_by_others(void **state)
{
    (void)state;
    struct approval_keys k;
    assert_int_equal(file_write(path, SLICE("# empty\n"), 0600, NULL), OK);
    assert_int_equal(chmod(path, 0666), 0);
    assert_int_equal(approval_keys_load(path, &k, NULL), BAD_CONFIG);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(approval_keys_load(path, &k, NULL), OK);
    assert_int_equal(k.count, 0);
    approval_keys_done(&k);
    assert_int_equal(file_write(path, SLICE("# a NUL \0 here\n"), 0600, NULL), OK);
    assert_int_equal(approval_keys_load(path, &k, NULL), BAD_INPUT);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add_find_remove), cmocka_unit_test(test_comments_stay), cmocka_unit_test(test_refused_keys),
        cmocka_unit_test(test_bad_lines), cmocka_unit_test(test_second_form), cmocka_unit_test(test_writable_by_others),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
