/* external: tokens of other issuers (authz/external.h), presented in Countersign-Grant. A worker that has not seen one asks authz, once for all its exchanges; what is admitted is a
 * grant like any other, and its token is compared by digest from then on. What is refused is remembered for a while, and nobody may have too many of them verified. */
#ifndef COUNTERSIGN_EXTERNAL_EXCHANGE_H
#define COUNTERSIGN_EXTERNAL_EXCHANGE_H

#include "proxy/exchange/exchange.h"

enum { EXTERNAL_REFUSED_MS = 10000, EXTERNAL_ASKS = 20, EXTERNAL_ASKS_MS = 10000 };

struct external_asks;                 /* of one worker; made when the first token comes */

/* This token, which is not that of the live grant, claims to be of an issuer of the config. The exchange waits for authz's word (X_ASK, then stage_authorize again), or is
 * answered. */
void external_step(struct exchange *x, struct slice token);
/* It was woken while it waited so. */
void external_wake(struct exchange *x);
/* New rules: what was refused may be so no more. */
void external_forget(struct worker *w);
void external_free_asks(struct external_asks *asks);

#endif
