/* session_file: one session's recording on disk, STATE/recordings/SESSION.tar: opened, repaired, appended to, synced.
 *
 * The end-of-archive blocks are always there and are overwritten by the next member, so stock tar reads the file at any time. While a file is
 * open it is locked (flock): two recorders never write one. */
#ifndef COUNTERSIGN_SESSION_FILE_H
#define COUNTERSIGN_SESSION_FILE_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"
#include "proxy/record/tar.h"

struct session_file {
    int fd;                           /* -1: closed */
    uint64_t end;                     /* where the next member goes */
    unsigned number;                  /* of the last one; 0: none */
    bool dirty;                       /* written since the last sync */
};

/* Called for the last member first, and then for each in order, the last once more. */
typedef void session_file_visit(void *to, const struct tar_member *m, int fd);

/* Open or make it. The members are walked; what a crash tore off at the end is cut away, the cut bytes kept in SESSION.tar.cut-OFFSET, and logged.
 * AGAIN: another process has it; IO_FAILED. */
MUST_CHECK enum status session_file_open(int dir_fd, const char *session, session_file_visit *visit, void *to, struct session_file *out,
                                         struct err *err);
/* Open again after session_file_close: checks only that it ends where it did. CORRUPT if not. */
MUST_CHECK enum status session_file_reopen(int dir_fd, const char *session, struct session_file *f, struct err *err);
void session_file_close(struct session_file *f);

struct session_segment {
    int64_t time_ms;
    struct slice comment, content;
    enum tar_kind kind;
    bool sealed;                      /* content is an age file */
    unsigned char digest[32];         /* out: SHA-256 of all bytes of the member */
    uint64_t bytes;                   /* out: how many */
};
/* Append member number + 1. IO_FAILED (disk full): nothing was added, try again later. */
MUST_CHECK enum status session_file_append(struct session_file *f, struct session_segment *s, struct err *err);
/* SHA-256 of a whole member as it lies in the file. */
MUST_CHECK enum status session_file_digest(int fd, const struct tar_member *m, unsigned char out[32], struct err *err);

#endif
