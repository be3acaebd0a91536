#include "proxy/record/recorder.h"

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/record/keeper.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { NICE = 5, RETRY_MS = 200, BROKEN_AFTER_MS = 5000, TIDY_MS = 1000, STOP_MS = 3000, TURN_BYTES = 1 << 20 };

struct ring_state {
    struct ring_in in;
    int wake_fd;
};

struct recorder {
    pthread_t thread;
    _Atomic bool stopping;
    _Atomic(struct age_sealer *) next_sealer;   /* of a reload, not yet taken up */
    struct keeper keeper;
    struct ring_state *rings;
    size_t count, segment_bytes;
    int64_t segment_ms;
    int64_t now_ms;
    int64_t tick_ms;                  /* when everything is written and synced next; INT64_MAX: nothing to write */
    int64_t tidy_ms;
    int64_t failing_ms, retry_ms;     /* failing since (0: no), and when to try again */
    bool broken;
};

/* Trouble: a full disk, a lost folder, authz away for long. Nothing is dropped: the rings fill, and then say FULL. */

static void set_broken(struct recorder *r, bool broken)
{
    if (r->broken == broken)
        return;
    r->broken = broken;
    for (size_t i = 0; i < r->count; i++)
        atomic_store(&r->rings[i].in.h->broken, broken);
    if (broken)
        log_error("record.broken", "next", "requests are refused until recordings can be written again");
}

static void note_failure(struct recorder *r, const struct err *err)
{
    if (r->failing_ms == 0) {
        r->failing_ms = r->now_ms;
        log_error("record.failing", "why", err->text, "next", "trying again every 200 ms; free disk space if it is full");
    }
    r->retry_ms = r->now_ms + RETRY_MS;
    if (r->now_ms - r->failing_ms >= BROKEN_AFTER_MS)
        set_broken(r, true);
}

static void note_success(struct recorder *r)
{
    if (r->failing_ms == 0)
        return;
    log_info("record.recovered");
    r->failing_ms = 0;
    r->retry_ms = 0;
    set_broken(r, false);
}

/* Rings. */

static void wake_worker(const struct ring_state *ring)
{
    uint64_t one = 1;
    ssize_t ignored = ring->wake_fd >= 0 ? write(ring->wake_fd, &one, sizeof one) : 0;
    (void)ignored;   /* its counter is full: the worker will wake anyway */
}

static void move_tail(struct recorder *r, size_t i)
{
    struct ring_state *ring = &r->rings[i];
    struct ring_header *h = ring->in.h;
    uint64_t tail = ring->in.pos, old = atomic_load(&h->tail);
    (void)keeper_oldest(&r->keeper, i, &tail);
    if (tail == old)
        return;
    ring_set_tail(h, tail);
    uint64_t head = atomic_load(&h->head);
    if ((h->bytes - (head - tail) >= h->bytes / 4 || tail == head) && atomic_exchange(&h->wants_room, 0))
        wake_worker(ring);
}

/* What a segment costs besides its bytes (two keys agreed on, a leaf in the log) is the same for a small one: what compresses well may take more of the ring, until that is half
 * full. */
static bool is_due(const struct recorder *r, const struct session *s)
{
    return (s->raw >= r->segment_bytes && s->out.len >= r->segment_bytes) || s->touched_count >= SESSION_TOUCHED_FULL;
}

static enum status take_entry(struct recorder *r, size_t i, const struct ring_entry *e, struct err *err)
{
    struct session *s;
    enum status st = keeper_take(&r->keeper, &r->rings[i].in, i, e, &s, err);
    if (st == CORRUPT) {
        log_error("record.entry-dropped", "why", err->text);
        return OK;
    }
    if (st != OK)
        r->rings[i].in.pos = e->pos;
    return st == OK && is_due(r, s) ? keeper_flush(&r->keeper, s, err) : st;
}

/* Read what is there, at most a turn's worth, so that no ring waits long for another. */
static enum status consume(struct recorder *r, size_t i, bool *more, struct err *err)
{
    struct ring_in *in = &r->rings[i].in;
    uint64_t start = in->pos;
    struct ring_entry e;
    enum status st = OK;
    while (st == OK && in->pos - start < TURN_BYTES) {
        st = ring_next(in, &e);
        if (st == OK && (st = take_entry(r, i, &e, err)) != OK)
            return st;
    }
    if (st == CORRUPT) {
        log_error("record.ring-damaged", "next", "what it held is lost; restart the gateway if this comes again");
        in->pos = atomic_load(&in->h->head);
    }
    *more |= st == OK;
    return OK;
}

