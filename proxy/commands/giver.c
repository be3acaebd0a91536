#include "proxy/commands/giver.h"

#include "proxy/base/lane.h"
#include "proxy/base/log.h"
#include "proxy/base/sink.h"
#include "proxy/base/window.h"
#include "proxy/commands/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct giver {
    uv_poll_t poll;
    const char *child;
    const struct giver_source *source;
    int fd;
    bool had_config;
};

static int text_file(const char *text, const char **why)
{
    size_t len = strlen(text), done = 0;
    int fd = memfd_create("countersign-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    for (ssize_t n = 1; fd >= 0 && done < len && n > 0; done += n > 0 ? (size_t)n : 0)
        n = write(fd, text + done, len - done);
    if (fd >= 0 && done == len && fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
        return fd;
    *why = "there is no memory for the config";
    if (fd >= 0)
        close(fd);
    return -1;
}

static int give(void *arg, const char *path, bool append, const char **why)
{
    struct giver *g = arg;
    if (!append && strcmp(path, WINDOW_CONFIG) == 0) {
        bool again = g->had_config;
        g->had_config = true;
        *why = g->source->refused;
        return again && g->source->refused[0] != 0 ? -1 : text_file(g->source->config->whole, why);
    }
    if (!(append ? confine_may_append : confine_may_read)(g->child, g->source->config, path)) {
        log_warn("sandbox.not_given", "name", g->child, "path", path, "why", "the config in force does not name this file for it");
        *why = "the config in force does not name this file for this process";
        return -1;
    }
    int fd = append ? open(path, SINK_FILE_FLAGS, 0640) : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);   /* never waiting for a pipe's other end */
    if (fd < 0)
        *why = strerror(errno);
    return fd;
}

static void closed(uv_handle_t *h)
{
    free(h->data);
}

static void end(struct giver *g)
{
    if (g->fd < 0)
        return;
    uv_poll_stop(&g->poll);
    close(g->fd);
    g->fd = -1;
}

static void on_question(uv_poll_t *p, int status, int events)
{
    struct giver *g = p->data;
    struct err err;
    (void)events;
    enum status st = status < 0 ? CLOSED : window_answer(g->fd, give, g, &err);
    if (st == OK || st == AGAIN)
        return;
    if (st != CLOSED)
        log_warn("sandbox.window", "name", g->child, "why", err.text);
    end(g);
}

enum status giver_new(uv_loop_t *loop, const char *child, const struct giver_source *source, struct giver **out, int *child_fd_out, struct err *err)
{
    int fds[2];
    struct giver *g = calloc(1, sizeof *g);
    if (g == NULL)
        return fail(err, NO_MEMORY, "window");
    *g = (struct giver){ .child = child, .source = source, .fd = -1 };
    enum status st = lane_open(fds, err);
    if (st == OK && uv_poll_init(loop, &g->poll, fds[0]) != 0) {
        close(fds[0]);
        close(fds[1]);
        st = fail(err, NO_MEMORY, "window");
    }
    if (st != OK) {
        free(g);
        return st;
    }
    g->fd = fds[0];
    g->poll.data = g;
    uv_poll_start(&g->poll, UV_READABLE, on_question);
    *child_fd_out = fds[1];
    *out = g;
    return OK;
}

void giver_free(struct giver *g)
{
    if (g == NULL)
        return;
    end(g);
    if (!uv_is_closing((uv_handle_t *)&g->poll))
        uv_close((uv_handle_t *)&g->poll, closed);
}
