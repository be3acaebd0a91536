/* session: what the recorder knows of one session while it writes: its open exchanges, the segment being built, and how far its file holds what
 * each ring said. Bytes of messages stay in the ring until the segment is sealed; sealing compresses them into memory, writing appends them to the file. */
#ifndef COUNTERSIGN_SESSION_H
#define COUNTERSIGN_SESSION_H

#include "authz/touched.h"
#include "proxy/record/age.h"
#include "proxy/record/index.h"
#include "proxy/record/redact.h"
#include "proxy/record/ring.h"
#include "proxy/record/session_file.h"
#include "proxy/record/warc.h"

#include <jansson.h>
#include <uthash.h>

enum { SESSION_RINGS_MAX = 64, SESSION_TEXT_MAX = 256, RECORD_URI_MAX = 8192, SESSION_BUCKETS = 64, METHOD_KEPT_MAX = 24,
       SESSION_TOUCHED_FULL = TOUCHED_MAX - 32 };   /* then its segment closes: one more exchange fits */

/* Parts of record ids (warc_id): which record of the exchange. The first WebSocket message is RECORD_ID_MESSAGE + 1. */
enum { RECORD_ID_REQUEST, RECORD_ID_RESPONSE, RECORD_ID_NOTES, RECORD_ID_INTERIM, RECORD_ID_INFO, RECORD_ID_END, RECORD_ID_MESSAGE };

/* One direction of an exchange. */
enum side_state {
    MESSAGE_NONE,
    MESSAGE_OPEN,
    MESSAGE_DONE,                     /* its last record is written */
    MESSAGE_ENDED,                    /* it is over, and its last record not written yet: most often the exchange ends at once, and one record can say both */
};
struct record_side {
    unsigned state;
    unsigned version, status;
    bool from_tool, cut;
    struct slice *v;                  /* in the ring: what no record holds yet */
    size_t count, cap;
    uint64_t len;                     /* of these */
    unsigned records;                 /* written so far */
    uint64_t total;                   /* bytes of block in them */
    uint64_t body;                    /* bytes of body so far, also of those that are not kept */
};

/* A WebSocket message under way in one direction; its bytes are kept as a body's. */
struct record_message {
    struct record_side side;
    unsigned opcode, what;            /* what: enum entry_message */
    bool towards_client;
    uint64_t number;
};

struct record_exchange {
    uint64_t id, begun_at;            /* begun_at: its place in its ring */
    unsigned char ring[RING_ID_BYTES];
    int64_t started_ms, last_ms;
    char *uri;
    size_t uri_cap, uri_len, path_at;   /* path_at: where its path begins */
    char record_id[2][WARC_ID_MAX];   /* of the first record of the request, and of the response */
    char action[SESSION_TEXT_MAX];
    char *box;                        /* uri as headers of segments say it (session_box.c), once one did */
    char *names;                      /* "customer=17,customer=18": what it touches; NULL: nothing that is counted */
    bool action_changed;              /* since the request's record */
    bool sizes_only;                  /* no bodies and messages, only how long they are */
    struct record_side side[2];
    struct record_message message[2]; /* towards the tool, towards the client */
    uint64_t messages;                /* how many began */
    json_t *notes;                    /* not yet written; NULL: none */
    /* for its line in the index */
    char method[METHOD_KEPT_MAX];
    unsigned first_segment;           /* where its first record is; 0: not known, a forerunner wrote it */
    uint64_t offset;                  /* of it in there */
    char *secrets;                    /* in the response's head (secrets.h); NULL: none */
    uint64_t removed;                 /* values taken out of the response's body */
    json_t *told;                     /* all notes so far, cut short; NULL: none */
    EVP_MD_CTX *sha256;               /* of the response's body, when a sign-off let it run; NULL: it did not */
    struct record_exchange *next, *prev, *same;   /* all of the session; those in the same bucket */
};

/* Exchanges to be used again, with the room they have: most live for a millisecond. */
enum { POOL_MAX = 64 };
struct record_pool {
    struct record_exchange *spare;
    size_t count;
};

/* How far the file holds this session's entries of a ring. */
struct ring_reach {
    unsigned char ring[RING_ID_BYTES];
    uint64_t position;                /* with the segment being built */
    uint64_t in_file;                 /* as found in the file: entries before are skipped */
};

struct session {
    char id[RING_SESSION_MAX + 1];
    char identity[SESSION_TEXT_MAX], person[SESSION_TEXT_MAX], tool[SESSION_TEXT_MAX], host[SESSION_TEXT_MAX], x5t[SESSION_TEXT_MAX];
    struct session_file file;
    struct record_exchange *exchanges;   /* the open ones, in no order that matters */
    struct record_exchange *bucket[SESSION_BUCKETS];   /* by id */
    struct ring_reach reach[SESSION_RINGS_MAX];
    size_t reach_count;
    /* the segment being built */
    struct warc_bytes out;
    uint64_t raw;                     /* bytes of messages in it, pending ones included */
    int64_t from_ms, to_ms;
    unsigned begun;                   /* exchanges that began in it */
    bool sealed;                      /* closed and compressed, not yet in the file */
    char (*touched)[TOUCHED_LEN + 1]; /* hashes of what its exchanges touch */
    size_t touched_count;
    struct warc_bytes index;          /* lines of what ended since the last index */
    unsigned index_from;              /* the first segment whose ends are all in it */
    uint64_t *unwritten;              /* for each ring of the recorder the first entry that no file holds; UINT64_MAX: none */
    uint64_t last_ring_id48, last_position;   /* what the leaf names */
    /* the log */
    unsigned logged;                  /* the last segment that authz has confirmed */
    unsigned leaves_waiting;
    int64_t used_ms;                  /* monotonic, for closing what is idle */
    bool marked;                      /* its name stands in recordings/open */
    UT_hash_handle hh;
};

