/* messages: what a WebSocket said, readable: permessage-deflate (RFC 7692) undone, which needs all messages of a direction in their order. */
#ifndef COUNTERSIGN_REPLAY_MESSAGES_H
#define COUNTERSIGN_REPLAY_MESSAGES_H

#include "proxy/record/archive.h"

enum { MESSAGE_TEXT_MAX = 1 << 20 };  /* of one message; the rest is left out */
#define MESSAGES_TEXT_MAX ((size_t)64 << 20)   /* of all messages of an exchange */

struct message_text {
    struct slice data;
    bool cut;                         /* there is more of it */
    bool unreadable;                  /* compressed, and an earlier part of its direction is missing or damaged */
    unsigned char *owned;
};
struct messages {
    struct message_text *v;           /* one for each of x->messages */
    size_t count;
};
/* x must outlive it. NO_MEMORY. */
MUST_CHECK enum status messages_init(struct messages *m, const struct archive_exchange *x);
void messages_done(struct messages *m);

/* Events of a text/event-stream: blocks that hold data. */
size_t messages_count_events(struct slice stream);

#endif
