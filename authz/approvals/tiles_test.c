/* The published log: what authz writes there is what the specification asks for, follows the log, and shows an older database. */
#include "authz/approvals/testbed.h"
#include "authz/approvals/tiles.h"

#include "proxy/base/codec.h"
#include "proxy/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct bench {
    struct testbed t;
    struct store *store;
    struct log *log;
    struct tiles *tiles;
    char db[128], key[128], folder[128];
};

static void open_all(struct bench *b)
{
    struct err err = { "" };
    if (store_open(b->db, &b->store, &err) != OK || log_open(b->store, "test.example", b->key, NULL, &b->log, &err) != OK
        || tiles_open(b->folder, "test.example", b->log, b->store, &b->tiles, &err) != OK)
        fail_msg("%s", err.text);
}

static void close_all(struct bench *b)
{
    tiles_close(b->tiles);
    log_close(b->log);
    store_close(b->store);
    b->tiles = NULL;
    b->log = NULL;
    b->store = NULL;
}

static int set_up(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    testbed_make(&b->t);
    snprintf(b->db, sizeof b->db, "%s/authz.db", b->t.dir);
    snprintf(b->key, sizeof b->key, "%s/keys/log.pem", b->t.dir);
    snprintf(b->folder, sizeof b->folder, "%s/log", b->t.dir);
    open_all(b);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    close_all(b);
    testbed_remove(&b->t);
    free(b);
    return 0;
}

static void append(struct bench *b, unsigned count)
{
    struct err err = { "" };
    while (count > 0) {
        unsigned n = count < 500 ? count : 500;
        assert_int_equal(store_begin(b->store, &err), OK);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(log_append(b->log, "session.read", json_pack("{s:s}", "by", "dan"), 1790000000000, NULL, &err), OK);
        assert_int_equal(log_seal(b->log, &err), OK);
        assert_int_equal(store_commit(b->store, &err), OK);
        assert_int_equal(log_committed(b->log, &err), OK);
        count -= n;
    }
}

static bool there(const struct bench *b, const char *name, size_t bytes)
{
    char path[256];
    struct stat sb;
    snprintf(path, sizeof path, "%s/%s", b->folder, name);
    return stat(path, &sb) == 0 && (bytes == 0 || (size_t)sb.st_size == bytes);
}

static void publish_all(struct bench *b)
{
    struct err err = { "" };
    while (tiles_published(b->tiles) != log_size(b->log))
        if (tiles_publish(b->tiles, &err) != OK)
            fail_msg("%s", err.text);
}

/* The published checkpoint is about this many leaves. */
static void expect_size(const struct bench *b, uint64_t size)
{
    char path[256], *note = NULL;
    size_t len = 0;
    struct chain_head head;
    snprintf(path, sizeof path, "%s/checkpoint", b->folder);
    assert_int_equal(file_read(path, 4096, false, (unsigned char **)&note, &len, NULL), OK);
    assert_int_equal(chain_note_verify(log_public_key(b->log), "test.example", slice_of(note, len), &head, NULL), OK);
    assert_int_equal(head.seq, size);
    free(note);
}

static void files_follow_the_log(void **state)
{
    struct bench *b = *state;
    append(b, 3);
    publish_all(b);
    expect_size(b, 3);
    assert_true(there(b, "tile/0/000.p/3", 96) && there(b, "tile/entries/000.p/3", 0));
    append(b, 252);
    publish_all(b);
    assert_true(there(b, "tile/0/000.p/3", 96) && there(b, "tile/0/000.p/255", 255 * 32));
    assert_false(there(b, "tile/1", 0));
    append(b, 2);
    publish_all(b);
    assert_true(there(b, "tile/0/000", 256 * 32) && there(b, "tile/0/001.p/1", 32) && there(b, "tile/1/000.p/1", 32));
    assert_false(there(b, "tile/0/000.p", 0) || there(b, "tile/entries/000.p", 0));
    expect_size(b, 257);
}

/* The node of 256 leaves in tile 1 and the leaf hashes below it give the checkpoint's root. */
static void roots_agree(void **state)
{
    struct bench *b = *state;
    char path[256];
    unsigned char *low = NULL, *high = NULL, root[32];
    size_t len = 0;
    struct tree t = { 0 };
    append(b, 256);
    publish_all(b);
    snprintf(path, sizeof path, "%s/tile/0/000", b->folder);
    assert_int_equal(file_read(path, 1 << 16, false, &low, &len, NULL), OK);
    for (size_t i = 0; i < 256; i++)
        (void)tree_append(&t, low + 32 * i, NULL);
    tree_root(&t, root);
    snprintf(path, sizeof path, "%s/tile/1/000.p/1", b->folder);
    assert_int_equal(file_read(path, 1 << 16, false, &high, &len, NULL), OK);
    assert_int_equal(len, 32);
    assert_memory_equal(root, high, 32);
    free(low);
    free(high);
}

static void it_goes_on_after_a_restart(void **state)
{
    struct bench *b = *state;
    append(b, 700);
    publish_all(b);
    close_all(b);
    open_all(b);
    append(b, 100);
    publish_all(b);
    expect_size(b, 800);
    assert_true(there(b, "tile/0/002", 8192) && there(b, "tile/0/003.p/32", 1024) && there(b, "tile/1/000.p/3", 96));
}

static void in_steps(void **state)
{
    struct bench *b = *state;
    append(b, 17000);
    assert_int_equal(tiles_publish(b->tiles, NULL), OK);
    assert_int_equal(tiles_published(b->tiles), 4096);
    expect_size(b, 4096);
    publish_all(b);
    expect_size(b, 17000);
    assert_true(there(b, "tile/1/000.p/66", 66 * 32));
}

/* What no signature of the database itself can show: it is an older, whole copy. */
static void an_older_database_is_noticed(void **state)
{
    struct bench *b = *state;
    struct err err = { "" };
    char copy[160], command[800];
    append(b, 5);
    close_all(b);
    snprintf(copy, sizeof copy, "%s.old", b->db);
    snprintf(command, sizeof command, "cp %s %s", b->db, copy);
    assert_int_equal(system(command), 0);
    open_all(b);
    append(b, 1);
    publish_all(b);
    close_all(b);
    snprintf(command, sizeof command, "rm -f %s-wal %s-shm && mv %s %s", b->db, b->db, copy, b->db);
    assert_int_equal(system(command), 0);
    assert_int_equal(store_open(b->db, &b->store, &err), OK);
    assert_int_equal(log_open(b->store, "test.example", b->key, NULL, &b->log, &err), OK);
    assert_int_equal(tiles_open(b->folder, "test.example", b->log, b->store, &b->tiles, &err), CORRUPT);
    assert_non_null(strstr(err.text, "replaced by an older copy"));
    append(b, 1);                     /* and going on from there is another history of the same length */
    assert_int_equal(tiles_open(b->folder, "test.example", b->log, b->store, &b->tiles, &err), CORRUPT);
    assert_non_null(strstr(err.text, "not those that were published"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_follow_the_log, set_up, tear_down),
        cmocka_unit_test_setup_teardown(roots_agree, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_goes_on_after_a_restart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(in_steps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_older_database_is_noticed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
