/* Prefer: whatever a client wishes for, the answer is none or a number of seconds that fits. */
#include "proxy/http/prefer.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct field lines[2] = { { SLICE("prefer"), { data, size / 2 } }, { SLICE("prefer"), { data + size / 2, size - size / 2 } } };
    struct fields f = { lines, 2, 2 };
    uint32_t got = UINT32_MAX;
    if (prefer_wait(&f, &got) && got > INT32_MAX)
        abort();
    return 0;
}
