#include "proxy/record/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static struct ring_header *make(void **memory, size_t bytes)
{
    struct ring_header *h;
    *memory = aligned_alloc(64, ring_memory_size(bytes));
    ring_memory_init(*memory, bytes);
    assert_int_equal(ring_attach(*memory, ring_memory_size(bytes), &h, NULL), OK);
    return h;
}

static enum status put(struct ring_out *o, unsigned kind, const void *data, size_t len)
{
    ring_start(o, 0);
    ring_entry_start(o, kind, 3, 77, 1000, SLICE("session"));
    ring_put(o, slice_of(data, len));
    ring_entry_end(o);
    return ring_commit(o);
}

/* Entries of every length, so that each lies across the edge at each of its bytes at some time. */
static void across_the_edge(void **state)
{
    void *memory;
    struct ring_header *h = make(&memory, 4096);
    struct ring_out o;
    struct ring_in in;
    struct ring_entry e;
    unsigned char data[1000], got[1000];
    (void)state;
    ring_out_init(&o, h);
    ring_in_init(&in, h);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 7);
    for (size_t len = 0; len < 3000; len++) {
        size_t n = len % sizeof data;
        assert_int_equal(put(&o, 5, data, n), OK);
        assert_int_equal(ring_next(&in, &e), OK);
        struct ring_cursor c = ring_cursor(&e);
        assert_true(e.kind == 5 && e.flags == 3 && e.exchange == 77 && e.wall_ms == 1000);
        assert_true(slice_eq(e.session, SLICE("session")));
        assert_int_equal(ring_left(&c), n);
        assert_true(ring_take(&c, got, n));
        assert_memory_equal(got, data, n);
        assert_false(ring_take(&c, got, 1));
        assert_int_equal(ring_next(&in, &e), AGAIN);
        ring_set_tail(h, in.pos);
    }
    free(memory);
}

/* A group is seen whole or not at all. */
static void groups(void **state)
{
    void *memory;
    struct ring_header *h = make(&memory, 4096);
    struct ring_out o;
    struct ring_in in;
    struct ring_entry e;
    static const unsigned char big[4096];
    (void)state;
    ring_out_init(&o, h);
    ring_in_init(&in, h);
    ring_start(&o, 0);
    for (unsigned i = 0; i < 2; i++) {
        ring_entry_start(&o, i, 0, 1, 0, SLICE("s"));
        ring_put_string(&o, SLICE("hello"));
        ring_entry_end(&o);
    }
    assert_int_equal(ring_next(&in, &e), AGAIN);
    assert_int_equal(ring_commit(&o), OK);
    for (unsigned i = 0; i < 2; i++)
        assert_true(ring_next(&in, &e) == OK && e.kind == i);
    ring_start(&o, 0);
    ring_entry_start(&o, 9, 0, 1, 0, SLICE("s"));
    ring_entry_end(&o);
    ring_entry_start(&o, 9, 0, 1, 0, SLICE("s"));
    ring_put(&o, slice_of(big, sizeof big));
    ring_entry_end(&o);
    assert_int_equal(ring_commit(&o), FULL);
    assert_int_equal(ring_next(&in, &e), AGAIN);
    size_t room = ring_free(&o);
    assert_int_equal(put(&o, 1, big, room - RING_ENTRY_HEAD - 7 + 1), FULL);
    assert_int_equal(put(&o, 1, big, room - RING_ENTRY_HEAD - 7 - 1), OK);
    assert_int_equal(ring_free(&o), 0);
    assert_int_equal(put(&o, 1, big, 0), FULL);
    free(memory);
}

