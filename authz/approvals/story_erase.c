/* story_erase: what history.c found to be over goes, a piece in one transaction: the leaf that says so, the emptied rows of leaves, the rows that those made. */
#include "authz/approvals/history.h"
#include "authz/approvals/leaf_row.h"

enum { PIECE_MAX = 96, HELD_LEAVES = 64, SCRUB_AFTER_MS = 5000 };

/* What goes at once. */
struct part {
    uint64_t *seqs;                   /* in order */
    size_t count;
    json_t *ids;
    bool whole;                       /* nothing of the story is left */
    int64_t keep_ms;
};

bool story_is_piece(const char *type)
{
    return strcmp(type, "segment") == 0 || strcmp(type, "budget.leased") == 0 || strcmp(type, "session.read") == 0;
}

static enum status part_init(struct part *p, size_t room, int64_t keep_ms, struct err *err)
{
    *p = (struct part){ .seqs = calloc(room + 1, sizeof *p->seqs), .ids = json_array(), .keep_ms = keep_ms };
    return p->seqs != NULL && p->ids != NULL ? OK : fail(err, NO_MEMORY, "history");
}

static void part_done(struct part *p)
{
    free(p->seqs);
    json_decref(p->ids);
}

/* The row that an entry of the ledger stands for. */
static enum status drop_row(struct op *o, const char *id)
{
    const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), id);
    enum status st = OK;
    switch (e != NULL ? (int)e->kind : LEDGER_KINDS) {
    case LEDGER_REQUEST:
        st = store_run(o->s->store, &o->err, "DELETE FROM request WHERE item = $1", "s", id);
        break;
    case LEDGER_HELD:
        st = store_run(o->s->store, &o->err, "DELETE FROM held WHERE item = $1", "s", id);
        break;
    case LEDGER_GRANT:
        st = store_run(o->s->store, &o->err, "DELETE FROM access_grant WHERE grant_id = $1", "s", id);
        break;
    case LEDGER_REVIEW:
        st = store_run(o->s->store, &o->err, "DELETE FROM review WHERE review = $1", "s", id);
        break;
    case LEDGER_LOCK:
        st = store_run(o->s->store, &o->err, "DELETE FROM lock WHERE lock_id = $1", "s", id);
        break;
    default:                          /* an issuer's token has no row */
        return OK;
    }
    if (st == OK && store_changed(o->s->store) != 1)
        st = fail(&o->err, CORRUPT, "the row of '%s' is gone", id);
    if (st == OK)
        st = store_run(o->s->store, &o->err, "DELETE FROM decision WHERE item = $1", "s", id);
    if (st == OK)
        st = store_run(o->s->store, &o->err, "DELETE FROM statement WHERE item = $1", "s", id);
    return st == OK ? store_run(o->s->store, &o->err, "DELETE FROM escalated WHERE item = $1", "s", id) : st;
}

static enum status empty_rows(struct op *o, const struct part *p, uint64_t by)
{
    enum status st = OK;
    for (size_t i = 0; i < p->count && st == OK; i++) {
        st = leaf_row_erase(o->s->store, p->seqs[i], by, &o->err);
        if (st == OK)
            st = store_run(o->s->store, &o->err, "DELETE FROM notice WHERE seq = $1", "i", (int64_t)p->seqs[i]);
        if (st == OK)
            st = store_run(o->s->store, &o->err, "DELETE FROM segment WHERE seq = $1", "i", (int64_t)p->seqs[i]);
    }
    return st;
}

static enum status erase_part(struct op *o, const struct story *t, const struct part *p)
{
    uint64_t by = 0;
    json_t *id;
    size_t i;
    char *list = erased_list(p->seqs, p->count);
    enum status st = list != NULL ? OK : fail(&o->err, NO_MEMORY, "history");
    if (st == OK)
        st = write_leaf(o, ERASING_LEAF, json_pack("{s:s, s:s, s:I, s:O, s:b, s:I, s:I, s:I}", "by", "retention", "leaves", list, "count", (json_int_t)p->count, "items", p->ids, "whole", p->whole,
                                                   "from_ms", (json_int_t)t->first_ms, "to_ms", (json_int_t)t->last_ms, "retention_s", (json_int_t)(p->keep_ms / 1000)), &by);
    free(list);
    if (st == OK)
        st = empty_rows(o, p, by);
    json_array_foreach(p->ids, i, id)
        if (st == OK)
            st = drop_row(o, json_string_value(id));
    if (o->s->retention.history.scrub_ms == 0)
        o->s->retention.history.scrub_ms = clock_mono_ms() + SCRUB_AFTER_MS;
    return st;
}

/* ---- segments, leases, looks ---- */

