/* PROXY protocol v2 headers: no byte is read past the end, and what is taken names a TCP address. */
#include "proxy/net/proxy_protocol.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sockaddr_storage sa = { 0 };
    bool local = false;
    unsigned char *copy = malloc(size ? size : 1);   /* its own allocation: the sanitizer sees one byte too many */
    if (copy == NULL)
        return 0;
    if (size > 0)
        memcpy(copy, data, size);
    size_t total = proxy_v2_length(slice_of(copy, size));
    assert(total == 0 || (total >= PROXY_V2_FIXED && total <= PROXY_V2_MAX));
    bool good = proxy_v2_parse(slice_of(copy, size), &local, &sa);
    assert(!good || total == size);
    assert(!good || local || sa.ss_family == AF_INET || sa.ss_family == AF_INET6);
    free(copy);
    return 0;
}