static void damaged_memory(void **state)
{
    void *memory;
    struct ring_header *h = make(&memory, 4096), *again;
    (void)state;
    size_t size = ring_memory_size(4096);
    assert_int_equal(ring_attach(memory, size - 1, &again, NULL), BAD_INPUT);
    h->bytes = 4097;
    assert_int_equal(ring_attach(memory, size, &again, NULL), BAD_INPUT);
    h->bytes = 8192;
    assert_int_equal(ring_attach(memory, size, &again, NULL), BAD_INPUT);
    h->bytes = 4096;
    atomic_store(&h->head, 8192);
    assert_int_equal(ring_attach(memory, size, &again, NULL), CORRUPT);
    atomic_store(&h->head, 12);
    assert_int_equal(ring_attach(memory, size, &again, NULL), CORRUPT);
    atomic_store(&h->head, 0);
    h->magic++;
    assert_int_equal(ring_attach(memory, size, &again, NULL), BAD_INPUT);
    free(memory);
}

static void damaged_entries(void **state)
{
    static const struct {
        const char *name;
        size_t at;
        unsigned char value;
    } rows[] = {
        { "length too small", 0, 10 }, { "length past head", 1, 1 }, { "huge length", 3, 255 }, { "session longer than the entry", 7, 60 },
        { "session longer than allowed", 7, 65 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        void *memory;
        struct ring_header *h = make(&memory, 4096);
        struct ring_out o;
        struct ring_in in;
        struct ring_entry e;
        ring_out_init(&o, h);
        ring_in_init(&in, h);
        assert_int_equal(put(&o, 1, "x", 1), OK);
        ((unsigned char *)memory)[RING_HEADER_BYTES + rows[i].at] = rows[i].value;
        if (ring_next(&in, &e) != CORRUPT)
            fail_msg("%s", rows[i].name);
        free(memory);
    }
}

static void *produce(void *arg)
{
    struct ring_out o;
    ring_out_init(&o, arg);
    for (uint64_t i = 0; i < 200000; i++) {
        unsigned char data[64];
        memset(data, (int)(i & 255), sizeof data);
        memcpy(data, &i, sizeof i);
        while (put(&o, 1, data, 8 + i % 56) == FULL)
            sched_yield();
    }
    return NULL;
}

static void two_threads(void **state)
{
    void *memory;
    struct ring_header *h = make(&memory, 4096);
    struct ring_in in;
    pthread_t thread;
    (void)state;
    ring_in_init(&in, h);
    pthread_create(&thread, NULL, produce, h);
    for (uint64_t i = 0; i < 200000;) {
        struct ring_entry e;
        enum status st = ring_next(&in, &e);
        if (st == AGAIN) {
            sched_yield();
            continue;
        }
        uint64_t n;
        struct ring_cursor c = ring_cursor(&e);
        assert_int_equal(st, OK);
        assert_true(ring_left(&c) == 8 + i % 56 && ring_take(&c, &n, sizeof n) && n == i);
        ring_set_tail(h, in.pos);
        i++;
    }
    pthread_join(thread, NULL);
    free(memory);
}

static bool rings(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    uint64_t n;
    return poll(&p, 1, 0) == 1 && read(fd, &n, sizeof n) == sizeof n;
}

/* No bell while the consumer is awake, one when it sleeps and the mark is passed, not a second one. */
static void bell(void **state)
{
    void *memory;
    struct ring_header *h = make(&memory, 4096);
    struct ring_out o;
    (void)state;
    ring_out_init(&o, h);
    (void)rings(ring_bell_fd());
    assert_int_equal(put(&o, 1, "x", 1), OK);
    assert_false(rings(ring_bell_fd()));
    atomic_store(&h->wake_at, 90);
    assert_int_equal(put(&o, 1, "x", 1), OK);
    assert_false(rings(ring_bell_fd()));
    assert_int_equal(put(&o, 1, "x", 1), OK);
    assert_true(rings(ring_bell_fd()));
    assert_int_equal(put(&o, 1, "x", 1), OK);
    assert_false(rings(ring_bell_fd()));
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(across_the_edge), cmocka_unit_test(groups), cmocka_unit_test(damaged_memory),
        cmocka_unit_test(damaged_entries), cmocka_unit_test(two_threads), cmocka_unit_test(bell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
