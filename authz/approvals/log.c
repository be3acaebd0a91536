#include "authz/approvals/log.h"

#include "authz/erased.h"
#include "authz/approvals/leaf_row.h"
#include "authz/approvals/memory.h"

#include "authz/canonical.h"
#include "proxy/base/codec.h"
#include "proxy/base/file.h"
#include "proxy/base/log.h"

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <unistd.h>

enum { SHOWN_MAX = 1024, PENDING_MAX = 1 << 22, SALT_TEXT = 23, DIGEST_TEXT = 44 };

struct pending {
    uint64_t seq;
    const char *type;
    int64_t time_ms;
    json_t *content;
};

struct log {
    struct store *store;
    EVP_PKEY *key;
    unsigned char public_key[32];
    char *instance;
    struct tree tree, next;           /* committed; with what the open transaction appended */
    unsigned char (*marks)[32];       /* marks[i]: root of the i-th LOG_MARK_EVERY leaves alone */
    size_t mark_count, mark_room;
    struct ledger ledger;
    struct erased erased;
    uint64_t remembered;              /* leaves up to here were not read at the start */
    struct pending *pending;          /* of the open transaction: a lock on everything may end tens of thousands */
    size_t pending_count, pending_room;
    json_t *shown[SHOWN_MAX];         /* proved leaves, each at its number modulo the size */
};

static const char *text_of(const json_t *row, const char *name)
{
    const char *s = json_string_value(json_object_get(row, name));
    return s ? s : "";
}

static int64_t number_of(const json_t *row, const char *name)
{
    return json_integer_value(json_object_get(row, name));
}

static enum status load_key(struct log *l, const char *path, struct err *err)
{
    unsigned char *pem = NULL;
    size_t len = 0, key_len = sizeof l->public_key;
    enum status st = file_read(path, 16 * 1024, true, &pem, &len, err);
    if (st != OK)
        return st;
    BIO *bio = BIO_new_mem_buf(pem, (int)len);
    l->key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    OPENSSL_cleanse(pem, len);
    free(pem);
    if (l->key == NULL || !EVP_PKEY_is_a(l->key, "ED25519")
        || EVP_PKEY_get_raw_public_key(l->key, l->public_key, &key_len) != 1)
        return fail(err, BAD_CONFIG, "'%s' holds no Ed25519 key: %s", path, ossl_reason());
    return OK;
}

/* done: what the last leaf completed. */
static enum status keep_mark(struct log *l, const unsigned char (*done)[32], size_t done_count, struct err *err)
{
    if (done_count <= LOG_MARK_LEVEL)
        return OK;
    if (l->mark_count == l->mark_room) {
        size_t room = l->mark_room ? l->mark_room * 2 : 64;
        void *more = realloc(l->marks, room * sizeof *l->marks);
        if (more == NULL)
            return fail(err, NO_MEMORY, "log");
        l->marks = more;
        l->mark_room = room;
    }
    memcpy(l->marks[l->mark_count++], done[LOG_MARK_LEVEL], 32);
    return OK;
}

/* The next leaf of the committed tree. */
static enum status take_leaf(struct log *l, const struct leaf_row *row, uint64_t erased, struct err *err)
{
    unsigned char done[TREE_LEVELS][32];
    size_t done_count = 0;
    enum status st = leaf_row_follow(&l->tree, l->tree.size + 1, row, erased, done, &done_count, err);
    return st == OK ? keep_mark(l, done, done_count, err) : st;
}

/* What a leaf means: to the ledger, and to the leaves that it erases. unread: leaves up to here were not read. */
static enum status apply_leaf(struct log *l, uint64_t seq, const char *type, const json_t *content, uint64_t unread, struct err *err)
{
    enum status st = ledger_apply(&l->ledger, seq, type, content, err);
    if (st != OK || strcmp(type, ERASING_LEAF) != 0)
        return st;
    erased_note(&l->erased, content);
    return erased_take(&l->erased, seq, text_of(content, "leaves"), unread, err);
}

