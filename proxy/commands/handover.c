#include "proxy/commands/handover.h"

#include "proxy/base/log.h"
#include "proxy/base/msg.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ASK_MS = 10000, YOURS_MS = 60000, SEND_MS = 2000 };

static enum status send_one(int fd, json_t *m, const int *fds, size_t fd_count, struct err *err)
{
    enum status st = m ? msg_send(fd, m, fds, fd_count, err) : fail(err, NO_MEMORY, "message");
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    while (st == AGAIN && poll(&p, 1, SEND_MS) == 1)
        st = msg_send(fd, m, fds, fd_count, err);
    json_decref(m);
    return st;
}

/* ---- the old side ---- */

static void on_listen(uv_poll_t *p, int status, int events);

/* One at a time: the next one waits in the kernel. */
static void peer_closed(uv_handle_t *handle)
{
    struct handover *h = handle->data;
    if (h->listening)
        uv_poll_start(&h->listen, UV_READABLE, on_listen);
}

static void drop_peer(struct handover *h)
{
    if (!h->talking)
        return;
    h->talking = false;
    uv_poll_stop(&h->peer);
    close(h->peer_fd);
    h->peer_fd = -1;
    uv_close((uv_handle_t *)&h->peer, peer_closed);
    if (h->going)
        h->lost(h->arg);
    h->going = false;
}

static enum status pass_ring(struct handover *h, int ring, int wake, struct err *err)
{
    int pair[2] = { ring, wake };
    return send_one(h->peer_fd, json_pack("{s:b}", "ring", 1), pair, 2, err);
}

static enum status pass_everything(struct handover *h, struct err *err)
{
    const struct inherit *in = h->in;
    enum status st = send_one(h->peer_fd, json_pack("{s:i,s:i,s:i}", "workers", (int)in->workers, "listeners", (int)in->listeners, "rings",
                                                    (int)(in->workers + in->old_count)), NULL, 0, err);
    for (unsigned w = 0; w < in->workers; w++)
        for (unsigned l = 0; l < in->listeners && st == OK; l++)
            st = send_one(h->peer_fd, json_pack("{s:b}", "listener", 1), &in->worker[w].listeners[l], 1, err);
    for (unsigned w = 0; w < in->workers && st == OK; w++)
        st = pass_ring(h, in->worker[w].ring, in->worker[w].wake, err);
    for (unsigned i = 0; i < in->old_count && st == OK; i++)
        st = pass_ring(h, in->old[i].ring, in->old[i].wake, err);
    return st;
}

static enum status answer(struct handover *h, const json_t *m, struct err *err)
{
    const char *op = json_string_value(json_object_get(m, "op"));
    if (op != NULL && strcmp(op, "takeover") == 0) {
        const char *no = h->why_not(h->arg);
        h->asked = no == NULL;
        return no ? send_one(h->peer_fd, json_pack("{s:s}", "error", no), NULL, 0, err) : pass_everything(h, err);
    }
    if (op == NULL || strcmp(op, "go") != 0 || !h->asked || h->going || h->why_not(h->arg) != NULL)
        return fail(err, BAD_INPUT, "a message that makes no sense now");
    h->going = true;
    h->go(h->arg);
    return OK;
}

static void on_peer(uv_poll_t *p, int status, int events)
{
    struct handover *h = p->data;
    json_t *m = NULL;
    int fds[MSG_FDS_MAX];
    size_t fd_count = 0;
    struct err err;
    (void)events;
    enum status st = status < 0 ? CLOSED : msg_recv(h->peer_fd, &m, fds, &fd_count, &err);
    if (st == AGAIN)
        return;
    if (st == OK)
        st = answer(h, m, &err);
    json_decref(m);
    while (fd_count > 0)
        close(fds[--fd_count]);
    if (st != OK && st != CLOSED)
        log_warn("handover.failed", "why", err.text);
    if (st != OK)
        drop_peer(h);
}

/* A successor is started by somebody else. An owned proxy may connect here (the kernel has no rule for Unix sockets), and would end the gateway by saying that it is one. */
static bool is_own_child(const struct handover *h, int fd)
{
    struct ucred peer = { 0 };
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 || (peer.pid > 0 && h->is_own(h->arg, (int)peer.pid));
}

static void on_listen(uv_poll_t *p, int status, int events)
{
    struct handover *h = p->data;
    struct err err;
    int fd;
    (void)status;
    (void)events;
    if (msg_accept(h->listen_fd, &fd, &err) != OK)
        return;
    if (is_own_child(h, fd)) {
        log_error("handover.own", "why", "a process of this gateway asked for its place; foreign code may run in it", "next", "it was refused; keep this log, and look for the cause");
        close(fd);
        return;
    }
    if (uv_poll_init(p->loop, &h->peer, fd) != 0) {
        close(fd);
        return;
    }
    uv_poll_stop(p);
    h->peer_fd = fd;
    h->peer.data = h;
    h->talking = true;
    h->asked = false;
    uv_poll_start(&h->peer, UV_READABLE, on_peer);
}

