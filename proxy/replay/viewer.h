/* viewer: the origin of our own page: the timeline beside the recorded pages. The page itself holds nothing; all facts come as JSON, for whoever names the key in a header of their own: no cookie, so no other page
 * in the browser can ask in the person's name; and a request whose Host is another name (DNS rebinding) or that comes from another origin is refused before that. */
#ifndef COUNTERSIGN_REPLAY_VIEWER_H
#define COUNTERSIGN_REPLAY_VIEWER_H

#include "proxy/replay/content.h"

enum { VIEWER_KEY_BYTES = 24, VIEWER_KEY_MAX = 40 };

struct viewer {
    struct content *content;
    struct recorded *recorded;
    char key[VIEWER_KEY_MAX];         /* base64url */
    uint16_t port;
    json_t *session;                  /* facts and decisions, as replay_serve() was given them; borrowed */
    json_t *exchanges;                /* one object an exchange, in archive order; borrowed, and completed here */
};

/* Adds to each of `exchanges` what a browser needs to know: kind, page, type, title, dest, messages. NO_MEMORY. */
MUST_CHECK enum status viewer_init(struct viewer *v, struct content *c, json_t *session, json_t *exchanges);
/* A httpd_handler; to: struct viewer. Routes:
 *   GET /                      the page; /viewer.css /viewer.js /timeline.js
 *   GET /api/session           everything for the timeline           (Countersign-Replay-Key)
 *   GET /api/exchange?n=N      one exchange in full: heads, bodies as text, messages
 *   GET /api/shown             the page that was given out last, and what it asked for in vain */
void viewer_handle(void *to, const struct httpd_request *q, struct httpd_answer *a);

#endif