/* Segments that are due. */

/* Over half full, or a worker waits: make room, the oldest first. */
static enum status relieve(struct recorder *r, size_t i, struct err *err)
{
    const struct ring_state *ring = &r->rings[i];
    for (;;) {
        uint64_t tail = 0;
        struct session *s = keeper_oldest(&r->keeper, i, &tail);
        bool waits = atomic_load(&ring->in.h->wants_room) != 0;
        if (s == NULL || (!waits && ring->in.pos - tail <= ring->in.h->bytes / 2))
            return OK;
        enum status st = keeper_flush(&r->keeper, s, err);
        if (st != OK)
            return st;
    }
}

static bool demanded(const struct ring_state *ring)
{
    const struct ring_header *h = ring->in.h;
    return atomic_load(&h->demand) > atomic_load(&h->durable) && ring->in.pos > atomic_load(&h->durable);
}

static enum status sync_now(struct recorder *r, struct err *err)
{
    enum status st = keeper_sync(&r->keeper, err);
    for (size_t i = 0; i < r->count && st == OK; i++) {
        struct ring_header *h = r->rings[i].in.h;
        uint64_t tail = atomic_load(&h->tail), old = atomic_exchange(&h->durable, tail);
        if (tail > old && atomic_load(&h->demand) > old)
            wake_worker(&r->rings[i]);
    }
    return st;
}

/* All that is due by the clock or by a demand: written, synced, and handed on to the log. */
static enum status write_due(struct recorder *r, struct err *err)
{
    bool tick = r->now_ms >= r->tick_ms, demand = false;
    enum status st = OK;
    for (size_t i = 0; i < r->count && st == OK; i++) {
        st = relieve(r, i, err);
        if (st == OK && demanded(&r->rings[i])) {
            demand = true;
            st = keeper_flush_before(&r->keeper, i, atomic_load(&r->rings[i].in.h->demand), err);
        }
    }
    if (st == OK && tick)
        st = keeper_flush_before(&r->keeper, SIZE_MAX, 0, err);
    for (size_t i = 0; i < r->count; i++)
        move_tail(r, i);
    /* Also when not all could be written: what was, must become durable. */
    enum status synced = tick || demand ? sync_now(r, st == OK ? err : NULL) : OK;
    if (st == OK && synced == OK && tick)
        r->tick_ms = INT64_MAX;
    return st != OK ? st : synced;
}

/* An exchange has lost its producer when another one has taken its ring over since, or the process is gone, or nobody has that ring any more. */
static bool is_dead(void *to, const struct record_exchange *x)
{
    const struct recorder *r = to;
    for (size_t i = 0; i < r->count; i++) {
        const struct ring_header *h = r->rings[i].in.h;
        if (memcmp(h->id, x->ring, RING_ID_BYTES) != 0)
            continue;
        uint64_t gone_before = atomic_load(&h->epoch_start), pos = r->rings[i].in.pos;
        int32_t pid = atomic_load(&h->producer_pid);
        if (pid > 0 && kill(pid, 0) != 0 && errno == ESRCH)
            gone_before = atomic_load(&h->head);
        return x->begun_at < gone_before && pos >= gone_before;
    }
    return true;
}

static bool has_news(const struct recorder *r)
{
    for (const struct session *s = r->keeper.sessions; s != NULL; s = s->hh.next)
        if (session_has_news(s))
            return true;
    return keeper_dirty(&r->keeper);
}

/* One turn: read, write, sync. *more: there is more to read at once. */
static enum status turn(struct recorder *r, bool *more, struct err *err)
{
    enum status st = OK;
    for (size_t i = 0; i < r->count && st == OK; i++)
        st = consume(r, i, more, err);
    if (st == OK && r->now_ms >= r->tidy_ms) {
        st = keeper_end_dead(&r->keeper, is_dead, r, err);
        keeper_tidy(&r->keeper);
        r->tidy_ms = r->now_ms + TIDY_MS;
    }
    if (r->tick_ms == INT64_MAX && has_news(r))
        r->tick_ms = r->now_ms + r->segment_ms / 2;
    enum status due = write_due(r, err);
    if (st == OK && due == OK && keeper_log_full(&r->keeper))
        return fail(err, FULL, "authz is away: more than %d segments wait for their place in the log", LEAVES_MAX);
    return st != OK ? st : due;
}

