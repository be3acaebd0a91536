/* Sessions, their segments and the log: what the recorder reports and what auditors read. */
#include "authz/erased.h"
#include "authz/approvals/internal.h"
#include "authz/approvals/leaf_row.h"

#include "authz/budget.h"
#include "authz/touched.h"

#include <openssl/crypto.h>

enum { LEAVES_MAX = 1000 };

/* ---- segments ---- */

static enum status make_session(struct op *o, const char *session)
{
    json_t *grant = NULL, *request = NULL, *found = NULL;
    const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), session);
    enum status st = store_row(o->s->store, &grant, &o->err, "SELECT * FROM access_grant WHERE grant_id = $1", "s", session);
    if (st == OK)
        st = store_row(o->s->store, &request, &o->err, SESSION_REASON, "s", session);
    if (st == OK && e != NULL)
        st = log_leaf(o->s->log, e->born, &found, &o->err);
    char *approved_by = found ? json_dumps(json_object_get(json_object_get(found, "content"), "approved_by"), JSON_COMPACT) : NULL;
    if (st == OK)
        st = store_run(o->s->store, &o->err,
                       "INSERT INTO session (session, person, identity, tool, reason, approved_by, started_ms, last_ms, exchanges, bytes, segments)"
                       " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, 0)", "ssssssii", session, str(grant, "person"), str(grant, "identity"),
                       str(grant, "tool"), str(request, "reason"), approved_by ? approved_by : "[]", num(o->m, "from_ms"), num(o->m, "to_ms"));
    free(approved_by);
    json_decref(grant);
    json_decref(request);
    json_decref(found);
    return st;
}

/* So that the session is found by it. One statement for a hash: a segment has few, and at most TOUCHED_MAX. */
static enum status keep_touched(struct op *o, const char *session)
{
    const json_t *list = json_object_get(o->m, "touched");
    enum status st = OK;
    for (size_t i = 0; i < json_array_size(list) && st == OK; i++)
        st = store_run(o->s->store, &o->err,
                       "INSERT INTO touched (hash, session, first_ms, last_ms, segments) VALUES ($1, $2, $3, $4, 1) ON CONFLICT (hash, session) DO UPDATE"
                       " SET last_ms = $4, segments = touched.segments + 1", "ssii", json_string_value(json_array_get(list, i)), session, num(o->m, "from_ms"),
                       num(o->m, "to_ms"));
    return st;
}

static enum status keep_segment(struct op *o, const char *session)
{
    const json_t *m = o->m;
    uint64_t seq = 0;
    json_t *touched = json_object_get(m, "touched");
    enum status st = write_leaf(o, "segment",
                          json_pack("{s:s, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:O*}", "session", session, "number", (json_int_t)num(m, "number"),
                                    "digest", str(m, "digest"), "from_ms", (json_int_t)num(m, "from_ms"), "to_ms",
                                    (json_int_t)num(m, "to_ms"), "exchanges", (json_int_t)num(m, "exchanges"), "bytes",
                                    (json_int_t)num(m, "bytes"), "ring", (json_int_t)num(m, "ring"), "position",
                                    (json_int_t)num(m, "position"), "touched", touched), &seq);
    if (st == OK)
        st = keep_touched(o, session);
    if (st == OK)
        st = store_run(o->s->store, &o->err,
                       "INSERT INTO segment (session, number, digest, from_ms, to_ms, exchanges, bytes, seq)"
                       " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)", "sisiiiii", session, num(m, "number"), str(m, "digest"), num(m, "from_ms"),
                       num(m, "to_ms"), num(m, "exchanges"), num(m, "bytes"), (int64_t)seq);
    if (st == OK)
        st = store_run(o->s->store, &o->err,
                       "UPDATE session SET exchanges = exchanges + $1, bytes = bytes + $2, segments = segments + 1,"
                       " last_ms = CASE WHEN last_ms > $3 THEN last_ms ELSE $3 END WHERE session = $4", "iiis", num(m, "exchanges"),
                       num(m, "bytes"), num(m, "to_ms"), session);
    return st;
}

