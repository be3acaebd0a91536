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

/* What is read of a head. The order decides the bit by which a second one of the same name is noticed. */
enum { FIELD_TYPE, FIELD_LENGTH, FIELD_SEGMENT, FIELD_TOTAL };

static const struct field {
    struct slice name;
    enum { IS_TYPE, IS_DATE, IS_NUMBER, IS_SLICE } kind;
    size_t at;                                 /* in warc_head */
    uint64_t max;                              /* of a number */
} fields[] = {
#define NUMBER(field, most) IS_NUMBER, offsetof(struct warc_head, field), most
#define SLICE_AT(field) IS_SLICE, offsetof(struct warc_head, field), 0
    [FIELD_TYPE] = { SLICE_INIT("WARC-Type"), IS_TYPE, offsetof(struct warc_head, type), 0 },
    [FIELD_LENGTH] = { SLICE_INIT("Content-Length"), NUMBER(length, UINT64_C(1) << 50) },
    [FIELD_SEGMENT] = { SLICE_INIT("WARC-Segment-Number"), NUMBER(segment_number, UINT32_MAX) },
    [FIELD_TOTAL] = { SLICE_INIT("WARC-Segment-Total-Length"), NUMBER(segments_length, INT64_MAX) },
    { SLICE_INIT("WARC-Date"), IS_DATE, offsetof(struct warc_head, date_ms), 0 },
    { SLICE_INIT("WARC-Record-ID"), SLICE_AT(id) },
    { SLICE_INIT("WARC-Segment-Origin-ID"), SLICE_AT(origin) },
    { SLICE_INIT("WARC-Truncated"), SLICE_AT(truncated) },
    { SLICE_INIT("WARC-Protocol"), SLICE_AT(protocol) },
    { SLICE_INIT("Countersign-Exchange"), NUMBER(exchange, INT64_MAX) },
    { SLICE_INIT("Countersign-Message"), NUMBER(message, INT64_MAX) },
    { SLICE_INIT("Countersign-Omitted"), NUMBER(omitted, INT64_MAX) },
    { SLICE_INIT("Countersign-Removed"), NUMBER(removed, UINT32_MAX) },
    { SLICE_INIT("Countersign-Action"), SLICE_AT(action) },
    { SLICE_INIT("Countersign-Names"), SLICE_AT(names) },
    { SLICE_INIT("Countersign-From"), SLICE_AT(from) },
    { SLICE_INIT("Countersign-End"), SLICE_AT(end) },
    { SLICE_INIT("Countersign-Record"), SLICE_AT(kept) },
    { SLICE_INIT("Countersign-Opcode"), SLICE_AT(opcode) },
    { SLICE_INIT("Countersign-Compressed"), SLICE_AT(compressed) },
#undef NUMBER
#undef SLICE_AT
};

static bool saw(uint32_t seen, unsigned field)
{
    return (seen & UINT32_C(1) << field) != 0;
}

/* One field; false when its value is wrong, or stands a second time. */
static bool take_field(struct slice name, struct slice v, struct warc_head *h, uint32_t *seen)
{
    size_t i = 0;
    while (i < sizeof fields / sizeof *fields && !slice_ieq(name, fields[i].name))
        i++;
    if (i == sizeof fields / sizeof *fields)
        return true;
    void *to = (unsigned char *)h + fields[i].at;
    if (*seen & UINT32_C(1) << i)
        return false;
    *seen |= UINT32_C(1) << i;
    switch (fields[i].kind) {
    case IS_TYPE:
        *(enum warc_type *)to = type_of(v);
        return true;
    case IS_DATE:
        return read_date(v, to);
    case IS_NUMBER:
        return read_number(v, fields[i].max, to);
    case IS_SLICE:
        *(struct slice *)to = v;
        return true;
    }
    return false;
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
    uint32_t seen = 0;
    *h = (struct warc_head){ .type = WARC_OTHER };
    if (!take_line(&s, &line) || !(slice_eq(line, SLICE("WARC/1.1")) || slice_eq(line, SLICE("WARC/1.0"))))
        return fail(err, BAD_INPUT, "a record does not start with WARC/1.1");
    for (;;) {
        if (!take_line(&s, &line))
            return fail(err, BAD_INPUT, "a line of a record's head is not one");
        if (line.len == 0)
            break;
        size_t colon = slice_find(line, ':');
        if (colon == 0 || colon == line.len)
            return fail(err, BAD_INPUT, "a line of a record's head has no name");
        if (!take_field(slice_of(line.ptr, colon), slice_trim(slice_from(line, colon + 1)), h, &seen))
            return fail(err, BAD_INPUT, "a field of a record's head is wrong or stands twice");
    }
    if (!saw(seen, FIELD_TYPE) || !saw(seen, FIELD_LENGTH))
        return fail(err, BAD_INPUT, "a record has no type or no length");
    if (saw(seen, FIELD_SEGMENT) && h->segment_number == 0)
        return fail(err, BAD_INPUT, "a record's segments are counted from 1");
    h->segment_last = saw(seen, FIELD_TOTAL);
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
