/* Compressed messages of any bytes: never more text than a message may have, and nothing left behind. The first byte is the size of the pieces; what has its highest bit set is
 * given twice, as when there was no room for what came of it. */
#include "proxy/record/message_inflate.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void hear(struct message_inflater *i, struct slice said, size_t piece, bool twice, const unsigned char *mask)
{
    size_t text = 0;
    for (size_t at = 0; at < said.len; at += piece) {
        size_t n = said.len - at < piece ? said.len - at : piece;
        bool last = at + n == said.len;
        message_inflate(i, slice_of(said.ptr + at, n), mask, at & 3, last);
        if (twice)
            message_inflate(i, slice_of(said.ptr + at, n / 2), mask, at & 3, false);
        text += message_inflated(i).len;
        if (text > INFLATE_MESSAGE_MAX)
            abort();
        message_inflated_drop(i, message_inflated(i).len);
        message_inflate_passed(i, n, last);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned char mask[4] = { 1, 2, 3, 4 };
    struct message_inflater *i = message_inflater_new();
    if (i != NULL && size > 1) {
        struct slice said = slice_of(data + 1, size - 1), half = slice_of(said.ptr, said.len / 2);
        hear(i, half, (size_t)data[0] % 64 + 1, data[0] >= 128, NULL);
        hear(i, said, said.len, data[0] >= 128, NULL);
        hear(i, slice_from(said, half.len), (size_t)data[0] % 64 + 1, data[0] >= 128, mask);
    }
    message_inflater_free(i);
    return 0;
}
