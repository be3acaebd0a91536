#include "authz/approvals/history.h"

#include "config/forms.h"

enum { LOOK_AT = 128, READ_AT_ONCE = 256, EVERY_MS = 600000, SCRUB_AGAIN_MS = 60000 };

/* ---- how long ---- */

struct due {
    struct retention_time v[RETENTION_TIMES_MAX];
    size_t count;
    int64_t until_ms;                 /* monotonic: this tick works so long */
};

/* How long a story that began then is kept; 0: for ever. */
static int64_t keep_of(const struct op *o, const struct due *d, int64_t first_ms)
{
    return retention_of(d->v, d->count, first_ms, o->now_ms, o->s->config->shorten_after_ms);
}

static bool is_due(const struct op *o, const struct due *d, int64_t first_ms, int64_t last_ms)
{
    int64_t keep = keep_of(o, d, first_ms);
    return keep > 0 && o->now_ms - last_ms >= keep;
}

/* The least time that any story could be kept: those that began later need not be looked at. */
static int64_t least_keep(const struct due *d)
{
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < d->count; i++)
        if (d->v[i].retention_ms > 0 && d->v[i].retention_ms < least)
            least = d->v[i].retention_ms;
    return least;
}

static bool time_left(const struct due *d)
{
    return clock_mono_ms() < d->until_ms;
}

/* ---- a request and what came of it ---- */

/* By what the rows say, which is cheap, could it be due? An edited row can keep a story; before anything is erased all is proved. */
static enum status may_be_due(struct op *o, const struct due *d, const char *session, bool *out)
{
    json_t *row = NULL;
    enum status st = store_row(o->s->store, &row, &o->err, "SELECT gone FROM session WHERE session = $1", "s", session);
    bool kept = st == OK && num(row, "gone") == 0;
    json_decref(row);
    *out = false;
    if ((st != OK && st != NOT_FOUND) || kept || recorder_owes(o->s, session))
        return st == NOT_FOUND ? OK : st;
    row = NULL;
    st = store_row(o->s->store, &row, &o->err, "SELECT time_ms FROM leaf WHERE session = $1 AND type NOT IN ('session.erased', 'session.moved') ORDER BY seq DESC LIMIT 1", "s", session);
    *out = st == OK && o->now_ms - num(row, "time_ms") >= least_keep(d);
    json_decref(row);
    return st == NOT_FOUND ? OK : st;
}

static enum status newest_seq(struct op *o, const char *session, uint64_t *out)
{
    json_t *row = NULL;
    enum status st = store_row(o->s->store, &row, &o->err, "SELECT seq FROM leaf WHERE session = $1 ORDER BY seq DESC LIMIT 1", "s", session);
    *out = (uint64_t)num(row, "seq");
    json_decref(row);
    return st == NOT_FOUND ? OK : st;
}

/* Was anything recorded, and is that still there? What the leaves say counts, and that the files are gone. */
static enum status recording_kept(struct op *o, const struct story *t, bool *out)
{
    json_t *row = NULL, *segment = NULL;
    enum status st = store_row(o->s->store, &row, &o->err, "SELECT gone FROM session WHERE session = $1", "s", t->id);
    bool known = st == OK, gone = num(row, "gone") != 0;
    if (st == OK || st == NOT_FOUND)
        st = store_row(o->s->store, &segment, &o->err, "SELECT seq FROM segment WHERE session = $1 LIMIT 1", "s", t->id);
    bool recorded = known || st == OK;
    *out = (recorded && (!t->recording_gone || (known && !gone))) || recorder_owes(o->s, t->id);
    json_decref(row);
    json_decref(segment);
    return st == NOT_FOUND ? OK : st;
}

/* When the newest leaf of all was, proved. */
static enum status newest_ms(struct op *o, const char *session, int64_t *out)
{
    struct story t;
    json_t *row = NULL;
    story_init(&t, session, false);
    enum status st = store_row(o->s->store, &row, &o->err,
                               "SELECT seq FROM leaf WHERE session = $1 AND type NOT IN ('session.erased', 'session.moved') ORDER BY seq DESC LIMIT 1", "s", session);
    if (st == OK)
        st = story_take(o, &t, (uint64_t)num(row, "seq"));
    *out = st == OK ? t.last_ms : INT64_MAX;
    json_decref(row);
    story_done(&t);
    return st == NOT_FOUND ? OK : st;
}

