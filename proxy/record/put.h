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
