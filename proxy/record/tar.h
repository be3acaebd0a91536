/* tar: the members of a session's file (POSIX pax interchange format): for each segment a pax extended header, holding one `comment`, then the file header,
 * the content, and padding. Comments are what POSIX lets programs keep for themselves; stock tar reads over them without a warning. */
#ifndef COUNTERSIGN_TAR_H
#define COUNTERSIGN_TAR_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <stdint.h>

enum {
    TAR_BLOCK = 512,
    TAR_END = 1024,                   /* two zero blocks end an archive */
    TAR_NUMBER_MAX = 999999,          /* 000001.warc.gz.age */
    TAR_COMMENT_MAX = 1 << 20,
};
#define TAR_CONTENT_MAX (UINT64_C(1) << 32)

static inline uint64_t tar_padded(uint64_t n)
{
    return (n + TAR_BLOCK - 1) & ~(uint64_t)(TAR_BLOCK - 1);
}

/* What a member holds: records, or lines of the index of the records before it (index.h). Both are numbered in one row. */
enum tar_kind { TAR_RECORDS, TAR_INDEX };

/* What stands before the content of segment `number`: both headers and the comment, padded; malloc'd. sealed: the content is an age file, and the
 * name says so. */
MUST_CHECK enum status tar_front(unsigned number, enum tar_kind kind, bool sealed, int64_t mtime_s, struct slice comment, uint64_t content_len, unsigned char **out,
                                 size_t *len_out);

/* One member as found in a file. */
struct tar_member {
    uint64_t start, content, end;     /* offsets: first header, content, after the padding */
    uint64_t content_len;
    unsigned number;
    enum tar_kind kind;
    bool sealed;                      /* .age: the content is for auditors */
    char *comment;                    /* malloc'd, NUL-terminated; NULL: none */
};

/* Read the member that starts at `at`, in a file of `size` bytes. OK: the caller frees comment. CLOSED: the end of the archive (a zero block, or the end of
 * the file exactly). BAD_INPUT: no whole member of ours is there. IO_FAILED. */
MUST_CHECK enum status tar_read_member(int fd, uint64_t at, uint64_t size, struct tar_member *out, struct err *err);
/* The next offset after `at` where a member's first header lies, for finding the way again after a damaged one; `size` if there is none. */
uint64_t tar_resync(int fd, uint64_t at, uint64_t size);
/* Does the file end in the first TAR_END bytes of a member? Then it is a copy made, by the size the file had, while that member was appended: it has overwritten the
 * end of the archive. */
bool tar_was_growing(int fd, uint64_t at, uint64_t size);
/* All of len bytes at offset at; IO_FAILED also when the file ends before. */
MUST_CHECK enum status tar_pread(int fd, void *out, size_t len, uint64_t at, struct err *err);

#endif
