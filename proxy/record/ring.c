#include "proxy/record/ring.h"

#include "proxy/base/codec.h"

#include <assert.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const uint64_t ring_magic = 0x676e697243530a0d;   /* "\r\nSCring" */
enum { RING_VERSION = 2 };           /* 2: box_key */
static_assert(sizeof(struct ring_header) <= RING_HEADER_BYTES, "the header is one page");

size_t ring_memory_size(size_t ring_bytes)
{
    return RING_HEADER_BYTES + ring_bytes;
}

void ring_memory_init(void *memory, size_t ring_bytes)
{
    struct ring_header *h = memory;
    uint64_t first = 0;
    memset(h, 0, RING_HEADER_BYTES);
    h->version = RING_VERSION;
    h->header_bytes = RING_HEADER_BYTES;
    h->bytes = ring_bytes;
    if (RAND_bytes(h->id, sizeof h->id) != 1 || RAND_priv_bytes(h->box_key, sizeof h->box_key) != 1 || RAND_bytes((unsigned char *)&first, sizeof first) != 1)
        abort();   /* two rings with one id would mix up two histories */
    /* Exchange ids count up from a random start below 2^52: unique between rings in practice, and exact in any JSON reader. */
    atomic_store(&h->next_exchange, first >> 12 | 1);
    atomic_store(&h->wake_at, RING_AWAKE);
    atomic_thread_fence(memory_order_seq_cst);
    h->magic = ring_magic;
}

enum status ring_attach(void *memory, size_t size, struct ring_header **out, struct err *err)
{
    struct ring_header *h = memory;
    if (size < RING_HEADER_BYTES + RING_MIN_BYTES || h->magic != ring_magic || h->version != RING_VERSION
        || h->header_bytes != RING_HEADER_BYTES)
        return fail(err, BAD_INPUT, "this memory holds no ring of version %d", RING_VERSION);
    if (h->bytes < RING_MIN_BYTES || (h->bytes & (h->bytes - 1)) != 0 || h->bytes > size - RING_HEADER_BYTES)
        return fail(err, BAD_INPUT, "a ring of %llu bytes does not fit its memory of %zu", (unsigned long long)h->bytes, size);
    uint64_t head = atomic_load(&h->head), tail = atomic_load(&h->tail);
    if (head - tail > h->bytes || head % 8 != 0 || tail % 8 != 0)
        return fail(err, CORRUPT, "the ring's positions do not hold together");
    *out = h;
    return OK;
}

void ring_id_text(const struct ring_header *h, char out[23])
{
    b64url_encode(slice_of(h->id, sizeof h->id), out);
}

/* The producing end. */

void ring_out_init(struct ring_out *o, struct ring_header *h)
{
    *o = (struct ring_out){ .h = h, .data = (unsigned char *)h + RING_HEADER_BYTES, .mask = h->bytes - 1 };
    o->head = o->at = o->limit = atomic_load(&h->head);
}

size_t ring_free(const struct ring_out *o)
{
    uint64_t used = o->head - atomic_load_explicit(&o->h->tail, memory_order_acquire);
    return used > o->mask ? 0 : (size_t)(o->mask + 1 - used);
}

void ring_start(struct ring_out *o, size_t keep)
{
    size_t room = ring_free(o);
    o->at = o->head;
    o->limit = o->head + (room > keep ? room - keep : 0);
    o->full = false;
}

static void copy_in(struct ring_out *o, uint64_t at, const void *from, size_t n)
{
    size_t i = (size_t)(at & o->mask), first = (size_t)(o->mask + 1) - i;
    if (first > n)
        first = n;
    memcpy(o->data + i, from, first);
    if (n > first)
        memcpy(o->data, (const unsigned char *)from + first, n - first);
}

void ring_put_slowly(struct ring_out *o, struct slice s)
{
    if (o->full || s.len > o->limit - o->at) {
        o->full = true;
        return;
    }
    if (s.len)
        copy_in(o, o->at, s.ptr, s.len);
    o->at += s.len;
}

void ring_patch_u32(struct ring_out *o, uint64_t at, uint32_t v)
{
    if (!o->full)
        copy_in(o, at, &v, sizeof v);
}

struct entry_head {
    uint32_t len;
    uint16_t kind;
    uint8_t flags, session_len;
    uint64_t exchange;
    int64_t wall_ms;
};
static_assert(sizeof(struct entry_head) == RING_ENTRY_HEAD, "no padding inside");

void ring_entry_start(struct ring_out *o, unsigned kind, unsigned flags, uint64_t exchange, int64_t wall_ms, struct slice session)
{
    struct entry_head head = { .kind = (uint16_t)kind, .flags = (uint8_t)flags, .session_len = (uint8_t)session.len,
                               .exchange = exchange, .wall_ms = wall_ms };
    o->entry = o->at;
    ring_put(o, slice_of(&head, sizeof head));
    ring_put(o, session);
}

