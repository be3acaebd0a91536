#include "authz/digest.h"

#include "proxy/base/codec.h"

#include <inttypes.h>
#include <stdio.h>

enum { FIELDS = 5, ITEMS = 3 + 1 + 2 * FIELDS + 2 };

const struct slice digest_fields[FIELDS] = {
    SLICE_INIT("content-type"), SLICE_INIT("content-encoding"), SLICE_INIT("content-disposition"), SLICE_INIT("accept"), SLICE_INIT("if-match"),
};
const size_t digest_field_count = FIELDS;

/* The items as pieces for the hash: each one's length, then its bytes. */
struct items {
    struct slice pieces[1 + 2 * ITEMS];
    unsigned char lengths[ITEMS][4];
    size_t piece_count, item_count;
};

/* Whatever was parsed is far shorter than 2^32 bytes (limits.head_bytes); a longer one is our own fault. */
static void put_item(struct items *it, struct slice s)
{
    unsigned char *len = it->lengths[it->item_count++];
    for (unsigned i = 0; i < 4; i++)
        len[i] = (unsigned char)(s.len >> (24 - 8 * i));
    it->pieces[it->piece_count++] = slice_of(len, 4);
    it->pieces[it->piece_count++] = s;
}

void request_digest(const struct digest_input *in, unsigned char out[32])
{
    struct items it = { .pieces = { SLICE_INIT("countersign-request-v1\n") }, .piece_count = 1 };
    char count[8], body_len[24];
    unsigned present = 0;
    for (size_t i = 0; i < FIELDS; i++)
        present += in->field_values[i].ptr != NULL;
    put_item(&it, in->method);
    put_item(&it, in->authority);
    put_item(&it, in->target);
    put_item(&it, slice_of(count, (size_t)snprintf(count, sizeof count, "%u", present)));
    for (size_t i = 0; i < FIELDS; i++)
        if (in->field_values[i].ptr != NULL) {
            put_item(&it, digest_fields[i]);
            put_item(&it, in->field_values[i]);
        }
    put_item(&it, slice_of(body_len, (size_t)snprintf(body_len, sizeof body_len, "%" PRIu64, in->body_len)));
    put_item(&it, slice_of(in->body_sha256, sizeof in->body_sha256));
    sha256(it.pieces, it.piece_count, out);
}
