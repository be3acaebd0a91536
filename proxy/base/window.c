#include "proxy/base/window.h"

#include "proxy/base/msg.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { ANSWER_MS = 10000 };

static int window = -1;
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

void window_use(int fd)
{
    window = fd;
}

void window_inherit(void)
{
    const char *text = getenv(WINDOW_VARIABLE);
    char *end = NULL;
    long fd = text ? strtol(text, &end, 10) : -1;
    if (fd >= 3 && fd < 65536 && *end == 0 && fcntl((int)fd, F_SETFD, FD_CLOEXEC) == 0)
        window_use((int)fd);
}

bool window_there(void)
{
    return window >= 0;
}

static enum status receive(int *fd_out, struct err *err)
{
    json_t *m = NULL;
    int fds[MSG_FDS_MAX];
    size_t count = 0;
    struct pollfd p = { .fd = window, .events = POLLIN };
    enum status st = AGAIN;
    while (st == AGAIN)               /* a signal may have woken us */
        st = poll(&p, 1, ANSWER_MS) == 0 ? fail(err, IO_FAILED, "the parent does not answer") : msg_recv(window, &m, fds, &count, err);
    if (st != OK)
        return st;
    const char *no = json_string_value(json_object_get(m, "error"));
    if (no != NULL || count != 1)
        st = fail(err, REFUSED, "%.200s", no ? no : "the parent's answer makes no sense");
    json_decref(m);
    while (st != OK && count > 0)
        close(fds[--count]);
    if (st == OK)
        *fd_out = fds[0];
    return st;
}

static enum status ask(const char *what, const char *path, int *fd_out, struct err *err)
{
    if (window < 0)
        return fail(err, IO_FAILED, "this process has nobody to ask for '%s'", path);
    json_t *m = json_pack("{s:s}", what, path);
    pthread_mutex_lock(&one_at_a_time);
    enum status st = m ? msg_send(window, m, NULL, 0, err) : fail(err, NO_MEMORY, "window");
    if (st == OK)
        st = receive(fd_out, err);
    if (st != OK && st != REFUSED && st != NO_MEMORY)
        window_use(-1);               /* a late answer would be taken for another one */
    pthread_mutex_unlock(&one_at_a_time);
    json_decref(m);
    return st;
}

enum status window_open(const char *path, int *fd_out, struct err *err)
{
    return ask("open", path, fd_out, err);
}

enum status window_append(const char *path, int *fd_out, struct err *err)
{
    return ask("append", path, fd_out, err);
}

enum status window_answer(int fd, window_give *give, void *arg, struct err *err)
{
    json_t *m = NULL;
    int fds[MSG_FDS_MAX];
    size_t count = 0;
    enum status st = msg_recv(fd, &m, fds, &count, err);
    if (st != OK)
        return st;
    while (count > 0)
        close(fds[--count]);
    const char *to_append = json_string_value(json_object_get(m, "append")), *path = to_append ? to_append : json_string_value(json_object_get(m, "open")), *why = "it makes no sense";
    int given = path ? give(arg, path, to_append != NULL, &why) : -1;
    json_t *answer = given >= 0 ? json_object() : json_pack("{s:s}", "error", why);
    st = answer ? msg_send(fd, answer, &given, given >= 0, err) : fail(err, NO_MEMORY, "window");
    if (given >= 0)
        close(given);
    json_decref(answer);
    json_decref(m);
    return st == AGAIN ? fail(err, BAD_INPUT, "it does not read what it asked for") : st;
}
