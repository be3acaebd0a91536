#include "authz/approvals/teller.h"

#include "authz/approvals/internal.h"

#include "authz/events.h"
#include "proxy/base/file.h"
#include "proxy/base/sink.h"

enum { PLACES = 3, QUEUE_MAX = 256, AT_ONCE = 100, TICK_LEAVES = 512, BEHIND_MS = 5000, SAVE_MS = 60000, LOOK_MS = 1000, REFUSALS_A_SECOND = 50, POSITION_MAX = 4096 };

struct told_line {
    char *text;
    const struct event_row *row;
    int64_t time_ms;
};

struct place {
    char *spec;                       /* as the config says it; the same after a reload: the same place */
    struct sink *sink;
    uint64_t told, noted;             /* leaves up to here; as they were a minute ago */
    struct told_line queue[QUEUE_MAX];
    size_t first, waiting;
    uint64_t lost;
    int64_t behind_ms;                /* since when something waits; 0: nothing does */
    bool said;                        /* that it is behind */
};

struct teller {
    struct place *places[PLACES];     /* file, stdout, syslog; NULL: not wanted */
    char *position_path;
    int64_t looked_ms, saved_ms, second;
    unsigned in_second;
    uint64_t over;                    /* refusals past the limit of this second */
    json_t *over_last;
};

/* ---- places ---- */

static void place_free(struct place *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->waiting; i++)
        free(p->queue[(p->first + i) % QUEUE_MAX].text);
    sink_free(p->sink);
    free(p->spec);
    free(p);
}

static enum status open_sink(size_t which, const char *spec, struct sink **out, struct err *err)
{
    return which == 0 ? sink_file(spec, out, err) : which == 1 ? sink_stdout(out, err) : sink_syslog(spec, out, err);
}

static enum status place_open(size_t which, const char *spec, uint64_t told, struct place **out, struct err *err)
{
    struct place *p = calloc(1, sizeof *p);
    if (p == NULL || (p->spec = strdup(spec)) == NULL) {
        free(p);
        return fail(err, NO_MEMORY, "audit events");
    }
    p->told = p->noted = told;
    enum status st = open_sink(which, spec, &p->sink, err);
    if (st == OK) {
        *out = p;
        return OK;
    }
    err_prefix(err, "audit events: ");
    place_free(p);
    return st;
}

static const char *spec_of(const struct config *c, size_t which)
{
    return which == 0 ? c->audit.file : which == 1 ? (c->audit.standard_output ? "-" : NULL) : c->audit.syslog;
}

static const char *const place_names[PLACES] = { "file", "stdout", "syslog" };

/* ---- positions ---- */

