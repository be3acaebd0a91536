/* redact_message: takes the values of secret fields out of the text messages of a WebSocket, which have no Content-Type: what a message is shows in its first bytes.
 *
 *   JSON   begins with '{' or '[', after at most 64 letters, digits and marks as protocols put them before it (`42["login",{"password":"x"}]`, `42/ns,7[...]`)
 *   form   begins with a name and '=': `password=x&user=y`
 *   else   kept as it is: a terminal's words are what the auditor wants to see
 *
 * The same for every split of a message into pieces. From where the grammar of JSON breaks the rest is kept as it came. */
#ifndef COUNTERSIGN_REDACT_MESSAGE_H
#define COUNTERSIGN_REDACT_MESSAGE_H

#include "proxy/record/redact_body.h"
#include "proxy/record/tape.h"

enum { MESSAGE_LEAD_MAX = 64 };

struct message_redactor {
    bool reading, plain;              /* what it is was found out: to be read, or not */
    size_t lead_len;
    unsigned char lead[MESSAGE_LEAD_MAX];
    struct body_redactor body;
};

/* A new message begins. */
void message_redactor_begin(struct message_redactor *r);
/* m, a piece of a text message, becomes what may be kept of it: unmasked, at most 3 * its length + BODY_REDACT_SLACK bytes. *r: of that direction, made in the arena with the first. *text holds
 * the bytes, and is the caller's. NO_MEMORY. */
MUST_CHECK enum status message_redact(struct message_redactor **r, const struct secret_names *names, struct arena *arena, struct tape_message *m, unsigned char **text);
/* The next bytes, unmasked. At most 3 * data.len + BODY_REDACT_SLACK bytes come out. */
void message_redactor_feed(struct message_redactor *r, const struct secret_names *names, struct slice data, const struct redact_out *out);

#endif
