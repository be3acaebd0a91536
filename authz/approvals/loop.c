#include "authz/approvals/loop.h"

#include "authz/approvals/connection.h"
#include "authz/approvals/teller.h"
#include "proxy/base/clock.h"
#include "proxy/base/file.h"
#include "proxy/base/log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, TICK_MS = 250, LINGER_MS = 2000, ORPHAN_MS = 600 * 1000, TURN_MESSAGES = 32, TURN_MS = 20 };   /* a lock waits for one turn at most */

/* A message that came in and waits for its turn. */
struct input {
    struct input *next;
    struct connection *from;
    json_t *message;
    int fds[MSG_FDS_MAX];
    size_t fd_count;
};

struct queue {
    struct input *first, **last;
};

struct loop {
    uv_loop_t uv;
    struct service *service;
    const char *config_file;
    char *socket_path;
    int listen_fd;
    uv_poll_t listen_poll;
    uv_timer_t tick;
    uv_signal_t term, hup;
    uv_check_t turn;                  /* after the polls of each turn: work through the queues */
    uv_idle_t busy;                   /* keeps the loop from sleeping while messages wait */
    struct connection *connections;
    unsigned connection_count;
    uint64_t next_id;
    struct queue urgent, normal;
    pid_t parent;
    int64_t orphaned_ms;              /* since when the parent is gone; 0: it is there */
    int64_t asked_ms;                 /* an orphan: when somebody was last connected */
    bool stopping;
    enum status broken;
    struct err err;
};

static void on_connection(uv_poll_t *p, int status, int events);

static void stop(struct loop *l, enum status why)
{
    if (l->broken == OK)
        l->broken = why;
    l->stopping = true;
    uv_stop(&l->uv);
}

/* ---- queues ---- */

static void queue_init(struct queue *q)
{
    q->first = NULL;
    q->last = &q->first;
}

static void queue_put(struct queue *q, struct input *in)
{
    *q->last = in;
    q->last = &in->next;
}

static struct input *queue_take(struct queue *q)
{
    struct input *in = q->first;
    if (in != NULL) {
        q->first = in->next;
        if (q->first == NULL)
            q->last = &q->first;
        in->from->in_count--;
    }
    return in;
}

static void input_free(struct input *in)
{
    while (in->fd_count > 0)
        close(in->fds[--in->fd_count]);
    json_decref(in->message);
    free(in);
}

/* ---- out ---- */

static void end_connection(struct loop *l, struct connection *c, const char *why)
{
    if (c->dead)
        return;
    log_warn("connection.ended", "why", why);
    connection_close(c);
    l->connection_count--;
    if (service_gone(l->service, &c->peer, &l->err) != OK) {
        log_error("outcome.failed", "error", l->err.text);
        stop(l, IO_FAILED);           /* the next start marks them */
    }
}

static void flush(struct loop *l, struct connection *c)
{
    enum status st = c->dead ? AGAIN : connection_flush(c, clock_mono_ms(), &l->err);
    if (st != OK && st != AGAIN)
        end_connection(l, c, l->err.text);
    else
        connection_watch(c, on_connection);
}

static void deliver(struct loop *l, struct connection *c, json_t *message, int fd)
{
    if (connection_send(c, message, fd) != OK)
        end_connection(l, c, "it does not read what it is sent");
}

static void broadcast(struct loop *l, json_t *events)
{
    size_t i;
    json_t *event;
    for (struct connection *c = l->connections; c != NULL && events != NULL; c = c->next) {
        json_array_foreach(events, i, event)
            if (c->peer.role == ROLE_WORKER && !c->dead)
                deliver(l, c, json_incref(event), -1);
        flush(l, c);
    }
    json_decref(events);
}

/* Events made while a connection ends come in this call or the next. */
static void send_events(struct loop *l)
{
    broadcast(l, service_events(l->service));
}

/* ---- in ---- */

static void answer_one(struct loop *l, struct input *in)
{
    struct connection *c = in->from;
    struct answer a;
    size_t i;
    json_t *event;
    enum answered r = service_answer(l->service, &c->peer, in->message, in->fds, in->fd_count, &a, &l->err);
    if (r == SERVICE_BROKEN) {
        stop(l, IO_FAILED);
    } else if (r == PEER_BROKEN) {
        log_warn("message.refused", "why", l->err.text);
        end_connection(l, c, "a message that it may not send");
    } else {
        deliver(l, c, json_incref(a.message), a.fd);
        a.fd = -1;
        json_array_foreach(a.after, i, event)
            if (!c->dead)
                deliver(l, c, json_incref(event), -1);
        answer_done(&a);
        flush(l, c);
        send_events(l);
    }
}

