/* hold_wait: a held request whose client would rather wait than come back (`Prefer: wait=N`, RFC 7240). It waits where it is, as the setting limits.signoff_wait allows, and is then either run in the
 * same exchange, as if the same bytes had been sent again, or answered as it would have been at once.
 *
 * What ends the waiting: the answer of the last approver, a no, an expiry, a lock or the end of the grant (then by reset, as for all that is live), the time, a drain, and the client's
 * leaving. Only authz says yes, once: of several that wait for one sign-off a single one runs. */
#ifndef COUNTERSIGN_HOLD_WAIT_H
#define COUNTERSIGN_HOLD_WAIT_H

#include "proxy/exchange/exchange.h"

struct hold_wait;

/* It is held as this item, which is pending: may it wait, and does it want to? True: it does from now on. */
bool hold_wait_begin(struct exchange *x, const char *item);
/* Is it waiting, or asking because it did? The item that it is for, else NULL. */
const char *hold_wait_item(const struct exchange *x);
/* It waits no more, whatever comes: it was answered, is run, or its exchange is freed. */
void hold_wait_end(struct exchange *x);
/* Say `Preference-Applied` in the response head if it waited. */
void hold_wait_applied(struct exchange *x);

/* For the worker: an item has another state; authz is back; a tick. */
void hold_wait_event(struct worker *w, const char *item, const char *state);
void hold_wait_again(struct worker *w);
void hold_wait_tick(struct worker *w);

/* ---- hold.c ---- */
/* Ask authz for it again. */
void hold_ask(struct exchange *x);
/* The time is up: as if it had not waited. */
void hold_reply(struct exchange *x, const char *item);

#endif
