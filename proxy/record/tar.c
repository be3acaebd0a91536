#include "proxy/record/tar.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ustar header (POSIX pax, "ustar Interchange Format"). */
struct ustar {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], typeflag, linkname[100], magic[6], version[2], uname[32],
        gname[32], devmajor[8], devminor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct ustar) == TAR_BLOCK, "a header is one block");

static unsigned checksum_of(const struct ustar *h)
{
    const unsigned char *p = (const unsigned char *)h;
    const size_t from = offsetof(struct ustar, checksum);
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof *h; i++)
        sum += i >= from && i < from + sizeof h->checksum ? ' ' : p[i];
    return sum;
}

static void put_octal(char *out, size_t len, uint64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%0*llo", (int)len - 1, (unsigned long long)v);
    memcpy(out, text, len);
}

static void make_header(struct ustar *h, char type, const char *name, uint64_t size, int64_t mtime_s)
{
    memset(h, 0, sizeof *h);
    snprintf(h->name, sizeof h->name, "%s", name);
    put_octal(h->mode, sizeof h->mode, 0600);
    put_octal(h->uid, sizeof h->uid, 0);
    put_octal(h->gid, sizeof h->gid, 0);
    put_octal(h->size, sizeof h->size, size);
    put_octal(h->mtime, sizeof h->mtime, mtime_s > 0 ? (uint64_t)mtime_s & 077777777777 : 0);
    h->typeflag = type;
    memcpy(h->magic, "ustar", 6);
    memcpy(h->version, "00", 2);
    char sum[16];
    snprintf(sum, sizeof sum, "%06o", checksum_of(h));
    memcpy(h->checksum, sum, 7);   /* six digits and NUL, then a space */
    h->checksum[7] = ' ';
}

/* "LEN comment=VALUE\n", LEN counting itself. */
static size_t pax_record_len(size_t value_len)
{
    size_t body = sizeof " comment=\n" - 1 + value_len, len = body + 1;
    for (;;) {
        int digits = snprintf(NULL, 0, "%zu", len);
        if (body + (size_t)digits == len)
            return len;
        len = body + (size_t)digits;
    }
}

static const char *const kind_name[] = { [TAR_RECORDS] = ".warc.gz", [TAR_INDEX] = ".index.jsonl.gz" };

enum status tar_front(unsigned number, enum tar_kind kind, bool sealed, int64_t mtime_s, struct slice comment, uint64_t content_len, unsigned char **out,
                      size_t *len_out)
{
    char name[48];
    size_t record = pax_record_len(comment.len), total = 2 * TAR_BLOCK + (size_t)tar_padded(record);
    if (number == 0 || number > TAR_NUMBER_MAX || comment.len > TAR_COMMENT_MAX || content_len > TAR_CONTENT_MAX)
        return FULL;
    unsigned char *p = calloc(1, total);
    if (p == NULL)
        return NO_MEMORY;
    snprintf(name, sizeof name, "PaxHeaders/%06u%s%s", number, kind_name[kind], sealed ? ".age" : "");
    make_header((struct ustar *)p, 'x', name, record, mtime_s);
    int n = snprintf((char *)p + TAR_BLOCK, record + 1, "%zu comment=", record);
    memcpy(p + TAR_BLOCK + n, comment.ptr, comment.len);
    p[TAR_BLOCK + record - 1] = '\n';
    make_header((struct ustar *)(p + total - TAR_BLOCK), '0', name + sizeof "PaxHeaders/" - 1, content_len, mtime_s);
    *out = p;
    *len_out = total;
    return OK;
}

/* Reading. */

static bool get_octal(const char *text, size_t len, uint64_t *out)
{
    uint64_t n = 0;
    for (size_t i = 0; i + 1 < len; i++) {
        if (text[i] < '0' || text[i] > '7')
            return false;
        n = n << 3 | (unsigned)(text[i] - '0');
    }
    *out = n;
    return text[len - 1] == 0;
}

static bool header_ok(const struct ustar *h, char type, uint64_t *size_out)
{
    uint64_t sum = 0;
    return memcmp(h->magic, "ustar\0" "00", 8) == 0 && h->typeflag == type && get_octal(h->checksum, 7, &sum) && sum == checksum_of(h)
           && get_octal(h->size, sizeof h->size, size_out);
}

