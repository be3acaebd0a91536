/* redact_message: takes the values of secret fields out of the text messages of a WebSocket, which have no Content-Type (redact_text.c says how they are read). */
#ifndef COUNTERSIGN_REDACT_MESSAGE_H
#define COUNTERSIGN_REDACT_MESSAGE_H

#include "proxy/record/redact_body.h"
#include "proxy/record/tape.h"

/* m, a piece of a text message, becomes what may be kept of it: unmasked, at most 3 * its length + BODY_REDACT_SLACK bytes. *r: of that direction, made in the arena with the first. *text holds
 * the bytes, and is the caller's. NO_MEMORY. */
MUST_CHECK enum status message_redact(struct text_state **r, const struct secret_names *names, struct arena *arena, struct tape_message *m, unsigned char **text);

#endif
