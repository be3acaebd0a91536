#include "proxy/base/file.h"

#include "proxy/base/window.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status read_all(int fd, const char *path, unsigned char *data, size_t want, size_t *len_out, struct err *err)
{
    size_t n = 0;
    while (n < want) {
        ssize_t r = read(fd, data + n, want - n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return fail(err, IO_FAILED, "cannot read '%s': %s", path, strerror(errno));
        if (r == 0)
            break;
        n += (size_t)r;
    }
    *len_out = n;
    return OK;
}

static enum status check_file(int fd, const char *path, size_t max_bytes, bool secret, size_t *size_out, struct err *err)
{
    struct stat sb;
    if (fstat(fd, &sb) != 0)
        return fail(err, IO_FAILED, "cannot stat '%s': %s", path, strerror(errno));
    if (!S_ISREG(sb.st_mode))
        return fail(err, BAD_INPUT, "'%s' is not a regular file", path);
    if ((unsigned long long)sb.st_size > max_bytes)
        return fail(err, BAD_INPUT, "'%s' is larger than %zu bytes", path, max_bytes);
    if (secret && ((sb.st_mode & 077) != 0 || (sb.st_uid != geteuid() && sb.st_uid != 0)))
        return fail(err, BAD_CONFIG, "'%s' can be read by others; run: chmod 600 '%s'", path, path);
    *size_out = (size_t)sb.st_size;
    return OK;
}

enum status file_read(const char *path, size_t max_bytes, bool secret, unsigned char **out, size_t *len_out, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == EACCES && window_there()) {   /* confined: the parent opens what the config names */
        struct err no;
        if (window_open(path, &fd, &no) != OK)
            return fail(err, IO_FAILED, "cannot open '%s': %s", path, no.text);
    }
    if (fd < 0)
        return fail(err, errno == ENOENT ? NOT_FOUND : IO_FAILED, "cannot open '%s': %s", path, strerror(errno));
    size_t size = 0, len = 0;
    unsigned char *data = NULL;
    enum status st = check_file(fd, path, max_bytes, secret, &size, err);
    if (st != OK)
        goto done;
    data = malloc(size + 1);
    if (data == NULL) {
        st = fail(err, NO_MEMORY, "reading '%s'", path);
        goto done;
    }
    st = read_all(fd, path, data, size, &len, err);
    if (st != OK)
        goto done;
    data[len] = 0;
    *out = data;
    *len_out = len;
    data = NULL;
done:
    free(data);
    close(fd);
    return st;
}

static enum status write_all(int fd, const char *path, struct slice s, struct err *err)
{
    while (s.len) {
        ssize_t r = write(fd, s.ptr, s.len);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return fail(err, IO_FAILED, "cannot write '%s': %s", path, strerror(errno));
        s = slice_from(s, (size_t)r);
    }
    if (fsync(fd) != 0)
        return fail(err, IO_FAILED, "cannot fsync '%s': %s", path, strerror(errno));
    return OK;
}

static void sync_folder_of(const char *path)
{
    char dir[4096];
    const char *slash = strrchr(path, '/');
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

enum status file_write(const char *path, struct slice content, mode_t mode, struct err *err)
{
    char beside[4096];
    if (snprintf(beside, sizeof beside, "%s.new-%ld", path, (long)getpid()) >= (int)sizeof beside)
        return fail(err, BAD_INPUT, "the path is too long: '%.80s...'", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return fail(err, IO_FAILED, "cannot create '%s': %s", beside, strerror(errno));
    enum status st = write_all(fd, beside, content, err);
    close(fd);
    if (st == OK && rename(beside, path) != 0)
        st = fail(err, IO_FAILED, "cannot rename to '%s': %s", path, strerror(errno));
    if (st != OK)
        unlink(beside);
    else
        sync_folder_of(path);
    return st;
}

enum status file_mkdirs(const char *path, mode_t mode, struct err *err)
{
    char part[4096];
    if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part)
        return fail(err, BAD_INPUT, "the path is too long: '%.80s...'", path);
    for (char *p = part + 1;; p++) {
        char c = *p;
        if (c != '/' && c != 0)
            continue;
        *p = 0;
        if (mkdir(part, mode) != 0 && errno != EEXIST)
            return fail(err, IO_FAILED, "cannot make the folder '%s': %s", part, strerror(errno));
        *p = c;
        if (c == 0)
            return OK;
    }
}

char *file_join(const char *dir, const char *name)
{
    if (name[0] == '/')
        return strdup(name);
    char *out = NULL;
    return asprintf(&out, "%s/%s", dir, name) < 0 ? NULL : out;
}
