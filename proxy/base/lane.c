#include "proxy/base/lane.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum status lane_open(int fds[2], struct err *err)
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0 ? OK : fail(err, IO_FAILED, "lane: %s", strerror(errno));
}

static int option_of(int fd, int option)
{
    int value = -1;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value : -1;
}

int lane_inherited(void)
{
    const char *text = getenv(LANE_VARIABLE);
    char *end = NULL;
    long fd = text ? strtol(text, &end, 10) : -1;
    if (fd < 3 || fd > 1024 || end == text || *end != 0)
        return -1;
    if (option_of((int)fd, SO_DOMAIN) != AF_UNIX || option_of((int)fd, SO_TYPE) != SOCK_SEQPACKET || fcntl((int)fd, F_SETFD, FD_CLOEXEC) != 0)
        return -1;
    return (int)fd;
}
