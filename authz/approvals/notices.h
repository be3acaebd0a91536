/* notices: what people are told (config/notice_events.h), and what is brought before others because it waits too long.
 *
 * A notice is a row that names a leaf of the log and a receiver of the config; it is written in the transaction that writes the leaf, so that none is lost, and nothing waits for it. The
 * process `courier` takes what is due (`notices.take`), sends it, and says how that went (`notices.done`): at least once, with the same id each time. What is said is made from the
 * leaf, proved, when it is taken: an edited row can repeat or silence a notice, but not make one up. */
#ifndef COUNTERSIGN_NOTICES_H
#define COUNTERSIGN_NOTICES_H

#include "authz/approvals/internal.h"
#include "config/notice_events.h"

enum {
    NOTICES_WAITING_MAX = 1000,       /* of one receiver; and as many weighty ones more */
    NOTICES_PER_PERSON = 60,          /* events that one person causes within NOTICE_RATE_MS; beyond them only weighty ones are told */
    NOTICE_RATE_MS = 10 * 60 * 1000,
    NOTICE_FIRST_WAIT_MS = 10 * 1000, /* after a failure; doubled with each, up to NOTICE_LAST_WAIT_MS */
    NOTICE_LAST_WAIT_MS = 15 * 60 * 1000,
    NOTICE_GIVE_UP_MS = 24 * 3600 * 1000,
    NOTICES_AT_ONCE = 8,              /* in one answer to `notices.take`, one for each receiver */
    NOTICE_FOR_MAX = 50,              /* persons named in one */
    ESCALATE_EVERY_MS = 1000,
};

/* Queue what this leaf, just appended, is worth telling. For write_leaf() alone. */
MUST_CHECK enum status notices_queue(struct op *o, const char *type, const json_t *content, uint64_t seq);
/* Give up what is too old, and forget receivers that the config no longer has. In an own transaction. */
MUST_CHECK enum status notices_upkeep(struct op *o);
/* The courier's connection ended: what it had taken is due again. */
void notices_gone(struct service *s, const struct peer *peer);

/* notice_facts.c: all that a notice of this event says, from a proved leaf ({seq, type, time_ms, content}). NULL: no memory. */
json_t *notice_facts(struct op *o, const struct notice_event *e, const json_t *leaf);

/* escalate.c: bring before others what waits too long, or what nobody on duty can answer. In an own transaction. */
MUST_CHECK enum status escalate(struct op *o);
/* " again from 2026-11-24 08:00 UTC": when the first of these is asked for again; "" when that is not known. */
enum { HOURS_AGAIN_MAX = 48 };
void hours_again(const struct need *needs, size_t count, int64_t now_s, char out[HOURS_AGAIN_MAX]);
/* For pages and lists: `escalated` of an item that was ({group, at, why}), and `off_duty_until` of needs whose hours are not now. */
void escalation_view(struct op *o, const json_t *row, json_t *view);
/* Was it brought before a group of this person's? */
bool escalated_to(const struct op *o, const char *item, const struct person *p);

/* The ops of the courier. */
enum status op_notices_take(struct op *o);
enum status op_notices_done(struct op *o);

#endif
