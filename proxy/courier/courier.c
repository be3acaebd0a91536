#include "proxy/courier/courier.h"

#include "proxy/base/clock.h"
#include "proxy/base/lane.h"
#include "proxy/base/log.h"
#include "proxy/base/msg.h"
#include "proxy/courier/copies.h"
#include "proxy/courier/events_out.h"
#include "proxy/courier/fetch.h"
#include "proxy/courier/key_fetch.h"
#include "proxy/courier/notice_make.h"

#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { ASK_EVERY_MS = 500, RECONNECT_MS = 300, CONNECT_MS = 5000, WEBHOOK_MS = 10000, MAIL_MS = 30000, ANSWER_MAX = 64 * 1024, ID_MAX = 40, WHY_MAX = 200, COPIES_AGAIN_MS = 60000, EVENTS_EVERY_MS = 100 };

struct courier {
    struct config *config;
    const char *config_file;
    char *socket;
    int fd;                           /* to authz; -1: not connected */
    int signals;
    int64_t n, hello_n, take_n, audit_n;   /* numbers of calls; 0: none is open */
    bool ready;                       /* authz took our hello */
    int64_t next_ms;                  /* ask, or connect, again then (monotonic) */
    struct fetcher *fetcher;
    int lane;                         /* to authz, for keys of issuers; -1: none */
    struct key_fetch *keys;
    struct copies *copies;            /* NULL: not configured, or not possible */
    int64_t copies_again_ms;
    struct events_out *events;        /* audit events; NULL: not configured */
    bool stopping;
};

struct job {                          /* a notice on its way */
    struct courier *c;
    char id[ID_MAX + 1];
    bool mail;
};

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

/* ---- authz ---- */

static void disconnect(struct courier *c, const char *why)
{
    if (c->fd < 0)
        return;
    log_warn("authz.lost", "why", why);
    close(c->fd);
    c->fd = -1;
    c->ready = false;
    c->hello_n = c->take_n = c->audit_n = 0;
    c->next_ms = clock_mono_ms() + RECONNECT_MS;
}

/* Takes the message; its number, or 0: it was not sent. */
static int64_t ask(struct courier *c, json_t *m)
{
    struct err err;
    int64_t n = c->fd >= 0 && m != NULL && json_object_set_new(m, "n", json_integer(c->n + 1)) == 0 ? ++c->n : 0;
    enum status st = n != 0 ? msg_send(c->fd, m, NULL, 0, &err) : OK;
    json_decref(m);
    if (st != OK) {
        disconnect(c, st == AGAIN ? "it does not read what it is asked" : err.text);
        return 0;
    }
    return n;
}

static void connect_to(struct courier *c)
{
    struct err err;
    c->next_ms = clock_mono_ms() + RECONNECT_MS;
    if (msg_connect(c->socket, &c->fd, &err) != OK) {
        c->fd = -1;
        return;
    }
    c->hello_n = ask(c, json_pack("{s:s, s:s}", "op", "hello", "role", "courier"));
}

static void make_plain(const char *why, char plain[WHY_MAX + 1])
{
    size_t n = 0;
    for (; why[n] != 0 && n < WHY_MAX; n++)
        plain[n] = why[n] >= ' ' && why[n] <= '~' ? why[n] : '?';
    plain[n] = 0;
}

/* How a batch of audit events went. */
static void on_events(void *arg, const char *place, const char *batch, bool sent, const char *why)
{
    struct courier *c = arg;
    char plain[WHY_MAX + 1];
    make_plain(why, plain);
    if (c->ready)                     /* else it is due again anyway */
        (void)ask(c, json_pack("{s:s, s:s, s:s, s:s, s:s}", "op", "audit.done", "place", place, "batch", batch, "result", sent ? "sent" : "failed", "why", plain));
}

static void ask_for_events(struct courier *c)
{
    const char *place = c->ready && c->audit_n == 0 && c->events != NULL ? events_out_idle(c->events, clock_mono_ms()) : NULL;
    if (place != NULL)
        c->audit_n = ask(c, json_pack("{s:s, s:s}", "op", "audit.take", "place", place));
}

static void report(struct courier *c, const char *id, const char *result, const char *why)
{
    char plain[WHY_MAX + 1];
    make_plain(why, plain);
    (void)ask(c, json_pack("{s:s, s:s, s:s, s:s}", "op", "notices.done", "id", id, "result", result, "why", plain));
    c->next_ms = 0;                   /* the next one for that receiver may be due */
}

/* ---- one notice ---- */

/* A receiver that says 2xx has it, whatever it does afterwards. One that says no says it to this notice; else the receiver itself is in trouble. */
static void on_sent(void *arg, const struct fetch_result *r)
{
    struct job *j = arg;
    char why[WHY_MAX];
    bool took = j->mail ? r->status == OK : r->code >= 200 && r->code < 300;
    bool refused = j->mail ? r->code >= 500 && r->code < 600 : r->code >= 300 && r->code < 500 && r->code != 408 && r->code != 429;
    if (r->why[0] == 0 || (!j->mail && r->code != 0))
        snprintf(why, sizeof why, "it answered %u%s", r->code, r->code >= 300 && r->code < 400 ? " (redirects are not followed)" : "");
    else
        snprintf(why, sizeof why, "%s", r->why);
    report(j->c, j->id, took ? "sent" : refused ? "refused" : "failed", took ? "" : why);
    free(j);
}

