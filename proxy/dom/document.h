/* document: into which responses the recorder's script goes, and what changes of them.
 *
 * Only into whole HTML documents that a browser navigates to, in a page or a frame. Where that can't be done safely nothing is changed, and the reason is kept. */
#ifndef COUNTERSIGN_DOM_DOCUMENT_H
#define COUNTERSIGN_DOM_DOCUMENT_H

#include "proxy/dom/csp.h"
#include "proxy/http/message.h"

/* Paths of the gateway's own on a tool's host. */
#define DOM_PATH "/.countersign/recorder/"
#define DOM_EVENTS DOM_PATH "events"

/* Is this a navigation whose answer may get the script? Then the tool is asked for it whole and without content coding (forward_request.whole). */
bool document_asked(const struct message *request);

enum document_coding { DOCUMENT_PLAIN, DOCUMENT_GZIP };

enum document_verdict {
    DOCUMENT_OTHER,                   /* no HTML that a browser shows: nothing to record, nothing to say */
    DOCUMENT_REFUSED,                 /* HTML, but it can't be done: *why */
    DOCUMENT_GOES,
};

/* response: as the tool sent it. why: a literal. */
enum document_verdict document_judge(const struct message *response, const struct csp_place *place, enum document_coding *coding, struct csp_pass *pass, const char **why);

/* The tag; in the arena, ptr NULL: no memory. page: the number of the exchange. */
struct slice document_tag(const struct csp_place *place, const struct csp_pass *pass, uint64_t page, struct arena *arena);

/* The fields of a response that gets the script: without what says how many bytes, or exactly which, its content has. In the arena. */
MUST_CHECK enum status document_fields(const struct fields *in, enum document_coding coding, struct arena *arena, struct fields *out);
/* The same question of a trailer. */
bool document_drops(struct slice name, enum document_coding coding);

#endif