/* Some more of its leaves. */
static enum status read_on(struct op *o, struct due *d, struct story *t)
{
    json_t *rows = NULL, *row;
    size_t i;
    enum status st = store_rows(o->s->store, &rows, &o->err, "SELECT seq, type FROM leaf WHERE session = $1 AND seq > $2 ORDER BY seq LIMIT $3", "sii", t->id, (int64_t)t->read_to,
                                (int64_t)READ_AT_ONCE);
    json_array_foreach(rows, i, row) {
        if (st != OK || (i > 0 && !time_left(d)))
            break;
        if (!story_is_piece(str(row, "type")))
            st = story_take(o, t, (uint64_t)num(row, "seq"));
        t->read_to = (uint64_t)num(row, "seq");
    }
    t->all_read = st == OK && i == json_array_size(rows) && i < READ_AT_ONCE;
    json_decref(rows);
    return st;
}

static size_t rest_of(const struct story *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->count; i++)
        n += t->leaves[i].held == SIZE_MAX;
    return n;
}

/* All of it was read; may it go? Asked before each piece. */
static enum status judge(struct op *o, const struct due *d, const struct story *t, bool *out)
{
    uint64_t newest = 0;
    int64_t last_ms = 0;
    bool kept = true;
    enum status st = newest_seq(o, t->id, &newest);
    *out = false;
    if (st != OK || newest > t->read_to || t->keeps || t->count == 0 || t->holds != o->s->holds || rest_of(t) > STORY_REST_MAX)
        return st;
    st = recording_kept(o, t, &kept);
    if (st == OK)
        st = newest_ms(o, t->id, &last_ms);
    *out = st == OK && !kept && is_due(o, d, t->first_ms, t->last_ms > last_ms ? t->last_ms : last_ms);
    return st;
}

/* *more: there are others. */
static enum status erase_some(struct op *o, const struct due *d, struct story *t, bool *more)
{
    int64_t keep = keep_of(o, d, t->first_ms);
    enum status st = story_erase_piece(o, t, keep, d->until_ms, more);
    if (st == OK && !*more)
        st = story_erase_held(o, t, keep, more);
    return st == OK && !*more ? story_erase_rest(o, t, keep) : st;
}

static void put_down(struct service *s)
{
    if (s->retention.history.story != NULL)
        story_done(s->retention.history.story);
    free(s->retention.history.story);
    s->retention.history.story = NULL;
}

/* What was erased is not kept in memory either. */
static void forget_block(struct service *s)
{
    json_decref(s->retention.history.block);
    s->retention.history.block = NULL;
}

static enum status go_on(struct op *o, struct due *d)
{
    struct story *t = o->s->retention.history.story;
    bool good = true, more = true;
    enum status st = OK;
    while (st == OK && !t->all_read && !t->keeps && time_left(d))
        st = read_on(o, d, t);
    if (st == OK && !t->all_read && !t->keeps)
        return OK;                    /* the next tick */
    if (st == OK)
        st = judge(o, d, t, &good);
    if (st == OK && good)
        st = erase_some(o, d, t, &more);
    if (st == AGAIN) {
        good = false;
        st = OK;
    }
    if (st != OK || !good || !more)
        put_down(o->s);
    return st;
}

static enum status take_up(struct op *o, const char *session)
{
    struct story *t = malloc(sizeof *t);
    if (t == NULL)
        return fail(&o->err, NO_MEMORY, "history");
    story_init(t, session, false);
    t->holds = json_incref(o->s->holds);
    o->s->retention.history.story = t;
    return OK;
}

/* ---- a lock and its end ---- */

static enum status lock_if_due(struct op *o, const struct due *d, const char *id, bool *erased)
{
    const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), id);
    struct story t;
    if (e == NULL || e->kind != LEDGER_LOCK)
        return fail(&o->err, CORRUPT, "table lock holds '%s', which the log does not know", id);
    if (!ledger_over(e))
        return OK;
    story_init(&t, id, true);
    enum status st = story_take(o, &t, e->born);
    if (st == OK)
        st = story_take(o, &t, e->last);
    *erased = st == OK && !t.keeps && is_due(o, d, t.first_ms, t.last_ms);
    if (*erased)
        st = story_erase_rest(o, &t, keep_of(o, d, t.first_ms));
    story_done(&t);
    return st;
}

/* ---- the pass ---- */

/* One is erased at a time: leaves are proved by what was committed. */
static enum status look_at_locks(struct op *o, const struct due *d)
{
    struct retention_state *r = &o->s->retention;
    json_t *rows = NULL, *row;
    size_t i = 0;
    bool erased = false;
    enum status st = store_rows(o->s->store, &rows, &o->err, "SELECT lock_id FROM lock WHERE lock_id > $1 AND state = 'ended' ORDER BY lock_id LIMIT $2", "si", r->history.lock_at,
                                (int64_t)LOOK_AT);
    json_array_foreach(rows, i, row) {
        if (st != OK || erased || (i > 0 && !time_left(d)))
            break;
        st = lock_if_due(o, d, str(row, "lock_id"), &erased);
        snprintf(r->history.lock_at, sizeof r->history.lock_at, "%s", str(row, "lock_id"));
    }
    if (st == OK && i == json_array_size(rows) && i < LOOK_AT) {
        r->history.locks = false;
        r->history.lock_at[0] = 0;
        r->history.next_ms = clock_mono_ms() + EVERY_MS;
    }
    json_decref(rows);
    return st;
}