enum status handover_listen(struct handover *h, uv_loop_t *loop, const char *path, struct err *err)
{
    h->listen_fd = h->peer_fd = -1;
    enum status st = msg_listen(path, &h->listen_fd, err);
    if (st != OK)
        return st;
    if (uv_poll_init(loop, &h->listen, h->listen_fd) != 0)
        return fail(err, NO_MEMORY, "handover");
    h->listen.data = h;
    h->listening = true;
    uv_poll_start(&h->listen, UV_READABLE, on_listen);
    return OK;
}

void handover_close(struct handover *h)
{
    h->going = false;
    drop_peer(h);
    if (!h->listening)
        return;
    h->listening = false;
    uv_poll_stop(&h->listen);
    uv_close((uv_handle_t *)&h->listen, NULL);
    close(h->listen_fd);              /* the file stays: its name may be the successor's already */
}

bool handover_yours(struct handover *h)
{
    struct err err;
    if (!h->talking || !h->going || send_one(h->peer_fd, json_pack("{s:b}", "yours", 1), NULL, 0, &err) != OK)
        return false;
    handover_close(h);
    return true;
}

/* ---- the new side ---- */

bool handover_somebody(const char *path)
{
    int fd;
    if (msg_connect(path, &fd, NULL) != OK)
        return false;
    close(fd);
    return true;
}

static enum status receive(int fd, int wait_ms, json_t **m, int fds[MSG_FDS_MAX], size_t fd_wanted, struct err *err)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    size_t fd_count = 0;
    if (poll(&p, 1, wait_ms) != 1)
        return fail(err, IO_FAILED, "the running gateway does not answer, and goes on as it was. Next: look into its log; if it hangs, stop it and start this one in its place");
    enum status st = msg_recv(fd, m, fds, &fd_count, err);
    const char *no = st == OK ? json_string_value(json_object_get(*m, "error")) : NULL;
    if (no != NULL)
        st = fail(err, REFUSED, "the running gateway says: %.200s", no);
    else if (st == OK && fd_count != fd_wanted)
        st = fail(err, BAD_INPUT, "the running gateway passed %zu descriptors, not %zu", fd_count, fd_wanted);
    else if (st == CLOSED)
        st = fail(err, IO_FAILED, "the running gateway broke off");
    if (st != OK)
        while (fd_count > 0)
            close(fds[--fd_count]);
    return st;
}

static unsigned bounded(const json_t *m, const char *name, unsigned max)
{
    json_int_t n = json_integer_value(json_object_get(m, name));
    return n >= 1 && n <= (json_int_t)max ? (unsigned)n : 0;
}

static enum status receive_all(int fd, struct inherit *out, struct err *err)
{
    json_t *m = NULL;
    int fds[MSG_FDS_MAX];
    enum status st = receive(fd, ASK_MS, &m, fds, 0, err);
    if (st == OK) {
        out->workers = bounded(m, "workers", INHERIT_WORKERS_MAX);
        out->listeners = bounded(m, "listeners", INHERIT_LISTENERS_MAX);
        out->old_count = bounded(m, "rings", INHERIT_OLD_MAX);
        if (out->workers == 0 || out->listeners == 0 || out->old_count == 0)
            st = fail(err, BAD_INPUT, "the running gateway's answer makes no sense, or too many of its forerunners still drain; try again in a moment");
    }
    json_decref(m);
    for (unsigned i = 0; st == OK && i < out->workers * out->listeners; i++) {
        m = NULL;
        st = receive(fd, ASK_MS, &m, fds, 1, err);
        json_decref(m);
        if (st == OK)
            out->worker[i / out->listeners].listeners[i % out->listeners] = fds[0];
    }
    for (unsigned i = 0; st == OK && i < out->old_count; i++) {
        m = NULL;
        st = receive(fd, ASK_MS, &m, fds, 2, err);
        json_decref(m);
        if (st == OK)
            out->old[i] = (struct inherit_ring){ fds[0], fds[1] };
    }
    return st;
}

enum status handover_ask(const char *path, struct inherit *out, int *fd_out, struct err *err)
{
    int fd;
    memset(out, 0, sizeof *out);
    enum status st = msg_connect(path, &fd, err);
    if (st != OK)
        return st;
    st = send_one(fd, json_pack("{s:s}", "op", "takeover"), NULL, 0, err);
    if (st == OK)
        st = receive_all(fd, out, err);
    if (st == OK)
        *fd_out = fd;
    else
        close(fd);
    return st;
}

enum status handover_go(int fd, struct err *err)
{
    json_t *m = NULL;
    int fds[MSG_FDS_MAX];
    enum status st = send_one(fd, json_pack("{s:s}", "op", "go"), NULL, 0, err);
    if (st == OK)
        st = receive(fd, YOURS_MS, &m, fds, 0, err);
    if (st == OK && !json_is_true(json_object_get(m, "yours")))
        st = fail(err, BAD_INPUT, "the running gateway's answer makes no sense");
    json_decref(m);
    close(fd);
    return st;
}