static enum status send_webhook(struct courier *c, const struct notice_target *t, const json_t *notice, struct job *j, struct err *err)
{
    char signature[64 + SIGNATURE_TEXT_MAX], id[64 + ID_MAX], event[128];
    const char *fields[] = { "Content-Type: application/json", "Expect:", id, event, t->secret_file ? signature : NULL, NULL };
    unsigned char *secret = NULL;
    size_t secret_len = 0;
    char mac[SIGNATURE_TEXT_MAX];
    char *body = notice_body(t->format, json_object_get(notice, "facts"));
    enum status st = body ? OK : fail(err, NO_MEMORY, "notice");
    if (st == OK && t->secret_file != NULL)
        st = notice_secret(t->secret_file, SECRET_MIN, &secret, &secret_len, err);
    if (st == OK && t->secret_file != NULL)
        st = notice_sign(slice_of(secret, secret_len), slice_str(body), clock_wall_s(), mac, err);
    if (st == OK) {
        snprintf(signature, sizeof signature, "Countersign-Signature: %s", t->secret_file ? mac : "");
        snprintf(id, sizeof id, "Countersign-Notice: %s", j->id);
        snprintf(event, sizeof event, "Countersign-Event: %.64s", text(notice, "event"));
        struct fetch_order o = { .url = t->url, .ca_file = t->ca_file, .body = slice_str(body), .fields = fields, .max_bytes = ANSWER_MAX, .connect_ms = CONNECT_MS,
                                 .total_ms = WEBHOOK_MS };
        st = fetch_start(c->fetcher, &o, on_sent, j, err);
    }
    if (secret != NULL)
        OPENSSL_cleanse(secret, secret_len);
    free(secret);
    free(body);
    return st;
}

static enum status send_mail(struct courier *c, const struct notice_target *t, const json_t *notice, struct job *j, struct err *err)
{
    const json_t *facts = json_object_get(notice, "facts");
    unsigned char *password = NULL;
    size_t password_len = 0;
    const char **to = notice_recipients(c->config, t, facts);
    char *mail = to ? notice_mail(t, to, facts, j->id, clock_wall_s()) : NULL;
    enum status st = mail ? OK : fail(err, NO_MEMORY, "mail");
    if (st == OK && to[0] == NULL)    /* nobody it concerns */
        st = NOT_FOUND;
    if (st == OK && t->password_file != NULL)
        st = notice_secret(t->password_file, 1, &password, &password_len, err);
    if (st == OK) {
        struct fetch_order o = { .url = t->server, .ca_file = t->ca_file, .body = slice_str(mail), .max_bytes = ANSWER_MAX, .connect_ms = CONNECT_MS, .total_ms = MAIL_MS,
                                 .mail_from = t->from, .mail_to = to, .user = t->user, .password = (const char *)password };
        st = fetch_start(c->fetcher, &o, on_sent, j, err);
    }
    if (password != NULL)
        OPENSSL_cleanse(password, password_len);
    free(password);
    free(mail);
    free(to);
    return st;
}

static void begin(struct courier *c, const json_t *notice)
{
    struct err err = { .text = "" };
    const char *id = text(notice, "id");
    const struct notice_target *t = config_notice_target(c->config, text(notice, "target"));
    struct job *j = calloc(1, sizeof *j);
    if (j == NULL || strlen(id) > ID_MAX) {
        free(j);
        return;                       /* it is due again when this connection ends */
    }
    j->c = c;
    memcpy(j->id, id, strlen(id) + 1);
    j->mail = t != NULL && t->kind == NOTICE_MAIL;
    enum status st = t == NULL ? fail(&err, NOT_FOUND, "the courier's config has no such receiver")
                     : j->mail ? send_mail(c, t, notice, j, &err)
                               : send_webhook(c, t, notice, j, &err);
    if (st == OK)
        return;                       /* on_sent has it now */
    if (t != NULL && st == NOT_FOUND && err.text[0] == 0)
        report(c, id, "sent", "");
    else
        report(c, id, "failed", err.text);
    free(j);
}

/* ---- the loop ---- */

static void take(struct courier *c, const json_t *m)
{
    int64_t n = json_integer_value(json_object_get(m, "n"));
    size_t i;
    json_t *notice;
    if (n == c->hello_n) {
        c->ready = json_is_true(json_object_get(m, "ok"));
        c->next_ms = 0;
        if (!c->ready)
            disconnect(c, text(json_object_get(m, "problem"), "detail"));
    } else if (n == c->audit_n) {
        c->audit_n = 0;
        if (c->events != NULL && json_is_object(json_object_get(m, "batch")))
            events_out_send(c->events, json_object_get(m, "batch"));
    } else if (n == c->take_n) {
        c->take_n = 0;
        json_array_foreach(json_object_get(m, "notices"), i, notice)
            begin(c, notice);
    }
}

