/* asked_statement: before a key signs what the gateway wrote, does it say exactly what this person was shown and wants to answer?
 *
 * Pure: no clock, no I/O. A statement with a member too many, another request, another approver, or one this command computed otherwise is never signed. */
#ifndef COUNTERSIGN_ASKED_STATEMENT_H
#define COUNTERSIGN_ASKED_STATEMENT_H

#include "authz/statement.h"
#include "proxy/commands/held_request.h"

struct asked {
    const char *instance;             /* of this gateway, or as pinned in the profile */
    const char *decision;             /* "approve" or "deny" */
    const char *person;               /* who we are to the gateway */
    const char *key;                  /* fingerprint of the key that will sign */
    const json_t *item;               /* what was shown */
    const struct held_request *held;  /* of a sign-off, as computed here; NULL for access */
    int64_t now_s;
    int64_t duration_s;               /* a shorter yes to a request for access; 0: as asked */
    const char *answer;               /* why not, of a no; NULL: nothing is said */
    const char *on_behalf_of;         /* whose place we asked to answer in; NULL: the item's `acting_for`, if it has one */
    const char *only;                 /* names joined by commas: a yes for these actions only; NULL: as asked */
};

/* OK; or REFUSED (it differs; the text says in what), BAD_INPUT (no statement), EXPIRED. */
MUST_CHECK enum status asked_statement_check(const struct asked *asked, const json_t *statement, struct err *err);

#endif
