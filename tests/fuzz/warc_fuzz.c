/* Records without gzip around them: any bytes, in pieces whose sizes the first byte chooses, give the same as in one. */
#include "proxy/record/archive_read.h"
#include "proxy/record/warc.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t read_with(const uint8_t *data, size_t size, size_t piece, enum status *st)
{
    struct archive *a = calloc(1, sizeof *a);
    struct warc_reader *r = malloc(sizeof *r);
    size_t count = 0;
    *st = OK;
    if (a != NULL && r != NULL) {
        struct warc_events events = archive_events(a);
        warc_reader_init(r);
        a->segment = 1;
        for (size_t at = 0; at < size && *st == OK; at += piece)
            *st = warc_read(r, slice_of(data + at, size - at < piece ? size - at : piece), &events, NULL);
        archive_break_record(a);
        if (archive_finish(a) == OK)
            count = archive_count(a);
    }
    free(r);
    archive_free(a);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum status whole, pieces;
    if (size < 1)
        return 0;
    size_t piece = (size_t)data[0] % 61 + 1;
    size_t a = read_with(data + 1, size - 1, size, &whole), b = read_with(data + 1, size - 1, piece, &pieces);
    if (a != b || whole != pieces)
        abort();
    return 0;
}
