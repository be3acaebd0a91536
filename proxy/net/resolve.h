/* resolve: the socket addresses of one place, without blocking. Numeric addresses and Unix sockets are known at once; a name is asked of the system's resolver on another thread,
 * kept for RESOLVE_TTL_MS, then asked again while the old answer is still used: a resolver that fails takes nothing away. */
#ifndef COUNTERSIGN_RESOLVE_H
#define COUNTERSIGN_RESOLVE_H

#include "config/config.h"
#include "proxy/net/loop.h"

#include <netdb.h>
#include <sys/socket.h>

enum { RESOLVE_ADDRESSES = 8, RESOLVE_TTL_MS = 30000, RESOLVE_AGAIN_MS = 1000 };

struct socket_address {
    struct sockaddr_storage sa;
    socklen_t len;
};

struct resolver {
    struct loop *loop;
    const char *host, *tool;          /* host NULL: fixed */
    uint16_t port;
    struct socket_address found[RESOLVE_ADDRESSES];
    unsigned count;
    unsigned next;                    /* the one that worked last */
    int64_t asked_ms;                 /* monotonic; 0: never */
    bool failing;                     /* said so in the log */
    struct resolve_question *question;   /* under way */
    void (*answered)(struct resolver *r);
};

/* answered: after each question, well or not. */
void resolver_init(struct resolver *r, struct loop *l, const char *tool, const struct upstream_address *a, void (*answered)(struct resolver *r));
void resolver_done(struct resolver *r);
/* Is it an address, not a name? */
bool resolve_numeric(const char *host);
enum resolved { RESOLVED, RESOLVING, UNRESOLVED };
/* RESOLVED: found and count are good. RESOLVING: answered comes. UNRESOLVED: it has just failed. */
enum resolved resolver_ask(struct resolver *r);

#endif
