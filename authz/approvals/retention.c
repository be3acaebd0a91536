#include "authz/approvals/retention.h"

#include "config/forms.h"
#include "proxy/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { BATCH = 256, ERASE_AT_ONCE = 8, PASS_MS = 600000, RETRY_MS = 60000, TOOL_LEAF_MAX = 64 };
#define CLOCK_LEAVES "retention"      /* leaves about the clock are filed under this, those about a tool under "retention:TOOL" */

/* ---- how long ---- */

static bool longer(int64_t a, int64_t b)
{
    return a == 0 ? b != 0 : b != 0 && a > b;
}

int64_t retention_of(const struct retention_time *v, size_t count, int64_t started_ms, int64_t now_ms, int64_t shorten_after_ms)
{
    int64_t most = count > 0 ? v[count - 1].retention_ms : 0;
    for (size_t i = 0; i <= count; i++) {   /* 0: before the first */
        int64_t is = i == 0 ? 0 : v[i - 1].retention_ms, until = i < count ? v[i].from_ms : INT64_MAX;
        bool stood_since = until >= started_ms;
        bool long_past = shorten_after_ms > 0 && until != INT64_MAX && now_ms - until >= shorten_after_ms;
        if (stood_since && !long_past && longer(is, most))
            most = is;
    }
    return most;
}

static void filed_under(const char *tool, char out[TOOL_LEAF_MAX])
{
    snprintf(out, TOOL_LEAF_MAX, CLOCK_LEAVES ":%.40s", tool);
}

enum status retention_times(struct service *s, const char *tool, struct retention_time v[RETENTION_TIMES_MAX], size_t *count_out, struct err *err)
{
    char file[TOOL_LEAF_MAX];
    json_t *rows = NULL, *row;
    size_t i, n = 0;
    filed_under(tool, file);
    /* The newest, oldest of them first. With more changes than that, the times before count as for ever. */
    enum status st = store_rows(s->store, &rows, err, "SELECT seq FROM (SELECT seq FROM leaf WHERE session = $1 ORDER BY seq DESC LIMIT $2) AS newest ORDER BY seq", "si", file,
                                (int64_t)RETENTION_TIMES_MAX);
    json_array_foreach(rows, i, row) {
        json_t *leaf = NULL;
        if (st == OK)
            st = log_leaf_shown(s->log, (uint64_t)num(row, "seq"), &leaf, err);
        if (st != OK)
            break;
        const json_t *content = json_object_get(leaf, "content");
        if (strcmp(str(leaf, "type"), "retention.set") != 0 || strcmp(str(content, "tool"), tool) != 0)
            st = fail(err, CORRUPT, "leaf %lld is filed under another name", (long long)num(row, "seq"));
        else
            v[n++] = (struct retention_time){ num(leaf, "time_ms"), num(content, "retention_s") * 1000 };
        json_decref(leaf);
    }
    json_decref(rows);
    *count_out = n;
    return st;
}

static enum status note_time(struct op *o, const char *tool, int64_t retention_ms)
{
    struct retention_time v[RETENTION_TIMES_MAX];
    char file[TOOL_LEAF_MAX];
    size_t n = 0;
    enum status st = retention_times(o->s, tool, v, &n, &o->err);
    int64_t before = n > 0 ? v[n - 1].retention_ms : 0;
    filed_under(tool, file);
    if (st == OK && before != retention_ms)
        st = write_leaf(o, "retention.set", json_pack("{s:s, s:s, s:I, s:I}", "session", file, "tool", tool, "retention_s", (json_int_t)(retention_ms / 1000), "before_s",
                                                      (json_int_t)(before / 1000)), NULL);
    return st;
}

enum status upkeep_retention(struct op *o)
{
    const struct config *c = o->s->config;
    enum status st = note_time(o, HISTORY_TIMES, c->approvals_retention_ms);
    for (size_t i = 0; i < c->tool_count && st == OK; i++)
        st = note_time(o, c->tools[i].name, c->tools[i].retention_ms);
    return st;
}

/* ---- the clock ---- */

static bool any_retention(const struct config *c)
{
    for (size_t i = 0; i < c->tool_count; i++)
        if (c->tools[i].retention_ms > 0)
            return true;
    return c->approvals_retention_ms > 0;
}