static enum status take_row(struct log *l, const struct leaf_row *row, struct err *err)
{
    uint64_t by = leaf_row_erased(row);
    enum status st = take_leaf(l, row, by, err);
    if (st != OK)
        return st;
    if (by > 0)                       /* what it said counts no more: all that it was about is gone with it */
        return erased_claim(&l->erased, l->tree.size, by, err);
    const char *type = (const char *)row->type.ptr;
    json_t *content = ledger_content(type, row->content);
    if (content == NULL || !slice_eq(slice_str(text_of(content, "session")), row->session))
        st = fail(err, CORRUPT, "leaf %llu is filed under another session",
                  (unsigned long long)l->tree.size);
    else
        st = apply_leaf(l, l->tree.size, type, content, l->remembered, err);
    json_decref(content);
    return st;
}

static enum status take_stored(void *arg, const struct store_view *v, struct err *err)
{
    struct leaf_row row;
    json_t *object = NULL;
    enum status st = OK;
    if (!leaf_row_see(v, &row)) {
        st = store_view_row(v, &object, err);
        row = leaf_row_of(object);
    }
    if (st == OK)
        st = take_row(arg, &row, err);
    json_decref(object);
    return st;
}

/* The stored note must be ours, and about exactly the tree we found. */
static enum status check_head(struct log *l, struct err *err)
{
    json_t *row = NULL;
    struct chain_head signed_head, found = chain_head_of(&l->tree);
    enum status st = store_row(l->store, &row, err, "SELECT seq, note FROM head WHERE id = 1", "");
    if (st == NOT_FOUND && found.seq == 0)
        return OK;                    /* a new state folder */
    if (st == NOT_FOUND)
        return fail(err, CORRUPT, "it has %llu leaves and no signed head", (unsigned long long)found.seq);
    if (st != OK)
        return st;
    st = chain_note_verify(l->public_key, l->instance, slice_str(text_of(row, "note")), &signed_head, err);
    if (st == OK && (uint64_t)number_of(row, "seq") != signed_head.seq)
        st = CORRUPT;
    json_decref(row);
    if (st != OK)
        return fail(err, CORRUPT, "its signed head is not ours, or log.pem or `instance` changed");
    if (signed_head.seq != found.seq || memcmp(signed_head.hash, found.hash, 32) != 0)
        return fail(err, CORRUPT, "it has %llu leaves that do not lead to its signed head of %llu",
                    (unsigned long long)found.seq, (unsigned long long)signed_head.seq);
    return OK;
}

/* Take the place of all leaves up to the remembered one. Anything odd: there is no memory. */
static bool recall(struct log *l, const char *path)
{
    struct memory m = { 0 };
    struct err err = { .text = "" };
    json_t *row = NULL;
    if (path == NULL || memory_read(path, l->key, l->instance, &m, &err) != OK) {
        if (path != NULL && access(path, F_OK) == 0)
            log_warn("memory.unusable", "why", err.text, "next", "all of the log is read");
        return false;
    }
    l->tree = m.tree;
    l->marks = m.marks;
    l->mark_count = l->mark_room = m.mark_count;
    l->ledger = m.ledger;
    l->erased = m.erased;
    l->remembered = m.tree.size;
    bool whole = m.mark_count == m.tree.size / LOG_MARK_EVERY
                 && store_row(l->store, &row, &err, "SELECT count(*) AS n FROM leaf WHERE seq <= $1", "i", (int64_t)m.tree.size) == OK
                 && (uint64_t)number_of(row, "n") == m.tree.size;
    json_decref(row);
    return whole;
}

static void forget(struct log *l)
{
    ledger_done(&l->ledger);
    l->ledger = (struct ledger){ 0 };
    erased_done(&l->erased);
    free(l->marks);
    l->marks = NULL;
    l->mark_count = l->mark_room = 0;
    l->tree = (struct tree){ 0 };
    l->remembered = 0;
}

