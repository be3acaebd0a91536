#include "proxy/replay/httpd.h"

#include "config/config.h"
#include "proxy/base/bbuf.h"
#include "proxy/base/clock.h"
#include "proxy/http/h1.h"
#include "proxy/http/h1_write.h"
#include "proxy/http/target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DOORS_MAX = 4, CONNECTIONS_MAX = 96, FIELDS_MAX = 100, ARENA_MAX = 512 * 1024, HEAD_OUT_MAX = 64 * 1024, READ_MAX = 16 * 1024, PORT_TRIES = 50 };
enum { IDLE_MS = 120 * 1000, BUSY_MS = 30 * 1000 };   /* a connection that waits for a request; one that is in the middle of one */
static const unsigned allow_all = TARGET_ENCODED_SLASH | TARGET_BACKSLASH | TARGET_EMPTY_SEGMENT | TARGET_DOUBLE_ENCODING;

struct door {
    int fd;
    httpd_handler *handler;
    void *to;
};

enum conn_state { CONN_HEAD, CONN_BODY, CONN_WAIT, CONN_WRITE };

struct conn {
    int fd;
    enum conn_state state;
    const struct door *from;
    int64_t deadline_ms, answer_at_ms;   /* answer_at_ms: of CONN_WAIT; 0: never */
    struct bbuf in, head, content;
    size_t scanned, written;
    bool close_after, head_only;
    struct arena arena;
    struct message m;
    struct h1_body body;
    struct httpd_answer answer;
};

struct httpd {
    struct door doors[DOORS_MAX];
    size_t door_count;
    struct conn *conns[CONNECTIONS_MAX];
    size_t conn_count;
};

void httpd_field(struct httpd_answer *a, const char *name, struct slice value)
{
    if (fields_add(&a->fields, a->arena, FIELDS_MAX, slice_str(name), value) != OK)
        a->status = 0;
}

void httpd_text(struct httpd_answer *a, unsigned status, const char *literal)
{
    a->status = status;
    a->body = slice_str(literal);
    httpd_field(a, "content-type", SLICE("text/plain; charset=utf-8"));
}

/* ---- connections ---- */

static void conn_free(struct conn *c)
{
    close(c->fd);
    free(c->answer.owned);
    bbuf_done(&c->in);
    bbuf_done(&c->head);
    bbuf_done(&c->content);
    arena_done(&c->arena);
    free(c);
}

static void expect_request(struct conn *c)
{
    free(c->answer.owned);
    c->answer = (struct httpd_answer){ 0 };
    arena_done(&c->arena);
    arena_init(&c->arena, ARENA_MAX);
    bbuf_drop(&c->head, bbuf_len(&c->head));
    bbuf_drop(&c->content, bbuf_len(&c->content));
    c->state = CONN_HEAD;
    c->scanned = c->written = 0;
    c->deadline_ms = clock_mono_ms() + (bbuf_len(&c->in) > 0 ? BUSY_MS : IDLE_MS);
}

/* When there is no room the one that waited longest for a request makes it. */
static bool make_room(struct httpd *h)
{
    size_t oldest = h->conn_count;
    if (h->conn_count < CONNECTIONS_MAX)
        return true;
    for (size_t i = 0; i < h->conn_count; i++)
        if (h->conns[i]->state == CONN_HEAD && (oldest == h->conn_count || h->conns[i]->deadline_ms < h->conns[oldest]->deadline_ms))
            oldest = i;
    if (oldest == h->conn_count)
        return false;
    conn_free(h->conns[oldest]);
    h->conns[oldest] = h->conns[--h->conn_count];
    return true;
}

static void accept_one(struct httpd *h, const struct door *l)
{
    int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct conn *c = make_room(h) ? calloc(1, sizeof *c) : NULL;
    if (c == NULL) {
        close(fd);
        return;
    }
    c->fd = fd;
    c->from = l;
    bbuf_init(&c->in, H1_HEAD_MAX + READ_MAX);
    bbuf_init(&c->head, HEAD_OUT_MAX);
    bbuf_init(&c->content, HTTPD_BODY_MAX);
    arena_init(&c->arena, ARENA_MAX);
    expect_request(c);
    h->conns[h->conn_count++] = c;
}

/* ---- answering ---- */

static void begin_write(struct conn *c)
{
    struct httpd_answer *a = &c->answer;
    struct h1_response_head r = { .status = a->status, .fields = &a->fields, .framing = BODY_LENGTH, .has_length = true, .content_length = a->body.len, .close = c->close_after,
                                  .now_ms = clock_wall_ms() };
    if (a->status == 204 || a->status == 304) {
        r.framing = BODY_NONE;
        r.has_length = false;
        a->body.len = 0;
    }
    if (a->status < 200 || a->status > 599 || h1_write_response_head(&r, &c->head) != OK) {
        struct h1_response_head plain = { .status = 500, .framing = BODY_LENGTH, .has_length = true, .close = true, .now_ms = r.now_ms };
        bbuf_drop(&c->head, bbuf_len(&c->head));
        a->body.len = 0;
        c->close_after = true;
        if (h1_write_response_head(&plain, &c->head) != OK)
            c->deadline_ms = 0;
    }
    if (c->head_only)
        a->body.len = 0;
    c->state = CONN_WRITE;
    c->written = 0;
}

