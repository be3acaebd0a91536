#include "authz/approvals/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

size_t blob_max(const struct config *c)
{
    return 4 + (size_t)BLOB_HEAD_MAX + c->limits.held_bytes;
}

enum status sealed_read(int fd, size_t max_bytes, unsigned char **out, size_t *len_out, struct err *err)
{
    struct stat sb;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS)
        return fail(err, BAD_INPUT, "the descriptor is not a memfd that is sealed against change, growth and shrinking");
    if (fstat(fd, &sb) != 0 || sb.st_size < 0 || (uint64_t)sb.st_size > max_bytes)
        return fail(err, FULL, "the held request is larger than %zu bytes", max_bytes);
    size_t want = (size_t)sb.st_size, n = 0;
    unsigned char *bytes = malloc(want + 1);
    if (bytes == NULL)
        return fail(err, NO_MEMORY, "held request");
    while (n < want) {
        ssize_t r = pread(fd, bytes + n, want - n, (off_t)n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            break;
        n += (size_t)r;
    }
    if (n < want) {
        free(bytes);
        return fail(err, BAD_INPUT, "the memfd cannot be read in full");
    }
    *out = bytes;
    *len_out = n;
    return OK;
}

enum status sealed_make(struct slice bytes, int *fd_out, struct err *err)
{
    int fd = memfd_create("held", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return fail(err, IO_FAILED, "memfd_create: %m");
    while (bytes.len > 0) {
        ssize_t r = write(fd, bytes.ptr, bytes.len);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            break;
        bytes = slice_from(bytes, (size_t)r);
    }
    if (bytes.len > 0 || fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) != 0) {
        close(fd);
        return fail(err, IO_FAILED, "cannot fill and seal a memfd: %m");
    }
    *fd_out = fd;
    return OK;
}
