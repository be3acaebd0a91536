#include "config/notice_events.h"

#include <stddef.h>
#include <string.h>

const struct notice_event notice_events[] = {
    { "access.requested", "request.created", NULL, NULL, TELL_APPROVERS, false, "somebody asks for a tool" },
    { "signoff.requested", "held.created", NULL, NULL, TELL_APPROVERS, false, "a request is held until others sign it off" },
    { "item.escalated", "item.escalated", NULL, NULL, TELL_GROUP, false, "it waits too long, or nobody on duty can answer it" },
    { "item.approved", "approval", "approved granted", "req_ hld_ pol_", TELL_REQUESTER, false, "the last yes that was needed is there" },
    { "item.denied", "denial", NULL, NULL, TELL_REQUESTER, false, "somebody said no" },
    { "item.expired", "item.expired", NULL, NULL, TELL_REQUESTER, false, "nobody decided in time, or it was not run in time" },
    { "item.cancelled", "item.cancelled", NULL, NULL, TELL_REQUESTER, false, "it was withdrawn, or ended by a lock or a change of the policy" },
    { "lock.placed", "lock", NULL, NULL, TELL_OPERATORS, true, "somebody or something is stopped" },
    { "lock.lifted", "unlock", NULL, NULL, TELL_OPERATORS, true, "a lock is lifted" },
    { "key.proposed", "key.proposed", NULL, NULL, TELL_CONFIRMERS, true, "a new approval key waits for another person's yes" },
    { "key.confirmed", "key.notice", NULL, NULL, TELL_OWNER, true, "a new approval key will count, from a certain time on" },
    { "key.withdrawn", "key.withdrawn", NULL, NULL, TELL_OWNER, true, "an approval key was taken away" },
    { "break-glass.used", "break-glass.used", NULL, NULL, TELL_EVERYBODY, true, "somebody gave themselves access, as the policy lets them" },
    { "review.overdue", "review.overdue", NULL, NULL, TELL_EVERYBODY, true, "nobody has reviewed a use of break-glass in time" },
    { "policy.pending", "policy.proposed", NULL, NULL, TELL_OPERATORS, true, "a change of the policy waits for a second operator" },
    { 0 },
};

const struct notice_event *notice_event_named(const char *name)
{
    for (const struct notice_event *e = notice_events; e->name != NULL; e++)
        if (strcmp(e->name, name) == 0)
            return e;
    return NULL;
}

bool notice_event_known(const char *name)
{
    return notice_event_named(name) != NULL;
}

/* Is `word` one of the words of the list? */
static bool among(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = list; n > 0 && (at = strstr(at, word)) != NULL; at += n)
        if ((at == list || at[-1] == ' ') && (at[n] == 0 || at[n] == ' '))
            return true;
    return false;
}

const struct notice_event *notice_event_of(const char *leaf, const char *state, const char *item)
{
    char kind[5];
    size_t n = strlen(item) < 4 ? strlen(item) : 4;
    memcpy(kind, item, n);
    kind[n] = 0;
    for (const struct notice_event *e = notice_events; e->name != NULL; e++)
        if (strcmp(e->leaf, leaf) == 0 && (e->state == NULL || among(e->state, state)) && (e->item == NULL || among(e->item, kind)))
            return e;
    return NULL;
}