static void refuse(struct conn *c, const struct refusal *why)
{
    c->answer = (struct httpd_answer){ .arena = &c->arena };
    c->close_after = true;
    httpd_text(&c->answer, why->status, why->reason);
    begin_write(c);
}

static void handle(struct conn *c)
{
    struct httpd_request q = { &c->m, bbuf_slice(&c->content) };
    c->answer = (struct httpd_answer){ .arena = &c->arena };
    c->head_only = slice_eq(c->m.method, SLICE("HEAD"));
    c->close_after = !c->m.keep_alive;
    c->from->handler(c->from->to, &q, &c->answer);
    if (c->answer.never || c->answer.delay_ms > 0) {
        c->state = CONN_WAIT;
        c->answer_at_ms = c->answer.never ? 0 : clock_mono_ms() + c->answer.delay_ms;
        return;
    }
    begin_write(c);
}

/* ---- reading ---- */

/* PARSE_OK: the request goes on to its body, or to its answer. */
static bool read_head(struct conn *c)
{
    static const struct h1_limits limits = { .fields = FIELDS_MAX };
    struct refusal why = { 400, "bad request\n" };
    struct slice in = bbuf_slice(&c->in);
    size_t len = 0;
    if (in.len >= 2 && c->scanned == 0 && memcmp(in.ptr, "\r\n", 2) == 0) {
        bbuf_drop(&c->in, 2);
        in = bbuf_slice(&c->in);
    }
    enum parse p = h1_head_length(in, c->scanned, &len);
    if (p == PARSE_MORE && in.len < H1_HEAD_MAX) {
        c->scanned = in.len;
        return false;
    }
    if (p == PARSE_MORE)
        why = (struct refusal){ 431, "the request's head is too large\n" };
    if (p == PARSE_OK)
        p = h1_parse_request(slice_of(in.ptr, len), &limits, &c->arena, &c->m, &why);
    if (p == PARSE_OK)
        p = target_normalise(&c->m, allow_all, &c->arena, &why);
    if (p != PARSE_OK) {
        refuse(c, &why);
        return true;
    }
    bbuf_drop(&c->in, len);
    h1_body_init(&c->body, &c->m, &c->arena, FIELDS_MAX);
    c->state = CONN_BODY;
    return true;
}

static bool read_body(struct conn *c)
{
    struct refusal why = { 400, "bad body\n" };
    while (!c->body.done) {
        size_t used = 0;
        struct slice data = { NULL, 0 }, in = bbuf_slice(&c->in);
        enum parse p = h1_body_read(&c->body, in, &used, &data, &why);
        if (p == PARSE_OK && bbuf_put(&c->content, data) != OK) {
            why = (struct refusal){ 413, "the request's body is too large\n" };
            p = PARSE_BAD;
        }
        if (p == PARSE_BAD) {
            refuse(c, &why);
            return true;
        }
        bbuf_drop(&c->in, used);
        if (!c->body.done && used == 0)
            return false;
    }
    handle(c);
    return true;
}

/* False: gone. */
static bool receive(struct conn *c)
{
    if (bbuf_room(&c->in) < READ_MAX)
        return true;
    unsigned char *room = bbuf_reserve(&c->in, READ_MAX);
    if (room == NULL)
        return false;
    ssize_t n = recv(c->fd, room, READ_MAX, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0)
        return false;
    bbuf_wrote(&c->in, (size_t)n);
    if (c->state == CONN_HEAD)
        c->deadline_ms = clock_mono_ms() + BUSY_MS;
    return true;
}

static void advance(struct conn *c)
{
    bool more = true;
    while (more && (c->state == CONN_HEAD || c->state == CONN_BODY))
        more = c->state == CONN_HEAD ? bbuf_len(&c->in) > 0 && read_head(c) : read_body(c);
}

/* ---- writing ---- */

static ssize_t send_some(struct conn *c)
{
    struct slice head = bbuf_slice(&c->head);
    if (head.len > 0)
        return send(c->fd, head.ptr, head.len, MSG_NOSIGNAL | (c->answer.body.len > 0 ? MSG_MORE : 0));
    return send(c->fd, c->answer.body.ptr + c->written, c->answer.body.len - c->written, MSG_NOSIGNAL);
}

/* False: gone, or done with. */
static bool transmit(struct conn *c)
{
    while (bbuf_len(&c->head) > 0 || c->written < c->answer.body.len) {
        bool head = bbuf_len(&c->head) > 0;
        ssize_t n = send_some(c);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        c->deadline_ms = clock_mono_ms() + BUSY_MS;
        if (head)
            bbuf_drop(&c->head, (size_t)n);
        else
            c->written += (size_t)n;
    }
    if (c->close_after)
        return false;
    expect_request(c);
    advance(c);
    return true;
}

/* ---- turns ---- */

