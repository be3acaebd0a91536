/* prefer: the one preference of RFC 7240 that the gateway knows, `Prefer: wait=N`: so many seconds the client would rather wait than be told to come back. */
#ifndef COUNTERSIGN_PREFER_H
#define COUNTERSIGN_PREFER_H

#include "proxy/http/message.h"

/* The first `wait` of the request's Prefer fields, as RFC 7240 s2 has it; *seconds_out is at most 2^31 - 1. False: there is none, or the first is not 1*DIGIT (it is a wish, so it
 * is passed over and never refused). */
bool prefer_wait(const struct fields *f, uint32_t *seconds_out);

#endif