static enum status suspended(struct service *s, bool *out, struct err *err)
{
    json_t *row = NULL, *leaf = NULL;
    enum status st = store_row(s->store, &row, err, "SELECT seq FROM leaf WHERE session = $1 ORDER BY seq DESC LIMIT 1", "s", CLOCK_LEAVES);
    *out = false;
    if (st == NOT_FOUND)
        return OK;
    if (st == OK)
        st = log_leaf_shown(s->log, (uint64_t)num(row, "seq"), &leaf, err);
    if (st == OK)
        *out = strcmp(str(leaf, "type"), "retention.suspended") == 0;
    json_decref(row);
    json_decref(leaf);
    return st;
}

static enum status suspend(struct op *o, int64_t leap_ms, const char *why)
{
    char text[32];
    duration_text(leap_ms / 60000 * 60000, text);
    log_warn("retention.suspended", "why", why, "leap", text, "next", "countersign hold --confirm-time, if the clock is right");
    o->s->retention.suspended = true;
    return write_leaf(o, "retention.suspended", json_pack("{s:s, s:s, s:I}", "session", CLOCK_LEAVES, "why", why, "leap_ms", (json_int_t)leap_ms), NULL);
}

enum status retention_look_back(struct service *s, struct err *err)
{
    json_t *row = NULL;
    enum status st = log_leaf_shown(s->log, log_size(s->log), &row, err);
    s->retention.last_leaf_ms = st == OK ? num(row, "time_ms") : 0;
    json_decref(row);
    return st;
}

enum status retention_start(struct op *o)
{
    struct service *s = o->s;
    s->retention.offset_ms = clock_wall_ms() - clock_mono_ms();
    enum status st = suspended(s, &s->retention.suspended, &o->err);
    if (st != OK || s->retention.suspended || !any_retention(s->config) || s->retention.last_leaf_ms == 0)
        return st;
    int64_t leap = o->now_ms - s->retention.last_leaf_ms;
    if (leap > s->config->clock_leap_ms)
        st = suspend(o, leap, "the log has nothing from a long time before this start: the gateway was off, or its clock is wrong");
    return st;
}

static enum status watch_clock(struct op *o)
{
    struct retention_state *r = &o->s->retention;
    int64_t leap = o->now_ms - clock_mono_ms() - r->offset_ms;
    if (r->suspended || leap <= o->s->config->clock_leap_ms)
        return OK;
    return suspend(o, leap, "the wall clock went forward faster than time did");
}

enum status op_retention_confirm(struct op *o)
{
    if (!is_operator(o))
        return refuse_op(o, OPERATORS_ONLY, "%s is in no operators' group", o->who.person->name);
    if (!o->s->retention.suspended)
        return refuse_op(o, NOT_PENDING, "Deletion is not suspended");
    if (!reason_good(str(o->m, "reason")))
        return refuse_op(o, BAD_REASON, "A reason has 3 to 500 characters and no control characters");
    enum status st = write_leaf(o, "retention.confirmed", json_pack("{s:s, s:s, s:s, s:I}", "session", CLOCK_LEAVES, "by", o->who.person->name, "reason", str(o->m, "reason"),
                                                                    "now_ms", (json_int_t)o->now_ms), NULL);
    o->s->retention.reread = true;    /* once committed */
    return st;
}

/* ---- deleting ---- */

bool recorder_owes(const struct service *s, const char *session)
{
    char name[96];
    snprintf(name, sizeof name, "recordings/open/%s", session);
    char *path = config_path(s->config, name);
    bool owes = path == NULL || access(path, F_OK) == 0;
    free(path);
    return owes;
}

/* The leaf of a segment that the rows name, proved: of that session, and the one that was meant. */
static enum status segment_leaf(struct op *o, const char *session, const json_t *row, json_t **out)
{
    enum status st = log_leaf_shown(o->s->log, (uint64_t)num(row, "seq"), out, &o->err);
    const json_t *content = st == OK ? json_object_get(*out, "content") : NULL;
    if (st == OK && (strcmp(str(*out, "type"), "segment") != 0 || strcmp(str(content, "session"), session) != 0 || num(content, "number") != num(row, "number")))
        st = fail(&o->err, CORRUPT, "the segments of session '%s' are not what the log says", session);
    return st;
}

