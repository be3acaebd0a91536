#include "proxy/net/link.h"

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/msg.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CALLS_MAX = 256, CALL_MS = 10000, RETRY_MS = 100, WAITING_MAX = 64, RETURN_MS = 2000 };

struct call {
    int64_t n, until_ms;
    link_answer *done;
    void *arg;
    bool waits, again;                /* it is not sent yet; it may be sent once more, should this connection break */
    json_t *message;                  /* to be sent, with its descriptors; NULL: never (again) */
    int fds[MSG_FDS_MAX];
    size_t fd_count;
};

struct link {
    struct loop *loop;
    char *path;
    struct link_handlers handlers;
    int fd;                           /* -1: not connected */
    uv_poll_t poll;
    bool polling, closing;
    int64_t next_n, hello_n, heard_ms, retry_ms, lost_ms;
    struct call calls[CALLS_MAX];     /* few at a time: searched in line */
    size_t call_count, waiting;       /* waiting: of them, not sent yet */
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

/* What it held for sending goes. */
static void forget_message(struct link *k, struct call *c)
{
    k->waiting -= c->waits;
    c->waits = false;
    json_decref(c->message);
    while (c->fd_count > 0)
        close(c->fds[--c->fd_count]);
    c->message = NULL;
}

static struct call take_out(struct link *k, size_t i)
{
    struct call c = k->calls[i];
    k->calls[i] = k->calls[--k->call_count];
    forget_message(k, &c);
    return c;
}

static void answer_nothing(struct link *k, size_t i)
{
    struct call c = take_out(k, i);
    if (c.done != NULL)
        c.done(c.arg, NULL, NULL, 0);
}

/* Those that were sent: nobody knows what became of them, so they are over, unless asking twice does no harm. A call that is answered may make another, behind it. */
static void drop_calls(struct link *k)
{
    for (size_t i = k->call_count; i-- > 0;) {
        struct call *c = &k->calls[i];
        if (c->waits)
            continue;
        if (!c->again || k->waiting == WAITING_MAX) {
            answer_nothing(k, i);
            continue;
        }
        c->again = false;
        c->waits = true;
        c->until_ms = clock_mono_ms() + RETURN_MS;
        k->waiting++;
    }
}

static bool is_connected(const struct link *k)
{
    return k->polling && !uv_is_closing((const uv_handle_t *)&k->poll);
}

bool link_cut_off(const struct link *k)
{
    return !is_connected(k) || k->heard_ms == 0;
}

static void disconnect(struct link *k, const char *why)
{
    if (!k->polling || uv_is_closing((uv_handle_t *)&k->poll))
        return;
    log_warn("authz.lost", "why", why);
    k->retry_ms = k->loop->now_ms + RETRY_MS;
    if (k->heard_ms > 0)              /* one that never spoke has not been back */
        k->lost_ms = clock_mono_ms();
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
        struct call c = take_out(k, i);
        if (c.done == NULL)
            break;
        c.done(c.arg, m, fds, fd_count);
        return;
    }
    k->handlers.stray(k->handlers.arg, m);
}

static enum status send_call(struct link *k, int64_t n, json_t *message, const int *fds, size_t fd_count)
{
    struct err err;
    if (json_object_set_new(message, "n", json_integer(n)) != 0)
        return NO_MEMORY;
    enum status st = msg_send(k->fd, message, fds, fd_count, &err);
    if (st == CLOSED)
        disconnect(k, err.text);
    return st;
}

static void was_sent(struct link *k, struct call *c)
{
    c->until_ms = clock_mono_ms() + CALL_MS;
    k->waiting -= c->waits;
    c->waits = false;
    if (!c->again)
        forget_message(k, c);
}

/* authz is back: what waited for it is asked now. */
static void send_waiting(struct link *k)
{
    for (size_t i = k->call_count; i-- > 0;) {
        struct call *c = &k->calls[i];
        if (!c->waits)
            continue;
        enum status st = send_call(k, c->n, c->message, c->fds, c->fd_count);
        if (st == CLOSED)
            return;                   /* those not sent wait on */
        if (st == OK)
            was_sent(k, c);
        else
            answer_nothing(k, i);
    }
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
    bool synced = strcmp(event, "synced") == 0;
    if (synced || k->heard_ms > 0)
        k->heard_ms = clock_mono_ms();
    k->handlers.event(k->handlers.arg, m);
    if (synced)
        send_waiting(k);
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
    k->lost_ms = clock_mono_ms();
    k->handlers = *h;
    k->path = strdup(socket_path);
    if (k->path == NULL) {
        free(k);
        return NULL;
    }
    reconnect(k);
    return k;
}

/* Until it is back. c's message and descriptors become its own. */
static bool wait_for_it(struct link *k, struct call *c, const int *fds, size_t fd_count)
{
    if (!link_cut_off(k) || clock_mono_ms() - k->lost_ms >= RETURN_MS || k->waiting == WAITING_MAX || fd_count > MSG_FDS_MAX)
        return false;
    for (size_t i = 0; i < fd_count; i++) {
        c->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
        if (c->fds[i] < 0) {
            while (c->fd_count > 0)
                close(c->fds[--c->fd_count]);
            return false;
        }
        c->fd_count++;
    }
    c->until_ms = k->lost_ms + RETURN_MS;
    c->waits = true;
    k->waiting++;
    return true;
}

static int64_t call(struct link *k, struct call c, const int *fds, size_t fd_count)
{
    enum status st = CLOSED;
    if (c.message == NULL || k->call_count == CALLS_MAX)
        goto failed;
    c.n = ++k->next_n;
    if (!link_cut_off(k))
        st = send_call(k, c.n, c.message, fds, fd_count);
    if (st == OK)
        was_sent(k, &c);
    else if (st != CLOSED || k->call_count == CALLS_MAX || !wait_for_it(k, &c, fds, fd_count))
        goto failed;
    k->calls[k->call_count++] = c;
    return c.n;
failed:
    json_decref(c.message);
    return 0;
}

int64_t link_call(struct link *k, json_t *message, const int *fds, size_t fd_count, link_answer *done, void *arg)
{
    return call(k, (struct call){ .done = done, .arg = arg, .message = message }, fds, fd_count);
}

int64_t link_ask(struct link *k, json_t *message, link_answer *done, void *arg)
{
    return call(k, (struct call){ .done = done, .arg = arg, .message = message, .again = true }, NULL, 0);
}

void link_cancel(struct link *k, int64_t n)
{
    for (size_t i = 0; n != 0 && i < k->call_count; i++) {
        if (k->calls[i].n != n)
            continue;
        if (k->calls[i].waits)
            (void)take_out(k, i);     /* it is never asked */
        else
            k->calls[i].again = false, k->calls[i].done = NULL;   /* the place stays until the answer, so that the count bounds what authz owes us */
        return;
    }
}

int64_t link_heard_ms(const struct link *k)
{
    return k->heard_ms;
}

void link_tick(struct link *k)
{
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < k->call_count; i++) {
        if (k->calls[i].until_ms <= now)
            answer_nothing(k, i--);
    }
    if (!k->polling && k->fd < 0 && now >= k->retry_ms)
        reconnect(k);
}

void link_close(struct link *k)
{
    if (k == NULL)
        return;
    k->closing = true;
    while (k->call_count > 0)
        (void)take_out(k, k->call_count - 1);
    if (!k->polling) {
        free(k->path);
        free(k);
    } else if (!uv_is_closing((uv_handle_t *)&k->poll)) {
        uv_poll_stop(&k->poll);
        uv_close((uv_handle_t *)&k->poll, link_gone);
    }
}
