/* archive: reading a session's recording back: one pass over a .tar of WARC segments, giving exchanges; and checking it against log leaves. It trusts nothing in the file: every
 * length is checked, and a bad segment is reported with its number, the rest still read. */
#ifndef COUNTERSIGN_ARCHIVE_H
#define COUNTERSIGN_ARCHIVE_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"
#include "proxy/record/age.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct archive;

/* One WebSocket message, in the order of their beginning. */
struct archive_ws_message {
    uint64_t number;                  /* from 1, within the exchange */
    int64_t time_ms;                  /* when its record was written: its end, or the end of the first segment that has a part of it */
    struct slice from, opcode;        /* "client", "tool" or "gateway"; "text", "binary", "close", "ping", "pong" */
    struct slice data;                /* unmasked; at most 16 MiB of it */
    uint64_t length;                  /* all of it, with what is not kept */
    bool omitted;                     /* policy wanted its bytes not kept, and data is empty; or it was compressed and could not be read in full */
    bool compressed;                  /* data is what permessage-deflate (RFC 7692) made */
    bool cut;                         /* it never ended */
};

/* One exchange, put together from its request, response, continuation and metadata records. */
struct archive_exchange {
    uint64_t id;
    int64_t started_ms, ended_ms;
    struct slice request_head, request_body, response_head, response_body;   /* as recorded: HTTP/1.1 text heads, bodies without transfer coding */
    bool sizes_only;                  /* policy wanted no bodies kept: heads are here, bodies empty, and these bytes passed: */
    uint64_t request_omitted, response_omitted;
    unsigned status;                  /* 0: no response */
    bool request_cut, response_cut, from_tool;
    struct slice action, why;
    uint64_t message_total;           /* WebSocket messages, also when `messages` does not have them (archive_list) */
    struct slice secrets;             /* fingerprints in the response's head: "set-cookie=fp:…,x-api-key=fp:…" (secrets.h) */
    uint64_t removed;                 /* values that redaction took out of the response's body */
    struct slice response_sha256;     /* hex, where the index has it: of what ran under a sign-off */
    struct slice names;               /* "customer=17,customer=18": what the request touches, as the policy counts it */
    uint64_t request_bytes, response_bytes;   /* all that was recorded of the bodies, which may be more than is kept here */
    struct slice request_record, response_record;   /* the WARC-Record-ID of each side's first record */
    const json_t *notes;              /* object: name → value */
    unsigned first_segment, last_segment;
    const struct archive_ws_message *messages;
    size_t message_count;
    const char *node;                 /* which node recorded it; NULL: nobody asked for nodes (archive_join) */
    uint64_t leaf;                    /* with a node: the leaf of its log that holds first_segment's digest; 0: not logged yet */
};

/* Does it carry what a page's browser says happened (proxy/dom/README.md), and is no request of the person's to the tool? */
bool archive_is_claim(const struct archive_exchange *x);

/* Read the whole recording from a file. keys open what is sealed; NULL: none. REFUSED: it is sealed, and none of it to these keys. Bodies larger than 16 MiB are kept in part (body slices hold the first part; the lengths in `notes` tell). */
MUST_CHECK enum status archive_open(const char *path, const struct age_keys *keys, struct archive **out, struct err *err);
/* The same exchanges, but without bodies and messages, and with only the first line of heads: from the indexes (index.h), which costs a hundredth, and from the segments that none covers.
 * It may be a file that has only these (GET /api/v1/sessions/ID/listing). */
MUST_CHECK enum status archive_list(const char *path, const struct age_keys *keys, struct archive **out, struct err *err);
/* Only a few segments, the first ones and the last: enough to know what it is like. */
MUST_CHECK enum status archive_sample(const char *path, const struct age_keys *keys, struct archive **out, struct err *err);

/* One session as one node recorded it. */
struct archive_part {
    struct archive *archive;          /* NULL: it could not be had, and why_not says why */
    const char *node;                 /* its name; borrowed while the result lives */
    const uint64_t *leaves;           /* by segment number, leaf_count of them: the leaf of the node's log, or 0; for this call only */
    size_t leaf_count;
    const char *why_not;
};
/* One archive of several, its exchanges in the order of their times. Takes the parts' archives, also when it fails. */
MUST_CHECK enum status archive_join(const struct archive_part *parts, size_t count, struct archive **out, struct err *err);
/* How it was read: segments opened for want of an index, indexes that could not be read, exchanges with WebSocket messages that are only counted. */
struct archive_source {
    size_t unindexed, bad_indexes, untold;
};
struct archive_source archive_source(const struct archive *a);
void archive_free(struct archive *a);
size_t archive_count(const struct archive *a);
/* By start time. Borrowed from the archive. */
const struct archive_exchange *archive_at(const struct archive *a, size_t i);
/* Segments that could not be read: number and reason. */
size_t archive_bad_segments(const struct archive *a);
const char *archive_bad_segment(const struct archive *a, size_t i, unsigned *number_out);

/* Check a recording file and the log against each other. */
struct verify_result {
    bool whole;
    unsigned segments, leaves;
    uint64_t erased_seq;              /* the leaf that says that the recording was deleted by retention; 0: none */
    int64_t erased_ms;
    uint64_t history_seq;             /* the leaf that says that what was decided about this session was erased too; 0: none */
    int64_t history_ms;
    uint64_t erased_leaves, erased_segments;   /* of the log: leaves whose content was erased by retention, and segments among them */
    json_t *findings;                 /* array of { "kind": "altered-segment"|"missing-segment"|"extra-segment"|"bad-leaf"|"bad-head"|"cut-log"|…, "segment": n?, "seq": n?, "text": "…" } */
};
/* recording_path may be NULL (log only; with a session: its recording was deleted by retention, and the log must say so). `log` is what GET /api/v1/log gave: { "leaves": […], "head": "note text" } with all leaves from seq 1; log_key: Ed25519
 * public key, raw 32 bytes; session: whose segments to compare, "" for the log alone. later_head: a head note seen elsewhere (a grant's or a receipt's checkpoint), or NULL. OK even when not whole; result
 * is the caller's to verify_done. */
MUST_CHECK enum status archive_verify(const char *recording_path, const char *session, const json_t *log, const unsigned char log_key[32],
                                      const char *instance, const char *later_head, struct verify_result *out, struct err *err);
void verify_done(struct verify_result *r);

#endif
