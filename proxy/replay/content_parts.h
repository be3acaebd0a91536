/* content_parts: how one recorded exchange becomes an answer on the content origin; behind content.h. */
#ifndef COUNTERSIGN_REPLAY_CONTENT_PARTS_H
#define COUNTERSIGN_REPLAY_CONTENT_PARTS_H

#include "proxy/replay/content.h"

struct content_ask {
    const struct httpd_request *q;
    size_t page;
    bool scripts, navigation;
};

/* Is it a frame of the page's own that is asked for, and not a link that was followed? */
bool content_is_frame(const struct content *c, const struct content_ask *k);
/* Exchange i's response: the fields that may pass, Location led back here, our script in HTML. */
void content_exchange(const struct content *c, const struct content_ask *k, size_t i, struct httpd_answer *a);
/* Where a recorded Location leads within the tool: a path, or relative as it is; ptr NULL when it leads elsewhere. */
struct slice content_location(const struct archive_exchange *x, struct slice location);
/* What the tool sent over the WebSocket that the page opens (?target=…), as JSON. */
void content_socket(const struct content *c, const struct content_ask *k, struct httpd_answer *a);
/* A page of ours in the recorded one's place. why: a clause without capital and full stop. */
void content_notice(struct httpd_answer *a, unsigned status, const char *title, struct slice target, const char *why);
/* What every answer says: the sandbox, and where its content may reach. */
void content_guard(const struct content *c, const struct content_ask *k, struct httpd_answer *a);

#endif
