/* verify_tiles: a folder of the published log (STATE/log, or a copy a monitor made) against itself: entries, hashes, roots, checkpoint. */
#ifndef COUNTERSIGN_VERIFY_TILES_H
#define COUNTERSIGN_VERIFY_TILES_H

#include "proxy/base/status.h"

#include <jansson.h>
#include <stdint.h>

/* Findings as verify.h has them, kinds: bad-head missing-tile altered-tile altered-entries bad-chain cut-log forked-log. later_head: a checkpoint seen elsewhere, or NULL.
 * leaves_out: how many the checkpoint counts. OK also when there are findings. */
MUST_CHECK enum status verify_tiles(const char *folder, const unsigned char log_key[32], const char *instance, const char *later_head, json_t *findings,
                                    uint64_t *leaves_out, struct err *err);

/* verify_tiles_rest.c: what lies there beside: partial tiles of earlier checkpoints, and the key. */
MUST_CHECK enum status verify_tiles_rest(const char *folder, const unsigned char log_key[32], const char *instance, json_t *findings);

#endif
