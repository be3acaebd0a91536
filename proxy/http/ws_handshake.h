/* ws_handshake: the handshake's rules (RFC 6455 s4, RFC 8441): what asks for a WebSocket, and what of a tool's 101 is believed. */
#ifndef COUNTERSIGN_WS_HANDSHAKE_H
#define COUNTERSIGN_WS_HANDSHAKE_H

#include "proxy/http/message.h"

enum { WS_KEY_LEN = 24, WS_ACCEPT_LEN = 28 };

/* A WebSocket that was asked for. */
struct ws_ask {
    char key[WS_KEY_LEN + 1];         /* for the tool: the client's own, or (HTTP/2 has none) a new one */
    struct slice extensions;          /* the offers of permessage-deflate among the client's; all others are left out, as only this one is understood */
};

enum ws_asked {
    WS_NOT_ASKED,                     /* any other upgrade too: it is forwarded without */
    WS_ASKED,
    WS_ASKED_BADLY,                   /* refuse: why says how */
};
/* HTTP/1.1: a GET with exactly `Upgrade: websocket`, Connection naming upgrade, Sec-WebSocket-Version 13 and one good Sec-WebSocket-Key. HTTP/2: an
 * extended CONNECT (m->connect), version 13 or none named. */
enum ws_asked websocket_asked(const struct message *m, struct arena *arena, struct ws_ask *out, struct refusal *why);

/* base64(SHA-1(key + GUID)) with a NUL. */
void websocket_accept(const char *key, char out[WS_ACCEPT_LEN + 1]);
/* May this 101 be passed on? NULL and *deflate_out; else a literal reason for a 502. */
const char *websocket_answer_fault(const struct message *m, const struct ws_ask *ask, bool *deflate_out);

#endif