static void read_all(struct courier *c)
{
    while (c->fd >= 0) {
        struct err err;
        json_t *m = NULL;
        int fds[MSG_FDS_MAX];
        size_t count = 0;
        enum status st = msg_recv(c->fd, &m, fds, &count, &err);
        if (st == AGAIN)
            return;
        if (st != OK) {
            disconnect(c, err.text);
            return;
        }
        while (count > 0)
            close(fds[--count]);
        take(c, m);
        json_decref(m);
    }
}

static void begin_copies(struct courier *c)
{
    struct err err;
    c->copies_again_ms = clock_mono_ms() + COPIES_AGAIN_MS;
    if (c->copies != NULL || c->config->copy_to == NULL)
        return;
    if (copies_new(c->config, c->fetcher, &c->copies, &err) != OK)
        log_error("copies.not_begun", "why", err.text, "next", "it is tried again every minute");
}

static void begin_events(struct courier *c)
{
    struct err err;
    if (events_out_new(c->config, c->fetcher, on_events, c, &c->events, &err) != OK)
        log_error("audit.not_begun", "why", err.text, "next", "audit events wait in the log");
}

static void reload(struct courier *c)
{
    struct config *fresh = NULL;
    struct problems problems = { 0 };
    enum status st = config_load_in_force(c->config_file, &fresh, &problems);
    problems_done(&problems);
    if (st != OK) {                   /* the others say what is wrong with it */
        log_error("config.kept", "why", "the config has problems");
        return;
    }
    config_unref(c->config);
    c->config = fresh;
    copies_free(c->copies);
    c->copies = NULL;
    begin_copies(c);
    events_out_free(c->events);
    c->events = NULL;
    begin_events(c);
    log_set_level(fresh->log_level);
    log_info("config.reloaded", "file", c->config_file);
}

static void read_signals(struct courier *c)
{
    struct signalfd_siginfo s;
    while (read(c->signals, &s, sizeof s) == sizeof s)
        if (s.ssi_signo == SIGHUP)
            reload(c);
        else
            c->stopping = true;
}

static void turn(struct courier *c)
{
    struct fetch_watched watched[FETCH_WATCHED_MAX] = { { c->signals, false } };
    size_t count = 1;
    if (c->lane >= 0)
        watched[count++] = (struct fetch_watched){ c->lane, false };
    if (c->fd >= 0)
        watched[count++] = (struct fetch_watched){ c->fd, false };
    int64_t now = clock_mono_ms(), wait = c->next_ms > now ? c->next_ms - now : c->take_n != 0 || c->hello_n != 0 ? ASK_EVERY_MS : 0;
    if (c->events != NULL) {
        count += events_out_watch(c->events, watched + count, FETCH_WATCHED_MAX - count);
        wait = wait > EVENTS_EVERY_MS ? EVENTS_EVERY_MS : wait;
    }
    fetch_step(c->fetcher, watched, count, (int)(wait < ASK_EVERY_MS ? wait : ASK_EVERY_MS));
    read_signals(c);
    read_all(c);
    key_fetch_step(c->keys);
    if (c->events != NULL)
        events_out_step(c->events);
    ask_for_events(c);
    if (c->copies != NULL)
        copies_step(c->copies);
    else if (clock_mono_ms() >= c->copies_again_ms)
        begin_copies(c);
    if (clock_mono_ms() < c->next_ms || c->stopping)
        return;
    if (c->fd < 0) {
        connect_to(c);
    } else if (c->ready && c->take_n == 0) {
        c->next_ms = clock_mono_ms() + ASK_EVERY_MS;
        c->take_n = ask(c, json_pack("{s:s}", "op", "notices.take"));
    }
}

static enum status open_signals(struct courier *c, struct err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    bool good = sigprocmask(SIG_BLOCK, &set, NULL) == 0 && (c->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) >= 0;
    return good ? OK : fail(err, IO_FAILED, "signals: %m");
}

enum status courier_run(struct config *config, const char *config_file, struct err *err)
{
    struct courier c = { .config = config_ref(config), .config_file = config_file, .fd = -1, .signals = -1, .lane = lane_inherited() };
    c.socket = config_path(config, "run/authz.sock");
    enum status st = c.socket ? open_signals(&c, err) : fail(err, NO_MEMORY, "path");
    if (st == OK)
        st = fetcher_new(&c.fetcher, err);
    if (st == OK)
        st = key_fetch_new(c.lane, c.fetcher, &c.keys, err);
    if (st == OK)
        begin_copies(&c);
    if (st == OK)
        begin_events(&c);
    if (st == OK)
        log_info("courier.ready");
    while (st == OK && !c.stopping)
        turn(&c);
    if (st == OK && fetch_under_way(c.fetcher) > 0)
        _exit(0);                     /* tidying up would wait for a resolver that hangs */
    copies_free(c.copies);
    events_out_free(c.events);
    fetcher_free(c.fetcher);
    key_fetch_free(c.keys);
    if (c.fd >= 0)
        close(c.fd);
    if (c.signals >= 0)
        close(c.signals);
    free(c.socket);
    config_unref(c.config);
    return st;
}
