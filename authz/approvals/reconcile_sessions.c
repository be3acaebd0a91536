/* reconcile_sessions: the rows of sessions, and of what they touched, against the leaves of their segments. They are sums over leaves, so they are compared a session at a time, and of a long one a part at a time. */
#include "authz/approvals/internal.h"

void session_sums_done(struct session_sums *c)
{
    json_decref(c->touched);
    *c = (struct session_sums){ 0 };
}

static bool is_num(const json_t *row, const char *name, int64_t want)
{
    const json_t *v = json_object_get(row, name);
    return json_is_integer(v) && json_integer_value(v) == want;
}

const char *const segment_facts[SEGMENT_FACTS] = { "session", "number", "digest", "from_ms", "to_ms", "exchanges", "bytes" };

enum status check_segment(const json_t *row, const json_t *content, struct err *err)
{
    for (size_t i = 0; i < SEGMENT_FACTS; i++)
        if (!json_equal(json_object_get(row, segment_facts[i]), json_object_get(content, segment_facts[i])))
            return fail(err, CORRUPT, "table segment: segment %lld of '%s' differs from its leaf (%s)", (long long)num(row, "number"), str(row, "session"), segment_facts[i]);
    return OK;
}

/* ---- what the leaves of its segments come to ---- */

static enum status touch(struct session_sums *c, const json_t *content, struct err *err)
{
    const json_t *list = json_object_get(content, "touched");
    enum status st = OK;
    for (size_t i = 0; i < json_array_size(list) && st == OK; i++) {
        const char *hash = json_string_value(json_array_get(list, i));
        json_t *seen = hash ? json_object_get(c->touched, hash) : NULL;
        if (hash == NULL)
            st = fail(err, CORRUPT, "a leaf of session '%s' names what it touched in another way", c->session);
        else if (seen == NULL)
            st = json_object_set_new(c->touched, hash, json_pack("[I, I, i]", (json_int_t)num(content, "from_ms"), (json_int_t)num(content, "to_ms"), 1)) == 0 ? OK : fail(err, NO_MEMORY, "sums");
        else if (json_array_set_new(seen, 1, json_integer(num(content, "to_ms"))) != 0 || json_array_set_new(seen, 2, json_integer(json_integer_value(json_array_get(seen, 2)) + 1)) != 0)
            st = fail(err, NO_MEMORY, "sums");
    }
    return st;
}

static enum status add_segment(void *arg, json_t *row, struct err *err)
{
    struct session_sums *c = arg;
    json_t *content = json_loads(str(row, "leaf_content"), JSON_REJECT_DUPLICATES, NULL);
    enum status st = check_segment(row, content, err);
    if (st == OK)
        st = touch(c, content, err);
    if (c->segments == 0) {
        c->first_seq = num(row, "seq");
        c->started_ms = num(content, "from_ms");
    }
    c->last_ms = c->segments == 0 || num(content, "to_ms") > c->last_ms ? num(content, "to_ms") : c->last_ms;
    c->exchanges += num(content, "exchanges");
    c->bytes += num(content, "bytes");
    c->segments++;
    c->at = num(row, "seq");
    json_decref(content);
    return st;
}

/* At most so many more of its segments. */
static enum status add_some(struct service *s, struct session_sums *c, int64_t limit, struct err *err)
{
    if (c->touched == NULL && (c->touched = json_object()) == NULL)
        return fail(err, NO_MEMORY, "sums");
    return store_each(s->store, add_segment, c, err,
                      "SELECT segment.*, leaf.content AS leaf_content FROM segment LEFT JOIN leaf ON leaf.seq = segment.seq"
                      " WHERE segment.session = $1 AND segment.seq > $2 ORDER BY segment.seq LIMIT $3", "sii", c->session, c->at, limit);
}

/* ---- the row ---- */

static enum status differs(const struct session_sums *c, const char *what, struct err *err)
{
    return fail(err, CORRUPT, "table session: %s of '%s' is not what its leaves say", what, c->session);
}