static void take_turn(struct loop *l)
{
    int64_t until = clock_mono_ms() + TURN_MS;   /* ticks must not wait: workers take silence for a no */
    for (unsigned i = 0; i < TURN_MESSAGES && !l->stopping && clock_mono_ms() < until; i++) {
        /* A lock goes before everything that waits, whoever came first. */
        struct input *in = queue_take(&l->urgent);
        if (in == NULL)
            in = queue_take(&l->normal);
        if (in == NULL)
            break;
        if (!in->from->dead)
            answer_one(l, in);
        if (!in->from->dead)
            connection_watch(in->from, on_connection);
        input_free(in);
    }
}

static void reap(struct loop *l)
{
    for (struct connection **at = &l->connections; *at != NULL;) {
        struct connection *c = *at, *next = c->next;
        if (connection_reap(c))
            *at = next;
        else
            at = &c->next;
    }
}

static void on_busy(uv_idle_t *h)
{
    (void)h;
}

static void on_turn(uv_check_t *h)
{
    struct loop *l = h->data;
    take_turn(l);
    reap(l);
    if (l->urgent.first != NULL || l->normal.first != NULL)
        uv_idle_start(&l->busy, on_busy);
    else
        uv_idle_stop(&l->busy);
}

static void read_all(struct loop *l, struct connection *c)
{
    while (!c->dead && c->in_count < CONN_IN_MAX && c->out_count < CONN_OUT_PAUSE) {
        struct input *in = calloc(1, sizeof *in);
        enum status st = in ? msg_recv(c->fd, &in->message, in->fds, &in->fd_count, &l->err) : NO_MEMORY;
        if (st == OK) {
            in->from = c;
            c->in_count++;
            queue_put(service_urgent(in->message) ? &l->urgent : &l->normal, in);
            continue;
        }
        free(in);
        if (st != AGAIN)
            end_connection(l, c, l->err.text);
        break;
    }
}

static void on_connection(uv_poll_t *p, int status, int events)
{
    struct connection *c = p->data;
    struct loop *l = p->loop->data;
    if (c->dead)
        return;
    if (events & UV_WRITABLE)
        flush(l, c);
    if (!c->dead && (events & UV_READABLE))
        read_all(l, c);
    if (!c->dead && (status < 0 || (events & UV_DISCONNECT && !(events & UV_READABLE))))
        end_connection(l, c, "the other process closed it");
    if (!c->dead)
        connection_watch(c, on_connection);
    if (c->dead)
        send_events(l);               /* outcomes that became unknown */
}

static void on_listen(uv_poll_t *p, int status, int events)
{
    struct loop *l = p->loop->data;
    int fd = -1;
    (void)status;
    (void)events;
    for (;;) {
        enum status st = msg_accept(l->listen_fd, &fd, &l->err);
        if (st == AGAIN)
            return;
        if (st != OK) {
            log_warn("connection.refused", "why", l->err.text);
            if (st == IO_FAILED)
                return;
            continue;
        }
        if (l->connection_count >= CONNECTIONS_MAX) {
            log_warn("connection.refused", "why", "too many");
            close(fd);
            continue;
        }
        struct connection *c = connection_new(&l->uv, fd, ++l->next_id, clock_mono_ms(), on_connection);
        if (c == NULL)
            continue;
        c->next = l->connections;
        l->connections = c;
        l->connection_count++;
    }
}

/* ---- time and signals ---- */

static void on_tick(uv_timer_t *t)
{
    struct loop *l = t->loop->data;
    int64_t now = clock_mono_ms();
    if (l->orphaned_ms == 0 && getppid() != l->parent) {
        log_warn("authz.orphaned", "why", "the process that started authz is gone");
        l->orphaned_ms = l->asked_ms = now;
    }
    if (l->connection_count > 0)
        l->asked_ms = now;            /* the recorder connects anew for its last digests, after the workers are gone */
    if (l->orphaned_ms != 0 && (now - l->asked_ms > LINGER_MS || now - l->orphaned_ms > ORPHAN_MS)) {
        stop(l, OK);
        return;
    }
    /* Full disk: nothing can expire on paper, but tokens and sign-offs carry their own dates. */
    enum status st = service_tick(l->service, &l->err);
    if (st != OK)
        log_error("tick.failed", "error", l->err.text);
    if (st != OK && st != FULL && st != NO_MEMORY)
        stop(l, st);
    for (struct connection *c = l->connections; c != NULL; c = c->next) {
        const char *why = c->dead ? NULL : connection_overdue(c, now);
        if (why != NULL)
            end_connection(l, c, why);
    }
    send_events(l);
    struct teller_counts told = teller_count(l->service);
    json_t *tick = json_pack("[{s:s, s:I, s:I, s:I}]", "event", "tick", "now_ms", (json_int_t)clock_wall_ms(), "audit_waiting", (json_int_t)told.waiting, "audit_lost",
                             (json_int_t)told.lost);
    broadcast(l, tick);
    reap(l);
}

