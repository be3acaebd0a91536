/* bbuf: a bounded byte queue. Born with its largest size; takes memory at the first byte and gives it
 * back when asked while empty, so that an idle connection holds none. "Full" is an answer: it stops the
 * reading on the other side. The readable bytes are always one contiguous slice. */
#ifndef COUNTERSIGN_BBUF_H
#define COUNTERSIGN_BBUF_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

struct bbuf {
    unsigned char *data;
    size_t start, end, cap, max;
};

void bbuf_init(struct bbuf *b, size_t max_bytes);
void bbuf_done(struct bbuf *b);
/* Give the memory back if nothing is queued. */
void bbuf_idle(struct bbuf *b);

static inline size_t bbuf_len(const struct bbuf *b) { return b->end - b->start; }
static inline size_t bbuf_room(const struct bbuf *b) { return b->max - (b->end - b->start); }
static inline struct slice bbuf_slice(const struct bbuf *b)
{
    return slice_of(b->data ? b->data + b->start : NULL, b->end - b->start);
}

/* Append all of s, or nothing: FULL when it does not fit, or NO_MEMORY. */
MUST_CHECK enum status bbuf_put(struct bbuf *b, struct slice s);
/* Room for at least `want` bytes (at most bbuf_room) to write into directly; follow with bbuf_wrote. NULL: no memory. */
unsigned char *bbuf_reserve(struct bbuf *b, size_t want);
static inline void bbuf_wrote(struct bbuf *b, size_t n) { b->end += n; }
/* Drop the first n bytes. */
void bbuf_drop(struct bbuf *b, size_t n);

#endif