static json_t *read_positions(const struct teller *t)
{
    unsigned char *text = NULL;
    size_t len = 0;
    if (file_read(t->position_path, POSITION_MAX, false, &text, &len, NULL) != OK)
        return NULL;
    json_t *o = json_loadb((const char *)text, len, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    return o;
}

/* A place that was told of before goes on there, also another of the same kind; one that is new begins at `fresh`. */
static uint64_t position_of(const struct service *s, const json_t *positions, size_t which, uint64_t fresh)
{
    const json_t *v = json_object_get(positions, place_names[which]);
    uint64_t n = json_is_integer(v) && json_integer_value(v) >= 0 ? (uint64_t)json_integer_value(v) : UINT64_MAX;
    return n < log_size(s->log) ? n : fresh;
}

static void save_positions(struct teller *t, bool exact)
{
    struct err err = { .text = "" };
    json_t *o = json_object();
    for (size_t i = 0; i < PLACES; i++)
        if (t->places[i] != NULL) {
            json_object_set_new(o, place_names[i], json_integer((json_int_t)(exact ? t->places[i]->told : t->places[i]->noted)));
            t->places[i]->noted = t->places[i]->told;
        }
    char *text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    if (text == NULL || file_write(t->position_path, slice_str(text), 0600, &err) != OK)
        log_warn("audit.position", "why", err.text, "next", "after a crash lines may come twice");
    free(text);
}

/* ---- telling ---- */

static bool put(struct place *p, const struct event_row *row, int64_t time_ms, struct slice text)
{
    struct sink_line line = { text, row->name, event_syslog_severity(row), time_ms };
    return sink_put(p->sink, &line);
}

static bool flush_queue(struct place *p)
{
    while (p->waiting > 0) {
        struct told_line *l = &p->queue[p->first];
        if (!put(p, l->row, l->time_ms, slice_str(l->text)))
            return false;
        free(l->text);
        p->first = (p->first + 1) % QUEUE_MAX;
        p->waiting--;
    }
    return true;
}

static void enqueue(struct place *p, const struct event_row *row, int64_t time_ms, const char *text)
{
    char *copy = p->waiting < QUEUE_MAX ? strdup(text) : NULL;
    if (copy == NULL)
        p->lost++;
    else
        p->queue[(p->first + p->waiting++) % QUEUE_MAX] = (struct told_line){ copy, row, time_ms };
}

/* What a leaf does not say of whom and what it is about, from the rows. */
static json_t *enriched(struct service *s, const char *type, const json_t *content)
{
    json_t *o = json_copy((json_t *)(uintptr_t)content), *row = NULL, *key;
    const char *session = str(content, "session");
    struct err err;
    size_t i;
    json_object_set_new(o, "leaf_type", json_string(type));
    if (json_object_get(o, "person") == NULL && strncmp(session, "grt_", 4) == 0
        && store_row(s->store, &row, &err,
                     "SELECT person, identity, tool FROM access_grant WHERE grant_id = $1 UNION ALL SELECT person, identity, tool FROM request WHERE session = $1 LIMIT 1", "s",
                     session) == OK)
        json_object_update_missing(o, row);
    json_decref(row);
    if (strcmp(type, "key.signing") == 0) {
        json_t *kids = json_array();
        json_array_foreach(json_object_get(json_object_get(content, "jwks"), "keys"), i, key)
            if (json_object_get(key, "kid") != NULL)
                json_array_append(kids, json_object_get(key, "kid"));
        json_object_set_new(o, "kids", kids);
    }
    return o;
}

struct leaf {
    uint64_t seq;
    const char *type;
    int64_t time_ms;
    json_t *content;                  /* enriched */
};

static bool tell_as(struct service *s, struct place *p, const struct event_row *row, const struct leaf *l, const char *suffix)
{
    char line[SINK_LINE_MAX], uid[160];
    snprintf(uid, sizeof uid, "%.100s/%llu%s", s->config->instance, (unsigned long long)l->seq, suffix);
    struct event e = { row, s->config->instance, uid, l->seq, 1, l->time_ms, l->content };
    size_t n = event_line(&e, line);
    if (n == 0) {                     /* no memory: told of as lost, not for ever in the way */
        p->lost++;
        return true;
    }
    return put(p, row, l->time_ms, slice_of(line, n));
}

/* A session ends with its grant; where its first segment came after that, with the segment. */
static bool closes_session(struct service *s, const struct leaf *l)
{
    json_t *row = NULL;
    struct err err;
    const char *session = str(l->content, "session");
    const struct ledger_entry *e = ledger_find(log_ledger(s->log), session);
    if (strcmp(l->type, "segment") == 0)
        return num(l->content, "number") == 1 && e != NULL && strcmp(e->state, "ended") == 0 && e->last < l->seq;
    if (strcmp(l->type, "grant.ended") != 0)
        return false;
    bool before = store_row(s->store, &row, &err, "SELECT seq FROM segment WHERE session = $1 AND number = 1", "s", session) == OK && (uint64_t)num(row, "seq") < l->seq;
    json_decref(row);
    return before;
}

static bool tell_leaf(struct service *s, struct place *p, const struct leaf *l)
{
    const struct event_row *row = event_row_of_leaf(l->type, l->content);
    if (row != NULL && !tell_as(s, p, row, l, ""))
        return false;
    if (closes_session(s, l) && !tell_as(s, p, event_row_of("session.closed"), l, "/closed"))
        return false;                 /* then the first comes twice, under its uid */
    p->told = l->seq;
    return true;
}

static void behind(struct place *p, bool is)
{
    int64_t now = clock_mono_ms();
    if (is && p->behind_ms == 0)
        p->behind_ms = now;
    if (is && !p->said && now - p->behind_ms > BEHIND_MS) {
        p->said = true;
        log_warn("audit.behind", "place", sink_name(p->sink), "why", sink_why(p->sink), "next", "events wait in the log and are told when the place takes them");
    }
    if (!is && p->said)
        log_info("audit.caught-up", "place", sink_name(p->sink));
    if (!is) {
        p->behind_ms = 0;
        p->said = false;
    }
}

static bool caught_up(const struct service *s, const struct place *p)
{
    return p->waiting == 0 && p->told >= log_size(s->log);
}

/* rows: as log_block and teller_fresh have them. False: not now. */
static bool tell_rows(struct service *s, struct place *p, const json_t *rows, size_t most)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row) {
        uint64_t seq = (uint64_t)num(row, "seq");
        if (seq <= p->told)
            continue;
        if (i >= most || seq != p->told + 1)
            return true;
        if (!json_is_object(json_object_get(row, "content"))) {   /* erased meanwhile */
            p->told = seq;
            continue;
        }
        struct leaf l = { seq, str(row, "type"), num(row, "time_ms"), enriched(s, str(row, "type"), json_object_get(row, "content")) };
        bool taken = l.content != NULL && tell_leaf(s, p, &l);
        json_decref(l.content);
        if (!taken)
            return false;
    }
    return true;
}

