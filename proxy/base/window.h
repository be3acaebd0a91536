/* window: how a confined process (sandbox.h) reads a file that it must read anew and cannot open: the parent opens it, and passes the descriptor.
 *
 * Certificates, keys, revocation lists and secrets stand anywhere, are replaced by renaming, and a reload may name new ones. A rule of the kernel holds for a folder or for one inode, so it
 * would give too much (the folder of the revocation list is also that of the authority's key) or end with the first renewal. So the parent, which is not confined in what it reads, holds the
 * list of what the config in force names for each process (commands/confine.h), and answers for these paths only, exactly as they stand there.
 *
 *   child: {"open":"/path"}      parent: {} and the descriptor, open for reading, or {"error":"why not"}
 *   child: {"append":"/path"}    the same, open for appending, made if it is not there (the audit file)
 *   child: {"open":"config"}     parent: {} and a memory file with the whole config in force as one text (config_load_whole)
 *
 * A SEQPACKET pair that nobody else can reach, one for each life of a child; one question at a time. file_read() asks by itself when the kernel says EACCES. */
#ifndef COUNTERSIGN_WINDOW_H
#define COUNTERSIGN_WINDOW_H

#include "proxy/base/status.h"

#include <stdbool.h>

#define WINDOW_VARIABLE "COUNTERSIGN_WINDOW"   /* in the child's environment: the descriptor */
#define WINDOW_CONFIG "config"

/* The child's end, if its parent gave it one; once, before there is a second thread. */
void window_inherit(void);
/* As above, with this descriptor; -1: none (any more). */
void window_use(int fd);
bool window_there(void);
/* Ask. OK: *fd_out is the caller's. REFUSED: the parent says no. IO_FAILED: no window, or no answer within 10 s. From any thread. */
MUST_CHECK enum status window_open(const char *path, int *fd_out, struct err *err);

/* The same, for appending. */
MUST_CHECK enum status window_append(const char *path, int *fd_out, struct err *err);

/* The parent's side: read one question and answer it. give: an open descriptor for the path (it is closed here), or -1 with *why set. CLOSED, or BAD_INPUT: then close the window. */
typedef int window_give(void *arg, const char *path, bool append, const char **why);
MUST_CHECK enum status window_answer(int fd, window_give *give, void *arg, struct err *err);

#endif
