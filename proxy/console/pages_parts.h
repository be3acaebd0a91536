/* pages_parts: pieces that several pages are made of. */
#ifndef COUNTERSIGN_PAGES_PARTS_H
#define COUNTERSIGN_PAGES_PARTS_H

#include "proxy/console/html.h"
#include "proxy/console/pages.h"

#include <jansson.h>

/* A member's text, or "". */
const char *page_text(const json_t *o, const char *name);
/* <dt>name</dt><dd>value</dd>; nothing when the value is empty. */
void page_term(struct html *h, const char *name, const char *value);
/* The same of a time in seconds; is_end: with how much of it is left. */
void page_when(struct html *h, const char *name, const json_t *o, const char *member, bool is_end);
/* Where the console's script says that something changed; `look`: "/" for all that stands on the front page, "/items/" and an id for one. */
void page_live(struct html *h, const char *look, const char *id);
/* Attributes of what that looks at. */
void page_watch(struct html *h, const char *id, const char *state);
/* A command to type. */
void page_command(struct html *h, const char *verb, const char *id);
/* Does it wait, or can it run? */
bool page_item_open(const json_t *item);
/* Its id and state; all that is known of it. mine: the viewer asked for it. */
void page_item_head(struct html *h, const json_t *item);
void page_item_terms(struct html *h, const json_t *item, bool mine);
/* What is left of a budget (`[{name, max, left}]`) as a term; nothing when there is none. */
void page_budget(struct html *h, const json_t *budget);
/* The viewer's live grants, each with the form to ask for more time. */
void page_grants(struct html *h, const struct config *c, const json_t *grants, const struct page_asked *asked);
/* The form to ask for access. */
void page_ask_form(struct html *h, const struct config *c, const json_t *tools, const struct page_asked *asked);
/* The form to take back one's request, or one's yes, as long as that would change anything; else nothing. */
void page_take_back(struct html *h, const json_t *item, const char *viewer);
/* <label>, for the tick box of one action of a tool. */
void page_tick(struct html *h, const char *name, const char *before_value, const char *value, bool ticked);
/* ` name="escaped"`. */
void page_attribute(struct html *h, const char *name, const char *value);
/* The options of the viewer's keys that sign in a browser and count now; how many. h NULL: only count. */
size_t page_key_options(struct html *h, const json_t *keys);
/* Instead of a form to sign: there is no key for it here; `what` ("answer") is done on the command line, which the caller shows and then closes the box. */
void page_no_key(struct html *h, const char *what);
/* Of a form to sign: which key, and the end of the form, with what stands there without a script. */
void page_key_choice(struct html *h, const json_t *keys);
void page_signing_end(struct html *h, const char *what);
/* The reason that a form asks for; id: of its field, unlike any other of the page. */
void page_why(struct html *h, const char *id);

/* ---- pages_alone.c: access without a second person ---- */
/* The form that ends a session by a lock on its grant. */
void page_stop_form(struct html *h, const char *grant_id);
/* How this grant or request came about, unless somebody approved it. */
void page_basis(struct html *h, const json_t *o);
/* Uses of break-glass that concern the viewer, as long as their review is owed. */
void page_break_glass_uses(struct html *h, const json_t *uses);
/* The form to do it; nothing for who may not. */
void page_break_glass_form(struct html *h, const json_t *tools, const struct page_asked *asked);
/* One use, and the form to review it. */
void page_review(struct html *h, const struct page_item *p);
/* Why what was sent was refused, and what to do next. */
void page_refused(struct html *h, const struct page_asked *asked);

#endif
