/* pack: a WARC record as a gzip member (RFC 1952) of its own, so that any reader of WARC files finds its way.
 *
 * Deflating costs more than all the rest of a recording, so it is done where it pays: what is short, or compressed already, is stored; bodies up to 64 KiB share Huffman
 * tables that follow what was seen of late (as small as with tables of their own, for two thirds of the time); larger ones get their own. */
#ifndef COUNTERSIGN_PACK_H
#define COUNTERSIGN_PACK_H

#include "proxy/record/warc.h"

struct packer;
/* NULL: no memory. */
struct packer *packer_new(void);
void packer_free(struct packer *p);
/* Append head, the pieces of the block, and what ends a record, as one member. NO_MEMORY: nothing was appended. */
MUST_CHECK enum status pack(struct packer *p, struct slice head, const struct slice *block, size_t count, struct warc_bytes *to);
/* Append plain text of many alike lines as one member. Likewise. */
MUST_CHECK enum status pack_lines(struct packer *p, const struct slice *piece, size_t count, struct warc_bytes *to);

#endif
