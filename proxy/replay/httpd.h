/* httpd: a small HTTP/1.1 server for one person on this machine: replay's two origins. One thread, loopback only, every size and time bounded. Requests are read by proxy/http's
 * strict parser; what it refuses is answered and closed. Not for any network: no TLS. */
#ifndef COUNTERSIGN_REPLAY_HTTPD_H
#define COUNTERSIGN_REPLAY_HTTPD_H

#include "proxy/http/message.h"

#include <signal.h>

enum { HTTPD_BODY_MAX = 1 << 20 };    /* of a request; larger: 413 */

struct httpd_request {
    const struct message *m;          /* its target is in normal form; host in m->authority */
    struct slice body;
};
struct httpd_answer {
    struct arena *arena;              /* the request's: for fields, and for small bodies */
    unsigned status;
    struct fields fields;
    struct slice body;                /* must live until it is sent: of the arena, `owned`, or older than the request */
    unsigned char *owned;             /* freed when it is sent; NULL: none */
    int64_t delay_ms;                 /* wait so long before answering */
    bool never;                       /* do not answer at all: the connection stays until the browser leaves */
};
/* Add a field; no room is a failure that httpd answers with 500. */
void httpd_field(struct httpd_answer *a, const char *name, struct slice value);
/* status, and a line of text as the body. */
void httpd_text(struct httpd_answer *a, unsigned status, const char *literal);

typedef void httpd_handler(void *to, const struct httpd_request *q, struct httpd_answer *a);

struct httpd;
MUST_CHECK enum status httpd_new(struct httpd **out);
void httpd_free(struct httpd *h);
/* Listen on 127.0.0.1 and, with v6 and where this machine has it, on ::1 at the same port: browsers may try either for names under .localhost, and on a port that is half ours somebody else
 * could listen. *port: 0 is any free one, and then the one taken. EXISTS: in use; IO_FAILED. */
MUST_CHECK enum status httpd_listen(struct httpd *h, uint16_t *port, bool v6, httpd_handler *handler, void *to, struct err *err);
/* Serve until *stop is set by a signal handler; `mask`: the signal mask while waiting (pselect's way). IO_FAILED. */
MUST_CHECK enum status httpd_run(struct httpd *h, const volatile sig_atomic_t *stop, const sigset_t *mask, struct err *err);
/* One turn of it, waiting at most timeout_ms: for tests. */
MUST_CHECK enum status httpd_turn(struct httpd *h, int timeout_ms, const sigset_t *mask, struct err *err);

#endif
