/* recorded: the exchanges of a recording as a browser needs them: which are pages, what belongs to which page, and which exchange answers a request that a
 * replayed page makes. It decides nothing about safety: content.h does.
 *
 * A **page** is an exchange that a browser showed in a tab (Sec-Fetch-Dest: document, or HTML where the client sent no such field). What came after it belongs to it: by Referer, else by
 * time. Indexes are those of archive_at(). */
#ifndef COUNTERSIGN_RECORDED_H
#define COUNTERSIGN_RECORDED_H

#include "proxy/record/archive.h"

#define RECORDED_NONE ((size_t)-1)

enum recorded_kind {
    RECORDED_PART,                    /* a script, a picture, an answer to a script … */
    RECORDED_PAGE,
    RECORDED_FRAME,                   /* a document inside a page */
    RECORDED_REDIRECT,
    RECORDED_DOWNLOAD,                /* what a browser saved and did not show */
    RECORDED_SOCKET,                  /* a WebSocket */
    RECORDED_STREAM,                  /* server-sent events */
    RECORDED_CLAIM,                   /* what a browser told of a page (player.h): no part of any, and no answer to anything */
};
/* "page", "part" … */
const char *recorded_kind_name(enum recorded_kind kind);

struct recorded_exchange {
    const struct archive_exchange *x;
    struct slice method, target, path, query;
    struct slice type;                /* the response's media type without parameters */
    uint64_t path_hash;
    enum recorded_kind kind;
    size_t page;                      /* index of the page that it belongs to (a page: its own), or RECORDED_NONE */
    size_t served_to;                 /* the page that it was last given to */
};

struct recorded {
    const struct archive *archive;
    struct recorded_exchange *v;
    size_t count;
};

/* a must outlive it. NO_MEMORY. */
MUST_CHECK enum status recorded_init(struct recorded *r, const struct archive *a);
void recorded_done(struct recorded *r);
/* The same for exchanges that come from elsewhere: each v[i].x is set. */
MUST_CHECK enum status recorded_read(struct recorded *r);

/* Of a path: to pass over other ones quickly; equality is tested afterwards. */
uint64_t recorded_hash(struct slice path);
/* A field's value in a recorded head, trimmed; ptr NULL when absent. name in any case. */
struct slice recorded_field(struct slice head, struct slice name);

/* What a page asks for. */
struct recorded_ask {
    size_t page;                      /* the page's index */
    struct slice method, target, body, range;   /* target in normal form; range: the field's value, or empty */
};
struct recorded_answer {
    size_t index;                     /* RECORDED_NONE: not in the recording */
    bool near;                        /* its query differs in a value that changes each time */
    bool hold;                        /* all that was recorded of such questions was given already: nothing more came */
    bool again;                       /* the last answer of several, given once more */
    bool poll;                        /* one of several answers to such questions: it came when something had happened, and not at once */
    const char *why_not;              /* for people, when there is none */
};
/* What answers a request of a page's own. The same question asked again gets the next answer that the page got then; after the last, the last (or `hold`, for polls). */
struct recorded_answer recorded_find(struct recorded *r, const struct recorded_ask *ask);
/* Where a link leads: the first page or redirect of that target after the page, else the last before; RECORDED_NONE. Only GET. */
size_t recorded_find_page(const struct recorded *r, size_t from_page, struct slice target);
/* The exchange whose body is what the person saw at i: i itself, or, for 304, the latest earlier one whose body the browser had; RECORDED_NONE. */
size_t recorded_body_of(const struct recorded *r, size_t i);
/* Forget what was given to the page: it is loaded anew. */
void recorded_restart(struct recorded *r, size_t page);

#endif
