#include "proxy/record/warc.h"

#include "proxy/base/clock.h"
#include "proxy/base/codec.h"
#include "proxy/record/pack.h"
#include "proxy/record/put.h"

#include <stdlib.h>

/* A head but for what peers had a hand in, whose bytes may become three each. */
enum { HEAD_FIXED = 2048, HEAD_ENCODED = 3, HEAD_ROOM = 128 * 1024 };

struct warc_writer {
    struct packer *packer;
    char head[HEAD_ROOM];
    size_t head_len;
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

/* A value that a peer may have had a hand in: what could end the line is percent-encoded. */
static void put_value(struct put *p, struct slice v)
{
    static const char digits[] = "0123456789ABCDEF";
    if (put_plain(v) == v.len && memchr(v.ptr, ' ', v.len) == NULL) {   /* nearly always */
        put_text(p, v);
        return;
    }
    for (size_t i = 0; i < v.len; i++) {
        unsigned char c = v.ptr[i];
        const char code[] = { '%', digits[c >> 4], digits[c & 15] };
        put_text(p, c > ' ' && c < 0x7f ? slice_of(&v.ptr[i], 1) : slice_of(code, sizeof code));
    }
}

/* name: with its ": ". */
static void put_field(struct put *p, struct slice name, struct slice v)
{
    if (v.len == 0)
        return;
    put_text(p, name);
    put_value(p, v);
    PUT(p, "\r\n");
}
#define PUT_FIELD(p, name, v) put_field(p, SLICE(name ": "), v)

/* Our own words: nothing in them needs a look. */
static void put_own(struct put *p, struct slice name, struct slice v)
{
    if (v.len == 0)
        return;
    put_text(p, name);
    put_text(p, v);
    PUT(p, "\r\n");
}
#define PUT_OWN(p, name, v) put_own(p, SLICE(name ": "), v)
#define PUT_COUNT(p, name, v) (PUT_NUMBER(p, name ": ", v), PUT(p, "\r\n"))

/* Thousands of records share a second: its text is made once. */
static void put_date(struct warc_writer *w, struct put *p, int64_t ms)
{
    if (ms / 1000 != w->date_s) {
        clock_rfc3339(ms, w->date);
        w->date_s = ms / 1000;
    }
    size_t len = strlen(w->date);
    for (int64_t i = 0, rest = ms % 1000; i < 3; i++, rest /= 10)   /* "...:26.943Z" */
        w->date[len - 2 - (size_t)i] = (char)('0' + rest % 10);
    PUT_OWN(p, "WARC-Date", slice_of(w->date, len));
}

/* What only few records say. */
static void put_rare(struct put *p, const struct warc_record *r)
{
    if (r->segment_number > 0)
        PUT_COUNT(p, "WARC-Segment-Number", r->segment_number);
    PUT_OWN(p, "WARC-Segment-Origin-ID", r->segment_origin);
    if (r->segment_last)
        PUT_COUNT(p, "WARC-Segment-Total-Length", r->total_length);
    if (r->removed > 0)
        PUT_COUNT(p, "Countersign-Removed", r->removed);
    if (r->message > 0)
        PUT_COUNT(p, "Countersign-Message", r->message);
    PUT_OWN(p, "Countersign-Opcode", slice_str(r->opcode));
    PUT_OWN(p, "Countersign-Compressed", slice_str(r->compressed));
}

static void put_head(struct warc_writer *w, struct put *p, const struct warc_record *r, uint64_t length)
{
    static const char *const types[] = { "warcinfo", "request", "response", "continuation", "metadata", "resource" };
    PUT(p, "WARC/1.1\r\n");
    PUT_OWN(p, "WARC-Type", slice_str(types[r->type]));
    PUT_OWN(p, "WARC-Record-ID", slice_str(r->id));
    put_date(w, p, r->date_ms);
    PUT_FIELD(p, "WARC-Target-URI", r->target_uri);
    PUT_OWN(p, "WARC-Protocol", slice_str(r->protocol));
    PUT_OWN(p, "WARC-Concurrent-To", r->concurrent_to);
    PUT_OWN(p, "WARC-Truncated", slice_str(r->truncated));
    if (r->exchange > 0)
        PUT_COUNT(p, "Countersign-Exchange", r->exchange);
    PUT_FIELD(p, "Countersign-Action", r->action);
    PUT_FIELD(p, "Countersign-Names", r->names);
    PUT_OWN(p, "Countersign-From", slice_str(r->from));
    if (r->ends_well)
        PUT(p, "Countersign-End: ok\r\n");
    PUT_OWN(p, "Countersign-Record", slice_str(r->kept));
    if (r->omits)
        PUT_COUNT(p, "Countersign-Omitted", r->omitted);
    put_rare(p, r);
    PUT_OWN(p, "Content-Type", slice_str(r->content_type));
    PUT_COUNT(p, "Content-Length", length);
    PUT(p, "\r\n");
}

/* FULL: too long to be read again. */
static enum status build_head(struct warc_writer *w, const struct warc_record *r, uint64_t length)
{
    size_t most = HEAD_FIXED + HEAD_ENCODED * (r->target_uri.len + r->action.len + r->names.len);
    struct put p = { w->head };
    if (most > sizeof w->head)
        return FULL;
    put_head(w, &p, r, length);
    w->head_len = (size_t)(p.at - w->head);
    return w->head_len > WARC_HEAD_MAX ? FULL : OK;
}

enum status warc_write(struct warc_writer *w, const struct warc_record *r, struct warc_bytes *to)
{
    uint64_t length = 0;
    for (size_t i = 0; i < r->block_count; i++)
        length += r->block[i].len;
    enum status st = build_head(w, r, length);
    return st != OK ? st : pack(w->packer, slice_of(w->head, w->head_len), r->block, r->block_count, to);
}

enum status warc_write_lines(struct warc_writer *w, const struct slice *piece, size_t count, struct warc_bytes *to)
{
    return pack_lines(w->packer, piece, count, to);
}
