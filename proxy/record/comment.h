/* comment: what a segment's pax header says for the recorder that opens the file next: `COUNTERSIGN ` and one line of JSON.
 *
 *   {"v":1, "session", "number", "identity", "person", "tool", "host", "x5t", "from_ms", "to_ms", "exchanges", "logged", "crc32",
 *    "ring": {RING: POSITION, ...}, "open": [...], "touched"?, "index"?}
 *
 * ring: for each ring the position up to which this session's entries are in the file. open: the exchanges that are not over, with how far their messages
 * were written. crc32: of the content, as gzip counts it. logged: the last segment whose leaf authz had confirmed. touched: hashes of
 * what its exchanges touch (authz/touched.h). index: of an index, [from, to], the segments whose exchanges' ends it holds all. */
#ifndef COUNTERSIGN_COMMENT_H
#define COUNTERSIGN_COMMENT_H

#include "proxy/base/slice.h"
#include "proxy/record/index.h"

#include <jansson.h>
#include <stdint.h>

#define COMMENT_PREFIX "COUNTERSIGN "

/* The object, or NULL when the text is not such a comment; the caller's (json_decref). */
json_t *comment_read(const char *text);
/* What an index covers; {0, 0} when the comment does not say. */
struct index_cover comment_cover(const char *text);
/* The checksum of the content that a comment gives: for finding writes that a crash tore, not against people (the log's digests are). */
bool comment_content_crc(const char *text, uint32_t *out);
uint32_t comment_crc(uint32_t before, struct slice s);

/* Add to an object of notes; a name that is there already gets an array of its values. Bytes that are no UTF-8 count as Latin-1. False: no memory. */
bool notes_add(json_t *notes, const char *name, struct slice value);
json_t *comment_string(struct slice bytes);

#endif
