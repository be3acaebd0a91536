/* ws_frame: WebSocket frames (RFC 6455 s5), read strictly and as they stream, without copying. The gateway passes frames on as they came, so nothing in
 * here writes any but its own Close.
 *
 * Refused, so that no tool and no browser reads another message than the one recorded: a client's frame that is not masked and a tool's that is; RSV bits
 * but RSV1 on the first frame of a message where permessage-deflate (RFC 7692) was agreed; unknown opcodes; a continuation of nothing, or a new message inside another; control
 * frames that are fragmented or longer than 125 bytes; lengths in more bytes than they need, or of 2^63 and more; a Close of one byte or with a code that
 * must not be sent (s7.4). Whether text is UTF-8 is for the end points: it changes no framing. */
#ifndef COUNTERSIGN_WS_FRAME_H
#define COUNTERSIGN_WS_FRAME_H

#include "proxy/base/slice.h"
#include "proxy/http/message.h"

enum { WS_HEAD_MAX = 14, WS_CONTROL_MAX = 125, WS_CLOSE_LEN = 4 };

enum ws_opcode { WS_CONTINUATION = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

/* One direction. Set the first two, the rest to 0. A plain value: copy it to try, assign it back to commit. */
struct ws_reader {
    bool client;                      /* its frames must be masked; a tool's must not */
    bool deflate;                     /* permessage-deflate was agreed */
    unsigned char opcode;             /* of the message under way; 0: none */
    bool compressed, final;           /* the message; its present frame is the last */
    uint64_t left;                    /* of the present frame's payload */
    unsigned char mask[4];
    unsigned mask_at;
};

/* What ws_read found: a control frame, or a part of a message. */
struct ws_piece {
    size_t used;                      /* bytes of input, a frame's head included */
    struct slice payload;             /* within them, as on the wire */
    bool masked;
    unsigned char mask[4];            /* payload byte i is masked with mask[(mask_at + i) & 3] */
    unsigned mask_at;
    enum ws_opcode opcode;            /* of the message; never WS_CONTINUATION */
    bool first, last, compressed;     /* of the message */
};

/* Take the next piece from the start of `in`. Control frames come whole; a frame's head too, with what is there of its payload. MORE: nothing was taken, and no
 * more than WS_HEAD_MAX + WS_CONTROL_MAX bytes are ever needed. BAD: *reason, a literal. */
enum parse ws_read(struct ws_reader *r, struct slice in, struct ws_piece *out, const char **reason);
/* May another frame begin here? */
static inline bool ws_between_frames(const struct ws_reader *r) { return r->left == 0; }
/* dst may be the same as src. */
void ws_unmask(unsigned char *dst, struct slice src, const unsigned char mask[4], unsigned mask_at);
/* "text", "ping" ... */
const char *ws_opcode_name(enum ws_opcode opcode);
/* A tool's Close frame with this code. */
void ws_close_frame(unsigned code, unsigned char out[WS_CLOSE_LEN]);

#endif
