/* zip: a ZIP file (APPNOTE 6.3.10) whose entries are stored as they are: what WACZ wants, since its parts are compressed already or must be readable by range. No entry and no file of 4 GiB or more. */
#ifndef COUNTERSIGN_COMMANDS_ZIP_H
#define COUNTERSIGN_COMMANDS_ZIP_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <stdint.h>
#include <stdio.h>

enum { ZIP_ENTRIES_MAX = 16, ZIP_NAME_MAX = 64 };

struct zip {
    FILE *out;                        /* written from its beginning to its end: a pipe will do */
    uint64_t at;
    uint16_t date, time;              /* of all entries, as MS-DOS has them, UTC */
    size_t count;
    struct zip_entry {
        char name[ZIP_NAME_MAX];
        uint32_t crc, size, offset;
    } entries[ZIP_ENTRIES_MAX];
};

void zip_begin(struct zip *z, FILE *out, int64_t wall_ms);
/* name: ASCII, no path upwards. IO_FAILED, FULL (too large, too many). */
MUST_CHECK enum status zip_add(struct zip *z, const char *name, struct slice content, struct err *err);
/* The same from a file, read from its beginning. */
MUST_CHECK enum status zip_add_file(struct zip *z, const char *name, FILE *from, struct err *err);
/* The directory at the end. */
MUST_CHECK enum status zip_end(struct zip *z, struct err *err);

#endif