enum status tar_pread(int fd, void *out, size_t len, uint64_t at, struct err *err)
{
    unsigned char *p = out;
    while (len > 0) {
        ssize_t n = pread(fd, p, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail(err, IO_FAILED, "cannot read at %llu: %s", (unsigned long long)at, n < 0 ? strerror(errno) : "the file ends");
        p += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return OK;
}

static bool is_front(const unsigned char block[TAR_BLOCK])
{
    uint64_t size;
    struct ustar h;
    memcpy(&h, block, sizeof h);
    return header_ok(&h, 'x', &size);
}

bool tar_was_growing(int fd, uint64_t at, uint64_t size)
{
    unsigned char block[TAR_BLOCK];
    return size - at == TAR_END && tar_pread(fd, block, sizeof block, at, NULL) == OK && is_front(block);
}

uint64_t tar_resync(int fd, uint64_t at, uint64_t size)
{
    unsigned char buf[64 * TAR_BLOCK];
    at += TAR_BLOCK;
    while (at < size && size - at >= TAR_BLOCK) {
        size_t n = size - at < sizeof buf ? (size_t)((size - at) / TAR_BLOCK * TAR_BLOCK) : sizeof buf;
        if (tar_pread(fd, buf, n, at, NULL) != OK)
            return size;
        for (size_t i = 0; i < n; i += TAR_BLOCK)
            if (is_front(buf + i))
                return at + i;
        at += n;
    }
    return size;
}

static bool read_name(const struct ustar *h, struct tar_member *m)
{
    unsigned n = 0;
    for (size_t i = 0; i < 6; i++) {
        if (h->name[i] < '0' || h->name[i] > '9')
            return false;
        n = n * 10 + (unsigned)(h->name[i] - '0');
    }
    m->number = n;
    for (m->kind = TAR_RECORDS; m->kind <= TAR_INDEX; m->kind++) {
        size_t len = strlen(kind_name[m->kind]);
        const char *rest = h->name + 6 + len;
        if (strncmp(h->name + 6, kind_name[m->kind], len) != 0)
            continue;
        m->sealed = strncmp(rest, ".age", sizeof ".age") == 0;
        return n > 0 && (m->sealed || rest[0] == 0);
    }
    return false;
}

/* The value of the one record that we write; NULL when it isn't that. */
static char *read_comment(const char *text, size_t len)
{
    char *end;
    size_t said = strtoul(text, &end, 10);
    if (said != len || strncmp(end, " comment=", 9) != 0 || text[len - 1] != '\n')
        return NULL;
    end += 9;
    return strndup(end, len - 1 - (size_t)(end - text));
}

static enum status read_pax(int fd, uint64_t at, uint64_t len, char **out, struct err *err)
{
    char *text = malloc((size_t)len + 1);
    if (text == NULL)
        return fail(err, NO_MEMORY, "comment of a segment");
    enum status st = tar_pread(fd, text, (size_t)len, at, err);
    text[len] = 0;
    *out = st == OK && len > 0 ? read_comment(text, (size_t)len) : NULL;
    free(text);
    if (st == OK && *out == NULL)
        st = fail(err, BAD_INPUT, "the header at %llu holds no comment of ours", (unsigned long long)at);
    return st;
}

enum status tar_read_member(int fd, uint64_t at, uint64_t size, struct tar_member *out, struct err *err)
{
    static const unsigned char zeros[TAR_BLOCK];
    struct ustar h;
    uint64_t pax_len = 0;
    if (at == size)
        return CLOSED;
    if (at > size || size - at < sizeof h)
        return fail(err, BAD_INPUT, "%llu bytes are left over at the end", (unsigned long long)(size - at));
    enum status st = tar_pread(fd, &h, sizeof h, at, err);
    if (st != OK)
        return st;
    if (memcmp(&h, zeros, sizeof h) == 0)
        return CLOSED;
    if (!header_ok(&h, 'x', &pax_len) || pax_len > TAR_COMMENT_MAX + 64)
        return fail(err, BAD_INPUT, "no header of a segment at %llu", (unsigned long long)at);
    struct tar_member m = { .start = at };
    uint64_t second = at + TAR_BLOCK + tar_padded(pax_len);
    if (second > size || size - second < sizeof h)
        return fail(err, BAD_INPUT, "the headers at %llu are cut off", (unsigned long long)at);
    st = tar_pread(fd, &h, sizeof h, second, err);
    if (st != OK)
        return st;
    if (!header_ok(&h, '0', &m.content_len) || m.content_len > TAR_CONTENT_MAX || !read_name(&h, &m))
        return fail(err, BAD_INPUT, "no file header of a segment at %llu", (unsigned long long)second);
    m.content = second + TAR_BLOCK;
    m.end = m.content + tar_padded(m.content_len);
    if (m.end > size)
        return fail(err, BAD_INPUT, "segment %u is cut off: %llu bytes are missing", m.number, (unsigned long long)(m.end - size));
    st = read_pax(fd, at + TAR_BLOCK, pax_len, &m.comment, err);
    if (st == OK)
        *out = m;
    return st;
}
