/* local: what is in object storage, whole, need not stay here. */
#include "authz/approvals/retention.h"

#include "proxy/base/file.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BATCH = 256, PASS_MS = 10000, STATE_MAX = 64, TAR_END_BYTES = 1024 };

static char *recording_path(const struct service *s, const char *session)
{
    char name[96];
    snprintf(name, sizeof name, "recordings/%.64s.tar", session);
    return config_path(s->config, name);
}

/* The courier writes down how far a session was copied once the storage has confirmed a segment, whose digest it was told with it: all of the log's segments, and all of the file. */
static bool copied_whole(const struct service *s, const char *session, const char *file, int64_t segments)
{
    char name[96];
    unsigned number = 0;
    unsigned long long offset = 0;
    unsigned char *text = NULL;
    size_t len = 0;
    struct stat info;
    snprintf(name, sizeof name, "copies/%.64s", session);
    char *path = config_path(s->config, name);
    bool read = path != NULL && file_read(path, STATE_MAX, true, &text, &len, NULL) == OK && sscanf((const char *)text, "1 %u %llu", &number, &offset) == 2;
    free(text);
    free(path);
    return read && number == segments && stat(file, &info) == 0 && (uint64_t)info.st_size <= offset + TAR_END_BYTES && (uint64_t)info.st_size >= offset;
}

/* Was it said already? Then the file is to go. CORRUPT: a row says so, the log does not. */
static enum status said(struct op *o, const char *session, bool *out)
{
    json_t *row = NULL, *leaf = NULL;
    *out = false;
    enum status st = store_row(o->s->store, &row, &o->err, "SELECT seq FROM leaf WHERE session = $1 AND type = 'session.moved' ORDER BY seq DESC LIMIT 1", "s", session);
    if (st == NOT_FOUND)
        return OK;
    if (st == OK)
        st = log_leaf_shown(o->s->log, (uint64_t)num(row, "seq"), &leaf, &o->err);
    if (st == OK && (strcmp(str(leaf, "type"), "session.moved") != 0 || strcmp(str(json_object_get(leaf, "content"), "session"), session) != 0))
        st = fail(&o->err, CORRUPT, "a row says that session '%s' was moved, the log does not", session);
    *out = st == OK;
    json_decref(row);
    json_decref(leaf);
    return st;
}

static void remove_file(const char *path, const char *session)
{
    if (unlink(path) != 0 && errno != ENOENT)
        log_warn("local.kept", "session", session, "why", strerror(errno), "next", "it is tried again");
    else
        log_info("local.deleted", "session", session, "next", "auditors read it from the storage");
}

/* facts: what the leaf of its grant says. */
static enum status judge(struct op *o, const json_t *facts, const char *file)
{
    const char *id = str(facts, "session");
    const struct config *c = o->s->config;
    struct span span;
    bool is_said = false;
    if (hold_on(o->s, facts))
        return OK;
    enum status st = span_of(o, id, &span);
    if (st != OK || o->now_ms - span.to_ms < c->keep_local_ms || !copied_whole(o->s, id, file, span.segments))
        return st;
    st = said(o, id, &is_said);
    if (st == OK && is_said)
        remove_file(file, id);
    if (st != OK || is_said)
        return st;
    o->s->retention.local_next_ms = 0;   /* the file goes once this is committed: look again soon */
    return write_leaf(o, "session.moved", json_pack("{s:s, s:s, s:s, s:s, s:I, s:s}", "session", id, "by", "keep_local", "tool", str(facts, "tool"), "person", str(facts, "person"),
                                                    "segments", (json_int_t)span.segments, "to", c->copy_to), NULL);
}

static enum status look_at(struct op *o, const char *id)
{
    const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), id);
    json_t *leaf = NULL;
    char *file = recording_path(o->s, id);
    enum status st = file ? OK : fail(&o->err, NO_MEMORY, "path");
    bool due = st == OK && e != NULL && e->kind == LEDGER_GRANT && strcmp(e->state, "ended") == 0 && !recorder_owes(o->s, id) && access(file, F_OK) == 0;
    if (due)
        st = log_leaf_shown(o->s->log, e->born, &leaf, &o->err);
    if (st == OK && due)
        st = judge(o, json_object_get(leaf, "content"), file);
    json_decref(leaf);
    free(file);
    return st;
}

/* The next few. Rows only say where to look: an edited one can keep a file, and never delete one. */
static enum status look(struct op *o)
{
    struct retention_state *r = &o->s->retention;
    json_t *rows = NULL, *row;
    size_t i;
    r->local_next_ms = clock_mono_ms() + (r->local_at_ms == 0 ? PASS_MS : 0);
    enum status st = store_rows(o->s->store, &rows, &o->err,
                                "SELECT session, person, identity, tool, last_ms FROM session WHERE erased = 0 AND last_ms <= $1"
                                " AND (last_ms > $2 OR (last_ms = $2 AND session > $3)) ORDER BY last_ms, session LIMIT $4", "iisi", o->now_ms - o->s->config->keep_local_ms, r->local_at_ms,
                                r->local_at, (int64_t)BATCH);
    json_array_foreach(rows, i, row) {
        if (st == OK && !hold_on(o->s, row))
            st = look_at(o, str(row, "session"));
        r->local_at_ms = num(row, "last_ms");
        snprintf(r->local_at, sizeof r->local_at, "%s", str(row, "session"));
    }
    if (json_array_size(rows) < BATCH) {
        r->local_at_ms = 0;
        r->local_at[0] = 0;
        if (r->local_next_ms != 0)
            r->local_next_ms = clock_mono_ms() + PASS_MS;
    }
    json_decref(rows);
    return st;
}

enum status local_tick(struct service *s, struct err *err)
{
    struct op o;
    if (s->config->keep_local_ms == 0 || s->config->copy_to == NULL || s->retention.suspended || clock_mono_ms() < s->retention.local_next_ms)
        return OK;
    enum status st = own_begin(s, &o, err);
    if (st == OK)
        st = look(&o);
    return own_end(&o, st, err);
}