static enum status read_leaves(struct log *l, struct err *err)
{
    enum status st = store_scan(l->store, take_stored, l, err,
                                "SELECT " LEAF_ROW_COLUMNS " FROM leaf WHERE seq > $1 ORDER BY seq", "i", (int64_t)l->tree.size);
    if (st == OK)
        st = erased_settle(&l->erased, err);
    return st == OK ? check_head(l, err) : st;
}

/* key_path NULL: only the public key is known. */
static enum status open_log(struct store *store, const char *instance, const char *key_path, const unsigned char *public_key, const char *memory_path,
                            struct log **out, struct err *err)
{
    struct log *l = calloc(1, sizeof *l);
    enum status st = OK;
    if (l == NULL || (l->instance = strdup(instance)) == NULL) {
        free(l);
        return fail(err, NO_MEMORY, "log");
    }
    l->store = store;
    if (key_path != NULL)
        st = load_key(l, key_path, err);
    else
        memcpy(l->public_key, public_key, sizeof l->public_key);
    if (st == OK && !recall(l, memory_path))
        forget(l);
    if (st == OK)
        st = read_leaves(l, err);
    if (st == CORRUPT && l->remembered > 0) {   /* whatever it is, a look at everything names it exactly */
        forget(l);
        st = read_leaves(l, err);
    }
    l->next = l->tree;
    if (st == CORRUPT)
        err_prefix(err, "the log in authz.db was altered: ");
    if (st == OK)
        *out = l;
    else
        log_close(l);
    return st;
}

enum status log_open(struct store *store, const char *instance, const char *key_path, const char *memory_path, struct log **out, struct err *err)
{
    return open_log(store, instance, key_path, NULL, memory_path, out, err);
}

enum status log_open_public(struct store *store, const char *instance, const unsigned char public_key[32], struct log **out, struct err *err)
{
    return open_log(store, instance, NULL, public_key, NULL, out, err);
}

void log_close(struct log *l)
{
    if (l == NULL)
        return;
    log_rolled_back(l);
    for (size_t i = 0; i < SHOWN_MAX; i++)
        json_decref(l->shown[i]);
    free(l->pending);
    ledger_done(&l->ledger);
    erased_done(&l->erased);
    EVP_PKEY_free(l->key);
    free(l->marks);
    free(l->instance);
    free(l);
}

static enum status insert_leaf(struct log *l, const char *type, const json_t *content, int64_t time_ms, struct err *err)
{
    unsigned char salt[CHAIN_SALT_LEN], digest[32];
    char salt_text[SALT_TEXT], digest_text[DIGEST_TEXT], *text = NULL;
    size_t len = 0;
    if (RAND_bytes(salt, sizeof salt) != 1)
        return fail(err, IO_FAILED, "no randomness: %s", ossl_reason());
    enum status st = canonical_json(content, &text, &len, err);
    if (st != OK)
        return st;
    chain_content_digest(salt, slice_of(text, len), digest);
    b64url_encode(slice_of(salt, sizeof salt), salt_text);
    b64url_encode(slice_of(digest, sizeof digest), digest_text);
    st = store_run(l->store, err, "INSERT INTO leaf (seq, type, time_ms, salt, content, digest, session)"
                   " VALUES ($1, $2, $3, $4, $5, $6, $7)", "isissss", (int64_t)(l->next.size + 1), type, time_ms, salt_text, text,
                   digest_text, json_string_value(json_object_get(content, "session")));
    if (st == OK && chain_append(&l->next, type, time_ms, digest, NULL, NULL) != OK)
        st = fail(err, BAD_INPUT, "'%s' is no type of a leaf", type);
    free(text);
    return st;
}

