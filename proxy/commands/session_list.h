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

/* At most `most` sessions, newest first, each once: { "sessions": […], "more": true when there are others, "erased": { stories, last_ms } when retention erased
 * some that would be of that time }. */
MUST_CHECK enum status session_list_fetch(struct client *c, const struct session_filter *f, size_t most, json_t **out, struct err *err);

/* "" or a sentence: what was erased, and is not in such a list. */
enum { ERASED_WORDS_MAX = 256 };
const char *erased_words(const json_t *list, char out[ERASED_WORDS_MAX]);

#endif
