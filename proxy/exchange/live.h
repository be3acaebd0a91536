/* live: who is at which tool right now, for `countersign top`. Each worker counts for itself, under a lock of its own that nobody else wants but for the moment in which
 * an auditor or operator looks; looking adds the workers up. A session is one grant's use of one tool, and goes when it was quiet for LIVE_QUIET_MS. */
#ifndef COUNTERSIGN_LIVE_H
#define COUNTERSIGN_LIVE_H

#include "proxy/exchange/access.h"

#include <jansson.h>

enum { LIVE_QUIET_MS = 15 * 60 * 1000, LIVE_RATE_S = 10, LIVE_SESSIONS_MAX = 10000, LIVE_WATCHED_MS = 5000 };

struct live;
struct live_session;                  /* one worker's count */

/* What an exchange is part of; borrowed for the call. */
struct live_what {
    const char *grant_id, *person, *identity, *tool, *action, *source;
    bool websocket;
    const char *issuer;               /* of a grant of the basis "external"; "" or NULL: none */
};

struct live *live_new(unsigned workers);
void live_free(struct live *l);
/* An exchange goes to the tool. NULL: there are too many to count, or no memory; nothing else hangs on it. now_ms: wall clock. */
struct live_session *live_begin(struct live *l, unsigned worker, const struct live_what *what, int64_t now_ms);
/* So many more bytes of content; s may be NULL. */
void live_add(struct live *l, unsigned worker, struct live_session *s, uint64_t received, uint64_t sent, int64_t now_ms);
/* It is over. */
void live_end(struct live *l, unsigned worker, struct live_session *s, bool websocket, uint64_t received, uint64_t sent, int64_t now_ms);
/* Somebody looked within LIVE_WATCHED_MS: exchanges under way are worth counting too. */
bool live_watched(const struct live *l, int64_t now_ms);
/* An array, busiest first: {session, person, identity, tool, action, source, since_ms, last_ms, requests, requests_per_s, received, sent, active, websockets, and basis and issuer of a grant of another issuer's}; only of grants that are
 * still live. The caller's. NULL: no memory. */
json_t *live_read(struct live *l, bool (*is_live)(const void *arg, const char *grant_id), const void *arg, int64_t now_ms);

#endif
