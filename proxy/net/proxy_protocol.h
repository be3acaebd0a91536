/* proxy_protocol: the header with which a load balancer says who connects (PROXY protocol version 2, the binary form only; HAProxy's proxy-protocol.txt).
 *
 *   header  = signature version-command family length(16) address *tlv
 *   command = LOCAL (the balancer itself, e.g. a health check: the addresses mean nothing) / PROXY
 *   family  = TCP over IPv4 / TCP over IPv6        ; for PROXY: anything else cannot have come to a TCP port
 *   tlv     = type(8) length(16) value             ; a CRC32C, when there is one, must be right
 *
 * Strict: an unknown version, command or family, a short or overlong length, or a broken TLV ends the connection. */
#ifndef COUNTERSIGN_PROXY_PROTOCOL_H
#define COUNTERSIGN_PROXY_PROTOCOL_H

#include "proxy/base/slice.h"

#include <sys/socket.h>

enum { PROXY_V2_FIXED = 16, PROXY_V2_MAX = 16 + 2048 };

/* From the first PROXY_V2_FIXED bytes: how long the whole header is. 0: it is none. */
size_t proxy_v2_length(struct slice fixed);
/* The whole header, of exactly the length above. false: it does not hold together. *local: a LOCAL command, *source is not set. */
bool proxy_v2_parse(struct slice header, bool *local, struct sockaddr_storage *source);

#endif
