/* inflate: undo a content-coding of a recorded body, bounded: a small body that claims to be a huge one stops at max_bytes. */
#ifndef COUNTERSIGN_INFLATE_H
#define COUNTERSIGN_INFLATE_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <stdbool.h>

/* coding: the Content-Encoding value. "", "identity": *out is body itself, *owned NULL. "gzip", "x-gzip", "deflate": *owned is malloc'd and *out lies in it. *cut: there was more than
 * max_bytes, or the body broke off. BAD_INPUT: another coding, or nothing could be read. */
MUST_CHECK enum status body_decode(struct slice body, const char *coding, size_t max_bytes, unsigned char **owned, struct slice *out, bool *cut);

#endif