/* Sleeping: until the next thing is due, a ring is a quarter full, a worker demands something, or authz answers. */

static bool may_sleep(struct recorder *r)
{
    bool sleep = !atomic_load(&r->stopping);
    for (size_t i = 0; i < r->count; i++) {
        struct ring_header *h = r->rings[i].in.h;
        uint64_t wake_at = r->rings[i].in.pos + h->bytes / 4;
        atomic_store(&h->wake_at, wake_at);
        bool waits = atomic_load(&h->wants_room) && atomic_load(&h->head) != atomic_load(&h->tail);
        if (atomic_load(&h->head) >= wake_at || waits || atomic_load(&h->demand) > atomic_load(&h->durable))
            sleep = false;
    }
    return sleep;
}

static int64_t next_ms(const struct recorder *r)
{
    int64_t next = r->now_ms + (r->segment_ms / 8 < 250 ? r->segment_ms / 8 : 250), leaf = leaves_next_ms(r->keeper.leaves);
    if (r->tick_ms < next)
        next = r->tick_ms;
    if (r->retry_ms > r->now_ms)
        next = r->retry_ms;   /* nothing else can be done before */
    return leaf < next ? leaf : next;
}

static void sleep_until_due(struct recorder *r)
{
    struct pollfd fds[] = { { .fd = ring_bell_fd(), .events = POLLIN }, { .fd = leaves_fd(r->keeper.leaves), .events = POLLIN } };
    int64_t wait = next_ms(r) - clock_mono_ms();
    bool failing = r->retry_ms > r->now_ms;
    if ((may_sleep(r) || failing) && wait > 0)
        (void)poll(fds + failing, (nfds_t)(failing ? 1 : 2), (int)wait);
    for (size_t i = 0; i < r->count; i++)
        atomic_store(&r->rings[i].in.h->wake_at, RING_AWAKE);
    uint64_t rung;
    ssize_t ignored = read(ring_bell_fd(), &rung, sizeof rung);
    (void)ignored;
}

static void one_round(struct recorder *r, bool *more)
{
    struct err err = { "" };
    struct age_sealer *next = atomic_exchange(&r->next_sealer, NULL);
    if (next != NULL)
        keeper_seal_with(&r->keeper, next);
    *more = false;
    r->now_ms = r->keeper.now_ms = clock_mono_ms();
    if (r->now_ms >= r->retry_ms) {
        enum status st = turn(r, more, &err);
        if (st != OK)
            note_failure(r, &err);
        else
            note_success(r);
    }
    keeper_log(&r->keeper);
}

static bool all_kept(const struct recorder *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (atomic_load(&r->rings[i].in.h->head) != r->rings[i].in.pos)
            return false;
    return !has_news(r) && leaves_waiting(r->keeper.leaves) == 0;
}

static void keep_all(struct recorder *r, int64_t give_up)
{
    while (!all_kept(r) && clock_mono_ms() < give_up) {
        bool more;
        r->tick_ms = 0;
        one_round(r, &more);
        struct pollfd fd = { .fd = leaves_fd(r->keeper.leaves), .events = POLLIN };
        if (!more && leaves_waiting(r->keeper.leaves) > 0)
            (void)poll(&fd, 1, 20);
    }
}

/* The end: everything that is on the tapes, at once, for as long as it makes sense; and then its index. */
static void wind_up(struct recorder *r)
{
    struct err err = { "" };
    int64_t give_up = clock_mono_ms() + STOP_MS;
    keep_all(r, give_up);
    if (all_kept(r) && keeper_index_all(&r->keeper, &err) != OK)
        log_warn("record.not-indexed", "why", err.text);   /* readers look into the segments instead */
    keep_all(r, give_up);
    if (!all_kept(r))
        log_warn("record.stopped-early", "why", "not everything could be written or logged; the next start goes on");
}

/* What waits for this thread waits for a disk anyway; what waits for a worker on the same core is a person's request. A worker that goes faster than its tape is emptied stops
 * reading, so that this thread is never starved. */
static void step_back(void)
{
    errno = 0;
    if (setpriority(PRIO_PROCESS, 0, NICE) != 0)   /* 0: this thread */
        log_warn("record.priority", "why", strerror(errno));
}

static void *run(void *arg)
{
    struct recorder *r = arg;
    step_back();
    while (!atomic_load(&r->stopping)) {
        bool more;
        one_round(r, &more);
        if (!more)
            sleep_until_due(r);
    }
    wind_up(r);
    return NULL;
}

