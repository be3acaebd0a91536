/* order: what one person settles alone by signing it: lifting a lock, a review, naming a delegate. The gateway writes the statement; this machine looks at it, and
 * signs it with the certificate's key only if it says what was asked for. */
#ifndef COUNTERSIGN_ORDER_H
#define COUNTERSIGN_ORDER_H

#include "authz/statement.h"
#include "proxy/commands/client.h"

struct order {
    const char *purpose;              /* "unlock", "review", "delegate" */
    const char *path;                 /* that answers with the statement */
    json_t *body;                     /* what is sent there; the member `key` is added. Owned by the caller */
    const char *concerns;             /* the statement's requester, as it must be; NULL: whoever */
    const json_t *scope;              /* members that the statement's scope must have, with these values */
};
/* Ask for the statement, compare, sign, hand in. *answer_out is the caller's. REFUSED: it is not what was asked for, and nothing was signed. */
MUST_CHECK enum status order_give(struct client *c, const char *key_path, const struct order *order, json_t **answer_out, struct err *err);

#endif
