/* script: what the recorder's tag loads: rrweb's recorder (npm, @rrweb/record), and our own glue, which starts it as the config says and sends what it records. */
#ifndef COUNTERSIGN_DOM_SCRIPT_H
#define COUNTERSIGN_DOM_SCRIPT_H

#include "config/config.h"

struct dom_script {
    struct slice text;
    char path[64];                    /* DOM_PATH and a digest of the text: another text has another path */
};

/* For one tool; text in the arena. BAD_CONFIG: the recorder's file can't be read, or is none. */
MUST_CHECK enum status dom_script_make(const struct config *c, const struct tool *t, struct arena *arena, struct dom_script *out, struct err *err);

#endif