/* The session's row is a sum over its segments: from now on over those that are left, and gone with the last. A patrol that was adding them up leaves this session out. */
static enum status keep_sums(struct op *o, const char *session)
{
    struct store *db = o->s->store;
    if (strcmp(o->s->sums.session, session) == 0)
        o->s->sums.open = false;
    enum status st = store_run(db, &o->err,
                               "UPDATE session SET segments = (SELECT count(*) FROM segment WHERE session = $1), exchanges = (SELECT COALESCE(SUM(exchanges), 0) FROM segment WHERE session = $1),"
                               " bytes = (SELECT COALESCE(SUM(bytes), 0) FROM segment WHERE session = $1), last_ms = (SELECT COALESCE(MAX(to_ms), 0) FROM segment WHERE session = $1),"
                               " started_ms = COALESCE((SELECT from_ms FROM segment WHERE session = $1 ORDER BY seq LIMIT 1), 0) WHERE session = $1", "s", session);
    return st == OK ? store_run(db, &o->err, "DELETE FROM session WHERE session = $1 AND segments = 0", "s", session) : st;
}

static enum status take_piece(struct op *o, struct story *piece, const json_t *rows, int64_t until_ms)
{
    enum status st = OK;
    json_t *row;
    size_t i;
    json_array_foreach(rows, i, row) {
        if (st != OK || (i > 0 && clock_mono_ms() >= until_ms))
            break;
        st = story_take(o, piece, (uint64_t)num(row, "seq"));
    }
    return st;
}

enum status story_erase_piece(struct op *o, struct story *t, int64_t keep_ms, int64_t until_ms, bool *left)
{
    struct story piece;
    struct part p;
    json_t *rows = NULL;
    story_init(&piece, t->id, false);
    enum status st = part_init(&p, PIECE_MAX, keep_ms, &o->err);
    if (st == OK)
        st = store_rows(o->s->store, &rows, &o->err,
                        "SELECT seq FROM leaf WHERE session = $1 AND type IN ('segment', 'budget.leased', 'session.read') ORDER BY seq LIMIT $2", "si", t->id, (int64_t)PIECE_MAX);
    *left = st == OK && json_array_size(rows) > 0;
    if (*left)
        st = take_piece(o, &piece, rows, until_ms);
    if (*left && st == OK && (piece.keeps || o->now_ms - piece.last_ms < keep_ms))
        st = fail(&o->err, AGAIN, "it is not over");
    for (; st == OK && p.count < piece.count; p.count++)
        p.seqs[p.count] = piece.leaves[p.count].seq;
    if (*left && st == OK)
        st = erase_part(o, t, &p);
    if (*left && st == OK)
        st = keep_sums(o, t->id);
    json_decref(rows);
    part_done(&p);
    story_done(&piece);
    return st;
}

/* ---- held requests ---- */

enum status story_erase_held(struct op *o, struct story *t, int64_t keep_ms, bool *left)
{
    struct part p;
    size_t from = t->held_at, to = from;
    enum status st = part_init(&p, t->count, keep_ms, &o->err);
    for (; st == OK && to < json_array_size(t->ids) && p.count < HELD_LEAVES; to++) {
        const json_t *id = json_array_get(t->ids, to);
        if (strncmp(json_string_value(id), "hld_", 4) != 0)
            continue;
        p.count = 0;                  /* anew, so that they stay in the order of the log */
        for (size_t i = 0; i < t->count; i++)
            if (t->leaves[i].held >= from && t->leaves[i].held <= to)
                p.seqs[p.count++] = t->leaves[i].seq;
        st = json_array_append(p.ids, (json_t *)(uintptr_t)id) == 0 ? OK : fail(&o->err, NO_MEMORY, "history");
    }
    *left = p.count > 0;
    if (*left && st == OK)
        st = erase_part(o, t, &p);
    t->held_at = st == OK ? to : from;
    part_done(&p);
    return st;
}

/* ---- all that is left ---- */

static enum status say_hands(struct op *o, const struct story *t)
{
    enum status st = OK;
    json_t *hand;
    size_t i;
    json_array_foreach(t->hands, i, hand)
        if (st == OK)
            st = write_leaf(o, "certificate.known", json_pack("{s:O}", "hand", hand), NULL);
    return st;
}

enum status story_erase_rest(struct op *o, struct story *t, int64_t keep_ms)
{
    struct part p;
    json_t *id;
    size_t i;
    enum status st = part_init(&p, t->count, keep_ms, &o->err);
    p.whole = true;
    for (i = 0; st == OK && i < t->count; i++)
        if (t->leaves[i].held == SIZE_MAX)
            p.seqs[p.count++] = t->leaves[i].seq;
    json_array_foreach(t->ids, i, id)
        if (st == OK && strncmp(json_string_value(id), "hld_", 4) != 0)
            st = json_array_append(p.ids, id) == 0 ? OK : fail(&o->err, NO_MEMORY, "history");
    if (st == OK)
        st = erase_part(o, t, &p);
    part_done(&p);
    return st == OK ? say_hands(o, t) : st;
}
