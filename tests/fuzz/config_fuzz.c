/* config_load_text over hostile files: it may only say no, and what it says yes to has a text. Includes are left out, since they would open whatever the input names. */
#include "config/config.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libconfig 1.5 loses the string it was reading when the syntax is wrong; ours are still looked for. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig.so";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct config *c = NULL;
    struct problems p;
    if (size > 65536 || memmem(data, size, "@include", 8) != NULL)
        return 0;
    int fd = memfd_create("config", MFD_CLOEXEC);
    if (fd < 0 || fchmod(fd, 0600) != 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    enum status st = config_load_text(path, &c, &p);
    size_t warnings = 0;
    for (size_t i = 0; i < p.count; i++)
        warnings += strncmp(p.text[i], "warning: ", 9) == 0;
    if ((st == OK) != (c != NULL) || (st == OK && warnings != p.count) || (st == BAD_CONFIG && warnings == p.count))
        abort();
    if (st == OK && (c->policy == NULL || c->machine == NULL || strlen(c->policy_digest) != 64))
        abort();
    problems_done(&p);
    config_unref(c);
    close(fd);
    return 0;
}
