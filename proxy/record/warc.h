/* warc: WARC 1.1 records (ISO 28500), each its own gzip member: written here, and read back here.
 *
 * Beside the standard's fields three of our own stand in records: Countersign-Exchange (the number that ties the records of an exchange together),
 * Countersign-Action and Countersign-Names (request: which customers and the like it touches, "customer=17,customer=18"), Countersign-End (response: "ok", when no metadata record follows) and Countersign-From (response: "tool" or "gateway"). WebSocket messages (resource) have Countersign-From ("client", "tool" or "gateway"),
 * Countersign-Message (its number within the exchange, from 1), Countersign-Opcode ("text", "binary", "close", "ping", "pong") and, where that was agreed, Countersign-Compressed:
 * permessage-deflate. Where policy wants no bodies kept, Countersign-Record says so ("metadata"), and Countersign-Omitted how many bytes that left out. */
#ifndef COUNTERSIGN_WARC_H
#define COUNTERSIGN_WARC_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <stdint.h>

enum { WARC_ID_MAX = 48, WARC_HEAD_MAX = 48 * 1024 };

/* Bytes that grow. */
struct warc_bytes {
    unsigned char *data;
    size_t len, cap;
};
/* Room for so many more. NO_MEMORY. */
MUST_CHECK enum status warc_bytes_reserve(struct warc_bytes *b, size_t more);
MUST_CHECK enum status warc_bytes_put(struct warc_bytes *b, struct slice s);
void warc_bytes_done(struct warc_bytes *b);

enum warc_type { WARC_INFO, WARC_REQUEST, WARC_RESPONSE, WARC_CONTINUATION, WARC_METADATA, WARC_RESOURCE, WARC_OTHER };

/* One record to write. Slices that are empty and numbers that are 0 leave their field out. */
struct warc_record {
    enum warc_type type;
    char id[WARC_ID_MAX];             /* "<urn:uuid:...>" */
    int64_t date_ms;
    struct slice target_uri, concurrent_to, action, names;
    const char *content_type, *protocol, *truncated, *from, *opcode, *compressed, *kept;
    bool ends_well;                   /* the exchange is over with this record */
    bool omits;                       /* then `omitted`, bytes that passed and are not kept by policy, is written, also when it is 0 */
    uint64_t omitted, message, removed;
    unsigned segment_number;
    struct slice segment_origin;
    bool segment_last;                /* then total_length is written, also when it is 0 */
    uint64_t total_length;
    uint64_t exchange;
    const struct slice *block;
    size_t block_count;
};

/* The same parts give the same id: a recorder that takes over finds the ids that its forerunner wrote. */
void warc_id(const unsigned char ring_id[16], uint64_t exchange, unsigned what, unsigned number, char out[WARC_ID_MAX]);

struct warc_writer;
MUST_CHECK enum status warc_writer_new(struct warc_writer **out);
void warc_writer_free(struct warc_writer *w);
/* Append the record to `to`. NO_MEMORY: nothing was appended. */
MUST_CHECK enum status warc_write(struct warc_writer *w, const struct warc_record *r, struct warc_bytes *to);
/* Append plain text (lines of an index) as one gzip member. NO_MEMORY: likewise. */
MUST_CHECK enum status warc_write_lines(struct warc_writer *w, const struct slice *piece, size_t count, struct warc_bytes *to);

/* Reading: feed decompressed bytes in pieces of any size; the reader calls back for each record. It keeps at most one head. */
struct warc_head {
    enum warc_type type;
    uint64_t length;                  /* of the block */
    uint64_t exchange, message;       /* 0: not given */
    uint64_t omitted;                 /* bytes that passed and are not kept by policy */
    uint64_t removed;                 /* values that redaction took out of the body */
    uint64_t segment_number;          /* 0: not segmented */
    uint64_t segments_length;         /* of all of them, said by the last */
    bool segment_last;
    int64_t date_ms;
    struct slice id, origin, action, names, from, truncated, protocol, opcode, compressed, kept, end;   /* valid during the call; end: "ok" when it ended well */
};
struct warc_events {
    enum status (*head)(void *to, const struct warc_head *h);
    enum status (*block)(void *to, struct slice data);
    enum status (*end)(void *to);
    void *to;
};
struct warc_reader {
    unsigned state;
    uint64_t left;
    size_t head_len;
    unsigned char head[WARC_HEAD_MAX];
};
void warc_reader_init(struct warc_reader *r);
/* OK, BAD_INPUT (with why), or what a callback returned. */
MUST_CHECK enum status warc_read(struct warc_reader *r, struct slice data, const struct warc_events *events, struct err *err);
/* Is the reader between two records? */
bool warc_reader_idle(const struct warc_reader *r);

#endif
