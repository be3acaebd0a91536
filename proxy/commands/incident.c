#include "proxy/commands/incident.h"

#include "authz/budget.h"
#include "proxy/base/codec.h"
#include "proxy/commands/item.h"
#include "proxy/commands/session_view.h"
#include "proxy/commands/tally.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"

#include <stdlib.h>

enum status incident_begin(struct incident *i, struct err *err)
{
    i->lines = json_array();
    i->tools = json_object();
    i->actions = json_object();
    i->touched = json_object();
    i->secrets = json_object();
    i->known = json_object();
    return i->known && i->lines && i->tools && i->actions && i->touched && i->secrets ? OK : fail(err, NO_MEMORY, "report");
}

void incident_done(struct incident *i)
{
    json_decref(i->lines);
    json_decref(i->tools);
    json_decref(i->actions);
    json_decref(i->touched);
    json_decref(i->secrets);
    json_decref(i->known);
    json_decref(i->nodes);
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

/* What every line of a session has, and every line about an exchange: how to find and prove it. For json_pack. */
#define LINE_HEAD "{s:s, s:I, s:s, s:s, s:s, s:s, "
#define LINE_HEAD_OF(kind, time_ms, session) "kind", (kind), "time_ms", (json_int_t)(time_ms), "session", json_text(session, "id"), "tool", json_text(session, "tool"), "person", \
    json_text(session, "person"), "identity", json_text(session, "identity")
#define LINE_PROOF "s:I, s:o, s:i, s:I, s:s*}"
#define LINE_PROOF_OF(w, number, x) "exchange", (json_int_t)(number), "record", text_of((x)->response_record.len > 0 ? (x)->response_record : (x)->request_record), "segment", \
    (int)(x)->first_segment, "leaf", (x)->node ? (json_int_t)(x)->leaf : (json_int_t)leaf_of_segment(&(w)->seqs, (x)->first_segment), "node", (x)->node

/* The line; kept by the report. NULL: no memory. */
static json_t *add_line(struct incident *i, const char *kind, int64_t time_ms, const json_t *session)
{
    json_t *line = json_pack(LINE_HEAD "}", LINE_HEAD_OF(kind, time_ms, session));
    return line != NULL && json_array_append_new(i->lines, line) == 0 ? line : NULL;
}

/* ---- what the log says ---- */

/* The leaves that hold segments' digests, by their numbers; 0: not logged yet. */
struct seqs {
    int64_t *v;
    size_t count;
};

static enum status seqs_make(const json_t *info, struct seqs *s)
{
    enum { NUMBER_MAX = 1000000 };
    size_t k;
    json_t *leaf;
    int64_t most = 0;
    json_array_foreach(json_array_member(info, "leaves"), k, leaf)
        if (json_text_is(leaf, "type", "segment") && json_number(json_object_get(leaf, "content"), "number") > most)
            most = json_number(json_object_get(leaf, "content"), "number");
    most = most < NUMBER_MAX ? most : NUMBER_MAX;
    *s = (struct seqs){ calloc((size_t)most + 1, sizeof *s->v), (size_t)most + 1 };
    if (s->v == NULL)
        return NO_MEMORY;
    json_array_foreach(json_array_member(info, "leaves"), k, leaf) {
        int64_t number = json_text_is(leaf, "type", "segment") ? json_number(json_object_get(leaf, "content"), "number") : 0;
        if (number > 0 && number <= most)
            s->v[number] = json_number(leaf, "seq");
    }
    return OK;
}

static int64_t leaf_of_segment(const struct seqs *s, unsigned number)
{
    return number < s->count ? s->v[number] : 0;
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

/* The first of its kind; NULL: none. */
static const json_t *leaf_of_type(const json_t *info, const char *type)
{
    size_t k;
    json_t *leaf;
    json_array_foreach(json_array_member(info, "leaves"), k, leaf)
        if (json_text_is(leaf, "type", type))
            return leaf;
    return NULL;
}

/* The proof of a line about a decision: the leaf, and whose log it is in where there are several. */
static int set_leaf(json_t *line, const json_t *leaf)
{
    int bad = json_object_set_new(line, "leaf", json_integer(json_number(leaf, "seq")));
    return json_text(leaf, "node")[0] != 0 ? bad | json_object_set(line, "node", json_object_get(leaf, "node")) : bad;
}

static enum status session_line(struct incident *i, const json_t *info, const json_t *session, bool opened, struct err *err)
{
    json_t *line = add_line(i, "session", json_number(session, "started_ms"), session);
    const char *basis = basis_words(json_text(session, "basis")), *reason = json_text(session, "reason");
    if (line == NULL || json_object_set_new(line, "basis", json_string(json_text(session, "basis"))) != 0 || json_object_set_new(line, "by", granted_by(session)) != 0
        || json_object_set_new(line, "text", basis[0] != 0 ? json_sprintf("%s: %s", basis, reason) : json_string(reason)) != 0
        || json_object_set_new(line, "count", json_integer(json_number(session, "exchanges"))) != 0
        || set_leaf(line, leaf_of_type(info, "grant.issued")) != 0 || json_object_set_new(line, "opened", json_boolean(opened)) != 0)
        return fail(err, NO_MEMORY, "report");
    return OK;
}

/* What somebody else found about a use of break-glass. */
static enum status review_line(struct incident *i, const json_t *info, const json_t *session, struct err *err)
{
    const json_t *leaf = leaf_of_type(info, "review.done"), *used = leaf_of_type(info, "break-glass.used"), *content = json_object_get(leaf, "content");
    if (used == NULL)
        return OK;
    const json_t *review = json_object_get(json_object_get(session, "review"), "review");
    json_t *line = add_line(i, "review", leaf ? json_number(review, "at") * 1000 : json_number(session, "started_ms"), session);
    json_t *text = leaf ? json_sprintf("%s: %s", json_text(content, "outcome"), json_text(content, "words")) : json_string("owed, and not done yet");
    if (line == NULL || json_object_set_new(line, "text", text) != 0 || set_leaf(line, leaf ? leaf : used) != 0
        || json_object_set_new(line, "by", leaf ? json_pack("[s]", json_text(content, "by")) : json_array()) != 0)
        return fail(err, NO_MEMORY, "report");
    return OK;
}

/* Ended by its own end is nothing to report. */
static enum status ended_line(struct incident *i, const json_t *info, const json_t *session, struct err *err)
{
    const json_t *leaf = leaf_of_type(info, "grant.ended");
    const char *why = json_text(json_object_get(leaf, "content"), "why");
    if (leaf == NULL || strcmp(why, "expired") == 0)
        return OK;
    json_t *line = add_line(i, "ended", json_number(session, "ended_ms"), session);
    if (line == NULL || json_object_set_new(line, "text", json_string(why)) != 0 || set_leaf(line, leaf) != 0)
        return fail(err, NO_MEMORY, "report");
    return OK;
}

/* ---- what the recording says ---- */

static const char *digest_of(const struct archive_exchange *x, char out[HEX_LEN(32) + 1])
{
    unsigned char raw[32];
    out[0] = 0;
    if (x->response_sha256.len == HEX_LEN(32)) {
        memcpy(out, x->response_sha256.ptr, HEX_LEN(32));
        out[HEX_LEN(32)] = 0;
        return out;
    }
    if (x->response_body.len != x->response_bytes)   /* not kept, or more than is kept in memory */
        return out;
    sha256_one(x->response_body, raw);
    hex_encode(slice_of(raw, sizeof raw), out);
    return out;
}

/* One session while its lines are made. */
struct walk {
    struct incident *report;
    const json_t *info;
    struct seqs seqs;
    struct tally *actions, *touched, *secrets;
};

static enum status exchange_line(struct walk *w, const char *kind, size_t number, const struct archive_exchange *x, json_t **out)
{
    struct slice method, target;
    char digest[HEX_LEN(32) + 1];
    const json_t *session = json_object_get(w->info, "session");
    head_request_line(x->request_head, &method, &target);
    json_t *line = json_pack(LINE_HEAD "s:o, s:o, s:o, s:i, s:I, s:I, s:s, s:o*, " LINE_PROOF, LINE_HEAD_OF(kind, x->started_ms, session), "action", text_of(x->action),
                             "method", text_of(method), "target", text_of(target), "status", (int)x->status, "request_bytes", (json_int_t)x->request_bytes,
                             "response_bytes", (json_int_t)x->response_bytes, "sha256", digest_of(x, digest), "touched", x->names.len > 0 ? text_of(x->names) : NULL,
                             LINE_PROOF_OF(w, number, x));
    *out = line;
    return line != NULL && json_array_append_new(w->report->lines, line) == 0 ? OK : NO_MEMORY;
}

static bool count_list(struct tally **all, struct slice list, size_t number, const struct archive_exchange *x)
{
    struct slice one;
    bool good = true;
    while (good && budget_name_next(&list, &one))
        good = tally_count(all, one, number, x);
    return good;
}

/* Counted: what was done, whom it touched, which secrets came back. Only answers of the tool show anything. */
static enum status count(struct walk *w, size_t number, const struct archive_exchange *x, bool refused)
{
    struct slice action = x->action.len > 0 ? x->action : SLICE("-");
    if (!refused && !tally_count(&w->actions, action, number, x))
        return NO_MEMORY;
    if (!x->from_tool)
        return OK;
    if (x->removed > 0 && !tally_count(&w->secrets, SLICE("removed"), number, x))
        return NO_MEMORY;
    w->report->removed += x->removed;
    return count_list(&w->touched, x->names, number, x) && count_list(&w->secrets, x->secrets, number, x) ? OK : NO_MEMORY;
}

static enum status take_exchange(struct walk *w, size_t number, const struct archive_exchange *x)
{
    struct incident *i = w->report;
    const char *held = json_text(x->notes, "signoff");
    bool refused = !x->from_tool && x->status >= 400, ran = held[0] != 0;
    json_t *line = NULL;
    i->exchanges++;
    i->bytes += x->response_bytes;
    enum status st = count(w, number, x, refused);
    if (st == OK && (ran || refused))   /* one that ran and got no answer may have had its effect all the same */
        st = exchange_line(w, ran ? "export" : "refusal", number, x, &line);
    if (st == OK && ran) {
        json_object_set_new(line, "by", who_said_yes(w->info, held));
        json_object_set_new(line, "text", json_string(held));
    } else if (st == OK && refused) {
        json_object_set_new(line, "text", text_of(x->why));
    }
    i->exports += ran;
    i->refusals += refused;
    if (st == OK && i->all_exchanges)
        st = exchange_line(w, "exchange", number, x, &line);
    return st;
}

/* ---- what was counted ---- */

/* The first of its kind in this session has the line, the others are counted there. sum: what all sessions came to. */
static enum status tally_lines(struct walk *w, const struct tally *all, const char *kind, json_t *sum)
{
    const json_t *session = json_object_get(w->info, "session");
    for (const struct tally *t = all; t != NULL; t = t->hh.next) {
        struct slice method, target;
        const struct archive_exchange *x = t->first;
        head_request_line(x->request_head, &method, &target);
        json_t *line = json_pack(LINE_HEAD "s:o, s:o, s:o, s:i, s:I, s:I, s:I, s:I, s:s, " LINE_PROOF, LINE_HEAD_OF(kind, x->started_ms, session), "action", text_of(x->action),
                                 "method", text_of(method), "target", text_of(target), "status", (int)x->status, "request_bytes", (json_int_t)t->request_bytes,
                                 "response_bytes", (json_int_t)t->response_bytes, "count", (json_int_t)t->count, "last_ms", (json_int_t)t->last_ms, "touched",
                                 strcmp(kind, "action") == 0 ? "" : t->name, LINE_PROOF_OF(w, t->number, x));
        if (line == NULL || json_array_append_new(w->report->lines, line) != 0
            || json_object_set_new(sum, t->name, json_integer(json_number(sum, t->name) + (json_int_t)t->count)) != 0)
            return NO_MEMORY;
    }
    return OK;
}

static enum status walk_exchanges(struct walk *w, const struct archive *a)
{
    struct incident *i = w->report;
    enum status st = seqs_make(w->info, &w->seqs);
    for (size_t k = 0; st == OK && k < archive_count(a); k++) {
        const struct archive_exchange *x = archive_at(a, k);
        if (x->started_ms >= i->from_ms && x->started_ms < i->to_ms && !archive_is_claim(x))   /* who believes a browser reads those by itself */
            st = take_exchange(w, k + 1, x);
    }
    if (st == OK)
        st = tally_lines(w, w->actions, "action", i->actions);
    if (st == OK)
        st = tally_lines(w, w->touched, "customer", i->touched);
    if (st == OK)
        st = tally_lines(w, w->secrets, "secret", i->secrets);
    tally_free(&w->actions);
    tally_free(&w->touched);
    tally_free(&w->secrets);
    free(w->seqs.v);
    return st;
}

enum status incident_session(struct incident *i, const json_t *info, const struct archive *a, struct err *err)
{
    const json_t *session = json_object_get(info, "session");
    struct walk w = { .report = i, .info = info };
    i->sessions++;
    i->sealed += a == NULL;
    i->unindexed += a != NULL ? archive_source(a).unindexed : 0;
    count_one(i->tools, json_text(session, "tool"));
    count_one(i->known, json_text(session, "id"));
    count_one(i->known, json_text(session, "person"));
    enum status st = session_line(i, info, session, a != NULL, err);
    if (st == OK && a != NULL && walk_exchanges(&w, a) != OK)
        st = fail(err, NO_MEMORY, "report");
    if (st == OK)
        st = review_line(i, info, session, err);
    if (st == OK)
        st = ended_line(i, info, session, err);
    return st;
}

/* ---- locks ---- */

static bool concerns(const struct incident *i, const json_t *lock)
{
    const char *value = json_text(lock, "value");
    return strcmp(value, i->who) == 0 || json_object_get(i->known, value) != NULL;
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
