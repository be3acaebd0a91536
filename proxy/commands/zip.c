#include "proxy/commands/zip.h"

#include <errno.h>
#include <time.h>
#include <zlib.h>

enum { LOCAL_SIGNATURE = 0x04034b50, CENTRAL_SIGNATURE = 0x02014b50, END_SIGNATURE = 0x06054b50, VERSION = 20, UTF8_NAMES = 0x0800, CHUNK = 64 * 1024 };

struct fields {
    unsigned char bytes[128];
    size_t len;
};

static void put16(struct fields *f, unsigned v)
{
    f->bytes[f->len++] = (unsigned char)v;
    f->bytes[f->len++] = (unsigned char)(v >> 8);
}

static void put32(struct fields *f, uint32_t v)
{
    put16(f, v & 0xffff);
    put16(f, v >> 16);
}

static enum status put(struct zip *z, const void *data, size_t len, struct err *err)
{
    if (len == 0)
        return OK;
    z->at += len;
    if (z->at > UINT32_MAX)
        return fail(err, FULL, "the file would be larger than 4 GiB, which this format does not hold. Next: export --raw");
    return fwrite(data, 1, len, z->out) == len ? OK : fail(err, IO_FAILED, "cannot write the file: %s", strerror(errno));
}

void zip_begin(struct zip *z, FILE *out, int64_t wall_ms)
{
    struct tm tm;
    time_t s = (time_t)(wall_ms / 1000);
    gmtime_r(&s, &tm);
    *z = (struct zip){ .out = out };
    z->date = (uint16_t)((unsigned)(tm.tm_year - 80) << 9 | (unsigned)(tm.tm_mon + 1) << 5 | (unsigned)tm.tm_mday);
    z->time = (uint16_t)((unsigned)tm.tm_hour << 11 | (unsigned)tm.tm_min << 5 | (unsigned)tm.tm_sec / 2);
}

/* What the local header and the directory say alike, from "version needed" to the length of the extra field. */
static void put_common(struct fields *f, const struct zip *z, const struct zip_entry *e)
{
    put16(f, VERSION);
    put16(f, UTF8_NAMES);
    put16(f, 0);                      /* stored */
    put16(f, z->time);
    put16(f, z->date);
    put32(f, e->crc);
    put32(f, e->size);
    put32(f, e->size);
    put16(f, (unsigned)strlen(e->name));
    put16(f, 0);
}

static enum status begin_entry(struct zip *z, const char *name, uint64_t size, uint32_t crc, struct err *err)
{
    struct fields f = { .len = 0 };
    if (z->count == ZIP_ENTRIES_MAX || strlen(name) >= ZIP_NAME_MAX || size >= UINT32_MAX)
        return fail(err, FULL, "'%s' is too large for this format. Next: export --raw", name);
    struct zip_entry *e = &z->entries[z->count++];
    snprintf(e->name, sizeof e->name, "%s", name);
    e->crc = crc;
    e->size = (uint32_t)size;
    e->offset = (uint32_t)z->at;
    put32(&f, LOCAL_SIGNATURE);
    put_common(&f, z, e);
    enum status st = put(z, f.bytes, f.len, err);
    return st == OK ? put(z, name, strlen(name), err) : st;
}

enum status zip_add(struct zip *z, const char *name, struct slice content, struct err *err)
{
    uLong crc = crc32_z(0, content.ptr, content.len);
    enum status st = begin_entry(z, name, content.len, (uint32_t)crc, err);
    return st == OK ? put(z, content.ptr, content.len, err) : st;
}

/* Twice over it: sizes and sums stand in front. */
enum status zip_add_file(struct zip *z, const char *name, FILE *from, struct err *err)
{
    unsigned char piece[CHUNK];
    uint64_t size = 0;
    uLong crc = 0;
    size_t n;
    rewind(from);
    while ((n = fread(piece, 1, sizeof piece, from)) > 0) {
        crc = crc32_z(crc, piece, n);
        size += n;
    }
    enum status st = ferror(from) ? fail(err, IO_FAILED, "cannot read it back") : begin_entry(z, name, size, (uint32_t)crc, err);
    rewind(from);
    while (st == OK && (n = fread(piece, 1, sizeof piece, from)) > 0)
        st = put(z, piece, n, err);
    return st == OK && ferror(from) ? fail(err, IO_FAILED, "cannot read it back") : st;
}

static enum status put_central(struct zip *z, const struct zip_entry *e, struct err *err)
{
    struct fields f = { .len = 0 };
    put32(&f, CENTRAL_SIGNATURE);
    put16(&f, 3 << 8 | VERSION);      /* made on a system with Unix permissions */
    put_common(&f, z, e);
    put16(&f, 0);                     /* comment */
    put16(&f, 0);                     /* disk */
    put16(&f, 0);                     /* internal attributes */
    put32(&f, (uint32_t)0100600 << 16);
    put32(&f, e->offset);
    enum status st = put(z, f.bytes, f.len, err);
    return st == OK ? put(z, e->name, strlen(e->name), err) : st;
}

enum status zip_end(struct zip *z, struct err *err)
{
    struct fields f = { .len = 0 };
    uint64_t begin = z->at;
    enum status st = OK;
    for (size_t i = 0; i < z->count && st == OK; i++)
        st = put_central(z, &z->entries[i], err);
    put32(&f, END_SIGNATURE);
    put32(&f, 0);                     /* disks */
    put16(&f, (unsigned)z->count);
    put16(&f, (unsigned)z->count);
    put32(&f, (uint32_t)(z->at - begin));
    put32(&f, (uint32_t)begin);
    put16(&f, 0);
    if (st == OK)
        st = put(z, f.bytes, f.len, err);
    return st == OK && fflush(z->out) != 0 ? fail(err, IO_FAILED, "cannot write the file: %s", strerror(errno)) : st;
}
