/* Text messages of any bytes: the same for every split and mask, and never longer than promised. The first byte is the size of the pieces. */
#include "proxy/record/redact_message.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t keep(const struct secret_names *names, struct slice said, size_t piece, bool masked, unsigned char *out, size_t most)
{
    static const unsigned char mask[4] = { 0x5a, 0, 0xff, 1 };
    struct text_state *r = NULL;
    struct arena arena;
    size_t len = 0;
    arena_init(&arena, 65536);
    for (size_t at = 0; at < said.len; at += piece) {
        size_t n = said.len - at < piece ? said.len - at : piece;
        unsigned char *bytes = malloc(n), *text = NULL;
        if (bytes == NULL)
            abort();
        for (size_t i = 0; i < n; i++)
            bytes[i] = masked ? said.ptr[at + i] ^ mask[(at + i) & 3] : said.ptr[at + i];
        struct tape_message m = { .opcode = 1, .first = at == 0, .mask = masked ? mask : NULL, .mask_at = at & 3, .data = slice_of(bytes, n) };
        if (message_redact(&r, names, &arena, &m, &text) != OK || m.data.len > 3 * n + BODY_REDACT_SLACK || m.data.len > most - len)
            abort();
        if (m.data.len > 0)
            memcpy(out + len, m.data.ptr, m.data.len);
        len += m.data.len;
        free(bytes);
        free(text);
    }
    arena_done(&arena);
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char *const words[] = { (char *)(uintptr_t)"password", (char *)(uintptr_t)"p" };
    struct secret_names names;
    struct arena arena;
    if (size < 2 || size > 8192)
        return 0;
    arena_init(&arena, 65536);
    if (secret_names_copy(words, 2, &arena, &names) != OK)
        abort();
    struct slice said = { data + 1, size - 1 };
    size_t most = 12 * said.len + 10 * BODY_REDACT_SLACK;
    unsigned char *a = malloc(most), *b = malloc(most);
    if (a == NULL || b == NULL)
        abort();
    size_t whole = keep(&names, said, said.len, false, a, most), other = keep(&names, said, (size_t)data[0] % 17 + 1, true, b, most);
    if (whole != other || memcmp(a, b, whole) != 0)
        abort();
    free(a);
    free(b);
    arena_done(&arena);
    return 0;
}