/* The recorder's side that a session needs. */
struct session_context {
    const char *instance;
    struct warc_writer *warc;
    struct record_pool *pool;         /* NULL: none */
    struct age_sealer *sealer;        /* NULL: segments are kept readable */
    struct session_boxes *boxes;      /* NULL: of open exchanges only the host is kept */
    const struct fingerprint *touched;   /* with the key of authz/touched.h; NULL: nothing can be searched */
    const struct ring_header *ring[SESSION_RINGS_MAX];   /* whose keys open what a segment's header says of open exchanges */
    size_t ring_count;
};

/* session_open.c: the exchanges that are not over. NULL: no memory. */
struct record_exchange *record_exchange_new(struct record_pool *pool);
void record_exchange_free(struct record_pool *pool, struct record_exchange *x);
void record_pool_done(struct record_pool *pool);
/* "https://" host target, cut where it is too long. NO_MEMORY. */
void record_exchange_ids(struct record_exchange *x);   /* once id and ring are known */
MUST_CHECK enum status record_exchange_uri(struct record_exchange *x, struct slice host, struct slice target);
void record_exchange_action(struct record_exchange *x, struct slice name);
struct record_exchange *session_find(const struct session *s, uint64_t id);
void session_add(struct session *s, struct record_exchange *x);
/* Takes it out and frees it. */
void session_drop(struct session *s, const struct session_context *c, struct record_exchange *x);

/* NULL: no memory. ring_count: how many rings the recorder reads. */
struct session *session_new(struct slice id, size_t ring_count);
void session_free(struct session *s);

/* Take one entry of ring number `ring` (skipping it if the file holds it). OK, NO_MEMORY (nothing was taken; try again), CORRUPT (an entry that makes no sense: dropped). */
MUST_CHECK enum status session_take(struct session *s, const struct session_context *c, const struct ring_in *in, size_t ring,
                                    const struct ring_entry *e);
/* Anything that no file holds yet? */
bool session_has_news(const struct session *s);
/* Close the segment: everything pending is in s->out. NO_MEMORY: try again. */
MUST_CHECK enum status session_seal(struct session *s, const struct session_context *c);
/* What stands in the pax header of the segment whose content (sealed already) this is, or of the index that covers so much: `to` becomes that text. NO_MEMORY. */
MUST_CHECK enum status session_comment(const struct session *s, const struct session_context *c, struct slice content, const struct index_cover *index,
                                       struct warc_bytes *to);
/* After the segment was appended: a new one begins. */
void session_written(struct session *s);
/* From a member of its file. */
void session_restore(struct session *s, const struct session_context *c, const json_t *comment);
/* Its producer is gone: what is open is cut off, and it ends with this reason. */
MUST_CHECK enum status session_end_exchange(struct session *s, const struct session_context *c, struct record_exchange *x, const char *why,
                                            int64_t now_ms);

/* session_index.c. A note, also for the index; the exchange has ended, its records are written into the segment that is being built; the index as a gzip member, once all is in the file;
 * what it covers; it was written. */
MUST_CHECK enum status session_index_note(struct record_exchange *x, const char *name, struct slice value);
MUST_CHECK enum status session_index_end(struct session *s, const struct record_exchange *x, const char *why);
MUST_CHECK enum status session_index_pack(const struct session *s, const struct session_context *c, struct warc_bytes *to);
struct index_cover session_index_cover(const struct session *s);
void session_index_written(struct session *s);
/* An exchange touches these; what the segment's leaf says of it, as a new array (NULL: no memory). */
MUST_CHECK enum status session_touch(struct session *s, const struct session_context *c, struct slice names);
json_t *session_touched_json(const struct session *s);

/* session_box.c: where an open exchange goes to, kept for the next recorder where only a process that holds its ring can read it. box: malloc'd base64url text,
 * NULL: no memory, or nobody here has that ring. */
struct session_boxes *session_boxes_new(void);   /* what making them takes; NULL: no memory */
void session_boxes_free(struct session_boxes *b);
char *session_box_close(const struct session_context *c, const unsigned char ring[RING_ID_BYTES], const char *text);
char *session_box_open(const struct session_context *c, const unsigned char ring[RING_ID_BYTES], const char *box);

/* session_records.c: the records themselves. ends_well: nothing more is to be said of the exchange. */
MUST_CHECK enum status record_info(struct session *s, const struct session_context *c, int64_t now_ms);
MUST_CHECK enum status record_side_write(struct session *s, const struct session_context *c, struct record_exchange *x, unsigned side,
                                         bool complete, bool cut, bool ends_well);
MUST_CHECK enum status record_message_write(struct session *s, const struct session_context *c, struct record_exchange *x,
                                            struct record_message *m, bool complete, bool cut);
MUST_CHECK enum status record_interim(struct session *s, const struct session_context *c, struct record_exchange *x, int64_t time_ms,
                                      const struct slice head[2], unsigned version, unsigned number);
MUST_CHECK enum status record_metadata(struct session *s, const struct session_context *c, struct record_exchange *x, bool last,
                                       const char *why);

#endif
