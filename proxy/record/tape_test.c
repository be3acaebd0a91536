#include "proxy/record/record_test.h"

/* One exchange on the tape, waiting wherever the tape is full. */
struct script {
    const char *session, *method, *target, *request_fields, *response_fields;
    struct slice request_body, response_body;
    size_t piece;                     /* bytes given at once, at most */
    bool leave_open;
};

static void must(enum status st, const char *what)
{
    if (st != OK)
        fail_msg("%s: %s", what, status_name(st));
}

#define WHEN_ROOM(call) do { while ((st = (call)) == FULL) test_wait(ring->wake_fd); must(st, #call); } while (0)

static void put_all(struct tape *t, const struct test_ring *ring, struct tape_exchange *x, enum tape_side side, struct slice data, size_t piece)
{
    while (data.len > 0) {
        size_t n = tape_room(t);
        if (n > piece)
            n = piece;
        if (n > data.len)
            n = data.len;
        if (n == 0) {
            test_wait(ring->wake_fd);
            continue;
        }
        must(tape_body(t, x, side, slice_of(data.ptr, n)), "a body that tape_room said would fit");
        data = slice_from(data, n);
    }
}

static uint64_t play(struct tape *t, const struct test_ring *ring, const struct script *s)
{
    static char password[] = "password", token[] = "token";
    char *const redact[] = { password, token };
    struct secret_names names;
    struct arena arena;
    struct tape_exchange x = { 0 };
    struct field v[2][16];
    struct tape_session session = test_session(s->session);
    struct message request = test_request(s->method, s->target, s->request_fields, v[0], 16), response = test_response(200, s->response_fields, v[1], 16);
    enum status st;
    arena_init(&arena, 64 * 1024);
    must(secret_names_copy(redact, 2, &arena, &names), "names");
    WHEN_ROOM(tape_begin(t, &x, &session, &request, &(struct tape_keep){ .action = SLICE("read"), .names = &names }, &arena));
    put_all(t, ring, &x, TAPE_REQUEST, s->request_body, s->piece);
    WHEN_ROOM(tape_finish(t, &x, TAPE_REQUEST, TAPE_COMPLETE));
    WHEN_ROOM(tape_response(t, &x, &response, true));
    put_all(t, ring, &x, TAPE_RESPONSE, s->response_body, s->piece);
    WHEN_ROOM(tape_note(t, &x, "outcome", SLICE("answered")));
    if (!s->leave_open) {
        WHEN_ROOM(tape_finish(t, &x, TAPE_RESPONSE, TAPE_COMPLETE));
        tape_close(t, &x, NULL);
    }
    uint64_t id = x.id;
    arena_done(&arena);
    return id;
}

static unsigned char *pattern(size_t len, unsigned seed)
{
    unsigned char *p = malloc(len ? len : 1);
    for (size_t i = 0; i < len; i++)
        p[i] = (unsigned char)((i * 2654435761u + seed * 97u) >> 13);
    return p;
}

static const struct archive_exchange *by_id(const struct archive *a, uint64_t id)
{
    for (size_t i = 0; i < archive_count(a); i++)
        if (archive_at(a, i)->id == id)
            return archive_at(a, i);
    return NULL;
}

static void expect_slice(struct slice got, struct slice want)
{
    assert_int_equal(got.len, want.len);
    if (want.len)
        assert_memory_equal(got.ptr, want.ptr, want.len);
}

static bool contains(struct slice s, const char *word)
{
    return memmem(s.ptr, s.len, word, strlen(word)) != NULL;
}

