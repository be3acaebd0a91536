#include "proxy/net/link.h"

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/msg.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CALLS_MAX = 256, CALL_MS = 10000, RETRY_MS = 100 };

struct call {
    int64_t n, until_ms;
    link_answer *done;
    void *arg;
};

struct link {
    struct loop *loop;
    char *path;
    struct link_handlers handlers;
    int fd;                           /* -1: not connected */
    uv_poll_t poll;
    bool polling, closing;
    int64_t next_n, hello_n, heard_ms, retry_ms;
    struct call calls[CALLS_MAX];     /* few at a time: searched in line */
    size_t call_count;
};

static void link_gone(uv_handle_t *h)
{
    struct link *k = h->data;
    close(k->fd);
    k->fd = -1;
    k->polling = false;
    if (k->closing) {
        free(k->path);
        free(k);
    }
}

static void drop_calls(struct link *k)
{
    while (k->call_count > 0) {
        struct call c = k->calls[--k->call_count];
        if (c.done != NULL)
            c.done(c.arg, NULL, NULL, 0);
    }
}

static void disconnect(struct link *k, const char *why)
{
    if (!k->polling || uv_is_closing((uv_handle_t *)&k->poll))
        return;
    log_warn("authz.lost", "why", why);
    k->retry_ms = k->loop->now_ms + RETRY_MS;
    uv_poll_stop(&k->poll);
    uv_close((uv_handle_t *)&k->poll, link_gone);
    drop_calls(k);
}

static void answer(struct link *k, const json_t *m, const int *fds, size_t fd_count)
{
    int64_t n = json_integer_value(json_object_get(m, "n"));
    for (size_t i = 0; i < k->call_count; i++) {
        if (k->calls[i].n != n)
            continue;
        struct call c = k->calls[i];
        k->calls[i] = k->calls[--k->call_count];
        if (c.done == NULL)
            break;
        c.done(c.arg, m, fds, fd_count);
        return;
    }
    k->handlers.stray(k->handlers.arg, m);
}

static void take(struct link *k, const json_t *m, const int *fds, size_t fd_count)
{
    const char *event = json_string_value(json_object_get(m, "event"));
    if (event == NULL) {
        if (json_integer_value(json_object_get(m, "n")) == k->hello_n)
            k->handlers.connected(k->handlers.arg, m);
        else
            answer(k, m, fds, fd_count);
        return;
    }
    if (strcmp(event, "synced") == 0 || k->heard_ms > 0)
        k->heard_ms = clock_mono_ms();
    k->handlers.event(k->handlers.arg, m);
}

static void on_readable(uv_poll_t *p, int status, int events)
{
    struct link *k = p->data;
    (void)events;
    if (status < 0) {
        disconnect(k, "poll");
        return;
    }
    for (int budget = 64; budget > 0 && k->polling && !uv_is_closing((uv_handle_t *)&k->poll); budget--) {
        json_t *m = NULL;
        int fds[MSG_FDS_MAX];
        size_t fd_count = 0;
        struct err err;
        enum status st = msg_recv(k->fd, &m, fds, &fd_count, &err);
        if (st == AGAIN)
            return;
        if (st != OK) {
            disconnect(k, err.text);
            return;
        }
        take(k, m, fds, fd_count);
        json_decref(m);
        while (fd_count > 0)
            close(fds[--fd_count]);
    }
}

static void reconnect(struct link *k)
{
    struct err err;
    k->retry_ms = k->loop->now_ms + RETRY_MS;
    if (msg_connect(k->path, &k->fd, &err) != OK)
        return;
    k->hello_n = ++k->next_n;
    k->heard_ms = 0;
    json_t *hello = json_pack("{s:I,s:s,s:s}", "n", (json_int_t)k->hello_n, "op", "hello", "role", "worker");
    enum status st = hello ? msg_send(k->fd, hello, NULL, 0, &err) : NO_MEMORY;
    json_decref(hello);
    if (st != OK || uv_poll_init(&k->loop->uv, &k->poll, k->fd) != 0) {
        close(k->fd);
        k->fd = -1;
        return;
    }
    k->poll.data = k;
    k->polling = true;
    uv_poll_start(&k->poll, UV_READABLE, on_readable);
}

struct link *link_new(struct loop *l, const char *socket_path, const struct link_handlers *h)
{
    struct link *k = calloc(1, sizeof *k);
    if (k == NULL)
        return NULL;
    k->loop = l;
    k->fd = -1;
    k->handlers = *h;
    k->path = strdup(socket_path);
    if (k->path == NULL) {
        free(k);
        return NULL;
    }
    reconnect(k);
    return k;
}

int64_t link_call(struct link *k, json_t *message, const int *fds, size_t fd_count, link_answer *done, void *arg)
{
    int64_t n = 0;
    struct err err;
    if (message == NULL || !k->polling || uv_is_closing((uv_handle_t *)&k->poll) || k->call_count == CALLS_MAX)
        goto done;
    int64_t mine = ++k->next_n;
    if (json_object_set_new(message, "n", json_integer(mine)) != 0)
        goto done;
    enum status st = msg_send(k->fd, message, fds, fd_count, &err);
    if (st != OK) {
        if (st == CLOSED)
            disconnect(k, err.text);
        goto done;
    }
    n = mine;
    k->calls[k->call_count++] = (struct call){ n, clock_mono_ms() + CALL_MS, done, arg };
done:
    json_decref(message);
    return n;
}

void link_cancel(struct link *k, int64_t n)
{
    for (size_t i = 0; n != 0 && i < k->call_count; i++)
        if (k->calls[i].n == n)
            k->calls[i].done = NULL;  /* the place stays until the answer, so that the count bounds what authz owes us */
}

int64_t link_heard_ms(const struct link *k)
{
    return k->heard_ms;
}

bool link_cut_off(const struct link *k)
{
    return !k->polling || uv_is_closing((const uv_handle_t *)&k->poll) || k->heard_ms == 0;
}

void link_tick(struct link *k)
{
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < k->call_count; i++) {
        if (k->calls[i].until_ms > now)
            continue;
        struct call c = k->calls[i];
        k->calls[i--] = k->calls[--k->call_count];
        if (c.done != NULL)
            c.done(c.arg, NULL, NULL, 0);
    }
    if (!k->polling && k->fd < 0 && now >= k->retry_ms)
        reconnect(k);
}

void link_close(struct link *k)
{
    if (k == NULL)
        return;
    k->closing = true;
    k->call_count = 0;
    if (!k->polling) {
        free(k->path);
        free(k);
    } else if (!uv_is_closing((uv_handle_t *)&k->poll)) {
        uv_poll_stop(&k->poll);
        uv_close((uv_handle_t *)&k->poll, link_gone);
    }
}
