#include "authz/approvals/teller.h"

#include "authz/approvals/teller_internal.h"

enum { AT_ONCE = 100, TICK_LEAVES = 512, BEHIND_MS = 5000, SAVE_MS = 60000, LOOK_MS = 1000, REFUSALS_A_SECOND = 50 };

/* ---- places ---- */

static void place_free(struct place *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->waiting; i++)
        free(p->queue[(p->first + i) % QUEUE_MAX].text);
    if (p->batch != NULL)
        batch_clear(p->batch);
    free(p->batch);
    sink_free(p->sink);
    free(p->spec);
    free(p);
}

/* The courier speaks to these: nothing in this process parses TLS or HTTP. */
static bool by_courier(size_t which, const char *spec)
{
    return which == 3 || (which == 2 && strncmp(spec, "tls:", 4) == 0);
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
    p->name = place_names[which];
    p->told = p->noted = p->confirmed = told;
    enum status st = OK;
    if (!by_courier(which, spec))
        st = open_sink(which, spec, &p->sink, err);
    else if ((p->batch = calloc(1, sizeof *p->batch)) == NULL)
        st = fail(err, NO_MEMORY, "a batch");
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
    return which == 0 ? c->audit.file : which == 1 ? (c->audit.standard_output ? "-" : NULL) : which == 2 ? c->audit.syslog : c->audit.webhook;
}

/* ---- telling ---- */

static bool put(struct place *p, const struct event_row *row, int64_t time_ms, struct slice text, bool leaf)
{
    if (p->batch != NULL)
        return batch_put(p->batch, row, time_ms, text, leaf);
    struct sink_line line = { text, row->name, event_syslog_severity(row), time_ms };
    return sink_put(p->sink, &line);
}

/* Said in the log at once, and at the place itself as soon as it takes something again. */
static void lose(struct place *p)
{
    if (p->lost++ == p->lost_told)
        log_error("audit.lost", "place", p->name, "why", "more events that are no leaves of the log (refusals, the door, reloads) wait for this place than are kept", "next",
                  "the event events.lost will say how many; nothing of the log itself is lost");
}

/* What was lost is an event, too: a place that has a gap has a line that says so. */
static bool tell_lost(struct service *s, struct place *p)
{
    char line[SINK_LINE_MAX], uid[32];
    const struct event_row *row = event_row_of("events.lost");
    if (p->lost == p->lost_told)
        return true;
    random_id(16, uid);
    json_t *content = json_pack("{s:s, s:I}", "place", p->name, "lost", (json_int_t)(p->lost - p->lost_told));
    struct event e = { row, s->config->instance, uid, 0, 1, clock_wall_ms(), content };
    size_t n = content != NULL ? event_line(&e, line) : 0;
    json_decref(content);
    if (n == 0 || !put(p, row, e.time_ms, slice_of(line, n), false))
        return false;
    p->lost_told = p->lost;
    return true;
}

static bool flush_queue(struct service *s, struct place *p)
{
    while (p->waiting > 0) {
        struct told_line *l = &p->queue[p->first];
        if (!put(p, l->row, l->time_ms, slice_str(l->text), false))
            return false;
        free(l->text);
        p->first = (p->first + 1) % QUEUE_MAX;
        p->waiting--;
    }
    return tell_lost(s, p);
}

void place_enqueue(struct place *p, const struct event_row *row, int64_t time_ms, const char *text)
{
    char *copy = p->waiting < QUEUE_MAX ? strdup(text) : NULL;
    if (copy == NULL)
        lose(p);
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
        lose(p);
        return true;
    }
    return put(p, row, l->time_ms, slice_of(line, n), true);
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
        log_warn("audit.behind", "place", p->name, "why", p->batch ? p->why : sink_why(p->sink), "next", "events wait in the log and are told when the place takes them");
    }
    if (!is && p->said)
        log_info("audit.caught-up", "place", p->name);
    if (!is) {
        p->behind_ms = 0;
        p->said = false;
    }
}

/* Nothing is added to what the courier took: no need to read the log for it. */
static bool frozen(const struct place *p)
{
    return p->batch != NULL && p->batch->id[0] != 0;
}

static bool caught_up(const struct service *s, const struct place *p)
{
    return p->waiting == 0 && p->told >= log_size(s->log) && (p->batch == NULL || p->batch->count == 0);
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
        if ((p->behind_ms == 0 || p->batch != NULL) && flush_queue(s, p))
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
        if (now - t->looked_ms >= LOOK_MS && p->sink != NULL)
            sink_tick(p->sink);
        if (!caught_up(s, p) && !frozen(p) && flush_queue(s, p) && !catch_up(s, p, &err) && err.text[0] != 0)
            log_error("audit.unread", "why", err.text);
        behind(p, !caught_up(s, p));
    }
    if (now - t->looked_ms >= LOOK_MS)
        t->looked_ms = now;
    if (now - t->saved_ms >= SAVE_MS) {
        teller_save(t, false);
        t->saved_ms = now;
    }
}

/* ---- events that are no leaves ---- */

static void note(struct service *s, const char *name, const json_t *content, uint64_t count, bool remote_only)
{
    char line[SINK_LINE_MAX], uid[32];
    struct teller *t = s->teller;
    const struct event_row *row = event_row_of(name);
    random_id(16, uid);
    struct event e = { row, s->config->instance, uid, 0, count, clock_wall_ms(), content };
    size_t n = row != NULL ? event_line(&e, line) : 0;
    for (size_t i = 0; i < PLACES; i++) {
        struct place *p = t->places[i];
        if (p == NULL || (remote_only && p->batch == NULL))
            continue;
        if (n == 0)
            lose(p);
        else if (!flush_queue(s, p) || !put(p, row, e.time_ms, slice_of(line, n), false))
            place_enqueue(p, row, e.time_ms, line);
        behind(p, !caught_up(s, p));
    }
}

