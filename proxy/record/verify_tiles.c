#include "proxy/record/verify_tiles.h"

#include "authz/chain.h"
#include "proxy/base/file.h"
#include "proxy/record/verify.h"

#include <stdio.h>
#include <stdlib.h>

enum { TILE = 256, LEVELS = 6, PATH_ROOM = 200, NOTE_MAX = 16 * 1024, TILE_MAX = TILE * (2 + 65535) };

/* The walk over all leaves; what it completes is compared with the tiles above. */
struct walk {
    const char *folder;
    json_t *findings;
    struct tree tree;
    uint64_t size;                    /* that the checkpoint counts */
    struct chain_head own, later;
    bool has_later, stop;
    struct level {
        unsigned char hash[TILE][32];
        size_t count;
        uint64_t tile;
    } level[LEVELS];
};

static enum status missing(struct walk *w, const char *name)
{
    return verify_finding(w->findings, "missing-tile", 0, 0, "the file %s is missing, or cannot be read", name);
}

/* The name below the folder, as authz/approvals/tiles.c writes it. */
static void tile_name(int level, uint64_t index, size_t width, char out[PATH_ROOM])
{
    char number[40] = "", longer[64], kind[16];
    snprintf(number, sizeof number, "%03u", (unsigned)(index % 1000));
    for (uint64_t n = index / 1000; n > 0; n /= 1000) {
        snprintf(longer, sizeof longer, "x%03u/%.30s", (unsigned)(n % 1000), number);
        snprintf(number, sizeof number, "%.39s", longer);
    }
    snprintf(kind, sizeof kind, level < 0 ? "entries" : "%d", level);
    if (width < TILE)
        snprintf(out, PATH_ROOM, "tile/%s/%s.p/%zu", kind, number, width);
    else
        snprintf(out, PATH_ROOM, "tile/%s/%s", kind, number);
}

/* NOT_FOUND was reported already. */
static enum status read_part(struct walk *w, const char *name, unsigned char **out, size_t *len_out)
{
    char *path = file_join(w->folder, name);
    if (path == NULL)
        return NO_MEMORY;
    enum status st = file_read(path, TILE_MAX, false, out, len_out, NULL);
    free(path);
    if (st == OK || st == NO_MEMORY)
        return st;
    st = missing(w, name);
    return st == OK ? NOT_FOUND : st;
}

/* A tile above the leaves, or of leaf hashes: exactly these. */
static enum status compare_tile(struct walk *w, int level)
{
    struct level *l = &w->level[level];
    char name[PATH_ROOM];
    unsigned char *data = NULL;
    size_t len = 0;
    tile_name(level, l->tile, l->count, name);
    enum status st = read_part(w, name, &data, &len);
    if (st == OK && (len != l->count * 32 || memcmp(data, l->hash, len) != 0)) {
        size_t i = 0;
        while (i < l->count && len >= (i + 1) * 32 && memcmp(data + i * 32, l->hash[i], 32) == 0)
            i++;
        st = level == 0 ? verify_finding(w->findings, "altered-tile", 0, l->tile * TILE + i + 1, "%s: its hash of leaf %llu is not that of the entry", name,
                                         (unsigned long long)(l->tile * TILE + i + 1))
                        : verify_finding(w->findings, "altered-tile", 0, 0, "%s: its hash %zu is not the root of the tile below", name, i);
    }
    free(data);
    l->count = 0;
    l->tile++;
    return st == NOT_FOUND ? OK : st;
}

static enum status keep_hash(struct walk *w, int level, const unsigned char hash[32])
{
    struct level *l = &w->level[level];
    memcpy(l->hash[l->count++], hash, 32);
    return l->count == TILE ? compare_tile(w, level) : OK;
}

static enum status meet(struct walk *w, const struct chain_head *head, bool own)
{
    unsigned char root[32];
    unsigned long long n = head->seq;
    if (head->seq != w->tree.size)
        return OK;
    tree_root(&w->tree, root);
    if (memcmp(root, head->hash, sizeof root) == 0)
        return OK;
    return own ? verify_finding(w->findings, "bad-chain", 0, n, "the %llu leaves do not lead to the checkpoint: one was changed, taken out or moved", n)
               : verify_finding(w->findings, "forked-log", 0, n,
                                "the log is not the one that was seen before: its first %llu leaves do not lead to the later checkpoint", n);
}

