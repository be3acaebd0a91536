/* What survives: processes killed at any moment, torn files, full disks, an authz that is away. The parent holds the ring, as in the gateway; children are the proxy. */
#include "proxy/base/clock.h"
#include "proxy/record/listing.h"
#include "proxy/record/record_test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

static const char session_id[] = "grt_recover";

/* Shared with the children: what they were told is safe. */
struct progress {
    _Atomic unsigned begun, closed;   /* exchanges */
    _Atomic uint64_t delivered;       /* bytes of body of the open one that were handed over and then "sent" */
    uint64_t ids[4096];
};

static unsigned char body_byte(unsigned exchange, uint64_t i)
{
    return (unsigned char)(exchange * 31 + i * 7 + (i >> 8));
}

/* A proxy: recorder and one worker, which records exchanges for as long as it lives. */
static void be_proxy(const char *dir, const struct test_authz *authz, const struct test_ring *ring, struct progress *p)
{
    struct recorder *r = test_recorder(dir, authz, ring, 1, 40, 6000);
    struct tape *t = test_tape(ring);
    (void)r;
    for (;;) {
        struct arena arena;
        struct tape_exchange x = { 0 };
        struct field v[4];
        struct tape_session s = test_session(session_id);
        struct message request = test_request("GET", "/x", "", v, 2), response = test_response(200, "", v + 2, 2);
        unsigned n = p->begun;
        size_t size = 200 + n * 977 % 9000;
        enum status st;
        arena_init(&arena, 65536);
        while ((st = tape_begin(t, &x, &s, &request, &(struct tape_keep){ .action = SLICE("read") }, &arena)) == FULL)
            test_wait(ring->wake_fd);
        p->ids[n % 4096] = x.id;
        p->delivered = 0;
        p->begun = n + 1;
        while (tape_response(t, &x, &response, true) == FULL)
            test_wait(ring->wake_fd);
        for (size_t at = 0; at < size;) {
            unsigned char piece[512];
            size_t len = size - at < sizeof piece ? size - at : sizeof piece;
            for (size_t i = 0; i < len; i++)
                piece[i] = body_byte(n, at + i);
            while (tape_room(t) < len)
                test_wait(ring->wake_fd);
            if (tape_body(t, &x, TAPE_RESPONSE, slice_of(piece, len)) != OK)
                _exit(3);
            at += len;
            p->delivered = at;   /* here the client would get it */
        }
        if (tape_finish(t, &x, TAPE_RESPONSE, TAPE_COMPLETE) != OK)
            _exit(4);
        tape_close(t, &x, NULL);
        p->closed = n + 1;
        arena_done(&arena);
    }
}

static void check_bodies(const struct archive *a, const struct progress *p, unsigned round)
{
    for (unsigned n = 0; n < p->begun; n++) {
        const struct archive_exchange *x = NULL;
        for (size_t i = 0; i < archive_count(a) && x == NULL; i++)
            if (archive_at(a, i)->id == p->ids[n])
                x = archive_at(a, i);
        if (x == NULL)
            fail_msg("round %u: exchange %u of %u is not in the recording", round, n, p->begun);
        for (size_t i = 0; i < x->response_body.len; i++)
            if (x->response_body.ptr[i] != body_byte(n, i))
                fail_msg("round %u: exchange %u: byte %zu is wrong", round, n, i);
    }
}

