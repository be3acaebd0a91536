/* notice_events: the one list of what people can be told. A notice is made from a leaf of the log, in the transaction that writes it; to add an event, add a row here, and words for it in
 * proxy/courier/notice_words.c. The list is also in config/README.md. */
#ifndef COUNTERSIGN_NOTICE_EVENTS_H
#define COUNTERSIGN_NOTICE_EVENTS_H

#include <stdbool.h>

/* Whom it asks or concerns, for `to_concerned` and the member `for`. */
enum notice_audience {
    TELL_APPROVERS,                   /* who could say yes to the item, but for those who have */
    TELL_REQUESTER,
    TELL_CONFIRMERS,                  /* who may confirm a new key, and its owner */
    TELL_OWNER,                       /* of the key */
    TELL_OPERATORS,
    TELL_EVERYBODY,                   /* who could have said yes, operators and auditors: a rule was gone round, as it allows */
    TELL_GROUP,                       /* the leaf's member `group` */
};

struct notice_event {
    const char *name;                 /* "access.requested": in `events`, in the notice, in logs */
    const char *leaf;                 /* type of the leaf that it is made from */
    const char *state;                /* NULL: whatever; else only when the leaf's `state` is one of these words */
    const char *item;                 /* NULL: about anything; else ids of items that begin so: "req_" */
    enum notice_audience audience;
    bool weighty;                     /* never makes room for others when the queue is full */
    const char *help;
};

extern const struct notice_event notice_events[];   /* ended by a NULL name */
/* Is there an event of this name? */
bool notice_event_known(const char *name);
/* The event made by a leaf of this type, in which state and item stand ("": none), or NULL. */
const struct notice_event *notice_event_of(const char *leaf, const char *state, const char *item);
const struct notice_event *notice_event_named(const char *name);

#endif
