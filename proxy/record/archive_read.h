/* archive_read: putting the exchanges of a recording together from its records; behind archive.h. */
#ifndef COUNTERSIGN_ARCHIVE_READ_H
#define COUNTERSIGN_ARCHIVE_READ_H

#include "proxy/record/archive.h"
#include "proxy/record/tar.h"
#include "proxy/record/warc.h"

#include <uthash.h>

enum {
    ARCHIVE_BODY_MAX = 16 << 20,      /* kept of one body */
    ARCHIVE_HEAD_MAX = 1 << 20,
    ARCHIVE_JSON_MAX = 1 << 20,       /* of a metadata record */
    ARCHIVE_EXCHANGES_MAX = 1 << 22,
    ARCHIVE_MESSAGES_MAX = 1 << 22,   /* of one exchange */
    ARCHIVE_BAD_MAX = 10000,
};
#define ARCHIVE_KEPT_MAX (UINT64_C(1) << 30)            /* of all bodies together; later ones keep their heads only */
#define ARCHIVE_SEGMENT_MAX (UINT64_C(512) << 20)       /* decompressed: far more than a recorder puts into one */

/* One message while it is put together. */
struct archive_message {
    char id[64];                      /* of its first record */
    struct warc_bytes bytes;          /* head and, up to the limit, body */
    uint64_t total;                   /* bytes of all its records */
    uint64_t omitted;                 /* not kept by policy */
    size_t head_len;                  /* with its empty line; 0: not yet seen */
    unsigned records;
    bool complete, cut;
    bool headless;                    /* a WebSocket message: all of it is body */
};

struct archive_socket_message {
    struct archive_message m;
    struct archive_ws_message pub;    /* but for its data; number and opcode as in the first record */
    char *from, *opcode;
};

struct archive_item {
    struct archive_exchange pub;
    uint64_t id;
    struct archive_message message[2];
    struct archive_socket_message *socket;
    struct archive_ws_message *socket_pub;
    size_t socket_count, socket_cap, socket_open[2];   /* open: 1 + index of the message under way from the tool, from the client */
    char *action, *why, *names, *secrets;
    uint64_t stray;                   /* bytes of messages whose beginning lies in segments that were not read */
    json_t *notes;
    bool closed;
    UT_hash_handle hh;
};

struct archive_bad {
    unsigned number;
    char *text;
};

struct archive {
    struct archive_item *items;
    const struct archive_exchange **sorted;
    size_t count, sorted_count;       /* items; all exchanges */
    /* from indexes (archive_list.c) */
    struct archive_exchange *rows;    /* id 0: none any more */
    size_t row_count, row_cap, text_count;
    char **texts;                     /* what rows point into; of the last slab_used of slab_len bytes are taken */
    size_t slab_len, slab_used;
    struct archive_loose *loose;
    size_t unindexed, bad_indexes, untold;
    struct archive_bad *bad;
    size_t bad_count;
    struct archive **parts;           /* of a joined one (archive_join.c): they own what is sorted here */
    size_t part_count;
    uint64_t kept;
    size_t sealed, opened;            /* segments that are for auditors; those that our keys fit */
    /* the record that is being read */
    struct archive_item *item;
    struct archive_message *message;  /* NULL: not one that is kept */
    struct warc_bytes json;
    bool in_metadata, json_full;
    unsigned segment;
};

MUST_CHECK enum status archive_add_bad(struct archive *a, unsigned number, const char *text);
/* archive.c: the frame, and what it is filled with. */
typedef enum status archive_read_call(struct archive *a, const struct age_keys *keys, int fd, uint64_t size, struct err *err);
MUST_CHECK enum status archive_open_by(const char *path, const struct age_keys *keys, archive_read_call *read, struct archive **out, struct err *err);
archive_read_call archive_read_members;
MUST_CHECK enum status archive_read_segment(struct archive *a, const struct age_keys *keys, int fd, const struct tar_member *m, struct err *err);
/* archive_list.c: what an index says of an exchange that segments tell in part is put to it. */
void archive_merge_row(struct archive *a, struct archive_exchange *x);
void archive_rows_free(struct archive *a);
/* The callbacks for a warc_reader. */
struct warc_events archive_events(struct archive *a);
/* A segment ended in the middle of a record. */
void archive_break_record(struct archive *a);
/* All was read: fill in what is public, and sort. */
MUST_CHECK enum status archive_finish(struct archive *a);
void archive_sort(struct archive *a);
void archive_parts_free(struct archive *a);

#endif
