/* Sealing and opening: what was sealed comes back, for every recipient; nothing altered does; and stock age agrees where it is installed. */
#include "proxy/record/age.h"

#include "proxy/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

enum { PEOPLE = 3 };

struct world {
    char folder[64], path[PEOPLE][96], public_key[PEOPLE][AGE_PUBLIC_LEN + 1];
    struct age_keys *keys[PEOPLE];
    struct age_sealer *sealer;        /* to the first two */
    struct warc_bytes sealed;
};

static int make_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct err err;
    snprintf(w->folder, sizeof w->folder, "/tmp/age-test-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    for (size_t i = 0; i < PEOPLE; i++) {
        char secret[AGE_SECRET_LEN + 1], text[200];
        assert_int_equal(age_key_make(secret, w->public_key[i], &err), OK);
        assert_int_equal(strlen(secret), AGE_SECRET_LEN);
        assert_int_equal(strlen(w->public_key[i]), AGE_PUBLIC_LEN);
        snprintf(text, sizeof text, "# created: today\n# public key: %s\n%s\n", w->public_key[i], secret);
        snprintf(w->path[i], sizeof w->path[i], "%s/%zu.key", w->folder, i);
        assert_int_equal(file_write(w->path[i], slice_str(text), 0600, &err), OK);
        assert_int_equal(age_keys_load(w->path[i], &w->keys[i], &err), OK);
    }
    char *recipients[] = { w->public_key[0], w->public_key[1] };
    assert_int_equal(age_sealer_new(recipients, 2, &w->sealer, &err), OK);
    *state = w;
    return 0;
}

static int end_world(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < PEOPLE; i++) {
        age_keys_free(w->keys[i]);
        unlink(w->path[i]);
    }
    age_sealer_free(w->sealer);
    warc_bytes_done(&w->sealed);
    rmdir(w->folder);
    free(w);
    return 0;
}

static enum status keep(void *to, struct slice clear)
{
    return warc_bytes_put(to, clear);
}

static enum status open_all(const struct age_keys *keys, struct slice sealed, size_t piece, struct warc_bytes *out)
{
    struct age_opener *o;
    struct err err = { "" };
    out->len = 0;
    assert_int_equal(age_opener_new(keys, keep, out, &o), OK);
    enum status st = OK;
    for (size_t at = 0; at < sealed.len && st == OK; at += piece)
        st = age_open_more(o, slice_of(sealed.ptr + at, sealed.len - at < piece ? sealed.len - at : piece), &err);
    if (st == OK)
        st = age_open_end(o, &err);
    assert_true(st == OK || err.text[0] != 0);
    age_opener_free(o);
    return st;
}

static void fill(unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)(i * 131 + (i >> 8));
}

static void what_was_sealed_comes_back(void **state)
{
    struct world *w = *state;
    static const size_t sizes[] = { 0, 1, 100, AGE_CHUNK - 1, AGE_CHUNK, AGE_CHUNK + 1, 3 * AGE_CHUNK, 3 * AGE_CHUNK + 77 };
    static unsigned char clear[3 * AGE_CHUNK + 77];
    struct warc_bytes out = { 0 };
    fill(clear, sizeof clear);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        w->sealed.len = 0;
        assert_int_equal(age_seal(w->sealer, slice_of(clear, sizes[i]), &w->sealed, NULL), OK);
        for (size_t who = 0; who < 2; who++) {
            static const size_t pieces[] = { 1000, 65536, SIZE_MAX / 2 };
            for (size_t p = 0; p < 3; p++) {
                assert_int_equal(open_all(w->keys[who], slice_of(w->sealed.data, w->sealed.len), pieces[p], &out), OK);
                assert_int_equal(out.len, sizes[i]);
                if (sizes[i] > 0)
                    assert_memory_equal(out.data, clear, sizes[i]);
            }
        }
        assert_int_equal(open_all(w->keys[2], slice_of(w->sealed.data, w->sealed.len), 4096, &out), REFUSED);
    }
    warc_bytes_done(&out);
}

static void it_is_appended_and_never_the_same_twice(void **state)
{
    struct world *w = *state;
    w->sealed.len = 0;
    assert_int_equal(age_seal(w->sealer, SLICE("same"), &w->sealed, NULL), OK);
    size_t one = w->sealed.len;
    assert_int_equal(age_seal(w->sealer, SLICE("same"), &w->sealed, NULL), OK);
    assert_int_equal(w->sealed.len, 2 * one);
    assert_memory_not_equal(w->sealed.data + one - 20, w->sealed.data + 2 * one - 20, 20);
    assert_memory_not_equal(w->sealed.data + 30, w->sealed.data + one + 30, 43);
}

