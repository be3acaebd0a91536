#include "proxy/record/warc.h"

#include "proxy/base/clock.h"
#include "proxy/base/codec.h"
#include "proxy/record/pack.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct warc_writer {
    struct packer *packer;
    char head[WARC_HEAD_MAX];
    size_t head_len;
    bool head_full;
    int64_t date_s;                   /* what `date` says, up to its milliseconds */
    char date[CLOCK_TEXT_MAX];
};

enum status warc_bytes_reserve(struct warc_bytes *b, size_t more)
{
    if (b->cap - b->len >= more)
        return OK;
    size_t cap = b->cap ? b->cap * 2 : 64 * 1024;
    while (cap - b->len < more)
        cap *= 2;
    unsigned char *data = realloc(b->data, cap);
    if (data == NULL)
        return NO_MEMORY;
    b->data = data;
    b->cap = cap;
    return OK;
}

enum status warc_bytes_put(struct warc_bytes *b, struct slice s)
{
    enum status st = warc_bytes_reserve(b, s.len);
    if (st == OK && s.len) {
        memcpy(b->data + b->len, s.ptr, s.len);
        b->len += s.len;
    }
    return st;
}

void warc_bytes_done(struct warc_bytes *b)
{
    free(b->data);
    *b = (struct warc_bytes){ 0 };
}

/* "<urn:uuid:eac9fea5-956c-8ec0-bd21-bf9f2abeb06b>" */
static void id_text(const unsigned char h[16], char out[WARC_ID_MAX])
{
    static const char digits[] = "0123456789abcdef";
    char *p = out + 10;
    memcpy(out, "<urn:uuid:", 10);
    for (unsigned i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        *p++ = digits[h[i] >> 4];
        *p++ = digits[h[i] & 15];
    }
    memcpy(p, ">", 2);
}

/* The 122 free bits of a UUIDv8 (RFC 9562 s5.8): 40 of the ring's random id, 53 of the exchange's number, 5 say which record it is, 24 count. */
static void id_packed(const unsigned char ring_id[16], uint64_t exchange, unsigned what, unsigned number, unsigned char out[16])
{
    memcpy(out, ring_id, 5);
    out[5] = (unsigned char)(number >> 16);
    out[6] = (unsigned char)(exchange >> 49 & 15);
    out[7] = (unsigned char)(number >> 8);
    out[8] = (unsigned char)((exchange >> 48 & 1) << 5 | what);
    out[9] = (unsigned char)number;
    for (unsigned i = 0; i < 6; i++)
        out[10 + i] = (unsigned char)(exchange >> 8 * (5 - i));
}

/* What does not fit there: the records of an exchange with many WebSocket messages. */
static void id_hashed(const unsigned char ring_id[16], uint64_t exchange, unsigned what, unsigned number, unsigned char out[16])
{
    unsigned char h[32];
    struct slice parts[] = { SLICE("countersign-record-v1\n"), slice_of(ring_id, 16), slice_of(&exchange, sizeof exchange),
                             slice_of(&what, sizeof what), slice_of(&number, sizeof number) };
    sha256(parts, sizeof parts / sizeof parts[0], h);
    memcpy(out, h, 16);
}

void warc_id(const unsigned char ring_id[16], uint64_t exchange, unsigned what, unsigned number, char out[WARC_ID_MAX])
{
    unsigned char h[16];
    if (exchange >> 53 == 0 && what < 32 && number >> 24 == 0)
        id_packed(ring_id, exchange, what, number, h);
    else
        id_hashed(ring_id, exchange, what, number, h);
    h[6] = (unsigned char)((h[6] & 0x0f) | 0x80);
    h[8] = (unsigned char)((h[8] & 0x3f) | 0x80);
    id_text(h, out);
}

enum status warc_writer_new(struct warc_writer **out)
{
    struct warc_writer *w = malloc(sizeof *w);
    if (w == NULL)
        return NO_MEMORY;
    if ((w->packer = packer_new()) == NULL) {
        free(w);
        return NO_MEMORY;
    }
    w->date_s = -1;
    *out = w;
    return OK;
}

void warc_writer_free(struct warc_writer *w)
{
    if (w != NULL)
        packer_free(w->packer);
    free(w);
}

/* The head. */

static void add_raw(struct warc_writer *w, struct slice s)
{
    if (s.len > sizeof w->head - w->head_len) {
        w->head_full = true;
        return;
    }
    memcpy(w->head + w->head_len, s.ptr, s.len);
    w->head_len += s.len;
}

