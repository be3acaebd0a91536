#include "proxy/commands/inherit.h"

#include "proxy/record/ring.h"
#include "proxy/record/tape.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <netinet/in.h>
#include <string.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG = 1024, FREE_TRIES = 60, FREE_PAUSE_MS = 50 };

static enum status make_address(const struct listener *l, struct sockaddr_storage *sa, socklen_t *len, struct err *err)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)sa;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)sa;
    memset(sa, 0, sizeof *sa);
    if (inet_pton(AF_INET, l->address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(l->port);
        *len = sizeof *v4;
        return OK;
    }
    if (inet_pton(AF_INET6, l->address, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(l->port);
        *len = sizeof *v6;
        return OK;
    }
    return fail(err, BAD_CONFIG, "listen: '%s' is not a numeric address", l->address);
}

/* shared: one socket a worker, over which the kernel spreads connections (SO_REUSEPORT). */
static enum status bind_socket(const struct listener *l, bool shared, int *fd_out, struct err *err)
{
    struct sockaddr_storage sa;
    socklen_t len = 0;
    int one = 1;
    enum status st = make_address(l, &sa, &len, err);
    if (st != OK)
        return st;
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(err, IO_FAILED, "socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (shared)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (sa.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&sa, len) != 0) {
        st = errno == EADDRINUSE ? EXISTS : IO_FAILED;
        (void)!fail(err, st, "cannot listen on %s port %u: %s; is another program using it?", l->address, l->port, strerror(errno));
        close(fd);
        return st;
    }
    *fd_out = fd;
    return OK;
}

/* SO_REUSEPORT would quietly share the port with another gateway of the same user, and half of its people would meet the wrong one: so ask first without it.
 * The processes of a gateway that was just killed may need a moment to be gone. */
static enum status check_free(const struct listener *l, struct err *err)
{
    const struct timespec pause = { 0, FREE_PAUSE_MS * 1000000L };
    enum status st = OK;
    for (unsigned i = 0; i < FREE_TRIES; i++) {
        int fd = -1;
        st = bind_socket(l, false, &fd, err);
        if (st == OK)
            close(fd);
        if (st != EXISTS)
            return st;
        nanosleep(&pause, NULL);
    }
    return fail(err, IO_FAILED, "cannot listen on %s port %u: another program, maybe another gateway, is using it", l->address, l->port);
}

static enum status open_listener(const struct listener *l, int *fd_out, struct err *err)
{
    int fd = -1;
    enum status st = bind_socket(l, true, &fd, err);
    if (st != OK)
        return st;
    if (listen(fd, BACKLOG) != 0) {
        st = fail(err, IO_FAILED, "cannot listen on %s port %u: %s", l->address, l->port, strerror(errno));
        close(fd);
        return st;
    }
    *fd_out = fd;
    return OK;
}

static enum status open_ring(const struct config *c, int *fd_out, struct err *err)
{
    size_t size = tape_memory_size(c->ring_bytes);
    int fd = memfd_create("countersign-ring", MFD_CLOEXEC);
    void *memory = fd >= 0 && ftruncate(fd, (off_t)size) == 0 ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (memory == MAP_FAILED) {
        enum status st = fail(err, IO_FAILED, "ring memory: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return st;
    }
    tape_memory_init(memory, c->ring_bytes);
    munmap(memory, size);
    *fd_out = fd;
    return OK;
}

/* A listening TCP socket at exactly this address? What somebody else opened is looked at before it is used. */
static bool listens_at(int fd, const struct listener *l)
{
    struct sockaddr_storage wanted, got = { 0 };
    socklen_t len = 0, got_len = sizeof got;
    int listening = 0, type = 0;
    socklen_t int_len = sizeof listening, type_len = sizeof type;
    if (make_address(l, &wanted, &len, NULL) != OK || getsockname(fd, (struct sockaddr *)&got, &got_len) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &int_len) != 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) != 0)
        return false;
    const struct sockaddr_in *w4 = (struct sockaddr_in *)&wanted, *g4 = (struct sockaddr_in *)&got;
    const struct sockaddr_in6 *w6 = (struct sockaddr_in6 *)&wanted, *g6 = (struct sockaddr_in6 *)&got;
    if (!listening || type != SOCK_STREAM || got.ss_family != wanted.ss_family)
        return false;
    if (wanted.ss_family == AF_INET)
        return w4->sin_port == g4->sin_port && w4->sin_addr.s_addr == g4->sin_addr.s_addr;
    return w6->sin6_port == g6->sin6_port && memcmp(&w6->sin6_addr, &g6->sin6_addr, sizeof w6->sin6_addr) == 0;
}

