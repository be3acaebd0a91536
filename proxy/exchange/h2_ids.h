/* h2_ids: which stream identifiers a client has used on a connection, so that frames on closed streams and identifiers that go backwards are connection errors
 * (RFC 9113 s5.1, s5.1.1). nghttp2 forgets closed streams and lets such frames pass in silence. Of the last ones some 128 are remembered; frames on a stream that we reset
 * ourselves are ignored, since they may have been on their way. */
#ifndef COUNTERSIGN_H2_IDS_H
#define COUNTERSIGN_H2_IDS_H

#include <stdbool.h>
#include <stdint.h>

enum { H2_IDS_KEPT = 128 };

enum h2_id_state { H2_ID_OPEN = 1, H2_ID_CLOSED, H2_ID_RESET_BY_US };

struct h2_ids {
    int32_t last;                     /* highest so far */
    uint32_t kept[H2_IDS_KEPT];       /* each in the place that its number gives it: the number without its last bit, which is set, and a state in the two lowest bits; 0: none */
};

enum h2_id_verdict {
    H2_ID_FINE,                       /* or for nghttp2 to judge */
    H2_ID_STREAM_CLOSED,              /* connection error STREAM_CLOSED */
    H2_ID_BACKWARD,                   /* connection error PROTOCOL_ERROR */
};

/* A HEADERS frame begins. live: the stream is under way (then these are trailers). */
enum h2_id_verdict h2_ids_headers(struct h2_ids *ids, int32_t id, bool live);
/* A DATA frame begins. */
enum h2_id_verdict h2_ids_data(const struct h2_ids *ids, int32_t id, bool live);
/* The stream is closed; or we sent RST_STREAM on it. */
void h2_ids_closed(struct h2_ids *ids, int32_t id);
void h2_ids_reset(struct h2_ids *ids, int32_t id);

#endif
