#include "proxy/base/sink.h"

#include "proxy/base/clock.h"
#include "proxy/base/window.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum { FRAME_MAX = SINK_FRAME_MAX, RETRY_MS = 1000, MSGID_MAX = 32, HOST_MAX = 256 };
_Static_assert(SINK_LINE_MAX <= PIPE_BUF, "a pipe takes a line at once");

enum kind { TO_FILE, TO_STDOUT, TO_LOCAL, TO_DATAGRAMS, TO_STREAM };

struct sink {
    enum kind kind;
    int fd;                           /* -1: none now */
    char *path;                       /* of the file */
    union {
        struct sockaddr any;
        struct sockaddr_un local;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } to;
    socklen_t to_len;
    int socket_type;
    int64_t tried_ms;                 /* when it was last opened or connected */
    char rest[FRAME_MAX];             /* of a line that was taken in part */
    size_t rest_len;
    char why[160];
};

/* ---- making one ---- */

static enum status make(enum kind kind, struct sink **out, struct err *err)
{
    struct sink *s = calloc(1, sizeof *s);
    if (s == NULL)
        return fail(err, NO_MEMORY, "sink");
    s->kind = kind;
    s->fd = -1;
    s->tried_ms = INT64_MIN;
    *out = s;
    return OK;
}

static bool trouble(struct sink *s, const char *what)
{
    snprintf(s->why, sizeof s->why, "%s: %s", what, strerror(errno));
    return false;
}

static bool open_file(struct sink *s)
{
    int fd = open(s->path, SINK_FILE_FLAGS, 0640);
    if (fd < 0 && errno == EACCES && window_there() && window_append(s->path, &fd, NULL) != OK) {
        fd = -1;
        errno = EACCES;
    }
    s->tried_ms = clock_mono_ms();
    if (fd < 0)
        return trouble(s, "cannot open it");
    if (s->fd >= 0)
        close(s->fd);
    s->fd = fd;
    s->why[0] = 0;
    return true;
}

enum status sink_file(const char *path, struct sink **out, struct err *err)
{
    struct sink *s = NULL;
    enum status st = make(TO_FILE, &s, err);
    if (st != OK)
        return st;
    s->path = strdup(path);
    if (s->path == NULL)
        st = fail(err, NO_MEMORY, "sink");
    else if (!open_file(s))
        st = fail(err, IO_FAILED, "'%s': %s", path, s->why);
    if (st == OK)
        *out = s;
    else
        sink_free(s);
    return st;
}

enum status sink_stdout(struct sink **out, struct err *err)
{
    enum status st = make(TO_STDOUT, out, err);
    if (st == OK)
        (*out)->fd = STDOUT_FILENO;
    return st;
}

static bool unix_address(struct sink *s, const char *path)
{
    size_t n = strlen(path);
    if (path[0] != '/' || n >= sizeof s->to.local.sun_path)
        return false;
    s->to.local.sun_family = AF_UNIX;
    memcpy(s->to.local.sun_path, path, n + 1);
    s->to_len = sizeof s->to.local;
    s->socket_type = SOCK_DGRAM;
    return true;
}

/* "192.0.2.1:514", "[2001:db8::1]:514" */
static bool inet_address(struct sink *s, const char *text, int type)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    if (colon == NULL || n < 2 || n >= sizeof host || strlen(colon + 1) > 5 || strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return false;
    long port = strtol(colon + 1, NULL, 10);
    bool six = text[0] == '[' && text[n - 1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(six ? n - 2 : n), six ? text + 1 : text);
    if (port < 1 || port > 65535)
        return false;
    s->socket_type = type;
    if (six) {
        s->to.v6.sin6_family = AF_INET6;
        s->to.v6.sin6_port = htons((uint16_t)port);
        s->to_len = sizeof s->to.v6;
        return inet_pton(AF_INET6, host, &s->to.v6.sin6_addr) == 1;
    }
    s->to.v4.sin_family = AF_INET;
    s->to.v4.sin_port = htons((uint16_t)port);
    s->to_len = sizeof s->to.v4;
    return inet_pton(AF_INET, host, &s->to.v4.sin_addr) == 1;
}

