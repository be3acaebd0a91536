/* Records as they are written: readable by zlib whatever their size and content, dates and ids right. */
#include "proxy/base/clock.h"
#include "proxy/record/warc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

/* One gzip member; what it holds as text, malloc'd. */
static char *inflated(const struct warc_bytes *b, size_t *len_out)
{
    size_t max = 4 << 20;
    char *out = malloc(max + 1);
    z_stream z = { .next_in = b->data, .avail_in = (unsigned)b->len, .next_out = (unsigned char *)out, .avail_out = (unsigned)max };
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.avail_in, 0);
    *len_out = z.total_out;
    out[z.total_out] = 0;
    inflateEnd(&z);
    return out;
}

static unsigned char *body_of(const char *kind, size_t len)
{
    unsigned char *p = malloc(len + 64);
    uint64_t x = 88172645463325252u;
    for (size_t at = 0; at < len; at += 8) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uint64_t v = strcmp(kind, "noise") == 0 ? x : strcmp(kind, "text") == 0 ? (x & 0x0707070707070707u) | 0x6060606060606060u : 0;
        memcpy(p + at, &v, 8);
    }
    return p;
}

static void any_size_and_content(void **state)
{
    static const size_t sizes[] = { 0, 1, 1023, 1024, 1025, 4095, 4096, 10240, 65500, 65535, 65536, 200000, 1 << 20 };
    static const char *const kinds[] = { "noise", "text", "zeros" };
    struct warc_writer *w;
    (void)state;
    assert_int_equal(warc_writer_new(&w), OK);
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            struct warc_bytes to = { 0 };
            unsigned char *body = body_of(kinds[k], sizes[i]);
            size_t cut = sizes[i] / 3, len;
            struct slice block[] = { slice_of(body, cut), slice_of(body + cut, sizes[i] - cut) };
            struct warc_record r = { .type = WARC_RESOURCE, .id = "<urn:uuid:x>", .target_uri = SLICE("https://a/b c"), .exchange = 7,
                                     .block = block, .block_count = 2 };
            assert_int_equal(warc_write(w, &r, &to), OK);
            char *text = inflated(&to, &len), want[80];
            snprintf(want, sizeof want, "Content-Length: %zu\r\n\r\n", sizes[i]);
            char *head_end = strstr(text, want);
            assert_non_null(head_end);
            assert_non_null(strstr(text, "WARC-Target-URI: https://a/b%20c\r\n"));
            head_end += strlen(want);
            assert_memory_equal(head_end, body, sizes[i]);
            assert_int_equal(text + len - head_end, sizes[i] + 4);
            if (strcmp(kinds[k], "noise") == 0)   /* no longer than it was, but for the frames */
                assert_true(to.len < len + 64 + len / 1000);
            else if (sizes[i] >= 4096)
                assert_true(to.len < len * 3 / 4);
            free(text);
            free(body);
            warc_bytes_done(&to);
        }
    warc_writer_free(w);
}

static void dates(void **state)
{
    static const int64_t times[] = { 0, 1, 999, 1000, 1001, 999, 1769860800123, 1769860800999, 1769860801000, 1769860800000, 253402300799999, 253402300800000, 5 };
    struct warc_writer *w;
    (void)state;
    assert_int_equal(warc_writer_new(&w), OK);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        struct warc_bytes to = { 0 };
        char want[CLOCK_TEXT_MAX], line[CLOCK_TEXT_MAX + 20];
        size_t len;
        struct warc_record r = { .type = WARC_INFO, .id = "<urn:uuid:x>", .date_ms = times[i] };
        assert_int_equal(warc_write(w, &r, &to), OK);
        char *text = inflated(&to, &len);
        clock_rfc3339(times[i], want);
        snprintf(line, sizeof line, "WARC-Date: %s\r\n", want);
        assert_non_null(strstr(text, line));
        free(text);
        warc_bytes_done(&to);
    }
    warc_writer_free(w);
}

static int by_text(const void *a, const void *b)
{
    return memcmp(a, b, WARC_ID_MAX);
}

/* Each part alone makes another id; version and variant are as RFC 9562 wants them. */
static void ids(void **state)
{
    static const uint64_t exchanges[] = { 1, 2, 255, 256, UINT64_C(1) << 47, UINT64_C(1) << 48, UINT64_C(1) << 49, (UINT64_C(1) << 53) - 1, UINT64_C(1) << 53, UINT64_MAX };
    static const unsigned whats[] = { 0, 1, 5, 6, 31, 32, 33, UINT32_MAX }, numbers[] = { 1, 2, 255, 256, 65536, (1 << 24) - 1, 1 << 24, UINT32_MAX };
    static char all[2 * 10 * 8 * 8][WARC_ID_MAX];
    unsigned char rings[2][16] = { { 1 }, { 2 } };
    size_t n = 0;
    (void)state;
    for (size_t g = 0; g < 2; g++)
        for (size_t e = 0; e < 10; e++)
            for (size_t i = 0; i < 8; i++)
                for (size_t k = 0; k < 8; k++) {
                    char again[WARC_ID_MAX] = { 0 };
                    warc_id(rings[g], exchanges[e], whats[i], numbers[k], all[n]);
                    warc_id(rings[g], exchanges[e], whats[i], numbers[k], again);
                    assert_string_equal(all[n], again);
                    assert_int_equal(strlen(again), 47);
                    assert_int_equal(again[24], '8');
                    assert_non_null(strchr("89ab", again[29]));
                    n++;
                }
    qsort(all, n, sizeof all[0], by_text);
    for (size_t i = 1; i < n; i++)
        assert_string_not_equal(all[i - 1], all[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(any_size_and_content), cmocka_unit_test(dates), cmocka_unit_test(ids) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
