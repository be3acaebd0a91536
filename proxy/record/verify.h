/* verify: the two halves of archive_verify: the log by itself, then the file against what the log says. */
#ifndef COUNTERSIGN_VERIFY_H
#define COUNTERSIGN_VERIFY_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <jansson.h>
#include <stdint.h>

/* A segment that the log holds. */
struct verify_expected {
    unsigned number;
    unsigned char digest[32];
    uint64_t bytes;                   /* 0: not said */
};

struct verify_segments {
    struct verify_expected *v;
    size_t count, cap;
    uint64_t erased_seq;              /* the leaf that says that the recording was deleted, its time being over; 0: none */
    int64_t erased_ms;
    uint64_t history_seq;             /* the leaf that says that what was decided about the session was erased too; 0: none */
    int64_t history_ms;
    uint64_t erased_leaves, erased_segments;   /* of all sessions: leaves whose content was erased, as leaves history.erased say; segments among them */
};

/* Add { "kind", "segment"?, "seq"?, "text" }; number and seq 0 are left out. */
MUST_CHECK enum status verify_finding(json_t *findings, const char *kind, unsigned segment, uint64_t seq, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* Check leaves, chain and heads; collect the session's segments, sorted by number, into *out (free v). */
MUST_CHECK enum status verify_log(const json_t *log, const char *session, const unsigned char log_key[32], const char *instance,
                                  const char *later_head, json_t *findings, struct verify_segments *out, struct err *err);
/* Compare; *found_out: segments in the file. */
MUST_CHECK enum status verify_file(const char *path, const struct verify_segments *expected, json_t *findings, unsigned *found_out,
                                   struct err *err);

#endif