enum status op_segment(struct op *o)
{
    const char *session = str(o->m, "session");
    const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), session);
    json_t *row = NULL;
    if (e == NULL || e->kind != LEDGER_GRANT)
        return refuse_op(o, SESSION_UNKNOWN, "The log knows no grant '%s'", session);
    enum status st = store_row(o->s->store, &row, &o->err, "SELECT digest FROM segment WHERE session = $1 AND number = $2", "si", session,
                               num(o->m, "number"));
    if (st == OK) {                   /* the recorder asks again when an answer was lost: the same segment is fine */
        bool same = strcmp(str(row, "digest"), str(o->m, "digest")) == 0;
        json_decref(row);
        return same ? OK : refuse_op(o, SEGMENT_CONFLICT, "Segment %lld of '%s' is logged with another digest",
                                  (long long)num(o->m, "number"), session);
    }
    if (st == NOT_FOUND)
        st = store_row(o->s->store, &row, &o->err, "SELECT segments FROM session WHERE session = $1", "s", session);
    if (st == NOT_FOUND)
        st = make_session(o, session);
    if (st == OK && num(row, "segments") + 1 != num(o->m, "number"))   /* kept all the same: the log then shows the gap */
        log_warn("segment.gap", "session", session);
    json_decref(row);
    return st == OK ? keep_segment(o, session) : st;
}

/* ---- reading ---- */

static enum status auditors_only(struct op *o)
{
    return is_auditor(o) ? OK : refuse_op(o, AUDITORS_ONLY, "%s is in no auditors' group", o->who.person->name);
}

/* Seconds, as asked, in milliseconds; what would not fit is far enough. */
static int64_t asked_ms(const struct op *o, const char *name, int64_t usual)
{
    const json_t *v = json_object_get(o->m, name);
    int64_t s = v ? json_integer_value(v) : 0;
    return v == NULL ? usual : s < (int64_t)1 << 40 ? s * 1000 : INT64_MAX;
}

/* What to look for; "": nothing is asked for. REFUSED: no session can be found by that. */
static enum status asked_hash(struct op *o, char hash[TOUCHED_LEN + 1])
{
    unsigned char key[32];
    char name[BUDGET_NAMED_MAX];
    const char *typed = str(o->m, "customer");
    hash[0] = 0;
    if (typed[0] == 0)
        return OK;
    if (!budget_name_typed(typed, name))
        return refuse_op(o, BAD_REQUEST, "'customer' is an id, or NAME=ID for what the policy counts under another name");
    enum status st = touched_key(o->s->config, key, &o->err);
    if (st == OK)
        touched_hash(key, slice_str(name), hash);
    OPENSSL_cleanse(key, sizeof key);
    return st == NOT_FOUND ? refuse_op(o, BAD_REQUEST, "This gateway has no keys/fingerprint.key, so sessions can't be found by customer") : st;
}

/* Whoever looks for what was is told that some of it is no more. */
static void say_erased(struct op *o, int64_t since_ms)
{
    const struct erased *e = log_all_erased(o->s->log);
    if (e->stories > 0 && since_ms <= e->last_ms)
        json_object_set_new(o->answer, "erased", json_pack("{s:I, s:I}", "stories", (json_int_t)e->stories, "last_ms", (json_int_t)e->last_ms));
}

