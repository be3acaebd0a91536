/* link: a worker's connection to authz (authz/README.md). Calls go out, answers come back by number, events go to one handler. It connects by itself,
 * again and again, and says how long authz has been silent. */
#ifndef COUNTERSIGN_LINK_H
#define COUNTERSIGN_LINK_H

#include "proxy/base/status.h"
#include "proxy/net/loop.h"

#include <jansson.h>

struct link;

/* answer: the whole object, borrowed, or NULL when the connection broke or the time was up (10 s). fds: borrowed descriptors, closed after the call; dup what must stay. */
typedef void link_answer(void *arg, const json_t *answer, const int *fds, size_t fd_count);

struct link_handlers {
    void (*event)(void *arg, const json_t *event);
    void (*connected)(void *arg, const json_t *hello);   /* a new snapshot begins: forget what the last connection said */
    void (*stray)(void *arg, const json_t *answer);      /* an answer that nobody waits for any more (cancelled, or later than 10 s): it may have had an effect */
    void *arg;
};

/* socket_path is copied. NULL: no memory. */
struct link *link_new(struct loop *l, const char *socket_path, const struct link_handlers *h);
/* Ask. Takes the reference to message (an object without "n"). fds are borrowed until the return. The answer comes once, always later; 0 when authz is away or the queue (256) is
 * full: then it never comes. Else a number for link_cancel. */
int64_t link_call(struct link *k, json_t *message, const int *fds, size_t fd_count, link_answer *done, void *arg);
/* The answer is not wanted any more; done will not be called. 0 is fine. */
void link_cancel(struct link *k, int64_t n);
/* The monotonic time of the last word from authz; 0 before the first `synced`. */
int64_t link_heard_ms(const struct link *k);
/* Is there no line just now, or one on which authz has not told everything yet? A line that fell silent is not cut off. */
bool link_cut_off(const struct link *k);
/* Call often (every 100 ms): reconnects, times out. */
void link_tick(struct link *k);
void link_close(struct link *k);      /* frees itself once the loop has run */

#endif