void teller_fresh(struct service *s, json_t *leaves)
{
    struct teller *t = s->teller;
    for (size_t i = 0; t != NULL && i < PLACES; i++) {
        struct place *p = t->places[i];
        if (p == NULL)
            continue;
        if (p->behind_ms == 0 && flush_queue(p))
            (void)tell_rows(s, p, leaves, AT_ONCE);
        behind(p, !caught_up(s, p));
    }
    json_decref(leaves);
}

/* From the log: a block at a time, each leaf proved. What was erased is passed over. */
static bool catch_up(struct service *s, struct place *p, struct err *err)
{
    for (uint64_t end = p->told + TICK_LEAVES; p->told < end && p->told < log_size(s->log);) {
        json_t *rows = NULL;
        uint64_t to = 0;
        if (log_block(s->log, p->told + 1, &rows, &to, err) != OK)
            return false;
        bool taken = tell_rows(s, p, rows, SIZE_MAX);
        json_decref(rows);
        if (!taken)
            return false;
        p->told = to > p->told ? to : p->told;
    }
    return true;
}

static void tell_over(struct service *s, struct teller *t);

void teller_tick(struct service *s)
{
    struct teller *t = s->teller;
    struct err err = { .text = "" };
    int64_t now = clock_mono_ms();
    if (t == NULL)
        return;
    tell_over(s, t);
    for (size_t i = 0; i < PLACES; i++) {
        struct place *p = t->places[i];
        if (p == NULL)
            continue;
        if (now - t->looked_ms >= LOOK_MS)
            sink_tick(p->sink);
        if (!caught_up(s, p) && flush_queue(p) && !catch_up(s, p, &err) && err.text[0] != 0)
            log_error("audit.unread", "why", err.text);
        behind(p, !caught_up(s, p));
    }
    if (now - t->looked_ms >= LOOK_MS)
        t->looked_ms = now;
    if (now - t->saved_ms >= SAVE_MS) {
        save_positions(t, false);
        t->saved_ms = now;
    }
}

/* ---- events that are no leaves ---- */

static void note(struct service *s, const char *name, const json_t *content, uint64_t count)
{
    char line[SINK_LINE_MAX], uid[32];
    struct teller *t = s->teller;
    const struct event_row *row = event_row_of(name);
    random_id(16, uid);
    struct event e = { row, s->config->instance, uid, 0, count, clock_wall_ms(), content };
    size_t n = row != NULL ? event_line(&e, line) : 0;
    for (size_t i = 0; i < PLACES; i++) {
        struct place *p = t->places[i];
        if (p == NULL)
            continue;
        if (n == 0)
            p->lost++;
        else if (!flush_queue(p) || !put(p, row, e.time_ms, slice_of(line, n)))
            enqueue(p, row, e.time_ms, line);
        behind(p, !caught_up(s, p));
    }
}

