/* countersign proxy: the process that faces the network; started by `countersign run`. */
#include "proxy/base/file.h"
#include "proxy/base/log.h"
#include "proxy/base/window.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/confine.h"
#include "proxy/commands/inherit.h"
#include "proxy/commands/process.h"
#include "proxy/exchange/operator.h"
#include "proxy/exchange/shares.h"
#include "proxy/exchange/sources.h"
#include "proxy/exchange/worker.h"
#include "proxy/record/recorder.h"

#include <openssl/crypto.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOOK_MS = 20, HANDOVER_MS = 700 };

struct proxy {
    const char *config_path;
    struct snapshot *first, *current;
    struct inherit in;
    struct worker *workers[INHERIT_WORKERS_MAX];
    struct recorder_ring rings[INHERIT_WORKERS_MAX + INHERIT_OLD_MAX];
    unsigned ring_count;
    struct recorder *recorder;
    struct sources *sources;
    struct live *live;                /* who is at which tool; shared by all workers */
    struct shares *shares;
    struct operator *operator;
    struct metrics *metrics[INHERIT_WORKERS_MAX];
    uv_loop_t loop;
    uv_signal_t term, hup, usr1;
    uv_timer_t soon;                  /* looks whether all workers accept; later, ends the recorder's part in a handover */
    uv_async_t ended;                 /* a worker has ended */
    atomic_uint ended_count;
    bool draining;
};

static void drain(struct proxy *p, bool succeeded)
{
    if (p->draining)
        return;
    p->draining = true;
    log_info("proxy.draining");
    for (unsigned i = 0; i < p->in.workers; i++)
        worker_drain(p->workers[i], succeeded);
}

static void tell_parent(struct proxy *p)
{
    uint64_t one = 1;
    ssize_t ignored = write(p->in.told, &one, sizeof one);
    (void)ignored;                    /* it waits for the end of this process too */
}

/* What the tapes hold from now on is read by the successor's recorder. */
static void let_go(struct proxy *p)
{
    if (p->recorder == NULL)
        return;
    recorder_stop(p->recorder);
    p->recorder = NULL;
    log_info("proxy.handed_over");
    tell_parent(p);
}

static void on_let_go(uv_timer_t *t)
{
    let_go(t->data);
}

/* A successor takes the sockets over. Most of what is under way ends within a moment, and is still recorded and decided here. */
static void on_usr1(uv_signal_t *s, int signum)
{
    struct proxy *p = s->data;
    (void)signum;
    if (p->draining)
        return;
    drain(p, true);
    operator_stop(p->operator);
    p->operator = NULL;
    uv_timer_start(&p->soon, on_let_go, HANDOVER_MS, 0);
}

static void on_look(uv_timer_t *t)
{
    struct proxy *p = t->data;
    for (unsigned i = 0; i < p->in.workers; i++)
        if (atomic_load_explicit(&p->metrics[i]->accepting, memory_order_relaxed) == 0)
            return;
    uv_timer_stop(t);
    log_info("proxy.accepting");
    tell_parent(p);
}

static void worker_ended(void *arg)
{
    struct proxy *p = arg;
    atomic_fetch_add(&p->ended_count, 1);
    uv_async_send(&p->ended);
}

static void on_ended(uv_async_t *a)
{
    struct proxy *p = a->data;
    if (atomic_load(&p->ended_count) == p->in.workers)
        uv_stop(&p->loop);
}

static void on_term(uv_signal_t *s, int signum)
{
    struct proxy *p = s->data;
    (void)signum;
    drain(p, false);
}

static void use(struct proxy *p, struct snapshot *fresh)
{
    for (unsigned i = 0; i < p->in.workers; i++)
        worker_reload(p->workers[i], snapshot_ref(fresh));
    snapshot_unref(p->current);
    p->current = fresh;
    log_set_level(fresh->config->log_level);
    struct err err;
    if (recorder_reload(p->recorder, fresh->config, &err) != OK)
        log_error("reload.sealing", "why", err.text, "next", "recordings are sealed to the auditors' keys read before");
}

