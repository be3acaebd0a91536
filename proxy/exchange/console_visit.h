/* console_visit: what the files of the console's stage share: a visit is one exchange with the console's host, a message or more to authz. */
#ifndef COUNTERSIGN_CONSOLE_VISIT_H
#define COUNTERSIGN_CONSOLE_VISIT_H

#include "proxy/console/api.h"
#include "proxy/console/pages.h"
#include "proxy/exchange/exchange.h"

/* What a console exchange remembers between its messages; in its arena. */
struct visit {
    void (*then)(struct exchange *x, struct visit *v, const json_t *answer, int fd);
    void (*if_refused)(struct exchange *x, struct visit *v, const json_t *problem);   /* NULL: the refusal is the answer. Set anew for each message */
    struct api_call call;
    char id[64];
    const char *to;
    json_t *status, *other;           /* answers kept for later; freed by console_done */
    struct page_asked asked;          /* `only` is freed by console_done */
    const char *window;               /* minutes within which the first use must come, as typed */
    unsigned page_status;             /* of the page that shows a refusal; 0: 200 */
};

/* One page or form. */
struct page {
    const char *method, *before, *after;     /* path = before + id + after; before without id when it ends without '*' */
    void (*show)(struct exchange *x);
    bool has_form;
};
/* Of console_work.c, ended by a row without a method. */
extern const struct page console_work_pages[];

/* Send a message (taken) with `who`; `then` gets the answer. */
void visit_ask(struct exchange *x, json_t *message, void (*then)(struct exchange *, struct visit *, const json_t *, int));
/* A field of the form, copied; or "". */
const char *visit_form_value(struct exchange *x, const char *name);
/* A part of the query, copied; or "". */
const char *visit_query_value(struct exchange *x, const char *name);
/* A page of the console for who looks, with nothing in it yet. */
struct html visit_page(const struct exchange *x);
/* Send the page and free it. */
void visit_send_page(struct exchange *x, struct html *h, unsigned status);

#endif