static bool address(struct sink *s, const char *where)
{
    if (strcmp(where, "local") == 0) {
        s->kind = TO_LOCAL;
        return unix_address(s, "/dev/log");
    }
    s->kind = strncmp(where, "tcp:", 4) == 0 ? TO_STREAM : TO_DATAGRAMS;
    if (strncmp(where, "unix:", 5) == 0)
        return unix_address(s, where + 5);
    if (strncmp(where, "udp:", 4) == 0)
        return inet_address(s, where + 4, SOCK_DGRAM);
    return s->kind == TO_STREAM && inet_address(s, where + 4, SOCK_STREAM);
}

bool sink_syslog_form(const char *where)
{
    struct sink s = { .fd = -1 };
    return address(&s, where);
}

/* A stream's connection comes about later: writing says AGAIN or ENOTCONN until then. */
static bool connect_now(struct sink *s)
{
    s->tried_ms = clock_mono_ms();
    s->rest_len = 0;                  /* of a connection that is gone: the rest means nothing to the next one */
    s->fd = socket(s->to.any.sa_family, s->socket_type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0)
        return trouble(s, "cannot make a socket");
    if (connect(s->fd, &s->to.any, s->to_len) == 0 || errno == EINPROGRESS)
        return true;
    (void)trouble(s, "cannot connect");
    close(s->fd);
    s->fd = -1;
    return false;
}

enum status sink_syslog(const char *where, struct sink **out, struct err *err)
{
    struct sink *s = NULL;
    enum status st = make(TO_LOCAL, &s, err);
    if (st != OK)
        return st;
    if (!address(s, where)) {
        sink_free(s);
        return fail(err, BAD_CONFIG, "'%s' is no place of a syslog", where);
    }
    (void)connect_now(s);
    *out = s;
    return OK;
}

void sink_free(struct sink *s)
{
    if (s == NULL)
        return;
    if (s->fd >= 0 && s->kind != TO_STDOUT)
        close(s->fd);
    free(s->path);
    free(s);
}

/* ---- writing ---- */

static bool drop(struct sink *s, const char *what)
{
    (void)trouble(s, what);
    close(s->fd);
    s->fd = -1;
    return false;
}

/* A pipe or terminal that others write to as well keeps its mode; asking first does the same, since a pipe that has room takes PIPE_BUF bytes. */
static bool has_room(const struct sink *s)
{
    struct pollfd p = { .fd = s->fd, .events = POLLOUT };
    return s->kind != TO_STDOUT || (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT));
}

