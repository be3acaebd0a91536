/* storage: a session's segments, read back from the object storage that the gateway copied them to (`recording.copy_to`, proxy/courier/README.md), by an auditor with a key that may read.
 *
 * Each object is compared with the digest that the log's leaf of that segment holds before anything of it is used. Bounded, a few at a time; what fails is tried again, twice. */
#ifndef COUNTERSIGN_STORAGE_H
#define COUNTERSIGN_STORAGE_H

#include "proxy/commands/profile.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* Does the profile name a storage, and all that is needed to read from it? BAD_CONFIG: it names it, and something is missing. NOT_FOUND: it names none. */
MUST_CHECK enum status storage_named(const struct profile *p, struct err *err);
/* The recording of a session into `to`, as its file at the gateway was. leaves: those about the session, with content. as_is (for verify): take what is there, however it is: a
 * missing segment is passed over, a changed one kept. Else NOT_FOUND: one is missing that others follow; CORRUPT: one was changed; that the last ones are not there yet is said on standard error.
 * IO_FAILED: the storage is away. REFUSED: it refuses. */
MUST_CHECK enum status storage_recording(const struct profile *p, const char *session, const json_t *leaves, bool as_is, FILE *to, struct err *err);

#endif
