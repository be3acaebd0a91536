/* The proof of a decision, for whoever may see it: the leaves that an outsider needs to verify it (authz/README.md "A proof"). */
#include "authz/approvals/internal.h"

enum { LEAVES_MAX = 64 };

/* Leaves by their number, each once; in the order of the log at the end. */
struct pile {
    uint64_t seq[LEAVES_MAX];
    size_t count, looked;
};

static enum status add(struct op *o, struct pile *p, uint64_t seq)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->seq[i] == seq)
            return OK;
    if (p->count == LEAVES_MAX)
        return fail(&o->err, FULL, "the proof would need more than %d leaves", LEAVES_MAX);
    p->seq[p->count++] = seq;
    return OK;
}

/* Of a grant without a second person: the leaf that says so, and the review if it is done. */
static enum status add_alone(struct op *o, struct pile *p, const char *id)
{
    json_t *row = NULL;
    enum status st = store_row(o->s->store, &row, &o->err, "SELECT review FROM review WHERE item = $1", "s", id);
    const struct ledger_entry *e = st == OK ? ledger_find(log_ledger(o->s->log), str(row, "review")) : NULL;
    json_decref(row);
    if (e != NULL) {
        st = add(o, p, e->born);
        return st == OK ? add(o, p, e->last) : st;
    }
    row = NULL;
    if (st == NOT_FOUND)
        st = store_row(o->s->store, &row, &o->err, "SELECT leaf.seq FROM leaf JOIN request ON request.session = leaf.session WHERE request.item = $1 AND leaf.type = 'auto.approved'", "s", id);
    if (st == OK && row != NULL)
        st = add(o, p, (uint64_t)num(row, "seq"));
    json_decref(row);
    return st == NOT_FOUND ? OK : st;
}

/* By which it was given in somebody else's place, and how that ended. */
static enum status add_delegation(struct op *o, struct pile *p, const char *id)
{
    const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), id);
    enum status st = e ? add(o, p, e->born) : fail(&o->err, CORRUPT, "the log does not know '%s'", id);
    return st == OK && e->last != e->born ? add(o, p, e->last) : st;
}

/* What made the item, and each answer to it. */
static enum status add_item(struct op *o, struct pile *p, const char *id)
{
    const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), id);
    json_t *rows = NULL, *row;
    size_t i;
    enum status st = e ? add(o, p, e->born) : fail(&o->err, CORRUPT, "the log does not know '%s'", id);
    if (st == OK)
        st = store_rows(o->s->store, &rows, &o->err, "SELECT seq FROM decision WHERE item = $1 ORDER BY seq", "s", id);
    json_array_foreach(rows, i, row)
        if (st == OK)
            st = add(o, p, (uint64_t)num(row, "seq"));
    json_decref(rows);
    return st;
}

/* The registration of a certificate's key that was the newest before this answer. */
static enum status add_file_key(struct op *o, struct pile *p, const char *fingerprint, uint64_t before)
{
    const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), fingerprint);
    json_t *row = NULL;
    char like[64];
    if (e != NULL && e->born < before)
        return add(o, p, e->born);
    snprintf(like, sizeof like, "%%\"key\":\"%s\"%%", fingerprint);
    enum status st = store_row(o->s->store, &row, &o->err,
                               "SELECT seq FROM leaf WHERE type = 'key.registered' AND seq < $1 AND content LIKE $2 ORDER BY seq DESC LIMIT 1", "is",
                               (int64_t)before, like);
    if (st == OK)
        st = add(o, p, (uint64_t)num(row, "seq"));
    json_decref(row);
    return st == NOT_FOUND ? OK : st;
}

/* Whose key signed this answer, and who confirmed that key: an answer again. */
static enum status add_key(struct op *o, struct pile *p, const json_t *leaf)
{
    const json_t *statement = json_object_get(json_object_get(leaf, "content"), "statement");
    const char *fingerprint = str(statement, "key"), *item = str(json_object_get(leaf, "content"), "key_item");
    const char *delegation = str(json_object_get(leaf, "content"), "delegation");
    bool answer = strcmp(str(leaf, "type"), "approval") == 0 || strcmp(str(leaf, "type"), "denial") == 0;
    enum status st = answer && delegation[0] != 0 ? add_delegation(o, p, delegation) : OK;
    if (statement == NULL || st != OK)
        return st;
    return item[0] ? add_item(o, p, item) : add_file_key(o, p, fingerprint, (uint64_t)num(leaf, "seq"));
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static enum status collect(struct op *o, struct pile *p)
{
    enum status st = OK;
    while (st == OK && p->looked < p->count) {
        json_t *leaf = NULL;
        st = log_leaf(o->s->log, p->seq[p->looked++], &leaf, &o->err);
        if (st == OK)
            st = add_key(o, p, leaf);
        json_decref(leaf);
    }
    qsort(p->seq, p->count, sizeof p->seq[0], by_number);
    return st;
}

enum status op_item_proof(struct op *o)
{
    struct item it;
    struct pile p = { .count = 0 };
    size_t bytes = 0;
    json_t *list = json_array();
    enum status st = item_wanted(o, str(o->m, "id"), &it);
    bool loaded = st == OK;
    if (st == OK && !item_may_see(o, &it))
        st = refuse_op(o, ITEM_NOT_FOUND, "Nothing with this id is yours to see");
    if (st == OK)
        st = add_item(o, &p, it.id);
    if (st == OK && it.kind == LEDGER_REQUEST && basis_is_alone(request_basis(it.facts)))
        st = add_alone(o, &p, it.id);
    if (st == OK)
        st = collect(o, &p);
    for (size_t i = 0; st == OK && i < p.count; i++) {
        json_t *leaf = NULL;
        st = log_leaf(o->s->log, p.seq[i], &leaf, &o->err);
        if (st == OK && !page_add(list, &bytes, leaf))
            st = refuse_op(o, HELD_TOO_LARGE, "The proof is larger than one answer can be");
    }
    if (st == OK) {
        json_object_set_new(o->answer, "format", json_string("countersign-approval-v1"));
        json_object_set_new(o->answer, "instance", json_string(o->s->config->instance));
        json_object_set_new(o->answer, "item", json_string(it.id));
        json_object_set(o->answer, "leaves", list);
    }
    if (loaded)
        item_done(&it);
    json_decref(list);
    return st;
}
