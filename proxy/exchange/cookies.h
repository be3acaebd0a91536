/* cookies: a tool's `tied_cookies` are tied to the identity on their way to the browser and taken off it on the way back (proxy/http/cookie_tie.h). The tool, the recording and
 * a held request all have the tool's own values. */
#ifndef COUNTERSIGN_EXCHANGE_COOKIES_H
#define COUNTERSIGN_EXCHANGE_COOKIES_H

#include "proxy/exchange/exchange.h"

/* The key of this worker's tags, from the key that stays the same over restarts. */
void cookies_key(const unsigned char from[32], unsigned char out[32]);
/* The request's Cookie fields, before anything looks at them. false: it was refused, for want of memory. */
bool cookies_take(struct exchange *x);
/* The response's Set-Cookie fields. */
MUST_CHECK enum status cookies_set(struct exchange *x, struct fields *f);

#endif