/* Bytes written, 0: not now. */
static size_t write_some(struct sink *s, struct slice bytes)
{
    ssize_t n;
    if (!has_room(s)) {
        errno = EAGAIN;
        (void)trouble(s, "it takes nothing now");
        return 0;
    }
    do
        n = s->kind == TO_FILE || s->kind == TO_STDOUT ? write(s->fd, bytes.ptr, bytes.len) : send(s->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        return (size_t)n;
    (void)trouble(s, "cannot write");
    if (s->kind == TO_FILE || s->kind == TO_STDOUT || errno == EAGAIN || errno == ENOBUFS || errno == ENOTCONN)
        return 0;
    (void)drop(s, "cannot write");
    return 0;
}

static bool finish_rest(struct sink *s)
{
    if (s->rest_len == 0)
        return true;
    size_t n = write_some(s, slice_of(s->rest, s->rest_len));
    if (n == 0)
        return false;
    memmove(s->rest, s->rest + n, s->rest_len - n);
    s->rest_len -= n;
    return s->rest_len == 0;
}

static bool ready(struct sink *s)
{
    if (s->fd >= 0)
        return finish_rest(s);
    if (s->tried_ms != INT64_MIN && clock_mono_ms() - s->tried_ms < RETRY_MS)
        return false;
    return s->kind == TO_FILE ? open_file(s) && finish_rest(s) : connect_now(s);
}

/* Bytes of syslog's header that others may not make longer or break: printable ASCII without space. */
static void word(const char *text, size_t max, char *out)
{
    size_t n = 0;
    for (; text[n] != 0 && n < max; n++)
        out[n] = text[n] > 0x20 && text[n] < 0x7f ? text[n] : '_';
    if (n == 0)
        out[n++] = '-';
    out[n] = 0;
}

/* RFC 5424 s6: "<PRI>1 TIME HOST APP PROCID MSGID SD MSG" */
size_t sink_syslog_frame(const struct sink_line *line, bool counted, char out[SINK_FRAME_MAX])
{
    char when[CLOCK_TEXT_MAX], msgid[MSGID_MAX + 1], name[HOST_MAX] = "", host[HOST_MAX], body[FRAME_MAX];
    int n;
    if (gethostname(name, sizeof name - 1) != 0)
        name[0] = 0;
    clock_rfc3339(line->time_ms, when);
    word(line->name, MSGID_MAX, msgid);
    word(name, HOST_MAX - 1, host);
    n = snprintf(body, sizeof body, "<%d>1 %s %s countersign %d %s - %.*s", LOG_AUTHPRIV | (int)line->severity, when, host, (int)getpid(), msgid, SLICE_ARG(line->text));
    if (n < 0 || n >= (int)sizeof body)
        return 0;
    n = counted ? snprintf(out, FRAME_MAX, "%d %s", n, body) : snprintf(out, FRAME_MAX, "%s", body);
    return n > 0 && n < FRAME_MAX ? (size_t)n : 0;
}

/* Locally what glibc's syslog() sends: "<PRI>Mmm dd hh:mm:ss APP[PID]: MSG". */
static size_t frame(const struct sink *s, const struct sink_line *line, char out[FRAME_MAX])
{
    char when[CLOCK_TEXT_MAX];
    int n;
    if (s->kind == TO_STREAM || s->kind == TO_DATAGRAMS)
        return sink_syslog_frame(line, s->kind == TO_STREAM, out);
    if (s->kind == TO_LOCAL) {
        time_t t = (time_t)(line->time_ms / 1000);
        struct tm tm;
        localtime_r(&t, &tm);
        strftime(when, sizeof when, "%b %e %H:%M:%S", &tm);
        n = snprintf(out, FRAME_MAX, "<%d>%s countersign[%d]: %.*s", LOG_AUTHPRIV | (int)line->severity, when, (int)getpid(), SLICE_ARG(line->text));
    } else {
        n = snprintf(out, FRAME_MAX, "%.*s\n", SLICE_ARG(line->text));
    }
    return n > 0 && n < FRAME_MAX ? (size_t)n : 0;
}

bool sink_put(struct sink *s, const struct sink_line *line)
{
    char out[FRAME_MAX];
    size_t n = line->text.len < SINK_LINE_MAX ? frame(s, line, out) : 0;
    if (n == 0) {
        errno = EMSGSIZE;
        return trouble(s, "a line is too long");
    }
    if (!ready(s))
        return false;
    size_t done = write_some(s, slice_of(out, n));
    if (done == 0)
        return false;
    if (done < n) {                   /* a stream or a disk that became full within the line: it is taken, and finished first */
        memcpy(s->rest, out + done, n - done);
        s->rest_len = n - done;
    }
    s->why[0] = 0;
    return true;
}

/* Is the open file still the one of that name? */
static bool moved(const struct sink *s)
{
    struct stat here, there;
    return fstat(s->fd, &here) != 0 || lstat(s->path, &there) != 0 || here.st_ino != there.st_ino || here.st_dev != there.st_dev;
}

void sink_tick(struct sink *s)
{
    if (s->fd >= 0)
        (void)finish_rest(s);
    if (s->kind == TO_FILE && s->rest_len == 0 && (s->fd < 0 || moved(s)))
        (void)open_file(s);
}

void sink_reopen(struct sink *s)
{
    if (s->kind == TO_FILE && s->rest_len == 0)
        (void)open_file(s);
}

const char *sink_why(const struct sink *s)
{
    return s->why;
}

const char *sink_name(const struct sink *s)
{
    return s->kind == TO_FILE ? "file" : s->kind == TO_STDOUT ? "stdout" : "syslog";
}
