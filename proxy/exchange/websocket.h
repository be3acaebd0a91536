/* websocket: an exchange that becomes a WebSocket: frames both ways, each checked, recorded, and then passed on as it came. */
#ifndef COUNTERSIGN_EXCHANGE_WEBSOCKET_H
#define COUNTERSIGN_EXCHANGE_WEBSOCKET_H

#include "proxy/exchange/exchange.h"

/* Does this request ask for one? Sets x->ws if so and it may be judged; false: it was refused, a reply is on its way. */
bool websocket_ask(struct exchange *x);
/* The policy wants a sign-off, which is for one exact request and never for what is not yet said. */
void websocket_refuse_signoff(struct exchange *x);
/* What the handshake adds to the request; NULL: nothing. */
const struct ws_ask *websocket_handshake(const struct exchange *x);

/* ---- the tool's answer ---- */
/* It may be a head of ours from now on: 101 opens the WebSocket. */
void websocket_opened(struct exchange *x, const struct message *m);
/* It is another answer. false: one that an HTTP/2 client would take for an open WebSocket; a reply is on its way. */
bool websocket_declined(struct exchange *x, const struct message *m);
size_t websocket_tool_room(const struct exchange *x);
void websocket_from_tool(struct exchange *x, struct slice data);
void websocket_tool_ended(struct exchange *x);

/* ---- while it is open (X_TUNNEL) ---- */
/* Pass on what can be: bytes came, or there is room again. */
void websocket_pump(struct exchange *x);
/* The client has said all. */
void websocket_client_ended(struct exchange *x);
/* End it in good order: the tool is hung up on, the client gets what was recorded for it, and a Close frame with this code if one may stand there. why: a word. */
void websocket_end(struct exchange *x, unsigned code, const char *why);
/* The connection is about to be reset. If nothing of any tool's waits anywhere on it to be delivered, each of its WebSockets gets a Close frame with this code first, at once
 * or not at all. */
void websocket_farewell(struct conn *c, unsigned code);
/* The exchange goes. friendly: the tool still gets what was sent to it. */
void websocket_done(struct exchange *x, bool friendly);
/* Did both sides say goodbye? */
bool websocket_closed(const struct exchange *x);

#endif
