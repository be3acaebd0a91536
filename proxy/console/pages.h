/* pages: what the console shows people, made from authz's answers. Pure: JSON in, HTML out. Everything works with links and forms, but for signing: for that
 * the pages of items and keys load the console's one script. */
#ifndef COUNTERSIGN_PAGES_H
#define COUNTERSIGN_PAGES_H

#include "config/config.h"
#include "proxy/console/html.h"

#include <jansson.h>

/* What stands in the form to ask. Each may be NULL. */
struct page_asked {
    const char *tool, *reason, *minutes;
    const char *extends;              /* the grant that it is to extend; NULL or "": none */
    const char *basis;                /* "break-glass", or NULL or "": somebody is to approve it */
    json_t *only;                     /* "TOOL:ACTION" of each that was ticked; NULL or empty: all actions */
    const char *refused, *next;       /* it was sent, and this is why it was refused, and what to do */
    bool done;                        /* it was sent, and taken */
};
/* The front page: who you are, your tools, the form to ask, requests, grants, held requests, what waits for your yes. `status` and `pending` are authz's answers. */
void page_home(struct html *h, const struct config *c, const json_t *status, const json_t *pending, const struct page_asked *asked);
/* "This session is recorded", with a button. to: the target on the tool's host to go on to. */
void page_notice(struct html *h, const struct config *c, const char *grant_id, const char *tool, const char *to);
/* A held request: what it is, its state, and what the viewer (a person's name) can do: the button to run it is the requester's only. */
void page_held(struct html *h, const json_t *item, const char *viewer);

/* ---- pages_work.c, pages_locks.c: where approvers and operators work ---- */

/* One request in full, and the form to answer it. */
struct page_item {
    const struct config *config;
    const json_t *item, *keys;        /* keys: the viewer's, as authz lists them */
    const char *viewer;
    bool has_body;                    /* its bytes, as they would be sent */
    struct slice content_type, content_coding, body;
    const char *done;                 /* "approve" or "deny": just answered; NULL: not */
};
void page_item(struct html *h, const struct page_item *p);
/* One's own keys, and the form to make one. made: one has just been made. */
void page_keys(struct html *h, const json_t *keys, bool made);
/* Live grants with a button that ends each, for operators; without for auditors. */
void page_sessions(struct html *h, const json_t *live, bool may_stop);
/* Locks, with the forms to make one and, by signing, to lift one. */
struct page_lock_list {
    const json_t *locks, *keys;       /* keys: the viewer's */
    bool may_lift;                    /* an operator's page; auditors only look */
    bool lifted;                      /* one was just lifted */
};
void page_locks(struct html *h, const struct page_lock_list *p);
/* Who answers in whose place, and the form to name somebody. named: just done. */
void page_delegates(struct html *h, const struct config *c, const json_t *list, const json_t *keys, bool named);

#endif