static enum status take_entry(struct walk *w, struct slice entry)
{
    unsigned char leaf[32], done[TREE_LEVELS][32];
    tree_leaf_hash(entry, leaf);
    size_t n = tree_append(&w->tree, leaf, done);
    enum status st = OK;
    for (int level = 0; level < LEVELS && (size_t)level * 8 < n && st == OK; level++)
        st = keep_hash(w, level, done[level * 8]);
    if (st == OK)
        st = meet(w, &w->own, true);
    if (st == OK && w->has_later)
        st = meet(w, &w->later, false);
    return st;
}

static enum status take_entries(struct walk *w, const char *name, struct slice rest, size_t width)
{
    enum status st = OK;
    for (size_t i = 0; i < width && st == OK; i++) {
        size_t len = rest.len >= 2 ? (size_t)rest.ptr[0] << 8 | rest.ptr[1] : 0;
        if (len == 0 || rest.len < 2 + len) {
            w->stop = true;
            return verify_finding(w->findings, "altered-entries", 0, w->tree.size + 1, "%s: where leaf %llu should stand is something else", name,
                                  (unsigned long long)w->tree.size + 1);
        }
        st = take_entry(w, slice_of(rest.ptr + 2, len));
        rest = slice_from(rest, 2 + len);
    }
    return st == OK && rest.len > 0 ? verify_finding(w->findings, "altered-entries", 0, w->tree.size, "%s: %zu bytes too many", name, rest.len) : st;
}

static enum status take_bundle(struct walk *w, uint64_t tile)
{
    size_t width = w->size - tile * TILE < TILE ? (size_t)(w->size - tile * TILE) : TILE, len = 0;
    char name[PATH_ROOM];
    unsigned char *data = NULL;
    tile_name(-1, tile, width, name);
    enum status st = read_part(w, name, &data, &len);
    if (st == OK)
        st = take_entries(w, name, slice_of(data, len), width);
    w->stop |= st == NOT_FOUND;
    free(data);
    return st == NOT_FOUND ? OK : st;
}

static enum status read_checkpoint(struct walk *w, const unsigned char key[32], const char *instance, bool *there)
{
    unsigned char *note = NULL;
    size_t len = 0;
    struct err why = { "" };
    enum status st = read_part(w, "checkpoint", &note, &len);
    *there = st == OK && chain_note_verify(key, instance, slice_of(note, len), &w->own, &why) == OK;
    if (st == OK && !*there)
        st = verify_finding(w->findings, "bad-head", 0, 0, "the checkpoint is not good: %s", why.text);
    free(note);
    return st == NOT_FOUND ? OK : st;
}

static enum status walk_all(struct walk *w)
{
    enum status st = OK;
    w->size = w->own.seq;
    for (uint64_t tile = 0; tile * TILE < w->size && st == OK && !w->stop; tile++)
        st = take_bundle(w, tile);
    for (int level = 0; level < LEVELS && st == OK && !w->stop; level++)
        if (w->level[level].count > 0)
            st = compare_tile(w, level);
    if (st == OK && w->has_later && w->later.seq > w->size)
        st = verify_finding(w->findings, "cut-log", 0, w->size, "the log was cut: a checkpoint seen elsewhere counts %llu leaves, this one %llu",
                            (unsigned long long)w->later.seq, (unsigned long long)w->size);
    return st;
}

enum status verify_tiles(const char *folder, const unsigned char log_key[32], const char *instance, const char *later_head, json_t *findings,
                         uint64_t *leaves_out, struct err *err)
{
    struct walk *w = calloc(1, sizeof *w);
    struct err why = { "" };
    bool there = false;
    enum status st = w != NULL ? OK : NO_MEMORY;
    if (st == OK) {
        w->folder = folder;
        w->findings = findings;
        w->has_later = later_head != NULL && chain_note_verify(log_key, instance, slice_str(later_head), &w->later, &why) == OK;
        if (later_head != NULL && !w->has_later)
            st = verify_finding(findings, "bad-head", 0, 0, "the later checkpoint is not good: %s", why.text);
    }
    if (st == OK)
        st = read_checkpoint(w, log_key, instance, &there);
    if (st == OK && there)
        st = walk_all(w);
    if (st == OK)
        st = verify_tiles_rest(folder, log_key, instance, findings);
    *leaves_out = w != NULL ? w->size : 0;
    free(w);
    return st == OK ? OK : fail(err, st, "verify");
}