static enum status make_room(struct log *l, struct err *err)
{
    if (l->pending_count == PENDING_MAX)
        return fail(err, FULL, "more than %d leaves at once", PENDING_MAX);
    if (l->pending_count < l->pending_room)
        return OK;
    size_t room = l->pending_room ? l->pending_room * 2 : 64;
    struct pending *more = realloc(l->pending, room * sizeof *more);
    if (more == NULL)
        return fail(err, NO_MEMORY, "leaf");
    l->pending = more;
    l->pending_room = room;
    return OK;
}

enum status log_append(struct log *l, const char *type, json_t *content, int64_t time_ms, uint64_t *seq_out, struct err *err)
{
    enum status st = json_is_object(content) ? make_room(l, err) : fail(err, NO_MEMORY, "leaf");
    if (st == OK)
        st = insert_leaf(l, type, content, time_ms, err);
    if (st != OK) {
        json_decref(content);
        return st;
    }
    l->pending[l->pending_count++] = (struct pending){ l->next.size, type, time_ms, content };
    if (seq_out != NULL)
        *seq_out = l->next.size;
    return OK;
}

bool log_changed(const struct log *l)
{
    return l->pending_count > 0;
}

enum status log_checkpoint(const struct log *l, char **note_out, struct err *err)
{
    struct chain_head head = chain_head_of(&l->next);
    return chain_note_sign(l->key, l->instance, &head, note_out, err);
}

enum status log_seal(struct log *l, struct err *err)
{
    char *note = NULL;
    if (!log_changed(l))
        return OK;
    enum status st = log_checkpoint(l, &note, err);
    if (st == OK)
        st = store_run(l->store, err, "INSERT INTO head (id, seq, note) VALUES (1, $1, $2)"
                       " ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, note = excluded.note", "is", (int64_t)l->next.size, note);
    free(note);
    return st;
}

/* Marks fall between the leaves of one transaction too, so the tree is computed again from what was stored. */
static enum status keep_marks(struct log *l, struct err *err)
{
    enum status st = OK;
    while (st == OK && l->tree.size < l->next.size) {
        json_t *row = NULL;
        st = store_row(l->store, &row, err, "SELECT seq, type, time_ms, salt, content, digest FROM leaf WHERE seq = $1", "i",
                       (int64_t)(l->tree.size + 1));
        struct leaf_row leaf = leaf_row_of(row);
        if (st == OK)
            st = take_leaf(l, &leaf, 0, err);
        json_decref(row);
    }
    struct chain_head found = chain_head_of(&l->tree), meant = chain_head_of(&l->next);
    if (st == OK && memcmp(found.hash, meant.hash, 32) != 0)
        st = fail(err, CORRUPT, "the leaves just written are not those that were meant");
    return st;
}

json_t *log_fresh(const struct log *l)
{
    json_t *list = json_array();
    for (size_t i = 0; i < l->pending_count; i++) {
        const struct pending *p = &l->pending[i];
        json_array_append_new(list, json_pack("{s:I, s:s, s:I, s:O}", "seq", (json_int_t)p->seq, "type", p->type, "time_ms", (json_int_t)p->time_ms, "content", p->content));
    }
    return list;
}

/* What was proved before is not shown once it was erased. */
static void forget_shown(struct log *l)
{
    for (size_t i = 0; i < SHOWN_MAX; i++)
        if (l->shown[i] != NULL && erased_by(&l->erased, (uint64_t)number_of(l->shown[i], "seq")) > 0) {
            json_decref(l->shown[i]);
            l->shown[i] = NULL;
        }
}

enum status log_committed(struct log *l, struct err *err)
{
    uint64_t erased = l->erased.count;
    enum status st = keep_marks(l, err);
    for (size_t i = 0; i < l->pending_count; i++) {
        struct pending *p = &l->pending[i];
        if (st == OK)
            st = apply_leaf(l, p->seq, p->type, p->content, UINT64_MAX, err);
        json_decref(p->content);
    }
    l->pending_count = 0;
    if (l->erased.count > erased)
        forget_shown(l);
    return st;
}

