/* player: what a page's browser told of it (DOM recording, proxy/dom/README.md), drawn by rrweb's player, on a host of its own beside the recorded pages:
 *
 *     http://dNUMBER-TOKEN.localhost:PORT/                           NUMBER is the exchange's that brought the page
 *
 * What is drawn comes from a browser in the hands of the person who was recorded, and from whatever ran in its pages. So nothing of it runs (rrweb draws into a frame that has no scripts), nothing is loaded
 * from anywhere (player_guard), and the viewer is another origin. */
#ifndef COUNTERSIGN_REPLAY_PLAYER_H
#define COUNTERSIGN_REPLAY_PLAYER_H

#include "proxy/replay/httpd.h"
#include "proxy/replay/recorded.h"

/* Uploads of events by the page that they say they belong to: for each exchange how many. NO_MEMORY. */
MUST_CHECK enum status player_count(const struct recorded *r, unsigned *counts);
/* The exchange number that an upload says brought its page; 0: it says none. body: as recorded. */
uint64_t player_page_of(struct slice body);

struct player {
    const struct recorded *recorded;
    const char *folder;               /* where rrweb's player lies: replay.js, replay.css */
    uint16_t viewer_port;
};
/* GET /, /player.js, /player.css, /rrweb.js, /rrweb.css, /events.json of the page at index `page`. */
void player_handle(const struct player *p, size_t page, const struct httpd_request *q, struct httpd_answer *a);

#endif
