/* notice_make: a notice as the bytes that are sent: JSON or Slack's body of a webhook, its signature, or a mail. The formats are written down in README.md. */
#ifndef COUNTERSIGN_NOTICE_MAKE_H
#define COUNTERSIGN_NOTICE_MAKE_H

#include "config/config.h"
#include "proxy/base/slice.h"

#include <jansson.h>

enum { SIGNATURE_TEXT_MAX = 128, SECRET_MIN = 16, SECRET_MAX = 1024 };

/* The body of a webhook, malloc'd with a NUL; NULL: no memory. */
char *notice_body(enum notice_format format, const json_t *facts);
/* "t=1790000000,v1=HEX": HMAC-SHA-256 with the secret over the time, a full stop and the body. */
MUST_CHECK enum status notice_sign(struct slice secret, struct slice body, int64_t now_s, char out[SIGNATURE_TEXT_MAX], struct err *err);
/* A secret's file, without the line's end. BAD_INPUT: it is too short, too long, or others can read it. The caller wipes and frees it. */
MUST_CHECK enum status notice_secret(const char *path, size_t min_len, unsigned char **out, size_t *len_out, struct err *err);

/* Who gets a mail: addresses, each once, ended by NULL. They are borrowed from the config; free the array alone. NULL: no memory. */
const char **notice_recipients(const struct config *c, const struct notice_target *t, const json_t *facts);
enum { RECIPIENTS_MAX = 100 };
/* RFC 5322, malloc'd with a NUL; NULL: no memory. id: [A-Za-z0-9_-]; it becomes the Message-ID. */
char *notice_mail(const struct notice_target *t, const char *const *to, const json_t *facts, const char *id, int64_t now_s);

#endif
