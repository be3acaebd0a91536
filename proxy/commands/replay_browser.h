/* replay_browser: `replay --serve`: a recorded session in the browser (proxy/replay). */
#ifndef COUNTERSIGN_COMMANDS_REPLAY_BROWSER_H
#define COUNTERSIGN_COMMANDS_REPLAY_BROWSER_H

#include "proxy/commands/evidence.h"
#include "proxy/record/archive.h"

#include <stdint.h>

/* Until it is interrupted. port: 0 is any; json: print { "address": … } instead of words. */
/* player: the folder of rrweb's player, or NULL: beside this program (build/dom), or where it was installed to (../share/countersign/dom). */
MUST_CHECK enum status replay_in_browser(const struct evidence *e, const struct archive *a, uint16_t port, const char *player, bool json, struct err *err);

#endif
