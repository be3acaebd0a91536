#include "proxy/record/archive.h"

#include "proxy/record/archive_read.h"
#include "proxy/record/entry.h"
#include "proxy/record/tar.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { CHUNK = 64 * 1024 };

/* One segment: its gzip members one after the other, their content through the record reader. */
struct segment_reader {
    struct archive *archive;
    z_stream z;
    struct warc_reader warc;
    struct warc_events events;
    uint64_t out;
    bool ended;                       /* the gzip member before is whole */
    struct age_opener *opener;        /* NULL: the segment is not sealed */
    struct err *err;                  /* of the call that runs, for take_clear */
    unsigned char in_buf[CHUNK], out_buf[CHUNK];
};

static enum status inflate_some(struct segment_reader *r, struct err *err)
{
    if (r->ended && inflateReset(&r->z) != Z_OK)
        return fail(err, NO_MEMORY, "inflate");
    r->z.next_out = r->out_buf;
    r->z.avail_out = sizeof r->out_buf;
    int z = inflate(&r->z, Z_NO_FLUSH);
    if (z == Z_MEM_ERROR)
        return fail(err, NO_MEMORY, "inflate");
    if (z != Z_OK && z != Z_STREAM_END && z != Z_BUF_ERROR)
        return fail(err, BAD_INPUT, "its gzip data is damaged%s%s", r->z.msg ? ": " : "", r->z.msg ? r->z.msg : "");
    r->ended = z == Z_STREAM_END;
    size_t n = sizeof r->out_buf - r->z.avail_out;
    r->out += n;
    if (r->out > ARCHIVE_SEGMENT_MAX)
        return fail(err, BAD_INPUT, "it decompresses to more than %llu bytes", (unsigned long long)ARCHIVE_SEGMENT_MAX);
    if (err != NULL)
        err->text[0] = 0;
    enum status st = warc_read(&r->warc, slice_of(r->out_buf, n), &r->events, err);
    if (st == BAD_INPUT && err->text[0] == 0)
        return fail(err, st, "its records contradict each other or an earlier one");
    if (st == OK && r->ended && !warc_reader_idle(&r->warc))
        return fail(err, BAD_INPUT, "a gzip member ends in the middle of a record");
    return st;
}

static enum status inflate_all(struct segment_reader *r, struct slice s, struct err *err)
{
    enum status st = OK;
    r->z.next_in = (unsigned char *)(uintptr_t)s.ptr;
    r->z.avail_in = (uInt)s.len;
    while (st == OK && (r->z.avail_in > 0 || (r->z.avail_out == 0 && !r->ended)))
        st = inflate_some(r, err);
    return st;
}

static enum status take_clear(void *to, struct slice clear)
{
    struct segment_reader *r = to;
    return inflate_all(r, clear, r->err);
}

static enum status take_content(struct segment_reader *r, struct slice s, struct err *err)
{
    r->err = err;
    return r->opener != NULL ? age_open_more(r->opener, s, err) : inflate_all(r, s, err);
}

static enum status read_content(struct segment_reader *r, int fd, const struct tar_member *m, struct err *err)
{
    uint64_t at = m->content, end = m->content + m->content_len;
    enum status st = OK;
    r->ended = true;
    while (at < end && st == OK) {
        size_t n = end - at < sizeof r->in_buf ? (size_t)(end - at) : sizeof r->in_buf;
        st = tar_pread(fd, r->in_buf, n, at, err);
        at += n;
        if (st == OK)
            st = take_content(r, slice_of(r->in_buf, n), err);
    }
    if (st == OK && r->opener != NULL)
        st = age_open_end(r->opener, err);
    if (st == OK && !r->ended)
        st = fail(err, BAD_INPUT, "it ends in the middle of a record");
    return st;
}

/* A damaged segment is noted, and the rest read; only want of memory ends it. */
enum status archive_read_segment(struct archive *a, const struct age_keys *keys, int fd, const struct tar_member *m, struct err *err)
{
    if (m->sealed && keys == NULL)
        return fail(err, REFUSED, "the recording is sealed to its auditors' keys, and none was given. Next: --auditor-key FILE, with the secret key of one of them");
    struct segment_reader *r = calloc(1, sizeof *r);
    if (r == NULL || inflateInit2(&r->z, 15 + 16) != Z_OK) {
        free(r);
        return fail(err, NO_MEMORY, "segment");
    }
    if (m->sealed && age_opener_new(keys, take_clear, r, &r->opener) != OK) {
        inflateEnd(&r->z);
        free(r);
        return fail(err, NO_MEMORY, "segment");
    }
    r->archive = a;
    r->events = archive_events(a);
    warc_reader_init(&r->warc);
    r->z.avail_out = 1;
    a->segment = m->number;
    struct err why = { "" };
    enum status st = read_content(r, fd, m, &why);
    inflateEnd(&r->z);
    age_opener_free(r->opener);
    free(r);
    archive_break_record(a);
    a->sealed += m->sealed;
    a->opened += m->sealed && st != REFUSED;
    if (st == NO_MEMORY)
        return fail(err, st, "segment");
    return st == OK ? OK : archive_add_bad(a, m->number, why.text);
}

