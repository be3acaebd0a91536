/* The published log in hostile hands: whatever is done to its files, verify says so. 300 random edits; 1000 with COUNTERSIGN_LONG. */
#include "authz/approvals/testbed.h"
#include "authz/approvals/tiles.h"
#include "proxy/record/verify_tiles.h"

#include "proxy/base/file.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { FILES_MAX = 64, LEAVES = 700 };

struct world {
    struct testbed t;
    char folder[160], *path[FILES_MAX];
    size_t count;
    unsigned char key[32];
    char *later;                      /* a checkpoint of all leaves */
    char *earlier;                    /* of half of them */
};

static void collect(struct world *w, const char *folder)
{
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[600];
        struct stat sb;
        if (e->d_name[0] == '.' || strcmp(e->d_name, "key") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        assert_int_equal(stat(path, &sb), 0);
        if (S_ISDIR(sb.st_mode))
            collect(w, path);
        else if (w->count < FILES_MAX)
            w->path[w->count++] = strdup(path);
    }
    closedir(d);
}

static void append(struct store *store, struct log *log, unsigned count)
{
    assert_int_equal(store_begin(store, NULL), OK);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(log_append(log, "session.read", json_pack("{s:s, s:i}", "by", "dan", "n", (int)i), 1790000000000 + i, NULL, NULL), OK);
    assert_int_equal(log_seal(log, NULL), OK);
    assert_int_equal(store_commit(store, NULL), OK);
    assert_int_equal(log_committed(log, NULL), OK);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct store *store = NULL;
    struct log *log = NULL;
    struct tiles *tiles = NULL;
    char db[160], key[160];
    testbed_make(&w->t);
    snprintf(db, sizeof db, "%s/authz.db", w->t.dir);
    snprintf(key, sizeof key, "%s/keys/log.pem", w->t.dir);
    snprintf(w->folder, sizeof w->folder, "%s/log", w->t.dir);
    assert_int_equal(store_open(db, &store, NULL), OK);
    assert_int_equal(log_open(store, "test.example", key, NULL, &log, NULL), OK);
    assert_int_equal(tiles_open(w->folder, "test.example", log, store, &tiles, NULL), OK);
    append(store, log, LEAVES / 2);
    assert_int_equal(log_checkpoint(log, &w->earlier, NULL), OK);
    append(store, log, LEAVES - LEAVES / 2);
    assert_int_equal(log_checkpoint(log, &w->later, NULL), OK);
    assert_int_equal(tiles_publish(tiles, NULL), OK);
    memcpy(w->key, log_public_key(log), 32);
    tiles_close(tiles);
    log_close(log);
    store_close(store);
    collect(w, w->folder);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < w->count; i++)
        free(w->path[i]);
    free(w->later);
    free(w->earlier);
    testbed_remove(&w->t);
    free(w);
    return 0;
}

static size_t findings_of(const struct world *w, const char *later)
{
    json_t *findings = json_array();
    uint64_t leaves = 0;
    assert_int_equal(verify_tiles(w->folder, w->key, "test.example", later, findings, &leaves, NULL), OK);
    size_t n = json_array_size(findings);
    json_decref(findings);
    return n;
}

static void untouched_is_whole(void **state)
{
    struct world *w = *state;
    assert_int_equal(w->count, 1 + 3 + 3 + 1);   /* checkpoint, entries, hashes, tile 1 */
    assert_int_equal(findings_of(w, NULL), 0);
    assert_int_equal(findings_of(w, w->later), 0);
    assert_int_equal(findings_of(w, w->earlier), 0);
}

static uint64_t random_below(uint64_t *seed, uint64_t n)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed % n;
}

static void put(const char *path, struct slice content)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(content.ptr, 1, content.len, f), content.len);
    fclose(f);
}

