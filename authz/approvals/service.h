/* service: what authz knows and does, without the loop: messages in, answers and events out.
 *
 * One message is one transaction: rows, log leaves and the signed head are committed together, and only then is the answer given and are events
 * passed on. Every answer is made from verified leaves, tokens and the config; rows are the index. */
#ifndef COUNTERSIGN_SERVICE_H
#define COUNTERSIGN_SERVICE_H

#include "authz/approvals/log.h"
#include "authz/approvals/problem.h"
#include "authz/approvals/seal.h"
#include "authz/approvals/store.h"

#include "authz/grant.h"
#include "certs/approval_keys.h"
#include "config/config.h"

struct service;

enum role { ROLE_NONE = 0, ROLE_WORKER = 1, ROLE_RECORDER = 2, ROLE_COURIER = 3 };
/* Who is at the other end of a connection. id: never used again in this process. */
struct peer {
    uint64_t id;
    enum role role;
};

/* Open the state folder of this config: lock it, verify the log, compare the rows, bring both up to date with the config. The config's
 * reference is shared, not taken. REFUSED: another authz runs. CORRUPT: something was altered. */
MUST_CHECK enum status service_open(struct config *c, struct service **out, struct err *err);
/* accept: a wider policy in the file counts at once, without operators; for the command at the machine only, which logs it as that. */
MUST_CHECK enum status service_open_accepting(struct config *c, bool accept, struct service **out, struct err *err);
void service_close(struct service *s);           /* NULL is fine */

struct answer {
    json_t *message;                  /* the answer */
    json_t *after;                    /* NULL, or an array of events for this peer alone, behind the answer */
    int fd;                           /* -1, or a descriptor to send with it */
};
enum answered {
    ANSWERED,
    PEER_BROKEN,                      /* end the peer's connection; err says why */
    SERVICE_BROKEN,                   /* end the process: memory and disk may differ; err says why */
};
/* message and fds stay the caller's. */
enum answered service_answer(struct service *s, struct peer *peer, const json_t *message, const int *fds, size_t fd_count,
                             struct answer *out, struct err *err);
void answer_done(struct answer *a);
/* Is this a message that goes before others? (locks) */
bool service_urgent(const json_t *message);

/* The courier's lane (proxy/base/lane.h), or -1; the caller's. Without one no issuer's keys are fetched. */
void service_lane(struct service *s, int fd);
/* A peer's connection ended: what it ran without saying how it ended is `outcome-unknown` from now on. */
MUST_CHECK enum status service_gone(struct service *s, const struct peer *peer, struct err *err);
/* Expire what is due. */
MUST_CHECK enum status service_tick(struct service *s, struct err *err);
/* Take a new config (shared) and read the approval keys again. On failure the old ones stay. */
MUST_CHECK enum status service_reload(struct service *s, struct config *c, struct err *err);
/* The same config, the registered approval keys read again. */
MUST_CHECK enum status service_renew_keys(struct service *s, struct err *err);
/* Events for all workers since the last call, or NULL; the caller's. Call it after each of the above. */
json_t *service_events(struct service *s);
const struct config *service_config(const struct service *s);

#endif
