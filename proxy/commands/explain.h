/* explain: what the policy of a config says to one request, read as the gateway would read it. It asks no gateway, and says nothing of grants that exist. */
#ifndef COUNTERSIGN_EXPLAIN_H
#define COUNTERSIGN_EXPLAIN_H

#include "config/config.h"
#include "proxy/base/status.h"

#include <jansson.h>

struct question {
    const char *identity, *method;
    const char *url;                  /* https://HOST[:PORT][/PATH[?QUERY]]; without a port: the one people use */
    const char *body;                 /* NAME=VALUE joined by '&', percent-encoded; "": a body that nobody has seen yet */
};

/* {"identity", "person" or null, "tool", "target", "action" or null, "requirement": "grant", "signoff" or "deny", "may_ask", "durable", "wants_body", "why", "approvers",
 * "signoff_by", "record", and what explain_alone says}; the caller's.
 * Returns OK; BAD_INPUT: the URL or the body is none; REFUSED: the gateway refuses this whatever the policy says, and err says why; NO_MEMORY. */
MUST_CHECK enum status explain_request(const struct config *c, const struct question *q, json_t **out, struct err *err);

#endif
