/* csp: does a response's Content-Security-Policy let the recorder in as it is? The policy is never changed: not widened for the recorder, and nothing is said in its place.
 *
 * The recorder needs two things of every policy that is enforced (CSP3): that its script may run, a script of the page's own origin that stands in the document, and that it may send
 * events to that origin. A nonce of the policy is taken along where that is what lets a script run. What this file does not know lets nothing in. */
#ifndef COUNTERSIGN_DOM_CSP_H
#define COUNTERSIGN_DOM_CSP_H

#include "proxy/http/message.h"

struct csp_place {
    struct slice host;                /* of the tool, lower case, without port */
    unsigned port;
    struct slice script, events;      /* paths on that host */
};

struct csp_pass {
    struct slice nonce;               /* to stand on the script's tag; empty: none is needed. Borrowed from the fields; [A-Za-z0-9+/_=-] only */
    bool reported;                    /* a policy that is only reported would not let it in: the browser will report that, and run it */
};

/* NULL: it may, and *out says how; else why not, a literal. */
const char *csp_refuses(const struct fields *response, const struct csp_place *place, struct csp_pass *out);

#endif