/* kill -9 at random moments, again and again: no delivered byte is missing, none stands twice, what was open ends as process-died. */
static void killed_at_random_moments(void **state)
{
    unsigned rounds = getenv("COUNTERSIGN_LONG") ? 200 : 25;
    struct test_dir dir;
    struct test_ring ring;
    struct test_authz authz;
    struct progress *p = mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned seed = (unsigned)clock_mono_ms(), died = 0;
    (void)state;
    test_dir_make(&dir);
    test_ring_make(&ring, 16384);
    test_authz_start(&authz, dir.path);
    for (unsigned round = 0; round < rounds; round++) {
        unsigned open_before = p->begun;
        pid_t child = test_fork(&authz);
        if (child == 0)
            be_proxy(dir.path, &authz, &ring, p);
        seed = seed * 1103515245 + 12345;
        usleep(1000 + (seed >> 8) % 60000);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_true(p->begun >= open_before);
        if (p->begun != p->closed) {   /* the next child begins anew: this one stays as it is */
            died++;
            p->closed = p->begun;
        }
    }
    /* One more recorder takes over and ends it well. */
    struct recorder *r = test_recorder(dir.path, &authz, &ring, 1, 40, 6000);
    usleep(200000);
    recorder_stop(r);
    struct archive *a = test_archive(dir.path, session_id);
    check_bodies(a, p, rounds);
    unsigned marked = 0;
    for (size_t i = 0; i < archive_count(a); i++) {
        const struct archive_exchange *x = archive_at(a, i);
        marked += slice_eq(x->why, SLICE("process-died"));
        assert_false(slice_eq(x->why, SLICE("not-closed")));
    }
    assert_true(marked <= rounds);
    print_message("%u exchanges, %u kills, %u ended as process-died\n", p->begun, rounds, marked);
    archive_free(a);
    test_verify_whole(dir.path, session_id, &authz);
    test_authz_stop(&authz);
    test_ring_free(&ring);
    munmap(p, sizeof *p);
    test_dir_remove(dir.path);
}

/* The bytes of the open exchange that were delivered are there after a kill. */
static void open_exchange_is_kept_to_the_last_byte(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 8; round++) {
        struct test_dir dir;
        struct test_ring ring;
        struct test_authz authz;
        struct progress *p = mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        test_dir_make(&dir);
        test_ring_make(&ring, 16384);
        test_authz_start(&authz, dir.path);
        pid_t child = test_fork(&authz);
        if (child == 0)
            be_proxy(dir.path, &authz, &ring, p);
        usleep(15000 + round * 7001);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        struct recorder *r = test_recorder(dir.path, &authz, &ring, 1, 40, 6000);
        usleep(100000);
        recorder_stop(r);
        if (p->begun > 0) {
            struct archive *a = test_archive(dir.path, session_id);
            const struct archive_exchange *x = archive_at(a, archive_count(a) - 1);
            assert_int_equal(x->id, p->ids[p->begun - 1]);
            assert_true(x->response_body.len >= p->delivered);
            check_bodies(a, p, round);
            archive_free(a);
            test_verify_whole(dir.path, session_id, &authz);
        }
        test_authz_stop(&authz);
        test_ring_free(&ring);
        munmap(p, sizeof *p);
        test_dir_remove(dir.path);
    }
}

static void one_exchange(struct tape *t, const struct test_ring *ring, const char *session, size_t body)
{
    struct arena arena;
    struct tape_exchange x = { 0 };
    struct field v[4];
    struct tape_session s = test_session(session);
    struct message request = test_request("GET", "/x", "", v, 2), response = test_response(200, "", v + 2, 2);
    unsigned char *bytes = calloc(1, body + 1);
    enum status st;
    arena_init(&arena, 65536);
    while ((st = tape_begin(t, &x, &s, &request, &(struct tape_keep){ .action = SLICE("read") }, &arena)) == FULL)
        test_wait(ring->wake_fd);
    assert_int_equal(st, OK);
    while (tape_response(t, &x, &response, true) == FULL)
        test_wait(ring->wake_fd);
    while ((st = tape_body(t, &x, TAPE_RESPONSE, slice_of(bytes, body))) == FULL)
        test_wait(ring->wake_fd);
    assert_int_equal(tape_finish(t, &x, TAPE_RESPONSE, TAPE_COMPLETE), OK);
    tape_close(t, &x, NULL);
    free(bytes);
    arena_done(&arena);
}

static void wait_broken(const struct tape *t, bool broken)
{
    for (unsigned i = 0; i < 2000 && tape_broken(t) != broken; i++)
        usleep(10000);
    assert_int_equal(tape_broken(t), broken);
}

