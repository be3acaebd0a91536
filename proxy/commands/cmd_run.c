/* countersign run: the parent. It opens the config, the listening sockets and the rings, becomes the dedicated user, starts authz, proxy and (if it has something to do) courier, watches and restarts them. It never
 * reads a byte from the network and keeps no key. */
#include "certs/ca.h"
#include "certs/trust.h"
#include "proxy/base/clock.h"
#include "proxy/base/file.h"
#include "proxy/base/lane.h"
#include "proxy/base/log.h"
#include "proxy/base/window.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/confine.h"
#include "proxy/commands/giver.h"
#include "proxy/commands/handover.h"
#include "proxy/commands/inherit.h"
#include "proxy/commands/notify.h"
#include "proxy/commands/process.h"
#include "proxy/net/tls.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum { RESTART_MIN_MS = 100, RESTART_MAX_MS = 5000, STEADY_MS = 10000, DAY_MS = 24 * 3600 * 1000, SETTLE_MS = 100, WATCHES = 3 };

struct child {
    struct parent *parent;
    const char *name;                 /* the sub-command */
    uv_process_t process;
    uv_timer_t retry;
    struct giver *giver;              /* of its window; authz has none: it may read by itself */
    bool running;
    uint64_t started_ms;
    unsigned wait_ms;
};

struct parent {
    const char *config_path;
    struct giver_source given;         /* the config in force, and what the children are told of it */
    struct inherit in;
    uv_loop_t loop;
    uv_signal_t signals[3];
    uv_timer_t daily, settle;
    uv_fs_event_t watches[WATCHES];
    uv_poll_t told;                   /* the proxy says something */
    struct child authz, proxy, courier;
    int lane[2];                      /* authz's end, the courier's (lane.h); the proxy gets neither */
    struct handover handover;
    bool stopping, ready;             /* ready: the proxy accepts */
    bool released;                    /* handing over: the proxy has let go of the recordings */
};

static void start_child(struct child *c);
static void hand_over_step(struct parent *p);
static void end_courier(struct parent *p);
static void courier_as_configured(struct parent *p);
static void handover_lost(void *arg);

/* ---- children ---- */

static void finish_if_stopped(struct parent *p)
{
    if (!p->stopping)
        return;
    if (p->proxy.running || p->courier.running)
        return;
    if (p->authz.running)             /* after the proxy: its last segments and outcomes are told to authz */
        uv_process_kill(&p->authz.process, SIGTERM);
    else
        uv_stop(&p->loop);
}

/* ---- handing over to a successor (handover.h) ---- */

static bool is_own_process(void *arg, int pid)
{
    const struct parent *p = arg;
    const struct child *all[] = { &p->authz, &p->proxy, &p->courier };
    for (size_t i = 0; i < 3; i++)
        if (all[i]->running && all[i]->process.pid == pid)
            return true;
    return false;
}

static const char *why_not_hand_over(void *arg)
{
    const struct parent *p = arg;
    return p->stopping ? "it is stopping" : !p->ready || !p->proxy.running || !p->authz.running ? "it is only starting; try again in a moment" : NULL;
}

static void begin_hand_over(void *arg)
{
    struct parent *p = arg;
    log_info("handover.begun");
    uv_timer_stop(&p->settle);
    p->released = false;
    uv_process_kill(&p->proxy.process, SIGUSR1);
    end_courier(p);
}

/* First the proxy lets go of the recordings, then authz ends; then all is the successor's. */
static void hand_over_step(struct parent *p)
{
    if (!p->released && p->proxy.running)
        return;
    if (p->authz.running) {
        uv_process_kill(&p->authz.process, SIGTERM);
        return;
    }
    if (!handover_yours(&p->handover)) {
        handover_lost(p);
        return;
    }
    log_info("handover.done");
    inherit_close_listeners(&p->in);
    p->stopping = true;
    finish_if_stopped(p);
}

/* The successor died in between. What still drains is cut off, since its tape can have only one writer: serving again at once counts more. */
static void handover_lost(void *arg)
{
    struct parent *p = arg;
    log_error("handover.failed", "why", "the successor is gone", "next", "this gateway goes on");
    p->handover.going = false;
    p->ready = false;
    if (p->proxy.running)
        uv_process_kill(&p->proxy.process, SIGKILL);
    else
        start_child(&p->proxy);
    if (!p->authz.running)
        start_child(&p->authz);
    courier_as_configured(p);
}

