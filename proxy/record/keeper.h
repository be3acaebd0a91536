/* keeper: the sessions that are being recorded, their files, and their leaves; what the recorder's thread calls. One thread only.
 *
 * The folder STATE/recordings holds SESSION.tar, and in open/ an empty file for each session that a dying recorder would leave something undone in: an open exchange, a
 * segment that authz has not confirmed. The next recorder looks there first. */
#ifndef COUNTERSIGN_KEEPER_H
#define COUNTERSIGN_KEEPER_H

#include "proxy/record/leaves.h"
#include "proxy/record/session.h"

enum { KEEPER_FILES_MAX = 256, KEEPER_IDLE_MS = 60000 };

struct keeper {
    struct session_context context;
    struct warc_bytes sealed;         /* the segment that is being appended, as an age file */
    struct warc_bytes packed;         /* an index before it is sealed */
    struct warc_bytes comment;        /* of the member that is being appended */
    struct fingerprint touched;       /* keyed for what can be searched; context.touched points here when it is */
    char *instance;
    int dir_fd, open_fd;              /* recordings, recordings/open */
    struct record_pool pool;
    size_t ring_count;
    struct session *sessions;
    struct session *newest;           /* the one that the last entry belonged to, or NULL: most often the next one's too */
    size_t files_open;
    bool dir_dirty;                   /* a file was made since the last sync */
    struct leaves *leaves;
    struct leaf *unsynced;            /* in files that are not synced yet, or waiting for room in the queue of leaves */
    size_t unsynced_count, unsynced_cap, synced_count;   /* the first synced_count only wait for room */
    int64_t now_ms;                   /* monotonic, of this turn */
};

MUST_CHECK enum status keeper_open(struct keeper *k, const char *state, const char *instance, const char *authz_socket, size_t ring_count,
                                   struct err *err);
/* Segments are sealed by this from now on; NULL: kept readable. Takes it. */
void keeper_seal_with(struct keeper *k, struct age_sealer *sealer);
/* What segments touch can be searched under this key (authz/touched.h). */
MUST_CHECK enum status keeper_touch_with(struct keeper *k, const unsigned char key[32], struct err *err);
/* A ring whose open exchanges may be found in files. Before keeper_recover. */
void keeper_know_ring(struct keeper *k, const struct ring_header *ring);
void keeper_close(struct keeper *k);
/* What the last recorder left undone: exchanges without an end, segments without a leaf. */
MUST_CHECK enum status keeper_recover(struct keeper *k, struct err *err);

/* Take an entry; *out is the session it belongs to, which may be due for a flush now. CORRUPT: dropped. Anything else but OK: try again later, the entry was not taken. */
MUST_CHECK enum status keeper_take(struct keeper *k, const struct ring_in *in, size_t ring, const struct ring_entry *e, struct session **out,
                                   struct err *err);
/* Close the session's segment and append it to its file. */
MUST_CHECK enum status keeper_flush(struct keeper *k, struct session *s, struct err *err);
/* All sessions that hold entries of this ring from before `position` (UINT64_MAX: all), or all sessions (ring SIZE_MAX). */
MUST_CHECK enum status keeper_flush_before(struct keeper *k, size_t ring, uint64_t position, struct err *err);
/* The session that holds the oldest entry of a ring that no file has; NULL: none. *position_out: where. */
struct session *keeper_oldest(const struct keeper *k, size_t ring, uint64_t *position_out);
/* fsync what was written, then hand the leaves on. */
MUST_CHECK enum status keeper_sync(struct keeper *k, struct err *err);
bool keeper_dirty(const struct keeper *k);
/* Talk to authz about segments: never blocks. */
void keeper_log(struct keeper *k);
/* More wait for authz than the queue takes. */
bool keeper_log_full(const struct keeper *k);
/* End the exchanges whose producer is gone. */
typedef bool keeper_is_dead(void *to, const struct record_exchange *x);
MUST_CHECK enum status keeper_end_dead(struct keeper *k, keeper_is_dead *is_dead, void *to, struct err *err);
/* Write the index of all that ended and that none holds yet; sessions with something unwritten are left out. */
MUST_CHECK enum status keeper_index_all(struct keeper *k, struct err *err);
/* Write the index of, close files of, and forget sessions that were idle for a minute. */
void keeper_tidy(struct keeper *k);

#endif
