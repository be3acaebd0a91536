#include "proxy/record/session_file.h"

#include "proxy/base/codec.h"
#include "proxy/base/log.h"
#include "proxy/record/comment.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COPY_BYTES = 64 * 1024, CHECKED_FROM_END = 8, STARTS_KEPT = 16 };

static bool write_all(int fd, const void *data, size_t len, uint64_t at)
{
    const unsigned char *p = data;
    while (len > 0) {
        ssize_t n = pwrite(fd, p, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return true;
}

/* Put the end of the archive at `end`, whatever lies behind. */
static bool set_end(int fd, uint64_t end)
{
    static const unsigned char zeros[TAR_END];
    return ftruncate(fd, (off_t)end) == 0 && write_all(fd, zeros, sizeof zeros, end);
}

static enum status open_file(int dir_fd, const char *session, int *fd_out, struct err *err)
{
    char name[128];
    snprintf(name, sizeof name, "%s.tar", session);
    int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail(err, IO_FAILED, "cannot open the recording '%s': %s", name, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        enum status st = fail(err, AGAIN, "the recording '%s' is being written by another process", name);
        close(fd);
        return st;
    }
    *fd_out = fd;
    return OK;
}

/* Keep what is about to be cut off: it may be evidence. */
static bool keep_cut(int dir_fd, const char *session, int fd, uint64_t from, uint64_t size)
{
    char name[160];
    unsigned char *buf = malloc(COPY_BYTES);
    snprintf(name, sizeof name, "%s.tar.cut-%llu", session, (unsigned long long)from);
    int out = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool good = buf != NULL && out >= 0;
    for (uint64_t at = from; good && at < size;) {
        size_t n = size - at < COPY_BYTES ? (size_t)(size - at) : COPY_BYTES;
        good = tar_pread(fd, buf, n, at, NULL) == OK && write_all(out, buf, n, at - from);
        at += n;
    }
    if (out >= 0)
        close(out);
    free(buf);
    return good;
}

/* Nothing but zeros: an end of archive, or room that was never written. */
static bool all_zero(int fd, uint64_t from, uint64_t size)
{
    unsigned char buf[4096];
    while (from < size) {
        size_t n = size - from < sizeof buf ? (size_t)(size - from) : sizeof buf;
        if (tar_pread(fd, buf, n, from, NULL) != OK)
            return false;
        for (size_t i = 0; i < n; i++)
            if (buf[i] != 0)
                return false;
        from += n;
    }
    return true;
}

static enum status repair(int dir_fd, const char *session, struct session_file *f, uint64_t size, struct err *err)
{
    char cut[32];
    if (size == f->end + TAR_END && all_zero(f->fd, f->end, size))
        return OK;
    if (size > f->end && !all_zero(f->fd, f->end, size)) {
        snprintf(cut, sizeof cut, "%llu", (unsigned long long)(size - f->end));
        log_warn("record.repaired", "session", session, "cut_bytes", cut, "why", "the last segment was not whole");
        if (!keep_cut(dir_fd, session, f->fd, f->end, size))
            return fail(err, IO_FAILED, "cannot keep the torn end of recording %s: %s", session, strerror(errno));
    }
    if (!set_end(f->fd, f->end))
        return fail(err, IO_FAILED, "cannot repair recording %s: %s", session, strerror(errno));
    f->dirty = true;
    return OK;
}

static enum status sha_range(int fd, uint64_t from, uint64_t to, unsigned char out[32], struct err *err)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char *buf = malloc(COPY_BYTES);
    enum status st = ctx != NULL && buf != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 ? OK : fail(err, NO_MEMORY, "digest");
    while (st == OK && from < to) {
        size_t n = to - from < COPY_BYTES ? (size_t)(to - from) : COPY_BYTES;
        st = tar_pread(fd, buf, n, from, err);
        if (st == OK && EVP_DigestUpdate(ctx, buf, n) != 1)
            st = fail(err, NO_MEMORY, "digest");
        from += n;
    }
    if (st == OK && EVP_DigestFinal_ex(ctx, out, NULL) != 1)
        st = fail(err, NO_MEMORY, "digest");
    EVP_MD_CTX_free(ctx);
    free(buf);
    return st;
}

enum status session_file_digest(int fd, const struct tar_member *m, unsigned char out[32], struct err *err)
{
    return sha_range(fd, m->start, m->end, out, err);
}

/* The header may have reached the disk and the content not: compare with what the comment says. */
static bool content_whole(int fd, const struct tar_member *m)
{
    unsigned char buf[COPY_BYTES];
    uint32_t want, crc = 0;
    uint64_t end = m->content + m->content_len;
    if (!comment_content_crc(m->comment, &want))
        return false;
    for (uint64_t at = m->content; at < end;) {
        size_t n = end - at < sizeof buf ? (size_t)(end - at) : sizeof buf;
        if (tar_pread(fd, buf, n, at, NULL) != OK)
            return false;
        crc = comment_crc(crc, slice_of(buf, n));
        at += n;
    }
    return crc == want;
}

/* The members, as far as they are whole. Only the newest few can be torn in their content: those are read. */
struct walk {
    uint64_t starts[STARTS_KEPT], last;
    size_t count;
};

static enum status walk_members(struct session_file *f, uint64_t size, struct walk *w, struct err *err)
{
    struct tar_member m;
    enum status st;
    while ((st = tar_read_member(f->fd, f->end, size, &m, err)) == OK) {
        free(m.comment);
        if (m.number != f->number + 1)
            return OK;
        w->starts[w->count++ % STARTS_KEPT] = w->last = m.start;
        f->end = m.end;
        f->number = m.number;
    }
    return st == IO_FAILED || st == NO_MEMORY ? st : OK;
}

/* A segment that authz has confirmed was synced before: if its content is wrong now, that is no torn write but tampering, and stays for verify to find. */
static unsigned confirmed_before(int fd, uint64_t start, uint64_t size)
{
    struct tar_member m;
    if (tar_read_member(fd, start, size, &m, NULL) != OK)
        return 0;
    json_t *o = comment_read(m.comment);
    json_int_t n = json_integer_value(json_object_get(o, "logged"));
    json_decref(o);
    free(m.comment);
    return n > 0 && n <= TAR_NUMBER_MAX ? (unsigned)n : 0;
}

static enum status drop_torn(const char *session, struct session_file *f, uint64_t size, struct walk *w, struct err *err)
{
    size_t first = w->count > CHECKED_FROM_END ? w->count - CHECKED_FROM_END : 0;
    unsigned confirmed = w->count ? confirmed_before(f->fd, w->starts[(w->count - 1) % STARTS_KEPT], size) : 0;
    for (size_t i = first; i < w->count; i++) {
        struct tar_member m;
        enum status st = tar_read_member(f->fd, w->starts[i % STARTS_KEPT], size, &m, err);
        if (st != OK)
            return st;
        bool whole = content_whole(f->fd, &m);
        free(m.comment);
        if (!whole && m.number <= confirmed) {
            log_error("record.altered", "session", session, "why", "a logged segment is not what was written; run countersign verify");
        } else if (!whole) {
            w->last = i > 0 ? w->starts[(i - 1) % STARTS_KEPT] : 0;
            f->end = m.start;
            f->number = m.number - 1;
            return OK;
        }
    }
    return OK;
}

static enum status visit_all(struct session_file *f, uint64_t last, session_file_visit *visit, void *to, struct err *err)
{
    struct tar_member m;
    enum status st = OK;
    bool first = true;
    for (uint64_t at = last; at < f->end && st == OK; at = first ? 0 : m.end, first = false) {
        st = tar_read_member(f->fd, at, f->end, &m, err);
        if (st == OK) {
            visit(to, &m, f->fd);
            free(m.comment);
        }
    }
    return st;
}

enum status session_file_open(int dir_fd, const char *session, session_file_visit *visit, void *to, struct session_file *out, struct err *err)
{
    struct session_file f = { .fd = -1 };
    struct walk w = { .count = 0 };
    struct stat sb;
    enum status st = open_file(dir_fd, session, &f.fd, err);
    if (st != OK)
        return st;
    if (fstat(f.fd, &sb) != 0 || !S_ISREG(sb.st_mode))
        st = fail(err, IO_FAILED, "recording %s is not a file", session);
    if (st == OK)
        st = walk_members(&f, (uint64_t)sb.st_size, &w, err);
    if (st == OK)
        st = drop_torn(session, &f, (uint64_t)sb.st_size, &w, err);
    if (st == OK)
        st = repair(dir_fd, session, &f, (uint64_t)sb.st_size, err);
    if (st == OK)
        st = visit_all(&f, w.last, visit, to, err);
    if (st != OK)
        session_file_close(&f);
    else
        *out = f;
    return st;
}

enum status session_file_reopen(int dir_fd, const char *session, struct session_file *f, struct err *err)
{
    struct stat sb;
    enum status st = open_file(dir_fd, session, &f->fd, err);
    if (st != OK)
        return st;
    if (fstat(f->fd, &sb) != 0 || (uint64_t)sb.st_size != f->end + TAR_END) {
        session_file_close(f);
        return fail(err, CORRUPT, "recording %s was changed by something else while it was closed", session);
    }
    return OK;
}

void session_file_close(struct session_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

static bool write_parts(int fd, struct iovec *v, int count, uint64_t at)
{
    while (count > 0) {
        ssize_t n = pwritev(fd, v, count, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += (uint64_t)n;
        for (; count > 0 && (size_t)n >= v->iov_len; v++, count--)
            n -= (ssize_t)v->iov_len;
        if (count > 0) {
            v->iov_base = (unsigned char *)v->iov_base + n;
            v->iov_len -= (size_t)n;
        }
    }
    return true;
}

/* What stands where the end of the archive was, its first TAR_END bytes, is written last: whoever reads meanwhile, and whoever finds the file after a
 * crash in between, sees a whole archive without the new member. */
static bool write_member(int fd, uint64_t at, struct slice front, struct slice content, size_t padding)
{
    static const unsigned char zeros[TAR_BLOCK + TAR_END];
    struct slice rest = slice_from(front, TAR_END);
    struct iovec v[] = { { (void *)(uintptr_t)rest.ptr, rest.len }, { (void *)(uintptr_t)content.ptr, content.len },
                         { (void *)(uintptr_t)zeros, padding + TAR_END } };
    return write_parts(fd, v, 3, at + TAR_END) && write_all(fd, front.ptr, TAR_END, at);
}

enum status session_file_append(struct session_file *f, struct session_segment *s, struct err *err)
{
    static const unsigned char zeros[TAR_BLOCK];
    unsigned char *front;
    size_t front_len, padding = (size_t)(tar_padded(s->content.len) - s->content.len);
    enum status st = tar_front(f->number + 1, s->kind, s->sealed, s->time_ms / 1000, s->comment, s->content.len, &front, &front_len);
    if (st != OK)
        return fail(err, st, "the header of segment %u cannot be made", f->number + 1);
    const struct slice parts[] = { slice_of(front, front_len), s->content, slice_of(zeros, padding) };
    sha256(parts, 3, s->digest);
    s->bytes = front_len + s->content.len + padding;
    if (write_member(f->fd, f->end, parts[0], s->content, padding)) {
        /* The disk may begin now: the sync that follows has less to wait for. */
        (void)sync_file_range(f->fd, (off_t)f->end, (off_t)s->bytes, SYNC_FILE_RANGE_WRITE);
        f->end += s->bytes;
        f->number++;
        f->dirty = true;
    } else {
        st = fail(err, IO_FAILED, "cannot write segment %u: %s", f->number + 1, strerror(errno));
        (void)set_end(f->fd, f->end);   /* may fail like the write did; the archive is whole in any case */
    }
    free(front);
    return st;
}