static void on_told(uv_poll_t *t, int status, int events)
{
    struct parent *p = t->data;
    uint64_t count;
    (void)status;
    (void)events;
    if (read(p->in.told, &count, sizeof count) <= 0)
        return;
    if (p->handover.going) {
        p->released = true;
        hand_over_step(p);
    } else if (!p->ready) {
        char text[64];
        p->ready = true;
        snprintf(text, sizeof text, "READY=1\nMAINPID=%d", (int)getpid());
        notify_systemd(text);
    }
}

static void on_retry(uv_timer_t *t)
{
    start_child(t->data);
}

/* The operator's socket is the proxy's, which may remove nothing there (confine.h). After a handover it is the successor's. */
static void remove_operator_socket(const struct parent *p)
{
    const char *path = p->given.config->operator_listen;
    if (path != NULL && path[0] == '/' && !p->released)
        unlink(path);
}

static void on_child_exit(uv_process_t *process, int64_t status, int term_signal)
{
    struct child *c = process->data;
    char code[24], sig[12];
    c->running = false;
    uv_close((uv_handle_t *)process, NULL);
    snprintf(code, sizeof code, "%lld", (long long)status);
    snprintf(sig, sizeof sig, "%d", term_signal);
    if (c->parent->handover.going) {
        hand_over_step(c->parent);
        return;
    }
    if (c->parent->stopping) {
        if (c == &c->parent->proxy)
            remove_operator_socket(c->parent);
        finish_if_stopped(c->parent);
        return;
    }
    if (c == &c->parent->courier && !config_wants_courier(c->parent->given.config))
        return;
    log_warn("process.ended", "name", c->name, "status", code, "signal", term_signal ? sig : NULL, "why",
             term_signal == SIGSYS ? "it made a system call that it never makes (sandbox.refused): foreign code may have run in it" : NULL);
    c->wait_ms = uv_now(&c->parent->loop) - c->started_ms > STEADY_MS ? RESTART_MIN_MS
                 : c->wait_ms * 2 > RESTART_MAX_MS                     ? RESTART_MAX_MS
                                                                       : c->wait_ms * 2;
    uv_timer_start(&c->retry, on_retry, c->wait_ms, 0);
}

struct child_env {
    char inherit[64], parent[64], window[64];
};

static char **child_environment(const struct parent *p, bool lane, int window_fd, struct child_env *text_of)
{
    static char first[] = LANE_VARIABLE "=3";
    extern char **environ;
    size_t n = 0;
    char text[32];
    while (environ[n] != NULL)
        n++;
    char **env = calloc(n + 5, sizeof *env);
    if (env == NULL)
        return NULL;
    memcpy(env, environ, n * sizeof *env);
    inherit_describe(&p->in, text);
    snprintf(text_of->inherit, 64, "COUNTERSIGN_INHERIT=%s", text);
    snprintf(text_of->parent, 64, "COUNTERSIGN_PARENT=%d", (int)getpid());
    snprintf(text_of->window, 64, WINDOW_VARIABLE "=%d", window_fd);
    env[n++] = text_of->inherit;
    env[n++] = text_of->parent;
    if (window_fd >= 0)
        env[n++] = text_of->window;
    env[n] = lane ? first : NULL;     /* behind standard error */
    return env;
}

static void start_child(struct child *c)
{
    struct parent *p = c->parent;
    static int fds[INHERIT_FDS_MAX];
    static uv_stdio_container_t stdio[4 + sizeof fds / sizeof *fds];
    struct child_env texts;
    struct err err;
    int window = -1;
    char *args[] = { (char *)"countersign", (char *)(uintptr_t)c->name, (char *)"-c", (char *)(uintptr_t)p->config_path, NULL };
    inherit_prune(&p->in);
    size_t n = 1;
    fds[0] = p->lane[c == &p->courier];
    if (c == &p->proxy)
        n = inherit_list(&p->in, fds, sizeof fds / sizeof *fds);
    giver_free(c->giver);
    c->giver = NULL;
    if (c != &p->authz && p->given.config->sandbox != SANDBOX_OFF && giver_new(&p->loop, c->name, &p->given, &c->giver, &window, &err) != OK)
        log_error("process.window", "name", c->name, "why", err.text);
    char **env = child_environment(p, c != &p->proxy, window >= 0 ? (int)(3 + n) : -1, &texts);
    stdio[0].flags = UV_IGNORE;
    for (int i = 1; i < 3; i++)
        stdio[i] = (uv_stdio_container_t){ .flags = UV_INHERIT_FD, .data.fd = i };
    for (size_t i = 0; i < n; i++)
        stdio[3 + i] = (uv_stdio_container_t){ .flags = UV_INHERIT_FD, .data.fd = fds[i] };
    if (window >= 0)
        stdio[3 + n++] = (uv_stdio_container_t){ .flags = UV_INHERIT_FD, .data.fd = window };
    uv_process_options_t o = { .exit_cb = on_child_exit, .file = "/proc/self/exe", .args = args, .env = env, .stdio = stdio,
                               .stdio_count = (int)(3 + n) };
    c->process.data = c;
    c->started_ms = uv_now(&p->loop);
    int r = env ? uv_spawn(&p->loop, &c->process, &o) : UV_ENOMEM;
    free(env);
    if (window >= 0)
        close(window);
    c->running = r == 0;
    if (r != 0) {
        log_error("process.start", "name", c->name, "why", uv_strerror(r));
        uv_close((uv_handle_t *)&c->process, NULL);
        uv_timer_start(&c->retry, on_retry, RESTART_MAX_MS, 0);
    }
}

