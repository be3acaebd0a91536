/* message_inflate: reads the compressed messages (permessage-deflate, RFC 7692) of one direction of a WebSocket, so that their text can be recorded without its secrets and an
 * auditor can read it. What passes on stays as it came.
 *
 * Bounded: of one message at most INFLATE_MESSAGE_MAX bytes come out, its rest is known by its size only; and all in all no more than INFLATE_RATIO times what went in and
 * INFLATE_CREDIT more, since a few bytes could else keep a core and a disk busy. Past that, or where the data makes no sense, reading ends for good. */
#ifndef COUNTERSIGN_MESSAGE_INFLATE_H
#define COUNTERSIGN_MESSAGE_INFLATE_H

#include "proxy/base/slice.h"

#include <stdbool.h>

enum { INFLATE_MESSAGE_MAX = 2 * 1024 * 1024, INFLATE_RATIO = 100, INFLATE_CREDIT = 8 * 1024 * 1024 };

struct message_inflater;
/* NULL: no memory. */
struct message_inflater *message_inflater_new(void);
void message_inflater_free(struct message_inflater *i);

/* The next bytes of a message, unmasked; `last`: the message ends with them. A caller who could not record what came of them gives the same bytes again, or more or fewer from
 * the same place:those that were read before are not read twice. */
void message_inflate(struct message_inflater *i, struct slice data, const unsigned char *mask, unsigned mask_at, bool last);
/* What came of them and was not dropped yet; valid until the next call. */
struct slice message_inflated(const struct message_inflater *i);
void message_inflated_drop(struct message_inflater *i, size_t n);
/* Is some of the message under way not to be had? */
bool message_inflate_lost(const struct message_inflater *i);
/* All of it is recorded, and n bytes passed on. */
void message_inflate_passed(struct message_inflater *i, size_t n, bool last);

#endif
