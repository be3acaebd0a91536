#include "proxy/commands/incident.h"

#include "proxy/base/codec.h"
#include "proxy/commands/session_view.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"

#include <stdlib.h>

enum status incident_begin(struct incident *i, struct err *err)
{
    i->lines = json_array();
    i->tools = json_object();
    i->actions = json_object();
    return i->lines && i->tools && i->actions ? OK : fail(err, NO_MEMORY, "report");
}

void incident_done(struct incident *i)
{
    json_decref(i->lines);
    json_decref(i->tools);
    json_decref(i->actions);
}

/* What a tool or a person sent is not always UTF-8. */
static json_t *text_of(struct slice s)
{
    char escaped[4096];
    json_t *v = json_stringn(s.ptr ? (const char *)s.ptr : "", s.len);
    return v != NULL ? v : json_string(term_escape(s, escaped, sizeof escaped));
}

static void count_one(json_t *names, const char *name)
{
    json_object_set_new(names, name, json_integer(json_number(names, name) + 1));
}

/* The line, with what every line of a session has; kept by the report. NULL: no memory. */
static json_t *add_line(struct incident *i, const char *kind, int64_t time_ms, const json_t *session)
{
    json_t *line = json_pack("{s:s, s:I, s:s, s:s, s:s, s:s}", "kind", kind, "time_ms", (json_int_t)time_ms, "session", json_text(session, "id"), "tool",
                             json_text(session, "tool"), "person", json_text(session, "person"), "identity", json_text(session, "identity"));
    return line != NULL && json_array_append_new(i->lines, line) == 0 ? line : NULL;
}

/* ---- what the log says ---- */

/* The leaf that holds a segment's digest; 0: it is not logged yet. */
static int64_t leaf_of_segment(const json_t *info, unsigned number)
{
    size_t k;
    json_t *leaf;
    json_array_foreach(json_array_member(info, "leaves"), k, leaf)
        if (json_text_is(leaf, "type", "segment") && json_number(json_object_get(leaf, "content"), "number") == (int64_t)number)
            return json_number(leaf, "seq");
    return 0;
}

/* Who said yes to a held request: names, and the leaf of the last yes. */
static json_t *who_said_yes(const json_t *info, const char *item)
{
    size_t k;
    json_t *leaf, *names = json_array();
    json_array_foreach(json_array_member(info, "leaves"), k, leaf) {
        const json_t *content = json_object_get(leaf, "content");
        if (json_text_is(leaf, "type", "approval") && json_text_is(content, "item", item))
            json_array_append_new(names, json_string(json_text(json_object_get(content, "statement"), "approver")));
    }
    return names;
}

static json_t *names_of(const json_t *approved_by)
{
    size_t k;
    json_t *one, *names = json_array();
    json_array_foreach(approved_by, k, one)
        json_array_append_new(names, json_string(json_text(one, "person")));
    return names;
}

/* Those who said yes; for a grant that nobody here approved, the issuer who vouched for it. */
static json_t *granted_by(const json_t *session)
{
    if (!json_text_is(session, "basis", "external"))
        return names_of(json_object_get(session, "approved_by"));
    return json_pack("[s+]", "issuer ", json_text(session, "issuer"));
}

static int64_t leaf_of_type(const json_t *info, const char *type, const json_t **content)
{
    size_t k;
    json_t *leaf;
    json_array_foreach(json_array_member(info, "leaves"), k, leaf)
        if (json_text_is(leaf, "type", type)) {
            *content = json_object_get(leaf, "content");
            return json_number(leaf, "seq");
        }
    return 0;
}

static enum status session_line(struct incident *i, const json_t *info, const json_t *session, bool opened, struct err *err)
{
    const json_t *content = NULL;
    json_t *line = add_line(i, "session", json_number(session, "started_ms"), session);
    int64_t leaf = leaf_of_type(info, "grant.issued", &content);
    if (line == NULL || json_object_set_new(line, "by", granted_by(session)) != 0
        || json_object_set_new(line, "text", json_string(json_text(session, "reason"))) != 0
        || json_object_set_new(line, "count", json_integer(json_number(session, "exchanges"))) != 0
        || json_object_set_new(line, "leaf", json_integer(leaf)) != 0 || json_object_set_new(line, "opened", json_boolean(opened)) != 0)
        return fail(err, NO_MEMORY, "report");
    return OK;
}