void ring_entry_end(struct ring_out *o)
{
    static const unsigned char zeros[8];
    ring_patch_u32(o, o->entry, (uint32_t)(o->at - o->entry));
    ring_put(o, slice_of(zeros, (size_t)(-o->at & 7)));
}

/* The consumer reads `head` after it has announced that it sleeps, and we read `wake_at` after we have moved head: with both in one total
 * order, at least one of the two sees the other, so no entry is slept over. */
enum status ring_commit(struct ring_out *o)
{
    if (o->full)
        return FULL;
    o->head = o->at;
    atomic_store(&o->h->head, o->head);
    uint64_t wake_at = atomic_load(&o->h->wake_at);
    if (wake_at <= o->head && atomic_compare_exchange_strong(&o->h->wake_at, &wake_at, RING_AWAKE))
        ring_bell();
    return OK;
}

/* The consuming end. */

void ring_in_init(struct ring_in *in, struct ring_header *h)
{
    *in = (struct ring_in){ .h = h, .data = (const unsigned char *)h + RING_HEADER_BYTES, .mask = h->bytes - 1,
                            .pos = atomic_load(&h->tail) };
}

static void parts_at(const struct ring_in *in, uint64_t at, size_t n, struct slice parts[2])
{
    size_t i = (size_t)(at & in->mask), first = (size_t)(in->mask + 1) - i;
    if (first > n)
        first = n;
    parts[0] = slice_of(in->data + i, first);
    parts[1] = slice_of(in->data, n - first);
}

enum status ring_next(struct ring_in *in, struct ring_entry *out)
{
    uint64_t ready = atomic_load_explicit(&in->h->head, memory_order_acquire) - in->pos;
    struct ring_cursor c;
    struct entry_head head;
    if (ready == 0)
        return AGAIN;
    if (ready > in->mask + 1 || ready < sizeof head)
        return CORRUPT;
    parts_at(in, in->pos, sizeof head, c.part);
    (void)ring_take(&c, &head, sizeof head);
    if (head.len < sizeof head + head.session_len || head.len > ready || head.session_len > RING_SESSION_MAX)
        return CORRUPT;
    out->pos = in->pos;
    out->next = in->pos + ((head.len + 7ull) & ~7ull);
    if (out->next - out->pos > ready)
        return CORRUPT;
    out->kind = head.kind;
    out->flags = head.flags;
    out->exchange = head.exchange;
    out->wall_ms = head.wall_ms < 0 ? 0 : head.wall_ms > RING_WALL_MS_MAX ? RING_WALL_MS_MAX : head.wall_ms;
    parts_at(in, in->pos + sizeof head, head.len - sizeof head, c.part);
    (void)ring_take(&c, out->session_bytes, head.session_len);
    out->session = slice_of(out->session_bytes, head.session_len);
    out->payload[0] = c.part[0];
    out->payload[1] = c.part[1];
    in->pos = out->next;
    return OK;
}

void ring_set_tail(struct ring_header *h, uint64_t tail)
{
    atomic_store(&h->tail, tail);
}

bool ring_take_parts(struct ring_cursor *c, size_t n, struct ring_cursor *out)
{
    if (n > ring_left(c))
        return false;
    size_t first = n < c->part[0].len ? n : c->part[0].len;
    *out = (struct ring_cursor){ { slice_of(c->part[0].ptr, first), slice_of(c->part[1].ptr, n - first) } };
    c->part[0] = slice_from(c->part[0], first);
    c->part[1] = slice_from(c->part[1], n - first);
    if (c->part[0].len == 0) {
        c->part[0] = c->part[1];
        c->part[1].len = 0;
    }
    return true;
}

bool ring_take_slowly(struct ring_cursor *c, void *out, size_t n)
{
    struct ring_cursor got;
    if (!ring_take_parts(c, n, &got))
        return false;
    if (got.part[0].len)
        memcpy(out, got.part[0].ptr, got.part[0].len);
    if (got.part[1].len)
        memcpy((unsigned char *)out + got.part[0].len, got.part[1].ptr, got.part[1].len);
    return true;
}

/* The bell. */

static int bell = -1;
static pthread_once_t bell_once = PTHREAD_ONCE_INIT;
static void bell_make(void)
{
    bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

int ring_bell_fd(void)
{
    pthread_once(&bell_once, bell_make);
    return bell;
}

void ring_bell(void)
{
    uint64_t one = 1;
    ssize_t ignored = write(ring_bell_fd(), &one, sizeof one);
    (void)ignored;   /* the counter is at its largest: it rings already. Without a bell the recorder still looks every now and then */
}

bool ring_session_ok(struct slice id)
{
    for (size_t i = 0; i < id.len; i++)
        if (!((id.ptr[i] >= '0' && id.ptr[i] <= '9') || (ascii_lower(id.ptr[i]) >= 'a' && ascii_lower(id.ptr[i]) <= 'z')
              || id.ptr[i] == '_' || id.ptr[i] == '-'))
            return false;
    return id.len > 0 && id.len <= RING_SESSION_MAX && id.ptr[0] != '-';
}
