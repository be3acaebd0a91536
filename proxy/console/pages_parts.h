/* pages_parts: pieces that several pages are made of. */
#ifndef COUNTERSIGN_PAGES_PARTS_H
#define COUNTERSIGN_PAGES_PARTS_H

#include "proxy/console/html.h"

#include <jansson.h>

/* A member's text, or "". */
const char *page_text(const json_t *o, const char *name);
/* <dt>name</dt><dd>value</dd>; nothing when the value is empty. */
void page_term(struct html *h, const char *name, const char *value);
/* The same of a time in seconds; is_end: with how much of it is left. */
void page_when(struct html *h, const char *name, const json_t *o, const char *member, bool is_end);
/* A command to type. */
void page_command(struct html *h, const char *verb, const char *id);
/* Does it wait, or can it run? */
bool page_item_open(const json_t *item);
/* Its id and state; all that is known of it. mine: the viewer asked for it. */
void page_item_head(struct html *h, const json_t *item);
void page_item_terms(struct html *h, const json_t *item, bool mine);

#endif
