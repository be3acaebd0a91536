/* index: what an auditor looks for first, a line an exchange, so that lists and reports need not open every segment: members NNNNNN.index.jsonl.gz.age between
 * the segments, sealed to the same auditors and covered by the log like these. Written by the recorder, read by archive_list(); README.md has the format.
 *
 * A line is a JSON object (README.md names its members). Each line stands for one exchange that ended; what was still open when the index was written has a line with
 * "part": "begin", and what the recorder did not see begin (its forerunner did) one with "part": "end": together they make a whole one. */
#ifndef COUNTERSIGN_RECORD_INDEX_H
#define COUNTERSIGN_RECORD_INDEX_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"
#include "proxy/record/warc.h"

#include <stdint.h>

enum {
    INDEX_BYTES = 512 * 1024,         /* of lines: then they are written */
    INDEX_TEXT_MAX = 64 << 20,        /* of one member, as read */
    INDEX_DEPTH_MAX = 8,              /* of `notes` */
};

enum index_part { INDEX_WHOLE, INDEX_BEGIN, INDEX_END };

struct index_line {
    uint64_t exchange;
    int64_t started_ms, ended_ms;
    enum index_part part;
    unsigned status;                  /* 0: no response */
    bool from_tool, sizes_only, request_cut, response_cut;
    uint64_t request_bytes, response_bytes;   /* of bodies; with sizes_only they passed and are not kept */
    unsigned segment, last_segment;   /* where its first and its last record are; segment 0: not known */
    uint64_t offset;                  /* of its first record in that segment, opened and not yet decompressed */
    uint64_t messages, removed;       /* WebSocket messages; values that redaction took out of the response's body */
    struct slice action, request, names, secrets, record, why, sha256;
    struct slice notes;               /* a JSON object as text, or empty */
};

/* The first line of each index: what it covers. */
struct index_cover {
    unsigned from, to;                /* all that ended in these segments is here */
};

/* Append a line. NO_MEMORY: nothing was appended. */
MUST_CHECK enum status index_put(struct warc_bytes *to, const struct index_line *line);
MUST_CHECK enum status index_put_cover(struct warc_bytes *to, const char *session, const struct index_cover *cover);

/* Read a whole index, decompressed: text is changed (escapes are undone in place), and what the lines hold lies in it. BAD_INPUT with why, or what `call` returned. */
typedef enum status index_call(void *to, const struct index_line *line);
MUST_CHECK enum status index_read(char *text, size_t len, struct index_cover *cover, index_call *call, void *to, struct err *err);

#endif
