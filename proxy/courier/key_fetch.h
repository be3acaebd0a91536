/* key_fetch: fetches what authz asks for on the lane (proxy/base/lane.h): the keys of other issuers, from their URL. The courier verifies the server and bounds what comes; what it says
 * is authz's to judge. A question: {"ask": name, "what": "issuer-keys", "url": …, "ca_file"?}; its answer: {"ask", "body"}, or {"ask", "why"} in words. */
#ifndef COUNTERSIGN_KEY_FETCH_H
#define COUNTERSIGN_KEY_FETCH_H

#include "proxy/courier/fetch.h"

struct key_fetch;
/* lane is the caller's. The fetcher must outlive it. */
MUST_CHECK enum status key_fetch_new(int lane, struct fetcher *f, struct key_fetch **out, struct err *err);
/* Only when nothing is under way, or the process ends with it. NULL is fine. */
void key_fetch_free(struct key_fetch *k);
/* Read what is asked, and begin it. */
void key_fetch_step(struct key_fetch *k);

#endif
