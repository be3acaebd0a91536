/* pages: what the console shows people, made from authz's answers. Pure: JSON in, HTML out. No script: everything works with links and forms. */
#ifndef COUNTERSIGN_PAGES_H
#define COUNTERSIGN_PAGES_H

#include "config/config.h"
#include "proxy/console/html.h"

#include <jansson.h>

/* The front page: who you are, your tools, the form to ask, requests, grants, held requests, what waits for your yes. `status` and `pending` are authz's answers; chosen:
 * the tool to preselect, or NULL; message: said at the top, or NULL. */
void page_home(struct html *h, const struct config *c, const json_t *status, const json_t *pending, const char *chosen, const char *message);
/* "This session is recorded", with a button. to: the target on the tool's host to go on to. */
void page_notice(struct html *h, const struct config *c, const char *grant_id, const char *tool, const char *to);
/* A held request: what it is, its state, and what the viewer (a person's name) can do: the button to run it is the requester's only. */
void page_held(struct html *h, const json_t *item, const char *viewer);

#endif