/* When it was recorded, by its first and last segment. */
enum status span_of(struct op *o, const char *session, struct span *out)
{
    json_t *rows = NULL, *row;
    size_t i;
    enum status st = store_rows(o->s->store, &rows, &o->err,
                                "SELECT seq, number FROM segment WHERE session = $1 AND number IN (SELECT MIN(number) FROM segment WHERE session = $1 UNION ALL"
                                " SELECT MAX(number) FROM segment WHERE session = $1) ORDER BY number", "s", session);
    *out = (struct span){ 0, 0, 0 };
    json_array_foreach(rows, i, row) {
        json_t *leaf = NULL;
        if (st == OK)
            st = segment_leaf(o, session, row, &leaf);
        const json_t *content = json_object_get(leaf, "content");
        int64_t to = num(content, "to_ms") > num(leaf, "time_ms") ? num(content, "to_ms") : num(leaf, "time_ms");   /* what the recorder says, or the log: the later */
        out->from_ms = i == 0 ? num(content, "from_ms") : out->from_ms;
        out->to_ms = to > out->to_ms ? to : out->to_ms;
        out->segments = num(content, "number");
        json_decref(leaf);
    }
    if (st == OK && json_array_size(rows) == 0)
        st = fail(&o->err, CORRUPT, "session '%s' has no segments", session);
    json_decref(rows);
    return st;
}

static enum status erase(struct op *o, const json_t *facts, const struct span *span, int64_t retention_ms)
{
    uint64_t seq = 0;
    const char *id = str(facts, "session");
    enum status st = write_leaf(o, "session.erased", json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "session", id, "by", "retention", "tool", str(facts, "tool"), "person",
                                                               str(facts, "person"), "segments", (json_int_t)span->segments, "ended_ms", (json_int_t)span->to_ms,
                                                               "retention_s", (json_int_t)(retention_ms / 1000)), &seq);
    if (st == OK)
        st = store_run(o->s->store, &o->err, "UPDATE session SET erased = $1 WHERE session = $2 AND erased = 0", "is", (int64_t)seq, id);
    return st;
}

/* facts: what the leaf of its grant says: whose, and which tool. */
static enum status judge(struct op *o, const json_t *facts, bool *erased)
{
    struct retention_time v[RETENTION_TIMES_MAX];
    struct span span;
    size_t n = 0;
    if (hold_on(o->s, facts))
        return OK;
    enum status st = retention_times(o->s, str(facts, "tool"), v, &n, &o->err);
    if (st == OK)
        st = span_of(o, str(facts, "session"), &span);
    int64_t keep = st == OK ? retention_of(v, n, span.from_ms, o->now_ms, o->s->config->shorten_after_ms) : 0;
    if (st != OK || keep == 0 || o->now_ms - span.to_ms < keep)
        return st;
    *erased = true;
    return erase(o, facts, &span, keep);
}

static enum status erase_if_due(struct op *o, const char *id, bool *erased)
{
    const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), id);
    json_t *leaf = NULL;
    if (e == NULL || e->kind != LEDGER_GRANT)
        return fail(&o->err, CORRUPT, "session '%s' has no grant in the log", id);
    if (strcmp(e->state, "ended") != 0 || recorder_owes(o->s, id))
        return OK;
    enum status st = log_leaf_shown(o->s->log, e->born, &leaf, &o->err);
    if (st == OK)
        st = judge(o, json_object_get(leaf, "content"), erased);
    json_decref(leaf);
    return st;
}

/* By what the rows say, which is cheap, could it be due? Only then is anything proved; so an edited row can keep a recording, and never delete one. */
struct guess {
    char tool[33];                    /* that the times are of: sessions of one tool often come one after the other */
    struct retention_time v[RETENTION_TIMES_MAX];
    size_t count;
};

static enum status may_be_due(struct op *o, struct guess *g, const json_t *row, bool *out)
{
    const char *tool = str(row, "tool");
    enum status st = OK;
    *out = false;
    if (hold_on(o->s, row) || strlen(tool) >= sizeof g->tool)
        return OK;
    if (strcmp(g->tool, tool) != 0) {
        g->tool[0] = 0;
        st = retention_times(o->s, tool, g->v, &g->count, &o->err);
        if (st == OK)
            memcpy(g->tool, tool, strlen(tool) + 1);
    }
    int64_t keep = st == OK ? retention_of(g->v, g->count, num(row, "started_ms"), o->now_ms, o->s->config->shorten_after_ms) : 0;
    *out = keep > 0 && o->now_ms - num(row, "last_ms") >= keep;
    return st;
}

