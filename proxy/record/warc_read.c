/* record  = "WARC/1." ( "0" / "1" ) CRLF *( name ":" OWS value CRLF ) CRLF block CRLF CRLF
 * Strict: a field that we use stands once, a length is digits only, block is exactly Content-Length bytes. */
#include "proxy/record/warc.h"

#include <stdlib.h>
#include <time.h>

enum { R_HEAD, R_BLOCK, R_TAIL };

void warc_reader_init(struct warc_reader *r)
{
    r->state = R_HEAD;
    r->left = 0;
    r->head_len = 0;
}

bool warc_reader_idle(const struct warc_reader *r)
{
    return r->state == R_HEAD && r->head_len == 0;
}

static bool read_number(struct slice v, uint64_t max, uint64_t *out)
{
    uint64_t n = 0;
    if (v.len == 0 || v.len > 19)
        return false;
    for (size_t i = 0; i < v.len; i++) {
        unsigned digit = v.ptr[i] - (unsigned)'0';
        if (digit > 9)
            return false;
        n = n * 10 + digit;
    }
    *out = n;
    return n <= max;
}

static bool read_digits(struct slice *s, size_t count, int *out)
{
    uint64_t n;
    if (s->len < count || !read_number(slice_of(s->ptr, count), 9999, &n))
        return false;
    *out = (int)n;
    *s = slice_from(*s, count);
    return true;
}

static bool skip(struct slice *s, unsigned char c)
{
    if (s->len == 0 || s->ptr[0] != c)
        return false;
    *s = slice_from(*s, 1);
    return true;
}

/* "2026-01-31T12:00:00[.123]Z" */
static bool read_date(struct slice v, int64_t *out_ms)
{
    struct tm tm = { 0 };
    int ms = 0;
    if (!read_digits(&v, 4, &tm.tm_year) || !skip(&v, '-') || !read_digits(&v, 2, &tm.tm_mon) || !skip(&v, '-')
        || !read_digits(&v, 2, &tm.tm_mday) || !skip(&v, 'T') || !read_digits(&v, 2, &tm.tm_hour) || !skip(&v, ':')
        || !read_digits(&v, 2, &tm.tm_min) || !skip(&v, ':') || !read_digits(&v, 2, &tm.tm_sec))
        return false;
    if (skip(&v, '.') && !read_digits(&v, 3, &ms))
        return false;
    if (!skip(&v, 'Z') || v.len > 0 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23
        || tm.tm_min > 59 || tm.tm_sec > 60)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    *out_ms = (int64_t)timegm(&tm) * 1000 + ms;
    return true;
}

