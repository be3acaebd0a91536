/* file: whole small files, read with care and written so that a crash leaves the old or the new one. */
#ifndef COUNTERSIGN_FILE_H
#define COUNTERSIGN_FILE_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <sys/types.h>

/* Read a regular file of at most max_bytes; *out is malloc'd and has a NUL after its len bytes. NOT_FOUND, BAD_INPUT
 * (too large), IO_FAILED. In a confined process the parent is asked for what may not be opened here (window.h). `secret`: refuse one that group or others can read, or that another user owns. */
MUST_CHECK enum status file_read(const char *path, size_t max_bytes, bool secret, unsigned char **out, size_t *len_out,
                                 struct err *err);
/* Write beside, fsync, rename over, fsync the folder. mode such as 0600. */
MUST_CHECK enum status file_write(const char *path, struct slice content, mode_t mode, struct err *err);
/* mkdir -p, each new folder with mode; an existing one is fine. */
MUST_CHECK enum status file_mkdirs(const char *path, mode_t mode, struct err *err);
/* "dir/name", malloc'd; name itself when it is absolute. NULL: no memory. */
char *file_join(const char *dir, const char *name);

#endif
