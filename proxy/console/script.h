/* script: the console's one script, built into the program (web/sign.js). */
#ifndef COUNTERSIGN_SCRIPT_H
#define COUNTERSIGN_SCRIPT_H

#include "proxy/base/slice.h"

struct slice console_script(void);

#endif
