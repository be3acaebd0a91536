/* Recordings that are sealed: who can open them, what of them lies readable on the disk, and what a change of keys does. */
#include "proxy/record/record_test.h"

static const char session_id[] = "grt_sealed";

struct world {
    struct test_dir dir;
    struct test_ring ring;
    struct test_authz authz;
    char path[256];
};

static int make_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    test_dir_make(&w->dir);
    test_ring_make(&w->ring, 1 << 20);
    test_authz_start(&w->authz, w->dir.path);
    test_recording_path(w->path, w->dir.path, session_id);
    *state = w;
    return 0;
}

static int end_world(void **state)
{
    struct world *w = *state;
    test_authz_stop(&w->authz);
    test_ring_free(&w->ring);
    test_dir_remove(w->dir.path);
    free(w);
    return 0;
}

/* One exchange with a secret in its target and its bodies; *x stays open unless `close`. */
static void record_one(struct tape *t, struct tape_exchange *x, struct arena *arena, struct field v[8], bool close)
{
    struct tape_session s = test_session(session_id);
    struct message request = test_request("GET", "/customers/planted-secret", "accept: planted-secret\n", v, 4);
    struct message response = test_response(200, "x-echo: planted-secret\n", v + 4, 4);
    assert_int_equal(tape_begin(t, x, &s, &request, &(struct tape_keep){ .action = SLICE("read") }, arena), OK);
    assert_int_equal(tape_response(t, x, &response, true), OK);
    assert_int_equal(tape_body(t, x, TAPE_RESPONSE, SLICE("planted-secret and more of it")), OK);
    if (!close)
        return;
    assert_int_equal(tape_finish(t, x, TAPE_RESPONSE, TAPE_COMPLETE), OK);
    tape_close(t, x, NULL);
}

static bool file_holds(const char *path, const char *text)
{
    unsigned char *data = NULL;
    size_t len = 0;
    assert_int_equal(file_read(path, 1 << 24, false, &data, &len, NULL), OK);
    bool found = memmem(data, len, text, strlen(text)) != NULL;
    free(data);
    return found;
}

/* What is still open when a segment closes stands in its header for the next recorder: sealed as well. */
static void nothing_readable_is_on_the_disk(void **state)
{
    struct world *w = *state;
    struct recorder *r = test_recorder(w->dir.path, &w->authz, &w->ring, 1, 40, 6000);
    struct tape *t = test_tape(&w->ring);
    struct tape_exchange closed = { 0 }, open = { 0 };
    struct field v[16];
    struct arena arena;
    arena_init(&arena, 65536);
    record_one(t, &closed, &arena, v, true);
    record_one(t, &open, &arena, v + 8, false);
    recorder_stop(r);
    assert_false(file_holds(w->path, "planted-secret"));
    assert_false(file_holds(w->path, "WARC/1.1"));
    assert_false(file_holds(w->path, "customers"));
    assert_true(file_holds(w->path, "\"box\":"));
    /* Another recorder on the same ring, as after kill -9 of the process: it knows where the open exchange went to. */
    r = test_recorder(w->dir.path, &w->authz, &w->ring, 1, 40, 6000);
    assert_int_equal(tape_body(t, &open, TAPE_RESPONSE, SLICE(" to the end")), OK);
    assert_int_equal(tape_finish(t, &open, TAPE_RESPONSE, TAPE_COMPLETE), OK);
    tape_close(t, &open, NULL);
    recorder_stop(r);
    assert_false(file_holds(w->path, "planted-secret"));
    struct archive *a = test_archive(w->dir.path, session_id);
    assert_int_equal(archive_count(a), 2);
    const struct archive_exchange *x = archive_at(a, archive_at(a, 0)->id == open.id ? 0 : 1);
    assert_true(slice_eq(x->response_body, SLICE("planted-secret and more of it to the end")));
    archive_free(a);
    test_verify_whole(w->dir.path, session_id, &w->authz);
    tape_free(t);
    arena_done(&arena);
}

