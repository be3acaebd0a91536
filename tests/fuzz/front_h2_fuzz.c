/* The HTTP/2 front as a whole: bytes of a client through nghttp2 and front_h2 to exchanges and back, with exchanges of our own making, which answer when and as the input says, and
 * which watch: a body never before its head, never more than there is room for, never after its end, and nothing after they are freed. What goes out is read again as frames: heads
 * before bodies, each body byte for byte as it was given, nothing behind an end.
 * Input: steps, each a byte (low three bits: what; the rest: how much), see step. After the preface and an empty SETTINGS of ours. */
#include "proxy/base/log.h"
#include "proxy/exchange/front_h2_internal.h"
#include "proxy/exchange/websocket.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STREAMS_SEEN_MAX = 512, BODY_MAX = 200 * 1024, ANSWERED = 1, ENDED = 2, RESET = 4 };

/* What one exchange was told, and has answered. */
struct play {
    bool started, freed;
    size_t given;                     /* of the answer's body */
};

static struct worker worker;
static struct config config;
static struct snapshot snap;
static struct conn conn;
static struct exchange *live[256];
static struct play plays[256];
static unsigned lives;
static unsigned char seen[STREAMS_SEEN_MAX];      /* by stream id / 2: what went out */
static size_t bodies[STREAMS_SEEN_MAX];

/* ---- the exchanges ---- */

static unsigned index_of(const struct exchange *x)
{
    for (unsigned i = 0; i < lives; i++)
        if (live[i] == x)
            return i;
    abort();                          /* it was freed, or never made */
}

static unsigned char body_byte(int32_t id, size_t at)
{
    return (unsigned char)((unsigned)id * 7u + at * 131u + at / 251u);
}

struct exchange *exchange_new(struct conn *c, const struct front *front, void *stream)
{
    if (lives == sizeof live / sizeof *live)
        return NULL;
    struct exchange *x = calloc(1, sizeof *x);
    assert(x != NULL);
    x->conn = c;
    x->worker = c->worker;
    x->front = front;
    x->stream = stream;
    arena_init(&x->arena, EXCHANGE_ARENA_MAX);
    bbuf_init(&x->body, REQUEST_BUFFER);
    live[lives] = x;
    plays[lives++] = (struct play){ 0 };
    return x;
}

void exchange_free(struct exchange *x)
{
    unsigned i = index_of(x);
    live[i] = live[--lives];
    plays[i] = plays[lives];
    bbuf_done(&x->body);
    arena_done(&x->arena);
    free(x);
}

void exchange_start(struct exchange *x, bool has_body)
{
    struct play *p = &plays[index_of(x)];
    assert(!p->started && x->stream_id % 2 == 1 && x->request.method.len > 0 && x->request.authority.len > 0 && x->request.raw_target.len > 0);
    p->started = true;
    x->request_done = !has_body;
    x->state = X_FORWARD;
}

size_t exchange_body_room(const struct exchange *x)
{
    return x->state == X_DONE || x->state == X_REPLY ? REQUEST_BUFFER : bbuf_room(&x->body);
}

void exchange_body(struct exchange *x, struct slice data)
{
    nghttp2_session *session = ((struct h2_conn *)x->conn->driver)->session;
    assert(plays[index_of(x)].started && !x->request_done);
    if (data.len > exchange_body_room(x)) {   /* past its window: nghttp2 resets the stream, and shows these bytes all the same */
        assert((size_t)nghttp2_session_get_stream_effective_recv_data_length(session, x->stream_id) + data.len > REQUEST_BUFFER);
        return;
    }
    if (x->state == X_DONE || x->state == X_REPLY) {
        x->front->took(x, data.len);
        return;
    }
    enum status st = bbuf_put(&x->body, data);
    assert(st == OK);
}

void exchange_body_end(struct exchange *x, const struct fields *trailers)
{
    assert(plays[index_of(x)].started && !x->request_done && trailers != NULL);
    x->request_done = true;
}

static void give_body(struct exchange *x, size_t n)
{
    struct play *p = &plays[index_of(x)];
    unsigned char piece[4096];
    while (n > 0 && p->given < BODY_MAX) {
        size_t now = x->front->room(x);
        now = now < n ? now : n;
        now = now < sizeof piece ? now : sizeof piece;
        if (now == 0)
            return;
        for (size_t i = 0; i < now; i++)
            piece[i] = body_byte(x->stream_id, p->given + i);
        p->given += now;
        n -= now;
        x->front->body(x, slice_of(piece, now));
    }
}

void exchange_writable(struct exchange *x)
{
    assert(plays[index_of(x)].started && x->state != X_DONE);
}