/* Ended by its own end is nothing to report. */
static enum status ended_line(struct incident *i, const json_t *info, const json_t *session, struct err *err)
{
    const json_t *content = NULL;
    int64_t leaf = leaf_of_type(info, "grant.ended", &content);
    const char *why = json_text(content, "why");
    if (leaf == 0 || strcmp(why, "expired") == 0)
        return OK;
    json_t *line = add_line(i, "ended", json_number(session, "ended_ms"), session);
    if (line == NULL || json_object_set_new(line, "text", json_string(why)) != 0 || json_object_set_new(line, "leaf", json_integer(leaf)) != 0)
        return fail(err, NO_MEMORY, "report");
    return OK;
}

/* ---- what the recording says ---- */

static const char *digest_of(const struct archive_exchange *x, char out[HEX_LEN(32) + 1])
{
    unsigned char raw[32];
    out[0] = 0;
    if (x->response_body.len != x->response_bytes)   /* more than is kept in memory: the record's own digest tells */
        return out;
    sha256_one(x->response_body, raw);
    hex_encode(slice_of(raw, sizeof raw), out);
    return out;
}

static enum status exchange_line(struct incident *i, const char *kind, const json_t *info, size_t number, const struct archive_exchange *x, json_t **out,
                                 struct err *err)
{
    struct slice method, target;
    char digest[HEX_LEN(32) + 1];
    head_request_line(x->request_head, &method, &target);
    json_t *line = add_line(i, kind, x->started_ms, json_object_get(info, "session"));
    json_t *more = json_pack("{s:o, s:o, s:o, s:i, s:I, s:I, s:s, s:I, s:o, s:i, s:I}", "action", text_of(x->action), "method", text_of(method), "target",
                             text_of(target), "status", (int)x->status, "request_bytes", (json_int_t)x->request_bytes, "response_bytes",
                             (json_int_t)x->response_bytes, "sha256", digest_of(x, digest), "exchange", (json_int_t)number, "record",
                             text_of(x->response_record.len > 0 ? x->response_record : x->request_record), "segment", (int)x->first_segment, "leaf",
                             (json_int_t)leaf_of_segment(info, x->first_segment));
    bool good = line != NULL && more != NULL && json_object_update(line, more) == 0;
    json_decref(more);
    *out = line;
    return good ? OK : fail(err, NO_MEMORY, "report");
}

/* The first of its action in this session has the line, the others are counted there. */
static enum status count_action(struct incident *i, json_t *seen, const json_t *info, size_t number, const struct archive_exchange *x, struct err *err)
{
    char name[256];
    snprintf(name, sizeof name, "%.*s", x->action.len > 0 ? (int)(x->action.len < 200 ? x->action.len : 200) : 1,
             x->action.len > 0 ? (const char *)x->action.ptr : "-");
    json_t *line = json_object_get(seen, name);
    if (line == NULL) {
        enum status st = exchange_line(i, "action", info, number, x, &line, err);
        if (st != OK || json_object_set(seen, name, line) != 0)
            return st != OK ? st : fail(err, NO_MEMORY, "report");
        json_object_del(line, "sha256");
        json_object_set_new(line, "response_bytes", json_integer(0));
        json_object_set_new(line, "request_bytes", json_integer(0));
    }
    count_one(line, "count");
    count_one(i->actions, name);
    json_object_set_new(line, "response_bytes", json_integer(json_number(line, "response_bytes") + (int64_t)x->response_bytes));
    json_object_set_new(line, "request_bytes", json_integer(json_number(line, "request_bytes") + (int64_t)x->request_bytes));
    json_object_set_new(line, "last_ms", json_integer(x->started_ms));
    return OK;
}

