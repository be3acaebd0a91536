/* RECORD_METADATA: heads and sizes are kept, bytes of bodies nowhere, whatever rings, segments and dying recorders do. */
#include "proxy/record/record_test.h"

static const char secret[] = "customer-of-audience-";

struct row {
    const char *name;
    size_t ring, segment, piece, request, response;
    bool restart;                     /* the recorder, in the middle */
    enum tape_end end;
};

static void pass(struct tape *t, const struct test_ring *ring, struct tape_exchange *x, enum tape_side side, size_t len, size_t piece)
{
    unsigned char *data = malloc(piece);
    for (size_t i = 0; i < piece; i++)
        data[i] = (unsigned char)secret[i % (sizeof secret - 1)];
    while (len > 0) {
        size_t n = len < piece ? len : piece;
        enum status st;
        while ((st = tape_body(t, x, side, slice_of(data, n))) == FULL)
            test_wait(ring->wake_fd);
        assert_int_equal(st, OK);
        len -= n;
    }
    free(data);
}

static void assert_nowhere(const char *dir, const char *session)
{
    char command[512];
    snprintf(command, sizeof command, "cd '%s' && mkdir -p x && tar xf recordings/%s.tar -C x && for f in x/*.gz; do zcat \"$f\"; done | grep -c %s", dir, session, secret);
    FILE *p = popen(command, "r");
    unsigned lines = 99;
    assert_non_null(p);
    assert_int_equal(fscanf(p, "%u", &lines), 1);
    pclose(p);
    assert_int_equal(lines, 0);
}

static void check(const struct archive *a, const struct row *row)
{
    assert_int_equal(archive_count(a), 1);
    assert_int_equal(archive_bad_segments(a), 0);
    const struct archive_exchange *x = archive_at(a, 0);
    assert_true(x->sizes_only);
    assert_int_equal(x->request_body.len, 0);
    assert_int_equal(x->response_body.len, 0);
    assert_int_equal(x->request_omitted, row->request);
    assert_int_equal(x->response_omitted, row->response);
    assert_int_equal(json_integer_value(json_object_get(x->notes, "response_bytes")), row->response);
    assert_int_equal(x->status, 200);
    assert_false(x->request_cut);     /* not kept is not cut off */
    assert_int_equal(x->response_cut, row->end == TAPE_TRUNCATED);
    assert_non_null(memmem(x->request_head.ptr, x->request_head.len, "content-length: 5", 17));
    assert_null(memmem(x->request_head.ptr, x->request_head.len, "hunter2", 7));
    assert_non_null(memmem(x->request_head.ptr, x->request_head.len, "/login?password=removed", 23));
    assert_true(slice_eq(x->action, SLICE("poll")));
}

static void run(const struct row *row)
{
    struct test_dir dir;
    struct test_ring ring;
    struct test_authz authz;
    struct tape_exchange x = { 0 };
    struct arena arena;
    struct field v[2][8];
    char password[] = "password";
    char *const words[] = { password };
    struct secret_names names;
    struct tape_session session = test_session("grt_sizes");
    struct message request = test_request("POST", "/login?password=hunter2", "content-type: application/json\ncontent-length: 5\n", v[0], 8);
    struct message response = test_response(200, "content-type: application/json\n", v[1], 8);
    print_message("%s\n", row->name);
    request.framing = response.framing = BODY_CHUNKED;
    test_dir_make(&dir);
    test_ring_make(&ring, row->ring);
    test_authz_start(&authz, dir.path);
    arena_init(&arena, 65536);
    struct recorder *r = test_recorder(dir.path, &authz, &ring, 1, 100, row->segment);
    struct tape *t = test_tape(&ring);
    struct tape_keep keep = { .action = SLICE("poll"), .mode = RECORD_METADATA, .names = &names };
    assert_int_equal(secret_names_copy(words, 1, &arena, &names), OK);
    assert_int_equal(tape_begin(t, &x, &session, &request, &keep, &arena), OK);
    pass(t, &ring, &x, TAPE_REQUEST, row->request, row->piece);
    assert_int_equal(tape_finish(t, &x, TAPE_REQUEST, TAPE_COMPLETE), OK);
    assert_int_equal(tape_response(t, &x, &response, true), OK);
    pass(t, &ring, &x, TAPE_RESPONSE, row->response / 2, row->piece);
    if (row->restart) {
        recorder_stop(r);
        r = test_recorder(dir.path, &authz, &ring, 1, 100, row->segment);
    }
    pass(t, &ring, &x, TAPE_RESPONSE, row->response - row->response / 2, row->piece);
    assert_int_equal(tape_finish(t, &x, TAPE_RESPONSE, row->end), OK);
    tape_close(t, &x, row->end == TAPE_COMPLETE ? NULL : "client-gone");
    recorder_stop(r);
    struct archive *a = test_archive(dir.path, "grt_sizes");
    check(a, row);
    archive_free(a);
    assert_nowhere(dir.path, "grt_sizes");
    test_verify_whole(dir.path, "grt_sizes", &authz);
    tape_free(t);
    arena_done(&arena);
    test_authz_stop(&authz);
    test_ring_free(&ring);
    test_dir_remove(dir.path);
}

static void only_sizes(void **state)
{
    static const struct row rows[] = {
        { "small", 1 << 16, 1 << 20, 100, 5, 100, false, TAPE_COMPLETE },
        { "no bodies", 1 << 16, 1 << 20, 100, 0, 0, false, TAPE_COMPLETE },
        { "tiny ring", 4096, 1024, 100, 50000, 70001, false, TAPE_COMPLETE },
        { "more than the ring holds", 1 << 16, 1 << 20, 1 << 20, 3 << 20, 100 << 20, false, TAPE_COMPLETE },
        { "another recorder in the middle", 1 << 16, 1 << 20, 1000, 5, 100001, true, TAPE_COMPLETE },
        { "cut off", 1 << 16, 1 << 20, 1000, 5, 3000, false, TAPE_TRUNCATED },
        { "another recorder, cut off", 1 << 16, 1 << 20, 1000, 5, 3000, true, TAPE_TRUNCATED },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        run(&rows[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(only_sizes) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
