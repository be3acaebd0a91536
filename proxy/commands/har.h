/* har: exchanges as HAR 1.2 (HTTP Archive), which browsers' developer tools open: one entry an exchange, WebSocket messages as Chromium writes them. */
#ifndef COUNTERSIGN_COMMANDS_HAR_H
#define COUNTERSIGN_COMMANDS_HAR_H

#include "proxy/record/archive.h"

#include <jansson.h>
#include <stdio.h>

struct har {
    FILE *out;
    bool first;
    bool fingerprints;                /* keep what redaction left of cookies and tokens; else those say "redacted" */
};

/* Entries go out one by one: a long session need not fit into memory twice. title: the session. */
void har_begin(struct har *h, FILE *out, const char *title, bool fingerprints);
MUST_CHECK enum status har_entry(struct har *h, size_t number, const struct archive_exchange *x, struct err *err);
/* IO_FAILED when anything could not be written. */
MUST_CHECK enum status har_end(struct har *h, struct err *err);

/* Is it a field that carries a credential, of which a recording holds a fingerprint? */
bool har_is_credential(struct slice name);

#endif
