/* spend: what an exchange takes from the budget of its grant (spend.c). */
#ifndef COUNTERSIGN_SPEND_H
#define COUNTERSIGN_SPEND_H

#include "proxy/exchange/exchange.h"

/* What running this request takes, for `hold`; NULL: nothing is limited, or *too_many. The caller's. */
json_t *spend_wanted(struct exchange *x, bool *too_many);
/* Which customers and the like this request touches, for its recording: x->names. */
void spend_name(struct exchange *x);
/* From now on its bytes count, if the grant limits them. */
void spend_meter(struct exchange *x);
/* The room that the budget leaves; asks for more in time, and wakes the exchange. */
size_t spend_room(struct exchange *x, size_t room);
void spend_bytes(struct exchange *x, size_t n);
/* It waits for bytes, and there are none to be had: cut it off. */
bool spend_starved(struct exchange *x);

#endif