void teller_note(struct service *s, const char *name, json_t *content)
{
    if (s->teller != NULL && content != NULL)
        note(s, name, content, 1, false);
    json_decref(content);
}

static void tell_over(struct service *s, struct teller *t)
{
    if (t->over == 0 || clock_wall_s() == t->second)
        return;
    note(s, "op.refused", t->over_last, t->over, false);
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

/* ---- places that the courier speaks to ---- */

static struct place *remote_place(struct service *s, const char *name)
{
    for (size_t i = 0; s->teller != NULL && i < PLACES; i++)
        if (s->teller->places[i] != NULL && s->teller->places[i]->batch != NULL && strcmp(s->teller->places[i]->name, name) == 0)
            return s->teller->places[i];
    return NULL;
}

enum status op_audit_take(struct op *o)
{
    struct service *s = o->s;
    struct place *p = remote_place(s, str(o->m, "place"));
    struct err err = { .text = "" };
    if (p == NULL)                    /* its config is another one: it asks in vain until it has read the file */
        return OK;
    if (!frozen(p) && flush_queue(s, p) && !catch_up(s, p, &err) && err.text[0] != 0)
        log_error("audit.unread", "why", err.text);
    json_t *batch = batch_take(p->batch, p->name, clock_mono_ms());
    if (batch != NULL)
        json_object_set_new(o->answer, "batch", batch);
    return OK;
}

/* The worker tells the other places by itself. */
enum status op_door(struct op *o)
{
    const struct event_row *row = event_row_of(str(o->m, "name"));
    if (row == NULL || strncmp(row->name, "door.", 5) != 0)
        return refuse_op(o, BAD_REQUEST, "'name' is no event of the door");
    if (o->s->teller != NULL)
        note(o->s, row->name, json_object_get(o->m, "content"), (uint64_t)num(o->m, "count"), true);
    return OK;
}

/* The place has what was put before the batch was taken; nothing was put since. A leaf that is no event may have been passed over meanwhile: that is told, too. */
enum status op_audit_done(struct op *o)
{
    struct place *p = remote_place(o->s, str(o->m, "place"));
    bool sent = strcmp(str(o->m, "result"), "sent") == 0;
    if (!sent && strcmp(str(o->m, "result"), "failed") != 0)
        return refuse_op(o, BAD_REQUEST, "'result' is sent or failed");
    enum batch_end end = p != NULL ? batch_done(p->batch, str(o->m, "batch"), sent, clock_mono_ms()) : BATCH_UNKNOWN;
    if (end == BATCH_CONFIRMED) {
        p->confirmed = p->told;
        p->why[0] = 0;
        behind(p, false);             /* it takes events: what still waits begins to wait now */
        behind(p, !caught_up(o->s, p));
    } else if (end == BATCH_FAILED) {
        snprintf(p->why, sizeof p->why, "%s", str(o->m, "why"));
    }
    return OK;
}

void teller_gone(struct service *s)
{
    for (size_t i = 0; s->teller != NULL && i < PLACES; i++)
        if (s->teller->places[i] != NULL && s->teller->places[i]->batch != NULL) {
            batch_gone(s->teller->places[i]->batch);
            snprintf(s->teller->places[i]->why, sizeof s->teller->places[i]->why, "the process that sends them went away");
        }
}

/* ---- opening and closing ---- */

static enum status open_places(struct service *s, uint64_t fresh, struct err *err)
{
    struct teller *t = s->teller;
    struct place *made[PLACES] = { NULL };
    json_t *positions = teller_positions(t);
    enum status st = OK;
    for (size_t i = 0; i < PLACES && st == OK; i++) {
        const char *spec = spec_of(s->config, i);
        const struct place *had = t->places[i];
        if (spec != NULL && (had == NULL || strcmp(had->spec, spec) != 0))
            st = place_open(i, spec, had ? place_position(had) : teller_position(s, positions, i, fresh), &made[i], err);
    }
    json_decref(positions);
    for (size_t i = 0; i < PLACES; i++) {
        if (st != OK) {
            place_free(made[i]);
        } else if (made[i] != NULL || spec_of(s->config, i) == NULL) {
            if (made[i] != NULL && t->places[i] != NULL)
                place_inherit(made[i], t->places[i]);
            place_free(t->places[i]);
            t->places[i] = made[i];
        } else if (t->places[i]->sink != NULL) {
            sink_reopen(t->places[i]->sink);
        }
    }
    return st;
}

enum status teller_open(struct service *s, struct teller **out, struct err *err)
{
    struct teller *t = calloc(1, sizeof *t);
    if (t == NULL || (t->position_path = config_path(s->config, "audit.position")) == NULL || (t->waiting_path = config_path(s->config, "audit.waiting")) == NULL) {
        free(t ? t->position_path : NULL);
        free(t);
        return fail(err, NO_MEMORY, "audit events");
    }
    s->teller = t;
    t->saved_ms = clock_mono_ms();
    enum status st = open_places(s, s->leaves_before, err);   /* what this start has written is told */
    if (st == OK)
        teller_save(t, true);
    if (st == OK)
        teller_restore(t);
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
    teller_save(t, true);
    teller_keep(t);
    for (size_t i = 0; i < PLACES; i++)
        place_free(t->places[i]);
    json_decref(t->over_last);
    free(t->position_path);
    free(t->waiting_path);
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
        uint64_t n = p ? p->waiting + (log_size(s->log) - p->told) + (p->batch ? p->batch->count : 0) : 0;
        c.waiting = n > c.waiting ? n : c.waiting;
        c.lost += p ? p->lost : 0;
    }
    return c;
}
