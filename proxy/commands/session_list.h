/* session_list: which sessions there are, by what is asked for: for `sessions`, `verify all` and `incident`. */
#ifndef COUNTERSIGN_COMMANDS_SESSION_LIST_H
#define COUNTERSIGN_COMMANDS_SESSION_LIST_H

#include "proxy/commands/client.h"

#include <stdint.h>

/* NULL and -1: any. */
struct session_filter {
    const char *person, *identity, *tool, *state, *action, *grant, *basis, *customer;
    int64_t since_s, until_s;
};

/* At most `most` sessions, newest first, each once: { "sessions": […], "more": true when there are others }. */
MUST_CHECK enum status session_list_fetch(struct client *c, const struct session_filter *f, size_t most, json_t **out, struct err *err);

#endif