void reply_problem(struct exchange *x, const struct problem *p)
{
    assert(p->status >= 400 && p->status < 600 && p->detail != NULL);
    plays[index_of(x)].started = true;
    x->state = X_DONE;
    x->front->head(x, p->status, &x->response_fields, 0, false);
    x->front->end(x);
}

void websocket_end(struct exchange *x, unsigned code, const char *why)
{
    assert(index_of(x) < lives && code == 1001 && why != NULL);
}

/* An answer, or more of it. */
static void answer(struct exchange *x, unsigned how, size_t more)
{
    static const struct field fine = { SLICE_INIT("x-a"), SLICE_INIT("b") };
    struct fields fields = { (struct field *)(uintptr_t)&fine, 1, 1 };
    if (!plays[index_of(x)].started || x->state == X_DONE)
        return;
    if (x->state == X_FORWARD && how == 0) {
        x->front->interim(x, 103, &fields);
        return;
    }
    if (x->state == X_FORWARD) {
        x->state = X_RESPOND;
        x->no_body = how == 1;
        x->front->head(x, x->no_body ? 204 : 200, &fields, -1, x->no_body);
        if (x->no_body || x->request.connect) {   /* a CONNECT that gets a 200 is cut off by the front */
            x->state = X_DONE;
            x->front->end(x);
            return;
        }
    }
    give_body(x, more);
    if (how == 2) {
        x->state = X_DONE;
        x->front->end(x);
    } else if (how == 3) {
        x->state = X_DONE;
        x->front->cut(x);
    } else if (how == 4 && x->response_trailers.count == 0) {
        x->response_trailers = (struct fields){ (struct field *)(uintptr_t)&fine, 1, 1 };
    }
}

static void take_body(struct exchange *x, size_t n)
{
    n = n < bbuf_len(&x->body) ? n : bbuf_len(&x->body);
    bbuf_drop(&x->body, n);
    x->front->took(x, n);
}

/* ---- the connection ---- */

enum status conn_put(struct conn *c, struct slice data)
{
    return bbuf_put(&c->out, data);
}

void conn_flush_soon(struct conn *c)
{
    c->blocked = false;
}

void conn_finish(struct conn *c)
{
    if (c->state == CONN_OPEN)
        c->state = CONN_FLUSH;
}

void conn_close(struct conn *c, bool friendly)
{
    assert(!friendly);
    c->state = CONN_GONE;
}

void conn_deadline(struct conn *c, int64_t in_ms)
{
    c->deadline_ms = c->worker->loop.now_ms + in_ms;
}

/* ---- what goes out ---- */

static uint32_t number_at(const unsigned char *p, unsigned bytes)
{
    uint32_t n = 0;
    while (bytes-- > 0)
        n = n << 8 | *p++;
    return n;
}

static void check_frame(const unsigned char *f, size_t len)
{
    uint8_t type = f[3], flags = f[4];
    uint32_t id = number_at(f + 5, 4), at = id / 2;
    assert(id <= INT32_MAX && len <= 16384 && type <= NGHTTP2_CONTINUATION && type != NGHTTP2_PUSH_PROMISE && type != NGHTTP2_PRIORITY);
    if (id == 0 || at >= STREAMS_SEEN_MAX) {
        assert(id > 0 || (type != NGHTTP2_DATA && type != NGHTTP2_HEADERS && type != NGHTTP2_RST_STREAM));
        return;
    }
    assert(id % 2 == 1 || type == NGHTTP2_RST_STREAM);
    if (type == NGHTTP2_DATA) {
        assert(seen[at] == ANSWERED && !(flags & NGHTTP2_FLAG_PADDED));
        for (size_t i = 0; i < len; i++)
            assert(f[9 + i] == body_byte((int32_t)id, bodies[at] + i));
        bodies[at] += len;
    } else if (type == NGHTTP2_HEADERS) {
        assert(!(seen[at] & (ENDED | RESET)));
        seen[at] |= ANSWERED;
    } else if (type == NGHTTP2_RST_STREAM) {
        seen[at] |= RESET;
    }
    if ((type == NGHTTP2_DATA || type == NGHTTP2_HEADERS) && (flags & NGHTTP2_FLAG_END_STREAM))
        seen[at] |= ENDED;
}

/* The client takes what there is, in whole frames. */
static void drain(void)
{
    for (;;) {
        struct slice out = bbuf_slice(&conn.out);
        if (out.len < 9)
            break;
        size_t len = number_at(out.ptr, 3);
        assert(out.len >= 9 + len);   /* frames are made whole */
        check_frame(out.ptr, len);
        bbuf_drop(&conn.out, 9 + len);
    }
    assert(bbuf_len(&conn.out) == 0);
    if (conn.state == CONN_OPEN || conn.state == CONN_FLUSH)
        protocol_h2.output(&conn);
}

