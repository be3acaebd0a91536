/* serve: a recording in the browser of whoever ran the command, until it is interrupted. Two origins on loopback: the viewer (viewer.h), and one for each recorded page (content.h). */
#ifndef COUNTERSIGN_REPLAY_SERVE_H
#define COUNTERSIGN_REPLAY_SERVE_H

#include "proxy/record/archive.h"

#include <jansson.h>

struct replay_source {
    const struct archive *archive;
    json_t *session;                  /* facts: { id, person, identity, tool, host, … }, and `decisions`: the log's leaves with content */
    const char *player;               /* folder of rrweb's player: replay.js, replay.css; NULL: not here */
    json_t *exchanges;                /* an array: one object for each exchange, in archive order; members are added */
};

enum { REPLAY_ADDRESS_MAX = 96 };

/* port: of the viewer, and the next one is the pages'; 0: any two. ready: called once with the address to open, which holds the key. Returns OK after SIGINT or SIGTERM; EXISTS (the port is in use), IO_FAILED,
 * NO_MEMORY. The handlers of those two signals are put back. */
MUST_CHECK enum status replay_serve(const struct replay_source *source, uint16_t port, void (*ready)(void *to, const char *address), void *to, struct err *err);

#endif
