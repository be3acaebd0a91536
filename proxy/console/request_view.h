/* request_view: the body of a held request as an approver reads it in the browser: a form as names and values, JSON indented, text as text; anything
 * else by its size and digest, with the way to get the bytes. Bytes of requesters: bounded, escaped, never interpreted further. */
#ifndef COUNTERSIGN_REQUEST_VIEW_H
#define COUNTERSIGN_REQUEST_VIEW_H

#include "proxy/console/html.h"

enum { REQUEST_SHOWN_MAX = 64 * 1024 };

/* At most REQUEST_SHOWN_MAX bytes of it; what is left out is said. */
void request_view_body(struct html *h, struct slice content_type, struct slice content_coding, struct slice body);
/* Is it a page's own token against cross-site requests ("csrfmiddlewaretoken")? Such a value is the requester's, says nothing about what is asked, and is not shown. */
bool request_view_is_token(struct slice field_name);

#endif
