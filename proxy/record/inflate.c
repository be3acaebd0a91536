#include "proxy/record/inflate.h"

#include <stdint.h>
#include <stdlib.h>
#include <strings.h>
#include <zlib.h>

enum { FIRST_BYTES = 16 * 1024 };

/* Grow the output to twice its size, at most max. False: no more may be had. */
static bool grow(unsigned char **data, size_t *cap, size_t max)
{
    size_t next = *cap == 0 ? FIRST_BYTES : *cap * 2;
    if (next > max)
        next = max;
    if (next <= *cap)
        return false;
    unsigned char *more = realloc(*data, next);
    if (more == NULL)
        return false;
    *data = more;
    *cap = next;
    return true;
}

/* window_bits: 15 + 32 takes gzip and zlib by themselves; -15 is the bare deflate that some servers call "deflate". */
static enum status run(struct slice in, int window_bits, size_t max, unsigned char **owned, struct slice *out, bool *cut)
{
    z_stream z = { .next_in = (Bytef *)(uintptr_t)in.ptr, .avail_in = (uInt)in.len };
    unsigned char *data = NULL;
    size_t cap = 0, len = 0;
    int code = Z_OK;
    if (in.len > UINT32_MAX || inflateInit2(&z, window_bits) != Z_OK)
        return BAD_INPUT;
    while (code == Z_OK && (len < cap || grow(&data, &cap, max))) {
        uInt room = (uInt)(cap - len);
        z.next_out = data + len;
        z.avail_out = room;
        code = inflate(&z, Z_NO_FLUSH);
        len += room - z.avail_out;
    }
    inflateEnd(&z);
    if (len == 0 && code != Z_STREAM_END) {
        free(data);
        return BAD_INPUT;
    }
    *owned = data;
    *out = slice_of(data, len);
    *cut = code != Z_STREAM_END;
    return OK;
}

enum status body_decode(struct slice body, const char *coding, size_t max_bytes, unsigned char **owned, struct slice *out, bool *cut)
{
    if (coding[0] == 0 || strcasecmp(coding, "identity") == 0 || body.len == 0) {
        *owned = NULL;
        *cut = body.len > max_bytes;
        *out = slice_of(body.ptr, *cut ? max_bytes : body.len);
        return OK;
    }
    if (strcasecmp(coding, "gzip") == 0 || strcasecmp(coding, "x-gzip") == 0)
        return run(body, 15 + 16, max_bytes, owned, out, cut);
    if (strcasecmp(coding, "deflate") != 0)
        return BAD_INPUT;
    if (run(body, 15, max_bytes, owned, out, cut) == OK)
        return OK;
    return run(body, -15, max_bytes, owned, out, cut);
}
