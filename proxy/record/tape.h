/* tape: where a worker hands over what passes, before it passes (promise 5).
 *
 * One tape a worker: the producing end of a single-producer, single-consumer ring in shared memory (a memfd that the parent process holds too, so that
 * a dying proxy loses nothing: its successor's recorder reads on where the last one stopped). The worker copies each head and each piece of body onto the tape, redacted, and only then passes it on.
 * Nothing here blocks, locks or allocates per byte: when the tape is full the answer is FULL, the worker stops reading the side that feeds it,
 * and the wake descriptor becomes readable when there is room again. Not thread-safe: one worker owns it. */
#ifndef COUNTERSIGN_TAPE_H
#define COUNTERSIGN_TAPE_H

#include "config/config.h"
#include "proxy/http/message.h"
#include "proxy/record/redact.h"

struct tape;

enum tape_side { TAPE_REQUEST, TAPE_RESPONSE };
enum tape_end {
    TAPE_COMPLETE,
    TAPE_TRUNCATED,                   /* the message was cut off: its sender broke off, a lock, a limit */
};

/* What stays the same in a session; borrowed until tape_begin returns. */
struct tape_session {
    struct slice id;                  /* = grant_id */
    struct slice identity, person, tool, host;
    struct slice x5t;                 /* certificate thumbprint, base64url */
};

/* One exchange on the tape. The caller gives the memory (its arena) and keeps it until tape_close; contents are the tape's. */
struct tape_exchange {
    uint64_t id;                      /* unique in this instance */
    bool open;                        /* begun and not closed */
    bool sizes_only;                  /* RECORD_METADATA */
    void *redactor[2];
    unsigned char state[2];
};

/* Attach to ring memory made by tape_memory_make; wake_fd: an eventfd
 * that the recorder signals. */
MUST_CHECK enum status tape_open(void *memory, size_t size, int wake_fd, const unsigned char fingerprint_key[32], struct tape **out,
                                 struct err *err);
void tape_free(struct tape *t);
/* For the parent: bytes of memory that a ring of `ring_bytes` (a power of two) needs; and its first contents. */
size_t tape_memory_size(size_t ring_bytes);
void tape_memory_init(void *memory, size_t ring_bytes);

/* Bytes of body that surely fit now. */
size_t tape_room(const struct tape *t);

/* What of an exchange is kept, and for which action. */
struct tape_keep {
    struct slice action, touched;     /* touched: names of the customers and the like that it touches (authz/budget.h), or empty */
    enum record_mode mode;            /* RECORD_FULL, or RECORD_METADATA: of bodies and messages only how long they are. RECORD_OFF is not for here */
    const struct secret_names *names; /* whose values are never kept; borrowed until tape_close. NULL: none */
};

/* Begin an exchange: writes the request head. FULL: nothing was written, try again when woken. */
MUST_CHECK enum status tape_begin(struct tape *t, struct tape_exchange *x, const struct tape_session *s, const struct message *request, const struct tape_keep *keep,
                                  struct arena *arena);
/* The response head: from the tool, or the gateway's own (`from_tool` false: a refusal, a held page). Once an exchange, but for 1xx. */
MUST_CHECK enum status tape_response(struct tape *t, struct tape_exchange *x, const struct message *response, bool from_tool);
/* A piece of body; all of it is taken, or FULL. */
MUST_CHECK enum status tape_body(struct tape *t, struct tape_exchange *x, enum tape_side side, struct slice data);
/* A piece of a WebSocket message, after a 101: all of it is taken, or FULL. Control frames are messages of one piece, and may come between the pieces of another. */
enum tape_speaker { TAPE_CLIENT, TAPE_TOOL, TAPE_GATEWAY };
struct tape_message {
    enum tape_speaker from;           /* TAPE_GATEWAY: to the client, in the tool's place */
    unsigned opcode;                  /* RFC 6455 s11.8; of the message, not 0 */
    bool first, last, compressed;     /* compressed: by permessage-deflate; kept as what it says where secrets are to be taken out, else as it came */
    const unsigned char *mask;        /* four bytes, or NULL: data is not masked. Kept is what was meant */
    unsigned mask_at;
    struct slice data;
};
MUST_CHECK enum status tape_message(struct tape *t, struct tape_exchange *x, const struct tape_message *m);
MUST_CHECK enum status tape_finish(struct tape *t, struct tape_exchange *x, enum tape_side side, enum tape_end how);
/* A fact about the exchange, kept as a metadata record: name "held" value "hld_…", "outcome" … "action" replaces what tape_begin was given. */
MUST_CHECK enum status tape_note(struct tape *t, struct tape_exchange *x, const char *name, struct slice value);
/* The trailers of the response, as the note `response-trailers`: one "name: value" line each, redacted like fields. BAD_INPUT: more than a note holds (16 KiB). */
MUST_CHECK enum status tape_trailers(struct tape *t, struct tape_exchange *x, const struct fields *trailers);
/* The end. Sides not finished count as cut off. Always succeeds: its room is reserved by tape_begin. `why`: a word, or NULL when all went well. */
void tape_close(struct tape *t, struct tape_exchange *x, const char *why);
/* The same when the response is whole, and the request too or not. */
void tape_end(struct tape *t, struct tape_exchange *x, bool request_whole, const char *why);

/* Durability: the position after the last thing written; ask that everything up to now be written and fsynced soon; the position that is. */
uint64_t tape_position(const struct tape *t);
void tape_demand(struct tape *t);
uint64_t tape_durable(const struct tape *t);
/* The recorder can't keep anything now (disk full, authz away for long): refuse with 503 recording-unavailable. */
bool tape_broken(const struct tape *t);

#endif
