#include "authz/approvals/tiles.h"

#include "proxy/base/codec.h"
#include "proxy/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    TILE = 256,                       /* hashes or entries in a file */
    STEP = 16 * TILE,                 /* leaves published in one call: some 30 ms, for which a lock may have to wait */
    AGAIN_LEAVES = 16 * TILE,         /* written anew at the start: nothing here is synced, so a power cut may have torn the last ones */
    LEVELS = 6,                       /* of tiles: 256^6 leaves are all there can be */
    PATH_ROOM = 512,
    CHECKPOINT_MAX = 16 * 1024,
};

struct tiles {
    char *folder, *instance;
    const struct log *log;
    struct store *store;
    uint64_t published;
};

/* The leaves of one tile, as they come out of the database. */
struct batch {
    uint64_t next;                    /* seq of the leaf that must come */
    size_t count, entries_len;
    unsigned char hash[TILE][32], entries[TILE * (2 + TREE_ENTRY_MAX)];
};

/* ---- files ---- */

/* tile/0/x001/x234/067 and, when it holds fewer than 256, .p/W (C2SP tlog-tiles). level < 0: entries. */
static void tile_path(const struct tiles *t, int level, uint64_t index, size_t width, char out[PATH_ROOM])
{
    char number[40] = "", before[64];
    snprintf(number, sizeof number, "%03u", (unsigned)(index % 1000));
    for (uint64_t n = index / 1000; n > 0; n /= 1000) {
        snprintf(before, sizeof before, "x%03u/%.30s", (unsigned)(n % 1000), number);
        snprintf(number, sizeof number, "%.39s", before);
    }
    if (level < 0)
        snprintf(before, sizeof before, "entries");
    else
        snprintf(before, sizeof before, "%d", level);
    if (width < TILE)
        snprintf(out, PATH_ROOM, "%.300s/tile/%s/%s.p/%zu", t->folder, before, number, width);
    else
        snprintf(out, PATH_ROOM, "%.300s/tile/%s/%s", t->folder, before, number);
}

static enum status make_folder_of(const char *path, struct err *err)
{
    char folder[PATH_ROOM];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    return file_mkdirs(folder, 0700, err);
}

