#include "proxy/replay/serve.h"

#include "proxy/replay/viewer.h"

#include <stdio.h>

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

/* The two signals come only while we wait, so that none is missed between a look at `stop` and the wait. */
struct signals {
    sigset_t before;
    struct sigaction interrupt, terminate;
};

static void signals_take(struct signals *s)
{
    struct sigaction ours = { .sa_handler = on_signal };
    sigset_t two;
    sigemptyset(&ours.sa_mask);
    sigemptyset(&two);
    sigaddset(&two, SIGINT);
    sigaddset(&two, SIGTERM);
    sigprocmask(SIG_BLOCK, &two, &s->before);
    stop = 0;
    sigaction(SIGINT, &ours, &s->interrupt);
    sigaction(SIGTERM, &ours, &s->terminate);
}

static void signals_give_back(const struct signals *s)
{
    sigaction(SIGINT, &s->interrupt, NULL);
    sigaction(SIGTERM, &s->terminate, NULL);
    sigprocmask(SIG_SETMASK, &s->before, NULL);
}

static enum status listen_both(struct httpd *h, struct viewer *v, struct content *c, uint16_t port, struct err *err)
{
    uint16_t first = port, second = port != 0 ? (uint16_t)(port + 1) : 0;
    enum status st = httpd_listen(h, &first, false, viewer_handle, v, err);
    if (st == OK)
        st = httpd_listen(h, &second, true, content_handle, c, err);
    v->port = c->viewer_port = first;
    c->port = second;
    return st;
}

static enum status run(struct viewer *v, struct content *c, uint16_t port, void (*ready)(void *to, const char *address), void *to, struct err *err)
{
    char address[REPLAY_ADDRESS_MAX];
    struct signals signals;
    struct httpd *h = NULL;
    enum status st = httpd_new(&h);
    if (st != OK)
        return fail(err, st, "replay");
    signals_take(&signals);
    st = listen_both(h, v, c, port, err);
    if (st == OK) {
        snprintf(address, sizeof address, "http://127.0.0.1:%u/#%s", (unsigned)v->port, v->key);
        ready(to, address);
        st = httpd_run(h, &stop, &signals.before, err);
    }
    signals_give_back(&signals);
    httpd_free(h);
    return st;
}

enum status replay_serve(const struct replay_source *source, uint16_t port, void (*ready)(void *to, const char *address), void *to, struct err *err)
{
    struct recorded r;
    struct content c;
    struct viewer v;
    if (recorded_init(&r, source->archive) != OK)
        return fail(err, NO_MEMORY, "replay");
    enum status st = content_init(&c, &r);
    c.player = source->player;
    if (st == OK && viewer_init(&v, &c, source->session, source->exchanges) != OK) {
        content_done(&c);
        st = NO_MEMORY;
    }
    if (st != OK) {
        recorded_done(&r);
        return fail(err, st, "replay");
    }
    st = run(&v, &c, port, ready, to, err);
    content_done(&c);
    recorded_done(&r);
    return st;
}
