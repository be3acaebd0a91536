/* copies_log: which files of the published log (STATE/log) are to be copied: those that changed since the last whole pass, the checkpoint after all tiles, so that a copy's checkpoint never
 * speaks of tiles that are not there. */
#ifndef COUNTERSIGN_COPIES_LOG_H
#define COUNTERSIGN_COPIES_LOG_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOG_NAME_MAX = 200, LOG_DEPTH_MAX = 8, CHECKPOINT_MAX = 1 << 16 };

struct log_pass {
    char *root;                       /* STATE/log */
    int64_t mark_ns, begun_ns;        /* files changed before mark_ns were copied */
    char **names;                     /* below root */
    size_t count, at, cap;
    unsigned char *note;              /* the checkpoint as it was when the pass began; malloc'd, or NULL */
    size_t note_len;
    bool open, more;                  /* more: not all could be remembered, so the mark stays */
};

/* folder: STATE/copies, where the mark is kept. */
MUST_CHECK enum status log_pass_open(struct log_pass *p, const char *root, const char *folder, struct err *err);
void log_pass_close(struct log_pass *p);
void log_pass_begin(struct log_pass *p);
/* The next file, or NULL: all of this pass are there. */
const char *log_pass_next(const struct log_pass *p);
/* What it holds, malloc'd. NOT_FOUND: a partial tile that is no more, since it grew into another one. */
MUST_CHECK enum status log_pass_read(struct log_pass *p, unsigned char **out, size_t *len_out, struct err *err);
/* It was copied, or is no more. */
void log_pass_took(struct log_pass *p);
/* All were: remember it. */
void log_pass_end(struct log_pass *p, const char *folder);

#endif
