/* outlet: one connection with TLS to another machine, for one who only writes: made by libcurl (name, resolver, TLS, verification), one thread.
 *
 * Always: the certificate and its name are verified, TLS 1.2 at least, connecting is bounded. What the peer says is read and thrown away, within bounds: a peer that talks is no receiver of a log. */
#ifndef COUNTERSIGN_OUTLET_H
#define COUNTERSIGN_OUTLET_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"
#include "proxy/courier/fetch.h"

struct outlet_order {
    const char *host_port;            /* "logs.example:6514" */
    const char *ca_file;              /* PEM; NULL: the system's authorities */
    const char *certificate, *key;    /* PEM, shown when it is asked for; NULL: none */
    int64_t connect_ms;               /* for TCP and TLS together */
};
enum outlet_state { OUTLET_CONNECTING, OUTLET_OPEN, OUTLET_BROKEN };

struct outlet;
MUST_CHECK enum status outlet_open(const struct outlet_order *order, struct outlet **out, struct err *err);
void outlet_free(struct outlet *s);   /* says goodbye if it can do so at once; NULL is fine */
/* Go on with connecting; notice an end. Call often. */
enum outlet_state outlet_step(struct outlet *s);
/* Why it is broken, in words. */
const char *outlet_why(const struct outlet *s);
/* Some of these bytes: the number that was taken, 0: not now. The next call must offer the rest, at the same place in memory. */
size_t outlet_write(struct outlet *s, struct slice bytes);
/* Has the peer's machine confirmed all that was written (TCP; whether a program there read it, nobody learns)? */
bool outlet_drained(const struct outlet *s);
/* What to wait for; at most max. */
size_t outlet_watch(const struct outlet *s, struct fetch_watched *out, size_t max);

#endif