static void only_the_auditors_open_it(void **state)
{
    struct world *w = *state;
    struct recorder *r = test_recorder(w->dir.path, &w->authz, &w->ring, 1, 40, 6000);
    struct tape *t = test_tape(&w->ring);
    struct tape_exchange x = { 0 };
    struct field v[8];
    struct arena arena;
    struct archive *a = NULL;
    struct err err = { "" };
    char secret[AGE_SECRET_LEN + 1], public_key[AGE_PUBLIC_LEN + 1], path[256];
    struct age_keys *other = NULL;
    arena_init(&arena, 65536);
    record_one(t, &x, &arena, v, true);
    recorder_stop(r);
    assert_int_equal(archive_open(w->path, NULL, &a, &err), REFUSED);
    assert_non_null(strstr(err.text, "sealed to its auditors' keys"));
    assert_int_equal(age_key_make(secret, public_key, &err), OK);
    snprintf(path, sizeof path, "%s/other.key", w->dir.path);
    assert_int_equal(file_write(path, slice_str(secret), 0600, &err), OK);
    assert_int_equal(age_keys_load(path, &other, &err), OK);
    assert_int_equal(archive_open(w->path, other, &a, &err), REFUSED);
    assert_non_null(strstr(err.text, "other auditors' keys"));
    age_keys_free(other);
    tape_free(t);
    arena_done(&arena);
}

/* Keys are taken out and put in while it runs: each auditor opens what was sealed in their time, and the rest is said to be for others. */
static void keys_change(void **state)
{
    struct world *w = *state;
    struct recorder *r = test_recorder(w->dir.path, &w->authz, &w->ring, 1, 40, 6000);
    struct tape *t = test_tape(&w->ring);
    struct tape_exchange x = { 0 }, y = { 0 };
    struct field v[16];
    struct arena arena;
    struct archive *a = NULL;
    struct err err = { "" };
    char secret[AGE_SECRET_LEN + 1], new_public[AGE_PUBLIC_LEN + 1], path[256];
    unsigned number;
    arena_init(&arena, 65536);
    record_one(t, &x, &arena, v, true);
    uint64_t at = tape_position(t);
    tape_demand(t);
    while (tape_durable(t) < at)
        test_wait(w->ring.wake_fd);
    assert_int_equal(age_key_make(secret, new_public, &err), OK);
    char *keys[] = { test_public_2, new_public };
    struct config c = { .sealed_to = keys, .sealed_to_count = 2 };
    assert_int_equal(recorder_reload(r, &c, &err), OK);
    char *wrong[] = { test_public_2, (char *)(uintptr_t)"age1nonsense" };
    struct config bad = { .sealed_to = wrong, .sealed_to_count = 2 };
    assert_int_equal(recorder_reload(r, &bad, &err), BAD_CONFIG);
    record_one(t, &y, &arena, v + 8, true);
    recorder_stop(r);
    struct age_keys *old = test_keys(w->dir.path), *new = NULL;
    assert_int_equal(archive_open(w->path, old, &a, &err), OK);
    assert_int_equal(archive_count(a), 1);
    assert_int_equal(archive_bad_segments(a), 1);
    assert_non_null(strstr(archive_bad_segment(a, 0, &number), "other auditors' keys"));
    archive_free(a);
    snprintf(path, sizeof path, "%s/new.key", w->dir.path);
    assert_int_equal(file_write(path, slice_str(secret), 0600, &err), OK);
    assert_int_equal(age_keys_load(path, &new, &err), OK);
    assert_int_equal(archive_open(w->path, new, &a, &err), OK);
    assert_int_equal(archive_count(a), 1);
    assert_int_equal(archive_at(a, 0)->id, y.id);
    archive_free(a);
    age_keys_free(old);
    age_keys_free(new);
    test_verify_whole(w->dir.path, session_id, &w->authz);
    tape_free(t);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_readable_is_on_the_disk, make_world, end_world),
        cmocka_unit_test_setup_teardown(only_the_auditors_open_it, make_world, end_world),
        cmocka_unit_test_setup_teardown(keys_change, make_world, end_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
