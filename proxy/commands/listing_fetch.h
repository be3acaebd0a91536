/* listing_fetch: a session's exchanges as cheaply as can be had: from the indexes beside its segments; where those are missing or damaged, from the segments themselves. */
#ifndef COUNTERSIGN_COMMANDS_LISTING_FETCH_H
#define COUNTERSIGN_COMMANDS_LISTING_FETCH_H

#include "proxy/commands/evidence.h"
#include "proxy/record/archive.h"

/* Facts and exchanges of a session, for purpose "show" or "incident". messages: those of WebSockets are needed too, not only how many there were; then a session that has some is fetched whole.
 * An index that can't be read is named on standard error. e and a are the caller's on OK. REFUSED, from archive_list(): e is set, *a is NULL, and err says why. */
MUST_CHECK enum status listing_fetch(struct client *c, const char *session, const char *purpose, const struct age_keys *keys, bool messages, struct evidence *e,
                                     struct archive **a, struct err *err);
/* The same from a recording that is there already. */
MUST_CHECK enum status listing_of_file(const char *path, const struct age_keys *keys, bool messages, struct archive **a, struct err *err);

#endif