static enum warc_type type_of(struct slice v)
{
    static const struct {
        struct slice name;
        enum warc_type type;
    } types[] = {
        { SLICE_INIT("warcinfo"), WARC_INFO }, { SLICE_INIT("request"), WARC_REQUEST }, { SLICE_INIT("response"), WARC_RESPONSE },
        { SLICE_INIT("continuation"), WARC_CONTINUATION }, { SLICE_INIT("metadata"), WARC_METADATA },
        { SLICE_INIT("resource"), WARC_RESOURCE },
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (slice_ieq(v, types[i].name))
            return types[i].type;
    return WARC_OTHER;
}

enum { SAW_TYPE = 1, SAW_LENGTH = 2, SAW_EXCHANGE = 4, SAW_SEGMENT = 8, SAW_DATE = 16, SAW_TOTAL = 32, SAW_ID = 64, SAW_ORIGIN = 128, SAW_MESSAGE = 256, SAW_OMITTED = 512,
       SAW_NAMES = 1024, SAW_REMOVED = 2048 };

/* One field; false when its value is wrong. *bit: which field it was, so that a second one is noticed. */
static bool take_field(struct slice name, struct slice v, struct warc_head *h, unsigned *bit)
{
    uint64_t n = 0;
    bool good = true;
    if (slice_ieq(name, SLICE("WARC-Type"))) {
        *bit = SAW_TYPE;
        h->type = type_of(v);
    } else if (slice_ieq(name, SLICE("Content-Length"))) {
        *bit = SAW_LENGTH;
        good = read_number(v, UINT64_C(1) << 50, &h->length);
    } else if (slice_ieq(name, SLICE("Countersign-Exchange"))) {
        *bit = SAW_EXCHANGE;
        good = read_number(v, INT64_MAX, &h->exchange);
    } else if (slice_ieq(name, SLICE("WARC-Segment-Number"))) {
        *bit = SAW_SEGMENT;
        good = read_number(v, UINT32_MAX, &n) && n > 0;
        h->segment_number = (unsigned)n;
    } else if (slice_ieq(name, SLICE("WARC-Segment-Total-Length"))) {
        *bit = SAW_TOTAL;
        good = read_number(v, INT64_MAX, &n);
        h->segment_last = true;
    } else if (slice_ieq(name, SLICE("WARC-Date"))) {
        *bit = SAW_DATE;
        good = read_date(v, &h->date_ms);
    } else if (slice_ieq(name, SLICE("WARC-Record-ID"))) {
        *bit = SAW_ID;
        h->id = v;
    } else if (slice_ieq(name, SLICE("WARC-Segment-Origin-ID"))) {
        *bit = SAW_ORIGIN;
        h->origin = v;
    } else if (slice_ieq(name, SLICE("WARC-Truncated"))) {
        h->truncated = v;
    } else if (slice_ieq(name, SLICE("Countersign-Action"))) {
        h->action = v;
    } else if (slice_ieq(name, SLICE("Countersign-Names"))) {
        *bit = SAW_NAMES;
        h->names = v;
    } else if (slice_ieq(name, SLICE("Countersign-From"))) {
        h->from = v;
    } else if (slice_ieq(name, SLICE("Countersign-Message"))) {
        *bit = SAW_MESSAGE;
        good = read_number(v, INT64_MAX, &h->message);
    } else if (slice_ieq(name, SLICE("Countersign-Omitted"))) {
        *bit = SAW_OMITTED;
        good = read_number(v, INT64_MAX, &h->omitted);
    } else if (slice_ieq(name, SLICE("Countersign-Removed"))) {
        *bit = SAW_REMOVED;
        good = read_number(v, UINT32_MAX, &h->removed);
    } else if (slice_ieq(name, SLICE("Countersign-End"))) {
        h->ends_well = slice_eq(v, SLICE("ok"));
    } else if (slice_ieq(name, SLICE("Countersign-Record"))) {
        h->kept = v;
    } else if (slice_ieq(name, SLICE("Countersign-Opcode"))) {
        h->opcode = v;
    } else if (slice_ieq(name, SLICE("Countersign-Compressed"))) {
        h->compressed = v;
    } else if (slice_ieq(name, SLICE("WARC-Protocol"))) {
        h->protocol = v;
    }
    return good;
}

static bool take_line(struct slice *s, struct slice *line)
{
    size_t n = slice_find(*s, '\n');
    if (n == s->len || n == 0 || s->ptr[n - 1] != '\r')
        return false;
    *line = slice_of(s->ptr, n - 1);
    *s = slice_from(*s, n + 1);
    return slice_find(*line, '\r') == line->len && slice_find(*line, 0) == line->len;
}

static enum status parse_head(struct slice s, struct warc_head *h, struct err *err)
{
    struct slice line;
    unsigned seen = 0;
    *h = (struct warc_head){ .type = WARC_OTHER };
    if (!take_line(&s, &line) || !(slice_eq(line, SLICE("WARC/1.1")) || slice_eq(line, SLICE("WARC/1.0"))))
        return fail(err, BAD_INPUT, "a record does not start with WARC/1.1");
    for (;;) {
        unsigned bit = 0;
        if (!take_line(&s, &line))
            return fail(err, BAD_INPUT, "a line of a record's head is not one");
        if (line.len == 0)
            break;
        size_t colon = slice_find(line, ':');
        if (colon == 0 || colon == line.len)
            return fail(err, BAD_INPUT, "a line of a record's head has no name");
        if (!take_field(slice_of(line.ptr, colon), slice_trim(slice_from(line, colon + 1)), h, &bit) || (seen & bit))
            return fail(err, BAD_INPUT, "a field of a record's head is wrong or stands twice");
        seen |= bit;
    }
    if ((seen & (SAW_TYPE | SAW_LENGTH)) != (SAW_TYPE | SAW_LENGTH))
        return fail(err, BAD_INPUT, "a record has no type or no length");
    return OK;
}

/* Collects until the empty line; *over when it is there. */
static enum status feed_head(struct warc_reader *r, struct slice *data, bool *over, struct err *err)
{
    *over = false;
    while (data->len > 0 && !*over) {
        size_t n = slice_find(*data, '\n');
        n = n < data->len ? n + 1 : n;
        if (n > sizeof r->head - r->head_len)
            return fail(err, BAD_INPUT, "a record's head is longer than %zu bytes", sizeof r->head);
        memcpy(r->head + r->head_len, data->ptr, n);
        r->head_len += n;
        *data = slice_from(*data, n);
        *over = r->head_len >= 4 && memcmp(r->head + r->head_len - 4, "\r\n\r\n", 4) == 0;
    }
    return OK;
}

static enum status feed_tail(struct warc_reader *r, struct slice *data, const struct warc_events *events, struct err *err)
{
    static const unsigned char tail[] = "\r\n\r\n";
    while (data->len > 0 && r->left > 0) {
        if (data->ptr[0] != tail[4 - r->left])
            return fail(err, BAD_INPUT, "a record's block is not followed by two line ends");
        *data = slice_from(*data, 1);
        r->left--;
    }
    if (r->left > 0)
        return OK;
    r->state = R_HEAD;
    r->head_len = 0;
    return events->end(events->to);
}

static void block_over(struct warc_reader *r)
{
    r->state = R_TAIL;
    r->left = 4;
}

enum status warc_read(struct warc_reader *r, struct slice data, const struct warc_events *events, struct err *err)
{
    enum status st = OK;
    while (data.len > 0 && st == OK) {
        bool over;
        struct warc_head h;
        if (r->state == R_TAIL) {
            st = feed_tail(r, &data, events, err);
            continue;
        }
        if (r->state == R_BLOCK) {
            size_t n = data.len < r->left ? data.len : (size_t)r->left;
            st = events->block(events->to, slice_of(data.ptr, n));
            data = slice_from(data, n);
            r->left -= n;
            if (r->left == 0)
                block_over(r);
            continue;
        }
        st = feed_head(r, &data, &over, err);
        if (st != OK || !over)
            continue;
        st = parse_head(slice_of(r->head, r->head_len), &h, err);
        if (st == OK)
            st = events->head(events->to, &h);
        r->state = R_BLOCK;
        r->left = h.length;
        if (h.length == 0)
            block_over(r);
    }
    return st;
}
