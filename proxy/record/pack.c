#include "proxy/record/pack.h"

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <stdlib.h>

enum {
    DEFLATE_FROM = 1024,              /* deflating less takes off a tenth (a record's head is ids and numbers), and costs twenty times what copying it does */
    OWN_TABLES_FROM = 64 * 1024,
    SAMPLE = 256, SAMPLES = 4,
    LEARN_BYTES = 16 * 1024,
    /* Records: at first each LEARN_FIRST-th is looked at, from FIRST_RECORDS on each LEARN_EVERY-th. Looking takes a sixth of what deflating does; making tables takes 30 us. */
    LEARN_FIRST = 8, FIRST_RECORDS = 64, LEARN_EVERY = 32, TABLES_EVERY = 256,
};

struct packer {
    struct isal_zstream z;
    unsigned char level_buf[ISAL_DEF_LVL1_DEFAULT];
    struct isal_huff_histogram seen;
    struct isal_hufftables tables;
    bool tuned;                       /* the tables are ours */
    uint64_t records, tables_due;
};

struct packer *packer_new(void)
{
    struct packer *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    isal_deflate_init(&p->z);
    p->z.level_buf = p->level_buf;
    p->z.level_buf_size = sizeof p->level_buf;
    return p;
}

void packer_free(struct packer *p)
{
    free(p);
}

/* Tables that follow the traffic. */

/* Half of what was seen counts on, and what was never seen keeps a code that is not too long: bodies of another kind may come. */
static void make_tables(struct packer *p)
{
    uint64_t all = 0;
    for (size_t i = 0; i < ISAL_DEF_LIT_LEN_SYMBOLS; i++) {
        all += p->seen.lit_len_histogram[i];
        p->seen.lit_len_histogram[i] /= 2;
    }
    for (size_t i = 0; i < ISAL_DEF_DIST_SYMBOLS; i++)
        p->seen.dist_histogram[i] /= 2;
    struct isal_huff_histogram smooth = p->seen;
    for (size_t i = 0; i < 256; i++)
        smooth.lit_len_histogram[i] += all / 8192 + 1;
    p->tuned = isal_create_hufftables(&p->tables, &smooth) == 0;
}

static void learn(struct packer *p, struct slice s)
{
    unsigned every = p->records < FIRST_RECORDS ? LEARN_FIRST : LEARN_EVERY;
    if (p->records % every == 0)
        isal_update_histogram((unsigned char *)(uintptr_t)s.ptr, (int)(s.len < LEARN_BYTES ? s.len : LEARN_BYTES), &p->seen);
    if (p->records >= p->tables_due) {
        make_tables(p);
        p->tables_due = p->records + (p->records < FIRST_RECORDS ? LEARN_FIRST : TABLES_EVERY);
    }
    p->records++;
}

/* Deflated. */

static enum status deflate_piece(struct packer *p, struct slice s, bool last, struct warc_bytes *to)
{
    p->z.next_in = (unsigned char *)(uintptr_t)s.ptr;
    p->z.avail_in = (uint32_t)s.len;
    p->z.end_of_stream = last;
    do {
        enum status st = warc_bytes_reserve(to, 32 * 1024);
        if (st != OK)
            return st;
        size_t room = to->cap - to->len < UINT32_MAX ? to->cap - to->len : UINT32_MAX;
        p->z.next_out = to->data + to->len;
        p->z.avail_out = (uint32_t)room;
        if (isal_deflate(&p->z) != COMP_OK)
            return CORRUPT;
        to->len += room - p->z.avail_out;
    } while (p->z.avail_in > 0 || (last && p->z.internal_state.state != ZSTATE_END) || p->z.avail_out == 0);
    return OK;
}

static enum status start_member(struct packer *p, bool own_tables)
{
    isal_deflate_reset(&p->z);
    p->z.level = own_tables;
    p->z.gzip_flag = IGZIP_GZIP;      /* which the reset forgets */
    int done = isal_deflate_set_hufftables(&p->z, &p->tables, !own_tables && p->tuned ? IGZIP_HUFFTABLE_CUSTOM : IGZIP_HUFFTABLE_DEFAULT);
    return done == COMP_OK ? OK : CORRUPT;
}

static enum status write_deflated(struct packer *p, struct slice head, const struct slice *block, size_t count, bool own_tables, struct warc_bytes *to)
{
    enum status st = start_member(p, own_tables);
    if (st != OK)
        return st;
    st = deflate_piece(p, head, false, to);
    for (size_t i = 0; i < count && st == OK; i++)
        if (block[i].len > 0)
            st = deflate_piece(p, block[i], false, to);
    return st == OK ? deflate_piece(p, SLICE("\r\n\r\n"), true, to) : st;
}

