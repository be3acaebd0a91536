/* sink: where whole lines go that must not get lost quietly, and must never keep anybody waiting: a file, standard output, syslog.
 *
 * sink_put() takes a line or says that it can't now (a full disk, a full pipe, a syslog that is away); the caller keeps the line and tries again. A line that was taken
 * in part is finished before the next one. Nothing here blocks, and nothing is ever read from a socket. One thread. */
#ifndef COUNTERSIGN_SINK_H
#define COUNTERSIGN_SINK_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <fcntl.h>
#include <stdint.h>

/* A line has at most so many bytes with its end: what a pipe takes at once, so that lines of two processes don't mix. */
enum { SINK_LINE_MAX = 4096, SINK_FRAME_MAX = SINK_LINE_MAX + 512 };
/* How a file is opened; by the parent, for a confined process (window.h). */
#define SINK_FILE_FLAGS (O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
/* Severities of syslog (RFC 5424 s6.2.1) that are used here. */
enum sink_severity { SINK_ALERT = 1, SINK_CRITICAL = 2, SINK_ERROR = 3, SINK_WARNING = 4, SINK_NOTICE = 5, SINK_INFO = 6 };

struct sink_line {
    struct slice text;                /* one line, without its end */
    const char *name;                 /* MSGID: printable, at most 32 characters count */
    enum sink_severity severity;
    int64_t time_ms;                  /* wall clock */
};

/* The line as a message of RFC 5424 from this machine (facility authpriv), counted: "LEN SP MESSAGE" (RFC 5425 s4.3, RFC 6587 s3.4.1), or not. Its length, or 0: too long. */
size_t sink_syslog_frame(const struct sink_line *line, bool counted, char out[SINK_FRAME_MAX]);

struct sink;

/* Lines are appended, one write(2) each; made with mode 0640 if it is not there. A file that was renamed or removed (logrotate) is made anew within a second. */
MUST_CHECK enum status sink_file(const char *path, struct sink **out, struct err *err);
MUST_CHECK enum status sink_stdout(struct sink **out, struct err *err);
/* where: "local": /dev/log, in the form that libc's syslog() writes; "unix:/PATH": RFC 5424 in datagrams; "udp:ADDRESS:PORT": RFC 5424 and 5426; "tcp:ADDRESS:PORT":
 * RFC 5424 with counted octets (RFC 6587 s3.4.1). Addresses are numeric. That nobody listens there yet is no error. */
MUST_CHECK enum status sink_syslog(const char *where, struct sink **out, struct err *err);
bool sink_syslog_form(const char *where);
void sink_free(struct sink *s);       /* NULL is fine */

/* True: taken. False: not now; sink_why() says why. */
bool sink_put(struct sink *s, const struct sink_line *line);
/* Once a second or so: look whether the file is still the one of this name, finish a line, connect anew. */
void sink_tick(struct sink *s);
/* Open the file anew (SIGHUP). */
void sink_reopen(struct sink *s);
/* "" while all is well. */
const char *sink_why(const struct sink *s);
/* "file", "stdout", "syslog". */
const char *sink_name(const struct sink *s);

#endif
