#include "proxy/record/leaves.h"

#include "proxy/base/codec.h"
#include "proxy/base/log.h"
#include "proxy/base/msg.h"

#include <stdlib.h>
#include <unistd.h>

enum { IN_FLIGHT_MAX = 32, PAUSE_FIRST_MS = 50, PAUSE_MAX_MS = 2000, ANSWER_MS = 10000 };

struct leaves {
    char *socket;
    leaves_done_call *done;
    void *to;
    int fd;
    bool ready;                       /* hello was answered */
    uint64_t n, hello_n;
    int64_t retry_ms, pause_ms, answer_by_ms;
    size_t in_flight;
    struct leaf queue[LEAVES_MAX];    /* from `first`, `count` of them */
    size_t first, count;
};

enum status leaves_new(const char *authz_socket, leaves_done_call *done, void *to, struct leaves **out)
{
    struct leaves *l = calloc(1, sizeof *l);
    char *path = l ? strdup(authz_socket) : NULL;
    if (path == NULL) {
        free(l);
        return NO_MEMORY;
    }
    l->socket = path;
    l->done = done;
    l->to = to;
    l->fd = -1;
    l->pause_ms = PAUSE_FIRST_MS;
    *out = l;
    return OK;
}

static struct leaf *at(struct leaves *l, size_t i)
{
    return &l->queue[(l->first + i) % LEAVES_MAX];
}

void leaves_free(struct leaves *l)
{
    if (l == NULL)
        return;
    if (l->fd >= 0)
        close(l->fd);
    for (size_t i = 0; i < l->count; i++)
        json_decref(at(l, i)->touched);
    free(l->socket);
    free(l);
}

enum status leaves_put(struct leaves *l, const struct leaf *leaf)
{
    if (l->count == LEAVES_MAX)
        return FULL;
    *at(l, l->count) = *leaf;
    at(l, l->count++)->sent_as = 0;
    return OK;
}

size_t leaves_waiting(const struct leaves *l)
{
    return l->count;
}

int leaves_fd(const struct leaves *l)
{
    return l->fd;
}

int64_t leaves_next_ms(const struct leaves *l)
{
    if (l->fd < 0)
        return l->retry_ms;
    if (!l->ready || l->in_flight > 0)
        return l->answer_by_ms;
    return l->count > 0 ? 0 : INT64_MAX;
}

static void disconnect(struct leaves *l, int64_t now_ms, const char *why)
{
    log_warn("record.authz-away", "why", why);
    close(l->fd);
    l->fd = -1;
    l->ready = false;
    l->in_flight = 0;
    for (size_t i = 0; i < l->count; i++)
        at(l, i)->sent_as = 0;
    l->retry_ms = now_ms + l->pause_ms;
    l->pause_ms = l->pause_ms * 2 < PAUSE_MAX_MS ? l->pause_ms * 2 : PAUSE_MAX_MS;
}

/* True: it was sent (or the connection is gone); takes the reference. */
static enum status send_message(struct leaves *l, json_t *message, int64_t now_ms)
{
    struct err err = { "no memory" };
    enum status st = message ? msg_send(l->fd, message, NULL, 0, &err) : NO_MEMORY;
    json_decref(message);
    if (st == OK)
        l->answer_by_ms = now_ms + ANSWER_MS;
    else if (st != AGAIN)
        disconnect(l, now_ms, err.text);
    return st;
}

static void connect_now(struct leaves *l, int64_t now_ms)
{
    struct err err;
    if (msg_connect(l->socket, &l->fd, &err) != OK) {
        l->fd = -1;
        l->retry_ms = now_ms + l->pause_ms;
        l->pause_ms = l->pause_ms * 2 < PAUSE_MAX_MS ? l->pause_ms * 2 : PAUSE_MAX_MS;
        return;
    }
    l->hello_n = ++l->n;
    (void)send_message(l, json_pack("{sI ss ss}", "n", (json_int_t)l->n, "op", "hello", "role", "recorder"), now_ms);
}

