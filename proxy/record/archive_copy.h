/* archive_copy: a recording as one plain WARC file, gzip member by gzip member as it was recorded: for tools that know nothing of tar and age. */
#ifndef COUNTERSIGN_ARCHIVE_COPY_H
#define COUNTERSIGN_ARCHIVE_COPY_H

#include "proxy/record/age.h"

#include <stdio.h>

/* Every segment, opened with keys (NULL: none) where it is sealed. Stops at the first that cannot be had whole: REFUSED (sealed to others), BAD_INPUT, IO_FAILED. What was
 * written before stays. */
MUST_CHECK enum status archive_copy_warc(const char *path, const struct age_keys *keys, FILE *to, unsigned *segments_out, struct err *err);

#endif
