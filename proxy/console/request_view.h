/* request_view: the body of a held request as an approver reads it in the browser: a form as names and values, JSON indented, text as text; anything
 * else by its size and digest, with the way to get the bytes. Bytes of requesters: bounded, escaped, never interpreted further. */
#ifndef COUNTERSIGN_REQUEST_VIEW_H
#define COUNTERSIGN_REQUEST_VIEW_H

#include "proxy/console/html.h"

#include <jansson.h>

enum { REQUEST_SHOWN_MAX = 64 * 1024 };

/* At most REQUEST_SHOWN_MAX bytes of it; what is left out is said. */
void request_view_body(struct html *h, struct slice content_type, struct slice content_coding, struct slice body);
/* Is it a page's own token against cross-site requests ("csrfmiddlewaretoken"), and does it look like one? Such a value is the requester's, says nothing about what is asked, and is not shown.
 * Anything longer, or with other characters than tokens have, is: nothing can hide under that name. Both as they stand in the form. */
bool request_view_is_token(struct slice field_name, struct slice value);
/* Did a field of this name (as it stands in the form) come before? seen: an object, empty at first. Tools differ in which of two counts. */
bool request_view_again(json_t *seen, struct slice field_name);
/* Does the type name a character set in which these bytes may read otherwise than here ("utf-7")? out: its name. */
bool request_view_other_charset(struct slice content_type, struct slice *out);
#define REQUEST_VIEW_AGAIN "this name came before: tools differ in which one counts"

#endif