void log_rolled_back(struct log *l)
{
    while (l->pending_count > 0)
        json_decref(l->pending[--l->pending_count].content);
    l->next = l->tree;
}

struct walk {
    const struct log *log;
    struct tree block;                /* of the leaves of one mark alone */
    uint64_t before, wanted;
    json_t *found;
};

static enum status walk_leaf(void *arg, json_t *row, struct err *err)
{
    struct walk *w = arg;
    uint64_t seq = w->before + w->block.size + 1;
    struct leaf_row leaf = leaf_row_of(row);
    enum status st = leaf_row_follow(&w->block, seq, &leaf, erased_by(&w->log->erased, seq), NULL, NULL, err);
    if (st == OK && w->before + w->block.size == w->wanted)
        w->found = json_incref(row);
    return st;
}

/* Do the leaves walked over, up to `end`, give the root that is kept for them? */
static enum status check_block(const struct log *l, const struct walk *w, uint64_t end, struct err *err)
{
    unsigned char root[32], want[32];
    if (end % LOG_MARK_EVERY == 0)
        memcpy(want, l->marks[w->before / LOG_MARK_EVERY], 32);
    else
        tree_tail_root(&l->tree, LOG_MARK_LEVEL, want);
    tree_root(&w->block, root);
    if (w->before + w->block.size == end && memcmp(root, want, 32) == 0)
        return OK;
    return fail(err, CORRUPT, "the log was altered between leaf %llu and %llu", (unsigned long long)w->before + 1, (unsigned long long)end);
}

