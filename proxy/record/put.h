/* put: text written into room that was reserved before; nothing here looks how much there is. */
#ifndef COUNTERSIGN_RECORD_PUT_H
#define COUNTERSIGN_RECORD_PUT_H

#include "proxy/base/slice.h"

#include <stdint.h>

enum { PUT_NUMBER_MAX = 20 };         /* digits of any uint64_t */

struct put {
    char *at;
};

static inline void put_text(struct put *p, struct slice s)
{
    if (s.len)
        memcpy(p->at, s.ptr, s.len);
    p->at += s.len;
}
/* How many bytes of s are printable ASCII other than quote and backslash, before the first that is not; eight at a time, since most texts are nothing else. */
static inline size_t put_plain(struct slice s)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    size_t i = 0;
    for (uint64_t v; s.len - i >= sizeof v; i += sizeof v) {
        memcpy(&v, s.ptr + i, sizeof v);
        uint64_t quote = v ^ ones * '"', slash = v ^ ones * '\\';
        uint64_t other = ((v - ones * ' ') & ~v) | v | (v + ones) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash);
        if (other & highs)            /* one of the eight is it, perhaps */
            break;
    }
    while (i < s.len && s.ptr[i] >= ' ' && s.ptr[i] < 0x7f && s.ptr[i] != '"' && s.ptr[i] != '\\')
        i++;
    return i;
}
/* A literal. */
#define PUT(p, text) put_text(p, SLICE(text))

/* In decimal, two digits at a time. */
static inline void put_number(struct put *p, uint64_t v)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657585960616263646566676869"
                                "707172737475767778798081828384858687888990919293949596979899";
    char text[PUT_NUMBER_MAX], *c = text + sizeof text;
    for (; v >= 100; v /= 100)
        memcpy(c -= 2, pairs + v % 100 * 2, 2);
    if (v >= 10)
        memcpy(c -= 2, pairs + v * 2, 2);
    else
        *--c = (char)('0' + v);
    put_text(p, slice_of(c, (size_t)(text + sizeof text - c)));
}
/* With what stands before it, quotes and all. */
#define PUT_NUMBER(p, name, v) (PUT(p, name), put_number(p, v))

#endif
