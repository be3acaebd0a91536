/* keep: copies of policies in STATE/policy, named by their digest, and which of them a process runs with. */
#include "config/loader.h"

#include "proxy/base/codec.h"
#include "proxy/base/file.h"
#include "proxy/base/window.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONTENT_MAX = 4 * 1024 * 1024, WHOLE_MAX = 4 * CONFIG_FILE_MAX };

static char *kept_path(const char *folder, const char *name, const char *end)
{
    char file[HEX_LEN(32) + 16];
    snprintf(file, sizeof file, "%s%s", name, end);
    return file_join(folder, file);
}

/* The content of one file, under the name that the policy's text has for it. */
static enum status keep_file(const char *folder, const char *source, struct err *err)
{
    unsigned char *bytes = NULL, digest[32];
    size_t len = 0;
    char name[HEX_LEN(32) + 1];
    enum status st = file_read(source, CONTENT_MAX, false, &bytes, &len, err);
    if (st != OK)
        return st;
    sha256_one(slice_of(bytes, len), digest);
    hex_encode(slice_of(digest, sizeof digest), name);
    char *path = kept_path(folder, name, ".pem");
    st = path ? file_write(path, slice_of(bytes, len), 0600, err) : fail(err, NO_MEMORY, "policy");
    free(path);
    free(bytes);
    return st;
}

enum status config_keep(const struct config *c, const char *folder, struct err *err)
{
    struct config *again = NULL;
    struct problems problems;
    char *path = kept_path(folder, c->policy_digest, ".conf");
    enum status st = path ? file_mkdirs(folder, 0700, err) : fail(err, NO_MEMORY, "policy");
    for (const struct content_file *f = c->contents; f != NULL && st == OK; f = f->next)
        st = keep_file(folder, f->path, err);
    if (st == OK)
        st = file_write(path, slice_str(c->policy), 0600, err);
    free(path);
    if (st != OK)
        return st;
    if (config_load_kept(folder, c->policy_digest, c->machine, &again, &problems) != OK)
        st = fail(err, BAD_INPUT, "the policy can't be kept: %s", problems.count > 0 ? problems.text[0] : "no memory");
    problems_done(&problems);
    config_unref(again);
    return st;
}

enum status config_load_kept(const char *folder, const char *digest, const char *machine, struct config **out, struct problems *problems)
{
    *problems = (struct problems){ 0 };
    char *path = kept_path(folder, digest, ".conf");
    enum status st = path ? load_kept_file(path, digest, machine, out, problems) : NO_MEMORY;
    free(path);
    return st;
}

/* The digest in STATE/policy/in-force; "" when there is none that reads as one. */
static void read_in_force(const char *folder, char digest[65])
{
    unsigned char *bytes = NULL;
    size_t len = 0;
    char *path = file_join(folder, "in-force");
    digest[0] = 0;
    if (path != NULL && file_read(path, 128, false, &bytes, &len, NULL) == OK && len >= 64
        && strspn((const char *)bytes, "0123456789abcdef") == 64)
        snprintf(digest, 65, "%.64s", (const char *)bytes);
    free(bytes);
    free(path);
}

static char *read_memory(int fd)
{
    struct stat sb;
    size_t size = fstat(fd, &sb) == 0 && sb.st_size >= 0 && sb.st_size <= WHOLE_MAX ? (size_t)sb.st_size : 0, n = 0;
    char *text = size > 0 ? malloc(size + 1) : NULL;
    for (ssize_t r = 1; text != NULL && n < size && r > 0; n += r > 0 ? (size_t)r : 0)
        r = pread(fd, text + n, size - n, (off_t)n);
    if (text != NULL)
        text[n] = 0;
    return text;
}

/* What the parent read, and found to be good. */
static enum status load_given(const char *path, struct config **out, struct problems *problems)
{
    int fd = -1;
    struct err err;
    *problems = (struct problems){ 0 };
    if (window_open(WINDOW_CONFIG, &fd, &err) != OK) {
        problems->text = calloc(1, sizeof *problems->text);
        if (problems->text != NULL && (problems->text[0] = strdup(err.text)) != NULL)
            problems->count = 1;
        return BAD_CONFIG;
    }
    char *whole = read_memory(fd);
    close(fd);
    enum status st = whole ? config_load_whole(path, whole, out, problems) : NO_MEMORY;
    free(whole);
    return st;
}

enum status config_load_in_force(const char *path, struct config **out, struct problems *problems)
{
    if (window_there())
        return load_given(path, out, problems);
    char digest[65];
    struct config *file = NULL;
    struct problems kept;
    enum status st = config_load_text(path, &file, problems);
    if (st != OK)
        return st;
    char *folder = config_path(file, "policy");
    if (folder != NULL)
        read_in_force(folder, digest);
    if (folder == NULL || digest[0] == 0) {
        st = folder ? OK : NO_MEMORY;
        *out = folder ? config_ref(file) : NULL;
    } else {
        st = config_load_kept(folder, digest, file->machine, out, &kept);
        struct problems *unwanted = st == OK ? &kept : problems;   /* its warnings are the file's */
        problems_done(unwanted);
        if (st != OK)
            *problems = kept;
    }
    config_unref(file);
    free(folder);
    return st;
}
