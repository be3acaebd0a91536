/* teller: tells the log anew as audit events (authz/events.h) to the places that setting `audit` names.
 *
 * A place has a position in the log: leaves up to there were told. What can't be told now (a full disk, a pipe that nobody reads, a syslog that is away) is told later, in order, from the
 * log, which has it all; so a decision never waits for a place, and nothing is lost. Positions are kept in STATE/audit.position, a minute late while it runs, since what a file
 * took last is not on the disk yet: after a crash of the machine some lines come twice (metadata.uid is the same), none is missing. Events that are no leaves (start, stop, reloads, refusals) wait
 * in a queue of bounded length that outlives an orderly restart (STATE/audit.waiting); what does not fit is counted, and told as events.lost.
 *
 * A webhook and syslog over TLS are spoken to by the courier, which takes batches (authz/approvals/batch.h) and says how it went; their positions move on when a batch was confirmed. */
#ifndef COUNTERSIGN_TELLER_H
#define COUNTERSIGN_TELLER_H

#include "proxy/base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct service;
struct teller;

/* The places of this config; one that cannot be opened is an error (BAD_CONFIG, IO_FAILED). Before the first transaction. *out is NULL when there are none. */
MUST_CHECK enum status teller_open(struct service *s, struct teller **out, struct err *err);
/* The same places for a new config: those that stay go on where they are. On failure the old ones stay. */
MUST_CHECK enum status teller_reload(struct service *s, struct err *err);
void teller_close(struct service *s);
/* Committed just now: [{seq, type, time_ms, content}]; taken. */
void teller_fresh(struct service *s, json_t *leaves);
/* Catch up, a few hundred leaves at a time. */
void teller_tick(struct service *s);
/* An event that is no leaf; takes content. */
void teller_note(struct service *s, const char *name, json_t *content);
/* The same for refusals, of which there may be many: past 50 a second they are told together. */
void teller_refused(struct service *s, json_t *content);
/* Has a place been behind for 5 s, and does the config say that nothing is decided then? */
bool teller_stops(const struct service *s);
/* Leaves up to here were told at every place; UINT64_MAX: there is none. */
uint64_t teller_told(const struct service *s);
/* The courier went away: what it had taken for a webhook or for syslog over TLS is to be sent again. */
void teller_gone(struct service *s);
/* For the tick: leaves and events that wait at the place that is furthest behind; events that were lost. */
struct teller_counts {
    uint64_t waiting, lost;
};
struct teller_counts teller_count(const struct service *s);

#endif
