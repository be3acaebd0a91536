#include "proxy/net/resolve.h"

#include "proxy/base/log.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

/* It may outlive the resolver: another thread works on it. */
struct resolve_question {
    uv_getaddrinfo_t request;
    struct resolver *resolver;        /* NULL: nobody waits any more */
};

static void put_unix(struct resolver *r, const char *path)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", path);
    memcpy(&r->found[0].sa, &sa, sizeof sa);
    r->found[0].len = sizeof sa;
    r->count = 1;
}

static bool put_numeric(struct resolver *r, const char *host, uint16_t port)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        memcpy(&r->found[0].sa, &v4, sizeof v4);
        r->found[0].len = sizeof v4;
    } else if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        memcpy(&r->found[0].sa, &v6, sizeof v6);
        r->found[0].len = sizeof v6;
    } else {
        return false;
    }
    r->count = 1;
    return true;
}

bool resolve_numeric(const char *host)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

void resolver_init(struct resolver *r, struct loop *l, const char *tool, const struct upstream_address *a, void (*answered)(struct resolver *r))
{
    *r = (struct resolver){ .loop = l, .tool = tool, .port = a->port, .answered = answered };
    if (a->path != NULL)
        put_unix(r, a->path);
    else if (!put_numeric(r, a->host, a->port))
        r->host = a->host;
}

void resolver_done(struct resolver *r)
{
    if (r->question == NULL)
        return;
    r->question->resolver = NULL;
    uv_cancel((uv_req_t *)&r->question->request);
    r->question = NULL;
}

static void take_answer(struct resolver *r, const struct addrinfo *list)
{
    unsigned n = 0;
    for (const struct addrinfo *a = list; a != NULL && n < RESOLVE_ADDRESSES; a = a->ai_next) {
        if (a->ai_addrlen > sizeof r->found[n].sa)
            continue;
        memcpy(&r->found[n].sa, a->ai_addr, a->ai_addrlen);
        r->found[n++].len = a->ai_addrlen;
    }
    if (n == 0)
        return;
    r->count = n;
    r->next %= n;
}

static void on_answer(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct resolve_question *q = request->data;
    struct resolver *r = q->resolver;
    free(q);
    if (r != NULL) {
        r->question = NULL;
        if (status == 0)
            take_answer(r, list);
        if ((status != 0) != r->failing) {
            r->failing = status != 0;
            if (r->failing)
                log_warn("tool.unresolved", "tool", r->tool, "host", r->host, "why", uv_strerror(status), "next",
                         r->count > 0 ? "the addresses found before stay in use" : "requests to it are answered 502");
            else
                log_info("tool.resolved", "tool", r->tool, "host", r->host);
        }
        r->answered(r);
    }
    uv_freeaddrinfo(list);
}

static bool ask(struct resolver *r)
{
    char port[8];
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
    struct resolve_question *q = calloc(1, sizeof *q);
    if (q == NULL)
        return false;
    snprintf(port, sizeof port, "%u", r->port);
    q->resolver = r;
    q->request.data = q;
    if (uv_getaddrinfo(&r->loop->uv, &q->request, on_answer, r->host, port, &hints) != 0) {
        free(q);
        return false;
    }
    r->question = q;
    r->asked_ms = r->loop->now_ms;
    return true;
}

enum resolved resolver_ask(struct resolver *r)
{
    int64_t age = r->loop->now_ms - r->asked_ms;
    if (r->host == NULL)
        return RESOLVED;
    bool due = r->asked_ms == 0 || age > (r->failing ? RESOLVE_AGAIN_MS : RESOLVE_TTL_MS);
    if (due && r->question == NULL && !ask(r) && r->count == 0)
        return UNRESOLVED;
    return r->count > 0 ? RESOLVED : r->question != NULL ? RESOLVING : UNRESOLVED;
}
