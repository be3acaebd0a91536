/* destination: the second address of a request, where WebDAV's COPY and MOVE go (RFC 4918 s10.3). The policy judges it as it judges the first, or a rule on a path would be got round by
 * moving things there. What is digested and recorded is the normal form of the path; the tool gets it
 * behind the scheme and host that it is itself spoken to with, since many compare them with their own. */
#ifndef COUNTERSIGN_DESTINATION_H
#define COUNTERSIGN_DESTINATION_H

#include "proxy/exchange/exchange.h"

/* Read the field Destination, if there is one, into x->destination, and write its normal form into the request. What is neither an address of this tool nor one plain word (as some tools
 * that are no WebDAV name a copy) is refused. false: it was answered. */
bool destination_take(struct exchange *x);
/* The verdict for both addresses: the stricter one. A sign-off is about one address, so where either needs one the answer is no. */
struct verdict destination_judge(const struct exchange *x, const struct policy_request *r, struct verdict first);

#endif
