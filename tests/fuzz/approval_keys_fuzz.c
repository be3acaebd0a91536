/* Any bytes as an approval-keys file: taken whole or refused, and what is taken is found again. */
#include "certs/approval_keys.h"

#include "proxy/base/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    char path[64];
    struct approval_keys keys;
    struct err err;
    if (fd < 0)
        fd = memfd_create("approval-keys", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 0) != 0 || fchmod(fd, 0600) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (approval_keys_load(path, &keys, &err) != OK)
        return 0;
    for (size_t i = 0; i < keys.count; i++)
        if (approval_keys_find(&keys, slice_str(keys.v[i].fingerprint)) != &keys.v[i] || keys.v[i].key == NULL || keys.v[i].person[0] == 0)
            abort();
    approval_keys_done(&keys);
    return 0;
}