enum status pack_lines(struct packer *p, const struct slice *piece, size_t count, struct warc_bytes *to)
{
    size_t before = to->len;
    enum status st = start_member(p, true);
    for (size_t i = 0; i < count && st == OK; i++)
        if (piece[i].len > 0)
            st = deflate_piece(p, piece[i], false, to);
    if (st == OK)
        st = deflate_piece(p, (struct slice){ 0 }, true, to);
    if (st != OK)
        to->len = before;
    return st;
}

/* Stored. */

/* What is compressed already (images, archives, coded bodies) has nearly as many of each byte: looking for repetitions in it costs three times as much as all
 * the rest. Samples from all over the middle piece decide; the sum of squares is smallest when all counts are equal. */
static bool looks_compressed(const struct slice *s)
{
    unsigned count[256] = { 0 };
    uint64_t squares = 0;
    if (s->len < SAMPLE)
        return false;
    for (size_t part = 0; part < SAMPLES; part++) {
        const unsigned char *p = s->ptr + (s->len - SAMPLE / SAMPLES) / (SAMPLES - 1) * part;
        for (size_t i = 0; i < SAMPLE / SAMPLES; i++)
            count[p[i]]++;
    }
    for (size_t i = 0; i < 256; i++)
        squares += (uint64_t)count[i] * count[i];
    return squares < (SAMPLE / 256 * SAMPLE + SAMPLE) * 5 / 4;
}

/* A gzip member of stored blocks (RFC 1951 s3.2.4), fed in pieces. */
struct stored {
    struct warc_bytes *to;
    uint64_t left;                    /* of everything */
    uint32_t block_left, crc;
};

static enum status store(struct stored *s, struct slice piece)
{
    enum status st = OK;
    s->crc = crc32_gzip_refl(s->crc, piece.ptr, piece.len);
    while (piece.len > 0 && st == OK) {
        if (s->block_left == 0) {
            s->block_left = s->left < 65535 ? (uint32_t)s->left : 65535;
            uint32_t n = s->block_left, m = ~n;
            const unsigned char head[5] = { s->left == n, (unsigned char)n, (unsigned char)(n >> 8), (unsigned char)m, (unsigned char)(m >> 8) };
            st = warc_bytes_put(s->to, slice_of(head, sizeof head));
        }
        size_t n = piece.len < s->block_left ? piece.len : s->block_left;
        if (st == OK)
            st = warc_bytes_put(s->to, slice_of(piece.ptr, n));
        piece = slice_from(piece, n);
        s->block_left -= (uint32_t)n;
        s->left -= n;
    }
    return st;
}

static enum status write_stored(struct slice head, const struct slice *block, size_t count, uint64_t all, struct warc_bytes *to)
{
    static const unsigned char gzip_head[10] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255 };
    struct stored s = { .to = to, .left = all };
    unsigned char tail[8];
    enum status st = warc_bytes_put(to, slice_of(gzip_head, sizeof gzip_head));
    if (st == OK)
        st = store(&s, head);
    for (size_t i = 0; i < count && st == OK; i++)
        st = store(&s, block[i]);
    if (st == OK)
        st = store(&s, SLICE("\r\n\r\n"));
    for (unsigned i = 0; i < 4; i++) {
        tail[i] = (unsigned char)(s.crc >> 8 * i);
        tail[4 + i] = (unsigned char)(all >> 8 * i);
    }
    return st == OK ? warc_bytes_put(to, slice_of(tail, sizeof tail)) : st;
}

/* The piece that says most about the block: heads come first and are short. */
static const struct slice *longest(const struct slice *block, size_t count)
{
    size_t at = 0;
    for (size_t i = 1; i < count; i++)
        if (block[i].len > block[at].len)
            at = i;
    return &block[at];
}

enum status pack(struct packer *p, struct slice head, const struct slice *block, size_t count, struct warc_bytes *to)
{
    uint64_t length = 0, all;
    size_t before = to->len;
    enum status st = OK;
    for (size_t i = 0; i < count; i++)
        length += block[i].len;
    all = head.len + length + 4;
    bool stored = length < DEFLATE_FROM || looks_compressed(longest(block, count));
    if (!stored) {
        if (length < OWN_TABLES_FROM)
            learn(p, *longest(block, count));
        st = write_deflated(p, head, block, count, length >= OWN_TABLES_FROM, to);
        stored = st == OK && to->len - before > all;   /* tables made for something else */
        if (stored)
            to->len = before;
    }
    if (stored)
        st = write_stored(head, block, count, all, to);
    if (st != OK)
        to->len = before;
    return st;
}
