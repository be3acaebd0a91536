/* cbor: a strict reader of the part of CBOR (RFC 8949) that authenticators speak: CTAP2's canonical form.
 *
 * Integers, byte and text strings, arrays, maps, false, true and null, each in its shortest form and of definite length. Tags, floating point numbers,
 * other simple values and indefinite lengths are refused, as is anything nested deeper than CBOR_DEPTH_MAX. Nothing is copied: strings point into the
 * input. The text's UTF-8 is not looked at; whoever uses a text compares it. */
#ifndef COUNTERSIGN_CBOR_H
#define COUNTERSIGN_CBOR_H

#include "proxy/base/slice.h"

#include <stdint.h>

enum { CBOR_DEPTH_MAX = 4 };          /* CTAP 2.1, section 8 */

enum cbor_type { CBOR_UINT, CBOR_NEGATIVE, CBOR_BYTES, CBOR_TEXT, CBOR_ARRAY, CBOR_MAP, CBOR_SIMPLE };

struct cbor_item {
    enum cbor_type type;
    uint64_t n;                       /* UINT: the value; NEGATIVE: -1 - n; ARRAY: members; MAP: pairs; SIMPLE: 20 false, 21 true, 22 null */
    struct slice s;                   /* BYTES, TEXT */
};

/* Take the next item off the front; of an array or map only its head. false: malformed or cut off. */
bool cbor_next(struct slice *in, struct cbor_item *out);
/* Take the next item with everything in it. */
bool cbor_skip(struct slice *in);
/* An integer that fits, of either sign. */
bool cbor_int(const struct cbor_item *item, int64_t *out);

#endif