enum status op_sessions(struct op *o)
{
    char hash[TOUCHED_LEN + 1];
    json_t *rows = NULL, *list = json_array(), *row;
    size_t i, bytes = 0;
    int64_t until = asked_ms(o, "until", INT64_MAX), from = num(o->m, "from");
    enum status st = auditors_only(o);
    if (st == OK)
        st = asked_hash(o, hash);
    if (st == OK)
        st = store_rows(o->s->store, &rows, &o->err,
                        "SELECT session.*, access_grant.ended_ms, access_grant.basis, access_grant.item FROM session LEFT JOIN access_grant ON access_grant.grant_id = session.session"
                        " WHERE ($1 = '' OR session.person = $1) AND ($2 = '' OR session.tool = $2) AND session.last_ms >= $3"
                        " AND session.started_ms <= $4 AND ($5 = '' OR session.identity = $5) AND ($6 = '' OR session.session = $6)"
                        " AND ($7 = '' OR ($7 = 'live') = (COALESCE(access_grant.state, '') = 'live'))"
                        " AND ($8 = '' OR EXISTS (SELECT 1 FROM held WHERE held.session = session.session AND held.action = $8))"
                        " AND ($9 = '' OR access_grant.basis = $9)"
                        " AND ($10 = '' OR EXISTS (SELECT 1 FROM touched WHERE touched.hash = $10 AND touched.session = session.session))"
                        " ORDER BY started_ms DESC, session.session LIMIT 200 OFFSET $11", "ssiissssssi", str(o->m, "person"), str(o->m, "tool"),
                        asked_ms(o, "since", 0), until, str(o->m, "identity"), str(o->m, "grant"), str(o->m, "state"),
                        str(o->m, "action"), str(o->m, "basis"), hash, from);
    json_array_foreach(rows, i, row)
        if (!page_add(list, &bytes, view_session(o, row)))
            break;
    if (st == OK && json_array_size(list) > 0 && (json_array_size(list) < json_array_size(rows) || json_array_size(rows) == 200)) {
        json_object_set_new(o->answer, "more", json_true());
        json_object_set_new(o->answer, "next", json_integer(from + (int64_t)json_array_size(list)));
    }
    if (st == OK)
        json_object_set(o->answer, "sessions", list);
    if (st == OK)
        say_erased(o, asked_ms(o, "since", 0));
    json_decref(list);
    json_decref(rows);
    return st;
}

json_t *leaf_view(const json_t *row, bool with_content)
{
    json_t *v = json_pack("{s:I, s:s, s:I, s:s}", "seq", (json_int_t)num(row, "seq"), "type", str(row, "type"), "time_ms",
                          (json_int_t)num(row, "time_ms"), "digest", str(row, "digest"));
    struct leaf_row stored = leaf_row_of(row);
    uint64_t by = leaf_row_erased(&stored);
    if (v != NULL && by > 0) {
        json_object_set_new(v, "erased", json_integer((json_int_t)by));
    } else if (v != NULL && with_content) {
        json_object_set_new(v, "salt", json_string(str(row, "salt")));
        json_object_set_new(v, "content", json_loads(str(row, "content"), JSON_REJECT_DUPLICATES, NULL));
    }
    return v;
}

/* Asked of the content, which the digest proves, not of the column beside it. Key registrations
 * go with every session: they say whose signatures the approvals bear. */
bool leaf_is_about(const json_t *row, const char *session)
{
    if (strncmp(str(row, "type"), "key.", 4) == 0 || strncmp(str(row, "type"), "auditor-key.", 12) == 0 || strncmp(str(row, "type"), "delegate.", 9) == 0 || strcmp(str(row, "type"), ERASING_LEAF) == 0 || strcmp(str(row, "type"), "instance.created") == 0)
        return true;
    if (strstr(str(row, "content"), session) == NULL && strstr(str(row, "content"), "\"item\":\"key_") == NULL)
        return false;
    json_t *content = json_loads(str(row, "content"), 0, NULL);
    bool yes = strcmp(str(content, "session"), session) == 0;
    yes = yes || (json_object_get(content, "statement") != NULL && strncmp(str(content, "item"), "key_", 4) == 0);   /* who confirmed a key */
    json_decref(content);
    return yes;
}

/* Fill `name` with as many rows as fit; `next_name` says where to go on. */
static void add_page(struct op *o, const json_t *rows, const char *name, const char *next_name, size_t max, const char *session)
{
    json_t *list = json_array(), *row;
    size_t i, bytes = 0;
    json_array_foreach(rows, i, row)
        if (i >= max || !page_add(list, &bytes, leaf_view(row, strcmp(str(row, "type"), ERASING_LEAF) == 0 || (session[0] != 0 && leaf_is_about(row, session))))) {
            json_object_set_new(o->answer, next_name, json_integer(num(row, "seq")));
            break;
        }
    json_object_set_new(o->answer, name, list);
}

