#include "proxy/commands/auditor.h"

#include "proxy/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum status auditor_keys(struct profile *p, struct age_keys **out, struct err *err)
{
    *out = NULL;
    enum status st = p->auditor_key == NULL ? profile_fill(p, NULL, err) : OK;
    return st == OK && p->auditor_key != NULL ? age_keys_load(p->auditor_key, out, err) : st;
}

static bool write_all(int fd, const char *text)
{
    size_t len = strlen(text);
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        text += n;
        len -= (size_t)n;
    }
    return fsync(fd) == 0 || errno == EINVAL;   /* a pipe or a terminal */
}

/* O_EXCL: a key that is overwritten is every recording sealed to it lost. */
static enum status write_new(const char *path, const char *text, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return errno == EEXIST ? fail(err, EXISTS, "'%s' is there already, and stays as it is. Next: name another file", path)
                               : fail(err, IO_FAILED, "cannot write '%s': %s", path, strerror(errno));
    bool good = write_all(fd, text);
    int why = errno;
    if (close(fd) == 0 && good)
        return OK;
    unlink(path);
    return fail(err, IO_FAILED, "cannot write '%s': %s", path, strerror(why));
}

enum status auditor_key_write(const char *path, char public_key[AGE_PUBLIC_LEN + 1], struct err *err)
{
    char secret[AGE_SECRET_LEN + 1], text[300], when[32];
    time_t now = (time_t)clock_wall_s();
    struct tm tm;
    enum status st = age_key_make(secret, public_key, err);
    if (st == OK) {
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
        snprintf(text, sizeof text, "# created: %s\n# public key: %s\n%s\n", when, public_key, secret);
        st = path != NULL ? write_new(path, text, err) : write_all(STDOUT_FILENO, text) ? OK : fail(err, IO_FAILED, "cannot write the key: %s", strerror(errno));
    }
    OPENSSL_cleanse(secret, sizeof secret);
    OPENSSL_cleanse(text, sizeof text);
    return st;
}
