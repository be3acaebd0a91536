/* Ring memory that holds any bytes: the consumer and the session that takes its entries must not read outside, nor loop. */
#include "proxy/record/comment.h"
#include "proxy/record/session.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take_all(struct session *s, const struct session_context *c, struct ring_in *in)
{
    struct ring_entry e;
    enum status st;
    for (unsigned i = 0; i < 1000 && (st = ring_next(in, &e)) == OK; i++)
        if (session_take(s, c, in, 0, &e) == OK && i % 7 == 6) {
            if (session_seal(s, c) != OK)
                abort();
            struct warc_bytes comment = { 0 };
            if (session_comment(s, c, slice_of(s->out.data, s->out.len), NULL, &comment) != OK || warc_bytes_put(&comment, slice_of("", 1)) != OK)
                abort();
            json_t *read = comment_read((const char *)comment.data);
            if (read == NULL)
                abort();
            json_decref(read);
            warc_bytes_done(&comment);
            session_written(s);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { RING = 4096 };
    struct session_context c = { .instance = "fuzz" };
    struct ring_header *h;
    struct ring_in in;
    void *memory = aligned_alloc(64, ring_memory_size(RING));
    struct session *s = session_new(SLICE("grt_fuzz"), 1);
    if (memory != NULL && s != NULL && size >= 8 && warc_writer_new(&c.warc) == OK) {
        uint64_t start = (uint64_t)data[0] * 8;
        ring_memory_init(memory, RING);
        for (size_t i = 0; i < size - 8 && i < RING; i++)
            ((unsigned char *)memory)[RING_HEADER_BYTES + (start + i) % RING] = data[8 + i];
        if (ring_attach(memory, ring_memory_size(RING), &h, NULL) != OK)
            abort();
        atomic_store(&h->tail, start);
        atomic_store(&h->head, start + (((size - 8 < RING ? size - 8 : RING) + data[1] % 2) & ~(size_t)7));
        ring_in_init(&in, h);
        take_all(s, &c, &in);
    }
    warc_writer_free(c.warc);
    session_free(s);
    free(memory);
    return 0;
}
