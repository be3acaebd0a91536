/* What a reload cannot change: the sockets, the memory and the identity that were taken at the start. */
#include "config/config.h"

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_listeners(const struct config *a, const struct config *b)
{
    if (a->listener_count != b->listener_count)
        return false;
    for (size_t i = 0; i < a->listener_count; i++)
        if (!same_text(a->listeners[i].address, b->listeners[i].address) || a->listeners[i].port != b->listeners[i].port)
            return false;
    return true;
}

const char *config_needs_restart(const struct config *now, const struct config *next)
{
    if (!same_text(now->instance, next->instance))
        return "instance";
    if (!same_text(now->state, next->state))
        return "state";
    if (!same_text(now->user, next->user))
        return "user";
    if (now->sandbox != next->sandbox)
        return "sandbox";
    if (now->workers != next->workers)
        return "workers";
    if (!same_listeners(now, next))
        return "listen";
    if (!same_text(now->operator_listen, next->operator_listen))
        return "operator_listen";
    if (now->unsealed != next->unsealed)
        return "recording.unsealed";
    return now->ring_bytes != next->ring_bytes ? "recording.ring_size" : NULL;
}