/* Whose it is, as its grant said when the first segment came. */
static enum status check_facts(struct service *s, const struct session_sums *c, const json_t *row, struct err *err)
{
    static const char *const names[] = { "person", "identity", "tool" };
    json_t *leaf = NULL, *asked = NULL;
    enum status st = store_row(s->store, &leaf, err,
                               "SELECT content FROM leaf WHERE session = $1 AND seq < $2 AND type IN ('grant.issued', 'grant.extended', 'grant.started', 'grant.carried') ORDER BY seq DESC LIMIT 1",
                               "si", c->session, c->first_seq);
    json_t *content = st == OK ? json_loads(str(leaf, "content"), JSON_REJECT_DUPLICATES, NULL) : NULL;
    char *approved_by = content ? json_dumps(json_object_get(content, "approved_by"), JSON_COMPACT) : NULL;
    if (st == NOT_FOUND || (st == OK && strcmp(str(content, "grant_id"), c->session) != 0))
        st = fail(err, CORRUPT, "table session: '%s' has segments, but no grant before them", c->session);
    for (size_t i = 0; i < sizeof names / sizeof *names && st == OK; i++)
        if (!json_equal(json_object_get(row, names[i]), json_object_get(content, names[i])))
            st = differs(c, names[i], err);
    if (st == OK && strcmp(str(row, "approved_by"), approved_by ? approved_by : "[]") != 0)
        st = differs(c, "approved_by", err);
    if (st == OK)
        st = store_row(s->store, &asked, err, SESSION_REASON, "s", c->session);
    if (st == NOT_FOUND || (st == OK && strcmp(str(row, "reason"), str(asked, "reason")) != 0))   /* the request's own row was compared with its leaf */
        st = differs(c, "reason", err);
    free(approved_by);
    json_decref(content);
    json_decref(asked);
    json_decref(leaf);
    return st;
}

static enum status check_erased(struct service *s, const struct session_sums *c, const json_t *row, struct err *err)
{
    json_t *leaf = NULL;
    enum status st = store_row(s->store, &leaf, err, "SELECT seq FROM leaf WHERE session = $1 AND type = 'session.erased' ORDER BY seq LIMIT 1", "s", c->session);
    if (st != OK && st != NOT_FOUND)
        return st;
    bool same = is_num(row, "erased", st == OK ? num(leaf, "seq") : 0);
    json_decref(leaf);
    return !same                                              ? differs(c, "erased", err)
           : !is_num(row, "gone", 0) && !is_num(row, "gone", 1) ? differs(c, "gone", err)
           : num(row, "gone") == 1 && num(row, "erased") == 0 ? differs(c, "gone", err)
                                                              : OK;
}

struct touched_check {
    const struct session_sums *sums;
    size_t seen;
};

static enum status check_touched(void *arg, json_t *row, struct err *err)
{
    struct touched_check *t = arg;
    const json_t *want = json_object_get(t->sums->touched, str(row, "hash"));
    t->seen++;
    if (want == NULL || !is_num(row, "first_ms", json_integer_value(json_array_get(want, 0))) || !is_num(row, "last_ms", json_integer_value(json_array_get(want, 1)))
        || !is_num(row, "segments", json_integer_value(json_array_get(want, 2))))
        return fail(err, CORRUPT, "table touched: a row of session '%s' is not what its leaves say", t->sums->session);
    return OK;
}

/* What a deleted recording was about is forgotten with it. */
static enum status check_all_touched(struct service *s, const struct session_sums *c, bool gone, struct err *err)
{
    struct touched_check t = { c, 0 };
    enum status st = store_each(s->store, check_touched, &t, err, "SELECT * FROM touched WHERE session = $1", "s", c->session);
    if (st == OK && t.seen != (gone ? 0 : json_object_size(c->touched)))
        st = fail(err, CORRUPT, "table touched has %zu rows of session '%s', its leaves name %zu", t.seen, c->session, json_object_size(c->touched));
    return st;
}

static enum status check_row(struct service *s, const struct session_sums *c, struct err *err)
{
    json_t *row = NULL;
    enum status st = store_row(s->store, &row, err, "SELECT * FROM session WHERE session = $1", "s", c->session);
    if (st == NOT_FOUND)
        return fail(err, CORRUPT, "table session: the log has segments of '%s', the table does not know it", c->session);
    if (st == OK && c->segments == 0)
        st = fail(err, CORRUPT, "table session holds '%s', of which the log has no segment", c->session);
    const struct { const char *name; int64_t want; } sums[] = { { "started_ms", c->started_ms }, { "last_ms", c->last_ms }, { "exchanges", c->exchanges }, { "bytes", c->bytes }, { "segments", c->segments } };
    for (size_t i = 0; i < sizeof sums / sizeof *sums && st == OK; i++)
        if (!is_num(row, sums[i].name, sums[i].want))
            st = differs(c, sums[i].name, err);
    if (st == OK)
        st = check_facts(s, c, row, err);
    if (st == OK)
        st = check_erased(s, c, row, err);
    if (st == OK)
        st = check_all_touched(s, c, num(row, "gone") == 1, err);
    json_decref(row);
    return st;
}

