#include "proxy/courier/copies_log.h"

#include "proxy/base/clock.h"
#include "proxy/base/file.h"
#include "proxy/base/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char mark_name[] = "log.mark", checkpoint[] = "checkpoint";
enum { MARK_MAX = 64, FILE_MAX = 1 << 20 };
#define SPARE_NS INT64_C(5000000000)  /* the clock of a file and ours may differ a little, and a file may be written while we look */

static int64_t ns_of(const struct timespec *t)
{
    return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

enum status log_pass_open(struct log_pass *p, const char *root, const char *folder, struct err *err)
{
    unsigned char *text = NULL;
    size_t len;
    long long mark;
    *p = (struct log_pass){ .root = strdup(root) };
    char *path = file_join(folder, mark_name);
    if (p->root == NULL || path == NULL) {
        free(path);
        return fail(err, NO_MEMORY, "path");
    }
    if (file_read(path, MARK_MAX, true, &text, &len, NULL) == OK && sscanf((const char *)text, "1 %lld", &mark) == 1)
        p->mark_ns = mark;
    free(text);
    free(path);
    return OK;
}

static void forget(struct log_pass *p)
{
    while (p->count > 0)
        free(p->names[--p->count]);
    free(p->note);
    p->note = NULL;
    p->at = 0;
    p->open = p->more = false;
}

void log_pass_close(struct log_pass *p)
{
    forget(p);
    free(p->names);
    free(p->root);
}

static void add(struct log_pass *p, const char *name)
{
    if (p->count == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 64;
        char **more = realloc(p->names, cap * sizeof *more);
        if (more != NULL) {
            p->names = more;
            p->cap = cap;
        }
    }
    char *copy = p->count < p->cap ? strdup(name) : NULL;
    if (copy != NULL)
        p->names[p->count++] = copy;
    else
        p->more = true;
}

/* Our own names only: letters, digits, and what tlog-tiles uses between them. */
static bool is_ours(const char *name)
{
    size_t len = strlen(name), good = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-");
    return len == good && name[0] != '.' && (len < 4 || strcmp(name + len - 4, ".tmp") != 0);
}

static void look(struct log_pass *p, int fd, const char *below, int depth)
{
    DIR *d = fdopendir(fd);
    struct stat info;
    if (d == NULL) {
        close(fd);
        return;
    }
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        char name[LOG_NAME_MAX];
        int n = snprintf(name, sizeof name, "%s%s", below, e->d_name);
        if (!is_ours(e->d_name) || n < 0 || (size_t)n >= sizeof name - 1 || fstatat(dirfd(d), e->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (S_ISDIR(info.st_mode) && depth < LOG_DEPTH_MAX) {
            name[n] = '/';
            name[n + 1] = 0;
            int sub = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (sub >= 0)
                look(p, sub, name, depth + 1);
        } else if (S_ISREG(info.st_mode) && ns_of(&info.st_mtim) >= p->mark_ns && strcmp(name, checkpoint) != 0) {
            add(p, name);
        }
    }
    closedir(d);
}

void log_pass_begin(struct log_pass *p)
{
    struct stat info;
    forget(p);
    p->open = true;
    p->begun_ns = clock_wall_ms() * 1000000;
    int fd = open(p->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;                       /* not published yet */
    bool there = fstatat(fd, checkpoint, &info, AT_SYMLINK_NOFOLLOW) == 0 && ns_of(&info.st_mtim) >= p->mark_ns;
    char *path = there ? file_join(p->root, checkpoint) : NULL;
    there = path != NULL && file_read(path, CHECKPOINT_MAX, false, &p->note, &p->note_len, NULL) == OK;
    free(path);
    look(p, fd, "", 0);               /* after the checkpoint was read: its tiles were there before it */
    if (there && !p->more)
        add(p, checkpoint);
}

const char *log_pass_next(const struct log_pass *p)
{
    return p->at < p->count ? p->names[p->at] : NULL;
}

enum status log_pass_read(struct log_pass *p, unsigned char **out, size_t *len_out, struct err *err)
{
    const char *name = p->names[p->at];
    if (strcmp(name, checkpoint) == 0 && p->note != NULL) {
        *out = p->note;
        *len_out = p->note_len;
        p->note = NULL;
        return OK;
    }
    char *path = file_join(p->root, name);
    enum status st = path ? file_read(path, FILE_MAX, false, out, len_out, err) : fail(err, NO_MEMORY, "path");
    free(path);
    return st;
}

void log_pass_took(struct log_pass *p)
{
    p->at++;
}

void log_pass_end(struct log_pass *p, const char *folder)
{
    char line[MARK_MAX];
    struct err err = { .text = "no memory" };
    if (!p->more)
        p->mark_ns = p->begun_ns - SPARE_NS;
    int n = snprintf(line, sizeof line, "1 %lld\n", (long long)p->mark_ns);
    char *path = file_join(folder, mark_name);
    if (path == NULL || file_write(path, slice_of(line, (size_t)n), 0600, &err) != OK)
        log_warn("copies.unsaved", "log", p->root, "why", err.text);
    free(path);
    forget(p);
}
