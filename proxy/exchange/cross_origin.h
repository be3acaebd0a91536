/* cross_origin: what a page of another origin may do to a tool, and see of it (design.md section 6; Fetch, "CORS protocol").
 *
 * A client certificate is ambient, like a cookie: without a guard any page in the person's browser could act in the tool with it. Unsafe methods and
 * subresources must come from the tool's own origin, unless the policy names the other one: `cross_origin` of the tool, for all it allows, or of an action, for
 * that action only. Nothing here counts against a person: whoever lures somebody to a hostile page must not be able to use up that person's access. */
#ifndef COUNTERSIGN_EXCHANGE_CROSS_ORIGIN_H
#define COUNTERSIGN_EXCHANGE_CROSS_ORIGIN_H

#include "proxy/exchange/exchange.h"

/* Does the request come from a page that may not make it? Looks at the head only; sets x->reader, the origin that may read the answer, and
 * x->reader_needs_action when only an action names it: then cross_origin_refuses_action has the last word. */
bool cross_origin_refuses(struct exchange *x);
/* Once the verdict stands. */
bool cross_origin_refuses_action(struct exchange *x);
/* Answers 403 `cross-origin`. */
void cross_origin_refuse(struct exchange *x);

/* Does a browser ask whether a page may send a request (Fetch, "CORS-preflight request")? It comes without a certificate, so it is answered before anybody is
 * identified, from the policy; nothing of it is forwarded, and it says nothing but that this origin may ask. */
bool cross_origin_is_preflight(const struct message *m);
/* x->tool is set and the target has its normal form. */
void cross_origin_preflight(struct exchange *x);

/* What x->reader may read by; and Vary wherever another origin's answer would differ. */
void cross_origin_fields(struct exchange *x, struct fields *out);

#endif
