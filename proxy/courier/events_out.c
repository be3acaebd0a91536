#include "proxy/courier/events_out.h"

#include "proxy/base/clock.h"
#include "proxy/base/sink.h"
#include "proxy/courier/notice_make.h"
#include "proxy/courier/outlet.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ASK_EVERY_MS = 250, CONNECT_MS = 5000, WEBHOOK_MS = 15000, SYSLOG_MS = 15000, ANSWER_MAX = 64 * 1024, ID_MAX = 40, WHY_MAX = 200, BODY_MAX = 256 * 1024, TOKEN_MAX_LEN = 1024 };

struct out_place {
    const char *name;
    bool wanted, busy;
    char batch[ID_MAX + 1];           /* under way */
    int64_t ask_ms;                   /* not before */
};

struct bytes {
    unsigned char *ptr;
    size_t len;
};

struct events_out {
    struct config *config;
    struct fetcher *fetcher;
    events_done *done;
    void *arg;
    struct out_place webhook, syslog;
    struct outlet *outlet;            /* to the syslog server; NULL: none */
    struct bytes now, before;         /* of the batch under way; of the one before it, which a connection that breaks may have lost all the same */
    size_t at;                        /* of `now`: so much is written */
    bool again;                       /* `before` stands at the beginning of `now` */
    int64_t until_ms;
    bool closed;
};

struct post {                         /* outlives its events_out when that is closed meanwhile */
    struct events_out *e;
};

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

static void ended(struct events_out *e, struct out_place *p, bool sent, const char *why)
{
    char batch[ID_MAX + 1];
    snprintf(batch, sizeof batch, "%s", p->batch);
    p->busy = false;
    p->batch[0] = 0;
    p->ask_ms = sent ? 0 : clock_mono_ms() + ASK_EVERY_MS;
    e->done(e->arg, p->name, batch, sent, sent ? "" : why);
}

/* ---- the webhook ---- */

static void on_posted(void *arg, const struct fetch_result *r)
{
    struct post *x = arg;
    struct events_out *e = x->e;
    char why[WHY_MAX];
    free(x);
    if (e->closed) {                  /* told already, as not sent */
        e->webhook.busy = false;
        events_out_free(e);
        return;
    }
    if (r->code != 0)
        snprintf(why, sizeof why, "it answered %u%s", r->code, r->code >= 300 && r->code < 400 ? " (redirects are not followed)" : "");
    else
        snprintf(why, sizeof why, "%s", r->why);
    ended(e, &e->webhook, r->code >= 200 && r->code < 300, why);
}

/* The lines, each with its end. */
static enum status body_of(const json_t *lines, char **out, size_t *len_out, struct err *err)
{
    size_t i, len = 0;
    json_t *line;
    FILE *f = open_memstream(out, &len);
    if (f == NULL)
        return fail(err, NO_MEMORY, "body");
    json_array_foreach(lines, i, line) {
        const char *t = json_string_value(json_array_get(line, 3));
        if (t != NULL && len + strlen(t) < BODY_MAX)
            fprintf(f, "%s\n", t);
        fflush(f);
    }
    bool good = ferror(f) == 0;
    good = fclose(f) == 0 && good && len > 0;
    *len_out = len;
    return good ? OK : fail(err, BAD_INPUT, "a batch without lines");
}

static enum status sign_body(const struct events_out *e, struct slice body, char out[64 + SIGNATURE_TEXT_MAX], struct err *err)
{
    unsigned char *secret = NULL;
    size_t len = 0;
    char mac[SIGNATURE_TEXT_MAX];
    enum status st = notice_secret(e->config->audit.webhook_secret_file, SECRET_MIN, &secret, &len, err);
    if (st == OK)
        st = notice_sign(slice_of(secret, len), body, clock_wall_s(), mac, err);
    if (st == OK)
        snprintf(out, 64 + SIGNATURE_TEXT_MAX, "Countersign-Signature: %s", mac);
    if (secret != NULL)
        OPENSSL_cleanse(secret, len);
    free(secret);
    return st;
}

