#include "proxy/commands/probe.h"

#include "proxy/net/upstream_tls.h"

#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void problems_add(struct problems *p, const char *text)
{
    char *copy = strdup(text), **more = realloc(p->text, (p->count + 1) * sizeof *more);
    if (more != NULL)
        p->text = more;
    if (more != NULL && copy != NULL)
        p->text[p->count++] = copy;
    else
        free(copy);
}

static void add(struct problems *p, const struct tool *t, const struct upstream_address *a, const char *what, const char *why)
{
    char text[1024];
    snprintf(text, sizeof text, "tools[%s]: %s %s: %s", t->name, a->text, what, why);
    problems_add(p, text);
}

static int wait_connected(int fd, int64_t ms)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    int code = 0;
    socklen_t len = sizeof code;
    if (poll(&p, 1, (int)ms) != 1)
        return ETIMEDOUT;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len) == 0 ? code : errno;
}

static int connect_to(const struct sockaddr *sa, socklen_t len, int64_t ms, int *fd_out)
{
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int code = fd < 0 || connect(fd, sa, len) != 0 ? errno : 0;
    if (fd >= 0 && code == EINPROGRESS)
        code = wait_connected(fd, ms);
    if (code == 0)
        *fd_out = fd;
    else if (fd >= 0)
        close(fd);
    return code;
}

static int reach_name(const struct upstream_address *a, int64_t ms, const char **why)
{
    char port[8];
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG }, *list = NULL;
    int fd = -1, code = 0;
    snprintf(port, sizeof port, "%u", a->port);
    int r = getaddrinfo(a->host, port, &hints, &list);
    if (r != 0) {
        *why = gai_strerror(r);
        return -1;
    }
    for (const struct addrinfo *at = list; at != NULL && fd < 0; at = at->ai_next)
        code = connect_to(at->ai_addr, at->ai_addrlen, ms, &fd);
    freeaddrinfo(list);
    *why = strerror(code);
    return fd;
}

/* A connected socket, or -1 and *why. */
static int reach(const struct upstream_address *a, int64_t ms, const char **why)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    int fd = -1;
    if (a->path == NULL)
        return reach_name(a, ms, why);
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", a->path);
    *why = strerror(connect_to((struct sockaddr *)&sa, sizeof sa, ms, &fd));
    return fd;
}

/* NULL: a good handshake; else why not. */
static const char *shake_hands(const struct tool *t, const struct upstream_address *a, SSL_CTX *ctx, int fd, int64_t ms)
{
    enum upstream_failure f;
    const char *why = NULL;
    SSL *ssl = upstream_tls_new(ctx, t, a, false);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        return "out of memory";
    }
    for (int r; why == NULL && (r = SSL_connect(ssl)) != 1;) {
        int code = SSL_get_error(ssl, r);
        struct pollfd p = { .fd = fd, .events = code == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN };
        if (code != SSL_ERROR_WANT_READ && code != SSL_ERROR_WANT_WRITE)
            why = upstream_tls_reason(ssl, &f);
        else if (poll(&p, 1, (int)ms) != 1)
            why = "the TLS handshake takes too long";
    }
    SSL_free(ssl);
    return why;
}

static void probe(const struct tool *t, const struct upstream_address *a, SSL_CTX *ctx, int64_t ms, struct problems *problems)
{
    const char *why = NULL;
    int fd = reach(a, ms, &why);
    if (fd < 0) {
        add(problems, t, a, "can't be reached", why);
        return;
    }
    const char *bad = ctx ? shake_hands(t, a, ctx, fd, ms) : NULL;
    if (bad != NULL)
        add(problems, t, a, "can't be used", bad);
    close(fd);
}

void probe_tools(const struct config *c, struct problems *problems)
{
    for (size_t i = 0; i < c->tool_count; i++) {
        const struct tool *t = &c->tools[i];
        struct err err;
        SSL_CTX *ctx = NULL;
        if (t->upstreams[0].tls && upstream_tls_context(t, &ctx, &err) != OK)
            continue;                 /* said already */
        for (size_t k = 0; k < t->upstream_count; k++)
            probe(t, &t->upstreams[k], ctx, c->limits.upstream_connect_ms, problems);
        SSL_CTX_free(ctx);
    }
}