static enum status attach(struct recorder *r, const struct recorder_ring *rings, size_t count, struct err *err)
{
    r->rings = calloc(count ? count : 1, sizeof *r->rings);
    if (r->rings == NULL)
        return fail(err, NO_MEMORY, "recorder");
    for (size_t i = 0; i < count; i++) {
        struct ring_header *h;
        enum status st = ring_attach(rings[i].memory, rings[i].size, &h, err);
        if (st != OK)
            return st;
        ring_in_init(&r->rings[i].in, h);
        r->rings[i].wake_fd = rings[i].wake_fd;
        atomic_store(&h->broken, 0);
        atomic_store(&h->wake_at, RING_AWAKE);
    }
    r->count = count;
    return OK;
}

/* Signals are the main thread's business. */
static enum status start_thread(struct recorder *r, struct err *err)
{
    sigset_t all, old;
    sigfillset(&all);
    sigdelset(&all, SIGSYS);          /* a refused system call is said by the thread that made it (sandbox.h) */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&r->thread, NULL, run, r);
    if (failed == 0)
        pthread_setname_np(r->thread, "recorder");
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return failed ? fail(err, IO_FAILED, "cannot start the recorder's thread: %s", strerror(failed)) : OK;
}

static void recorder_free(struct recorder *r)
{
    age_sealer_free(atomic_load(&r->next_sealer));
    keeper_close(&r->keeper);
    free(r->rings);
    free(r);
}

/* Without the key nothing can be searched, and all else goes on. */
static enum status start_searching(struct recorder *r, const struct config *c, struct err *err)
{
    unsigned char key[32];
    enum status st = touched_key(c, key, err);
    if (st == OK)
        st = keeper_touch_with(&r->keeper, key, err);
    else if (st == NOT_FOUND)
        st = OK;
    OPENSSL_cleanse(key, sizeof key);
    return st;
}

static enum status start_sealing(struct recorder *r, const struct config *c, struct err *err)
{
    struct age_sealer *sealer = NULL;
    enum status st = c->sealed_to_count > 0 ? age_sealer_new(c->sealed_to, c->sealed_to_count, &sealer, err) : OK;
    if (st != OK)
        return st;
    keeper_seal_with(&r->keeper, sealer);
    for (size_t i = 0; i < r->count; i++)
        keeper_know_ring(&r->keeper, r->rings[i].in.h);
    return OK;
}

enum status recorder_reload(struct recorder *r, const struct config *c, struct err *err)
{
    struct age_sealer *sealer = NULL;
    if (c->sealed_to_count == 0)
        return OK;
    enum status st = age_sealer_new(c->sealed_to, c->sealed_to_count, &sealer, err);
    if (st == OK)
        age_sealer_free(atomic_exchange(&r->next_sealer, sealer));
    return st;
}

enum status recorder_start(const struct config *c, const char *authz_socket, const struct recorder_ring *rings, size_t count,
                           struct recorder **out, struct err *err)
{
    struct recorder *r = calloc(1, sizeof *r);
    if (r == NULL)
        return fail(err, NO_MEMORY, "recorder");
    r->keeper = (struct keeper){ .dir_fd = -1, .open_fd = -1 };
    r->segment_ms = c->segment_ms > 0 ? c->segment_ms : 2000;
    r->segment_bytes = c->segment_bytes > 0 ? c->segment_bytes : 1 << 20;
    r->tick_ms = INT64_MAX;
    enum status st = attach(r, rings, count, err);
    if (st == OK)
        st = keeper_open(&r->keeper, c->state, c->instance, authz_socket, count, err);
    if (st == OK)
        st = start_sealing(r, c, err);
    if (st == OK)
        st = start_searching(r, c, err);
    if (st == OK)
        st = ring_bell_fd() >= 0 ? OK : fail(err, IO_FAILED, "eventfd: %s", strerror(errno));
    if (st == OK)
        st = keeper_recover(&r->keeper, err);
    if (st == OK)
        st = start_thread(r, err);
    if (st != OK) {
        recorder_free(r);
        return st;
    }
    *out = r;
    return OK;
}

void recorder_stop(struct recorder *r)
{
    if (r == NULL)
        return;
    atomic_store(&r->stopping, true);
    ring_bell();
    pthread_join(r->thread, NULL);
    recorder_free(r);
}