/* "Authorization: ..." or "": a value that could end the line is none. */
static enum status authorization_of(const struct events_out *e, char out[TOKEN_MAX_LEN + 32], struct err *err)
{
    unsigned char *token = NULL;
    size_t len = 0;
    out[0] = 0;
    if (e->config->audit.webhook_authorization_file == NULL)
        return OK;
    enum status st = notice_secret(e->config->audit.webhook_authorization_file, 1, &token, &len, err);
    if (st != OK)
        return st;
    for (size_t i = 0; i < len && st == OK; i++)
        if (token[i] < 0x20 || token[i] > 0x7e)
            st = fail(err, BAD_INPUT, "'%s' holds what cannot stand in a field of HTTP", e->config->audit.webhook_authorization_file);
    if (st == OK)
        snprintf(out, TOKEN_MAX_LEN + 32, "Authorization: %.*s", (int)len, (const char *)token);
    OPENSSL_cleanse(token, len);
    free(token);
    return st;
}

static enum status post(struct events_out *e, const json_t *batch, struct err *err)
{
    char signature[64 + SIGNATURE_TEXT_MAX], token[TOKEN_MAX_LEN + 32], id[64 + ID_MAX], count[64], *body = NULL;
    size_t len = 0;
    struct post *x = malloc(sizeof *x);
    enum status st = x ? body_of(json_object_get(batch, "lines"), &body, &len, err) : fail(err, NO_MEMORY, "request");
    if (st == OK)
        st = sign_body(e, slice_of(body, len), signature, err);
    if (st == OK)
        st = authorization_of(e, token, err);
    if (st == OK) {
        const char *fields[] = { "Content-Type: application/x-ndjson", "Expect:", id, count, signature, token[0] != 0 ? token : NULL, NULL };
        snprintf(id, sizeof id, "Countersign-Batch: %s", e->webhook.batch);
        snprintf(count, sizeof count, "Countersign-Events: %zu", json_array_size(json_object_get(batch, "lines")));
        struct fetch_order o = { .url = e->config->audit.webhook, .ca_file = e->config->audit.webhook_ca_file, .body = slice_of(body, len), .fields = fields, .max_bytes = ANSWER_MAX,
                                 .connect_ms = CONNECT_MS, .total_ms = WEBHOOK_MS };
        x->e = e;
        st = fetch_start(e->fetcher, &o, on_posted, x, err);
        OPENSSL_cleanse(token, sizeof token);
    }
    if (st != OK)
        free(x);
    free(body);
    return st;
}

/* ---- syslog over TLS ---- */

static void hang_up(struct events_out *e)
{
    outlet_free(e->outlet);
    e->outlet = NULL;
}

static enum status call(struct events_out *e, struct err *err)
{
    const struct audit_settings *a = &e->config->audit;
    struct outlet_order o = { .host_port = a->syslog + strlen("tls:"), .ca_file = a->syslog_ca_file, .certificate = a->syslog_certificate, .key = a->syslog_key, .connect_ms = CONNECT_MS };
    return outlet_open(&o, &e->outlet, err);
}

/* On a new connection what was sent last on the former one comes once more: TCP's confirmation is the machine's, not the program's. */
static enum status frames_of(struct events_out *e, const json_t *lines, struct err *err)
{
    char frame[SINK_FRAME_MAX];
    size_t i, room = (e->again ? e->before.len : 0) + json_array_size(lines) * sizeof frame;
    json_t *line;
    struct bytes b = { malloc(room + 1), 0 };
    if (b.ptr == NULL)
        return fail(err, NO_MEMORY, "messages");
    if (e->again) {
        memcpy(b.ptr, e->before.ptr, e->before.len);
        b.len = e->before.len;
    }
    json_array_foreach(lines, i, line) {
        const char *name = json_string_value(json_array_get(line, 0)), *t = json_string_value(json_array_get(line, 3));
        json_int_t severity = json_integer_value(json_array_get(line, 1));
        struct sink_line l = { t ? slice_str(t) : slice_of("", 0), name ? name : "", severity >= SINK_ALERT && severity <= SINK_INFO ? (enum sink_severity)severity : SINK_INFO,
                               json_integer_value(json_array_get(line, 2)) };
        size_t n = sink_syslog_frame(&l, true, frame);
        memcpy(b.ptr + b.len, frame, n);
        b.len += n;
    }
    e->now = b;
    e->at = 0;
    return OK;
}

static void broke(struct events_out *e, const char *why)
{
    char copy[WHY_MAX];
    snprintf(copy, sizeof copy, "%s", why);   /* it is the connection's */
    hang_up(e);
    free(e->now.ptr);
    e->now = (struct bytes){ NULL, 0 };
    if (e->syslog.busy)
        ended(e, &e->syslog, false, copy);
}

