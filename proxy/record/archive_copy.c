#include "proxy/record/archive_copy.h"

#include "proxy/record/tar.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 64 * 1024 };

static enum status put(void *to, struct slice clear)
{
    return fwrite(clear.ptr, 1, clear.len, to) == clear.len ? OK : IO_FAILED;
}

static enum status copy_content(int fd, const struct tar_member *m, struct age_opener *opener, FILE *to, struct err *err)
{
    unsigned char buf[CHUNK];
    enum status st = OK;
    for (uint64_t at = m->content, end = at + m->content_len; at < end && st == OK;) {
        size_t n = end - at < sizeof buf ? (size_t)(end - at) : sizeof buf;
        st = tar_pread(fd, buf, n, at, err);
        if (st == OK)
            st = opener != NULL ? age_open_more(opener, slice_of(buf, n), err) : put(to, slice_of(buf, n));
        at += n;
    }
    return st == OK && opener != NULL ? age_open_end(opener, err) : st;
}

static enum status copy_member(int fd, const struct tar_member *m, const struct age_keys *keys, FILE *to, struct err *err)
{
    struct age_opener *opener = NULL;
    if (m->sealed && keys == NULL)
        return fail(err, REFUSED, "the recording is sealed to its auditors' keys, and none was given. Next: --auditor-key FILE");
    if (m->sealed && age_opener_new(keys, put, to, &opener) != OK)
        return fail(err, NO_MEMORY, "segment");
    enum status st = copy_content(fd, m, opener, to, err);
    age_opener_free(opener);
    if (st == IO_FAILED && ferror(to))
        return fail(err, st, "cannot write the records: %s", strerror(errno));
    if (st != OK)
        err_prefix(err, "segment %u: ", m->number);
    return st;
}

enum status archive_copy_warc(const char *path, const struct age_keys *keys, FILE *to, unsigned *segments_out, struct err *err)
{
    struct stat sb;
    unsigned count = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, errno == ENOENT ? NOT_FOUND : IO_FAILED, "cannot read the recording '%s': %s", path, strerror(errno));
    enum status st = fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode) ? OK : fail(err, IO_FAILED, "'%s' is not a file", path);
    uint64_t size = st == OK ? (uint64_t)sb.st_size : 0;
    for (uint64_t at = 0; st == OK;) {
        struct tar_member m = { 0 };
        st = tar_read_member(fd, at, size, &m, err);
        if (st == CLOSED || (st == BAD_INPUT && tar_was_growing(fd, at, size))) {
            st = OK;
            break;
        }
        free(m.comment);
        if (st == OK && m.kind == TAR_RECORDS)
            st = copy_member(fd, &m, keys, to, err);
        count += st == OK && m.kind == TAR_RECORDS;
        at = m.end;
    }
    close(fd);
    if (st == OK)
        *segments_out = count;
    return st;
}