/* A disk that takes no more: the tape fills, says FULL and then broken, loses nothing, and recovers by itself. */
static void full_disk(void **state)
{
    struct test_dir dir;
    struct test_ring ring;
    struct test_authz authz;
    struct rlimit old, small = { .rlim_cur = 20000 };
    (void)state;
    test_dir_make(&dir);
    test_ring_make(&ring, 16384);
    test_authz_start(&authz, dir.path);
    getrlimit(RLIMIT_FSIZE, &old);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    struct recorder *r = test_recorder(dir.path, &authz, &ring, 1, 50, 100000);
    struct tape *t = test_tape(&ring);
    for (unsigned i = 0; i < 5; i++)
        one_exchange(t, &ring, session_id, 1000);
    usleep(200000);
    setrlimit(RLIMIT_FSIZE, &small);
    unsigned more = 0;
    for (; more < 200 && tape_room(t) > 1500; more++) {
        one_exchange(t, &ring, session_id, 1000);
        usleep(20000);
    }
    assert_true(more < 200);
    wait_broken(t, true);
    setrlimit(RLIMIT_FSIZE, &old);
    wait_broken(t, false);
    one_exchange(t, &ring, session_id, 1000);
    recorder_stop(r);
    tape_free(t);
    struct archive *a = test_archive(dir.path, session_id);
    assert_int_equal(archive_count(a), 5 + more + 1);
    archive_free(a);
    test_verify_whole(dir.path, session_id, &authz);
    test_authz_stop(&authz);
    test_ring_free(&ring);
    test_dir_remove(dir.path);
}