/* One edit; false: it would change nothing. */
static bool edit(const struct world *w, uint64_t *seed, const char **what, char said[200])
{
    size_t i = random_below(seed, w->count), k = random_below(seed, w->count), len = 0, other_len = 0;
    unsigned char *data = NULL, *other = NULL;
    assert_int_equal(file_read(w->path[i], 1 << 20, false, &data, &len, NULL), OK);
    assert_int_equal(file_read(w->path[k], 1 << 20, false, &other, &other_len, NULL), OK);
    size_t at = random_below(seed, len);
    static const char *const names[] = { "byte", "deleted", "cut", "swapped", "longer", "doubled", "moved" };
    size_t kind = random_below(seed, 7);
    bool good = true;
    *what = names[kind];
    snprintf(said, 200, "%s %zu", w->path[i] + strlen(w->folder), at);
    if (kind == 0) {
        data[at] ^= (unsigned char)(1u << random_below(seed, 8));
        put(w->path[i], slice_of(data, len));
    } else if (kind == 1) {
        unlink(w->path[i]);
    } else if (kind == 2) {
        put(w->path[i], slice_of(data, at));
    } else if (kind == 3) {
        good = len != other_len || memcmp(data, other, len) != 0;
        put(w->path[i], slice_of(other, other_len));
        put(w->path[k], slice_of(data, len));
    } else if (kind == 4) {
        unsigned char *more = malloc(len + 1);
        memcpy(more, data, len);
        more[len] = (unsigned char)random_below(seed, 256);
        put(w->path[i], slice_of(more, len + 1));
        free(more);
    } else {                          /* 32 bytes written over by those before them: a leaf said twice */
        good = at >= 32 && len - at >= 32 && memcmp(data + at, data + at - 32, 32) != 0;
        if (good)
            memcpy(data + at, data + at - 32, 32);
        put(w->path[i], slice_of(data, len));
    }
    free(data);
    free(other);
    return good;
}

static void every_edit_is_found(void **state)
{
    struct world *w = *state;
    unsigned char *kept[FILES_MAX];
    size_t len[FILES_MAX];
    uint64_t seed = 0x9e3779b97f4a7c15;
    unsigned wanted = getenv("COUNTERSIGN_LONG") ? 1000 : 300, done = 0;
    for (size_t i = 0; i < w->count; i++)
        assert_int_equal(file_read(w->path[i], 1 << 20, false, &kept[i], &len[i], NULL), OK);
    while (done < wanted) {
        const char *what;
        char said[200];
        bool changed = edit(w, &seed, &what, said);
        size_t found = findings_of(w, w->later);
        if (changed && found == 0)
            fail_msg("%s at %s was not found", what, said);
        done += changed;
        for (size_t i = 0; i < w->count; i++)
            put(w->path[i], slice_of(kept[i], len[i]));
    }
    assert_int_equal(findings_of(w, w->later), 0);
    for (size_t i = 0; i < w->count; i++)
        free(kept[i]);
}

/* The file for those who follow, cut anywhere, or longer: it is not the key any more. Without it the log is whole: the key is kept elsewhere. */
static void another_key_file_is_found(void **state)
{
    struct world *w = *state;
    unsigned char *good = NULL, more[400];
    size_t len = 0;
    char path[200];
    snprintf(path, sizeof path, "%s/key", w->folder);
    assert_int_equal(file_read(path, sizeof more - 1, false, &good, &len, NULL), OK);
    for (size_t cut = 0; cut < len; cut++) {
        put(path, slice_of(good, cut));
        if (findings_of(w, w->later) == 0)
            fail_msg("cut after %zu of %zu bytes", cut, len);
    }
    static const char others[] = " \n\tA";
    memcpy(more, good, len);
    for (size_t i = 0; i < sizeof others - 1; i++) {
        more[len] = (unsigned char)others[i];
        put(path, slice_of(more, len + 1));
        assert_true(findings_of(w, w->later) > 0);
    }
    unlink(path);
    assert_int_equal(findings_of(w, w->later), 0);
    put(path, slice_of(good, len));
    assert_int_equal(findings_of(w, w->later), 0);
    free(good);
}

/* An older state of the whole folder is whole in itself; only who holds a later checkpoint sees what is gone. */
static void a_cut_log_is_found_with_a_later_checkpoint(void **state)
{
    struct world *w = *state;
    struct err err;
    char path[200];
    struct chain_head head;
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    char *forged = NULL;
    snprintf(path, sizeof path, "%s/checkpoint", w->folder);
    unsigned char *now = NULL;
    size_t len = 0;
    assert_int_equal(file_read(path, 4096, false, &now, &len, NULL), OK);
    put(path, slice_str(w->earlier));
    assert_true(findings_of(w, w->later) > 0);
    assert_int_equal(chain_note_verify(w->key, "test.example", slice_str(w->later), &head, &err), OK);
    assert_int_equal(chain_note_sign(key, "test.example", &head, &forged, &err), OK);
    put(path, slice_str(forged));
    assert_true(findings_of(w, NULL) > 0);
    put(path, slice_of(now, len));
    free(now);
    free(forged);
    EVP_PKEY_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(untouched_is_whole), cmocka_unit_test(every_edit_is_found), cmocka_unit_test(another_key_file_is_found),
                                        cmocka_unit_test(a_cut_log_is_found_with_a_later_checkpoint) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