/* The next few, from where the pass stands. At its end it begins anew some minutes later. */
static enum status look_for_due(struct op *o)
{
    struct retention_state *r = &o->s->retention;
    struct guess g = { .tool = "" };
    json_t *rows = NULL, *row;
    size_t i, erased = 0;
    enum status st = store_rows(o->s->store, &rows, &o->err,
                                "SELECT session, person, identity, tool, started_ms, last_ms FROM session WHERE erased = 0"
                                " AND (last_ms > $1 OR (last_ms = $1 AND session > $2)) ORDER BY last_ms, session LIMIT $3", "isi", r->at_ms, r->at, (int64_t)BATCH);
    json_array_foreach(rows, i, row) {
        bool one = false;
        if (st != OK || erased == ERASE_AT_ONCE)
            break;
        bool maybe = false;
        st = may_be_due(o, &g, row, &maybe);
        if (st == OK && maybe)
            st = erase_if_due(o, str(row, "session"), &one);
        erased += one;
        r->at_ms = num(row, "last_ms");
        snprintf(r->at, sizeof r->at, "%s", str(row, "session"));
    }
    if (st == OK && erased < ERASE_AT_ONCE && json_array_size(rows) < BATCH) {
        r->at_ms = 0;
        r->at[0] = 0;
        r->next_ms = clock_mono_ms() + PASS_MS;
    }
    json_decref(rows);
    return st;
}

static enum status remove_files(struct service *s, const char *session, struct err *err)
{
    enum status st = OK;
    for (int i = 0; i < 2 && st == OK; i++) {   /* the recording, and how far it was copied (proxy/courier/copies.h) */
        char name[96];
        snprintf(name, sizeof name, i == 0 ? "recordings/%s.tar" : "copies/%s", session);
        char *path = config_path(s->config, name);
        if (path == NULL)
            st = fail(err, NO_MEMORY, "path");
        else if (unlink(path) != 0 && errno != ENOENT)
            st = fail(err, IO_FAILED, "cannot delete '%s': %s", path, strerror(errno));
        free(path);
    }
    return st;
}

static enum status sync_folder(const struct service *s, struct err *err)
{
    char *path = config_path(s->config, "recordings");
    int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    bool good = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    free(path);
    return good ? OK : fail(err, IO_FAILED, "cannot sync the folder of recordings: %s", strerror(errno));
}

static enum status forget_session(struct op *o, const char *session)
{
    enum status st = store_run(o->s->store, &o->err, "DELETE FROM touched WHERE session = $1", "s", session);   /* whom it was about */
    return st == OK ? store_run(o->s->store, &o->err, "UPDATE session SET gone = 1 WHERE session = $1", "s", session) : st;
}

/* Those that the log says are deleted, and whose files may still be there. */
static enum status finish(struct op *o)
{
    json_t *rows = NULL, *row;
    size_t i;
    enum status st = store_rows(o->s->store, &rows, &o->err, "SELECT session, erased FROM session WHERE erased > 0 AND gone = 0 LIMIT $1", "i", (int64_t)BATCH);
    json_array_foreach(rows, i, row) {
        json_t *leaf = NULL;
        if (st == OK)
            st = log_leaf_shown(o->s->log, (uint64_t)num(row, "erased"), &leaf, &o->err);
        if (st == OK && (strcmp(str(leaf, "type"), "session.erased") != 0 || strcmp(str(json_object_get(leaf, "content"), "session"), str(row, "session")) != 0))
            st = fail(&o->err, CORRUPT, "the row of session '%s' says that it was deleted, the log does not", str(row, "session"));
        json_decref(leaf);
        if (st == OK)
            st = remove_files(o->s, str(row, "session"), &o->err);
    }
    if (st == OK && json_array_size(rows) > 0)
        st = sync_folder(o->s, &o->err);
    json_array_foreach(rows, i, row)
        if (st == OK)
            st = forget_session(o, str(row, "session"));
    json_decref(rows);
    return st;
}

static enum status in_own(struct service *s, enum status (*run)(struct op *), struct err *err)
{
    struct op o;
    enum status st = own_begin(s, &o, err);
    if (st == OK)
        st = run(&o);
    return own_end(&o, st, err);
}

enum status retention_tick(struct service *s, struct err *err)
{
    struct retention_state *r = &s->retention;
    struct err why = { .text = "" };
    enum status st = OK;
    if (r->reread) {                  /* an operator confirmed the time */
        r->reread = false;
        r->offset_ms = clock_wall_ms() - clock_mono_ms();
        r->next_ms = 0;
        st = suspended(s, &r->suspended, err);
    }
    if (st != OK || clock_mono_ms() < r->next_ms)
        return st;
    st = any_retention(s->config) ? in_own(s, watch_clock, err) : OK;
    if (st == OK && !r->suspended)
        st = in_own(s, look_for_due, err);
    if (st != OK)
        return st;
    st = in_own(s, finish, &why);
    if (st == CORRUPT || st == OK)
        return st == OK ? OK : fail(err, st, "%s", why.text);
    log_warn("retention.unfinished", "why", why.text, "next", "it is tried again in a minute");
    r->next_ms = clock_mono_ms() + RETRY_MS;
    return OK;
}