/* Nobody waits for it: what it has not sent stays in authz's queue. */
static void end_courier(struct parent *p)
{
    uv_timer_stop(&p->courier.retry);
    if (p->courier.running)
        uv_process_kill(&p->courier.process, SIGTERM);
}

static void courier_as_configured(struct parent *p)
{
    if (!config_wants_courier(p->given.config))
        end_courier(p);
    else if (!p->courier.running && !uv_is_active((uv_handle_t *)&p->courier.retry))
        start_child(&p->courier);
}

/* ---- signals, reload, the daily round ---- */

static void watch_all(struct parent *p);

/* The children read the file for themselves and decide for themselves; they are told in any case, since a config that is refused must not keep a
 * revocation from taking effect. */
static void reload(struct parent *p)
{
    struct config *fresh = NULL;
    struct problems problems = { 0 };
    if (p->stopping || p->handover.going)
        return;
    notify_reloading();
    enum status st = config_load_in_force(p->config_path, &fresh, &problems);
    for (size_t i = 0; i < problems.count; i++)
        log_warn("config.problem", "text", problems.text[i]);
    p->given.refused[0] = 0;
    if (st != OK)
        snprintf(p->given.refused, sizeof p->given.refused, "%s", problems.count ? problems.text[0] : "the config can't be read");
    problems_done(&problems);
    const char *fixed = st == OK ? config_needs_restart(p->given.config, fresh) : NULL;
    if (st != OK) {
        log_error("reload.refused", "why", "the config has problems", "next", "correct them and send SIGHUP again; the old config stays in force");
    } else if (fixed != NULL) {
        snprintf(p->given.refused, sizeof p->given.refused, "the setting `%s` has changed, which takes a restart: run `countersign run` anew, or put it back", fixed);
        log_error("reload.refused", "why", "a setting changed that is only read at the start", "setting", fixed, "next",
                  "a restart is needed: run `countersign run` anew; the old config stays in force");
        config_unref(fresh);
    } else {
        config_unref(p->given.config);
        p->given.config = fresh;
        log_set_level(fresh->log_level);
        watch_all(p);
        courier_as_configured(p);
    }
    if (p->authz.running)
        uv_process_kill(&p->authz.process, SIGHUP);
    if (p->proxy.running)
        uv_process_kill(&p->proxy.process, SIGHUP);
    if (p->courier.running)
        uv_process_kill(&p->courier.process, SIGHUP);
    notify_systemd("READY=1");
}

static void on_settled(uv_timer_t *t)
{
    reload(t->data);
}

/* A revocation list or a registered key changed: no order is needed for that. */
static void on_file_event(uv_fs_event_t *w, const char *name, int events, int status)
{
    struct parent *p = w->data;
    (void)events;
    const char *watched[] = { p->given.config->crl, p->given.config->approval_keys };
    if (w == &p->watches[2] && status == 0 && name != NULL && strcmp(name, "in-force") == 0)   /* another policy counts from now on */
        uv_timer_start(&p->settle, on_settled, SETTLE_MS, 0);
    for (size_t i = 0; status == 0 && name != NULL && i < sizeof watched / sizeof *watched; i++) {
        const char *slash = watched[i] ? strrchr(watched[i], '/') : NULL;
        if (slash != NULL && strcmp(slash + 1, name) == 0)
            uv_timer_start(&p->settle, on_settled, SETTLE_MS, 0);
    }
}

