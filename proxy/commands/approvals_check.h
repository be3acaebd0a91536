/* approvals_check: anyone can check a yes later, offline. For each approval and denial about a session that the log holds with its content: is the statement signed by the key it names, was
 * that key registered for that person before, and was it somebody else than the requester?
 *
 * That the leaves are the ones the gateway signed is archive_verify's business; this trusts them and checks what they say. */
#ifndef COUNTERSIGN_APPROVALS_CHECK_H
#define COUNTERSIGN_APPROVALS_CHECK_H

#include "proxy/base/status.h"

#include <jansson.h>

/* Adds one finding { kind: "bad-approval", seq, text } to findings for each that does not hold. checked_out: how many were looked at. NO_MEMORY. */
MUST_CHECK enum status approvals_check(const json_t *leaves, const char *instance, json_t *findings, unsigned *checked_out, struct err *err);

#endif
