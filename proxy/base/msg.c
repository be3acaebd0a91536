#include "proxy/base/msg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static enum status make_address(const char *path, struct sockaddr_un *sa, struct err *err)
{
    *sa = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof sa->sun_path)
        return fail(err, BAD_CONFIG, "socket path '%s' is longer than %zu bytes; use a shorter state folder", path,
                    sizeof sa->sun_path - 1);
    memcpy(sa->sun_path, path, strlen(path) + 1);
    return OK;
}

enum status msg_listen(const char *path, int *fd_out, struct err *err)
{
    struct sockaddr_un sa;
    enum status st = make_address(path, &sa, err);
    if (st != OK)
        return st;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(err, IO_FAILED, "socket: %s", strerror(errno));
    unlink(path);
    mode_t old = umask(0177);
    int r = bind(fd, (struct sockaddr *)&sa, sizeof sa);
    umask(old);
    if (r != 0 || listen(fd, 64) != 0) {
        st = fail(err, IO_FAILED, "cannot listen on '%s': %s", path, strerror(errno));
        close(fd);
        return st;
    }
    *fd_out = fd;
    return OK;
}

enum status msg_accept(int listen_fd, int *fd_out, struct err *err)
{
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED ? AGAIN
                                                                           : fail(err, IO_FAILED, "accept: %s", strerror(errno));
    struct ucred peer = { 0 };
    socklen_t len = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 || peer.uid != geteuid()) {
        close(fd);
        return fail(err, REFUSED, "a process of user %u may not connect", (unsigned)peer.uid);
    }
    *fd_out = fd;
    return OK;
}

enum status msg_connect(const char *path, int *fd_out, struct err *err)
{
    struct sockaddr_un sa;
    enum status st = make_address(path, &sa, err);
    if (st != OK)
        return st;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(err, IO_FAILED, "socket: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) != 0) {
        st = fail(err, errno == EAGAIN ? AGAIN : CLOSED, "cannot connect to '%s': %s", path, strerror(errno));
        close(fd);
        return st;
    }
    *fd_out = fd;
    return OK;
}

enum status msg_send(int fd, const json_t *message, const int *fds, size_t fd_count, struct err *err)
{
    char *text = fd_count <= MSG_FDS_MAX ? json_dumps(message, JSON_COMPACT) : NULL;
    if (text == NULL)
        return fail(err, NO_MEMORY, "message");
    union { struct cmsghdr align; char bytes[CMSG_SPACE(sizeof(int) * MSG_FDS_MAX)]; } control = { 0 };
    struct iovec io = { .iov_base = text, .iov_len = strlen(text) };
    struct msghdr mh = { .msg_iov = &io, .msg_iovlen = 1 };
    if (fd_count > 0) {
        mh.msg_control = control.bytes;
        mh.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * fd_count);
    }
    enum status st = OK;
    ssize_t r = -1;
    if (io.iov_len > MSG_MAX)
        st = fail(err, BAD_INPUT, "a message of %zu bytes is larger than %d", io.iov_len, MSG_MAX);
    else
        do
            r = sendmsg(fd, &mh, MSG_NOSIGNAL);
        while (r < 0 && errno == EINTR);
    if (st == OK && r < 0)
        st = errno == EAGAIN ? AGAIN : fail(err, CLOSED, "sendmsg: %s", strerror(errno));
    free(text);
    return st;
}

static void take_fds(struct msghdr *mh, int *fds_out, size_t *count_out)
{
    *count_out = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c != NULL; c = CMSG_NXTHDR(mh, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int got;
            memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof got);
            if (*count_out < MSG_FDS_MAX)
                fds_out[(*count_out)++] = got;
            else
                close(got);
        }
    }
}

enum status msg_recv(int fd, json_t **out, int *fds_out, size_t *fd_count_out, struct err *err)
{
    static _Thread_local char text[MSG_MAX + 1];
    union { struct cmsghdr align; char bytes[CMSG_SPACE(sizeof(int) * MSG_FDS_MAX)]; } control;
    struct iovec io = { .iov_base = text, .iov_len = sizeof text };
    struct msghdr mh = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control };
    ssize_t r;
    do
        r = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return errno == EAGAIN ? AGAIN : fail(err, CLOSED, "recvmsg: %s", strerror(errno));
    if (r == 0)
        return fail(err, CLOSED, "the other process closed the connection");
    size_t count = 0;
    take_fds(&mh, fds_out, &count);
    json_t *m = NULL;
    if (!(mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) && r <= MSG_MAX)
        m = json_loadb(text, (size_t)r, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(m)) {
        json_decref(m);
        while (count > 0)
            close(fds_out[--count]);
        return fail(err, BAD_INPUT, "a message is not one JSON object of at most %d bytes", MSG_MAX);
    }
    *out = m;
    *fd_count_out = count;
    return OK;
}