static bool serve_conn(struct conn *c, short events, int64_t now_ms)
{
    bool alive = true;
    if (c->state == CONN_WAIT && c->answer_at_ms > 0 && now_ms >= c->answer_at_ms)
        begin_write(c);
    if (events & (POLLERR | POLLNVAL))
        return false;
    if (events & (POLLIN | POLLHUP)) {
        alive = receive(c);
        if (alive)
            advance(c);
    }
    if (alive && c->state == CONN_WRITE)
        alive = transmit(c);
    return alive && (c->state == CONN_WAIT || now_ms < c->deadline_ms);
}

static int wait_for(struct httpd *h, struct pollfd *v, int timeout_ms, const sigset_t *mask)
{
    size_t n = 0;
    for (size_t i = 0; i < h->door_count; i++)
        v[n++] = (struct pollfd){ .fd = h->doors[i].fd, .events = POLLIN };
    for (size_t i = 0; i < h->conn_count; i++) {
        const struct conn *c = h->conns[i];
        short room = bbuf_room(&c->in) >= READ_MAX ? POLLIN : 0;
        v[n++] = (struct pollfd){ .fd = c->fd, .events = c->state == CONN_WRITE ? POLLOUT : room };
        if (c->state == CONN_WAIT && c->answer_at_ms > 0 && timeout_ms > 100)
            timeout_ms = 100;
    }
    struct timespec t = { timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000L };
    return ppoll(v, n, &t, mask);
}

enum status httpd_turn(struct httpd *h, int timeout_ms, const sigset_t *mask, struct err *err)
{
    struct pollfd v[DOORS_MAX + CONNECTIONS_MAX];
    if (wait_for(h, v, timeout_ms, mask) < 0)
        return errno == EINTR ? OK : fail(err, IO_FAILED, "waiting for the browser: %s", strerror(errno));
    int64_t now_ms = clock_mono_ms();
    size_t kept = 0;
    for (size_t i = 0; i < h->conn_count; i++) {
        if (serve_conn(h->conns[i], v[h->door_count + i].revents, now_ms))
            h->conns[kept++] = h->conns[i];
        else
            conn_free(h->conns[i]);
    }
    h->conn_count = kept;
    for (size_t i = 0; i < h->door_count; i++)
        if (v[i].revents & POLLIN)
            accept_one(h, &h->doors[i]);
    return OK;
}

enum status httpd_run(struct httpd *h, const volatile sig_atomic_t *stop, const sigset_t *mask, struct err *err)
{
    enum status st = OK;
    while (st == OK && !*stop)
        st = httpd_turn(h, 1000, mask, err);
    return st;
}

/* ---- listening ---- */

static int bind_one(bool v6, uint16_t port)
{
    struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (v6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, v6 ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4, v6 ? (socklen_t)sizeof a6 : (socklen_t)sizeof a4) == 0 && listen(fd, 64) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* Both families at one port, or neither; a machine without IPv6 has nobody who could listen there. */
static enum status bind_both(uint16_t *port, bool v6, int fd[2], struct err *err)
{
    struct sockaddr_in a = { 0 };
    socklen_t len = sizeof a;
    fd[1] = -1;
    fd[0] = bind_one(false, *port);
    if (fd[0] < 0)
        return fail(err, errno == EADDRINUSE ? EXISTS : IO_FAILED, "cannot listen on 127.0.0.1:%u: %s", (unsigned)*port, strerror(errno));
    if (getsockname(fd[0], (struct sockaddr *)&a, &len) != 0) {
        close(fd[0]);
        return fail(err, IO_FAILED, "cannot listen: %s", strerror(errno));
    }
    if (v6)
        fd[1] = bind_one(true, ntohs(a.sin_port));
    if (v6 && fd[1] < 0 && errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL) {
        close(fd[0]);
        return fail(err, errno == EADDRINUSE ? EXISTS : IO_FAILED, "cannot listen on [::1]:%u: %s", (unsigned)ntohs(a.sin_port), strerror(errno));
    }
    *port = ntohs(a.sin_port);
    return OK;
}

enum status httpd_listen(struct httpd *h, uint16_t *port, bool v6, httpd_handler *handler, void *to, struct err *err)
{
    int fd[2];
    uint16_t wanted = *port;
    enum status st = EXISTS;
    for (unsigned i = 0; st == EXISTS && i < (wanted == 0 ? PORT_TRIES : 1); i++) {
        *port = wanted;
        st = bind_both(port, v6, fd, err);
    }
    for (size_t i = 0; st == OK && i < 2; i++)
        if (fd[i] >= 0)
            h->doors[h->door_count++] = (struct door){ fd[i], handler, to };
    return st;
}

enum status httpd_new(struct httpd **out)
{
    *out = calloc(1, sizeof **out);
    return *out != NULL ? OK : NO_MEMORY;
}

void httpd_free(struct httpd *h)
{
    if (h == NULL)
        return;
    for (size_t i = 0; i < h->conn_count; i++)
        conn_free(h->conns[i]);
    for (size_t i = 0; i < h->door_count; i++)
        close(h->doors[i].fd);
    free(h);
}