/* One socket for all workers, as systemd passed it. -1: it passed none for this address. */
static int find_passed(const struct listener *l, unsigned passed)
{
    for (int fd = INHERIT_FIRST_FD; fd < INHERIT_FIRST_FD + (int)passed; fd++)
        if (listens_at(fd, l) && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
            return fd;
    return -1;
}

static enum status open_rings(const struct config *c, struct inherit *out, struct err *err)
{
    out->told = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    for (unsigned w = 0; w < out->workers && out->told >= 0; w++) {
        enum status st = open_ring(c, &out->worker[w].ring, err);
        if (st != OK)
            return st;
        out->worker[w].wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (out->worker[w].wake < 0)
            return fail(err, IO_FAILED, "eventfd: %s", strerror(errno));
    }
    return out->told >= 0 ? OK : fail(err, IO_FAILED, "eventfd: %s", strerror(errno));
}

enum status inherit_open(const struct config *c, unsigned passed, struct inherit *out, struct err *err)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    memset(out, 0, sizeof *out);
    out->workers = c->workers ? c->workers : cores > 0 ? (unsigned)cores : 1;
    if (out->workers > INHERIT_WORKERS_MAX)
        out->workers = INHERIT_WORKERS_MAX;
    out->listeners = (unsigned)c->listener_count;
    if (out->listeners == 0 || out->listeners > INHERIT_LISTENERS_MAX)
        return fail(err, BAD_CONFIG, "listen: 1 to %d addresses are needed", INHERIT_LISTENERS_MAX);
    for (unsigned l = 0; l < out->listeners; l++) {
        int shared = find_passed(&c->listeners[l], passed);
        if (shared < 0 && passed > 0)
            return fail(err, BAD_CONFIG, "listen: systemd passed no socket for %s port %u; make `listen` and ListenStream= the same", c->listeners[l].address,
                        c->listeners[l].port);
        enum status st = shared < 0 ? check_free(&c->listeners[l], err) : OK;
        if (st != OK)
            return st;
        for (unsigned w = 0; w < out->workers; w++) {
            out->worker[w].listeners[l] = shared;
            st = shared < 0 ? open_listener(&c->listeners[l], &out->worker[w].listeners[l], err) : OK;
            if (st != OK)
                return st;
        }
    }
    return open_rings(c, out, err);
}

enum status inherit_complete(const struct config *c, struct inherit *out, struct err *err)
{
    if (out->listeners != c->listener_count)
        return fail(err, BAD_CONFIG, "`listen` has changed; stop the running gateway first, then start anew");
    for (unsigned w = 0; w < out->workers; w++)
        for (unsigned l = 0; l < out->listeners; l++)
            if (!listens_at(out->worker[w].listeners[l], &c->listeners[l]))
                return fail(err, BAD_CONFIG, "`listen` has changed; stop the running gateway first, then start anew");
    return open_rings(c, out, err);
}

static bool finished(int fd)
{
    struct stat sb;
    struct ring_header *h;
    void *memory = fstat(fd, &sb) == 0 ? mmap(NULL, (size_t)sb.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (memory == MAP_FAILED)
        return true;
    bool done = true;
    if (ring_attach(memory, (size_t)sb.st_size, &h, NULL) == OK) {
        int32_t pid = atomic_load(&h->producer_pid);
        done = (pid <= 0 || (kill(pid, 0) != 0 && errno == ESRCH)) && atomic_load(&h->head) == atomic_load(&h->tail);
    }
    munmap(memory, (size_t)sb.st_size);
    return done;
}

void inherit_prune(struct inherit *in)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < in->old_count; i++) {
        if (!finished(in->old[i].ring)) {
            in->old[kept++] = in->old[i];
            continue;
        }
        close(in->old[i].ring);
        close(in->old[i].wake);
    }
    in->old_count = kept;
}

void inherit_close_listeners(struct inherit *in)
{
    for (unsigned w = 0; w < in->workers; w++)
        for (unsigned l = 0; l < in->listeners; l++)
            close(in->worker[w].listeners[l]);
    in->listeners = 0;
}

size_t inherit_list(const struct inherit *in, int *fds, size_t max)
{
    size_t n = 0;
    if (max < INHERIT_FDS_MAX)
        return 0;
    fds[n++] = in->told;
    for (unsigned w = 0; w < in->workers; w++) {
        fds[n++] = in->worker[w].ring;
        fds[n++] = in->worker[w].wake;
        for (unsigned l = 0; l < in->listeners; l++)
            fds[n++] = in->worker[w].listeners[l];
    }
    for (unsigned i = 0; i < in->old_count; i++) {
        fds[n++] = in->old[i].ring;
        fds[n++] = in->old[i].wake;
    }
    return n;
}

void inherit_describe(const struct inherit *in, char out[32])
{
    snprintf(out, 32, "%u %u %u", in->workers, in->listeners, in->old_count);
}

enum status inherit_take(struct inherit *out, struct err *err)
{
    const char *text = getenv("COUNTERSIGN_INHERIT");
    int fd = INHERIT_FIRST_FD;
    memset(out, 0, sizeof *out);
    if (text == NULL || sscanf(text, "%2u %1u %3u", &out->workers, &out->listeners, &out->old_count) != 3 || out->workers == 0 ||
        out->workers > INHERIT_WORKERS_MAX || out->listeners == 0 || out->listeners > INHERIT_LISTENERS_MAX || out->old_count > INHERIT_OLD_MAX)
        return fail(err, BAD_INPUT, "this process is started by `countersign run`, not by hand");
    out->told = fd++;
    for (unsigned w = 0; w < out->workers; w++) {
        struct inherit_worker *i = &out->worker[w];
        i->ring = fd++;
        i->wake = fd++;
        for (unsigned l = 0; l < out->listeners; l++)
            i->listeners[l] = fd++;
    }
    for (unsigned i = 0; i < out->old_count; i++) {
        out->old[i].ring = fd++;
        out->old[i].wake = fd++;
    }
    for (int i = INHERIT_FIRST_FD; i < fd; i++)
        if (fcntl(i, F_SETFD, FD_CLOEXEC) != 0)
            return fail(err, BAD_INPUT, "descriptor %d of COUNTERSIGN_INHERIT is not open", i);
    return OK;
}
