/* notice_words: a notice's facts (authz/README.md "Notices") as words for people: what happened, who, and where to look. What somebody typed (a reason, a key's name) is cut, loses what
 * does not show or turns text round, and can make no link, mention or line of its own. */
#ifndef COUNTERSIGN_NOTICE_WORDS_H
#define COUNTERSIGN_NOTICE_WORDS_H

#include "proxy/base/status.h"

#include <jansson.h>
#include <stdbool.h>

enum { NOTICE_SAID_MAX = 500 };       /* bytes kept of what somebody typed */

/* One line of plain text, malloc'd; NULL: no memory. */
char *notice_sentence(const json_t *facts);
/* The same as Slack's mrkdwn: `&`, `<`, `>` escaped, what was typed in a code span, the link at the end. */
char *notice_slack(const json_t *facts);
/* A short title with nothing in it that anybody typed: "alice asks for access to 'support'". */
char *notice_title(const json_t *facts);
/* What was typed, made harmless, into out (NUL-terminated, at most NOTICE_SAID_MAX bytes; always whole UTF-8 characters). */
void notice_plain(const char *said, char out[NOTICE_SAID_MAX + 1]);

#endif