static json_t *leaf_json(const struct leaf *f, uint64_t n)
{
    char digest[B64URL_LEN(32) + 1];
    b64url_encode(slice_of(f->digest, sizeof f->digest), digest);
    json_t *o = json_pack("{sI ss ss si ss sI sI sI sI sI sI}", "n", (json_int_t)n, "op", "segment", "session", f->session, "number", (int)f->number,
                     "digest", digest, "from_ms", (json_int_t)f->from_ms, "to_ms", (json_int_t)f->to_ms, "exchanges", (json_int_t)f->exchanges,
                     "bytes", (json_int_t)f->bytes, "ring", (json_int_t)f->ring, "position", (json_int_t)f->position);
    if (o != NULL && f->touched != NULL && json_object_set(o, "touched", f->touched) != 0) {
        json_decref(o);
        o = NULL;
    }
    return o;
}

static void send_leaves(struct leaves *l, int64_t now_ms)
{
    for (size_t i = 0; i < l->count && l->in_flight < IN_FLIGHT_MAX && l->fd >= 0; i++) {
        struct leaf *f = at(l, i);
        if (f->sent_as != 0)
            continue;
        enum status st = send_message(l, leaf_json(f, ++l->n), now_ms);
        if (st != OK)
            return;
        f->sent_as = l->n;
        l->in_flight++;
    }
}

/* The leaf is done with: out of the queue, whose order stays. */
static void take_out(struct leaves *l, size_t i, bool confirmed)
{
    struct leaf gone = *at(l, i);
    for (; i > 0; i--)
        *at(l, i) = *at(l, i - 1);
    l->first = (l->first + 1) % LEAVES_MAX;
    l->count--;
    l->in_flight--;
    l->done(l->to, &gone, confirmed);
    json_decref(gone.touched);
}

/* Another segment has that number in the log: sending again won't change it. Anything else may pass (a full disk, a lock). */
static bool refused_for_good(const json_t *answer)
{
    const char *type = json_string_value(json_object_get(json_object_get(answer, "problem"), "type"));
    return type != NULL && strstr(type, "segment-conflict") != NULL;
}

static void take_answer(struct leaves *l, const json_t *answer, int64_t now_ms)
{
    uint64_t n = (uint64_t)json_integer_value(json_object_get(answer, "n"));
    bool ok = json_is_true(json_object_get(answer, "ok"));
    if (n == 0)
        return;   /* an event */
    if (n == l->hello_n && ok) {
        l->ready = true;
        return;
    }
    for (size_t i = 0; i < l->count; i++) {
        if (at(l, i)->sent_as != n)
            continue;
        if (ok) {
            l->pause_ms = PAUSE_FIRST_MS;
            take_out(l, i, true);
        } else if (refused_for_good(answer)) {
            log_error("record.segment-refused", "session", at(l, i)->session, "why", "the log holds another segment of this number");
            take_out(l, i, false);
        } else {
            disconnect(l, now_ms, "a segment's digest was not accepted");
        }
        return;
    }
    disconnect(l, now_ms, "an answer to nothing that was asked");
}

static void receive(struct leaves *l, int64_t now_ms)
{
    while (l->fd >= 0) {
        struct err err = { "" };
        json_t *m = NULL;
        int fds[MSG_FDS_MAX];
        size_t fd_count = 0;
        enum status st = msg_recv(l->fd, &m, fds, &fd_count, &err);
        if (st == AGAIN)
            return;
        if (st != OK) {
            disconnect(l, now_ms, err.text);
            return;
        }
        while (fd_count > 0)
            close(fds[--fd_count]);
        take_answer(l, m, now_ms);
        json_decref(m);
    }
}

void leaves_work(struct leaves *l, int64_t now_ms)
{
    if (l->fd < 0 && now_ms >= l->retry_ms)   /* with nothing to say, too: authz lets nobody break the glass unless there is a recorder */
        connect_now(l, now_ms);
    if (l->fd < 0)
        return;
    receive(l, now_ms);
    if (l->fd >= 0 && (!l->ready || l->in_flight > 0) && now_ms >= l->answer_by_ms)
        disconnect(l, now_ms, "no answer");
    else if (l->fd >= 0 && l->ready)
        send_leaves(l, now_ms);
}
