/* ring: a single-producer, single-consumer queue of entries in shared memory: what a tape writes and the recorder reads.
 *
 * The memory is one page of header and then a power of two of bytes. Positions are byte counts since the ring was made and never wrap (2^64
 * bytes are a long time); the byte of position p lies at p modulo the size, and an entry may lie across the edge. An entry is
 *
 *     u32 length of all of it, this word included, without padding    u16 kind    u8 flags    u8 length of the session id
 *     u64 exchange    u64 wall clock in ms    session id    payload    padding to 8 bytes
 *
 * in this machine's byte order. Three positions matter: `head` (the producer's: everything before is whole), `tail` (the consumer's: everything
 * before lies in a file and its room may be used again) and `durable` (everything before survives a power cut). A producer that dies
 * between two heads has written nothing; a consumer that dies reads on from tail. */
#ifndef COUNTERSIGN_RING_H
#define COUNTERSIGN_RING_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

enum {
    RING_HEADER_BYTES = 4096,
    RING_MIN_BYTES = 4096,
    RING_ENTRY_HEAD = 24,
    RING_SESSION_MAX = 64,            /* bytes of a session id */
    RING_ID_BYTES = 16,
};
#define RING_AWAKE UINT64_MAX
#define RING_WALL_MS_MAX INT64_C(253402300799999)   /* the end of the year 9999: no date is longer in text */

/* The first page. Each side's words keep to their own cache lines. */
struct ring_header {
    uint64_t magic;
    uint32_t version, header_bytes;
    uint64_t bytes;
    unsigned char id[RING_ID_BYTES];
    unsigned char box_key[32];        /* for what segments say about open exchanges (session_box.c): lives as long as this memory, never on a disk */
    /* the producer's */
    alignas(64) _Atomic uint64_t head;
    _Atomic uint64_t demand;          /* everything before this should become durable now */
    _Atomic uint64_t next_exchange;
    _Atomic uint64_t epoch;           /* how many producers there were */
    _Atomic uint64_t epoch_start;     /* head when the newest producer took over: what began before has lost its producer */
    _Atomic int32_t producer_pid;
    /* the consumer's */
    alignas(64) _Atomic uint64_t tail;
    _Atomic uint64_t durable;
    _Atomic uint32_t broken;          /* nothing can be kept now */
    /* between the two */
    alignas(64) _Atomic uint64_t wake_at;   /* the consumer sleeps: ring its bell once head is here. RING_AWAKE: it does not */
    _Atomic uint32_t wants_room;      /* the producer waits: signal it when there is room again */
};

/* Bytes for a ring of ring_bytes; and its first contents (a new random id, nothing in it). */
size_t ring_memory_size(size_t ring_bytes);
void ring_memory_init(void *memory, size_t ring_bytes);
/* The header of ring memory if it is one and fits into `size`; else BAD_INPUT. */
MUST_CHECK enum status ring_attach(void *memory, size_t size, struct ring_header **out, struct err *err);
/* The ring's id as base64url; out holds 23 bytes. */
void ring_id_text(const struct ring_header *h, char out[23]);

/* The producing end. Entries are written behind head, where nobody looks, and become visible all at once with ring_commit(); without it, or
 * when they did not fit, nothing has happened. */
struct ring_out {
    struct ring_header *h;
    unsigned char *data;
    uint64_t mask, head;              /* head: ours, as published */
    uint64_t at, limit;               /* where the next byte goes; where the room ends */
    uint64_t entry;                   /* start of the entry being written */
    bool full;
};

void ring_out_init(struct ring_out *o, struct ring_header *h);
/* Room, without what has been written and not committed. */
size_t ring_free(const struct ring_out *o);
/* Begin a group of entries that may use all room but `keep` bytes. */
void ring_start(struct ring_out *o, size_t keep);
void ring_entry_start(struct ring_out *o, unsigned kind, unsigned flags, uint64_t exchange, int64_t wall_ms, struct slice session);
void ring_put_slowly(struct ring_out *o, struct slice s);     /* across the edge, or there is no room */
/* A head takes some hundred of these. */
static inline void ring_put(struct ring_out *o, struct slice s)
{
    size_t i = (size_t)(o->at & o->mask);
    if (o->full || s.len > o->limit - o->at || s.len > o->mask + 1 - i) {
        ring_put_slowly(o, s);
        return;
    }
    if (s.len)
        memcpy(o->data + i, s.ptr, s.len);
    o->at += s.len;
}
static inline void ring_put_u32(struct ring_out *o, uint32_t v)
{
    ring_put(o, slice_of(&v, sizeof v));
}
/* u32 length and the bytes. */
static inline void ring_put_string(struct ring_out *o, struct slice s)
{
    ring_put_u32(o, (uint32_t)s.len);
    ring_put(o, s);
}
/* Write over a u32 of this group. */
void ring_patch_u32(struct ring_out *o, uint64_t at, uint32_t v);
void ring_entry_end(struct ring_out *o);
/* Publish the group: OK, or FULL (and nothing was written). */
MUST_CHECK enum status ring_commit(struct ring_out *o);
/* Bytes that one entry takes. */
static inline size_t ring_entry_size(size_t session_len, size_t payload_len)
{
    return (RING_ENTRY_HEAD + session_len + payload_len + 7) & ~(size_t)7;
}

/* The consuming end. */
struct ring_in {
    struct ring_header *h;
    const unsigned char *data;
    uint64_t mask, pos;               /* read up to here; ahead of tail */
};

struct ring_entry {
    uint64_t pos, next;               /* where it starts and ends */
    unsigned kind, flags;
    uint64_t exchange;
    int64_t wall_ms;
    unsigned char session_bytes[RING_SESSION_MAX];
    struct slice session;             /* into session_bytes */
    struct slice payload[2];          /* in the ring; the second part is what lies beyond the edge. Valid until tail passes it */
};

void ring_in_init(struct ring_in *in, struct ring_header *h);
/* The next entry: OK, AGAIN (nothing more now), or CORRUPT: the memory does not hold together; the consumer skips to head. */
MUST_CHECK enum status ring_next(struct ring_in *in, struct ring_entry *out);
void ring_set_tail(struct ring_header *h, uint64_t tail);

/* The bell: one eventfd a process, on which producers wake a sleeping recorder. -1 when it can't be made. */
int ring_bell_fd(void);
void ring_bell(void);

/* Reading a payload that may lie across the edge. */
struct ring_cursor {
    struct slice part[2];
};
static inline struct ring_cursor ring_cursor(const struct ring_entry *e)
{
    return (struct ring_cursor){ { e->payload[0], e->payload[1] } };
}
static inline size_t ring_left(const struct ring_cursor *c) { return c->part[0].len + c->part[1].len; }
/* Copy n bytes out and step over them; false if there are fewer. */
bool ring_take_slowly(struct ring_cursor *c, void *out, size_t n);   /* across the edge */
static inline bool ring_take(struct ring_cursor *c, void *out, size_t n)
{
    if (n == 0 || n >= c->part[0].len)
        return ring_take_slowly(c, out, n);
    memcpy(out, c->part[0].ptr, n);
    c->part[0] = slice_from(c->part[0], n);
    return true;
}
static inline bool ring_take_u32(struct ring_cursor *c, uint32_t *out)
{
    return ring_take(c, out, sizeof *out);
}
/* Step over n bytes, leaving them in *out as parts in the ring. */
bool ring_take_parts(struct ring_cursor *c, size_t n, struct ring_cursor *out);

/* May this be the name of a session? A file is named after it: nothing but what a file name may hold, anywhere. */
bool ring_session_ok(struct slice id);

#endif