/* authz away: segments are written and their leaves wait, also over a restart of the recorder; then they are logged. */
static void authz_away(void **state)
{
    struct test_dir dir;
    struct test_ring ring;
    struct test_authz authz;
    (void)state;
    test_dir_make(&dir);
    test_ring_make(&ring, 16384);
    test_authz_start(&authz, dir.path);
    authz.away = true;
    for (unsigned restart = 0; restart < 2; restart++) {
        pid_t child = test_fork(&authz);
        if (child == 0) {   /* killed below, with leaves unsent */
            (void)test_recorder(dir.path, &authz, &ring, 1, 20, 2000);
            struct tape *t = test_tape(&ring);
            for (unsigned i = 0; i < 20; i++)
                one_exchange(t, &ring, session_id, 1000);
            tape_demand(t);
            while (tape_durable(t) < tape_position(t))
                test_wait(ring.wake_fd);
            _exit(0);
        }
        int status;
        waitpid(child, &status, 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    assert_int_equal(json_array_size(authz.leaves), 1);
    authz.away = false;
    struct recorder *r = test_recorder(dir.path, &authz, &ring, 1, 20, 2000);
    recorder_stop(r);
    struct archive *a = test_archive(dir.path, session_id);
    assert_int_equal(archive_count(a), 40);
    archive_free(a);
    test_verify_whole(dir.path, session_id, &authz);
    test_authz_stop(&authz);
    test_ring_free(&ring);
    test_dir_remove(dir.path);
}

/* authz away for so long that the queue of leaves is full: nothing more is kept, the tape says broken; all recovers when it is back. */
static void authz_away_for_long(void **state)
{
    enum { MANY = 1200 };             /* each of them makes a segment, at least */
    struct test_dir dir;
    struct test_ring ring;
    struct test_authz authz;
    (void)state;
    test_dir_make(&dir);
    test_ring_make(&ring, 1 << 20);
    test_authz_start(&authz, dir.path);
    authz.away = true;
    struct recorder *r = test_recorder(dir.path, &authz, &ring, 1, 20, 1);
    struct tape *t = test_tape(&ring);
    for (unsigned i = 0; i < MANY; i++)
        one_exchange(t, &ring, session_id, 100);
    wait_broken(t, true);
    authz.away = false;
    wait_broken(t, false);
    recorder_stop(r);
    tape_free(t);
    struct archive *a = test_archive(dir.path, session_id);
    assert_int_equal(archive_count(a), MANY);
    archive_free(a);
    assert_true(json_array_size(authz.leaves) > 1025);
    test_verify_whole(dir.path, session_id, &authz);
    test_authz_stop(&authz);
    test_ring_free(&ring);
    test_dir_remove(dir.path);
}

/* A torn last segment, cut at any byte: what was whole stays, the rest is cut off and kept aside, and recording goes on. */
static void torn_at_any_byte(void **state)
{
    struct test_dir dir;
    struct test_ring ring;
    struct test_authz authz;
    char path[256];
    unsigned char *file = NULL;
    size_t size = 0;
    struct listing l = { 0 };
    (void)state;
    test_dir_make(&dir);
    test_authz_start(&authz, dir.path);
    test_recording_path(path, dir.path, session_id);
    for (unsigned i = 0; i < 2; i++) {
        test_ring_make(&ring, 16384);
        struct recorder *r = test_recorder(dir.path, &authz, &ring, 1, 20, 1 << 20);
        struct tape *t = test_tape(&ring);
        one_exchange(t, &ring, session_id, 100);
        recorder_stop(r);
        tape_free(t);
        test_ring_free(&ring);
        free(file);
        assert_int_equal(file_read(path, 1 << 20, false, &file, &size, NULL), OK);
    }
    int fd = open(path, O_RDONLY);
    assert_int_equal(listing_walk(fd, size, &l, NULL), OK);
    close(fd);
    for (size_t cut = 1; cut < size; cut += 61) {
        assert_int_equal(file_write(path, slice_of(file, cut), 0600, NULL), OK);
        test_ring_make(&ring, 16384);
        authz.away = true;   /* the log is another test's matter */
        struct recorder *r = test_recorder(dir.path, &authz, &ring, 1, 20, 1 << 20);
        struct tape *t = test_tape(&ring);
        one_exchange(t, &ring, session_id, 100);
        tape_demand(t);
        while (tape_durable(t) < tape_position(t))
            test_wait(ring.wake_fd);
        authz.away = false;
        recorder_stop(r);
        tape_free(t);
        test_ring_free(&ring);
        struct archive *a = test_archive(dir.path, session_id);
        size_t whole = 0;
        for (size_t i = 0; i < l.count; i++)
            whole += l.v[i].kind == TAR_RECORDS && l.v[i].end <= cut;
        if (archive_count(a) != whole + 1)
            fail_msg("cut at %zu: %zu exchanges, %zu expected", cut, archive_count(a), whole + 1);
        archive_free(a);
    }
    free(file);
    listing_done(&l);
    test_authz_stop(&authz);
    test_dir_remove(dir.path);
}

/* Nothing to do costs next to nothing. */
static void idle_is_cheap(void **state)
{
    struct test_dir dir;
    struct test_ring ring;
    struct test_authz authz;
    struct rusage before, after;
    (void)state;
    test_dir_make(&dir);
    test_ring_make(&ring, 65536);
    test_authz_start(&authz, dir.path);
    struct recorder *r = test_recorder(dir.path, &authz, &ring, 1, 2000, 1 << 20);
    struct tape *t = test_tape(&ring);
    one_exchange(t, &ring, session_id, 10);
    usleep(50000);
    getrusage(RUSAGE_SELF, &before);
    usleep(1000000);
    getrusage(RUSAGE_SELF, &after);
    long switches = after.ru_nvcsw - before.ru_nvcsw;
    assert_true(switches < 400);   /* the fake authz polls too */
    recorder_stop(r);
    tape_free(t);
    test_authz_stop(&authz);
    test_ring_free(&ring);
    test_dir_remove(dir.path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_random_moments),
        cmocka_unit_test(open_exchange_is_kept_to_the_last_byte),
        cmocka_unit_test(authz_away),
        cmocka_unit_test(authz_away_for_long),
        cmocka_unit_test(torn_at_any_byte),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(idle_is_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
