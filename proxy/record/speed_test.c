/* How fast the recorder keeps bodies, and what a small exchange costs: figures, not limits (a loaded machine must not fail a test). Run the plain build with
 * COUNTERSIGN_LONG=1 for figures worth quoting; COUNTERSIGN_SPEED=WORD runs only the rows with that word in their name. */
#include "proxy/base/clock.h"
#include "proxy/record/record_test.h"

#include <sys/resource.h>

static double cpu_s(int who)
{
    struct rusage use;
    getrusage(who, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) + (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static double thread_s(void)
{
    return cpu_s(RUSAGE_THREAD);
}

static double process_s(void)
{
    return cpu_s(RUSAGE_SELF);
}

/* Rows of a table in JSON, as admin tools send them; or noise, which does not compress. */
static unsigned char *make_body(size_t len, bool noise)
{
    unsigned char *p = malloc(len + 256);
    uint64_t x = 88172645463325252u;
    for (size_t at = 0; at < len;) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        if (noise) {
            memcpy(p + at, &x, 8);
            at += 8;
        } else {
            at += (size_t)snprintf((char *)p + at, 200, "{\"id\":%u,\"email\":\"user%u@example.com\",\"audience\":%u,\"created\":\"2026-01-%02uT10:00:00Z\",\"active\":%s},\n",
                                   (unsigned)(x >> 44), (unsigned)(x >> 50), (unsigned)(x & 255), (unsigned)(x % 28 + 1), x & 64 ? "true" : "false");
        }
    }
    return p;
}

static void exchange(struct tape *t, const struct test_ring *ring, const unsigned char *data, size_t len, size_t piece, enum record_mode mode)
{
    struct arena arena;
    struct tape_exchange x = { 0 };
    struct field v[8];
    struct tape_session s = test_session("grt_speed");
    struct message request = test_request("GET", "/customers?page=2", "accept: */*\ncookie: sessionid=abcdef\nuser-agent: test\n", v, 4);
    struct message response = test_response(200, "content-type: text/html\nserver: x\n", v + 4, 4);
    arena_init(&arena, 65536);
    while (tape_begin(t, &x, &s, &request, &(struct tape_keep){ .action = SLICE("read"), .mode = mode }, &arena) == FULL)
        test_wait(ring->wake_fd);
    while (tape_response(t, &x, &response, true) == FULL)
        test_wait(ring->wake_fd);
    for (size_t at = 0; at < len;) {
        size_t n = len - at < piece ? len - at : piece;
        while (tape_room(t) < n)
            test_wait(ring->wake_fd);
        assert_int_equal(tape_body(t, &x, TAPE_RESPONSE, slice_of(data + at, n)), OK);
        at += n;
    }
    assert_int_equal(tape_finish(t, &x, TAPE_RESPONSE, TAPE_COMPLETE), OK);
    tape_close(t, &x, NULL);
    arena_done(&arena);
}

static void run(const char *name, size_t count, size_t len, bool noise, enum record_mode mode)
{
    struct test_dir dir;
    struct test_ring ring;
    struct test_authz authz;
    const char *only = getenv("COUNTERSIGN_SPEED");
    if (only != NULL && strstr(name, only) == NULL)
        return;
    unsigned char *body = make_body(len, noise);
    test_dir_make(&dir);
    test_ring_make(&ring, 4 << 20);
    test_authz_start(&authz, dir.path);
    int64_t start = clock_mono_ms();
    double mine = thread_s(), all = process_s();
    struct recorder *r = test_recorder(dir.path, &authz, &ring, 1, 2000, 1 << 20);
    struct tape *t = test_tape(&ring);
    for (size_t i = 0; i < count; i++)
        exchange(t, &ring, body, len, 16384, mode);
    recorder_stop(r);
    mine = thread_s() - mine;
    all = process_s() - all - mine;
    double wall = (double)(clock_mono_ms() - start) / 1e3, mb = (double)count * (double)len / 1e6;
    print_message("%s: %zu exchanges, %.0f MB in %.2f s; recorder %.2f s of CPU (%.0f MB/s a core, %.1f us an exchange), worker %.2f s (%.1f us an exchange)\n", name,
                  count, mb, wall, all, mb / all, all * 1e6 / (double)count, mine, mine * 1e6 / (double)count);
    struct stat sb;
    char path[256];
    test_recording_path(path, dir.path, "grt_speed");
    double verify = thread_s();
    test_verify_whole(dir.path, "grt_speed", &authz);
    verify = thread_s() - verify;
    if (stat(path, &sb) == 0 && sb.st_size > 1 << 20)
        print_message("    verify: %.1f MB in %.3f s of CPU (%.0f MB/s a core)\n", (double)sb.st_size / 1e6, verify, (double)sb.st_size / 1e6 / verify);
    tape_free(t);
    free(body);
    test_authz_stop(&authz);
    test_ring_free(&ring);
    test_dir_remove(dir.path);
}

static void figures(void **state)
{
    size_t scale = getenv("COUNTERSIGN_LONG") ? 50 : 1;
    (void)state;
    run("large, JSON", scale, 20 << 20, false, RECORD_FULL);
    run("large, noise", scale, 20 << 20, true, RECORD_FULL);
    run("10 KiB, JSON", 400 * scale, 10240, false, RECORD_FULL);
    run("10 KiB, noise", 400 * scale, 10240, true, RECORD_FULL);
    test_unsealed = true;
    run("10 KiB, JSON, unsealed", 400 * scale, 10240, false, RECORD_FULL);
    test_unsealed = false;
    run("empty", 400 * scale, 0, false, RECORD_FULL);
    run("10 KiB, sizes only", 400 * scale, 10240, false, RECORD_METADATA);
    run("1 MiB, sizes only", 4 * scale, 1 << 20, false, RECORD_METADATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(figures) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
