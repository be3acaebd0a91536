#include "authz/chain.h"

#include "proxy/base/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Computed by a second implementation (Python's hashlib) from the formulas of authz/README.md. */
static void the_formulas_are_the_published_ones(void **state)
{
    (void)state;
    unsigned char salt[CHAIN_SALT_LEN], digest[32];
    char hex[65];
    for (size_t i = 0; i < sizeof salt; i++)
        salt[i] = (unsigned char)i;
    chain_content_digest(salt, SLICE("{\"a\":1}"), digest);
    hex_encode(slice_of(digest, 32), hex);
    assert_string_equal(hex, "aed8a0ebb5f60a8aa06554873318b8e888584ebddf7878258719930ae328cbb2");
    struct tree t = { 0 };
    struct chain_head head;
    assert_int_equal(chain_append(&t, "approval", 1800000000123, digest, NULL, NULL), OK);
    head = chain_head_of(&t);
    hex_encode(slice_of(head.hash, 32), hex);
    assert_string_equal(hex, "0eb83d7f3f072c8e6e638ef890b1f6314a3e1d190c1f3750be5437ccf6ba7c9e");
    assert_int_equal(chain_append(&t, "lock", 1800000000124, digest, NULL, NULL), OK);
    head = chain_head_of(&t);
    hex_encode(slice_of(head.hash, 32), hex);
    assert_string_equal(hex, "8a0250b5dc45412e9f79014d39385c7e83bbf91b97afbd9f4c73674883867fb4");
    assert_int_equal(head.seq, 2);
    assert_int_equal(chain_append(&t, "Lock", 1800000000125, digest, NULL, NULL), BAD_INPUT);
    assert_int_equal(t.size, 2);
}

static void notes_are_strict(void **state)
{
    (void)state;
    struct err err = { .text = "" };
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), *other = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    unsigned char pub[32], wrong[32];
    size_t len = 32;
    EVP_PKEY_get_raw_public_key(key, pub, &len);
    EVP_PKEY_get_raw_public_key(other, wrong, &len);
    struct chain_head head = { .seq = 4711 }, out;
    memset(head.hash, 0xab, 32);
    char *note = NULL, text[2048];
    assert_int_equal(chain_note_sign(key, "gw.example", &head, &note, &err), OK);
    assert_int_equal(chain_note_verify(pub, "gw.example", slice_str(note), &out, &err), OK);
    assert_int_equal(out.seq, 4711);
    assert_memory_equal(out.hash, head.hash, 32);
    assert_int_equal(chain_note_verify(wrong, "gw.example", slice_str(note), &out, &err), BAD_TOKEN);
    assert_int_equal(chain_note_verify(pub, "gw.example2", slice_str(note), &out, &err), BAD_TOKEN);
    for (size_t i = 0; i < strlen(note); i++) {
        snprintf(text, sizeof text, "%s", note);
        text[i] = text[i] == 'A' ? 'B' : 'A';
        if (chain_note_verify(pub, "gw.example", slice_str(text), &out, &err) != BAD_TOKEN && i + 1 < strlen(note))
            fail_msg("accepted with byte %zu changed", i);
        if (chain_note_verify(pub, "gw.example", slice_of(note, i), &out, &err) != BAD_TOKEN && i + 1 < strlen(note))
            fail_msg("accepted when cut at %zu", i);
    }
    /* A witness's line before ours is passed over; two heads in one note are not. */
    const char *line = strstr(note, "\n\n") + 2;
    snprintf(text, sizeof text, "%.*s\u2014 witness.example AAAA\n%s", (int)(line - note), note, line);
    assert_int_equal(chain_note_verify(pub, "gw.example", slice_str(text), &out, &err), OK);
    snprintf(text, sizeof text, "countersign/gw.example\n04711\n%s", strstr(note, "4711\n") + 5);
    assert_int_equal(chain_note_verify(pub, "gw.example", slice_str(text), &out, &err), BAD_TOKEN);
    assert_int_equal(chain_note_sign(key, "gw\nexample", &head, &note, &err), BAD_INPUT);
    free(note);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_formulas_are_the_published_ones), cmocka_unit_test(notes_are_strict) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