enum status op_log_read(struct op *o)
{
    json_t *rows = NULL, *head = NULL;
    int64_t asked = num(o->m, "limit"), limit = asked > 0 && asked < LEAVES_MAX ? asked : LEAVES_MAX;
    enum status st = auditors_only(o);
    if (st == OK)
        st = store_rows(o->s->store, &rows, &o->err, "SELECT * FROM leaf WHERE seq >= $1 ORDER BY seq LIMIT $2", "ii", num(o->m, "from"),
                        limit + 1);
    if (st == OK)
        st = store_row(o->s->store, &head, &o->err, "SELECT note FROM head WHERE id = 1", "");
    if (st == OK) {
        add_page(o, rows, "leaves", "next", (size_t)limit, str(o->m, "session"));
        json_object_set_new(o->answer, "head", json_string(str(head, "note")));
    }
    json_decref(rows);
    json_decref(head);
    return st;
}

/* Segments are leaves too, so one cursor (`from`, a seq) pages both. */
static enum status add_session_leaves(struct op *o, const char *session)
{
    json_t *rows = NULL, *segments = NULL, *list = json_array(), *row;
    size_t i, bytes = PAGE_BYTES / 2;
    int64_t until = INT64_MAX;
    enum status st = store_rows(o->s->store, &rows, &o->err, "SELECT * FROM leaf WHERE session = $1 AND seq >= $2 ORDER BY seq LIMIT 200", "si",
                                session, num(o->m, "from"));
    if (st == OK && json_array_size(rows) == 200)
        until = num(json_array_get(rows, 199), "seq");
    json_array_foreach(rows, i, row)
        if (num(row, "seq") >= until || !page_add(list, &bytes, leaf_view(row, true))) {
            until = num(row, "seq");
            json_object_set_new(o->answer, "next", json_integer(until));
            break;
        }
    json_object_set(o->answer, "leaves", list);
    json_decref(list);
    if (st == OK)
        st = store_rows(o->s->store, &segments, &o->err,
                        "SELECT number, digest, from_ms, to_ms, exchanges, bytes, seq FROM segment WHERE session = $1 AND seq >= $2 AND seq < $3"
                        " ORDER BY number", "sii", session, num(o->m, "from"), until);
    if (st == OK)
        json_object_set(o->answer, "segments", segments);
    json_decref(segments);
    json_decref(rows);
    return st;
}

enum status op_session_get(struct op *o)
{
    const char *id = str(o->m, "id"), *purpose = str(o->m, "purpose");
    json_t *row = NULL;
    enum status st = auditors_only(o);
    if (st != OK)
        return st;
    static const char *const purposes[] = { "show", "replay", "verify", "export", "incident" };
    bool known = false;
    for (size_t i = 0; i < sizeof purposes / sizeof *purposes; i++)
        known = known || strcmp(purpose, purposes[i]) == 0;
    if (!known)
        return refuse_op(o, BAD_REQUEST, "'purpose' is show, replay, verify, export or incident");
    st = store_row(o->s->store, &row, &o->err,
                   "SELECT session.*, access_grant.ended_ms, access_grant.basis, access_grant.item FROM session LEFT JOIN access_grant ON access_grant.grant_id = session.session"
                   " WHERE session.session = $1", "s", id);
    if (st == NOT_FOUND)
        return refuse_gone(o, id, SESSION_UNKNOWN, "No session has this id");
    if (st == OK && num(o->m, "from") == 0)   /* who looked is part of the record; once a reading, not once a page */
        st = write_leaf(o, "session.read", json_pack("{s:s, s:s, s:s}", "session", id, "by", o->who.person->name, "purpose", purpose), NULL);
    if (st == OK && json_object_set_new(o->answer, "session", view_session(o, row)) != 0)
        st = fail(&o->err, NO_MEMORY, "answer");
    if (st == OK)
        st = add_session_leaves(o, id);
    json_decref(row);
    return st;
}