static void no_altered_byte_and_no_cut_is_taken(void **state)
{
    struct world *w = *state;
    struct warc_bytes out = { 0 };
    w->sealed.len = 0;
    assert_int_equal(age_seal(w->sealer, SLICE("the customer's secret"), &w->sealed, NULL), OK);
    struct slice whole = slice_of(w->sealed.data, w->sealed.len);
    for (size_t i = 0; i < whole.len; i++) {
        w->sealed.data[i] ^= 1;
        enum status st = open_all(w->keys[0], whole, 37, &out);
        if (st != BAD_INPUT && st != REFUSED)
            fail_msg("byte %zu of %zu changed, and it gave %s", i, whole.len, status_name(st));
        w->sealed.data[i] ^= 1;
        assert_int_equal(open_all(w->keys[0], slice_of(whole.ptr, i), 37, &out), BAD_INPUT);
    }
    assert_int_equal(open_all(w->keys[0], whole, 37, &out), OK);
    assert_int_equal(warc_bytes_put(&w->sealed, SLICE("x")), OK);
    assert_int_equal(open_all(w->keys[0], slice_of(w->sealed.data, w->sealed.len), 37, &out), BAD_INPUT);
    warc_bytes_done(&out);
}

/* Whole chunks taken away, doubled or exchanged: each is proved by its own number, and the last by being the last. */
static void chunks_stay_in_their_order(void **state)
{
    struct world *w = *state;
    static unsigned char clear[3 * AGE_CHUNK], other[4 * (AGE_CHUNK + AGE_TAG)];
    struct warc_bytes out = { 0 };
    fill(clear, sizeof clear);
    w->sealed.len = 0;
    assert_int_equal(age_seal(w->sealer, slice_of(clear, sizeof clear), &w->sealed, NULL), OK);
    const size_t chunk = AGE_CHUNK + AGE_TAG, front = w->sealed.len - 3 * chunk;
    unsigned char *first = w->sealed.data + front;
    assert_int_equal(open_all(w->keys[0], slice_of(w->sealed.data, w->sealed.len - chunk), 5000, &out), BAD_INPUT);
    memcpy(other, first, chunk);
    memcpy(first, first + chunk, chunk);
    memcpy(first + chunk, other, chunk);
    assert_int_equal(open_all(w->keys[0], slice_of(w->sealed.data, w->sealed.len), 5000, &out), BAD_INPUT);
    memcpy(first, other, chunk);
    assert_int_equal(open_all(w->keys[0], slice_of(w->sealed.data, w->sealed.len), 5000, &out), BAD_INPUT);
    warc_bytes_done(&out);
}

static void odd_files_are_refused(void **state)
{
    struct world *w = *state;
    static const struct { const char *name, *text; } rows[] = {
        { "empty", "" },
        { "another format", "-----BEGIN AGE ENCRYPTED FILE-----\n" },
        { "another version", "age-encryption.org/v2\n-> X25519 a\nb\n--- c\n" },
        { "no recipient", "age-encryption.org/v1\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n" },
        { "an empty word", "age-encryption.org/v1\n->  X25519\n\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n" },
        { "a share of zeros", "age-encryption.org/v1\n-> X25519 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
                             "--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n" },
        { "two words too many", "age-encryption.org/v1\n-> X25519 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA x y\nAAAA\n--- A\n" },
        { "a body that never ends", "age-encryption.org/v1\n-> X25519 A\n"
                                   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n--- A\n" },
        { "padding", "age-encryption.org/v1\n-> X25519 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nAAAA\n--- A\n" },
        { "a carriage return", "age-encryption.org/v1\r\n-> X25519 A\r\n" },
    };
    struct warc_bytes out = { 0 };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum status st = open_all(w->keys[0], slice_str(rows[i].text), 7, &out);
        if (st != BAD_INPUT && st != REFUSED)
            fail_msg("%s: %s", rows[i].name, status_name(st));
    }
    warc_bytes_done(&out);
}

/* A header that goes on for ever is given up, whatever it says. */
static void an_endless_header_is_given_up(void **state)
{
    struct world *w = *state;
    struct warc_bytes text = { 0 }, out = { 0 };
    assert_int_equal(warc_bytes_put(&text, SLICE("age-encryption.org/v1\n")), OK);
    for (size_t i = 0; i < 40000; i++)
        assert_int_equal(warc_bytes_put(&text, SLICE("-> x\n\n")), OK);
    assert_int_equal(open_all(w->keys[0], slice_of(text.data, text.len), 1 << 20, &out), BAD_INPUT);
    warc_bytes_done(&text);
    warc_bytes_done(&out);
}

