#include "authz/cbor.h"

enum { SHORT_MAX = 23, SIMPLE_FALSE = 20, SIMPLE_NULL = 22 };

/* initial byte = major type (3 bits) additional information (5 bits); 24 to 27: 1, 2, 4 or 8 bytes follow (RFC 8949 s3). The shortest form only: else one
 * value has several texts. */
static bool head(struct slice *in, unsigned *major, uint64_t *n)
{
    static const uint64_t least[] = { 24, 1 << 8, 1 << 16, INT64_C(1) << 32 };
    if (in->len == 0)
        return false;
    unsigned info = in->ptr[0] & 0x1fu;
    *major = in->ptr[0] >> 5;
    *in = slice_from(*in, 1);
    if (info <= SHORT_MAX) {
        *n = info;
        return true;
    }
    if (info > 27)
        return false;                 /* reserved, or of indefinite length */
    size_t len = (size_t)1 << (info - 24);
    if (in->len < len)
        return false;
    *n = 0;
    for (size_t i = 0; i < len; i++)
        *n = *n << 8 | in->ptr[i];
    *in = slice_from(*in, len);
    return *n >= least[info - 24];
}

bool cbor_next(struct slice *in, struct cbor_item *out)
{
    static const enum cbor_type types[] = { CBOR_UINT, CBOR_NEGATIVE, CBOR_BYTES, CBOR_TEXT, CBOR_ARRAY, CBOR_MAP };
    unsigned major;
    uint64_t n;
    if (!head(in, &major, &n))
        return false;
    if (major == 7) {
        *out = (struct cbor_item){ .type = CBOR_SIMPLE, .n = n };
        return n >= SIMPLE_FALSE && n <= SIMPLE_NULL;
    }
    if (major == 6)
        return false;                 /* a tag */
    *out = (struct cbor_item){ .type = types[major], .n = n };
    if (out->type == CBOR_BYTES || out->type == CBOR_TEXT) {
        if (n > in->len)
            return false;
        out->s = slice_of(in->ptr, (size_t)n);
        *in = slice_from(*in, (size_t)n);
    }
    /* Each member takes a byte at least: a count beyond what is left is a lie. */
    return !(out->type == CBOR_ARRAY && n > in->len) && !(out->type == CBOR_MAP && n > in->len / 2);
}

static bool skip_at(struct slice *in, unsigned depth)
{
    struct cbor_item item;
    if (!cbor_next(in, &item))
        return false;
    if (item.type != CBOR_ARRAY && item.type != CBOR_MAP)
        return true;
    if (depth == CBOR_DEPTH_MAX)
        return false;
    uint64_t members = item.type == CBOR_MAP ? item.n * 2 : item.n;
    for (uint64_t i = 0; i < members; i++)
        if (!skip_at(in, depth + 1))
            return false;
    return true;
}

bool cbor_skip(struct slice *in)
{
    return skip_at(in, 0);
}

bool cbor_int(const struct cbor_item *item, int64_t *out)
{
    if ((item->type != CBOR_UINT && item->type != CBOR_NEGATIVE) || item->n > INT64_MAX)
        return false;
    *out = item->type == CBOR_UINT ? (int64_t)item->n : -1 - (int64_t)item->n;
    return true;
}
