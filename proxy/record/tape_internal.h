/* tape_internal: what the files of the tape share. */
#ifndef COUNTERSIGN_TAPE_INTERNAL_H
#define COUNTERSIGN_TAPE_INTERNAL_H

#include "proxy/record/message_inflate.h"
#include "proxy/record/redact_body.h"
#include "proxy/record/redact_message.h"
#include "proxy/record/ring.h"
#include "proxy/record/tape.h"

struct tape {
    struct ring_out ring;
    struct fingerprint fingerprint;
    size_t reserved;                  /* for the ends of the open exchanges */
    int64_t now_ms;                   /* wall clock of the group that is being written */
};

enum side_state { SIDE_NONE, SIDE_OPEN, SIDE_WITHHELD, SIDE_DONE };

/* Behind tape_exchange.redactor[]: [0] is the exchange's own part, [1] the redactor of the response; both live in the exchange's arena. */
struct tape_own {
    struct slice session;
    const struct secret_names *names;
    struct arena *arena;
    size_t reserve;
    EVP_MD_CTX *withheld;             /* digest of what was not kept of the request's body */
    uint64_t withheld_bytes;
    struct body_redactor *request;    /* NULL: kept as it is */
    unsigned removed;                 /* values taken out of the response's body */
    struct text_state *messages[2];   /* of a WebSocket's text, once there was some: the client's, the tool's */
    struct message_inflater *inflaters[2];   /* of its compressed messages, likewise */
    bool begun[2];                    /* something of the compressed message under way is on the tape */
};

/* Begin a group of entries, all of one moment, that may use all room but `keep` bytes. */
void tape_start(struct tape *t, size_t keep);
/* FULL promises that the recorder signals us: this asks for that. Whoever asks looks once more, since room may have come in between. */
void tape_ask_for_room(const struct tape *t);
/* For what no ring of this size takes: FULL while others wait for room, else LIMIT. */
enum status tape_too_large(const struct tape *t);
/* In the place of bytes that policy does not keep: how many they were. */
void tape_put_omitted(struct tape *t, uint64_t bytes);

#endif
