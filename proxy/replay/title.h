/* title: what a recorded page calls itself. */
#ifndef COUNTERSIGN_REPLAY_TITLE_H
#define COUNTERSIGN_REPLAY_TITLE_H

#include "proxy/record/archive.h"

#include <jansson.h>

/* What stands in <title> (character references as they are), a new JSON string; NULL when there is none. Bytes that are not UTF-8 count as Latin-1. */
json_t *page_title(const struct archive_exchange *x);
/* Without the first bytes of a character whose others were cut off. */
struct slice utf8_whole(struct slice s);

#endif