static enum status take_exchange(struct incident *i, json_t *seen, const json_t *info, size_t number, const struct archive_exchange *x, struct err *err)
{
    const char *held = json_text(x->notes, "signoff");
    bool refused = !x->from_tool && x->status >= 400, ran = held[0] != 0;
    json_t *line = NULL;
    i->exchanges++;
    i->bytes += x->response_bytes;
    enum status st = refused ? OK : count_action(i, seen, info, number, x, err);
    if (st == OK && (ran || refused))   /* one that ran and got no answer may have had its effect all the same */
        st = exchange_line(i, ran ? "export" : "refusal", info, number, x, &line, err);
    if (st == OK && ran) {
        json_object_set_new(line, "by", who_said_yes(info, held));
        json_object_set_new(line, "text", json_string(held));
    } else if (st == OK && refused) {
        json_object_set_new(line, "text", text_of(x->why));
    }
    i->exports += ran;
    i->refusals += refused;
    if (st == OK && i->all_exchanges)
        st = exchange_line(i, "exchange", info, number, x, &line, err);
    return st;
}

enum status incident_session(struct incident *i, const json_t *info, const struct archive *a, struct err *err)
{
    const json_t *session = json_object_get(info, "session");
    json_t *seen = json_object();
    i->sessions++;
    i->sealed += a == NULL;
    count_one(i->tools, json_text(session, "tool"));
    enum status st = seen != NULL ? session_line(i, info, session, a != NULL, err) : fail(err, NO_MEMORY, "report");
    for (size_t k = 0; a != NULL && st == OK && k < archive_count(a); k++) {
        const struct archive_exchange *x = archive_at(a, k);
        if (x->started_ms >= i->from_ms && x->started_ms < i->to_ms)
            st = take_exchange(i, seen, info, k + 1, x, err);
    }
    if (st == OK)
        st = ended_line(i, info, session, err);
    json_decref(seen);
    return st;
}

/* ---- locks ---- */

static bool concerns(const struct incident *i, const json_t *lock)
{
    const char *value = json_text(lock, "value");
    size_t k;
    json_t *line;
    if (strcmp(value, i->who) == 0)
        return true;
    json_array_foreach(i->lines, k, line)
        if (json_text_is(line, "session", value) || (json_text_is(lock, "kind", "person") && json_text_is(line, "person", value)))
            return true;
    return false;
}

enum status incident_locks(struct incident *i, const json_t *locks, struct err *err)
{
    size_t k;
    json_t *lock;
    json_array_foreach(locks, k, lock) {
        if (!concerns(i, lock))
            continue;
        json_t *line = json_pack("{s:s, s:I, s:s, s:s, s:s, s:[s], s:s}", "kind", "lock", "time_ms", (json_int_t)(json_number(lock, "at") * 1000), "text",
                                 json_text(lock, "reason"), "action", json_text(lock, "kind"), "target", json_text(lock, "value"), "by",
                                 json_text(lock, "by"), "person", json_text_is(lock, "kind", "person") ? json_text(lock, "value") : "");
        if (line == NULL || json_array_append_new(i->lines, line) != 0)
            return fail(err, NO_MEMORY, "report");
    }
    return OK;
}

/* ---- the order ---- */

struct placed {
    json_t *line;
    int64_t time_ms;
    size_t at;
};

static int by_time(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

void incident_sort(struct incident *i)
{
    size_t n = json_array_size(i->lines), k;
    struct placed *v = calloc(n ? n : 1, sizeof *v);
    json_t *line, *sorted = json_array();
    if (v == NULL || sorted == NULL) {   /* the lines stay in the order of sessions */
        free(v);
        json_decref(sorted);
        return;
    }
    json_array_foreach(i->lines, k, line)
        v[k] = (struct placed){ line, json_number(line, "time_ms"), k };
    qsort(v, n, sizeof *v, by_time);
    for (k = 0; k < n; k++)
        json_array_append(sorted, v[k].line);
    free(v);
    json_decref(i->lines);
    i->lines = sorted;
}