static enum status note_gap(struct archive *a, unsigned expected, unsigned found)
{
    char text[80];
    if (found == expected)
        return OK;
    snprintf(text, sizeof text, found > expected ? "segments %u to %u are missing" : "after segment %u comes segment %u", found > expected ? expected : expected - 1,
             found > expected ? found - 1 : found);
    return archive_add_bad(a, found > expected ? expected : found, text);
}

enum status archive_read_members(struct archive *a, const struct age_keys *keys, int fd, uint64_t size, struct err *err)
{
    uint64_t at = 0;
    unsigned expected = 1;
    for (;;) {
        struct tar_member m;
        struct err why = { "" };
        enum status st = tar_read_member(fd, at, size, &m, &why);
        if (st == CLOSED || (st == BAD_INPUT && tar_was_growing(fd, at, size)))
            return OK;
        if (st == NO_MEMORY)
            return fail(err, st, "segment");
        if (st != OK) {
            st = archive_add_bad(a, expected, why.text);
            at = tar_resync(fd, at, size);
            if (st != OK || at == size)
                return st;
            expected++;
            continue;
        }
        st = note_gap(a, expected, m.number);
        if (st == OK && m.kind == TAR_RECORDS)
            st = archive_read_segment(a, keys, fd, &m, err);
        free(m.comment);
        if (st != OK)
            return st;
        expected = m.number + 1;
        at = m.end;
    }
}

enum status archive_open(const char *path, const struct age_keys *keys, struct archive **out, struct err *err)
{
    return archive_open_by(path, keys, archive_read_members, out, err);
}

enum status archive_open_by(const char *path, const struct age_keys *keys, archive_read_call *read, struct archive **out, struct err *err)
{
    struct stat sb;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, errno == ENOENT ? NOT_FOUND : IO_FAILED, "cannot read the recording '%s': %s", path, strerror(errno));
    struct archive *a = calloc(1, sizeof *a);
    enum status st = a ? OK : fail(err, NO_MEMORY, "recording");
    if (st == OK && (fstat(fd, &sb) != 0 || !S_ISREG(sb.st_mode)))
        st = fail(err, IO_FAILED, "'%s' is not a file", path);
    if (st == OK)
        st = read(a, keys, fd, (uint64_t)sb.st_size, err);
    if (st == OK && a->sealed > 0 && a->opened == 0)
        st = fail(err, REFUSED, "this key opens none of the recording's %zu sealed segments: they are sealed to other auditors' keys. Next: try another key", a->sealed);
    if (st == OK && archive_finish(a) != OK)
        st = fail(err, NO_MEMORY, "recording");
    close(fd);
    if (st != OK)
        archive_free(a);
    else
        *out = a;
    return st;
}

void archive_free(struct archive *a)
{
    struct archive_item *x, *next;
    if (a == NULL)
        return;
    HASH_ITER(hh, a->items, x, next) {
        HASH_DEL(a->items, x);
        warc_bytes_done(&x->message[0].bytes);
        warc_bytes_done(&x->message[1].bytes);
        for (size_t i = 0; i < x->socket_count; i++) {
            warc_bytes_done(&x->socket[i].m.bytes);
            free(x->socket[i].from);
            free(x->socket[i].opcode);
        }
        free(x->socket);
        free(x->socket_pub);
        free(x->action);
        free(x->why);
        free(x->names);
        free(x->secrets);
        json_decref(x->notes);
        free(x);
    }
    for (size_t i = 0; i < a->bad_count; i++)
        free(a->bad[i].text);
    archive_rows_free(a);
    archive_parts_free(a);
    free(a->bad);
    free(a->sorted);
    warc_bytes_done(&a->json);
    free(a);
}

bool archive_is_claim(const struct archive_exchange *x)
{
    return slice_eq(x->action, SLICE(ACTION_BROWSER_CLAIM));
}

size_t archive_count(const struct archive *a)
{
    return a->sorted_count;
}

struct archive_source archive_source(const struct archive *a)
{
    return (struct archive_source){ a->unindexed, a->bad_indexes, a->untold };
}

const struct archive_exchange *archive_at(const struct archive *a, size_t i)
{
    return a->sorted[i];
}

size_t archive_bad_segments(const struct archive *a)
{
    return a->bad_count;
}

const char *archive_bad_segment(const struct archive *a, size_t i, unsigned *number_out)
{
    *number_out = a->bad[i].number;
    return a->bad[i].text;
}
