/* put: write pieces into room that was reserved once. Used by the writers of heads: a head goes into a bbuf whole or not at all. */
#ifndef COUNTERSIGN_PUT_H
#define COUNTERSIGN_PUT_H

#include "proxy/base/bbuf.h"
#include "proxy/http/syntax.h"

struct put {
    unsigned char *p, *end;           /* p NULL: no memory */
    bool full, dirty;                 /* dirty: a value held a control byte */
};

/* Begin in b, for at most `want` bytes (fewer when b has less room). */
static inline struct put put_begin(struct bbuf *b, size_t want)
{
    size_t room = bbuf_room(b);
    want = want < room ? want : room;
    unsigned char *p = bbuf_reserve(b, want);
    return (struct put){ p, p ? p + want : NULL, false, false };
}

static inline void put_slice(struct put *w, struct slice s)
{
    if ((size_t)(w->end - w->p) < s.len) {
        w->full = true;
        return;
    }
    if (s.len)
        memcpy(w->p, s.ptr, s.len);
    w->p += s.len;
}

/* "name: value" CRLF. Both were checked when they were parsed; once more here, as a CR or LF in them would split the message. */
static inline void put_field(struct put *w, struct slice name, struct slice value)
{
    w->dirty |= !is_token(name) || !value_is_clean(value);
    put_slice(w, name);
    put_slice(w, SLICE(": "));
    put_slice(w, value);
    put_slice(w, SLICE("\r\n"));
}

static inline void put_number(struct put *w, uint64_t n, unsigned base)
{
    unsigned char text[20];
    size_t i = sizeof text;
    do {
        text[--i] = (unsigned char)"0123456789abcdef"[n % base];
        n /= base;
    } while (n);
    put_slice(w, slice_of(text + i, sizeof text - i));
}

static inline void put_length(struct put *w, uint64_t n)
{
    put_slice(w, SLICE("Content-Length: "));
    put_number(w, n, 10);
    put_slice(w, SLICE("\r\n"));
}

/* Keep what was written, or nothing: NO_MEMORY, FULL, BAD_INPUT (dirty). */
MUST_CHECK static inline enum status put_end(const struct put *w, struct bbuf *b)
{
    if (w->p == NULL)
        return NO_MEMORY;
    if (w->full)
        return FULL;
    if (w->dirty)
        return BAD_INPUT;
    bbuf_wrote(b, (size_t)(w->p - (b->data + b->end)));
    return OK;
}

#endif