static void watch(struct parent *p, size_t i, const char *path)
{
    char dir[4096];
    const char *slash = path ? strrchr(path, '/') : NULL;
    uv_fs_event_stop(&p->watches[i]);
    if (slash == NULL)
        return;
    snprintf(dir, sizeof dir, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    if (uv_fs_event_start(&p->watches[i], on_file_event, dir, 0) != 0)
        log_warn("watch.failed", "folder", dir, "next", "after changing the CRL or the approval keys, send SIGHUP");
}

/* authz puts the name of the policy that counts there (config_load_in_force). */
static void watch_policy(struct parent *p)
{
    struct err err;
    char *folder = config_path(p->given.config, "policy"), *file = config_path(p->given.config, "policy/in-force");
    if (folder != NULL && file != NULL && (access(folder, F_OK) == 0 || (p->given.config->second_operator && file_mkdirs(folder, 0700, &err) == OK)))
        watch(p, 2, file);
    free(folder);
    free(file);
}

static void watch_all(struct parent *p)
{
    watch(p, 0, p->given.config->crl);
    watch(p, 1, p->given.config->approval_keys);
    watch_policy(p);
}

static void renew_crl(struct parent *p)
{
    struct err err;
    bool renewed = false;
    char *folder = config_path(p->given.config, "ca");
    enum status st = folder ? ca_renew_crl_if_due(folder, clock_wall_s(), &renewed, &err) : NO_MEMORY;
    if (st != OK && st != NOT_FOUND)
        log_error("crl.renewal", "why", st == NO_MEMORY ? "out of memory" : err.text);
    else if (renewed)
        log_info("crl.renewed");
    free(folder);
}

static void on_daily(uv_timer_t *t)
{
    renew_crl(t->data);               /* a new file is noticed by the watch */
}

static void on_signal(uv_signal_t *s, int signum)
{
    struct parent *p = s->data;
    if (signum == SIGHUP) {
        reload(p);
        return;
    }
    if (p->stopping)
        return;
    p->stopping = true;
    log_info("stopping");
    notify_systemd("STOPPING=1");
    handover_close(&p->handover);
    uv_timer_stop(&p->authz.retry);
    uv_timer_stop(&p->proxy.retry);
    end_courier(p);
    inherit_close_listeners(&p->in);  /* nobody is let in any more: better refused at once than left waiting */
    if (p->proxy.running)
        uv_process_kill(&p->proxy.process, SIGTERM);
    finish_if_stopped(p);
}

/* ---- life ---- */

static void init_child(struct parent *p, struct child *c, const char *name)
{
    *c = (struct child){ .parent = p, .name = name, .wait_ms = RESTART_MIN_MS };
    uv_timer_init(&p->loop, &c->retry);
    c->retry.data = c;
}

static void listen_for_successor(struct parent *p)
{
    struct err err;
    char *path = config_path(p->given.config, "run/parent.sock");
    p->handover.in = &p->in;
    p->handover.why_not = why_not_hand_over;
    p->handover.is_own = is_own_process;
    p->handover.go = begin_hand_over;
    p->handover.lost = handover_lost;
    p->handover.arg = p;
    if (path == NULL || handover_listen(&p->handover, &p->loop, path, &err) != OK)
        log_warn("handover.unavailable", "why", path ? err.text : "out of memory", "next", "a restart will refuse connections for a moment");
    free(path);
}

static void run_loop(struct parent *p)
{
    static const int wanted[] = { SIGTERM, SIGINT, SIGHUP };
    for (size_t i = 0; i < 3; i++) {
        uv_signal_init(&p->loop, &p->signals[i]);
        p->signals[i].data = p;
        uv_signal_start(&p->signals[i], on_signal, wanted[i]);
    }
    uv_timer_init(&p->loop, &p->settle);
    uv_timer_init(&p->loop, &p->daily);
    p->settle.data = p->daily.data = p;
    uv_timer_start(&p->daily, on_daily, DAY_MS, DAY_MS);
    for (size_t i = 0; i < WATCHES; i++) {
        uv_fs_event_init(&p->loop, &p->watches[i]);
        p->watches[i].data = p;
    }
    watch_all(p);
    uv_poll_init(&p->loop, &p->told, p->in.told);
    p->told.data = p;
    uv_poll_start(&p->told, UV_READABLE, on_told);
    listen_for_successor(p);
    init_child(p, &p->authz, "authz");
    init_child(p, &p->proxy, "proxy");
    init_child(p, &p->courier, "courier");
    start_child(&p->authz);
    start_child(&p->proxy);
    courier_as_configured(p);
    uv_run(&p->loop, UV_RUN_DEFAULT);
}

static void close_any(uv_handle_t *h, void *arg)
{
    (void)arg;
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

/* What the proxy will read from the files the config names, read once here as the user it will be: a start that can't serve says why and ends. */
static enum status try_files(const struct config *c, struct err *err)
{
    struct trust *trust = NULL;
    SSL_CTX *tls = NULL;
    enum status st = trust_load(c->client_ca, c->crl, &trust, err);
    if (st == OK)
        st = tls_server_context(c, &tls, err);
    trust_free(trust);
    SSL_CTX_free(tls);
    return st;
}

static enum status take_over(struct parent *p, const char *path, struct err *err)
{
    int fd = -1;
    enum status st = handover_ask(path, &p->in, &fd, err);
    if (st == OK && (st = inherit_complete(p->given.config, &p->in, err)) != OK)
        close(fd);
    if (st == OK)
        st = handover_go(fd, err);
    if (st == OK)
        log_info("handover.taken");
    return st;
}

/* Sockets, rings and the user: new ones, or those of a gateway that runs on the same state folder. */
static enum status take_places(struct parent *p, struct err *err)
{
    unsigned passed = 0;
    char *run = config_path(p->given.config, "run"), *path = config_path(p->given.config, "run/parent.sock");
    enum status st = run && path ? notify_sockets(&passed, err) : fail(err, NO_MEMORY, "path");
    bool somebody = st == OK && handover_somebody(path);
    if (st == OK && !somebody)        /* before the user changes: the ports may be low */
        st = inherit_open(p->given.config, passed, &p->in, err);
    if (st == OK)
        st = process_become(p->given.config->user, err);
    if (st == OK)
        st = try_files(p->given.config, err);
    if (st == OK)
        st = file_mkdirs(run, 0700, err);
    if (st == OK && somebody)
        st = take_over(p, path, err);
    free(run);
    free(path);
    return st;
}

static enum status prepare(struct parent *p, struct err *err)
{
    struct problems problems = { 0 };
    enum status st = config_load_in_force(p->config_path, &p->given.config, &problems);
    for (size_t i = 0; i < problems.count; i++)
        fprintf(stderr, "%s\n", problems.text[i]);
    if (st != OK)
        (void)fail(err, st, "the config has problems; correct them, and try `countersign check -c %s`", p->config_path);
    problems_done(&problems);
    if (st == OK)
        st = lane_open(p->lane, err);
    if (st == OK)
        st = take_places(p, err);
    return st;
}

int cmd_run(int argc, char **argv)
{
    static struct parent p;
    const struct option_spec options[] = {
        { "config", 'c', "FILE", "the gateway's config", &p.config_path, NULL, true },
        { 0 },
    };
    const struct usage u = { "countersign run -c FILE",
                             "Run the gateway in the foreground. SIGHUP reads the config again, SIGTERM drains and stops. Where one runs already on the same state folder, "
                             "the new one takes its place without refusing a connection.", options, 0, 0, NULL };
    char **rest, *absolute;
    size_t count;
    int code;
    struct err err;
    if (!options_parse(argc, argv, &u, &rest, &count, &code))
        return code;
    absolute = realpath(p.config_path, NULL);
    if (absolute == NULL)
        return command_failed("there is no config file '%s'; make one with `countersign init`", p.config_path);
    p.config_path = absolute;
    process_harden(0);
    log_setup("run", LOG_LEVEL_INFO);
    if (prepare(&p, &err) != OK) {
        free(absolute);
        return command_failed("%s", err.text);
    }
    log_set_level(p.given.config->log_level);
    if (confine_run(p.given.config, &err) != OK) {
        free(absolute);
        return command_failed("%s", err.text);
    }
    renew_crl(&p);
    uv_loop_init(&p.loop);
    log_info("started", "instance", p.given.config->instance, "version", COUNTERSIGN_VERSION);
    run_loop(&p);
    giver_free(p.proxy.giver);
    giver_free(p.courier.giver);
    uv_walk(&p.loop, close_any, NULL);
    uv_run(&p.loop, UV_RUN_DEFAULT);
    uv_loop_close(&p.loop);
    config_unref(p.given.config);
    free(absolute);
    log_info("stopped");
    return EXIT_DONE;
}