static void on_hup(uv_signal_t *s, int signum)
{
    struct proxy *p = s->data;
    struct snapshot *fresh = NULL;
    struct err err;
    (void)signum;
    if (snapshot_load(p->config_path, p->current->config, &fresh, &err) == OK) {
        use(p, fresh);
        log_info("reload.done");
        return;
    }
    log_error("reload.refused", "why", err.text, "next", "correct the config and send SIGHUP again; until then the old one stays in force");
    /* A half-edited config must not keep a revocation from taking effect. */
    if (snapshot_renew(p->current, &fresh, &err) == OK) {
        use(p, fresh);
        log_info("reload.certificates");
    } else {
        log_error("reload.certificates", "why", err.text, "next", "the certificates and the revocation list read before stay in force");
    }
}

static enum status map_ring(int ring, int wake, struct recorder_ring *out, struct err *err)
{
    struct stat sb;
    void *memory = fstat(ring, &sb) == 0 ? mmap(NULL, (size_t)sb.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, 0) : MAP_FAILED;
    if (memory == MAP_FAILED)
        return fail(err, IO_FAILED, "a ring can't be mapped");
    (void)madvise(memory, (size_t)sb.st_size, MADV_DONTDUMP);   /* what people saw is in no core file */
    *out = (struct recorder_ring){ memory, (size_t)sb.st_size, wake };
    return OK;
}

/* Our own, and those of a forerunner that drains. */
static enum status map_rings(struct proxy *p, struct err *err)
{
    enum status st = OK;
    for (unsigned i = 0; i < p->in.workers && st == OK; i++)
        st = map_ring(p->in.worker[i].ring, p->in.worker[i].wake, &p->rings[p->ring_count++], err);
    for (unsigned i = 0; i < p->in.old_count && st == OK; i++)
        st = map_ring(p->in.old[i].ring, p->in.old[i].wake, &p->rings[p->ring_count++], err);
    return st;
}

static enum status read_fingerprint_key(const struct config *c, unsigned char key[32], struct err *err)
{
    unsigned char *bytes = NULL;
    size_t len = 0;
    char *path = config_path(c, "keys/fingerprint.key");
    enum status st = path ? file_read(path, 64, true, &bytes, &len, err) : fail(err, NO_MEMORY, "path");
    if (st == OK && len != 32)
        st = fail(err, BAD_CONFIG, "'%s' must hold 32 bytes and holds %zu: it was cut off or edited. Next: put it back from a backup", path, len);
    if (st == OK)
        memcpy(key, bytes, 32);
    if (bytes != NULL)
        OPENSSL_cleanse(bytes, len);
    free(bytes);
    free(path);
    return st;
}

static enum status start_workers(struct proxy *p, const char *authz_socket, const unsigned char key[32], struct err *err)
{
    for (unsigned i = 0; i < p->in.workers; i++) {
        struct worker_options o = {
            .index = i, .snap = p->first, .authz_socket = authz_socket, .listen_fds = p->in.worker[i].listeners,
            .listen_count = p->in.listeners, .ring = p->rings[i].memory, .ring_size = p->rings[i].size, .wake_fd = p->rings[i].wake_fd,
            .sources = p->sources, .live = p->live, .shares = p->shares,
            .ended = worker_ended, .arg = p,
        };
        memcpy(o.fingerprint_key, key, 32);
        enum status st = worker_start(&o, &p->workers[i], err);
        if (st != OK)
            return st;
        p->metrics[i] = worker_metrics(p->workers[i]);
    }
    return OK;
}

/* Before this process is confined, since it makes a socket of its own; it answers only once the loop runs, and the workers with it. Without numbers the gateway still works: only said. */
static void start_operator(struct proxy *p)
{
    const struct config *c = p->first->config;
    struct err err;
    char *log_folder = config_path(c, "log");
    if (c->operator_listen != NULL && log_folder != NULL &&
        operator_start(&p->loop, c->operator_listen, log_folder, p->metrics, p->in.workers, c->max_staleness_ms, &p->operator, &err) != OK)
        log_error("operator.failed", "why", err.text, "next", "there are no /metrics and no /healthz until a restart");
    free(log_folder);
}