enum status log_leaf(struct log *l, uint64_t seq, json_t **out, struct err *err)
{
    if (seq == 0 || seq > l->tree.size)
        return fail(err, NOT_FOUND, "the log has no leaf %llu", (unsigned long long)seq);
    size_t block = (size_t)((seq - 1) / LOG_MARK_EVERY);
    uint64_t end = (block + 1) * LOG_MARK_EVERY < l->tree.size ? (block + 1) * LOG_MARK_EVERY : l->tree.size;
    struct walk w = { .log = l, .before = block * LOG_MARK_EVERY, .wanted = seq };
    enum status st = store_each(l->store, walk_leaf, &w, err,
                                "SELECT " LEAF_ROW_COLUMNS " FROM leaf WHERE seq > $1 AND seq <= $2 ORDER BY seq",
                                "ii", (int64_t)w.before, (int64_t)end);
    if (st == OK)
        st = check_block(l, &w, end, err);
    uint64_t by = erased_by(&l->erased, seq);
    if (st == OK && by > 0)
        st = fail(err, NOT_FOUND, "leaf %llu was erased, as leaf %llu says", (unsigned long long)seq, (unsigned long long)by);
    json_t *content = st == OK ? json_loads(text_of(w.found, "content"), JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (st == OK && (content == NULL || json_object_set_new(w.found, "content", content) != 0))
        st = fail(err, NO_MEMORY, "leaf");
    if (st == OK)
        *out = w.found;
    else
        json_decref(w.found);
    return st;
}

enum status log_leaf_shown(struct log *l, uint64_t seq, json_t **out, struct err *err)
{
    json_t **slot = &l->shown[seq % SHOWN_MAX];
    enum status st = OK;
    if (*slot == NULL || (uint64_t)number_of(*slot, "seq") != seq) {
        json_t *found = NULL;
        st = log_leaf(l, seq, &found, err);
        if (st != OK)
            return st;
        json_decref(*slot);
        *slot = found;
    }
    *out = json_incref(*slot);
    return st;
}

enum status log_remember(const struct log *l, const char *memory_path, struct err *err)
{
    struct memory m = { .tree = l->tree, .marks = l->marks, .mark_count = l->mark_count, .ledger = l->ledger, .erased = l->erased };
    return memory_write(memory_path, l->key, l->instance, &m, err);
}

uint64_t log_remembered(const struct log *l)
{
    return l->remembered;
}

static enum status walk_filed(void *arg, json_t *row, struct err *err)
{
    struct walk *w = arg;
    struct leaf_row leaf = leaf_row_of(row);
    enum status st = walk_leaf(w, row, err);
    if (st != OK || leaf_row_erased(&leaf) > 0)
        return st;
    json_t *content = json_loads(text_of(row, "content"), JSON_REJECT_DUPLICATES, NULL);
    if (strcmp(text_of(content, "session"), text_of(row, "session")) != 0)
        st = fail(err, CORRUPT, "leaf %llu is filed under another session", (unsigned long long)(w->before + w->block.size));
    json_decref(content);
    return st;
}

enum status log_check_block(struct log *l, uint64_t from, uint64_t *to_out, struct err *err)
{
    struct walk w = { .log = l, .before = (from - 1) / LOG_MARK_EVERY * LOG_MARK_EVERY };
    uint64_t end = w.before + LOG_MARK_EVERY < l->tree.size ? w.before + LOG_MARK_EVERY : l->tree.size;
    enum status st = store_each(l->store, walk_filed, &w, err,
                                "SELECT " LEAF_ROW_COLUMNS " FROM leaf WHERE seq > $1 AND seq <= $2 ORDER BY seq", "ii",
                                (int64_t)w.before, (int64_t)end);
    *to_out = end;
    return st == OK ? check_block(l, &w, end, err) : st;
}

struct gathering {
    struct walk walk;
    json_t *rows;
    uint64_t from;
};

static enum status gather_leaf(void *arg, json_t *row, struct err *err)
{
    struct gathering *g = arg;
    enum status st = walk_leaf(&g->walk, row, err);
    if (st != OK || g->walk.before + g->walk.block.size < g->from)
        return st;
    json_t *content = json_loads(text_of(row, "content"), JSON_REJECT_DUPLICATES, NULL);
    if (content != NULL)
        json_object_set_new(row, "content", content);
    return json_array_append(g->rows, row) == 0 ? OK : fail(err, NO_MEMORY, "leaves");
}

enum status log_block(struct log *l, uint64_t from, json_t **out, uint64_t *to_out, struct err *err)
{
    struct gathering g = { .walk = { .log = l, .before = (from - 1) / LOG_MARK_EVERY * LOG_MARK_EVERY }, .rows = json_array(), .from = from };
    uint64_t end = g.walk.before + LOG_MARK_EVERY < l->tree.size ? g.walk.before + LOG_MARK_EVERY : l->tree.size;
    enum status st = store_each(l->store, gather_leaf, &g, err,
                                "SELECT " LEAF_ROW_COLUMNS " FROM leaf WHERE seq > $1 AND seq <= $2 ORDER BY seq", "ii", (int64_t)g.walk.before,
                                (int64_t)end);
    if (st == OK)
        st = check_block(l, &g.walk, end, err);
    if (st != OK) {
        json_decref(g.rows);
        return st;
    }
    *out = g.rows;
    *to_out = end;
    return OK;
}

uint64_t log_erased(const struct log *l, uint64_t seq)
{
    return erased_by(&l->erased, seq);
}

const struct erased *log_all_erased(const struct log *l)
{
    return &l->erased;
}

const struct ledger *log_ledger(const struct log *l)
{
    return &l->ledger;
}

const unsigned char *log_public_key(const struct log *l)
{
    return l->public_key;
}

uint64_t log_size(const struct log *l)
{
    return l->tree.size;
}

const unsigned char (*log_marks(const struct log *l, size_t *count))[32]
{
    *count = l->mark_count;
    return (const unsigned char (*)[32])l->marks;
}

enum status log_sign(const struct log *l, const struct chain_head *head, char **note_out, struct err *err)
{
    return chain_note_sign(l->key, l->instance, head, note_out, err);
}
