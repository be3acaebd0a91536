/* What lies in a published log beside what its checkpoint needs: narrower tiles, which whoever followed it earlier has read, and which must be the beginnings of the present ones; and its key. */
#include "proxy/record/verify_tiles.h"

#include "authz/chain.h"
#include "proxy/base/file.h"
#include "proxy/record/verify.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { WIDTH_MAX = 255, DEPTH_MAX = 8, PATH_ROOM = 512, TILE_MAX = 256 * (2 + 65535), HASH = 32 };

struct rest {
    const char *folder;
    json_t *findings;
};

/* 1 to 255, as the names of partial tiles are; 0: something else. */
static unsigned width_of(const char *name)
{
    unsigned n = 0;
    if (name[0] < '1' || name[0] > '9' || strlen(name) > 3 || strspn(name, "0123456789") < strlen(name))
        return 0;
    for (; *name != 0; name++)
        n = n * 10 + (unsigned)(*name - '0');
    return n <= WIDTH_MAX ? n : 0;
}

static enum status read_tile(const struct rest *r, const char *name, unsigned char **out, size_t *len)
{
    char *path = file_join(r->folder, name);
    enum status st = path ? file_read(path, TILE_MAX, false, out, len, NULL) : NO_MEMORY;
    free(path);
    return st;
}

/* Bytes that so many entries take (each with its length before it), or SIZE_MAX. */
static size_t entries_len(struct slice s, unsigned count)
{
    size_t at = 0;
    for (unsigned i = 0; i < count; i++) {
        size_t len = s.len - at >= 2 ? 2 + ((size_t)s.ptr[at] << 8 | s.ptr[at + 1]) : SIZE_MAX;
        if (len > s.len - at)
            return SIZE_MAX;
        at += len;
    }
    return at;
}

/* name: of the narrow one; whole: of the one that it must be the beginning of. */
static enum status compare(const struct rest *r, const char *name, unsigned width, const char *whole)
{
    unsigned char *narrow = NULL, *wide = NULL;
    size_t narrow_len = 0, wide_len = 0;
    bool entries = strncmp(name, "tile/entries/", 13) == 0;
    enum status st = read_tile(r, name, &narrow, &narrow_len), of_wide = st == OK ? read_tile(r, whole, &wide, &wide_len) : OK;
    size_t expected = st == OK && of_wide == OK ? entries ? entries_len(slice_of(wide, wide_len), width) : (size_t)width * HASH : SIZE_MAX;
    bool same = narrow_len == expected && expected <= wide_len && (expected == 0 || memcmp(narrow, wide, expected) == 0);
    free(narrow);
    free(wide);
    if (st == NO_MEMORY || of_wide == NO_MEMORY)
        return NO_MEMORY;
    return same ? OK : verify_finding(r->findings, entries ? "altered-entries" : "altered-tile", 0, 0, "%s is not the beginning of %s", name, whole);
}

static enum status take_folder(const struct rest *r, const char *name, unsigned depth);

/* tile/0/000.p: the widest in it, unless tile/0/000 is there, is what the others begin. */
static enum status take_partials(const struct rest *r, const char *name, const char *const *files, size_t count)
{
    char whole[PATH_ROOM], one[PATH_ROOM];
    struct stat sb;
    unsigned widest = 0;
    snprintf(whole, sizeof whole, "%.*s", (int)(strlen(name) - 2), name);
    char *path = file_join(r->folder, whole);
    bool full = path != NULL && stat(path, &sb) == 0;
    free(path);
    for (size_t i = 0; i < count; i++)
        widest = width_of(files[i]) > widest ? width_of(files[i]) : widest;
    if (!full)
        snprintf(whole, sizeof whole, "%.490s/%u", name, widest);
    enum status st = OK;
    for (size_t i = 0; i < count && st == OK; i++) {
        unsigned width = width_of(files[i]);
        snprintf(one, sizeof one, "%.240s/%.250s", name, files[i]);
        if (width == 0)
            st = verify_finding(r->findings, "altered-tile", 0, 0, "%s is no tile", one);
        else
            st = compare(r, one, width, whole);
    }
    return st;
}

static enum status take_all(const struct rest *r, const char *name, const char *const *files, size_t count, unsigned depth)
{
    size_t len = strlen(name);
    enum status st = OK;
    if (len > 2 && strcmp(name + len - 2, ".p") == 0)
        return take_partials(r, name, files, count);
    for (size_t i = 0; i < count && st == OK; i++) {
        char one[PATH_ROOM];
        snprintf(one, sizeof one, "%.240s/%.250s", name, files[i]);
        st = take_folder(r, one, depth + 1);
    }
    return st;
}

/* What is no folder is a full tile, and was compared already. */
static enum status take_folder(const struct rest *r, const char *name, unsigned depth)
{
    char *path = file_join(r->folder, name);
    struct dirent **found = NULL;
    int count = path != NULL && depth < DEPTH_MAX ? scandir(path, &found, NULL, alphasort) : 0;
    enum status st = path != NULL ? OK : NO_MEMORY;
    const char **files = count > 0 ? calloc((size_t)count, sizeof *files) : NULL;
    size_t n = 0;
    for (int i = 0; files != NULL && i < count; i++)
        if (found[i]->d_name[0] != '.')
            files[n++] = found[i]->d_name;
    if (count > 0 && files == NULL)
        st = NO_MEMORY;
    if (st == OK && n > 0)
        st = take_all(r, name, files, n, depth);
    while (count-- > 0)
        free(found[count]);
    free(found);
    free(files);
    free(path);
    return st;
}

/* Published for those who follow; who has the key from elsewhere needs no such file. */
static enum status check_key(const struct rest *r, const unsigned char log_key[32], const char *instance)
{
    char expected[CHAIN_NOTE_MAX];
    unsigned char *text = NULL;
    size_t len = 0;
    if (read_tile(r, "key", &text, &len) != OK)
        return OK;
    bool same = chain_note_vkey(log_key, instance, expected) == OK && len > 0 && text[len - 1] == '\n' && slice_eq(slice_of(text, len - 1), slice_str(expected));   /* to the byte */
    free(text);
    return same ? OK : verify_finding(r->findings, "bad-head", 0, 0, "the file key is not the log key that was given");
}

enum status verify_tiles_rest(const char *folder, const unsigned char log_key[32], const char *instance, json_t *findings)
{
    const struct rest r = { folder, findings };
    enum status st = take_folder(&r, "tile", 0);
    return st == OK ? check_key(&r, log_key, instance) : st;
}