void teller_note(struct service *s, const char *name, json_t *content)
{
    if (s->teller != NULL && content != NULL)
        note(s, name, content, 1);
    json_decref(content);
}

static void tell_over(struct service *s, struct teller *t)
{
    if (t->over == 0 || clock_wall_s() == t->second)
        return;
    note(s, "op.refused", t->over_last, t->over);
    t->over = 0;
    json_decref(t->over_last);
    t->over_last = NULL;
}

void teller_refused(struct service *s, json_t *content)
{
    struct teller *t = s->teller;
    if (t == NULL || content == NULL) {
        json_decref(content);
        return;
    }
    tell_over(s, t);
    if (clock_wall_s() != t->second) {
        t->second = clock_wall_s();
        t->in_second = 0;
    }
    if (++t->in_second <= REFUSALS_A_SECOND) {
        teller_note(s, "op.refused", content);
        return;
    }
    t->over++;
    json_decref(t->over_last);
    t->over_last = content;
}

/* ---- opening and closing ---- */

static enum status open_places(struct service *s, uint64_t fresh, struct err *err)
{
    struct teller *t = s->teller;
    struct place *made[PLACES] = { NULL };
    json_t *positions = read_positions(t);
    enum status st = OK;
    for (size_t i = 0; i < PLACES && st == OK; i++) {
        const char *spec = spec_of(s->config, i);
        const struct place *had = t->places[i];
        if (spec != NULL && (had == NULL || strcmp(had->spec, spec) != 0))
            st = place_open(i, spec, had ? had->told : position_of(s, positions, i, fresh), &made[i], err);
    }
    json_decref(positions);
    for (size_t i = 0; i < PLACES; i++) {
        if (st != OK) {
            place_free(made[i]);
        } else if (made[i] != NULL || spec_of(s->config, i) == NULL) {
            place_free(t->places[i]);
            t->places[i] = made[i];
        } else {
            sink_reopen(t->places[i]->sink);
        }
    }
    return st;
}

enum status teller_open(struct service *s, struct teller **out, struct err *err)
{
    struct teller *t = calloc(1, sizeof *t);
    if (t == NULL || (t->position_path = config_path(s->config, "audit.position")) == NULL) {
        free(t);
        return fail(err, NO_MEMORY, "audit events");
    }
    s->teller = t;
    t->saved_ms = clock_mono_ms();
    enum status st = open_places(s, s->leaves_before, err);   /* what this start has written is told */
    if (st == OK)
        save_positions(t, true);
    *out = t;
    return st;
}

enum status teller_reload(struct service *s, struct err *err)
{
    return open_places(s, log_size(s->log), err);
}

void teller_close(struct service *s)
{
    struct teller *t = s->teller;
    if (t == NULL)
        return;
    tell_over(s, t);
    save_positions(t, true);
    for (size_t i = 0; i < PLACES; i++)
        place_free(t->places[i]);
    json_decref(t->over_last);
    free(t->position_path);
    free(t);
    s->teller = NULL;
}

bool teller_stops(const struct service *s)
{
    const struct teller *t = s->teller;
    for (size_t i = 0; t != NULL && s->config->audit.required && i < PLACES; i++)
        if (t->places[i] != NULL && t->places[i]->behind_ms != 0 && clock_mono_ms() - t->places[i]->behind_ms > BEHIND_MS)
            return true;
    return false;
}

struct teller_counts teller_count(const struct service *s)
{
    struct teller_counts c = { 0, 0 };
    for (size_t i = 0; s->teller != NULL && i < PLACES; i++) {
        const struct place *p = s->teller->places[i];
        uint64_t n = p ? p->waiting + (log_size(s->log) - p->told) : 0;
        c.waiting = n > c.waiting ? n : c.waiting;
        c.lost += p ? p->lost : 0;
    }
    return c;
}
