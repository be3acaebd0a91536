/* Our digest against the published vectors, which tests/vectors/digest.py made by itself. */
#include "authz/digest.h"

#include "proxy/base/codec.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct slice text_of(const json_t *v, const char *key)
{
    const json_t *s = json_object_get(v, key);
    return s ? slice_of(json_string_value(s), json_string_length(s)) : (struct slice){ 0 };
}

static void digest_of(const json_t *v, unsigned char out[32])
{
    struct digest_input in = { .method = text_of(v, "method"), .authority = text_of(v, "authority"), .target = text_of(v, "target") };
    static unsigned char body[8192];
    size_t len = 0;
    for (size_t i = 0; i < digest_field_count; i++)
        in.field_values[i] = text_of(json_object_get(v, "fields"), (const char *)digest_fields[i].ptr);
    assert_int_equal(hex_decode(text_of(v, "body_hex"), body, sizeof body, &len), OK);
    in.body_len = len;
    sha256_one(slice_of(body, len), in.body_sha256);
    request_digest(&in, out);
}

static void test_vectors(void **state)
{
    (void)state;
    json_error_t error;
    json_t *file = json_load_file("tests/vectors/digest.json", JSON_REJECT_DUPLICATES, &error), *v, *other;
    size_t i, k;
    if (file == NULL)
        fail_msg("%s", error.text);
    const json_t *names = json_object_get(file, "fields"), *vectors = json_object_get(file, "vectors");
    assert_int_equal(json_array_size(names), digest_field_count);
    for (i = 0; i < digest_field_count; i++)
        assert_string_equal(json_string_value(json_array_get(names, i)), (const char *)digest_fields[i].ptr);
    assert_true(json_array_size(vectors) >= 13);
    json_array_foreach(vectors, i, v) {
        unsigned char digest[32];
        char hex[65];
        digest_of(v, digest);
        hex_encode(slice_of(digest, sizeof digest), hex);
        if (!slice_eq(slice_str(hex), text_of(v, "digest")))
            fail_msg("%s: %s", json_string_value(json_object_get(v, "name")), hex);
        json_array_foreach(vectors, k, other)
            if (k != i && slice_eq(text_of(other, "digest"), slice_str(hex)))
                fail_msg("vectors %zu and %zu have one digest", i, k);
    }
    json_decref(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_vectors) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