static void listen_for_signals(struct proxy *p)
{
    uv_loop_init(&p->loop);
    uv_signal_init(&p->loop, &p->term);
    uv_signal_init(&p->loop, &p->hup);
    uv_signal_init(&p->loop, &p->usr1);
    uv_timer_init(&p->loop, &p->soon);
    uv_async_init(&p->loop, &p->ended, on_ended);
    p->term.data = p->hup.data = p->usr1.data = p->soon.data = p->ended.data = p;
    uv_signal_start(&p->term, on_term, SIGTERM);
    uv_signal_start(&p->hup, on_hup, SIGHUP);
    uv_signal_start(&p->usr1, on_usr1, SIGUSR1);
}

static void stop(struct proxy *p)
{
    operator_stop(p->operator);
    uv_run(&p->loop, UV_RUN_NOWAIT);
    for (unsigned i = 0; i < p->in.workers; i++)
        worker_join(p->workers[i]);
    recorder_stop(p->recorder);
    sources_free(p->sources);
    shares_free(p->shares);
    uv_close((uv_handle_t *)&p->ended, NULL);
    uv_close((uv_handle_t *)&p->term, NULL);
    uv_close((uv_handle_t *)&p->hup, NULL);
    uv_close((uv_handle_t *)&p->usr1, NULL);
    uv_close((uv_handle_t *)&p->soon, NULL);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    uv_loop_close(&p->loop);
    for (unsigned i = 0; i < p->ring_count; i++)
        munmap(p->rings[i].memory, p->rings[i].size);
    snapshot_unref(p->current);
    snapshot_unref(p->first);
}

int cmd_proxy(int argc, char **argv)
{
    static struct proxy p;
    const char *parent = getenv("COUNTERSIGN_PARENT");
    const struct option_spec options[] = {
        { "config", 'c', "FILE", "the gateway's config", &p.config_path, NULL, true },
        { 0 },
    };
    const struct usage u = { "countersign proxy -c FILE", "The process that faces the network; `countersign run` starts it.", options, 0, 0, NULL };
    char **rest;
    size_t count;
    int code;
    struct err err;
    unsigned char key[32];
    if (!options_parse(argc, argv, &u, &rest, &count, &code))
        return code;
    process_harden(parent ? (int)strtol(parent, NULL, 10) : 0);
    window_inherit();
    signal(SIGINT, SIG_IGN);          /* Ctrl-C reaches the whole group; the parent says SIGTERM */
    log_setup("proxy", LOG_LEVEL_INFO);
    listen_for_signals(&p);
    p.sources = sources_new();
    p.shares = shares_new();
    enum status st = p.sources && p.shares ? inherit_take(&p.in, &err) : fail(&err, NO_MEMORY, "sources");
    if (st == OK)
        st = snapshot_load(p.config_path, NULL, &p.first, &err);
    char *socket = st == OK ? config_path(p.first->config, "run/authz.sock") : NULL;
    if (st == OK)
        st = (p.live = live_new(p.in.workers)) != NULL ? map_rings(&p, &err) : fail(&err, NO_MEMORY, "live");
    if (st == OK)
        st = read_fingerprint_key(p.first->config, key, &err);
    if (st == OK) {
        start_operator(&p);
        st = confine_proxy(p.first->config, &err);   /* nothing was read from the network yet; threads come next */
    }
    if (st == OK)
        st = recorder_start(p.first->config, socket, p.rings, p.ring_count, &p.recorder, &err);
    if (st == OK)
        st = start_workers(&p, socket, key, &err);
    OPENSSL_cleanse(key, sizeof key);
    if (st != OK) {
        log_error("proxy.failed", "why", err.text);
        return EXIT_REFUSED;
    }
    p.current = snapshot_ref(p.first);
    uv_timer_start(&p.soon, on_look, 0, LOOK_MS);
    log_set_level(p.first->config->log_level);
    log_info("proxy.started", "socket", socket);
    uv_run(&p.loop, UV_RUN_DEFAULT);
    stop(&p);
    free(socket);
    log_info("proxy.stopped");
    return EXIT_DONE;
}
