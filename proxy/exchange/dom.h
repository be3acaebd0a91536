/* dom: DOM recording (proxy/dom/README.md) of a tool that has it: the recorder's script goes into HTML on its way to the browser, after everything that decides and before the
 * recording, and what the script sends back is put on the tape as what it is, the browser's claim. It never reaches the tool, and its failing never fails a page. */
#ifndef COUNTERSIGN_EXCHANGE_DOM_H
#define COUNTERSIGN_EXCHANGE_DOM_H

#include "proxy/exchange/exchange.h"

/* Should the tool answer in full and without content coding? */
bool dom_wants_whole(const struct exchange *x);
/* x->response is the tool's: does the script go into it? Then x->dom is set, and body and end come here. */
void dom_begin(struct exchange *x);
size_t dom_room(struct exchange *x);
void dom_body(struct exchange *x, struct slice data);
void dom_end(struct exchange *x);
void dom_pump(struct exchange *x);
/* Is what the recording must say of it on the tape? False: not yet; woken when there is room. */
bool dom_said(struct exchange *x);
/* A trailer that is no longer true. */
bool dom_drops(const struct exchange *x, struct slice name);
void dom_done(struct exchange *x);

/* The gateway's own paths on a tool's host: the script, and where its events go to. False: not one of them. */
bool dom_serves(struct exchange *x);

#endif
