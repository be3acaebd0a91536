/* A recording of any bytes: reading it and comparing it with a log must end, within bounds, whatever it holds. */
#include "proxy/record/archive.h"
#include "proxy/record/verify.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const char *path, bool list)
{
    struct archive *a = NULL;
    unsigned number;
    size_t seen = 0;
    if ((list ? archive_list(path, NULL, &a, NULL) : archive_open(path, NULL, &a, NULL)) != OK)
        return;
    for (size_t i = 0; i < archive_count(a); i++) {
        const struct archive_exchange *x = archive_at(a, i);
        seen += x->request_head.len + x->request_body.len + x->response_head.len + x->response_body.len + x->why.len + x->action.len;
    }
    for (size_t i = 0; i < archive_bad_segments(a); i++)
        seen += strlen(archive_bad_segment(a, i, &number));
    if (seen == SIZE_MAX)
        abort();
    archive_free(a);
}

static void verify_all(const char *path)
{
    struct verify_expected v[] = { { .number = 1, .bytes = 2048 }, { .number = 2 }, { .number = 7, .bytes = 1 } };
    struct verify_segments expected = { .v = v, .count = 3, .cap = 3 };
    json_t *findings = json_array();
    unsigned found;
    if (findings != NULL && verify_file(path, &expected, findings, &found, NULL) == OK && json_array_size(findings) == 0)
        abort();   /* nothing has these digests */
    json_decref(findings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    int fd = memfd_create("archive", MFD_CLOEXEC);
    if (fd < 0)
        return 0;
    if (write(fd, data, size) == (ssize_t)size) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        read_all(path, false);
        read_all(path, true);
        verify_all(path);
    }
    close(fd);
    return 0;
}