/* A value that a peer may have had a hand in: what could end the line is percent-encoded. */
static void add_value(struct warc_writer *w, struct slice v)
{
    for (size_t from = 0, i = 0; i <= v.len; i++) {
        if (i < v.len && v.ptr[i] > ' ' && v.ptr[i] < 0x7f)
            continue;
        add_raw(w, slice_of(v.ptr + from, i - from));
        from = i + 1;
        if (i < v.len) {
            char hex[4];
            snprintf(hex, sizeof hex, "%%%02X", v.ptr[i]);
            add_raw(w, slice_of(hex, 3));
        }
    }
}

/* name: with its ": ". */
static void add_field(struct warc_writer *w, struct slice name, struct slice v)
{
    if (v.len == 0)
        return;
    add_raw(w, name);
    add_value(w, v);
    add_raw(w, SLICE("\r\n"));
}

static void add_number(struct warc_writer *w, struct slice name, uint64_t v)
{
    char text[20], *p = text + sizeof text;
    do
        *--p = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    add_raw(w, name);
    add_raw(w, slice_of(p, (size_t)(text + sizeof text - p)));
    add_raw(w, SLICE("\r\n"));
}

/* Thousands of records share a second: its text is made once. */
static void add_date(struct warc_writer *w, int64_t ms)
{
    if (ms / 1000 != w->date_s) {
        clock_rfc3339(ms, w->date);
        w->date_s = ms / 1000;
    }
    size_t len = strlen(w->date);
    for (int64_t i = 0, rest = ms % 1000; i < 3; i++, rest /= 10)   /* "...:26.943Z" */
        w->date[len - 2 - (size_t)i] = (char)('0' + rest % 10);
    add_field(w, SLICE("WARC-Date: "), slice_of(w->date, len));
}

static void build_head(struct warc_writer *w, const struct warc_record *r, uint64_t length)
{
    static const char *const types[] = { "warcinfo", "request", "response", "continuation", "metadata", "resource" };
    w->head_len = 0;
    w->head_full = false;
    add_raw(w, SLICE("WARC/1.1\r\n"));
    add_field(w, SLICE("WARC-Type: "), slice_str(types[r->type]));
    add_field(w, SLICE("WARC-Record-ID: "), slice_str(r->id));
    add_date(w, r->date_ms);
    add_field(w, SLICE("WARC-Target-URI: "), r->target_uri);
    add_field(w, SLICE("WARC-Protocol: "), slice_str(r->protocol));
    add_field(w, SLICE("WARC-Concurrent-To: "), r->concurrent_to);
    add_field(w, SLICE("WARC-Warcinfo-ID: "), r->warcinfo_id);
    if (r->segment_number > 0)
        add_number(w, SLICE("WARC-Segment-Number: "), r->segment_number);
    add_field(w, SLICE("WARC-Segment-Origin-ID: "), r->segment_origin);
    if (r->segment_last)
        add_number(w, SLICE("WARC-Segment-Total-Length: "), r->total_length);
    add_field(w, SLICE("WARC-Truncated: "), slice_str(r->truncated));
    if (r->exchange > 0)
        add_number(w, SLICE("Countersign-Exchange: "), r->exchange);
    add_field(w, SLICE("Countersign-Action: "), r->action);
    add_field(w, SLICE("Countersign-Names: "), r->names);
    add_field(w, SLICE("Countersign-From: "), slice_str(r->from));
    if (r->ends_well)
        add_raw(w, SLICE("Countersign-End: ok\r\n"));
    add_field(w, SLICE("Countersign-Record: "), slice_str(r->kept));
    if (r->omits)
        add_number(w, SLICE("Countersign-Omitted: "), r->omitted);
    if (r->removed > 0)
        add_number(w, SLICE("Countersign-Removed: "), r->removed);
    if (r->message > 0)
        add_number(w, SLICE("Countersign-Message: "), r->message);
    add_field(w, SLICE("Countersign-Opcode: "), slice_str(r->opcode));
    add_field(w, SLICE("Countersign-Compressed: "), slice_str(r->compressed));
    if (r->content_type != NULL) {   /* ours, with its spaces */
        add_raw(w, SLICE("Content-Type: "));
        add_raw(w, slice_str(r->content_type));
        add_raw(w, SLICE("\r\n"));
    }
    add_number(w, SLICE("Content-Length: "), length);
    add_raw(w, SLICE("\r\n"));
}

enum status warc_write(struct warc_writer *w, const struct warc_record *r, struct warc_bytes *to)
{
    uint64_t length = 0;
    for (size_t i = 0; i < r->block_count; i++)
        length += r->block[i].len;
    build_head(w, r, length);
    return w->head_full ? FULL : pack(w->packer, slice_of(w->head, w->head_len), r->block, r->block_count, to);
}

enum status warc_write_lines(struct warc_writer *w, const struct slice *piece, size_t count, struct warc_bytes *to)
{
    return pack_lines(w->packer, piece, count, to);
}
