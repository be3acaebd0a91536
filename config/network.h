/* network: a numeric address, or a range of them, as in "192.0.2.7", "10.0.0.0/8", "2001:db8::/32" (RFC 4632, RFC 4291 s2.3). */
#ifndef COUNTERSIGN_NETWORK_H
#define COUNTERSIGN_NETWORK_H

#include <stdbool.h>

struct sockaddr_storage;

struct network {
    unsigned char address[16];        /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;                    /* how many of the 128 count */
};

/* Strict: no host bits behind the prefix, no leading zeros, no zone. false: not of that form, and out is not set. */
bool network_parse(const char *text, struct network *out);
/* Is that peer in it? A Unix socket's peer is in none. */
bool network_holds(const struct network *n, const struct sockaddr_storage *peer);

#endif
