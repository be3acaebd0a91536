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
/* Fields of the tool's beside a body (a 103, trailers) go out as a whole or not at all. Is there enough for n bytes of them? If not, more is asked for. Then count them. */
bool spend_covers(struct exchange *x, size_t n);
void spend_fields(struct exchange *x, size_t n);
/* As they stand in a head of HTTP/1.1. */
size_t spend_fields_len(const struct fields *f);
/* It waits for bytes, and there are none to be had: cut it off. */
bool spend_starved(struct exchange *x);

#endif
