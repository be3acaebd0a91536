/* tally: how often something came up in a session, the first time and the last: actions, customers, secrets. A million exchanges are counted so; only what is counted becomes JSON. */
#ifndef COUNTERSIGN_COMMANDS_TALLY_H
#define COUNTERSIGN_COMMANDS_TALLY_H

#include "proxy/record/archive.h"

#include <uthash.h>

struct tally {
    char *name;
    uint64_t count, request_bytes, response_bytes;
    int64_t last_ms;
    const struct archive_exchange *first;   /* borrowed, with its number */
    size_t number;
    UT_hash_handle hh;
};

/* Count an exchange under this name. False: no memory. */
bool tally_count(struct tally **all, struct slice name, size_t number, const struct archive_exchange *x);
void tally_free(struct tally **all);

#endif