static void key_files(void **state)
{
    struct world *w = *state;
    static const struct { const char *name, *text; mode_t mode; enum status want; } rows[] = {
        { "nothing", "", 0600, BAD_INPUT },
        { "comments only", "# none\n\n", 0600, BAD_INPUT },
        { "a public key", "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq\n", 0600, BAD_INPUT },
        { "one", "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX", 0600, OK },
        { "lines of another system", "# x\r\nAGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX\r\n", 0600, OK },
        { "readable by all", "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX", 0644, BAD_INPUT },
    };
    char path[96];
    snprintf(path, sizeof path, "%s/odd", w->folder);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct age_keys *k = NULL;
        struct err err = { "" };
        assert_int_equal(file_write(path, slice_str(rows[i].text), rows[i].mode, &err), OK);
        enum status st = age_keys_load(path, &k, &err);
        if ((st == OK) != (rows[i].want == OK))
            fail_msg("%s: %s %s", rows[i].name, status_name(st), err.text);
        assert_null(strstr(err.text, "GFPYY"));
        age_keys_free(k);
    }
    unlink(path);
}

static void recipients_are_checked(void **state)
{
    struct world *w = *state;
    struct age_sealer *s = NULL;
    struct err err;
    char wrong[] = "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq", *one[] = { wrong }, *many[AGE_RECIPIENTS_MAX + 1];
    for (size_t i = 0; i < AGE_RECIPIENTS_MAX + 1; i++)
        many[i] = w->public_key[0];
    assert_int_equal(age_sealer_new(one, 1, &s, &err), BAD_CONFIG);
    assert_int_equal(age_sealer_new(many, 0, &s, &err), BAD_CONFIG);
    assert_int_equal(age_sealer_new(many, AGE_RECIPIENTS_MAX + 1, &s, &err), BAD_CONFIG);
    assert_int_equal(age_sealer_new(many, AGE_RECIPIENTS_MAX, &s, &err), OK);
    age_sealer_free(s);
}

/* Debian's age opens what we seal, and we open what it seals. */
static void stock_age_agrees(void **state)
{
    struct world *w = *state;
    char command[900], in[96], sealed[96], out[96];
    static unsigned char clear[200000];
    struct warc_bytes opened = { 0 };
    unsigned char *got = NULL;
    size_t len = 0;
    if (system("command -v age >/dev/null 2>&1") != 0)
        skip();
    fill(clear, sizeof clear);
    snprintf(in, sizeof in, "%s/in", w->folder);
    snprintf(sealed, sizeof sealed, "%s/in.age", w->folder);
    snprintf(out, sizeof out, "%s/out", w->folder);
    w->sealed.len = 0;
    assert_int_equal(age_seal(w->sealer, slice_of(clear, sizeof clear), &w->sealed, NULL), OK);
    assert_int_equal(file_write(sealed, slice_of(w->sealed.data, w->sealed.len), 0600, NULL), OK);
    for (size_t i = 0; i < 2; i++) {
        snprintf(command, sizeof command, "age -d -i %s -o %s %s", w->path[i], out, sealed);
        assert_int_equal(system(command), 0);
        assert_int_equal(file_read(out, sizeof clear, false, &got, &len, NULL), OK);
        assert_int_equal(len, sizeof clear);
        assert_memory_equal(got, clear, len);
        free(got);
    }
    assert_int_equal(file_write(in, slice_of(clear, sizeof clear), 0600, NULL), OK);
    snprintf(command, sizeof command, "rm %s; age -r %s -r %s -o %s %s", sealed, w->public_key[0], w->public_key[2], sealed, in);
    assert_int_equal(system(command), 0);
    assert_int_equal(file_read(sealed, 1 << 20, false, &got, &len, NULL), OK);
    assert_int_equal(open_all(w->keys[2], slice_of(got, len), 1000, &opened), OK);
    assert_int_equal(opened.len, sizeof clear);
    assert_memory_equal(opened.data, clear, sizeof clear);
    free(got);
    warc_bytes_done(&opened);
    unlink(in);
    unlink(sealed);
    unlink(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_sealed_comes_back),
        cmocka_unit_test(it_is_appended_and_never_the_same_twice),
        cmocka_unit_test(no_altered_byte_and_no_cut_is_taken),
        cmocka_unit_test(chunks_stay_in_their_order),
        cmocka_unit_test(odd_files_are_refused),
        cmocka_unit_test(an_endless_header_is_given_up),
        cmocka_unit_test(key_files),
        cmocka_unit_test(recipients_are_checked),
        cmocka_unit_test(stock_age_agrees),
    };
    return cmocka_run_group_tests(tests, make_world, end_world);
}