/* Whole or not at all, but not synced: it can be made again. */
static enum status put_file(const char *path, struct slice content, struct err *err)
{
    char beside[PATH_ROOM + 8];
    enum status st = make_folder_of(path, err);
    if (st != OK)
        return st;
    snprintf(beside, sizeof beside, "%s.new", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool good = fd >= 0 && write(fd, content.ptr, content.len) == (ssize_t)content.len;
    int why = errno;
    if (fd >= 0)
        close(fd);
    return good && rename(beside, path) == 0 ? OK : fail(err, IO_FAILED, "cannot write '%s': %s", path, strerror(good ? errno : why));
}

/* A full tile takes the place of its partial ones. */
static void drop_partials(const struct tiles *t, int level, uint64_t index)
{
    char path[PATH_ROOM], *mark;
    for (size_t width = 1; width < TILE; width++) {
        tile_path(t, level, index, width, path);
        (void)unlink(path);
    }
    mark = strrchr(path, '/');
    *mark = 0;
    (void)rmdir(path);
}

static enum status put_tile(const struct tiles *t, int level, uint64_t index, size_t width, struct slice content, struct err *err)
{
    char path[PATH_ROOM];
    tile_path(t, level, index, width, path);
    enum status st = put_file(path, content, err);
    if (st == OK && width == TILE)
        drop_partials(t, level, index);
    return st;
}

/* ---- what stands in them ---- */

static enum status take_row(void *arg, json_t *row, struct err *err)
{
    struct batch *b = arg;
    unsigned char digest[32];
    size_t len = 0;
    char *entry = (char *)b->entries + b->entries_len + 2;
    const char *type = json_string_value(json_object_get(row, "type")), *text = json_string_value(json_object_get(row, "digest"));
    size_t n = 0;
    if ((uint64_t)json_integer_value(json_object_get(row, "seq")) == b->next && type != NULL && text != NULL && b->count < TILE
        && b64url_decode(slice_str(text), digest, sizeof digest, &len) == OK && len == sizeof digest)
        n = tree_entry(type, json_integer_value(json_object_get(row, "time_ms")), digest, entry);
    if (n == 0)
        return fail(err, CORRUPT, "leaf %llu cannot be published", (unsigned long long)b->next);
    tree_leaf_hash(slice_of(entry, n), b->hash[b->count++]);
    b->entries[b->entries_len] = (unsigned char)(n >> 8);
    b->entries[b->entries_len + 1] = (unsigned char)n;
    b->entries_len += 2 + n;
    b->next++;
    return OK;
}

/* Leaves of one tile, up to a size of the log. */
static enum status load_batch(const struct tiles *t, uint64_t tile, uint64_t size, struct batch *b, struct err *err)
{
    uint64_t from = tile * TILE + 1, to = (tile + 1) * TILE < size ? (tile + 1) * TILE : size;
    b->next = from;
    b->count = b->entries_len = 0;
    enum status st = store_each(t->store, take_row, b, err, "SELECT seq, type, time_ms, digest FROM leaf WHERE seq >= $1 AND seq <= $2 ORDER BY seq",
                                "ii", (int64_t)from, (int64_t)to);
    return st == OK && b->next != to + 1 ? fail(err, CORRUPT, "leaf %llu is missing", (unsigned long long)b->next) : st;
}

/* The tree of an earlier size: the marks before it, and the leaves behind the last of those. */
static enum status tree_at(const struct tiles *t, uint64_t size, struct batch *b, struct tree *out, struct err *err)
{
    size_t count;
    const unsigned char (*marks)[32] = log_marks(t->log, &count);
    *out = (struct tree){ 0 };
    for (uint64_t i = 0; i < size / TILE; i++)
        (void)tree_append(out, marks[i], NULL);
    tree_raise(out, LOG_MARK_LEVEL);
    enum status st = size % TILE != 0 ? load_batch(t, size / TILE, size, b, err) : OK;
    for (size_t i = 0; st == OK && size % TILE != 0 && i < b->count; i++)
        (void)tree_append(out, b->hash[i], NULL);
    return st;
}

static enum status put_leaves(const struct tiles *t, uint64_t from, uint64_t to, struct batch *b, struct err *err)
{
    enum status st = OK;
    for (uint64_t tile = from / TILE; tile * TILE < to && st == OK; tile++) {
        st = load_batch(t, tile, to, b, err);
        if (st == OK)
            st = put_tile(t, -1, tile, b->count, slice_of(b->entries, b->entries_len), err);
        if (st == OK)
            st = put_tile(t, 0, tile, b->count, slice_of(b->hash, b->count * 32), err);
    }
    return st;
}

/* The i-th hash of a level above the leaves: the root of 256^level of them. */
static void level_hash(const unsigned char (*marks)[32], int level, uint64_t i, unsigned char out[32])
{
    uint64_t span = 1;
    struct tree one = { 0 };
    for (int n = 1; n < level; n++)
        span *= TILE;
    for (uint64_t k = 0; k < span; k++)
        (void)tree_append(&one, marks[i * span + k], NULL);
    tree_root(&one, out);
}

static enum status put_level(const struct tiles *t, int level, uint64_t before, uint64_t now, struct err *err)
{
    unsigned char hashes[TILE][32];
    size_t count;
    const unsigned char (*marks)[32] = log_marks(t->log, &count);
    enum status st = OK;
    for (uint64_t tile = before / TILE; tile * TILE < now && st == OK; tile++) {
        size_t width = now - tile * TILE < TILE ? (size_t)(now - tile * TILE) : TILE;
        for (size_t i = 0; i < width; i++)
            level_hash(marks, level, tile * TILE + i, hashes[i]);
        st = put_tile(t, level, tile, width, slice_of(hashes, width * 32), err);
    }
    return st;
}

static enum status put_checkpoint(const struct tiles *t, uint64_t size, struct batch *b, struct err *err)
{
    struct tree tree;
    char path[PATH_ROOM], *note = NULL;
    enum status st = tree_at(t, size, b, &tree, err);
    struct chain_head head = chain_head_of(&tree);
    if (st == OK)
        st = log_sign(t->log, &head, &note, err);
    snprintf(path, sizeof path, "%.300s/checkpoint", t->folder);
    if (st == OK)
        st = put_file(path, slice_str(note), err);
    free(note);
    return st;
}

enum status tiles_publish(struct tiles *t, struct err *err)
{
    uint64_t from = t->published, to = log_size(t->log);
    if (from == to)
        return OK;
    if (to - from > STEP)
        to = from / TILE * TILE + STEP;
    struct batch *b = malloc(sizeof *b);
    enum status st = b ? put_leaves(t, from, to, b, err) : fail(err, NO_MEMORY, "tiles");
    for (int level = 1; level < LEVELS && st == OK && to >> (8 * level) > 0; level++)
        if (from >> (8 * level) != to >> (8 * level))
            st = put_level(t, level, from >> (8 * level), to >> (8 * level), err);
    if (st == OK)
        st = put_checkpoint(t, to, b, err);
    free(b);
    if (st == OK)
        t->published = to;
    return st;
}

/* ---- opening ---- */

/* With it anybody's verifier of signed notes can check the checkpoint; to be compared with one that was noted elsewhere. */
static enum status put_key(const struct tiles *t, struct err *err)
{
    char path[PATH_ROOM], key[CHAIN_NOTE_MAX], text[CHAIN_NOTE_MAX + 1];
    if (chain_note_vkey(log_public_key(t->log), t->instance, key) != OK)
        return fail(err, BAD_CONFIG, "the instance's name does not fit a signed note");
    snprintf(text, sizeof text, "%s\n", key);
    snprintf(path, sizeof path, "%.300s/key", t->folder);
    return put_file(path, slice_str(text), err);
}

static enum status check_published(struct tiles *t, const struct chain_head *seen, struct err *err)
{
    struct tree tree;
    if (seen->seq > log_size(t->log))
        return fail(err, CORRUPT, "the log in authz.db has %llu leaves, but %llu were published in '%s': the database was replaced by an older copy",
                    (unsigned long long)log_size(t->log), (unsigned long long)seen->seq, t->folder);
    struct batch *b = malloc(sizeof *b);
    enum status st = b ? tree_at(t, seen->seq, b, &tree, err) : fail(err, NO_MEMORY, "tiles");
    free(b);
    struct chain_head found = chain_head_of(&tree);
    if (st == OK && memcmp(found.hash, seen->hash, sizeof found.hash) != 0)
        st = fail(err, CORRUPT, "the first %llu leaves in authz.db are not those that were published in '%s'", (unsigned long long)seen->seq, t->folder);
    return st;
}

static enum status look_back(struct tiles *t, struct err *err)
{
    struct chain_head seen = { 0 };
    unsigned char *note = NULL;
    size_t len = 0;
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%.300s/checkpoint", t->folder);
    enum status st = file_read(path, CHECKPOINT_MAX, false, &note, &len, err);
    if (st == NOT_FOUND)
        return OK;
    if (st == OK && len == 0) {       /* torn by a power cut */
        free(note);
        return OK;
    }
    if (st == OK && chain_note_verify(log_public_key(t->log), t->instance, slice_of(note, len), &seen, err) != OK)
        st = fail(err, CORRUPT, "'%s' is not signed by this log's key", path);
    free(note);
    if (st == OK)
        st = check_published(t, &seen, err);
    if (st == OK)
        t->published = seen.seq > AGAIN_LEAVES ? (seen.seq - AGAIN_LEAVES) / TILE * TILE : 0;
    return st;
}

enum status tiles_open(const char *folder, const char *instance, const struct log *l, struct store *store, struct tiles **out, struct err *err)
{
    struct tiles *t = calloc(1, sizeof *t);
    if (t == NULL || (t->folder = strdup(folder)) == NULL || (t->instance = strdup(instance)) == NULL || strlen(folder) > 300) {
        tiles_close(t);
        return fail(err, NO_MEMORY, "tiles");
    }
    t->log = l;
    t->store = store;
    enum status st = file_mkdirs(folder, 0700, err);
    if (st == OK)
        st = look_back(t, err);
    if (st == OK)
        st = put_key(t, err);
    if (st == OK)
        *out = t;
    else
        tiles_close(t);
    return st;
}

void tiles_close(struct tiles *t)
{
    if (t == NULL)
        return;
    free(t->folder);
    free(t->instance);
    free(t);
}

uint64_t tiles_published(const struct tiles *t)
{
    return t->published;
}
