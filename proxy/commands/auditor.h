/* auditor: the keys that open recordings, on the auditor's side: found, and made. */
#ifndef COUNTERSIGN_COMMANDS_AUDITOR_H
#define COUNTERSIGN_COMMANDS_AUDITOR_H

#include "proxy/commands/profile.h"
#include "proxy/record/age.h"

/* Of --auditor-key, else COUNTERSIGN_AUDITOR_KEY, else the profile; *out is NULL when none of them names a file. */
MUST_CHECK enum status auditor_keys(struct profile *p, struct age_keys **out, struct err *err);
/* A new pair: the secret half into a file that must not be there yet (0600, with comments as age-keygen writes them), or to standard output when path is NULL; the public
 * half into public_key. */
MUST_CHECK enum status auditor_key_write(const char *path, char public_key[AGE_PUBLIC_LEN + 1], struct err *err);

#endif
