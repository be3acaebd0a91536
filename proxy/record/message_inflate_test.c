#include "proxy/record/message_inflate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <cmocka.h>

static const unsigned char mask[4] = { 9, 0, 0xff, 0x41 };

/* What a sender makes of a message: RFC 7692 s7.2.1. */
struct sender {
    z_stream z;
    unsigned char *v;
    size_t len;
};

static void sender_begin(struct sender *s, size_t most)
{
    *s = (struct sender){ .v = malloc(most) };
    assert_non_null(s->v);
    assert_int_equal(deflateInit2(&s->z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
}

static struct slice say(struct sender *s, const void *text, size_t len, size_t most, bool final)
{
    if (len == 0 && !final)
        return SLICE("\0");            /* s7.2.3.6 */
    s->z.next_in = (Bytef *)(uintptr_t)text;
    s->z.avail_in = (uInt)len;
    s->z.next_out = s->v;
    s->z.avail_out = (uInt)most;
    int code = deflate(&s->z, final ? Z_FINISH : Z_SYNC_FLUSH);
    assert_int_equal(code, final ? Z_STREAM_END : Z_OK);
    s->len = most - s->z.avail_out;
    if (final) {                      /* s7.2.3.5: and a byte of zeros, in which an empty block begins */
        s->v[s->len++] = 0;
        return slice_of(s->v, s->len);
    }
    assert_memory_equal(s->v + s->len - 4, "\0\0\xff\xff", 4);
    return slice_of(s->v, s->len - 4);
}

static void sender_done(struct sender *s)
{
    deflateEnd(&s->z);
    free(s->v);
}

/* In pieces; each is given more than once, with another length, as when there was no room for what came of it. */
static size_t hear(struct message_inflater *i, struct slice said, size_t piece, bool masked, unsigned char *out, size_t most, bool *lost)
{
    size_t len = 0;
    unsigned char *copy = malloc(said.len + 1);
    assert_non_null(copy);
    for (size_t k = 0; k < said.len; k++)
        copy[k] = masked ? said.ptr[k] ^ mask[k & 3] : said.ptr[k];
    *lost = false;
    for (size_t at = 0; at < said.len || (said.len == 0 && at == 0);) {
        size_t n = said.len - at < piece ? said.len - at : piece, more = said.len - at < piece + 3 ? said.len - at : piece + 3;
        bool last = at + n == said.len;
        message_inflate(i, slice_of(copy + at, more), masked ? mask : NULL, at & 3, at + more == said.len);
        message_inflate(i, slice_of(copy + at, n / 2), masked ? mask : NULL, at & 3, false);
        message_inflate(i, slice_of(copy + at, n), masked ? mask : NULL, at & 3, last);
        struct slice text = message_inflated(i);
        assert_true(text.len <= most - len);
        if (text.len > 0)
            memcpy(out + len, text.ptr, text.len);
        len += text.len;
        message_inflated_drop(i, text.len / 2);
        message_inflated_drop(i, text.len - text.len / 2);
        *lost |= message_inflate_lost(i);
        message_inflate_passed(i, n, last);
        at += n;
        if (said.len == 0)
            break;
    }
    free(copy);
    return len;
}

static void texts_come_out(void **state)
{
    static const char *const texts[] = { "{\"user\":\"a\",\"password\":\"hunter2\"}", "{\"user\":\"a\",\"password\":\"hunter2\"}", "", "x",
                                         "the same words, the same words, the same words, the same words" };
    (void)state;
    for (size_t piece = 1; piece < 40; piece++)
        for (unsigned final = 0; final < 2; final++) {
            struct message_inflater *i = message_inflater_new();
            struct sender s;
            assert_non_null(i);
            sender_begin(&s, 4096);
            for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
                unsigned char out[256];
                bool lost, close = final && k % 2 == 0;
                struct slice said = say(&s, texts[k], strlen(texts[k]), 4096, close);
                size_t len = hear(i, said, piece, k % 2, out, sizeof out, &lost);
                if (lost || len != strlen(texts[k]) || memcmp(out, texts[k], len) != 0)
                    fail_msg("text %zu in pieces of %zu: '%.*s'", k, piece, (int)len, (const char *)out);
                if (close)
                    assert_int_equal(deflateReset(&s.z), Z_OK);
            }
            sender_done(&s);
            message_inflater_free(i);
        }
}

static void what_makes_no_sense_ends_it(void **state)
{
    unsigned char out[256];
    bool lost;
    struct sender s;
    struct message_inflater *i = message_inflater_new();
    (void)state;
    sender_begin(&s, 4096);
    assert_int_equal(hear(i, say(&s, "before", 6, 4096, false), 100, true, out, sizeof out, &lost), 6);
    assert_false(lost);
    hear(i, SLICE("\xff\xff\xff\xff nonsense"), 3, false, out, sizeof out, &lost);
    assert_true(lost);
    assert_int_equal(hear(i, say(&s, "after", 5, 4096, false), 100, true, out, sizeof out, &lost), 0);
    assert_true(lost);
    sender_done(&s);
    message_inflater_free(i);
}

static size_t repeat(struct message_inflater *i, struct sender *s, char c, size_t len, unsigned char *out, bool *lost)
{
    char *text = malloc(len);
    assert_non_null(text);
    memset(text, c, len);
    struct slice said = say(s, text, len, 1 << 20, false);
    size_t n = hear(i, said, 16000, false, out, len, lost);
    for (size_t k = 0; k < n; k++)
        assert_int_equal(out[k], c);
    free(text);
    return n;
}

/* A long message keeps its beginning, and the next is read again; bombs end it. */
static void what_is_too_much_is_left_out(void **state)
{
    unsigned char *out = malloc(4 * INFLATE_MESSAGE_MAX);
    bool lost;
    struct sender s;
    struct message_inflater *i = message_inflater_new();
    (void)state;
    assert_non_null(out);
    sender_begin(&s, 1 << 20);
    assert_int_equal(repeat(i, &s, 'a', INFLATE_MESSAGE_MAX, out, &lost), INFLATE_MESSAGE_MAX);
    assert_false(lost);
    size_t n = repeat(i, &s, 'b', INFLATE_MESSAGE_MAX + 100000, out, &lost);
    assert_true(lost && n <= INFLATE_MESSAGE_MAX && n > INFLATE_MESSAGE_MAX / 2);
    assert_int_equal(repeat(i, &s, 'c', 1000, out, &lost), 1000);
    assert_false(lost);
    for (unsigned k = 0; k < 4; k++)
        repeat(i, &s, 'd', 2 * INFLATE_MESSAGE_MAX, out, &lost);
    assert_true(lost);
    assert_int_equal(repeat(i, &s, 'e', 1000, out, &lost), 0);
    assert_true(lost);
    sender_done(&s);
    message_inflater_free(i);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(texts_come_out), cmocka_unit_test(what_makes_no_sense_ends_it), cmocka_unit_test(what_is_too_much_is_left_out) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