/* What is written is what is read, whatever the ring and the segments do. */
static void write_and_read_back(void **state)
{
    static const struct {
        const char *name;
        size_t ring, segment, piece, body;
    } rows[] = {
        { "tiny ring, tiny segments", 4096, 1024, 100, 40000 },
        { "tiny ring, large segments", 4096, 1 << 20, 3000, 40000 },
        { "odd pieces", 16384, 5000, 777, 100000 },
        { "large", 1 << 20, 1 << 18, 100000, 3000000 },
        { "no body", 65536, 1 << 20, 1000, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct test_dir dir;
        struct test_ring ring;
        struct test_authz authz;
        uint64_t ids[5];
        unsigned char *bodies[5];
        test_dir_make(&dir);
        test_ring_make(&ring, rows[i].ring);
        test_authz_start(&authz, dir.path);
        struct recorder *r = test_recorder(dir.path, &authz, &ring, 1, 200, rows[i].segment);
        struct tape *t = test_tape(&ring);
        for (unsigned k = 0; k < 5; k++) {
            bodies[k] = pattern(rows[i].body, k);
            struct slice body = slice_of(bodies[k], rows[i].body);
            struct script s = { "grt_one", k % 2 ? "POST" : "GET", "/a/b?x=1", "accept: */*\ncontent-length: 5\n", "server: test\n",
                                k % 2 ? body : slice_of(NULL, 0), body, rows[i].piece, false };
            ids[k] = play(t, &ring, &s);
        }
        recorder_stop(r);
        tape_free(t);
        struct archive *a = test_archive(dir.path, "grt_one");
        assert_int_equal(archive_count(a), 5);
        for (unsigned k = 0; k < 5; k++) {
            const struct archive_exchange *x = by_id(a, ids[k]);
            assert_non_null(x);
            assert_int_equal(x->status, 200);
            expect_slice(x->response_body, slice_of(bodies[k], rows[i].body));
            expect_slice(x->request_body, slice_of(bodies[k], k % 2 ? rows[i].body : 0));
            assert_false(x->request_cut || x->response_cut);
            assert_true(contains(x->request_head, k % 2 ? "POST /a/b?x=1 HTTP/1.1\r\nhost: support.acme.localhost:8443\r\n" : "GET /a/b"));
            assert_string_equal(json_string_value(json_object_get(x->notes, "outcome")), "answered");
            assert_int_equal(x->why.len, 0);
            assert_true(x->from_tool);
            free(bodies[k]);
        }
        archive_free(a);
        test_verify_whole(dir.path, "grt_one", &authz);
        test_authz_stop(&authz);
        test_ring_free(&ring);
        test_dir_remove(dir.path);
    }
}

struct worker {
    struct test_ring *ring;
    unsigned seed, count;
    uint64_t ids[64];
};

static void *work(void *arg)
{
    struct worker *w = arg;
    struct tape *t = test_tape(w->ring);
    for (unsigned i = 0; i < w->count; i++) {
        unsigned char *body = pattern(1000 * (i % 7) + i + 100, w->seed + i);
        struct script s = { i % 3 ? "grt_shared" : "grt_other", "POST", "/x", "", "", slice_of(body, 100), slice_of(body, 1000 * (i % 7) + i), 500,
                            false };
        w->ids[i] = play(t, w->ring, &s);
        free(body);
    }
    tape_free(t);
    return NULL;
}

/* Several workers, several sessions, one recorder. */
static void many_workers(void **state)
{
    enum { WORKERS = 3, EACH = 40 };
    struct test_dir dir;
    struct test_ring rings[WORKERS];
    struct test_authz authz;
    struct worker w[WORKERS];
    pthread_t threads[WORKERS];
    (void)state;
    test_dir_make(&dir);
    test_authz_start(&authz, dir.path);
    for (unsigned i = 0; i < WORKERS; i++)
        test_ring_make(&rings[i], 8192);
    struct recorder *r = test_recorder(dir.path, &authz, rings, WORKERS, 100, 20000);
    for (unsigned i = 0; i < WORKERS; i++) {
        w[i] = (struct worker){ .ring = &rings[i], .seed = i * 1000, .count = EACH };
        pthread_create(&threads[i], NULL, work, &w[i]);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    recorder_stop(r);
    struct archive *shared = test_archive(dir.path, "grt_shared"), *other = test_archive(dir.path, "grt_other");
    assert_int_equal(archive_count(shared) + archive_count(other), WORKERS * EACH);
    for (unsigned i = 0; i < WORKERS; i++)
        for (unsigned k = 0; k < EACH; k++) {
            const struct archive_exchange *x = by_id(k % 3 ? shared : other, w[i].ids[k]);
            unsigned char *body = pattern(1000 * (k % 7) + k, w[i].seed + k);
            assert_non_null(x);
            expect_slice(x->response_body, slice_of(body, 1000 * (k % 7) + k));
            free(body);
        }
    archive_free(shared);
    archive_free(other);
    test_verify_whole(dir.path, "grt_shared", &authz);
    test_verify_whole(dir.path, "grt_other", &authz);
    test_authz_stop(&authz);
    for (unsigned i = 0; i < WORKERS; i++)
        test_ring_free(&rings[i]);
    test_dir_remove(dir.path);
}

/* tape_demand makes what was written durable soon, and says so, without waiting for the segment's time. */
static void demand_is_served(void **state)
{
    struct test_dir dir;
    struct test_ring ring;
    struct test_authz authz;
    (void)state;
    test_dir_make(&dir);
    test_ring_make(&ring, 65536);
    test_authz_start(&authz, dir.path);
    struct recorder *r = test_recorder(dir.path, &authz, &ring, 1, 3600000, 1 << 20);
    struct tape *t = test_tape(&ring);
    for (unsigned i = 0; i < 20; i++) {
        struct script s = { "grt_one", "GET", "/x", "", "", slice_of(NULL, 0), SLICE("hello"), 100, false };
        play(t, &ring, &s);
        uint64_t position = tape_position(t);
        tape_demand(t);
        for (unsigned tries = 0; tape_durable(t) < position; tries++) {
            assert_true(tries < 20);
            test_wait(ring.wake_fd);
        }
    }
    recorder_stop(r);
    tape_free(t);
    struct archive *a = test_archive(dir.path, "grt_one");
    assert_int_equal(archive_count(a), 20);
    archive_free(a);
    test_verify_whole(dir.path, "grt_one", &authz);
    test_authz_stop(&authz);
    test_ring_free(&ring);
    test_dir_remove(dir.path);
}

/* Secrets in every place where they may stand: nothing of them reaches the ring or the file. */
static void secrets_are_not_kept(void **state)
{
    struct test_dir dir;
    struct test_ring ring;
    struct test_authz authz;
    (void)state;
    test_dir_make(&dir);
    test_ring_make(&ring, 65536);
    test_authz_start(&authz, dir.path);
    struct recorder *r = test_recorder(dir.path, &authz, &ring, 1, 100, 1 << 20);
    struct tape *t = test_tape(&ring);
    static const struct script scripts[] = {
        { "grt_s", "POST", "/login?token=S3CRET&next=1", "authorization: Basic S3CRET\ncookie: a=S3CRET; b=S3CRET\nx-api-key: S3CRET\n"
          "content-type: application/x-www-form-urlencoded\ncontent-length: 30\nreferer: https://x/?token=S3CRET#token=S3CRET\n",
          "set-cookie: sid=S3CRET; Path=/\nlocation: /x?token=S3CRET\ncontent-type: application/json\ncontent-length: 9\n",
          SLICE_INIT("user=u&%70assword=S3CRET&x=1"), SLICE_INIT("{\"a\":1,\"token\":[\"S3CRET\",{\"b\":\"S3CRET\"}],\"c\":2}"), 3, false },
        { "grt_s", "POST", "/api", "content-type: application/json\n", "", SLICE_INIT("{\"pass\\u0077ord\": \"S3CRET\", \"n\": {\"PASSWORD\":12345}}"),
          SLICE_INIT("ok"), 1, false },
        { "grt_s", "POST", "/api", "content-type: application/json\ncontent-encoding: gzip\n", "", SLICE_INIT("S3CRET"), SLICE_INIT("ok"), 1, false },
        { "grt_s", "POST", "/api", "content-type: application/json\n", "", SLICE_INIT("{'password': 'S3CRET'}"), SLICE_INIT("ok"), 4, false },
    };
    uint64_t ids[4];
    for (size_t i = 0; i < 4; i++)
        ids[i] = play(t, &ring, &scripts[i]);
    assert_null(memmem((const unsigned char *)ring.memory + 4096, ring.size - 4096, "S3CRET", 6));   /* behind its header */
    recorder_stop(r);
    tape_free(t);
    struct archive *a = test_archive(dir.path, "grt_s");
    const struct archive_exchange *x = by_id(a, ids[0]);
    for (size_t i = 0; i < 4; i++) {
        const struct archive_exchange *y = by_id(a, ids[i]);
        assert_false(contains(y->request_head, "S3CRET") || contains(y->request_body, "S3CRET") || contains(y->response_head, "S3CRET")
                     || contains(y->response_body, "S3CRET"));
    }
    expect_slice(x->request_body, SLICE("user=u&%70assword=removed&x=1"));
    expect_slice(x->response_body, SLICE("{\"a\":1,\"token\":\"removed\",\"c\":2}"));
    assert_false(contains(x->request_head, "content-length") || contains(x->response_head, "content-length"));
    assert_true(contains(x->request_head, "POST /login?token=fp:") && contains(x->request_head, "&next=1 HTTP/1.1"));
    assert_true(contains(x->request_head, "authorization: Basic fp:") && contains(x->request_head, "cookie: a=fp:"));
    assert_true(contains(x->response_head, "set-cookie: sid=fp:") && contains(x->response_head, "; Path=/"));
    x = by_id(a, ids[1]);
    expect_slice(x->request_body, SLICE("{\"pass\\u0077ord\": \"removed\", \"n\": {\"PASSWORD\":\"removed\"}}"));
    x = by_id(a, ids[2]);
    assert_int_equal(x->request_body.len, 0);
    assert_memory_equal(json_string_value(json_object_get(x->notes, "request-body")), "withheld: 6 bytes, hmac-sha256 ", 31);
    x = by_id(a, ids[3]);
    expect_slice(x->request_body, SLICE("{"));
    assert_memory_equal(json_string_value(json_object_get(x->notes, "request-body")), "withheld: 21 bytes, ", 20);
    archive_free(a);
    test_authz_stop(&authz);
    test_ring_free(&ring);
    test_dir_remove(dir.path);
}

/* What does not fit is FULL and leaves nothing; what can never fit is BAD_INPUT; a close always fits. */
static void full_is_an_answer(void **state)
{
    struct test_ring ring;
    struct arena arena;
    struct tape_exchange x[64] = { { 0 } };
    struct field v[4];
    size_t open = 0;
    (void)state;
    test_ring_make(&ring, 16384);
    struct tape *t = test_tape(&ring);
    arena_init(&arena, 1 << 20);
    struct tape_session s = test_session("grt_one"), bad = test_session("../evil");
    struct message request = test_request("GET", "/x", "", v, 4);
    char big[20001];
    memset(big, 'a', 20000);
    big[0] = '/';
    big[20000] = 0;
    struct message large = test_request("GET", big, "", v, 4);
    assert_int_equal(tape_begin(t, &x[0], &bad, &request, &(struct tape_keep){ .action = SLICE("") }, &arena), BAD_INPUT);
    assert_int_equal(tape_begin(t, &x[0], &s, &large, &(struct tape_keep){ .action = SLICE("") }, &arena), BAD_INPUT);
    while (open < 64 && tape_begin(t, &x[open], &s, &request, &(struct tape_keep){ .action = SLICE("") }, &arena) == OK)
        open++;
    assert_true(open > 10 && open < 64);
    struct message response = test_response(200, "", v, 4);
    for (size_t i = 0; i < open; i++)
        while (tape_response(t, &x[i], &response, true) == OK && tape_body(t, &x[i], TAPE_RESPONSE, SLICE("x")) == OK
               && tape_note(t, &x[i], "n", SLICE("v")) == OK && x[i].state[1] == 0)
            continue;
    while (tape_note(t, &x[0], "fill", SLICE("x")) == OK)
        continue;
    assert_int_equal(tape_room(t), 0);
    for (size_t i = 0; i < open; i++)
        tape_close(t, &x[i], "a reason that is longer than the sixty-four bytes that are kept of it, by far");
    tape_free(t);
    arena_done(&arena);
    test_ring_free(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_and_read_back),
        cmocka_unit_test(many_workers),
        cmocka_unit_test(demand_is_served),
        cmocka_unit_test(secrets_are_not_kept),
        cmocka_unit_test(full_is_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
