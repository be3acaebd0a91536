#include "authz/approvals/memory.h"

#include "proxy/base/codec.h"
#include "proxy/base/file.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

/* file = magic, u32 length of instance, instance, u64 size, the nodes of the tree, u64 marks, marks, u64 entries, entries, u64 length of book, book (JSON), u64 erased leaves, each as u32 its number and u32 the leaf that says so, u64 stories, u64 last_ms, signature; big-endian.
 * The Ed25519 signature is over the magic and the SHA-256 of all before it. */
static const char magic[] = "countersign-memory-v3\n";
enum { MAGIC_LEN = sizeof magic - 1, ENTRY_LEN = 76, SIGNATURE_LEN = 64, MARKS_MAX = 1 << 24, ENTRIES_MAX = 1 << 24, BOOK_MAX = 1 << 28 };
static const size_t file_max = (size_t)2 << 30;

struct out {
    unsigned char *data;
    size_t len, room;
    bool failed;
};

static void put(struct out *o, const void *bytes, size_t n)
{
    if (o->len + n > o->room && !o->failed) {
        size_t room = (o->room + n) * 2;
        unsigned char *more = realloc(o->data, room);
        o->failed = more == NULL;
        if (more != NULL) {
            o->data = more;
            o->room = room;
        }
    }
    if (o->failed || n == 0)
        return;
    memcpy(o->data + o->len, bytes, n);
    o->len += n;
}

static void put64(struct out *o, uint64_t v)
{
    uint64_t be = htobe64(v);
    put(o, &be, sizeof be);
}

static void put_text(struct out *o, const char *text)
{
    put64(o, strlen(text));
    put(o, text, strlen(text));
}

static void put_entry(struct out *o, const struct ledger_entry *e)
{
    unsigned char row[ENTRY_LEN] = { 0 };
    uint64_t born = htobe64(e->born), last = htobe64(e->last);
    uint32_t decisions = htobe32(e->decisions);
    memcpy(row, e->id, sizeof e->id);
    row[48] = (unsigned char)e->kind;
    row[49] = (unsigned char)ledger_state_number(e->state);
    row[50] = (unsigned char)ledger_outcome_number(e->outcome);
    row[51] = e->noticed;
    memcpy(row + 52, &decisions, 4);
    memcpy(row + 56, &born, 8);
    memcpy(row + 64, &last, 8);
    uint32_t count = htobe32(e->count);
    memcpy(row + 72, &count, 4);
    put(o, row, sizeof row);
}

static void put_erased(struct out *o, const struct erased *e)
{
    put64(o, e->count);
    for (uint64_t n = 0; e->count > 0 && n < e->room; n++)
        if (e->by[n] != 0)
            put64(o, n << 32 | e->by[n]);
    put64(o, e->stories);
    put64(o, (uint64_t)e->last_ms);
}

static bool sign(struct out *o, EVP_PKEY *key)
{
    unsigned char text[MAGIC_LEN + 32], signature[SIGNATURE_LEN];
    size_t n = sizeof signature;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    memcpy(text, magic, MAGIC_LEN);
    sha256_one(slice_of(o->data, o->len), text + MAGIC_LEN);
    bool good = ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 && EVP_DigestSign(ctx, signature, &n, text, sizeof text) == 1
                && n == sizeof signature;
    EVP_MD_CTX_free(ctx);
    if (good)
        put(o, signature, sizeof signature);
    return good && !o->failed;
}

enum status memory_write(const char *path, EVP_PKEY *key, const char *instance, const struct memory *m, struct err *err)
{
    struct out o = { 0 };
    json_t *book = book_dump(m->ledger.book);
    char *book_text = book ? json_dumps(book, JSON_COMPACT) : NULL;
    put(&o, magic, MAGIC_LEN);
    put_text(&o, instance);
    put64(&o, m->tree.size);
    put(&o, m->tree.node, sizeof m->tree.node);
    put64(&o, m->mark_count);
    put(&o, m->marks, m->mark_count * 32);
    put64(&o, HASH_COUNT(m->ledger.entries));
    for (const struct ledger_entry *e = m->ledger.entries; e != NULL; e = e->hh.next)
        put_entry(&o, e);
    put_text(&o, book_text ? book_text : "");
    put_erased(&o, &m->erased);
    enum status st = book_text == NULL || o.failed || !sign(&o, key) ? fail(err, NO_MEMORY, "memory of the log")
                                                                      : file_write(path, slice_of(o.data, o.len), 0600, err);
    free(o.data);
    free(book_text);
    json_decref(book);
    return st;
}

/* ---- reading ---- */

static bool take(struct slice *in, void *out, size_t n)
{
    if (in->len < n)
        return false;
    if (n > 0)
        memcpy(out, in->ptr, n);
    *in = slice_from(*in, n);
    return true;
}

static bool take64(struct slice *in, uint64_t max, uint64_t *out)
{
    uint64_t be = 0;
    bool good = take(in, &be, sizeof be);
    *out = be64toh(be);
    return good && *out <= max;
}

static bool take_slice(struct slice *in, uint64_t max, struct slice *out)
{
    uint64_t n = 0;
    if (!take64(in, max, &n) || in->len < n)
        return false;
    *out = slice_of(in->ptr, (size_t)n);
    *in = slice_from(*in, (size_t)n);
    return true;
}