static void on_term(uv_signal_t *h, int signum)
{
    struct loop *l = h->data;
    log_info("authz.stopping", "signal", signum == SIGTERM ? "SIGTERM" : "?");
    stop(l, OK);
}

static void log_problems(const struct problems *p)
{
    for (size_t i = 0; i < p->count; i++)
        log_error("config.problem", "problem", p->text[i]);
}

static enum status renew_keys(struct loop *l)
{
    enum status st = service_renew_keys(l->service, &l->err);
    if (st != OK)
        log_error("approval_keys.kept", "why", l->err.text);
    return st;
}

static void on_hup(uv_signal_t *h, int signum)
{
    struct loop *l = h->data;
    struct config *c = NULL;
    struct problems problems = { 0 };
    (void)signum;
    enum status st = config_load_text(l->config_file, &c, &problems);
    log_problems(&problems);
    problems_done(&problems);
    const char *fixed = st == OK ? config_needs_restart(service_config(l->service), c) : NULL;
    if (fixed != NULL)
        st = fail(&l->err, BAD_CONFIG, "the setting `%s` has changed, which takes a restart", fixed);
    else if (st != OK)
        (void)fail(&l->err, st, "the config has problems");
    else
        st = service_reload(l->service, c, &l->err);
    config_unref(c);
    log_set_level(service_config(l->service)->log_level);
    if (st == OK)
        log_info("config.reloaded", "file", l->config_file);
    else
        log_error("config.kept", "why", l->err.text);
    if (st == BAD_CONFIG)             /* a half-edited config must not keep an approval key from being struck off */
        st = renew_keys(l);
    if (st == IO_FAILED || st == CORRUPT)
        stop(l, st);
    send_events(l);
}

/* ---- start and end ---- */

static enum status start_handles(struct loop *l)
{
    l->uv.data = l;
    l->turn.data = l->term.data = l->hup.data = l;
    bool good = uv_poll_init(&l->uv, &l->listen_poll, l->listen_fd) == 0
                && uv_poll_start(&l->listen_poll, UV_READABLE, on_listen) == 0 && uv_timer_init(&l->uv, &l->tick) == 0
                && uv_timer_start(&l->tick, on_tick, TICK_MS, TICK_MS) == 0 && uv_signal_init(&l->uv, &l->term) == 0
                && uv_signal_start(&l->term, on_term, SIGTERM) == 0 && uv_signal_init(&l->uv, &l->hup) == 0
                && uv_signal_start(&l->hup, on_hup, SIGHUP) == 0 && uv_check_init(&l->uv, &l->turn) == 0
                && uv_check_start(&l->turn, on_turn) == 0 && uv_idle_init(&l->uv, &l->busy) == 0;
    return good ? OK : fail(&l->err, NO_MEMORY, "cannot start the loop");
}

static enum status open_socket(struct loop *l)
{
    const struct config *c = service_config(l->service);
    char *folder = config_path(c, "run");
    l->socket_path = config_path(c, "run/authz.sock");
    enum status st = folder && l->socket_path ? file_mkdirs(folder, 0700, &l->err) : fail(&l->err, NO_MEMORY, "path");
    if (st == OK)
        st = msg_listen(l->socket_path, &l->listen_fd, &l->err);
    free(folder);
    return st;
}

static void close_handle(uv_handle_t *h, void *arg)
{
    (void)arg;
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

static void end_all(struct loop *l)
{
    struct input *in;
    while ((in = queue_take(&l->urgent)) != NULL || (in = queue_take(&l->normal)) != NULL)
        input_free(in);
    for (struct connection *c = l->connections; c != NULL; c = c->next)
        connection_close(c);
    uv_walk(&l->uv, close_handle, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    reap(l);
    uv_loop_close(&l->uv);
    if (l->socket_path != NULL)
        unlink(l->socket_path);
    close(l->listen_fd);
    free(l->socket_path);
}

enum status loop_run(struct service *s, const char *config_file, pid_t parent, struct err *err)
{
    struct loop *l = calloc(1, sizeof *l);
    if (l == NULL || uv_loop_init(&l->uv) != 0) {
        free(l);
        return fail(err, NO_MEMORY, "loop");
    }
    l->service = s;
    l->config_file = config_file;
    l->listen_fd = -1;
    l->parent = parent;
    queue_init(&l->urgent);
    queue_init(&l->normal);
    enum status st = open_socket(l);
    if (st == OK)
        st = start_handles(l);
    if (st == OK) {
        log_info("authz.ready", "socket", l->socket_path);
        uv_run(&l->uv, UV_RUN_DEFAULT);
        st = l->broken;
    }
    end_all(l);
    if (st != OK)
        (void)fail(err, st, "%s", l->err.text);
    free(l);
    return st;
}