/* ---- which sessions ---- */

static enum status begin(struct session_sums *c, const json_t *row, struct err *err)
{
    session_sums_done(c);
    if (strlen(str(row, "session")) != ID_LEN)
        return fail(err, CORRUPT, "table session holds '%.40s', which is no session's id", str(row, "session"));
    memcpy(c->session, str(row, "session"), ID_LEN + 1);
    return OK;
}

struct whole {
    struct service *s;
    struct session_sums sums;
};

static enum status check_whole(void *arg, json_t *row, struct err *err)
{
    struct whole *w = arg;
    enum status st = begin(&w->sums, row, err);
    if (st == OK)
        st = add_some(w->s, &w->sums, INT64_MAX, err);
    return st == OK ? check_row(w->s, &w->sums, err) : st;
}

/* What stands under a session that there is not. */
static enum status no_strays(struct service *s, struct err *err)
{
    json_t *row = NULL;
    enum status st = store_row(s->store, &row, err, "SELECT touched.session FROM touched LEFT JOIN session ON session.session = touched.session WHERE session.session IS NULL LIMIT 1", "");
    if (st == OK)
        st = fail(err, CORRUPT, "table touched has rows of a session '%.40s' that there is not", str(row, "session"));
    json_decref(row);
    return st == NOT_FOUND ? OK : st;
}

enum status reconcile_sessions(struct service *s, uint64_t from, struct err *err)
{
    struct whole w = { .s = s };
    enum status st = from == 0 ? sessions_glance(s, check_whole, &w, err)
                               : store_each(s->store, check_whole, &w, err, "SELECT DISTINCT session FROM segment WHERE seq >= $1", "i", (int64_t)from);
    if (st == OK && from == 0)
        st = no_strays(s, err);
    session_sums_done(&w.sums);
    return st;
}

static enum status one(struct service *s, const char *sql, int64_t from, int64_t to, int64_t *out, struct err *err)
{
    json_t *row = NULL;
    enum status st = strcmp(sql, "leaf") == 0 ? store_row(s->store, &row, err, "SELECT count(*) AS n FROM leaf WHERE type = 'segment' AND content <> '' AND seq >= $1 AND seq <= $2", "ii", from, to)   /* those erased made none that is left */
                                              : store_row(s->store, &row, err, "SELECT count(*) AS n FROM segment WHERE seq >= $1 AND seq <= $2", "ii", from, to);
    *out = num(row, "n");
    json_decref(row);
    return st;
}

enum status segments_there(struct service *s, int64_t from, int64_t to, struct err *err)
{
    int64_t leaves = 0, rows = 0;
    json_t *row = NULL;
    enum status st = one(s, "leaf", from, to, &leaves, err);
    if (st == OK)
        st = one(s, "segment", from, to, &rows, err);
    if (st == OK && leaves != rows)
        return fail(err, CORRUPT, "table segment has %lld rows of leaves %lld to %lld, the log has %lld", (long long)rows, (long long)from, (long long)to, (long long)leaves);
    if (st == OK)
        st = store_row(s->store, &row, err, "SELECT segment.session FROM segment LEFT JOIN session ON session.session = segment.session WHERE segment.seq >= $1 AND segment.seq <= $2 AND session.session IS NULL LIMIT 1",
                       "ii", from, to);
    if (st == OK)
        st = fail(err, CORRUPT, "table session: the log has segments of '%.40s', the table does not know it", str(row, "session"));
    json_decref(row);
    return st == NOT_FOUND ? OK : st;
}

enum status sessions_step(struct service *s, struct session_sums *c, bool *done, struct err *err)
{
    enum { STEP = 256 };
    json_t *row = NULL;
    int64_t before = c->segments;
    enum status st = OK;
    if (!c->open) {
        st = store_row(s->store, &row, err, "SELECT session FROM session WHERE session > $1 ORDER BY session LIMIT 1", "s", c->session);
        *done = st == NOT_FOUND;
        if (st == OK)
            st = begin(c, row, err);
        json_decref(row);
        before = 0;
    }
    if (st == OK)
        st = add_some(s, c, STEP, err);
    c->open = st == OK && c->segments - before == STEP;       /* there may be more of it */
    if (st == OK && !c->open)
        st = check_row(s, c, err);                            /* its name stays: the next one comes after it */
    return *done ? OK : st;
}
