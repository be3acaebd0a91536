#include "proxy/exchange/operator.h"

#include "config/forms.h"
#include "proxy/base/clock.h"
#include "proxy/base/sandbox.h"
#include "proxy/exchange/operator_log.h"
#include "proxy/net/backend.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PEERS_MAX = 32, HEAD_MAX = 4096, PEER_MS = 5000, BACKLOG = 16 };

struct operator {
    union uv_any_handle listener;
    struct metrics *const *all;
    size_t count;
    int64_t max_staleness_ms;
    unsigned peers;
    bool stopping;
    char *path;                       /* of the Unix socket, or NULL */
    char *log_folder;
};

struct peer {
    union uv_any_handle stream;
    uv_timer_t deadline;
    uv_write_t write;
    struct operator *o;
    unsigned open_handles;
    size_t len;
    char head[HEAD_MAX];
    char *answer;
};

static void operator_free(struct operator *o)
{
    if (!o->stopping || o->peers > 0 || uv_is_active(&o->listener.handle))
        return;
    free(o->path);
    free(o->log_folder);
    free(o);
}

static void listener_closed(uv_handle_t *h)
{
    operator_free(h->data);
}

static void peer_closed(uv_handle_t *h)
{
    struct peer *p = h->data;
    if (--p->open_handles > 0)
        return;
    p->o->peers--;
    operator_free(p->o);
    free(p->answer);
    free(p);
}

static void peer_end(struct peer *p)
{
    if (uv_is_closing(&p->stream.handle))
        return;
    uv_close(&p->stream.handle, peer_closed);
    uv_close((uv_handle_t *)&p->deadline, peer_closed);
}

static void on_written(uv_write_t *w, int status)
{
    (void)status;
    peer_end(w->data);
}

static void on_late(uv_timer_t *t)
{
    peer_end(t->data);
}

static void answer(struct peer *p, unsigned status, const char *reason, const char *type, const char *body, size_t len)
{
    char head[400];
    int n = snprintf(head, sizeof head, "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n"
                     "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n", status, reason, type, len);
    p->answer = malloc((size_t)n + len);
    if (p->answer == NULL) {
        peer_end(p);
        return;
    }
    memcpy(p->answer, head, (size_t)n);
    memcpy(p->answer + n, body, len);
    uv_buf_t buf = uv_buf_init(p->answer, (unsigned)((size_t)n + len));
    p->write.data = p;
    if (uv_write(&p->write, &p->stream.stream, &buf, 1, on_written) != 0)
        peer_end(p);
}

static void answer_text(struct peer *p, unsigned status, const char *reason, const char *text)
{
    answer(p, status, reason, "text/plain; charset=utf-8", text, strlen(text));
}

static void answer_metrics(struct peer *p)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (out == NULL) {
        peer_end(p);
        return;
    }
    metrics_write(out, p->o->all, p->o->count, clock_mono_ms());
    backends_write(out);
    if (fclose(out) == 0)
        answer(p, 200, "OK", "text/plain; version=0.0.4; charset=utf-8", text, len);
    else
        peer_end(p);
    free(text);
}

static void answer_health(struct peer *p)
{
    char text[320];
    struct sandbox_support confined = sandbox_state();
    const char *missing = sandbox_missing(&confined), *trouble = metrics_trouble(p->o->all, p->o->count, clock_mono_ms(), p->o->max_staleness_ms);
    snprintf(text, sizeof text, "%s\n%s%s%s", trouble ? trouble : "ok", missing ? "not confined: " : "", missing ? missing : "", missing ? "\n" : "");
    answer_text(p, trouble ? 503 : 200, trouble ? "Service Unavailable" : "OK", text);
}

/* The log's files tell types and times of what was decided, not about whom (authz/README.md, "The log"). */
static void answer_log(struct peer *p, struct slice name)
{
    unsigned char *data = NULL;
    size_t len = 0;
    if (operator_log_read(p->o->log_folder, name, &data, &len, NULL) == OK)
        answer(p, 200, "OK", slice_starts(name, SLICE("tile/")) ? "application/octet-stream" : "text/plain; charset=utf-8", (char *)data, len);
    else
        answer_text(p, 404, "Not Found", "The log has no such file.\n");
    free(data);
}

/* "GET /log/NAME HTTP/1.1" */
static bool log_name(struct slice line, struct slice *out)
{
    struct slice start = SLICE("GET /log/"), end = SLICE(" HTTP/1.1");
    if (!slice_starts(line, start) || line.len < start.len + end.len)
        return false;
    *out = slice_of(line.ptr + start.len, line.len - start.len - end.len);
    return slice_starts(slice_from(line, line.len - end.len), SLICE(" HTTP/1."));
}