static bool signed_by(struct slice file, EVP_PKEY *key)
{
    unsigned char text[MAGIC_LEN + 32];
    if (file.len < MAGIC_LEN + SIGNATURE_LEN)
        return false;
    struct slice body = slice_of(file.ptr, file.len - SIGNATURE_LEN);
    memcpy(text, magic, MAGIC_LEN);
    sha256_one(body, text + MAGIC_LEN);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1
                && EVP_DigestVerify(ctx, body.ptr + body.len, SIGNATURE_LEN, text, sizeof text) == 1;
    EVP_MD_CTX_free(ctx);
    return good;
}

static enum status take_entries(struct slice *in, struct ledger *l, struct err *err)
{
    uint64_t n = 0, born = 0, last = 0;
    uint32_t decisions = 0, count = 0;
    unsigned char row[ENTRY_LEN];
    if (!take64(in, ENTRIES_MAX, &n))
        return fail(err, CORRUPT, "memory of the log");
    for (uint64_t i = 0; i < n; i++) {
        if (!take(in, row, sizeof row) || row[47] != 0)
            return fail(err, CORRUPT, "memory of the log");
        memcpy(&decisions, row + 52, 4);
        memcpy(&born, row + 56, 8);
        memcpy(&last, row + 64, 8);
        memcpy(&count, row + 72, 4);
        struct ledger_entry e = { .kind = (enum ledger_kind)row[48], .state = ledger_state_of(row[49]), .outcome = ledger_outcome_of(row[50]),
                                  .noticed = row[51] != 0, .decisions = be32toh(decisions), .born = be64toh(born), .last = be64toh(last), .count = be32toh(count) };
        memcpy(e.id, row, sizeof e.id);
        enum status st = ledger_restore(l, &e, err);
        if (st != OK)
            return st;
    }
    return OK;
}

static enum status take_book(struct slice *in, struct ledger *l, struct err *err)
{
    struct slice text;
    json_t *page;
    size_t i;
    if (!take_slice(in, BOOK_MAX, &text))
        return fail(err, CORRUPT, "memory of the log");
    json_t *pages = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    enum status st = json_is_array(pages) ? OK : fail(err, CORRUPT, "memory of the log");
    if (st == OK && json_array_size(pages) > 0 && (l->book = book_new()) == NULL)
        st = fail(err, NO_MEMORY, "budgets");
    json_array_foreach(pages, i, page)
        if (st == OK)
            st = book_apply(l->book, page, err);
    json_decref(pages);
    return st;
}

static enum status take_erased(struct slice *in, struct erased *e, struct err *err)
{
    uint64_t count = 0, both = 0;
    enum status st = take64(in, UINT32_MAX, &count) ? OK : fail(err, CORRUPT, "memory of the log");
    for (uint64_t i = 0; i < count && st == OK; i++)
        st = take64(in, UINT64_MAX, &both) ? erased_restore(e, both >> 32, both & UINT32_MAX, err) : fail(err, CORRUPT, "memory of the log");
    uint64_t last_ms = 0;
    if (st == OK && (!take64(in, UINT32_MAX, &e->stories) || !take64(in, INT64_MAX, &last_ms)))
        st = fail(err, CORRUPT, "memory of the log");
    e->last_ms = (int64_t)last_ms;
    return st;
}

static enum status parse(struct slice in, const char *instance, struct memory *m, struct err *err)
{
    char head[MAGIC_LEN];
    struct slice name;
    uint64_t marks = 0;
    if (!take(&in, head, sizeof head) || memcmp(head, magic, sizeof head) != 0 || !take_slice(&in, 256, &name) || !slice_eq(name, slice_str(instance))
        || !take64(&in, INT64_MAX, &m->tree.size) || !take(&in, m->tree.node, sizeof m->tree.node) || !take64(&in, MARKS_MAX, &marks) || in.len < marks * 32)
        return fail(err, CORRUPT, "memory of the log");
    m->marks = malloc(marks * 32 + 1);
    if (m->marks == NULL)
        return fail(err, NO_MEMORY, "memory of the log");
    m->mark_count = (size_t)marks;
    (void)take(&in, m->marks, (size_t)marks * 32);
    enum status st = take_entries(&in, &m->ledger, err);
    if (st == OK)
        st = take_book(&in, &m->ledger, err);
    return st == OK ? take_erased(&in, &m->erased, err) : st;
}

enum status memory_read(const char *path, EVP_PKEY *key, const char *instance, struct memory *out, struct err *err)
{
    unsigned char *bytes = NULL;
    size_t len = 0;
    struct memory m = { 0 };
    enum status st = file_read(path, file_max, true, &bytes, &len, err);
    if (st != OK)
        return st;
    if (!signed_by(slice_of(bytes, len), key))
        st = fail(err, CORRUPT, "'%s' is not signed by this gateway's log key", path);
    if (st == OK)                     /* only what we wrote gets here */
        st = parse(slice_of(bytes, len - SIGNATURE_LEN), instance, &m, err);
    free(bytes);
    if (st == OK) {
        *out = m;
        return OK;
    }
    free(m.marks);
    ledger_done(&m.ledger);
    erased_done(&m.erased);
    return st;
}
