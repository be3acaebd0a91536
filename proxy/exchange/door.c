#include "proxy/exchange/door.h"

#include "authz/events.h"
#include "proxy/base/clock.h"
#include "proxy/base/codec.h"
#include "proxy/exchange/conn.h"

enum { LOOK_MS = 1000 };
static const char *const kinds[DOOR_KINDS] = { "door.no-certificate", "door.certificate-refused", "door.unknown-person", "door.locked" };

static void open_place(struct door *d, size_t which, enum status st, const struct err *err)
{
    if (st == OK)
        return;
    d->places[which] = NULL;
    log_warn("audit.door", "why", err->text, "next", "who is refused at the door is not told as an audit event");
}

static void close_places(struct door *d)
{
    for (size_t i = 0; i < DOOR_PLACES; i++) {
        sink_free(d->places[i]);
        d->places[i] = NULL;
    }
    snapshot_unref(d->snap);
    d->snap = NULL;
}

static void open_places(struct worker *w)
{
    struct door *d = &w->door;
    struct err err = { .text = "" };
    const struct config *c = w->snap->config;
    if (d->snap == w->snap)
        return;
    close_places(d);
    d->snap = snapshot_ref(w->snap);
    if (c->audit.file != NULL)
        open_place(d, 0, sink_file(c->audit.file, &d->places[0], &err), &err);
    if (c->audit.standard_output)
        open_place(d, 1, sink_stdout(&d->places[1], &err), &err);
    if (c->audit.syslog != NULL && strncmp(c->audit.syslog, "tls:", 4) != 0)
        open_place(d, 2, sink_syslog(c->audit.syslog, &d->places[2], &err), &err);
}

/* To the places that the courier speaks to: through authz, which has their queue. */
static void pass_on(struct worker *w, const char *name, const json_t *content, uint64_t count)
{
    json_t *m = json_pack("{s:s, s:s, s:I, s:O}", "op", "door", "name", name, "count", (json_int_t)count, "content", content);
    if (m == NULL || !link_call(w->link, m, NULL, 0, NULL, NULL))
        metric_add(&w->metrics.door_lost, count);
}

static void tell(struct worker *w, const char *name, const json_t *content, uint64_t count)
{
    char line[SINK_LINE_MAX], uid[32];
    struct event e = { event_row_of(name), w->snap->config->instance, uid, 0, count, clock_wall_ms(), content };
    if (config_audit_remote(w->snap->config))
        pass_on(w, name, content, count);
    random_id(16, uid);
    size_t n = event_line(&e, line);
    struct sink_line out = { slice_of(line, n), name, event_syslog_severity(e.row), e.time_ms };
    for (size_t i = 0; i < DOOR_PLACES; i++)
        if (w->door.places[i] != NULL && (n == 0 || !sink_put(w->door.places[i], &out)))
            metric_add(&w->metrics.door_lost, count);
}

static void tell_over(struct worker *w)
{
    struct door *d = &w->door;
    for (size_t i = 0; i < DOOR_KINDS; i++) {
        if (d->over[i] > 0)
            tell(w, kinds[i], d->last[i], d->over[i]);
        d->over[i] = 0;
        json_decref(d->last[i]);
        d->last[i] = NULL;
    }
}

static void new_second(struct worker *w)
{
    int64_t now = clock_mono_ms() / 1000;
    if (now == w->door.second)
        return;
    tell_over(w);
    w->door.second = now;
    w->door.told = 0;
}

static bool wanted(const struct config *c)
{
    return c->audit.file != NULL || c->audit.standard_output || c->audit.syslog != NULL || c->audit.webhook != NULL;
}

void door_refused(struct conn *c, const char *name, const char *reason, const char *why)
{
    struct worker *w = c->worker;
    struct door *d = &w->door;
    if (c->told_at_door || !wanted(w->snap->config))
        return;
    c->told_at_door = true;
    open_places(w);
    new_second(w);
    json_t *content = json_pack("{s:s, s:s, s:s, s:s*, s:s*, s:s*}", "reason", reason, "why", why, "source", c->address, "identity", c->identity.name[0] ? c->identity.name : NULL,
                                "certificate", c->identity.serial[0] ? c->identity.serial : NULL, "host", c->sni);
    if (content == NULL)              /* memory, or a name that is not UTF-8 */
        content = json_pack("{s:s, s:s, s:s}", "reason", reason, "why", why, "source", c->address);
    if (d->told++ < DOOR_A_SECOND) {
        tell(w, name, content, 1);
        json_decref(content);
        return;
    }
    for (size_t i = 0; i < DOOR_KINDS; i++)
        if (strcmp(kinds[i], name) == 0) {
            d->over[i]++;
            json_decref(d->last[i]);
            d->last[i] = json_incref(content);
        }
    json_decref(content);
}

void door_tick(struct worker *w)
{
    int64_t now = clock_mono_ms();
    if (w->door.snap == NULL)
        return;
    if (wanted(w->snap->config))
        open_places(w);
    new_second(w);
    if (now - w->door.looked_ms < LOOK_MS)
        return;
    w->door.looked_ms = now;
    for (size_t i = 0; i < DOOR_PLACES; i++)
        if (w->door.places[i] != NULL)
            sink_tick(w->door.places[i]);
}

void door_done(struct worker *w)
{
    tell_over(w);
    close_places(&w->door);
}
