/* Heads of records as they should not be: refused, whatever pieces they come in. */
#include "proxy/record/warc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define HEAD "WARC/1.1\r\nWARC-Type: request\r\nContent-Length: 2\r\n"

struct seen {
    struct warc_head head;
    unsigned heads, ends;
    size_t bytes;
};

static enum status on_head(void *to, const struct warc_head *h)
{
    struct seen *s = to;
    s->head = *h;
    s->heads++;
    return OK;
}

static enum status on_block(void *to, struct slice data)
{
    ((struct seen *)to)->bytes += data.len;
    return OK;
}

static enum status on_end(void *to)
{
    ((struct seen *)to)->ends++;
    return OK;
}

/* Fed `piece` bytes at a time. */
static enum status read_pieces(const char *text, size_t len, size_t piece, struct seen *seen, struct err *err)
{
    struct warc_events events = { .head = on_head, .block = on_block, .end = on_end, .to = seen };
    struct warc_reader *r = malloc(sizeof *r);
    enum status st = OK;
    *seen = (struct seen){ 0 };
    warc_reader_init(r);
    for (size_t at = 0; at < len && st == OK; at += piece)
        st = warc_read(r, slice_of((const unsigned char *)text + at, len - at < piece ? len - at : piece), &events, err);
    if (st == OK && !warc_reader_idle(r))
        st = AGAIN;
    free(r);
    return st;
}

static void hostile_records_are_refused(void **state)
{
    static const struct {
        const char *name, *text;
        const char *why;              /* NULL: it is read */
    } rows[] = {
        { "as it should be", HEAD "\r\nab\r\n\r\n", NULL },
        { "version 1.0, names in small letters", "WARC/1.0\r\nwarc-type: request\r\ncontent-length:2\r\n\r\nab\r\n\r\n", NULL },
        { "a field that nobody knows, twice", HEAD "X-Y: 1\r\nX-Y: 2\r\n\r\nab\r\n\r\n", NULL },
        { "version 2", "WARC/2.0\r\nWARC-Type: request\r\nContent-Length: 0\r\n\r\n\r\n\r\n", "does not start with WARC/1.1" },
        { "HTTP", "HTTP/1.1 200 OK\r\n\r\n", "does not start with WARC/1.1" },
        { "no type", "WARC/1.1\r\nContent-Length: 0\r\n\r\n\r\n\r\n", "no type or no length" },
        { "no length", "WARC/1.1\r\nWARC-Type: request\r\n\r\n\r\n\r\n", "no type or no length" },
        { "a bare line feed", "WARC/1.1\nWARC-Type: request\r\n\r\n", "does not start" },
        { "a bare line feed later", "WARC/1.1\r\nWARC-Type: request\nContent-Length: 0\r\n\r\n", "is not one" },
        { "a carriage return in a value", HEAD "X: a\rb\r\n\r\n", "is not one" },
        { "no colon", HEAD "nonsense\r\n\r\n", "has no name" },
        { "no name", HEAD ": 1\r\n\r\n", "has no name" },
        { "the type twice", HEAD "WARC-Type: request\r\n\r\n", "stands twice" },
        { "two lengths, the same", HEAD "Content-Length: 2\r\n\r\n", "stands twice" },
        { "an exchange twice", HEAD "Countersign-Exchange: 1\r\nCountersign-Exchange: 1\r\n\r\n", "stands twice" },
        { "cut off twice", HEAD "WARC-Truncated: length\r\nWARC-Truncated: time\r\n\r\n", "stands twice" },
        { "two actions", HEAD "Countersign-Action: read\r\nCountersign-Action: export\r\n\r\n", "stands twice" },
        { "two ends", HEAD "Countersign-End: cut\r\nCountersign-End: ok\r\n\r\n", "stands twice" },
        { "two protocols", HEAD "WARC-Protocol: h2\r\nWARC-Protocol: http/1.1\r\n\r\n", "stands twice" },
        { "two senders", HEAD "Countersign-From: tool\r\nCountersign-From: client\r\n\r\n", "stands twice" },
        { "a negative length", "WARC/1.1\r\nWARC-Type: request\r\nContent-Length: -1\r\n\r\n", "is wrong" },
        { "a signed length", "WARC/1.1\r\nWARC-Type: request\r\nContent-Length: +1\r\n\r\n", "is wrong" },
        { "a length in hexadecimal", "WARC/1.1\r\nWARC-Type: request\r\nContent-Length: 0x1\r\n\r\n", "is wrong" },
        { "an empty length", "WARC/1.1\r\nWARC-Type: request\r\nContent-Length:\r\n\r\n", "is wrong" },
        { "a length of more than 2^50", "WARC/1.1\r\nWARC-Type: request\r\nContent-Length: 1125899906842625\r\n\r\n", "is wrong" },
        { "a length of twenty digits", "WARC/1.1\r\nWARC-Type: request\r\nContent-Length: 00000000000000000001\r\n\r\n", "is wrong" },
        { "the segment 0", HEAD "WARC-Segment-Number: 0\r\n\r\n", "counted from 1" },
        { "a segment past 2^32", HEAD "WARC-Segment-Number: 4294967296\r\n\r\n", "is wrong" },
        { "the 13th month", HEAD "WARC-Date: 2026-13-01T00:00:00Z\r\n\r\n", "is wrong" },
        { "a date without its zone", HEAD "WARC-Date: 2026-01-01T00:00:00\r\n\r\n", "is wrong" },
        { "a block that goes on", HEAD "\r\nabc\r\n\r\n", "followed by two line ends" },
        { "nothing between two records", HEAD "\r\nabWARC/1.1\r\n", "followed by two line ends" },
    };
    static const size_t pieces[] = { 1, 7, 4096 };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
            struct seen seen;
            struct err err = { .text = "" };
            enum status st = read_pieces(rows[i].text, strlen(rows[i].text), pieces[p], &seen, &err);
            if (st != (rows[i].why ? BAD_INPUT : OK) || (rows[i].why && strstr(err.text, rows[i].why) == NULL))
                fail_msg("%s, %zu bytes at a time: %s: %s", rows[i].name, pieces[p], status_name(st), err.text);
            if (rows[i].why == NULL && (seen.heads != 1 || seen.ends != 1 || seen.bytes != 2))
                fail_msg("%s, %zu bytes at a time: read as something else", rows[i].name, pieces[p]);
        }
}

static void what_a_head_says(void **state)
{
    static const char text[] = "WARC/1.1\r\nWARC-Type: response\r\nContent-Length: 0\r\nWARC-Segment-Number: 3\r\nWARC-Segment-Total-Length: 70\r\n"
                               "WARC-Date: 2026-01-31T12:00:00.250Z\r\nCountersign-Exchange: 9\r\nCountersign-Message: 4\r\nCountersign-Omitted: 5\r\n"
                               "Countersign-Removed: 6\r\n\r\n\r\n\r\n";
    struct seen seen;
    struct err err = { .text = "" };
    (void)state;
    assert_int_equal(read_pieces(text, sizeof text - 1, sizeof text, &seen, &err), OK);
    assert_true(seen.head.type == WARC_RESPONSE && seen.head.segment_number == 3 && seen.head.segment_last && seen.head.segments_length == 70);
    assert_true(seen.head.exchange == 9 && seen.head.message == 4 && seen.head.omitted == 5 && seen.head.removed == 6);
    assert_int_equal(seen.head.date_ms, INT64_C(1769860800250));
    assert_int_equal(read_pieces(text, sizeof text - 2, 5, &seen, &err), AGAIN);   /* a tail that is cut off */
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(hostile_records_are_refused), cmocka_unit_test(what_a_head_says) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
