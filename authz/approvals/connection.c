#include "authz/approvals/connection.h"

#include "proxy/base/clock.h"

#include <stdlib.h>
#include <unistd.h>

static void on_closed(uv_handle_t *h)
{
    struct connection *c = h->data;
    c->watched = -1;                  /* the loop no longer knows it */
}

struct connection *connection_new(uv_loop_t *loop, int fd, uint64_t id, int64_t now_ms, uv_poll_cb on_ready)
{
    struct connection *c = calloc(1, sizeof *c);
    if (c == NULL || uv_poll_init(loop, &c->poll, fd) != 0) {
        free(c);
        close(fd);
        return NULL;
    }
    c->fd = fd;
    c->peer.id = id;
    c->poll.data = c;
    c->out_last = &c->out_first;
    c->opened_ms = c->progress_ms = now_ms;
    connection_watch(c, on_ready);
    return c;
}

enum status connection_send(struct connection *c, json_t *message, int fd)
{
    struct out_message *m = message ? calloc(1, sizeof *m) : NULL;
    size_t size = m ? json_dumpb(message, NULL, 0, JSON_COMPACT) : 0;
    if (m == NULL || c->out_count >= CONN_OUT_MAX || c->out_bytes + size > CONN_OUT_BYTES) {
        if (fd >= 0)
            close(fd);
        json_decref(message);
        free(m);
        return FULL;
    }
    if (c->out_first == NULL)
        c->progress_ms = clock_mono_ms();
    *m = (struct out_message){ NULL, message, size, fd };
    *c->out_last = m;
    c->out_last = &m->next;
    c->out_count++;
    c->out_bytes += size;
    return OK;
}

static void drop_first(struct connection *c)
{
    struct out_message *m = c->out_first;
    c->out_first = m->next;
    if (c->out_first == NULL)
        c->out_last = &c->out_first;
    c->out_count--;
    c->out_bytes -= m->size;
    if (m->fd >= 0)
        close(m->fd);
    json_decref(m->message);
    free(m);
}

enum status connection_flush(struct connection *c, int64_t now_ms, struct err *err)
{
    while (c->out_first != NULL) {
        const struct out_message *m = c->out_first;
        enum status st = msg_send(c->fd, m->message, &m->fd, m->fd >= 0 ? 1 : 0, err);
        if (st != OK)
            return st;
        c->progress_ms = now_ms;
        drop_first(c);
    }
    c->progress_ms = now_ms;
    return OK;
}

void connection_watch(struct connection *c, uv_poll_cb on_ready)
{
    int want = 0;
    if (c->dead)
        return;
    if (c->in_count < CONN_IN_MAX && c->out_count < CONN_OUT_PAUSE)
        want |= UV_READABLE;
    if (c->out_first != NULL)
        want |= UV_WRITABLE;
    want |= UV_DISCONNECT;            /* seen even while nothing is read from it */
    if (want == c->watched)
        return;
    c->watched = want;
    uv_poll_start(&c->poll, want, on_ready);
}

const char *connection_overdue(const struct connection *c, int64_t now_ms)
{
    if (c->peer.role == ROLE_NONE && now_ms - c->opened_ms > CONN_HELLO_MS)
        return "it did not say hello in time";
    if (c->out_first != NULL && now_ms - c->progress_ms > CONN_STALL_MS)
        return "it does not read what it is sent";
    return NULL;
}

void connection_close(struct connection *c)
{
    if (c->dead)
        return;
    c->dead = true;
    while (c->out_first != NULL)
        drop_first(c);
    uv_poll_stop(&c->poll);
    uv_close((uv_handle_t *)&c->poll, on_closed);
    close(c->fd);
}

bool connection_reap(struct connection *c)
{
    if (!c->dead || c->watched != -1 || c->in_count > 0)
        return false;
    free(c);
    return true;
}
