#include "proxy/exchange/operator_log.h"

#include "proxy/base/file.h"

#include <stdio.h>
#include <stdlib.h>

enum { FILE_MAX = 256 * 65537, NAME_MAX_LEN = 80 };

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static bool take(struct slice *s, struct slice prefix)
{
    if (!slice_starts(*s, prefix))
        return false;
    *s = slice_from(*s, prefix.len);
    return true;
}

static bool take_number(struct slice *s)
{
    if (s->len < 3 || !is_digit(s->ptr[0]) || !is_digit(s->ptr[1]) || !is_digit(s->ptr[2]))
        return false;
    *s = slice_from(*s, 3);
    return true;
}

static bool is_width(struct slice s)
{
    unsigned n = 0;
    if (s.len == 0 || s.len > 3 || s.ptr[0] == '0')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!is_digit(s.ptr[i]))
            return false;
        n = n * 10 + (unsigned)(s.ptr[i] - '0');
    }
    return n < 256;
}

bool operator_log_name_ok(struct slice name)
{
    struct slice s = name;
    if (slice_eq(s, SLICE("checkpoint")) || slice_eq(s, SLICE("key")) || slice_eq(s, SLICE("witnessed")))
        return true;
    if (name.len > NAME_MAX_LEN || !take(&s, SLICE("tile/")))
        return false;
    if (!take(&s, SLICE("entries/"))) {
        if (s.len < 2 || !is_digit(s.ptr[0]) || s.ptr[1] != '/')
            return false;
        s = slice_from(s, 2);
    }
    while (s.len > 0 && s.ptr[0] == 'x') {
        s = slice_from(s, 1);
        if (!take_number(&s) || !take(&s, SLICE("/")))
            return false;
    }
    if (!take_number(&s))
        return false;
    return s.len == 0 || (take(&s, SLICE(".p/")) && is_width(s));
}

enum status operator_log_read(const char *folder, struct slice name, unsigned char **out, size_t *len_out, struct err *err)
{
    char *path = NULL;
    if (!operator_log_name_ok(name))
        return fail(err, NOT_FOUND, "the log has no file of this name");
    if (asprintf(&path, "%s/%.*s", folder, SLICE_ARG(name)) < 0)
        return fail(err, NO_MEMORY, "path");
    enum status st = file_read(path, FILE_MAX, false, out, len_out, err);
    free(path);
    return st;
}