static void run_tasks(void)
{
    for (unsigned i = 0; i < 64 && worker.loop.queue.next != &worker.loop.queue; i++) {
        struct task *t = worker.loop.queue.next;
        task_cancel(t);
        t->run(t);
    }
}

static void feed(struct slice in)
{
    while (in.len > 0 && conn.state == CONN_OPEN) {
        size_t n = in.len < bbuf_room(&conn.in) ? in.len : bbuf_room(&conn.in);
        enum status st = bbuf_put(&conn.in, slice_of(in.ptr, n));
        assert(st == OK && n > 0);
        in = slice_from(in, n);
        protocol_h2.input(&conn);
        run_tasks();
    }
}

/* A DATA frame, large for little input: only so is a window ever full. */
static void feed_data(unsigned n, unsigned stream)
{
    static unsigned char frame[9 + 31 * 528];
    size_t len = n * 528u;
    memset(frame, 0, sizeof frame);
    frame[1] = (unsigned char)(len >> 8);
    frame[2] = (unsigned char)len;
    frame[8] = (unsigned char)(1 + 2 * (stream % 8));
    feed(slice_of(frame, 9 + len));
}

static void step(unsigned what, unsigned n, struct slice *in)
{
    struct exchange *x = lives > 0 ? live[n % lives] : NULL;
    unsigned next = in->len > 0 ? in->ptr[0] : 0;
    if (what == 2 || what == 3 || what == 4 || what == 7)
        *in = slice_from(*in, in->len > 0);   /* it says how, or which stream */
    switch (what) {
    case 0: {                         /* bytes, few or many */
        size_t len = n < 31 ? n + 1 : 31 + next * 16u;
        struct slice piece = slice_of(in->ptr, len < in->len ? len : in->len);
        *in = slice_from(*in, piece.len);
        feed(piece);
        break;
    }
    case 1: {                         /* a whole frame: its type and flags, its stream, its length come first */
        unsigned char frame[9 + 255];
        if (in->len < 4)
            return;
        size_t len = in->ptr[3] < in->len - 4 ? in->ptr[3] : in->len - 4;
        memcpy(frame, (unsigned char[9]){ 0, 0, (unsigned char)len, (unsigned char)(in->ptr[0] % 12), in->ptr[1], 0, 0, 0, in->ptr[2] }, 9);
        memcpy(frame + 9, in->ptr + 4, len);
        *in = slice_from(*in, 4 + len);
        feed(slice_of(frame, 9 + len));
        break;
    }
    case 2:
    case 3:
        if (x != NULL)
            answer(x, next % 8, what == 2 ? n : n * 3000u);
        break;
    case 4:
        if (x != NULL)
            take_body(x, (next + 1) * 300u);
        break;
    case 5:
        drain();
        break;
    case 6:                           /* time passes */
        worker.loop.now_ms += n * n * 50;
        protocol_h2.tick(&conn);
        break;
    default:
        if (n == 0)
            protocol_h2.stop(&conn);
        else
            feed_data(n, next);
        break;
    }
    run_tasks();
}

static void begin(void)
{
    static bool made;
    if (!made)
        loop_init(&worker.loop);
    made = true;
    log_set_level(LOG_LEVEL_ERROR);
    config.limits = (struct limits){ .streams = 100, .fields = 64, .head_bytes = 16384, .resets = 50, .control_frames = 200, .slow_rate = 100, .head_ms = 10000, .body_idle_ms = 30000, .idle_ms = 60000 };
    snap.config = &config;
    conn = (struct conn){ .worker = &worker, .snap = &snap, .state = CONN_OPEN, .protocol = &protocol_h2, .address = "192.0.2.1" };
    bbuf_init(&conn.in, CONN_IN_MAX);
    bbuf_init(&conn.out, CONN_OUT_MAX);
    memset(seen, 0, sizeof seen);
    memset(bodies, 0, sizeof bodies);
    lives = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";   /* and the NUL behind it: 24 and 9 bytes */
    struct slice in = { data, size };
    begin();
    bool ok = protocol_h2.start(&conn);
    assert(ok);
    feed(slice_of(hello, sizeof hello));
    while (in.len > 0 && conn.state == CONN_OPEN) {
        unsigned head = in.ptr[0];
        in = slice_from(in, 1);
        step(head & 7, head >> 3, &in);
    }
    for (int i = 0; i < 8 && conn.state != CONN_GONE; i++)
        drain();
    protocol_h2.free(&conn);
    assert(lives == 0);
    bbuf_done(&conn.in);
    bbuf_done(&conn.out);
    return 0;
}