static enum status begin_syslog(struct events_out *e, const json_t *batch, struct err *err)
{
    enum status st = OK;
    e->again = e->outlet == NULL && e->before.len > 0;
    if (e->outlet == NULL)
        st = call(e, err);
    if (st == OK)
        st = frames_of(e, json_object_get(batch, "lines"), err);
    e->until_ms = clock_mono_ms() + SYSLOG_MS;
    return st;
}

static void confirmed(struct events_out *e)
{
    size_t skip = e->again ? e->before.len : 0;
    memmove(e->now.ptr, e->now.ptr + skip, e->now.len - skip);
    e->now.len -= skip;
    free(e->before.ptr);
    e->before = e->now;
    e->now = (struct bytes){ NULL, 0 };
    ended(e, &e->syslog, true, "");
}

void events_out_step(struct events_out *e)
{
    if (e->outlet == NULL)
        return;
    enum outlet_state state = outlet_step(e->outlet);
    for (size_t n = 1; state == OUTLET_OPEN && e->at < e->now.len && n > 0; e->at += n)
        n = outlet_write(e->outlet, slice_of(e->now.ptr + e->at, e->now.len - e->at));
    if (state == OUTLET_OPEN && e->at < e->now.len)
        state = outlet_step(e->outlet);
    if (state == OUTLET_BROKEN)
        broke(e, outlet_why(e->outlet));
    else if (e->syslog.busy && e->at == e->now.len && outlet_drained(e->outlet))
        confirmed(e);
    else if (e->syslog.busy && clock_mono_ms() >= e->until_ms)
        broke(e, state == OUTLET_CONNECTING ? "no connection came about in time" : "it does not take what is written");
}

size_t events_out_watch(const struct events_out *e, struct fetch_watched *out, size_t max)
{
    return e->outlet != NULL ? outlet_watch(e->outlet, out, max) : 0;
}

/* ---- both ---- */

static struct out_place *place_of(struct events_out *e, const char *name)
{
    return strcmp(name, e->webhook.name) == 0 ? &e->webhook : strcmp(name, e->syslog.name) == 0 ? &e->syslog : NULL;
}

const char *events_out_idle(struct events_out *e, int64_t now_ms)
{
    struct out_place *all[] = { &e->webhook, &e->syslog };
    for (size_t i = 0; i < 2; i++)
        if (all[i]->wanted && !all[i]->busy && now_ms >= all[i]->ask_ms) {
            all[i]->ask_ms = now_ms + ASK_EVERY_MS;
            return all[i]->name;
        }
    return NULL;
}

void events_out_send(struct events_out *e, const json_t *batch)
{
    struct err err = { .text = "" };
    struct out_place *p = place_of(e, text(batch, "place"));
    if (p == NULL || !p->wanted || p->busy || strlen(text(batch, "batch")) > ID_MAX)
        return;                       /* it is due again when this connection ends */
    snprintf(p->batch, sizeof p->batch, "%s", text(batch, "batch"));
    p->busy = true;
    enum status st = p == &e->webhook ? post(e, batch, &err) : begin_syslog(e, batch, &err);
    if (st != OK && p == &e->syslog)
        broke(e, err.text);
    else if (st != OK)
        ended(e, p, false, err.text);
}

enum status events_out_new(struct config *c, struct fetcher *f, events_done *done, void *arg, struct events_out **out, struct err *err)
{
    *out = NULL;
    if (!config_audit_remote(c))
        return OK;
    struct events_out *e = calloc(1, sizeof *e);
    if (e == NULL)
        return fail(err, NO_MEMORY, "audit events");
    *e = (struct events_out){ .config = config_ref(c), .fetcher = f, .done = done, .arg = arg };
    e->webhook = (struct out_place){ .name = "webhook", .wanted = c->audit.webhook != NULL };
    e->syslog = (struct out_place){ .name = "syslog", .wanted = c->audit.syslog != NULL && strncmp(c->audit.syslog, "tls:", 4) == 0 };
    *out = e;
    return OK;
}

void events_out_free(struct events_out *e)
{
    if (e == NULL)
        return;
    if (!e->closed) {
        e->closed = true;
        if (e->syslog.busy)
            broke(e, "the configuration was read again");
        if (e->webhook.busy)
            e->done(e->arg, e->webhook.name, e->webhook.batch, false, "the configuration was read again");
    }
    if (e->webhook.busy)
        return;                       /* on_posted comes back here */
    hang_up(e);
    free(e->now.ptr);
    free(e->before.ptr);
    config_unref(e->config);
    free(e);
}