/* The next that may be due, the oldest first, from where the pass stands. */
static enum status look_at_requests(struct op *o, const struct due *d)
{
    struct retention_state *r = &o->s->retention;
    json_t *rows = NULL, *row;
    size_t i = 0;
    enum status st = store_rows(o->s->store, &rows, &o->err,
                                "SELECT item, session, created_ms FROM request WHERE (created_ms, item) > ($1, $2) AND created_ms <= $3 ORDER BY created_ms, item LIMIT $4",
                                "isii", r->history.at_ms, r->history.at, o->now_ms - least_keep(d), (int64_t)LOOK_AT);
    json_array_foreach(rows, i, row) {
        const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), str(row, "item"));
        bool may = false;
        if (st != OK || r->history.story != NULL || (i > 0 && !time_left(d)))
            break;
        if (e != NULL && ledger_over(e) && !ledger_is(log_ledger(o->s->log), str(row, "session"), "live"))
            st = may_be_due(o, d, str(row, "session"), &may);
        if (st == OK && may)
            st = take_up(o, str(row, "session"));
        r->history.at_ms = num(row, "created_ms");
        snprintf(r->history.at, sizeof r->history.at, "%s", str(row, "item"));
    }
    if (st == OK && r->history.story == NULL && i == json_array_size(rows) && i < LOOK_AT) {
        r->history.at_ms = 0;
        r->history.at[0] = 0;
        r->history.locks = true;
    }
    json_decref(rows);
    return st;
}

/* A story is gone on with before another is looked for; one transaction erases at most one piece of one story. */
static enum status look(struct op *o)
{
    struct due d;
    struct retention_state *r = &o->s->retention;
    enum status st = retention_times(o->s, HISTORY_TIMES, d.v, &d.count, &o->err);
    if (st != OK || d.count == 0)
        return st;
    d.until_ms = clock_mono_ms() + TICK_WORK_MS;
    if (r->history.story == NULL)
        st = r->history.locks ? look_at_locks(o, &d) : look_at_requests(o, &d);
    return st == OK && r->history.story != NULL ? go_on(o, &d) : st;
}

static enum status scrub(struct service *s, struct err *err)
{
    enum status st = store_scrub(s->store, err);
    forget_block(s);
    s->retention.history.scrub_ms = st == AGAIN ? clock_mono_ms() + SCRUB_AGAIN_MS : 0;
    return st == AGAIN ? OK : st;
}

enum status history_tick(struct service *s, struct err *err)
{
    struct retention_state *r = &s->retention;
    struct op o;
    if (r->history.scrub_ms > 0 && clock_mono_ms() >= r->history.scrub_ms)
        return scrub(s, err);
    if (s->config->approvals_retention_ms == 0 || r->suspended || clock_mono_ms() < r->history.next_ms)
        return OK;
    enum status st = own_begin(s, &o, err);
    if (st == OK)
        st = look(&o);
    st = own_end(&o, st, err);
    if (st != OK) {                   /* what they hold may not be so */
        put_down(s);
        forget_block(s);
    }
    return st;
}

void history_done(struct service *s)
{
    put_down(s);
    forget_block(s);
}

/* ---- what is said of it ---- */

enum status refuse_gone(struct op *o, const char *id, enum problem_type otherwise, const char *detail)
{
    const struct ledger_entry *e = strlen(id) < sizeof e->id ? ledger_find(log_ledger(o->s->log), id) : NULL;
    char when[CLOCK_TEXT_MAX], kept[FORM_TEXT_MAX];
    json_t *leaf = NULL;
    if (e == NULL || e->kind != LEDGER_ERASED)
        return refuse_op(o, otherwise, "%s", detail);
    enum status st = log_leaf_shown(o->s->log, e->born, &leaf, &o->err);
    if (st != OK)
        return st == NOT_FOUND ? CORRUPT : st;
    clock_rfc3339(num(leaf, "time_ms"), when);
    duration_text(num(json_object_get(leaf, "content"), "retention_s") * 1000, kept);
    json_decref(leaf);
    return refuse_op(o, HISTORY_ERASED, "It was erased on %.10s, having been kept for %s, as leaf %llu of the log says", when, kept, (unsigned long long)e->born);
}