static void route(struct peer *p)
{
    struct slice line = slice_of(p->head, p->len), name;
    line.len = slice_find(line, '\r');
    uv_read_stop(&p->stream.stream);
    if (p->o->stopping)               /* the workers and their numbers may be gone already */
        answer_text(p, 503, "Service Unavailable", "stopping\n");
    else if (!slice_starts(line, SLICE("GET ")))
        answer_text(p, 405, "Method Not Allowed", "Only GET is answered here.\n");
    else if (slice_eq(line, SLICE("GET /metrics HTTP/1.1")) || slice_eq(line, SLICE("GET /metrics HTTP/1.0")))
        answer_metrics(p);
    else if (slice_eq(line, SLICE("GET /healthz HTTP/1.1")) || slice_eq(line, SLICE("GET /healthz HTTP/1.0")))
        answer_health(p);
    else if (log_name(line, &name))
        answer_log(p, name);
    else
        answer_text(p, 404, "Not Found", "There are /metrics, /healthz and /log/ here.\n");
}

static void give_room(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct peer *p = h->data;
    (void)suggested;
    *buf = uv_buf_init(p->head + p->len, (unsigned)(HEAD_MAX - p->len));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct peer *p = s->data;
    (void)buf;
    if (n < 0) {                      /* its end, an error, or no room left (ENOBUFS) */
        peer_end(p);
        return;
    }
    p->len += (size_t)n;
    if (memmem(p->head, p->len, "\r\n\r\n", 4) != NULL)
        route(p);
}

static int init_stream(uv_loop_t *loop, union uv_any_handle *h, bool unix_socket)
{
    return unix_socket ? uv_pipe_init(loop, &h->pipe, 0) : uv_tcp_init(loop, &h->tcp);
}

static void on_peer(uv_stream_t *listener, int status)
{
    struct operator *o = listener->data;
    struct peer *p = status == 0 ? calloc(1, sizeof *p) : NULL;
    if (p == NULL)
        return;
    p->o = o;
    p->open_handles = 2;
    o->peers++;
    init_stream(listener->loop, &p->stream, o->path != NULL);
    uv_timer_init(listener->loop, &p->deadline);
    p->stream.handle.data = p->deadline.data = p;
    if (uv_accept(listener, &p->stream.stream) != 0 || o->peers > PEERS_MAX || uv_read_start(&p->stream.stream, give_room, on_read) != 0)
        peer_end(p);
    else
        uv_timer_start(&p->deadline, on_late, PEER_MS, 0);
}

static int open_unix(struct operator *o)
{
    unlink(o->path);
    mode_t old = umask(0117);         /* the group may read: a collector of its own user */
    int r = uv_pipe_bind(&o->listener.pipe, o->path);
    umask(old);
    return r;
}

static int open_tcp(struct operator *o, const char *where)
{
    struct sockaddr_storage sa;
    char address[ADDRESS_MAX];
    uint16_t port = 0;
    if (!listener_parse(where, address, &port))
        return UV_EINVAL;
    int r = strchr(address, ':') ? uv_ip6_addr(address, port, (struct sockaddr_in6 *)&sa) : uv_ip4_addr(address, port, (struct sockaddr_in *)&sa);
    return r == 0 ? uv_tcp_bind(&o->listener.tcp, (struct sockaddr *)&sa, 0) : r;
}

enum status operator_start(uv_loop_t *loop, const char *where, const char *log_folder, struct metrics *const *all, size_t count, int64_t max_staleness_ms,
                           struct operator **out, struct err *err)
{
    struct operator *o = calloc(1, sizeof *o);
    if (o == NULL)
        return fail(err, NO_MEMORY, "operator listener");
    *o = (struct operator){ .all = all, .count = count, .max_staleness_ms = max_staleness_ms };
    o->log_folder = strdup(log_folder);
    if (o->log_folder == NULL || (where[0] == '/' && (o->path = strdup(where)) == NULL)) {
        free(o->log_folder);
        free(o);
        return fail(err, NO_MEMORY, "operator listener");
    }
    int r = init_stream(loop, &o->listener, o->path != NULL);
    o->listener.handle.data = o;
    if (r == 0)
        r = o->path ? open_unix(o) : open_tcp(o, where);
    if (r == 0)
        r = uv_listen(&o->listener.stream, BACKLOG, on_peer);
    if (r != 0) {
        operator_stop(o);
        return fail(err, IO_FAILED, "operator_listen '%s': %s", where, uv_strerror(r));
    }
    *out = o;
    return OK;
}

void operator_stop(struct operator *o)
{
    if (o == NULL || o->stopping)
        return;
    o->stopping = true;
    if (o->path != NULL)
        unlink(o->path);
    uv_close(&o->listener.handle, listener_closed);
}
